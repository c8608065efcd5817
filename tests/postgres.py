"""A PostgreSQL server of its own for tests that need one, with the roles and rights that production has. Import the
fixtures by name.

`postgres` is the running server (one a session); `installation` is an empty home with that server behind it, as
`settings()` sees it.
"""

from __future__ import annotations

import itertools
import pwd
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from infra.local import postgres as server
from infra.local.processes import die_with_parent, wait_until
from infra.local.secrets import secret
from jobs.ledger import Ledger, connect
from jobs.ledger.models import Base
from jobs.settings import Settings
from jobs.settings import settings as current_settings

NUMBERS = itertools.count(1)
SERVERS: dict[int, subprocess.Popen[bytes]] = {}  # by port


@pytest.fixture(scope="session")
def postgres() -> Iterator[Settings]:
    """Not in pytest's folder: each pytest closes that to other users, and PostgreSQL may have to run as one."""
    with tempfile.TemporaryDirectory(prefix="ledgerlake_tests_", ignore_cleanup_errors=True) as home:
        running = Settings(home=Path(home), postgres_port=free_port())
        server.prepare(running)
        start_postgres(running)
        try:
            server.create_databases(running)
            yield running
        finally:
            stop_postgres(running)


def start_postgres(running: Settings) -> None:
    options = [
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        "unix_socket_directories=",
        "-c",
        "fsync=off",
        "-c",
        "wal_level=logical",
    ]
    program = str(server.binaries() / "postgres")
    command = [program, "-D", str(server.data_folder(running)), "-p", str(running.postgres_port), *options]
    uid = server.server_uid()
    who = {} if uid is None else {"user": uid, "group": pwd.getpwuid(uid).pw_gid, "extra_groups": []}
    log = running.home / "postgres.log"
    with log.open("ab") as output:
        # A test run that is killed takes its server with it.
        ending = die_with_parent(signal.SIGINT)
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd="/", preexec_fn=ending, **who)
    SERVERS[running.postgres_port] = process
    assert wait_until(lambda: server.answers(running), timeout=30), log.read_text()


def stop_postgres(running: Settings) -> None:
    """Harmless when it is stopped already."""
    if process := SERVERS.pop(running.postgres_port, None):
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def installation(postgres: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home of a fresh installation (no keys yet) whose ledger's database is the running server."""
    password = secret(postgres, "postgres_ledgerlake")
    monkeypatch.setenv("LEDGERLAKE_HOME", str(tmp_path))
    monkeypatch.setenv(
        "LEDGERLAKE_DATABASE_URL",
        f"postgresql+psycopg://ledgerlake:{password}@127.0.0.1:{postgres.postgres_port}/ledgerlake",
    )
    monkeypatch.delenv("LEDGERLAKE_INBOX", raising=False)
    current_settings.cache_clear()
    yield tmp_path
    current_settings.cache_clear()


@pytest.fixture
def new_ledger(installation: Path) -> Iterator[Callable[[], Ledger]]:
    """Makes empty ledgers, each of a bank of its own, so that tests do not meet each other's schemas and roles."""
    made: list[Ledger] = []

    def new() -> Ledger:
        ledger = connect(f"bank{next(NUMBERS)}")
        with ledger.begin() as db:
            db.execute(text(f"create schema {ledger.schema}"))
            Base.metadata.create_all(db)
        made.append(ledger)
        return ledger

    yield new
    for ledger in made:
        ledger.engine.dispose()
    connect.cache_clear()
