"""A real OpenSSH server on loopback for tests of SFTP. Import the fixture by name.

Where the system has no sshd, Debian's package is unpacked (not installed) into `.local/openssh`; without either the tests skip.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.local.processes import die_with_parent, wait_until
from jobs.settings import PROJECT
from tests.postgres import free_port

UNPACKED = PROJECT / ".local" / "openssh"
PACKAGES = ("openssh-server", "libwrap0")


@dataclass
class Server:
    """A running server: who may log in with which key, and the folder that it serves."""

    home: Path
    port: int
    user: str
    sshd: Path
    libraries: Path | None
    process: subprocess.Popen[bytes] | None = None

    @property
    def inbox(self) -> Path:
        return self.home / "inbox"

    @property
    def uri(self) -> str:
        return f"sftp://{self.user}@127.0.0.1:{self.port}{self.inbox}"

    def start(self) -> None:
        uid = pwd.getpwnam(self.user)
        who = {"user": uid.pw_uid, "group": uid.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        environment = {**os.environ, **({"LD_LIBRARY_PATH": str(self.libraries)} if self.libraries else {})}
        with (self.home / "sshd.log").open("ab") as output:
            self.process = subprocess.Popen(
                [str(self.sshd), "-r", "-D", "-e", "-f", str(self.home / "sshd_config")], stdout=output, stderr=output,
                preexec_fn=die_with_parent(signal.SIGTERM), env=environment, **who,
            )  # fmt: skip
        assert wait_until(lambda: b"listening" in (self.home / "sshd.log").read_bytes(), timeout=10), (
            self.home / "sshd.log"
        ).read_text()

    def stop(self) -> None:
        if self.process is not None:
            # Its sessions are processes of their own.
            subprocess.run(["pkill", "-TERM", "-P", str(self.process.pid)], check=False)
            self.process.terminate()
            self.process.wait(timeout=10)
            self.process = None
        (self.home / "sshd.log").unlink(missing_ok=True)

    def put(self, path: str, content: bytes, *, signal_text: str | None = None) -> Path:
        """As a sender does: the file, and its signal last."""
        target = self.inbox / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        if signal_text is not None:
            target.with_name(f"{target.name}.ok").write_text(signal_text)
        self.give()
        return target

    def give(self) -> None:
        """All that lies there belongs to the user who logs in."""
        if os.geteuid() == 0:
            uid = pwd.getpwnam(self.user)
            for path in [self.inbox, *self.inbox.rglob("*")]:
                os.chown(path, uid.pw_uid, uid.pw_gid)


def _sshd() -> tuple[Path, Path | None]:
    """The server's program, and the folder of libraries that it needs beside the system's."""
    found = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if found:
        return Path(found), None
    program = UNPACKED / "usr" / "sbin" / "sshd"
    if not program.exists():
        UNPACKED.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(
                ["apt-get", "download", *PACKAGES], cwd=UNPACKED, check=True, capture_output=True, timeout=120
            )
            for package in UNPACKED.glob("*.deb"):
                subprocess.run(["dpkg", "-x", str(package), str(UNPACKED)], check=True, capture_output=True)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"no sshd here, and Debian's package cannot be had: {error}")
    [library] = UNPACKED.rglob("libwrap.so.0")
    return program, library.parent


@pytest.fixture(scope="session")
def sftp_server() -> Iterator[Server]:
    program, libraries = _sshd()
    # As root it would want a user of its own: it runs as the one who logs in.
    user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    with tempfile.TemporaryDirectory(prefix="ledgerlake_sshd_", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o755)
        server = Server(home, free_port(), user, program, libraries)
        server.inbox.mkdir()
        for key in ("host_key", "user_key", "other_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / key)], check=True)
        shutil.copy(home / "user_key.pub", home / "authorized_keys")
        (home / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {(home / 'host_key.pub').read_text()}")
        (home / "sshd_config").write_text(
            f"Port {server.port}\nListenAddress 127.0.0.1\nHostKey {home}/host_key\nAuthorizedKeysFile {home}/authorized_keys\nPasswordAuthentication no\n"
            "UsePAM yes\nStrictModes no\nPidFile none\nSubsystem sftp internal-sftp\nForceCommand internal-sftp\n"
        )
        if os.geteuid() == 0:
            who = pwd.getpwnam(user)
            for name in ("host_key", "authorized_keys"):
                os.chown(home / name, who.pw_uid, who.pw_gid)
        server.give()
        server.start()
        yield server
        server.stop()
