"""A PostgreSQL server for all tests that need one, with the roles and rights that production has.

`postgres` is the running server (one a session); `installation` is an empty home with that server behind it, as
`settings()` sees it.
"""

from __future__ import annotations

import itertools
import os
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
    for name in [name for name in os.environ if name.startswith("LEDGERLAKE_INBOX")]:
        monkeypatch.delenv(name)
    current_settings.cache_clear()
    yield tmp_path
    current_settings.cache_clear()


def emptied(ledger: Ledger) -> Ledger:
    """The ledger without a row, its numbers from 1. Tables that stand there already are kept, and truncated where they have rows: that costs a tenth of
    making them all."""
    names = [table.name for table in Base.metadata.sorted_tables]
    with ledger.begin() as db:
        db.execute(text("set local lock_timeout = '20s'"))  # a test that left a transaction open
        db.execute(text(f"create schema if not exists {ledger.schema}"))
        if not db.execute(text("select to_regclass(:one)"), {"one": f"{ledger.schema}.{names[0]}"}).scalar():
            Base.metadata.create_all(db)
            return ledger
        filled = " union all ".join(f"select '{name}' where exists (select from {name})" for name in names)
        if with_rows := db.execute(text(filled)).scalars().all():
            db.execute(text(f"truncate {', '.join(with_rows)} cascade"))
        restarted = (
            "select setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false) from pg_sequences"
        )
        db.execute(
            text(f"{restarted} where schemaname = :schema and last_value is not null"), {"schema": ledger.schema}
        )
    return ledger


@pytest.fixture(scope="session")
def left_schemas(postgres: Settings) -> list[str]:
    """Schemas of ledgers whose tests are over."""
    return []


@pytest.fixture
def new_ledger(installation: Path, left_schemas: list[str]) -> Iterator[Callable[[], Ledger]]:
    """Makes empty ledgers, each of a bank of its own, so that tests do not meet each other's vaults and roles."""
    made: list[Ledger] = []

    def new() -> Ledger:
        ledger = connect(f"bank{next(NUMBERS)}")
        made.append(ledger)
        if left_schemas:
            with ledger.begin() as db:
                db.execute(text(f"alter schema {left_schemas.pop()} rename to {ledger.schema}"))
        return emptied(ledger)

    yield new
    for ledger in made:
        ledger.engine.dispose()
        left_schemas.append(ledger.schema)
    connect.cache_clear()
