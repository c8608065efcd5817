"""The database that plays the demo bank's own system (jobs/demo_bank/crm.py), in the embedded PostgreSQL, with a login of its own."""

from __future__ import annotations

import os

from psycopg import sql

from infra.local import postgres
from infra.local.secrets import secret
from jobs.settings import Settings

PROFILE = "demo"
NAME = "demo_crm"
VARIABLE = "LEDGERLAKE_SOURCE_DEMO_CRM"


def address(settings: Settings) -> str:
    """What the environment says, else the embedded server's."""
    return os.environ.get(VARIABLE) or own_address(settings)


def own_address(settings: Settings) -> str:
    """Of the embedded server. The password is in a file of mode 0600."""
    return f"postgresql://{NAME}:{secret(settings, f'postgres_{NAME}')}@127.0.0.1:{settings.postgres_port}/{NAME}"


def environment(settings: Settings) -> dict[str, str]:
    """How the address reaches whoever fetches."""
    return {VARIABLE: address(settings)}


def create(settings: Settings) -> None:
    """Login, database, tables and replication slot; harmless when they exist, and open again where somebody left it shut."""
    from jobs.demo_bank import crm

    with postgres.connect(settings) as db:
        name, password = sql.Identifier(NAME), sql.Literal(secret(settings, f"postgres_{NAME}"))
        known = db.execute("select 1 from pg_roles where rolname = %s", (NAME,)).fetchone()
        role = sql.SQL("{} role {} login replication password {}")
        db.execute(role.format(sql.SQL("alter" if known else "create"), name, password))
        if not db.execute("select 1 from pg_database where datname = %s", (NAME,)).fetchone():
            db.execute(sql.SQL("create database {0} owner {0}").format(name))
            db.execute(sql.SQL("revoke connect, temporary on database {} from public").format(name))
        db.execute(sql.SQL("alter database {} with allow_connections true").format(name))
    crm.set_up(own_address(settings))
