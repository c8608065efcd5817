"""Delimited text: any literal separator, optional quotes (RFC 4180), header and trailer records, a line of column
names.

Text is decoded before it is split: the second byte of a Chinese character may look like a separator. pyarrow's parser
does the work; a separator of several characters is first replaced by a control character that the block does not hold.
Blocks with anything unusual (a lone carriage return, NUL, stray quotes) go through a slower splitter that gives the
same rows and names what is wrong.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from typing import BinaryIO, ClassVar

import numpy as np
import pyarrow as pa
from pyarrow import csv

from jobs.arrival.drift import fit
from jobs.arrival.encodings import codec_name
from jobs.arrival.errors import Cut, Refused
from jobs.arrival.records import NUL, Malformed, Rows, no_line, parse_record, parse_trailer, split_ends, text_array
from jobs.arrival.text import Text, beginning, texts
from jobs.contracts.column import Column
from jobs.contracts.formats import Delimited

STAND_INS = b"\x1f\x1e\x1d\x1c\x02\x03\x04\x05\x06\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a"
NEW_LINE = b"\n"
INNER_BREAKS = "line ends inside quoted values"
LONGEST_RECORD = 32 << 20  # bytes of one record with line breaks inside quotes


class Reader:
    seeks: ClassVar[bool] = False

    def __init__(self, stream: BinaryIO, fmt: Delimited, columns: Mapping[str, Column]):
        self.header: dict[str, str] = {}
        self.trailer: dict[str, str] = {}
        self.extra: list[str] = []
        self.lacking: list[str] = []
        self.notes: Counter[str] = Counter()
        self.ends_itself = fmt.trailer is not None or fmt.compression is not None
        self._stream, self._fmt, self._codec = stream, fmt, codec_name(fmt.encoding)
        self._columns = columns
        self._wanted = {name: column.source or name for name, column in columns.items()}
        # Names of the file's columns in their order; those of the contract until a line of names says otherwise.
        self._names = list(self._wanted)
        self._separator = fmt.separator.encode()
        self._quote = fmt.quote.encode() if fmt.quote else None
        self._comment = fmt.comment.encode() if fmt.comment else None
        self._comments = 0  # lines of comment before all else
        self._has_ends = fmt.header is not None or fmt.trailer is not None
        self._patterns = _Patterns(self._separator, self._quote) if self._quote else None

    def __iter__(self) -> Generator[Rows]:
        with closing(texts(self._stream, self._fmt.compression, self._codec)) as read:
            yield from self._rows(self._ends_together(read) if self._comment and self._has_ends else read)

    def _rows(self, read: Iterator[Text]) -> Iterator[Rows]:
        rest, rest_line = b"", 0
        named = not self._fmt.column_line
        for text in read:
            self.notes += text.notes
            data, line = self._body(text)
            if rest:
                data, line = rest + data, rest_line
            if not named and data:
                data, line = self._column_line(data, line)
                named = True
            # Line ends are made plain here, those inside quotes too: their number stays.
            data = data.replace(b"\r\n", b"\n") if b"\r" in data else data
            rest, strict = b"", True
            if self._quote and self._quote in data:
                data, rest, strict = self._cut(data, line, text.last_line is not None)
                rest_line = line + data.count(NEW_LINE)
            for records, at in self._without_comments(data, line):
                rows = self._split(records, at, strict)
                rows.columns |= {name: pa.nulls(len(rows.lines), pa.string()) for name in self.lacking}
                yield rows
        if not named:
            raise Cut(
                "The file ends before its line of column names. Expected at least that line; send the whole file again."
            )

    # --- ends ---------------------------------------------------------------------------------------------------------

    def _ends_together(self, read: Iterator[Text]) -> Iterator[Text]:
        """Comments may part a header from the file's beginning and a trailer from its end: a block's last record and what is behind it go with the next block."""
        kept, line = b"", 1
        for text in read:
            line = line if kept else text.line
            data = kept + text.data
            end = len(data) if text.last_line is not None else self._behind_records(data, but=1)
            kept = data[end:]
            if end or text.last_line is not None:
                yield Text(data[:end], line, text.last_line, text.notes)
            else:
                self.notes += text.notes
            line += data.count(NEW_LINE, 0, end)

    def _behind_records(self, data: bytes, but: int = 0) -> int:
        """Where the comments and empty lines at the end of `data` begin; `but` so many records before them belong to them."""
        end = len(data)
        while end:
            start = data.rfind(NEW_LINE, 0, end - 1) + 1
            line = data[start:end]
            if line.strip() and not (self._comment and line.startswith(self._comment)):
                if not but:
                    break
                but -= 1
            end = start
        return end

    def _body(self, text: Text) -> tuple[bytes, int]:
        """The data lines of a block and the number of the first; header and trailer are taken off and kept."""
        data, line = text.data, text.line
        while line == 1 + self._comments and self._comment and data.startswith(self._comment):
            data, line, self._comments = data[data.find(NEW_LINE) + 1 or len(data) :], line + 1, self._comments + 1
        is_first, last_line = line == 1 + self._comments, text.last_line
        if last_line is not None and self._comment and self._fmt.trailer:
            data = data[: self._behind_records(data)]
            last_line = max(1, line + data.count(NEW_LINE) - data.endswith(NEW_LINE))
        head, data, tail = split_ends(
            data, first=is_first, last=last_line is not None, header=self._fmt.header, trailer=self._fmt.trailer
        )
        if head is not None and self._fmt.header:
            if not head:
                raise no_line(self._fmt.header, line)
            self.header = parse_record(
                head.decode().strip("\r\n"), self._fmt.header, self._fmt.separator, "header", line
            )
            line += 1
        if tail is not None and self._fmt.trailer and last_line is not None:
            self.trailer = parse_trailer(tail, self._fmt.trailer, self._fmt.separator, last_line)
        return data, line

    def _column_line(self, data: bytes, line: int) -> tuple[bytes, int]:
        end = data.find(b"\n") + 1 or len(data)
        if self._quote and data.count(self._quote, 0, end) % 2:
            raise Refused(
                "open_quote",
                f"A quote opened in line {line} is not closed there. Expected the names of the columns in one line, with closed quotes; correct it and send the file again.",
            )
        names = [n.strip() for n in self._slow_fields(data[:end].decode().rstrip("\r\n"))]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise Refused(
                "column_twice",
                f"Line {line} names the column {twice[0]!r} twice. Expected each once; correct the file and send it "
                "again.",
            )
        wanted = {source: name for name, source in self._wanted.items()}
        found = fit(self._wanted, self._columns, names, self._fmt.drift, f"Line {line}")
        self.extra, self.lacking = found.added, found.lacking
        for name in self.lacking:
            del self._wanted[name]
        self._names = [wanted.get(n, f"\0{n}") for n in names]
        return data[end:], line + 1

    def _without_comments(self, data: bytes, line: int) -> Iterator[tuple[bytes, int]]:
        """(lines that are records, number of the first) for each run of them between comments."""
        mark = self._comment
        if mark is None or mark not in data:
            if data:
                yield data, line
            return
        at = 0
        while at < len(data):
            if data.startswith(mark, at):
                at, line = data.find(NEW_LINE, at) + 1 or len(data), line + 1
                continue
            end = data.find(NEW_LINE + mark, at) + 1 or len(data)
            yield data[at:end], line
            at, line = end, line + data.count(NEW_LINE, at, end)

    # --- splitting ----------------------------------------------------------------------------------------------------

    def _cut(self, data: bytes, line: int, last: bool) -> tuple[bytes, bytes, bool]:
        """(whole records, the beginning of one that goes on in the next block, are all records strict): a line end
        inside quotes ends nothing.
        """
        assert self._patterns is not None
        at, strict = 0, True
        while True:
            at = self._patterns.records.match(data, at).end()  # type: ignore[union-attr]
            if at == len(data):
                return data, b"", strict
            # Here begins an open quote that goes on in the next block, or a line with a stray quote.
            if not last and self._patterns.open.match(data, at):
                if len(data) - at > LONGEST_RECORD:
                    raise Refused(
                        "open_quote",
                        f"A quote opened in line {line + data.count(NEW_LINE, 0, at)} is not closed within "
                        f"{LONGEST_RECORD >> 20} MiB. "
                        "Expected closed quotes; correct that line and send the file again.",
                    )
                return data[:at], data[at:], strict
            strict = False
            at = data.find(NEW_LINE, at) + 1 or len(data)

    def _split(self, data: bytes, line: int, strict: bool) -> Rows:
        has_quotes = self._quote is not None and self._quote in data
        several = has_quotes and len(self._separator) > 1
        if several or not strict or b"\r" in data or b"\0" in data:
            return self._split_slowly(data, line)
        rows = self._split_fast(data, line, has_quotes)
        # pyarrow takes an empty line for a row of nulls; to look for one among the bytes takes as long as a quarter of the splitting.
        may_be_empty = len(self._names) > 1 and all(column.null_count for column in rows.columns.values())
        if may_be_empty and (data.startswith(NEW_LINE) or NEW_LINE * 2 in data):
            return self._split_slowly(data, line)
        return rows

    def _split_fast(self, data: bytes, line: int, has_quotes: bool) -> Rows:
        separator = self._separator
        if len(separator) > 1:
            stand_in = next((bytes([c]) for c in STAND_INS if c not in data), None)
            if stand_in is None:
                return self._split_slowly(data, line)
            data, separator = data.replace(separator, stand_in), stand_in
        bad: list[csv.InvalidRow] = []

        def keep(row: csv.InvalidRow) -> str:
            bad.append(row)
            return "skip"

        wanted = [n for n in self._names if not n.startswith("\0")]
        table = csv.read_csv(
            pa.BufferReader(data),
            csv.ReadOptions(use_threads=False, column_names=self._names, block_size=len(data) + 1),
            csv.ParseOptions(
                delimiter=separator.decode(),
                quote_char=self._fmt.quote if has_quotes else False,
                newlines_in_values=has_quotes,
                ignore_empty_lines=False,
                invalid_row_handler=keep,
            ),
            csv.ConvertOptions(
                column_types={n: pa.string() for n in wanted},
                include_columns=wanted,
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
                check_utf8=False,
            ),
        )
        columns = {n: _one_chunk(table.column(n)) for n in self._wanted}
        starts, bad_starts = self._line_numbers(data, line, table.num_rows, bad, has_quotes)
        malformed = [
            Malformed(
                at,
                self._wrong_count(row.actual_columns),
                row.text.replace(separator.decode(), self._fmt.separator).encode(),
            )
            for at, row in zip(bad_starts, bad, strict=True)
        ]
        return Rows(pa.array(starts), columns, malformed)

    def _line_numbers(
        self, data: bytes, line: int, good: int, bad: list[csv.InvalidRow], has_quotes: bool
    ) -> tuple[np.ndarray, list[int]]:
        """Physical line of each good and each bad record."""
        total = good + len(bad)
        if has_quotes and data.count(NEW_LINE) + (not data.endswith(b"\n")) != total:
            assert self._patterns is not None
            ends = [m.end() for m in self._patterns.record.finditer(data) if m.end() > m.start()]
            breaks = np.array(
                [data.count(NEW_LINE, a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)], dtype=np.int64
            )
            starts = line + np.concatenate([[0], np.cumsum(breaks)[:-1]])
            self.notes[INNER_BREAKS] += int(breaks.sum()) - total + (not data.endswith(b"\n"))
        else:
            starts = np.arange(line, line + total, dtype=np.int64)
        if not bad:
            return starts, []
        places = np.array([row.number - 1 for row in bad])
        return np.delete(starts, places), starts[places].tolist()

    def _split_slowly(self, data: bytes, line: int) -> Rows:
        """One record at a time; the same rows as the fast way, and the odd lines named."""
        lines: list[int] = []
        values: list[list[str | None]] = []
        malformed: list[Malformed] = []
        at = 0
        while at < len(data):
            end, why = self._record_end(data, at)
            raw = data[at:end].removesuffix(b"\n")
            fields = self._slow_fields(raw.decode()) if not why else []
            if not why and b"\0" in raw:
                why = NUL
            if not why and len(fields) != len(self._names):
                why = self._wrong_count(len(fields)) if raw else "an empty line"
            if why:
                malformed.append(Malformed(line, why, raw))
            else:
                lines.append(line)
                values.append(self._slow_values(raw.decode()))
            breaks = data.count(NEW_LINE, at, end)
            if inner := breaks - data.endswith(NEW_LINE, at, end):
                self.notes[INNER_BREAKS] += inner
            line += breaks
            at = end
        places = {n: i for i, n in enumerate(self._names)}
        columns = {n: text_array([row[places[n]] for row in values]) for n in self._wanted}
        return Rows(pa.array(lines, pa.int64()), columns, malformed)

    def _record_end(self, data: bytes, start: int) -> tuple[int, str]:
        """Where the record that starts here ends, and what is wrong with it (then it ends with its line)."""
        line_end = data.find(b"\n", start) + 1 or len(data)
        if self._patterns is None or self._patterns.quote not in data[start:line_end]:
            return line_end, ""
        match = self._patterns.record.match(data, start)
        if match and match.end() > start:
            return match.end(), ""
        return line_end, "a quote is not where a value begins or ends"

    def _slow_values(self, text: str) -> list[str | None]:
        fields = _fields(text, self._fmt.separator, self._fmt.quote)
        return [None if value == "" and not quoted else value for value, quoted in fields]

    def _slow_fields(self, text: str) -> list[str]:
        return [value for value, _ in _fields(text, self._fmt.separator, self._fmt.quote)]

    def _wrong_count(self, found: int) -> str:
        if found == 1:  # also where the sender's separator is not the one that is declared
            return f"1 column instead of {len(self._names)}, without the separator {self._fmt.separator!r}"
        return f"{found} columns instead of {len(self._names)}"


def column_names(stream: BinaryIO, fmt: Delimited) -> list[str]:
    """The names in the line of column names, if the format has one."""
    if not fmt.column_line:
        return []
    lines = beginning(stream, fmt.compression, codec_name(fmt.encoding)).splitlines()
    if fmt.comment:
        lines = [line for line in lines if not line.startswith(fmt.comment)]
    at = 1 if fmt.header else 0
    return [value for value, _ in _fields(lines[at], fmt.separator, fmt.quote)] if len(lines) > at else []


def _fields(text: str, separator: str, quote: str | None) -> list[tuple[str, bool]]:
    """(value, was it quoted) of each field of one record that is strict where it has quotes."""
    if quote is None or quote not in text:
        return [(value, False) for value in text.split(separator)]
    fields: list[tuple[str, bool]] = []
    at = 0
    while True:
        if text.startswith(quote, at):
            end = _closing(text, quote, at + 1)
            fields.append((text[at + 1 : end].replace(quote * 2, quote), True))
            at = end + 1
        else:
            end = text.find(separator, at)
            end = len(text) if end < 0 else end
            fields.append((text[at:end], False))
            at = end
        if at >= len(text):
            return fields
        at += len(separator)


def _closing(text: str, quote: str, at: int) -> int:
    """Where the quote that was opened before `at` is closed; the text's end where it is not (in names that are only looked at)."""
    while (at := text.find(quote, at)) >= 0:
        if not text.startswith(quote, at + 1):
            return at
        at += 2
    return len(text)


