"""Sets this machine up: checks Java and fetches, once, the jars that Spark needs for Delta Lake.

    python -m infra.local.setup

A second run finds the jars, verifies their checksums and does nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from jobs.settings import PROJECT, settings

JAVA_NEEDED = 17
IVY_SETTINGS = PROJECT / "infra" / "spark" / "ivysettings.xml"


@dataclass(frozen=True)
class Jars:
    """Jars that are fetched together: which (`jars.xml`), and what they must be (`jars.sha256`), in a folder below infra/."""

    folder: Path

    @property
    def wanted(self) -> Path:
        return self.folder / "jars.xml"

    @property
    def digests(self) -> Path:
        return self.folder / "jars.sha256"


SPARK = Jars(PROJECT / "infra" / "spark")
KAFKA = Jars(PROJECT / "infra" / "kafka")  # a broker for tests
ELASTICMQ = Jars(PROJECT / "infra" / "elasticmq")  # a queue for tests


class SetupError(RuntimeError):
    """Something this machine lacks; the message says what to install or to check."""


def java_binary() -> Path:
    """The `java` that Spark will use: of JAVA_HOME when set, else of PATH. Raises SetupError when there is none of
    version 17 or later.
    """
    remedy = (
        f"Install Java {JAVA_NEEDED} or later (Debian/Ubuntu: apt-get install -y openjdk-{JAVA_NEEDED}-jre-headless)."
    )
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if found is None:
        raise SetupError(f"Java was not found: neither JAVA_HOME is set nor is `java` on the PATH. {remedy}")
    try:
        answer = subprocess.run([found, "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(f"{found} does not run ({error}). {remedy}") from error
    version = re.search(r'version "(\d+)', answer.stderr)
    if version is None or int(version[1]) < JAVA_NEEDED:
        what = answer.stderr.splitlines()[0] if answer.stderr else "no version"
        raise SetupError(f"{found} is too old ({what}); Spark needs Java {JAVA_NEEDED}. {remedy}")
    return Path(found)


def checksums(jars: Jars = SPARK) -> dict[str, str]:
    """Jar file name -> SHA-256, as committed."""
    lines = (line.split() for line in jars.digests.read_text().splitlines() if line.strip())
    return {name: digest for digest, name in lines}


def faults(folder: Path, expected: dict[str, str]) -> list[str]:
    """What is wrong with the jars in `folder`, one sentence each; empty when every expected jar is there and
    unaltered.
    """
    found = []
    for name, digest in expected.items():
        jar = folder / name
        if not jar.exists():
            found.append(f"{name} is missing")
        elif (actual := hashlib.sha256(jar.read_bytes()).hexdigest()) != digest:
            found.append(f"{name} has SHA-256 {actual}, expected {digest}")
    return found


def listing(folder: Path) -> str:
    """The checksum file for the jars in `folder`."""
    jars = sorted(folder.glob("*.jar"))
    return "\n".join(f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}" for jar in jars)


def fetch_jars(folder: Path, jars: Jars = SPARK) -> bool:
    """Puts the jars of `jars` into `folder`. Returns whether anything was fetched; raises SetupError when they
    cannot be had or are not the committed ones (nothing is left in `folder` then).
    """
    expected = checksums(jars)
    if not faults(folder, expected):
        return False
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="jars-") as scratch:
        fetched = Path(scratch) / "jars"
        _ivy(jars, Path(scratch) / "cache", fetched)
        wrong = faults(fetched, expected)
        if wrong:
            raise SetupError(
                f"The downloaded jars are not the expected ones: {'; '.join(wrong)}. Nothing was installed. "
                f"Unless {jars.wanted} was changed on purpose, do not use this download; if it was, {jars.digests.name} "
                f"must read:\n{listing(fetched)}"
            )
        for name in expected:
            (fetched / name).replace(folder / name)
    return True


def _ivy(jars: Jars, cache: Path, target: Path) -> None:
    """Resolves jars.xml with the Ivy that pyspark ships."""
    import pyspark

    (ivy,) = (Path(pyspark.__file__).parent / "jars").glob("ivy-*.jar")
    command = [str(java_binary()), *_proxy_options(os.environ), "-cp", str(ivy), "org.apache.ivy.Main"]
    command += ["-settings", str(IVY_SETTINGS), "-ivy", str(jars.wanted), "-cache", str(cache), "-confs", "default"]
    command += ["-types", "jar", "bundle", "-retrieve", str(target / "[organisation]_[artifact]-[revision].[ext]")]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        tail = "\n".join((result.stdout + result.stderr).strip().splitlines()[-15:])
        raise SetupError(
            f"The jars of {jars.wanted} could not be fetched from Maven Central. "
            f"Check the network (and HTTPS_PROXY), then repeat. Ivy said:\n{tail}"
        )


def _proxy_options(environment: os._Environ[str] | dict[str, str]) -> list[str]:
    """Java does not read HTTPS_PROXY; says the same in its own words."""
    address = environment.get("https_proxy") or environment.get("HTTPS_PROXY")
    if not address:
        return []
    proxy = urlsplit(address if "//" in address else f"//{address}")
    return [f"-Dhttps.proxyHost={proxy.hostname}", f"-Dhttps.proxyPort={proxy.port or 443}"]


def main() -> int:
    try:
        java = java_binary()
        fetched = fetch_jars(settings().home / "jars")
    except SetupError as error:
        print(f"Set-up stopped: {error}", file=sys.stderr)
        return 1
    print(f"Java: {java}. Spark jars: {'fetched' if fetched else 'present'}, checksums verified.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
