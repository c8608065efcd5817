"""Changes of a table of PostgreSQL by logical replication: a slice is the transactions that committed from one position of its log up to another.

The slot is only peeked at, and moved on when all slices before are settled: a slice is the same changes whenever it is read. The messages are those of the
plug-in pgoutput, protocol version 1 (PostgreSQL's documentation, "Logical Replication Message Formats").
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, NamedTuple

import psycopg

from jobs.arrival.pulls import SourceDown, Span, postgres, stream_of
from jobs.contracts.model import Table
from jobs.contracts.pulls import PostgresChanges
from jobs.contracts.source import Source
from jobs.ledger import Ledger

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MESSAGES = 5_000  # fetched at once
# So much of the log without a change of ours is passed over at once; less is read again with the next look.
STRIDE = 16 << 20
OWN = frozenset(["op", "lsn", "seq", "committed_at"])
INSERT, UPDATE, DELETE, TRUNCATE = "IUDT"
INSTANT = 1184  # type number of timestamptz


class Columns(NamedTuple):
    """Of our table, in its order. `instants` are timestamptz, which the session's zone (UTC) writes as 2026-09-15 01:00:00+00: no ISO 8601 that bronze reads."""

    names: list[str]
    instants: set[str]


class Puller:
    def __init__(self, source: Source, table: Table, ledger: Ledger):
        assert isinstance(source.pull, PostgresChanges)
        self._feed, self._pull = source.feed, source.pull
        named = {n: (c.source or n).split(".")[0] for n, c in table.columns.items()}
        self._wanted = [n for n in dict.fromkeys(named.values()) if n not in OWN]
        self._key = [named[n] for n in table.primary_key if n in named and named[n] not in OWN]

    def spans(self, taken: Mapping[str, str]) -> list[Span]:
        with postgres(self._feed, self._pull.connection, autocommit=True) as db:
            confirmed, now = self._slot(db)
            self._check_publication(db)
            begins = taken.get(self._pull.slot, confirmed)
            if _number(confirmed) > _number(begins) or _number(now) < _number(begins):
                raise self._moved(begins, f"the slot stands at {confirmed}, the log ends at {now}")
            span = Span(self._pull.slot, begins, now)
            # The log moves on for whatever happens on the server: a slice only where the table changed.
            if next(self._changes(db, span), None):
                return [span]
            if _number(now) - _number(begins) > STRIDE:
                return [span._replace(is_empty=True)]
            return []

    def _slot(self, db: psycopg.Connection[Any]) -> tuple[str, str]:
        """(up to where the slot was moved on, where the log ends). Raises SourceDown."""
        query = (
            "select confirmed_flush_lsn::text, pg_current_wal_flush_lsn()::text, wal_status from pg_replication_slots "
            "where slot_name = %s and plugin = 'pgoutput' and database = current_database()"
        )
        slot = db.execute(query, (self._pull.slot,)).fetchone()
        if slot is None:
            raise SourceDown(
                f"{self._feed}: {self._pull.connection} has no replication slot {self._pull.slot} (pgoutput) in this database. Have its owner run: CREATE PUBLICATION "
                f"{self._pull.publication} FOR TABLE {self._pull.table}; ALTER TABLE {self._pull.table} REPLICA IDENTITY FULL; "
                f"SELECT pg_create_logical_replication_slot('{self._pull.slot}', 'pgoutput'); (wal_level must be logical)."
            )
        if slot[2] == "lost":
            raise self._moved("", "the server dropped the log that the slot needs")
        return str(slot[0]), str(slot[1])

    def _moved(self, begins: str, found: str) -> SourceDown:
        return SourceDown(
            f"{self._feed}: changes of {self._pull.table} after position {begins or 'that we had'} are not to be had any more: {found}. Somebody else moved the slot, or it was made "
            f"anew. Take the table whole once (a source of its own with pull.kind: postgres_table), and name a new slot in pull.slot; until then nothing is taken from this one."
        )

    def _check_publication(self, db: psycopg.Connection[Any]) -> None:
        """Raises SourceDown where changes of the table would not be told, or not whole."""
        schema, name = self._pull.table.split(".")
        table = db.execute(
            "select c.relkind::text, c.relreplident::text from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = %s and c.relname = %s",
            (schema, name),
        ).fetchone()
        whole = db.execute(
            "select p.pubinsert and p.pubupdate and p.pubdelete and p.pubtruncate and t.rowfilter is null and cardinality(t.attnames) = (select count(*) from pg_attribute "
            "where attrelid = format('%%I.%%I', t.schemaname, t.tablename)::regclass and attnum > 0 and not attisdropped) "
            "from pg_publication p join pg_publication_tables t using (pubname) where p.pubname = %s and t.schemaname = %s and t.tablename = %s",
            (self._pull.publication, schema, name),
        ).fetchone()
        if table is None or table[0] != "r":
            raise SourceDown(
                f"{self._feed}: {self._pull.table} is no plain table of {self._pull.connection}. Expected one; of a partitioned table name each partition a source."
            )
        if whole is None or not whole[0]:
            raise SourceDown(
                f"{self._feed}: the publication {self._pull.publication} does not tell all of {self._pull.table}: it needs the table, without filter or list of columns, with insert, "
                f"update, delete and truncate. Have its owner run: ALTER PUBLICATION {self._pull.publication} ADD TABLE {self._pull.table};"
            )
        if table[1] != "f":
            raise SourceDown(
                f"{self._feed}: changes of {self._pull.table} leave out large values that did not change, and what a row was before. Have its owner run: ALTER TABLE "
                f"{self._pull.table} REPLICA IDENTITY FULL;"
            )

    def open(self, span: Span) -> BinaryIO:
        return stream_of(self._lines(span))

    def settled(self, part: str, position: str) -> None:
        """Moves the slot on, so that the server may drop its log."""
        with postgres(self._feed, self._pull.connection, autocommit=True) as db:
            self._advance(db, position)

    def _advance(self, db: psycopg.Connection[Any], position: str) -> None:
        db.execute(
            "select pg_replication_slot_advance(slot_name, %s::pg_lsn) from pg_replication_slots where slot_name = %s and confirmed_flush_lsn < %s::pg_lsn",
            (position, self._pull.slot, position),
        )

    def _lines(self, span: Span) -> Iterator[bytes]:
        with postgres(self._feed, self._pull.connection, autocommit=True) as db:
            confirmed, now = self._slot(db)
            if _number(confirmed) > _number(span.begins) or _number(now) < _number(span.ends):
                raise self._moved(span.begins, f"the slot stands at {confirmed}, the log ends at {now}")
            for change in self._changes(db, span):
                yield json.dumps(change, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

    def _changes(self, db: psycopg.Connection[Any], span: Span) -> Iterator[dict[str, str | None]]:
        """The changes of our table in transactions that committed from `begins` on and before `ends`, in the order of their commits."""
        columns: dict[int, Columns] = {}  # of relations that are our table
        committed: datetime | None = None
        position = place = 0
        query = "select data from pg_logical_slot_peek_binary_changes(%s, %s::pg_lsn, null, 'proto_version', '1', 'publication_names', %s)"
        with db.transaction(), db.cursor(name="changes", binary=True) as cursor:
            cursor.itersize = MESSAGES
            for (message,) in cursor.execute(query, (self._pull.slot, span.ends, self._pull.publication)):
                kind, reading = chr(message[0]), _Reading(message)
                if kind == "B":
                    position, microseconds = reading.whole(">qq")
                    committed, place = EPOCH + timedelta(microseconds=microseconds), 0
                elif kind == "R":
                    self._describe(reading, columns)
                elif _number(span.begins) <= position and kind in (INSERT, UPDATE, DELETE, TRUNCATE):
                    for op, values in self._values(kind, reading, columns):
                        place = place + 1
                        told = {
                            "op": op,
                            "lsn": _text(position),
                            "seq": str(place),
                            "committed_at": committed.isoformat() if committed else None,
                        }
                        yield {**values, **told}

    def _describe(self, reading: _Reading, columns: dict[int, Columns]) -> None:
        [relation] = reading.whole(">I")
        name = f"{reading.text()}.{reading.text()}"
        _, number = reading.whole(">ch")
        names, instants = [], set()
        for _ in range(number):
            reading.whole(">B")
            names.append(reading.text())
            kind, _ = reading.whole(">Ii")
            if kind == INSTANT:
                instants.add(names[-1])
        columns.pop(relation, None)
        if name != self._pull.table:
            return
        missing = [n for n in self._wanted if n not in names]
        if missing or OWN.intersection(names):
            wrong = (
                f"has no {', '.join(missing)}"
                if missing
                else f"has a column {', '.join(sorted(OWN.intersection(names)))}, which is what we say of a change"
            )
            raise SourceDown(
                f"{self._feed}: the table {self._pull.table} {wrong}; it has {', '.join(names)}. Expected the contract's columns: agree with the source's owner, or change the "
                "contract with its consumers."
            )
        columns[relation] = Columns(names, instants)

    def _values(
        self, kind: str, reading: _Reading, columns: Mapping[int, Columns]
    ) -> Iterator[tuple[str, dict[str, str | None]]]:
        """(op, column -> text of the row): none of another table, two of a row whose key changed: the old one is gone, the new one is there."""
        if kind == TRUNCATE:
            number, _ = reading.whole(">Ib")
            if columns.keys() & {reading.whole(">I")[0] for _ in range(number)}:
                yield TRUNCATE, {}
            return
        [relation] = reading.whole(">I")
        ours = columns.get(relation)
        if ours is None:
            return
        [part] = reading.whole(">c")
        old = reading.row(ours) if part in (b"K", b"O") else None
        if kind == DELETE:
            yield DELETE, old or {}
            return
        if old is not None:
            reading.whole(">c")
        row = reading.row(ours)
        for name in [n for n, value in row.items() if value is UNCHANGED]:
            if old is None or old.get(name, UNCHANGED) is UNCHANGED:
                raise SourceDown(
                    f"{self._feed}: a change of {self._pull.table} leaves the large column {name} out, for it did not change, and does not tell what it was. It was made before "
                    "REPLICA IDENTITY FULL: take the table whole once, and name a new slot in pull.slot."
                )
            row[name] = old[name]
        if old is not None and any(old.get(key) != row.get(key) for key in self._key):
            yield DELETE, old
        yield kind, row


UNCHANGED: Any = object()


class _Reading:
    """A message, read from front to back."""

    def __init__(self, message: bytes):
        self._message, self._at = bytes(message), 1

    def whole(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(form, self._message, self._at)
        self._at += struct.calcsize(form)
        return values

    def text(self) -> str:
        end = self._message.index(b"\0", self._at)
        found, self._at = self._message[self._at : end].decode(), end + 1
        return found

    def row(self, columns: Columns) -> dict[str, Any]:
        [number] = self.whole(">h")
        row: dict[str, Any] = {}
        for name in columns.names[:number]:
            [kind] = self.whole(">c")
            if kind == b"t":
                [length] = self.whole(">i")
                text = self._message[self._at : self._at + length].decode()
                self._at += length
                row[name] = f"{text}:00" if name in columns.instants and text.endswith("+00") else text
            else:
                row[name] = UNCHANGED if kind == b"u" else None
        return row


def _number(position: str) -> int:
    high, _, low = position.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def _text(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"