class _Patterns:
    """Strict records with quotes, as RFC 4180 has them. What was matched is not tried otherwise: a wrong quote is found in one pass. Atomic groups do that; possessive
    quantifiers of such groups are wrong in Python before 3.11.5.
    """

    def __init__(self, separator: bytes, quote: bytes):
        self.quote = quote
        q, s = re.escape(quote), re.escape(separator)
        inside = _as_many(b"[^" + q + b"]++|" + q + q)
        field = b"(?:" + q + inside + q + b"|" + _as_many(b"(?!" + s + b")[^" + q + b"\n]") + b")"
        record = field + _as_many(s + field)
        # One record with its line end; as many as there are; a record whose last quote is still open where the data
        # end.
        self.record = re.compile(record + b"(?:\n|\\Z)")
        self.records = re.compile(b"(?:(?>" + record + b")\n)*(?:" + record + b"\\Z)?")
        self.open = re.compile(_as_many(field + s) + q + inside + b"\\Z")


def _as_many(pattern: bytes) -> bytes:
    """A pattern as often as it matches, and never less often."""
    return b"(?>(?:" + pattern + b")*)"


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return (
        column.chunk(0)
        if column.num_chunks == 1
        else pa.concat_arrays(column.chunks)
        if column.num_chunks
        else text_array([])
    )
