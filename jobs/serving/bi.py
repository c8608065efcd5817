"""Who may read the mart: the bank's read-only role, its users with their scopes, and how a BI tool connects."""

from __future__ import annotations

import os
import re
import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from jobs.ledger.database import Ledger
from jobs.serving.mart_schema import MartError

ROLE_NAME = re.compile(r"^[a-z][a-z0-9_]{2,62}$")
KINDS = ("group", "province", "branch")
EVERYTHING = "*"


@dataclass(frozen=True)
class BiLogin:
    """How one user connects. `passfile` is a libpq password file (mode 0600): the password is its last field."""

    user: str
    host: str
    port: int
    database: str
    schema: str
    passfile: Path

    @property
    def url(self) -> str:
        return f"postgresql://{self.user}@{self.host}:{self.port}/{quote(self.database)}?passfile={quote(str(self.passfile))}"

    @property
    def psql(self) -> str:
        """One line for a terminal; the password is read from the file and shown nowhere."""
        return f"psql {shlex.quote(self.url)}"

    @property
    def jdbc(self) -> str:
        return f"jdbc:postgresql://{self.host}:{self.port}/{quote(self.database)}?currentSchema={self.schema}&user={self.user}"


def reader_role(profile: str) -> str:
    """The group role that all BI users of a bank belong to; it cannot log in itself."""
    return f"{profile}_bi_reader"


def ensure_reader(raw: psycopg.Connection[Any], profile: str) -> None:
    """Make the bank's reader role, and let it into the database, unless that was done before."""
    role = reader_role(profile)
    if not _role_exists(raw, role):
        # Roles belong to the whole server: two banks at their first release at once would both create, so they queue.
        raw.execute("select pg_advisory_xact_lock(hashtextextended('ledgerlake bi roles', 0))")
        if not _role_exists(raw, role):
            _as_role_maker(
                raw,
                role,
                sql.SQL("create role {} nologin nosuperuser nocreatedb nocreaterole").format(sql.Identifier(role)),
            )
            raw.execute(sql.SQL("alter role {} set default_transaction_read_only = on").format(sql.Identifier(role)))
    database = raw.info.dbname
    if raw.execute("select has_database_privilege(%s, %s, 'connect')", (role, database)).fetchone() != (True,):
        raw.execute(
            sql.SQL("grant connect on database {} to {}").format(sql.Identifier(database), sql.Identifier(role))
        )


def create_bi_user(ledger: Ledger, name: str, kind: str, value: str | None = None) -> str:
    """Create a login that sees the views within one scope, and return its password, which is stored nowhere.

    `kind`: group (all rows), province or branch with the `value` to be seen. A BI user that exists gets this scope
    instead of its former ones, and a new password. Raises MartError for a name that is another role's, or a scope that
    says nothing.
    """
    mart, bi, group = f"{ledger.profile}_mart", f"{ledger.profile}_bi", reader_role(ledger.profile)
    _check(name, kind, value)
    password = secrets.token_urlsafe(24)
    with ledger.begin() as db:
        raw: psycopg.Connection[Any] = db.connection.driver_connection  # type: ignore[assignment]
        if not _role_exists(raw, group) or raw.execute(
            "select to_regclass(%s)", (f'"{mart}".role_scopes',)
        ).fetchone() == (None,):
            raise MartError(f"The mart of {ledger.profile} does not exist yet. It is made with the first release.")
        exists = _role_exists(raw, name)
        if exists and not _is_member(raw, name, group):
            raise MartError(f"The role {name} exists and is not a BI user of {ledger.profile}. Choose another name.")
        role = sql.Identifier(name)
        # Only the verifier travels: the password itself could end in the server's log.
        verifier = raw.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
        words = (
            "alter role {} login password {}"
            if exists
            else "create role {} login nosuperuser nocreatedb nocreaterole password {}"
        )
        _as_role_maker(raw, name, sql.SQL(words).format(role, sql.Literal(verifier)))
        if not exists:
            raw.execute(sql.SQL("grant {} to {}").format(sql.Identifier(group), role))
        # Settings of a group are not inherited at login. They are a courtesy: what holds is that nothing but SELECT
        # was granted.
        for setting, to in (
            ("default_transaction_read_only", "on"),
            ("search_path", bi),
            ("statement_timeout", "5min"),
        ):
            raw.execute(sql.SQL("alter role {} set {} = {}").format(role, sql.SQL(setting), sql.Literal(to)))
        scopes = sql.Identifier(mart, "role_scopes")
        raw.execute(sql.SQL("delete from {} where role = %s").format(scopes), (name,))
        raw.execute(sql.SQL("insert into {} values (%s, %s, %s)").format(scopes), (name, kind, value or EVERYTHING))
    return password


