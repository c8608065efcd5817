"""Connections to a bank's ledger schema, and its migrations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from jobs.settings import settings

MIGRATIONS = Path(__file__).parent / "migrations"
REMEDY = (
    "Start it (`ledgerlake up`) or set LEDGERLAKE_DATABASE_URL; "
    "what was released is unchanged, and work resumes by itself."
)


class LedgerUnavailable(Exception):
    """The database does not answer; the message says which one and what to do."""


class Ledger:
    """One bank's ledger. `begin()` is one transaction; the schema is on the search path."""

    def __init__(self, profile: str, engine: Engine):
        self.profile, self.schema, self.engine = profile, f"{profile}_ledger", engine

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Raises LedgerUnavailable when no connection can be made, or when it breaks: then the transaction did not
        happen."""
        try:
            connection = self.engine.connect()
        except OperationalError as error:
            raise LedgerUnavailable(self._lost(error.orig)) from error
        try:
            with connection, connection.begin():
                yield connection
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            raise LedgerUnavailable(self._lost(error.orig)) from error

    def _lost(self, found: object) -> str:
        where = self.engine.url.render_as_string(hide_password=True)
        return (
            f"The ledger's database does not answer at {where}: {' '.join(str(found).split()).rstrip('?.')}. {REMEDY}"
        )

    def migrate(self) -> None:
        """Create the schema or bring it to the newest version; harmless when it is there already, also when two do it
        at once."""
        with self.begin() as db:
            # Two first starts at once would both create: the second waits here and then finds nothing to do.
            db.execute(text("select pg_advisory_xact_lock(hashtext(:s))"), {"s": self.schema})
            db.execute(text(f'create schema if not exists "{self.schema}"'))
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = db
            config.attributes["schema"] = self.schema
            command.upgrade(config, "head")


@cache
def connect(profile: str) -> Ledger:
    """The ledger of a bank; no connection is made yet. One small pool a process; forks must not share it, so tasks
    call this themselves.

    Raises LedgerUnavailable when the embedded server was never set up (its password file is missing).
    """
    try:
        url = make_url(settings().ledger_url())
    except FileNotFoundError as error:
        raise LedgerUnavailable(f"There is no local database yet: {error.filename} is missing. {REMEDY}") from error
    engine = create_engine(
        url,
        pool_size=2,
        max_overflow=6,
        pool_pre_ping=True,
        hide_parameters=True,  # an error names what was wrong, never the values
        connect_args={"options": f"-csearch_path={profile}_ledger", "connect_timeout": 5},
    )
    return Ledger(profile, engine)
