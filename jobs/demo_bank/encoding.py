"""The formats in which the bank's systems write: header and trailer records, fixed widths in bytes, JSON lines,
Parquet.

A writer takes rows as they come and holds none of them back, so that a take-on of many days needs no more memory than
one day.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

Row = Any  # a tuple of texts, a mapping (JSON) or a tuple of typed values (Parquet)


def yuan(fen: int) -> str:
    """Fen as an amount with two decimals."""
    sign, fen = ("-", -fen) if fen < 0 else ("", fen)
    return f"{sign}{fen // 100}.{fen % 100:02d}"


class Writer(Protocol):
    def add(self, rows: Sequence[Row]) -> None: ...

    def close(self, count: int, stated: str) -> None:
        """`stated`: the amount sum as the trailer tells it; empty when the feed states none."""


class Encoder(Protocol):
    def open(self, out: BinaryIO, entity: str, day: date) -> Writer: ...


@dataclass(frozen=True)
class Delimited:
    """Fields parted by a literal separator; what the header and the trailer hold is parted by it too.

    `comments`: lines before everything else and before the trailer.
    """

    separator: str
    encoding: str = "gb18030"
    has_header: bool = True
    trailer: tuple[str, ...] = ("count", "sum")
    is_gzip: bool = False
    column_line: tuple[str, ...] = ()
    system: str = "core"
    comments: tuple[str, str] | None = None
    line_end: str = "\n"

    def open(self, out: BinaryIO, entity: str, day: date) -> Writer:
        return _DelimitedWriter(self, out, entity, day)


class _DelimitedWriter:
    def __init__(self, form: Delimited, out: BinaryIO, entity: str, day: date) -> None:
        self._form = form
        # No name and no time in the gzip header: equal content gives equal bytes.
        self._gzip = (
            gzip.GzipFile(filename="", mode="wb", compresslevel=4, fileobj=out, mtime=0) if form.is_gzip else None
        )
        self._out: Any = self._gzip or out
        if form.comments:
            self._line((form.comments[0],))
        if form.has_header:
            self._line(("H", form.system, entity, f"{day:%Y%m%d}", f"{day:%Y%m%d}173500"))
        if form.column_line:
            self._line(form.column_line)

    def _line(self, fields: Sequence[str]) -> None:
        self._out.write((self._form.separator.join(fields) + self._form.line_end).encode(self._form.encoding))

    def add(self, rows: Sequence[Row]) -> None:
        if rows:
            end = self._form.line_end
            text = end.join(map(self._form.separator.join, rows)) + end
            self._out.write(text.encode(self._form.encoding))

    def close(self, count: int, stated: str) -> None:
        said = {"count": str(count), "sum": stated}
        if self._form.comments:
            self._line((self._form.comments[1],))
        if self._form.trailer:
            self._line(("T", *[said[name] for name in self._form.trailer]))
        if self._gzip:
            self._gzip.close()


@dataclass(frozen=True)
class FixedWidth:
    """Fields of so many *bytes* each. Text is cut at a whole character and filled with spaces."""

    widths: tuple[int, ...]
    encoding: str = "gb18030"
    system: str = "core"

    def open(self, out: BinaryIO, entity: str, day: date) -> Writer:
        return _FixedWriter(self, out, entity, day)

    def field(self, text: str, width: int) -> bytes:
        if text.isascii():
            return text.ljust(width)[:width].encode()
        raw = text.encode(self.encoding)
        while len(raw) > width:
            text = text[:-1]
            raw = text.encode(self.encoding)
        return raw.ljust(width)


class _FixedWriter:
    def __init__(self, form: FixedWidth, out: BinaryIO, entity: str, day: date) -> None:
        self._form, self._out = form, out
        out.write(f"H|{form.system}|{entity}|{day:%Y%m%d}|{day:%Y%m%d}173500\n".encode())

    def add(self, rows: Sequence[Row]) -> None:
        form = self._form
        lines = (
            b"".join(form.field(text, width) for text, width in zip(row, form.widths, strict=True)) for row in rows
        )
        self._out.write(b"".join(line + b"\n" for line in lines))

    def close(self, count: int, stated: str) -> None:
        self._out.write(f"T|{count}|{stated}\n".encode())


COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class Exact(str):
    """A number that JSON shall show with just these digits."""


@dataclass(frozen=True)
class JsonLines:
    def open(self, out: BinaryIO, entity: str, day: date) -> Writer:
        return _JsonWriter(out)


class _JsonWriter:
    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def add(self, rows: Sequence[Row]) -> None:
        self._out.write(b"".join(_json(row).encode() + b"\n" for row in rows))

    def close(self, count: int, stated: str) -> None:
        pass


def _json(row: dict[str, Any]) -> str:
    numbers = [(k, v) for k, v in row.items() if isinstance(v, Exact)]
    if not numbers:
        return COMPACT.encode(row)
    text = COMPACT.encode({k: v for k, v in row.items() if not isinstance(v, Exact)})
    exact = "".join(f',"{k}":{v}' for k, v in numbers)
    return text[:-1] + exact + "}"


@dataclass(frozen=True)
class Parquet:
    columns: tuple[tuple[str, str], ...]

    @property
    def schema(self) -> pa.Schema:
        types = {
            "string": pa.string(),
            "date": pa.date32(),
            "int": pa.int32(),
            "boolean": pa.bool_(),
            "money": pa.decimal128(18, 2),
            "rate": pa.decimal128(9, 6),
        }
        return pa.schema([(name, types[kind]) for name, kind in self.columns])

    def open(self, out: BinaryIO, entity: str, day: date) -> Writer:
        return _ParquetWriter(self.schema, out)


class _ParquetWriter:
    def __init__(self, schema: pa.Schema, out: BinaryIO) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(out, schema, compression="snappy")

    def add(self, rows: Sequence[Row]) -> None:
        columns = list(zip(*rows, strict=True)) or [()] * len(self._schema)
        arrays = [pa.array(values, type=field.type) for values, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))

    def close(self, count: int, stated: str) -> None:
        self._writer.close()