def add_scope(ledger: Ledger, name: str, kind: str, value: str) -> None:
    """Let a BI user see one more province or branch."""
    _check(name, kind, value)
    with ledger.begin() as db:
        raw: psycopg.Connection[Any] = db.connection.driver_connection  # type: ignore[assignment]
        if not _is_member(raw, name, reader_role(ledger.profile)):
            raise MartError(f"{name} is not a BI user of {ledger.profile}. Create it first.")
        scopes = sql.Identifier(f"{ledger.profile}_mart", "role_scopes")
        raw.execute(
            sql.SQL("insert into {} values (%s, %s, %s) on conflict do nothing").format(scopes), (name, kind, value)
        )


def drop_bi_user(ledger: Ledger, name: str) -> None:
    """Take a BI user's login and scopes away; nothing happens when there is none of that name."""
    with ledger.begin() as db:
        raw: psycopg.Connection[Any] = db.connection.driver_connection  # type: ignore[assignment]
        if not _is_member(raw, name, reader_role(ledger.profile)):
            return
        scopes = sql.Identifier(f"{ledger.profile}_mart", "role_scopes")
        raw.execute(sql.SQL("delete from {} where role = %s").format(scopes), (name,))
        raw.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def bi_login(ledger: Ledger, name: str, kind: str, value: str | None, secrets_folder: Path) -> BiLogin:
    """The login of a BI user, created when it or its password file does not exist yet. The file stands in
    `secrets_folder`."""
    url = ledger.engine.url
    host, port, database = url.host or "127.0.0.1", url.port or 5432, url.database or "postgres"
    login = BiLogin(name, host, port, database, f"{ledger.profile}_bi", secrets_folder / f"bi_{name}.pgpass")
    line = f"{host}:{port}:{database}:{name}:"
    with ledger.begin() as db:
        known = _is_member(db.connection.driver_connection, name, reader_role(ledger.profile))  # type: ignore[arg-type]
    if not (known and login.passfile.exists() and login.passfile.read_text().startswith(line)):
        _write_secret(login.passfile, line + create_bi_user(ledger, name, kind, value) + "\n")
    return login


def _write_secret(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def _check(name: str, kind: str, value: str | None) -> None:
    if not ROLE_NAME.match(name):
        raise MartError(
            f"{name!r} cannot name a BI user. Use 3 to 63 lower-case letters, digits and underscores, a letter first."
        )
    if kind not in KINDS:
        raise MartError(f"{kind!r} is not a scope. Use one of {', '.join(KINDS)}.")
    if (kind == "group") != (value in (None, EVERYTHING)):
        raise MartError(
            f"Scope {kind} with value {value!r}: group takes no value; province and branch need the one to be seen."
        )


def _role_exists(raw: psycopg.Connection[Any], role: str) -> bool:
    return raw.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone() is not None


def _is_member(raw: psycopg.Connection[Any], role: str, group: str) -> bool:
    query = (
        "select 1 from pg_auth_members m join pg_roles g on g.oid = m.roleid join pg_roles r on r.oid = m.member"
        " where g.rolname = %s and r.rolname = %s and r.rolcanlogin and not r.rolcreaterole"
    )
    return raw.execute(query, (group, role)).fetchone() is not None


def _as_role_maker(raw: psycopg.Connection[Any], role: str, statement: sql.Composed) -> None:
    try:
        raw.execute(statement)
    except psycopg.errors.InsufficientPrivilege as error:
        raise MartError(
            f"The ledger's user {raw.info.user} may not create or change the role {role} ({error}). "
            f"Let the database's administrator run: alter role {raw.info.user} createrole"
        ) from error
