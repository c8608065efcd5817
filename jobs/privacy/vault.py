"""The vault: the only place where a token leads back to a value.

A PostgreSQL schema of its own (`<profile>_vault`), owned by a role of its own whose password only arrival and
authorised readers have. A token is drawn at random, once, and never computed: nobody can find a token by trying values,
and rotating the lookup key changes no token.
"""

from __future__ import annotations

import base64
import os
import secrets
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import structlog
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg import errors, sql
from psycopg.rows import TupleRow
from sqlalchemy.engine import URL, make_url

from jobs.privacy.keys import Keys, load_keys, rotate_lookup
from jobs.settings import settings

log = structlog.get_logger()
PREFIXES = {
    "id_number": "idn",
    "name": "nam",
    "name_normal": "nmn",
    "phone": "phn",
    "email": "eml",
    "card": "crd",
    "device": "dev",
    "address": "adr",
}
T = TypeVar("T")
BATCH = 10_000  # values a round trip
NONCE = 12
TABLES = """
create table if not exists tokens (
    kind text not null,
    token text primary key,
    lookup bytea not null,
    lookup_key_id text not null,
    ciphertext bytea not null,
    created_at timestamptz not null default now(),
    unique (kind, lookup)
);
create table if not exists lookup_key (id int primary key check (id = 1), key_id text not null);
"""


class VaultUnavailable(Exception):
    """The vault's database does not answer or does not let us in; the message says what to do."""


