"""Sources that are fetched: one module a kind. The name is the address: `pull.kind: kafka_topic` of a source is
jobs/arrival/pulls/kafka_topic.py.

A puller says where slices could end now, and opens a slice as JSON lines. It keeps no state: which slices were taken stands in the ledger, so a slice is
read again, from the same position up to the same position, until its delivery is settled.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

from jobs.contracts.model import Table
from jobs.contracts.source import Source
from jobs.ledger import Ledger

HELD = 1 << 20  # bytes at the beginning that may be read twice


class SourceDown(Exception):
    """The source does not answer, or answers otherwise than its contract says. One message: which, why, what to do."""


class Span(NamedTuple):
    """One part of a source (a table, a partition of a topic), from a position (inclusive) up to another (exclusive)."""

    part: str
    begins: str
    ends: str
    is_empty: bool = False  # nothing of ours lies there: the position moves on, nothing is read


class Dropped(SourceDown):
    """The source no longer holds what was not read yet: `gone` says which positions, a span each (its end is where the source begins now)."""

    def __init__(self, message: str, gone: Sequence[Span]):
        self.gone = list(gone)
        super().__init__(message)


class MadeAnew(SourceDown):
    """The source is another one under the same name: nothing of what was taken from the old one can be read any more."""


class Puller(Protocol):
    def __init__(self, source: Source, table: Table, ledger: Ledger): ...

    def spans(self, taken: Mapping[str, str]) -> list[Span]:
        """What there is beyond `taken` (part -> where its last slice ended), nothing where nothing new is. Raises SourceDown, and Dropped or
        MadeAnew where `ledgerlake pulls skip` can go on without what is gone."""
        ...

    def open(self, span: Span) -> BinaryIO:
        """The records of a slice, one JSON object a line. Reading may raise SourceDown, Dropped and MadeAnew as above."""
        ...

    def settled(self, part: str, position: str) -> None:
        """All slices before this position are settled: the source need not keep what lies there. Raises SourceDown; said again with the next slice."""
        ...


def puller(source: Source, table: Table, ledger: Ledger) -> Puller:
    assert source.pull is not None
    return cast(Puller, import_module(f"{__name__}.{source.pull.kind}").Puller(source, table, ledger))


def address(connection: str) -> str:
    """Where a connection leads: LEDGERLAKE_SOURCE_<NAME>. Raises SourceDown when nobody said."""
    variable = f"LEDGERLAKE_SOURCE_{connection.upper()}"
    found = os.environ.get(variable)
    if not found:
        raise SourceDown(
            f"No address is known of the connection {connection}. Set {variable} for the services and start them again (`ledgerlake down`, `ledgerlake up`)."
        )
    return found


def _postgres_options(connection: str) -> dict[str, Any]:
    """How a PostgreSQL source is connected to. Raises SourceDown for what is no address, without showing it: it may hold a password."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        known = conninfo_to_dict(address(connection))
    except ProgrammingError as error:
        raise SourceDown(
            f"LEDGERLAKE_SOURCE_{connection.upper()} is no address of a PostgreSQL server. Write postgresql://user:password@host:port/database, special characters as %XX."
        ) from error
    limits = "-ctimezone=UTC -clock_timeout=20s -cidle_in_transaction_session_timeout=600s"
    return {
        **known,
        "connect_timeout": 10,
        "client_encoding": "utf8",
        "options": limits,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
    }


@contextmanager
def postgres(feed: str, connection: str, *, autocommit: bool = False) -> Iterator[Any]:
    """A connection to a PostgreSQL source. Raises SourceDown for whatever goes wrong with it."""
    import psycopg

    try:
        with psycopg.connect(**_postgres_options(connection), autocommit=autocommit) as db:
            yield db
    except psycopg.Error as error:
        raise SourceDown(
            f"{feed}: the source {connection} does not answer: {' '.join(str(error).split())}. Nothing was moved on; it is asked again by itself. Check it, or its address "
            f"LEDGERLAKE_SOURCE_{connection.upper()}."
        ) from error


class _Lines(io.RawIOBase):
    def __init__(self, lines: Iterator[bytes]):
        self._lines, self._rest, self._at = lines, memoryview(b""), 0
        self._begin = bytearray()  # all that was read, as long as it is little

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if (offset, whence) != (0, io.SEEK_SET) or self._at > len(self._begin):
            raise io.UnsupportedOperation(f"only the first {HELD} bytes may be read again, before more is read")
        self._rest = memoryview(bytes(self._begin[: self._at]) + bytes(self._rest))
        self._at = 0
        return 0

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        filled = 0
        while filled < len(buffer):
            if not self._rest:
                self._rest = memoryview(next(self._lines, b""))
                if not self._rest:
                    break
            size = min(len(self._rest), len(buffer) - filled)
            buffer[filled : filled + size] = self._rest[:size]
            self._rest = self._rest[size:]
            filled += size
        if self._at == len(self._begin) and self._at + filled <= HELD:
            self._begin += buffer[:filled]
        self._at += filled
        return filled

    def close(self) -> None:
        closing = getattr(self._lines, "close", None)
        if closing is not None:
            closing()  # ends the query, leaves the brokers
        super().close()


def stream_of(lines: Iterator[bytes]) -> BinaryIO:
    """Lines, none of them empty, as a stream whose beginning may be read twice: names are looked at before anything is kept."""
    return cast(BinaryIO, _Lines(lines))


__all__ = ["Dropped", "MadeAnew", "Puller", "SourceDown", "Span", "address", "postgres", "puller", "stream_of"]
