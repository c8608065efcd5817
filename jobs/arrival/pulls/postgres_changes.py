"""Changes of a table of PostgreSQL by logical replication: a slice is the transactions that committed from one position of its log up to another.

The slot is only peeked at, and moved on when all slices before are settled: a slice is the same changes whenever it is read. The messages are those of the
plug-in pgoutput, protocol version 1 (PostgreSQL's documentation, "Logical Replication Message Formats").
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

import psycopg

from jobs.arrival.pulls import SourceDown, Span, address, stream_of
from jobs.contracts.model import Table
from jobs.contracts.source import PostgresChanges, Source
from jobs.ledger import Ledger

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MESSAGES = 5_000  # fetched at once
INSERT, UPDATE, DELETE, TRUNCATE = "IUDT"


class Puller:
    def __init__(self, source: Source, table: Table, ledger: Ledger):
        assert isinstance(source.pull, PostgresChanges)
        self._feed, self._pull = source.feed, source.pull

    def spans(self, taken: Mapping[str, str]) -> list[Span]:
        with self._connected() as db:
            slot = db.execute(
                "select confirmed_flush_lsn::text, pg_current_wal_flush_lsn()::text, wal_status from pg_replication_slots where slot_name = %s and plugin = 'pgoutput'",
                (self._pull.slot,),
            ).fetchone()
            if slot is None:
                raise SourceDown(
                    f"{self._feed}: {self._pull.connection} has no replication slot {self._pull.slot}. Have its owner run: CREATE PUBLICATION {self._pull.publication} "
                    f"FOR TABLE {self._pull.table}; SELECT pg_create_logical_replication_slot('{self._pull.slot}', 'pgoutput'); (wal_level must be logical)."
                )
            if slot[2] == "lost":
                raise SourceDown(
                    f"{self._feed}: the slot {self._pull.slot} was left behind and its log is gone. Changes are missing: take the table whole once "
                    "(pull.kind: postgres_table), and make the slot anew."
                )
            begins, ends = taken.get(self._pull.slot, slot[0]), slot[1]
            if _number(ends) <= _number(begins):
                return []
            # The log moves on for whatever happens on the server: a slice only where the table changed.
            span = Span(self._pull.slot, begins, ends)
            if next(self._changes(db, span), None):
                return [span]
            if _number(slot[0]) >= _number(begins):
                self._advance(
                    db, ends
                )  # nothing waits: the server need not keep what is not ours, nor we read it again
            return []

    def open(self, span: Span) -> BinaryIO:
        return stream_of(self._lines(span))

    def settled(self, part: str, position: str) -> None:
        """Moves the slot on, so that the server may drop its log."""
        with self._connected() as db:
            self._advance(db, position)

    def _advance(self, db: psycopg.Connection[Any], position: str) -> None:
        db.execute(
            "select pg_replication_slot_advance(slot_name, %s::pg_lsn) from pg_replication_slots where slot_name = %s and confirmed_flush_lsn < %s::pg_lsn",
            (position, self._pull.slot, position),
        )

    def _lines(self, span: Span) -> Iterator[bytes]:
        with self._connected() as db:
            for change in self._changes(db, span):
                yield json.dumps(change, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

    def _changes(self, db: psycopg.Connection[Any], span: Span) -> Iterator[dict[str, str | None]]:
        """The changes of our table in transactions that committed from `begins` on and before `ends`, in the order of their commits."""
        columns: dict[int, list[str]] = {}  # of relations that are our table
        committed: datetime | None = None
        position = 0
        query = "select data from pg_logical_slot_peek_binary_changes(%s, %s::pg_lsn, null, 'proto_version', '1', 'publication_names', %s)"
        with db.transaction(), db.cursor(name="changes", binary=True) as cursor:
            cursor.itersize = MESSAGES
            for (message,) in cursor.execute(query, (self._pull.slot, span.ends, self._pull.publication)):
                kind, reading = chr(message[0]), _Reading(message)
                if kind == "B":
                    position, microseconds = reading.whole(">qq")
                    committed = EPOCH + timedelta(microseconds=microseconds)
                elif kind == "R":
                    self._describe(reading, columns)
                elif _number(span.begins) <= position and kind in (INSERT, UPDATE, DELETE, TRUNCATE):
                    values = self._values(kind, reading, columns)
                    if values is not None:
                        told = {
                            "op": kind,
                            "lsn": _text(position),
                            "committed_at": committed.isoformat() if committed else None,
                        }
                        yield {**values, **told}

    def _describe(self, reading: _Reading, columns: dict[int, list[str]]) -> None:
        [relation] = reading.whole(">I")
        name = f"{reading.text()}.{reading.text()}"
        _, number = reading.whole(">ch")
        names = []
        for _ in range(number):
            reading.whole(">B")
            names.append(reading.text())
            reading.whole(">Ii")
        columns.pop(relation, None)
        if name == self._pull.table:
            columns[relation] = names

    def _values(self, kind: str, reading: _Reading, columns: Mapping[int, list[str]]) -> dict[str, str | None] | None:
        """Column -> text of the row as it is now (of a deletion: what the table tells of the row that was); None for another table."""
        if kind == TRUNCATE:
            number, _ = reading.whole(">Ib")
            return {} if any(reading.whole(">I")[0] in columns for _ in range(number)) else None
        [relation] = reading.whole(">I")
        names = columns.get(relation)
        if names is None:
            return None
        old: dict[str, Any] = {}
        [part] = reading.whole(">c")
        if part in (b"K", b"O"):
            old = reading.row(names)
            if kind == DELETE:
                return old
            reading.whole(">c")
        row = reading.row(names)
        for name, value in row.items():
            if value is UNCHANGED:
                if name not in old or old[name] is UNCHANGED:
                    raise SourceDown(
                        f"{self._feed}: a change of {self._pull.table} leaves the large column {name} out, for it did not change. Have its owner run: ALTER TABLE "
                        f"{self._pull.table} REPLICA IDENTITY FULL; and touch the row again."
                    )
                row[name] = old[name]
        return row

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            with psycopg.connect(address(self._pull.connection), connect_timeout=10, autocommit=True) as db:
                yield db
        except psycopg.Error as error:
            raise SourceDown(
                f"{self._feed}: the source {self._pull.connection} does not answer: {' '.join(str(error).split())}. Nothing was moved on; it is asked again by "
                f"itself. Check it, or its address LEDGERLAKE_SOURCE_{self._pull.connection.upper()}."
            ) from error


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

    def row(self, names: list[str]) -> dict[str, Any]:
        [number] = self.whole(">h")
        row: dict[str, Any] = {}
        for name in names[:number]:
            [kind] = self.whole(">c")
            if kind == b"t":
                [length] = self.whole(">i")
                row[name] = self._message[self._at : self._at + length].decode()
                self._at += length
            else:
                row[name] = UNCHANGED if kind == b"u" else None
        return row


def _number(position: str) -> int:
    high, _, low = position.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def _text(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"