class Vault:
    """One bank's vault. One connection, opened when first needed; may be used by several threads, one at a time."""

    def __init__(self, profile: str, keys: Keys | None = None, url: str | None = None):
        """`url`: the ledger's database (its role makes the vault's role and schema). Nothing is opened yet."""
        self.profile, self.schema, self.role = profile, f"{profile}_vault", f"{profile}_vault"
        self._keys = keys or load_keys()
        self._url = make_url(url or settings().ledger_url())
        self._connection: psycopg.Connection[TupleRow] | None = None
        self._turn = threading.RLock()

    def tokens_for(self, kind: str, values: Collection[str]) -> dict[str, str]:
        """The token of each value (in its comparison form), issued now for those that never came before.

        Safe when two do it at once: the first insert stands and both read it. Known values cost one round trip a batch.
        """
        tokens: dict[str, str] = {}
        for part in _batches(dict.fromkeys(values)):
            with self._transaction() as db:
                tokens |= self._tokens(db, kind, part, self._shared_with_rotation(db))
        return tokens

    def find(self, kind: str, values: Collection[str]) -> dict[str, str]:
        """The tokens of those values that have one; issues none."""
        with self._transaction() as db:
            key_id = self._shared_with_rotation(db)
            lookups = {self._keys.lookup_hash(kind, value, key_id): value for value in values}
            return {lookups[lookup]: token for lookup, token in self._known(db, kind, list(lookups)).items()}

    def reveal(self, tokens: Collection[str]) -> dict[str, str]:
        """Token -> clear value, for authorised use only. Unknown or erased tokens are absent."""
        with self._transaction() as db:
            rows = db.execute(
                "select kind, token, ciphertext from tokens where token = any(%s)", [list(tokens)]
            ).fetchall()
        return {token: self._open(kind, token, ciphertext) for kind, token, ciphertext in rows}

    def erase(self, tokens: Collection[str]) -> int:
        """Deletes values for ever; returns how many there were. Their tokens then lead nowhere."""
        with self._transaction() as db:
            return db.execute("delete from tokens where token = any(%s)", [list(tokens)]).rowcount

    def rotate_lookup_key(self) -> int:
        """Draws a new lookup key and re-hashes every lookup under it; tokens stay. Returns the rows changed.

        A rotation that dies changes nothing here: which key is in use is written in this database, in the same
        transaction. The former key stays in the key file, because other banks of this installation may still use it.
        """
        with self._transaction() as db:
            # Nobody issues a token while the lookups change; those who wait then load the new key.
            db.execute("select pg_advisory_xact_lock(%s)", [self._lock])
            self._keys = rotate_lookup()
            with db.cursor(name="all_tokens") as rows:
                rows.execute("select kind, token, ciphertext from tokens")
                changed = 0
                for part in _batches(rows):
                    self._rehash(db, part)
                    changed += len(part)
            db.execute("update lookup_key set key_id = %s", [self._keys.lookup_id])
        return changed

    def close(self) -> None:
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __enter__(self) -> Vault:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _tokens(
        self, db: psycopg.Connection[TupleRow], kind: str, values: Sequence[str], key_id: str
    ) -> dict[str, str]:
        lookups = {self._keys.lookup_hash(kind, value, key_id): value for value in values}
        known = self._known(db, kind, list(lookups))
        # Sorted, so that two who insert the same values wait for each other in one order and never for ever.
        missing = sorted(lookup for lookup in lookups if lookup not in known)
        if missing:
            drawn = [_draw(kind) for _ in missing]
            sealed = [self._close_value(kind, t, lookups[lookup]) for t, lookup in zip(drawn, missing, strict=True)]
            issued = db.execute(
                "insert into tokens (kind, token, lookup, lookup_key_id, ciphertext)"
                " select %s, t, l, %s, c from unnest(%s::text[], %s::bytea[], %s::bytea[]) as new (t, l, c)"
                " on conflict (kind, lookup) do nothing returning lookup, token",
                [kind, key_id, drawn, missing, sealed],
            ).fetchall()
            known |= {bytes(lookup): token for lookup, token in issued}
            theirs = [lookup for lookup in missing if lookup not in known]
            if theirs:
                known |= self._known(db, kind, theirs)
        return {value: known[lookup] for lookup, value in lookups.items()}

    def _known(self, db: psycopg.Connection[TupleRow], kind: str, lookups: list[bytes]) -> dict[bytes, str]:
        rows = db.execute("select lookup, token from tokens where kind = %s and lookup = any(%s)", [kind, lookups])
        return {bytes(lookup): token for lookup, token in rows}

    def _rehash(self, db: psycopg.Connection[TupleRow], rows: Sequence[TupleRow]) -> None:
        tokens = [token for _, token, _ in rows]
        lookups = [
            self._keys.lookup_hash(kind, self._open(kind, token, ciphertext), self._keys.lookup_id)
            for kind, token, ciphertext in rows
        ]
        db.execute(
            "update tokens set lookup = n.l, lookup_key_id = %s from unnest(%s::text[], %s::bytea[]) as n (t, l) where "
            "token = n.t",
            [self._keys.lookup_id, tokens, lookups],
        )

    def _close_value(self, kind: str, token: str, value: str) -> bytes:
        nonce = os.urandom(NONCE)
        key_id = self._keys.data_id.encode()
        sealed = AESGCM(self._keys.data[self._keys.data_id]).encrypt(nonce, value.encode(), f"{kind}\0{token}".encode())
        return bytes([len(key_id)]) + key_id + nonce + sealed

    def _open(self, kind: str, token: str, ciphertext: bytes) -> str:
        size = ciphertext[0]
        key_id, rest = bytes(ciphertext[1 : 1 + size]).decode(), bytes(ciphertext[1 + size :])
        return AESGCM(self._keys.data[key_id]).decrypt(rest[:NONCE], rest[NONCE:], f"{kind}\0{token}".encode()).decode()

    def _shared_with_rotation(self, db: psycopg.Connection[TupleRow]) -> str:
        """Holds off a rotation until this transaction ends; returns the id of the lookup key in use."""
        db.execute("select pg_advisory_xact_lock_shared(%s)", [self._lock])
        (key_id,) = db.execute("select key_id from lookup_key").fetchone() or (None,)
        if key_id not in self._keys.lookup:
            self._keys = load_keys()
        if key_id not in self._keys.lookup:
            raise VaultUnavailable(
                f"The vault of {self.profile} is hashed under the lookup key {key_id}, which the key file does not "
                "have "
                f"(it has {', '.join(self._keys.lookup)}). Restore the key file that belongs to this database."
            )
        return str(key_id)

    @property
    def _lock(self) -> int:
        return int.from_bytes(self.schema.encode()[:7].ljust(7, b"\0"), "big") ^ 0x5EA1

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[TupleRow]]:
        with self._turn:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = self._open_connection()
                with self._connection.transaction():
                    yield self._connection
            except psycopg.OperationalError as error:
                self.close()
                raise VaultUnavailable(
                    f"The vault's database does not answer at {self._url.host}:{self._url.port}: "
                    f"{_in_one_line(error)}. "
                    "Start it (`ledgerlake up`) or set LEDGERLAKE_DATABASE_URL; deliveries wait in the inbox and go on "
                    "from there."
                ) from error

    def _open_connection(self) -> psycopg.Connection[TupleRow]:
        try:
            return self._login()
        except (psycopg.OperationalError, FileNotFoundError) as refused:
            if isinstance(refused, psycopg.OperationalError) and not _not_let_in(refused):
                raise
        self._found()
        return self._login()

    def _login(self) -> psycopg.Connection[TupleRow]:
        """As the vault's own role; as the ledger's role where no role can be made (then there is no password file but a
        note).
        """
        password = self._password_file.read_text().strip()
        user = {"user": self.role, "password": password} if password else {}
        connection = psycopg.connect(**{**_parameters(self._url), **user}, options=f"-csearch_path={self.schema}")
        exists = connection.execute("select to_regclass('lookup_key')").fetchone()
        connection.commit()
        if exists == (None,):
            self._make_tables(connection)
        return connection

    def _make_tables(self, connection: psycopg.Connection[TupleRow]) -> None:
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", [self._lock])
            connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(self.schema)))
            connection.execute(sql.SQL(TABLES))
            connection.execute("insert into lookup_key values (1, %s) on conflict do nothing", [self._keys.lookup_id])

    def _found(self) -> None:
        """Makes the vault's role with the rights to make its schema; harmless when two do it at once."""
        with psycopg.connect(**_parameters(self._url)) as db:
            db.execute("select pg_advisory_xact_lock(%s)", [self._lock])
            password = self._make_password()
            role, database = sql.Identifier(self.role), sql.Identifier(str(self._url.database))
            try:
                with db.transaction():
                    known = db.execute("select 1 from pg_roles where rolname = %s", [self.role]).fetchone()
                    verb = sql.SQL("alter" if known else "create")
                    db.execute(sql.SQL("{} role {} login password {}").format(verb, role, sql.Literal(password)))
                    db.execute(sql.SQL("grant connect, create on database {} to {}").format(database, role))
            except errors.InsufficientPrivilege:
                log.warning(
                    "vault_without_own_role",
                    profile=self.profile,
                    remedy="give the ledger's role CREATEROLE to part the two",
                )
                self._password_file.write_text("")

    @property
    def _password_file(self) -> Path:
        return settings().home / "secrets" / f"postgres_{self.role}"

    def _make_password(self) -> str:
        path = self._password_file
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists() or not path.read_text().strip():
            draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(24) + "\n")
            draft.replace(path)
        return path.read_text().strip()


def _parameters(url: URL) -> dict[str, Any]:
    named = {"host": url.host, "port": url.port, "user": url.username, "password": url.password, "dbname": url.database}
    return {"connect_timeout": 5, **{k: v for k, v in named.items() if v is not None}}


def _not_let_in(error: psycopg.OperationalError) -> bool:
    """Refused by the server (no such role, wrong password, may not connect), as opposed to no server."""
    text = str(error)
    return any(sign in text for sign in ("authentication failed", "does not exist", "permission denied"))


def _draw(kind: str) -> str:
    return f"{PREFIXES[kind]}_{base64.b32encode(secrets.token_bytes(16)).decode().rstrip('=').lower()}"


def _batches(values: Iterable[T]) -> Iterator[list[T]]:
    left = iter(values)
    while part := list(islice(left, BATCH)):
        yield part


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".?")
