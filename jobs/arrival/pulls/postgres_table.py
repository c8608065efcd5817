"""A table of PostgreSQL: the rows whose watermark is new, each as a JSON object with the contract's columns.

A slice ends at the source's own clock (or the largest number seen), and begins `overlap` before the last one ended, so that rows of one moment, or of a transaction that
committed late, are not lost; what comes twice is equal, and counts once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import psycopg
from psycopg import sql

from jobs.arrival.pulls import SourceDown, Span, postgres, stream_of
from jobs.contracts.model import Table
from jobs.contracts.pulls import PostgresTable
from jobs.contracts.source import Source
from jobs.ledger import Ledger

EVER = "-infinity"
ROWS = 5_000  # fetched at once
NUMBERS = {"smallint", "integer", "bigint"}
INSTANT = "timestamp with time zone"
# A transaction that is at work may still commit rows of the moment at which it began.
NOW = "select least(clock_timestamp(), (select min(xact_start) from pg_stat_activity where backend_xid is not null and datname = current_database()))::text"


class Puller:
    def __init__(self, source: Source, table: Table, ledger: Ledger):
        assert isinstance(source.pull, PostgresTable)
        self._feed, self._pull = source.feed, source.pull
        schema, name = source.pull.table.split(".")
        self._schema, self._name = schema, name
        self._table, self._watermark = sql.Identifier(schema, name), sql.Identifier(source.pull.watermark)
        # A path of JSON: the first step is the table's column.
        self._columns = list(dict.fromkeys((c.source or n).split(".")[0] for n, c in table.columns.items()))

    def spans(self, taken: Mapping[str, str]) -> list[Span]:
        part = self._pull.table
        begins = taken.get(part, EVER)
        with postgres(self._feed, self._pull.connection) as db:
            kind = self._kind(db)
            self._check_watermarks(db, kind)
            if kind in NUMBERS:
                largest = sql.SQL("select (max({}) + 1)::text from {}").format(self._watermark, self._table)
                ends = db.execute(largest).fetchone()
            else:
                ends = db.execute(NOW).fetchone()
            if not ends or ends[0] is None or ends[0] == begins:
                return []
            is_new = sql.SQL("select exists (select from {} where {})").format(
                self._table, self._between(kind, begins, ends[0], 0)
            )
            found = db.execute(is_new).fetchone()
            return [Span(part, begins, ends[0])] if found and found[0] else []

    def open(self, span: Span) -> BinaryIO:
        return stream_of(self._lines(span))

    def settled(self, part: str, position: str) -> None:
        """The table stays as it is."""

    def _lines(self, span: Span) -> Iterator[bytes]:
        chosen = sql.SQL(", ").join(map(sql.Identifier, self._columns))
        with postgres(self._feed, self._pull.connection) as db:
            where = self._between(self._kind(db), span.begins, span.ends, self._pull.overlap)
            query = sql.SQL("select row_to_json(r)::text from (select {} from {} where {} order by {}) r").format(
                chosen, self._table, where, self._watermark
            )
            with db.cursor(name="slice") as cursor:
                cursor.itersize = ROWS
                for (line,) in cursor.execute(query):
                    yield line.encode() + b"\n"

    def _check_watermarks(self, db: psycopg.Connection[Any], kind: str) -> None:
        """Raises SourceDown for rows that no look would ever find."""
        never = sql.SQL("{} is null").format(self._watermark)
        if kind == INSTANT:
            never = sql.SQL("({} or not isfinite({}))").format(never, self._watermark)
        found = db.execute(sql.SQL("select count(*) from {} where {}").format(self._table, never)).fetchone()
        if found and found[0]:
            raise SourceDown(
                f"{self._feed}: {found[0]} rows of {self._pull.table} have no {self._pull.watermark}, so they would never be read. Have the source's owner fill it and declare it "
                "NOT NULL."
            )

    def _kind(self, db: psycopg.Connection[Any]) -> str:
        """The watermark's type. Raises SourceDown for a table or a column that is not there."""
        query = (
            "select column_name, data_type from information_schema.columns where table_schema = %s and table_name = %s"
        )
        columns = dict(db.execute(query, (self._schema, self._name)).fetchall())
        missing = [c for c in [self._pull.watermark, *self._columns] if c not in columns]
        if missing:
            found = ", ".join(columns) or "no column that we may see"
            raise SourceDown(
                f"{self._feed}: the table {self._pull.table} has no {', '.join(missing)}; it has {found}. Expected the contract's columns: ask the "
                "source's owner for them or for the right to read them, or change the contract with its consumers."
            )
        kind = str(columns[self._pull.watermark])
        if kind not in NUMBERS and kind != INSTANT:
            raise SourceDown(
                f"{self._feed}: the watermark {self._pull.watermark} is of type {kind}. Expected timestamptz (a time without its zone may lie hours off) or a whole number."
            )
        return kind

    def _between(self, kind: str, begins: str, ends: str, overlap: int) -> sql.Composed:
        typed = sql.SQL(kind)
        upper = sql.SQL("{} < {}::{}").format(self._watermark, sql.Literal(ends), typed)
        if begins == EVER:
            return sql.Composed([upper])
        less = (
            sql.Literal(overlap)
            if kind in NUMBERS
            else sql.SQL("make_interval(secs => {})").format(sql.Literal(overlap))
        )
        lower = sql.SQL("{} >= {}::{} - {}").format(self._watermark, sql.Literal(begins), typed, less)
        return sql.SQL("{} and {}").format(lower, upper)
