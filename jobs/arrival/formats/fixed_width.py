"""Fixed width: each column has a width in bytes of the original encoding, so lines are cut as bytes and each field is
decoded by itself.

Padding (spaces, on either side) is not part of a value; a field of spaces only is null. A column's end inside a
character is an error of that row, not of the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping
from itertools import accumulate
from typing import BinaryIO, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrival.encodings import line_codec_name
from jobs.arrival.errors import Refused
from jobs.arrival.records import (
    NUL,
    Malformed,
    Rows,
    no_line,
    parse_cut,
    parse_record,
    parse_trailer,
    split_ends,
    text_array,
)
from jobs.arrival.text import BOM, assigned, blocks, to_utf8
from jobs.contracts.column import Column
from jobs.contracts.formats import FixedWidth

NEW_LINE = 0x0A


class Reader:
    seeks: ClassVar[bool] = False

    def __init__(self, stream: BinaryIO, fmt: FixedWidth, columns: Mapping[str, Column]):
        self.header: dict[str, str] = {}
        self.trailer: dict[str, str] = {}
        self.extra: list[str] = []
        self.lacking: list[str] = []
        self.notes: Counter[str] = Counter()
        self.ends_itself = fmt.trailer is not None or fmt.compression is not None
        self._stream, self._fmt, self._codec = stream, fmt, line_codec_name(fmt.encoding)
        widths = [column.width or 0 for column in columns.values()]
        ends = list(accumulate(widths))
        self._fields = {n: (end - width, end) for n, width, end in zip(columns, widths, ends, strict=True)}
        self._width = ends[-1]

    def __iter__(self) -> Generator[Rows]:
        fmt = self._fmt
        for block in blocks(self._stream, fmt.compression, self._codec):
            data, line = block.data, block.line
            if line == 1 and self._codec == "utf-8":
                data = data.removeprefix(BOM)
            head, data, tail = split_ends(
                data, first=line == 1, last=block.last, header=fmt.header, trailer=fmt.trailer
            )
            if head is not None and fmt.header:
                if not head:
                    raise no_line(fmt.header, 1)
                text = to_utf8(head, self._codec, 0, 1).decode().strip("\r\n")
                if fmt.header.widths is None:
                    self.header = parse_record(text, fmt.header, fmt.record_separator, "header", 1)
                else:
                    self.header = parse_cut(head.strip(b"\r\n"), fmt.header, self._codec, "header", 1)
                line += 1
            if tail is not None and fmt.trailer:
                if fmt.trailer.widths is None:
                    self.trailer = parse_trailer(tail, fmt.trailer, fmt.record_separator, block.last_line)
                else:
                    self.trailer = parse_cut(tail, fmt.trailer, self._codec, "trailer", block.last_line)
            if data:
                yield self._split(data.replace(b"\r\n", b"\n"), line)

    def _split(self, data: bytes, line: int) -> Rows:
        data = data if data.endswith(b"\n") else data + b"\n"
        step = self._width + 1
        table = np.frombuffer(data, dtype=np.uint8)
        if len(data) % step == 0:
            table = table.reshape(-1, step)
            if (
                (table[:, -1] == NEW_LINE).all()
                and np.count_nonzero(table == NEW_LINE) == len(table)
                and b"\0" not in data
            ):
                columns = self._columns(table)
                if columns is not None:
                    return Rows(pa.array(np.arange(line, line + len(table), dtype=np.int64)), columns)
        return self._split_slowly(data, line)

    def _columns(self, table: np.ndarray) -> dict[str, pa.Array] | None:
        """All columns at once; None when a field does not decode."""
        columns: dict[str, pa.Array] = {}
        for name, (start, end) in self._fields.items():
            field = np.ascontiguousarray(table[:, start:end])
            if field.size and field.max() < 0x80:
                offsets = pa.array(np.arange(len(table) + 1, dtype=np.int32) * (end - start)).buffers()[1]
                values = pa.StringArray.from_buffers(len(table), offsets, pa.py_buffer(field))
            else:
                # With a line end after each field, a character cut at the column's end cannot join the next row's
                # bytes.
                with_ends = np.concatenate([field, np.full((len(table), 1), NEW_LINE, np.uint8)], axis=1).tobytes()
                try:
                    text = assigned(to_utf8(with_ends, self._codec, 0, 0), self.notes).decode()
                except Refused:
                    return None
                values = text_array(text.split("\n")[:-1])  # type: ignore[arg-type]
            columns[name] = _trimmed(values)
        return columns

    def _split_slowly(self, data: bytes, line: int) -> Rows:
        """Line by line: says of each line that cannot be cut what is wrong with it."""
        lines: list[int] = []
        rows: list[list[str]] = []
        malformed: list[Malformed] = []
        for number, raw in enumerate(data[:-1].split(b"\n"), start=line):
            fields, why = self._fields_of(raw)
            if why:
                malformed.append(Malformed(number, why, raw))
            else:
                lines.append(number)
                rows.append(fields)
        columns = {n: _trimmed(text_array([row[i] for row in rows])) for i, n in enumerate(self._fields)}
        return Rows(pa.array(lines, pa.int64()), columns, malformed)

    def _fields_of(self, raw: bytes) -> tuple[list[str], str]:
        if len(raw) != self._width:
            return [], f"{len(raw)} bytes instead of {self._width}"
        if b"\0" in raw:
            return [], NUL
        fields = []
        for name, (start, end) in self._fields.items():
            try:
                fields.append(assigned(to_utf8(raw[start:end], self._codec, start, 0), self.notes).decode())
            except Refused:
                return [], f"{name} (bytes {start + 1} to {end}) is not {self._codec}: a character is cut or wrong"
        return fields, ""


def column_names(stream: BinaryIO, fmt: FixedWidth) -> list[str]:
    """A fixed-width file names no columns."""
    return []


def _trimmed(values: pa.Array) -> pa.Array:
    trimmed = pc.utf8_trim(values, " ")
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)
