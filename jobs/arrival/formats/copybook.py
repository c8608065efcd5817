"""Mainframe records by a COBOL copybook: EBCDIC or ASCII text, zoned, packed and binary numbers, record and block descriptor words.

Numbers keep all digits of their picture (an account number of nineteen digits stays one), with a point where the picture implies it. Tables and
groups arrive as compact JSON. Records of equal layout are decoded together, column by column. A field that is not what its picture says is an
error of that record; record lengths that do not add up to the file are an error of the file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import BinaryIO, ClassVar, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrival.cobol import Fields
from jobs.arrival.errors import Cut, Refused
from jobs.arrival.records import Malformed, Rows
from jobs.arrival.text import BLOCK, clear
from jobs.contracts.column import Column
from jobs.contracts.copybook import Layout, Path, Place
from jobs.contracts.formats import CopybookFile, Edge

FITTING = 3  # so many other record lengths are named where the declared one does not add up to the file
DESCRIPTOR = 4  # bytes of a record or block descriptor word
NUMBERS = ("packed", "zoned", "binary")  # of pictures; in what people wrote there may be anything

# Values, which of them are wrong, and what is wrong with one of those.
Decoded: TypeAlias = tuple[pa.Array, np.ndarray, Callable[[int], str]]


class Kind(NamedTuple):
    """What makes two records alike: their segment, and how many elements each table of variable length holds."""

    segment: str | None
    counts: tuple[int, ...] | None


class Reader:
    seeks: ClassVar[bool] = False

    def __init__(self, stream: BinaryIO, fmt: CopybookFile, columns: Mapping[str, Column]):
        self.header: dict[str, str] = {}
        self.trailer: dict[str, str] = {}
        self.extra: list[str] = []
        self.lacking: list[str] = []
        self.notes: Counter[str] = Counter()
        self.ends_itself = True
        self._stream, self._fmt, self._book = stream, fmt, fmt.book
        self._fields = Fields(fmt.encoding, self.notes)
        self._paths = {name: fmt.book.find(column.source or name) for name, column in columns.items()}
        # Of these nothing is shown where they cannot be read: they name a person, or may.
        secret = (path for name, path in self._paths.items() if columns[name].identifies or columns[name].free_text)
        self._secret = tuple(secret)
        segment = fmt.segment
        self._segment_path = fmt.book.find(segment.field) if segment else None
        self._groups = {value: fmt.book.find(group) for value, group in segment.groups.items()} if segment else {}
        self._choices = [
            (fmt.book.find(choice.field), {value: fmt.book.find(group) for value, group in choice.groups.items()})
            for choice in fmt.choices
        ]
        places = fmt.book.layout().places
        self._table_paths = [
            next(path for path, p in places.items() if p.item is table and path[-1][1] is None)
            for table in fmt.book.tables
        ]
        self._own_ends = self._ends_with_its_group()
        self._carried = self._carried_columns()
        self._last: dict[str, str | None] = {}
        # A header or a trailer is no row.
        self._edges = {e.segment: e for e in (fmt.header, fmt.trailer) if e}

    def __iter__(self) -> Generator[Rows]:
        number = 1
        for records in self._records():
            if self.trailer:
                raise _behind_trailer(number)
            rows = self._decode(records, number)
            if number == 1 and self._fmt.header and not self.header:
                why = next((f": {m.why}" for m in rows.malformed if m.line == 1), "")
                raise Refused(
                    "no_header",
                    f"The first record is no header ({self._fmt.header.segment}){why}. Expected it there; send the file again with it"
                    + (", or correct the copybook if the sender's header is as it came." if why else "."),
                )
            number += len(records)
            if len(rows):
                yield rows
        if number == 1 and self._fmt.header:
            raise Refused(
                "no_header",
                f"The file is empty. Expected the header ({self._fmt.header.segment}) as its first record; send the whole file again.",
            )
        if self._fmt.trailer and not self.trailer:
            raise Cut(
                f"The file ends after {number - 1} records without its trailer record {self._fmt.trailer.segment}. "
                "Expected the trailer last; send the whole file again."
            )

    # --- records ------------------------------------------------------------------------------------------------------

    def _records(self) -> Iterator[list[bytes]]:
        """The records of the file, some at a time. Raises Refused(record_length) and Cut where lengths do not add up."""
        data, offset, number, first = b"", 0, 1, True
        pieces = clear(self._stream, self._fmt.compression, BLOCK)
        ended = False
        while not ended:
            piece = next(pieces, None)
            ended = piece is None
            data += piece or b""
            if first:
                if len(data) < self._fmt.skip_start:
                    continue
                data, offset, first = data[self._fmt.skip_start :], self._fmt.skip_start, False
            body = data if self._fmt.skip_end == 0 else data[: max(0, len(data) - self._fmt.skip_end)]
            records, used = self._cut(body, offset, number)
            if records:
                yield records
            data, offset, number = data[used:], offset + used, number + len(records)
        rest = len(data) - self._fmt.skip_end
        if rest:
            raise Cut(
                f"The file ends in record {number}, which begins at byte {offset}: {max(rest, 0)} bytes are left of it. "
                f"Expected whole records{self._lengths_that_fit(offset - self._fmt.skip_start + rest)}; correct the copybook if its record is not the sender's, or send the whole file again."
            )

    def _lengths_that_fit(self, size: int) -> str:
        """Words for the length of each record, and the nearest ones of which the file's bytes are whole records."""
        if self._fmt.records != "fixed" or (self._fmt.variable_tables and self._book.tables):
            return ""
        length = self._book.layout().length
        fitting = [other for other in range(length // 2 + 1, 2 * length) if 0 < other <= size and size % other == 0]
        nearest = sorted(sorted(fitting, key=lambda other: abs(other - length))[:FITTING])
        would_be = f" (the {size} bytes of the file would be whole records of {' or '.join(map(str, nearest))} bytes)"
        return f" of {length} bytes{would_be if nearest else ''}"

    def _cut(self, data: bytes, offset: int, number: int) -> tuple[list[bytes], int]:
        """(whole records at the beginning of `data`, bytes that they take)."""
        if self._fmt.records == "fixed":
            return self._cut_fixed(data, offset, number)
        records: list[bytes] = []
        at = 0
        while at + DESCRIPTOR <= len(data):
            if self._fmt.records == "rdw":
                end = at + self._length(data, at, offset, number + len(records))
                if end > len(data):
                    break
                records.append(data[at + DESCRIPTOR : end])
                at = end
                continue
            block_end = at + self._length(data, at, offset, number + len(records), "block")
            if block_end > len(data):
                break
            at += DESCRIPTOR
            while at < block_end:
                end = (
                    at + self._length(data, at, offset, number + len(records))
                    if at + DESCRIPTOR <= block_end
                    else block_end + 1
                )
                if end > block_end:
                    raise _wrong_length(
                        number + len(records), offset + at, f"it ends {end - block_end} bytes behind its block"
                    )
                records.append(data[at + DESCRIPTOR : end])
                at = end
        return records, at

    def _cut_fixed(self, data: bytes, offset: int, number: int) -> tuple[list[bytes], int]:
        records: list[bytes] = []
        if not (self._fmt.variable_tables and self._book.tables):
            length = self._book.layout().length
            whole = len(data) // length
            return [data[n * length : (n + 1) * length] for n in range(whole)], whole * length
        at = 0
        longest = self._book.layout().length
        while at < len(data):
            try:
                counts = self._counts(data[at : at + longest])
            except _Wrong as wrong:
                raise _wrong_length(number + len(records), offset + at, str(wrong)) from wrong
            if counts is None:
                break
            end = at + self._book.layout(counts).length
            if end > len(data):
                break
            records.append(data[at:end])
            at = end
        return records, at

    def _length(self, data: bytes, at: int, offset: int, number: int, what: str = "record") -> int:
        """Bytes from `at`, where a descriptor word stands, to the end of what it describes."""
        how = self._fmt.lengths
        word = data[at + how.at : at + how.at + 2]
        stated = int.from_bytes(word, how.order)
        length = stated if how.counts_itself else stated + DESCRIPTOR
        if length < DESCRIPTOR or data[at + 2 - how.at : at + 4 - how.at] != b"\0\0":
            raise _wrong_length(
                number, offset + at, f"its descriptor word is {data[at : at + DESCRIPTOR].hex(' ')}", what
            )
        return length

    def _counts(self, record: bytes, segment: str | None = None) -> tuple[int, ...] | None:
        """How many elements each table holds, none where records of the segment have no such table; None when the record is too short to say."""
        counts: list[int] = []
        tables = self._book.tables
        for n, table in enumerate(tables):
            if not self._holds(segment, self._table_paths[n]):
                counts.append(0)
                continue
            layout = self._book.layout((*counts, *[0] * (len(tables) - n)))
            place = next(p for path, p in layout.places.items() if path[-1] == (table.counter, None))
            field = record[place.start : place.end]
            if len(field) < place.end - place.start:
                return None
            assert place.item.picture is not None
            values, wrong = self._fields.values(np.frombuffer(field, np.uint8).reshape(1, -1), place.item.picture)
            number = values[0].as_py() or "0"
            if wrong[0] or not number.isdigit() or int(number) > (table.times or 0):
                raise _Wrong(
                    f"{place.item.name} (bytes {place.start + 1} to {place.end}) is {field.hex(' ')}: {table.name} holds 0 to {table.times}"
                )
            counts.append(int(number))
        return tuple(counts)

    # --- decoding -----------------------------------------------------------------------------------------------------

    def _decode(self, records: list[bytes], number: int) -> Rows:
        lines = list(range(number, number + len(records)))
        malformed: list[Malformed] = []
        kinds: dict[Kind, list[int]] = {}
        segments = self._segments(records)
        for at, record in enumerate(records):
            try:
                kind, records[at] = self._kind(record, segments[at])
                kinds.setdefault(kind, []).append(at)
            except _Wrong as wrong:
                malformed.append(Malformed(lines[at], str(wrong), record))
        order: list[int] = []
        parts: list[dict[str, pa.Array]] = []
        for kind, places in kinds.items():
            good, columns = self._of_one_kind(kind, [records[p] for p in places], [lines[p] for p in places], malformed)
            if kind.segment in self._edges:
                continue
            order += [places[g] for g in good]
            parts.append(columns)
        back = np.argsort(np.array(order, dtype=np.int64), kind="stable")
        columns = {
            name: pc.take(pa.concat_arrays([part[name] for part in parts]), pa.array(back))
            if parts
            else pa.array([], pa.string())
            for name in self._paths
        }
        rows = [order[b] for b in back]
        if self._fmt.trailer and self.trailer and segments[-1] != self._fmt.trailer.segment:
            raise _behind_trailer(lines[-1])
        self._carry(columns, rows, segments)
        return Rows(pa.array([lines[r] for r in rows], pa.int64()), columns, sorted(malformed))

    def _segments(self, records: Sequence[bytes]) -> list[str | None]:
        """The segment of each record; None where the file has none, or the record is too short to say or says nonsense."""
        if self._segment_path is None:
            return [None] * len(records)
        place = self._book.layout().places[self._segment_path]
        assert place.item.picture is not None
        long_enough = [at for at, record in enumerate(records) if len(record) >= place.end]
        field = b"".join(records[at][place.start : place.end] for at in long_enough)
        values, wrong = self._fields.values(
            np.frombuffer(field, np.uint8).reshape(-1, place.end - place.start), place.item.picture
        )
        segments: list[str | None] = [None] * len(records)
        for at, value, bad in zip(long_enough, values.to_pylist(), wrong, strict=True):
            segments[at] = None if bad else value or ""
        return segments

    def _kind(self, record: bytes, segment: str | None) -> tuple[Kind, bytes]:
        """(kind of a record, the record without what only fills it up). Raises _Wrong for one that is of no known kind or not as long as its kind.

        A program whose segments redefine each other writes the whole record area: blanks or low values stand behind the shorter ones.
        """
        if self._segment_path is not None and segment not in self._groups:
            place = self._book.layout().places[self._segment_path]
            found = record[place.start : place.end].hex(" ") if segment is None else segment
            raise _Wrong(f"{place.item.name} is {found!r}: no segment of that name is declared")
        counts = self._counts(record, segment) if self._book.tables else None
        if self._book.tables and counts is None:
            raise _Wrong(f"{len(record)} bytes: the field that says how long a table is lies behind them")
        layout = self._layout(counts)
        length = layout.places[self._groups[segment or ""]].end if self._own_ends else layout.length
        if len(record) > length and self._own_ends:
            if behind := record[length:].strip(self._fields.fillers):
                at = record.index(behind, length)
                raise _Wrong(
                    f"{len(record)} bytes instead of {length}, and byte {at + 1} is no filler (a blank or a NUL)"
                )
            record = record[:length]
        if len(record) != length:
            raise _Wrong(f"{len(record)} bytes instead of {length}")
        return Kind(segment, counts), record

    def _layout(self, counts: tuple[int, ...] | None) -> Layout:
        return self._book.layout(counts if self._fmt.variable_tables else None)

    def _ends_with_its_group(self) -> bool:
        """Records of each segment are as long as its group: not where all are of one length, nor where fields of all stand behind the groups."""
        if self._fmt.records == "fixed" or not self._groups:
            return False
        places = self._book.layout().places
        end = max(places[group].end for group in self._groups.values())
        return all(place.start < end for place in places.values())

    def _of_one_kind(
        self, kind: Kind, records: Sequence[bytes], lines: Sequence[int], malformed: list[Malformed]
    ) -> tuple[np.ndarray, dict[str, pa.Array]]:
        """(which of the records are good, their columns)."""
        layout = self._layout(kind.counts)
        table = np.frombuffer(b"".join(records), np.uint8).reshape(len(records), -1)
        bad = np.zeros(len(records), bool)
        columns: dict[str, pa.Array] = {}
        for name, path in self._paths.items():
            if not self._holds(kind.segment, path):
                columns[name] = pa.nulls(len(records), pa.string())
                continue
            values, wrong, why = self._column(layout, path, table, kind)
            columns[name] = values
            for at in np.flatnonzero(wrong & ~bad).tolist():
                malformed.append(Malformed(lines[at], f"{name}: {why(at)}", records[at]))
            bad |= wrong
        edge = self._edges.get(kind.segment or "")
        if edge is not None:
            self._check_edge(edge, lines)
            found = {}
            for key, field in edge.fields.items():
                values, wrong, why = self._column(layout, self._book.find(field), table, kind)
                if wrong[-1] or not values[-1].is_valid:
                    raise Refused(
                        f"{'header' if edge is self._fmt.header else 'trailer'}_unreadable",
                        f"Record {lines[-1]} states no {key}: {why(len(lines) - 1) or f'{field} is blank'}. Expected it there; ask the sender for the right file.",
                    )
                found[key] = values[-1].as_py()
            if edge is self._fmt.header:
                self.header = found
            if edge is self._fmt.trailer:
                self.trailer = found
        good = np.flatnonzero(~bad)
        if bad.any():
            columns = {name: pc.take(values, pa.array(good)) for name, values in columns.items()}
        return good, columns

    def _check_edge(self, edge: Edge, lines: Sequence[int]) -> None:
        """Raises Refused for a header that is not the first record, or a trailer that stands twice."""
        if edge is self._fmt.header and (list(lines) != [1] or self.header):
            raise Refused(
                "no_header",
                f"Record {lines[-1]} is a header ({edge.segment}). Expected one, as the first record; ask the sender for the right file.",
            )
        if edge is self._fmt.trailer and (len(lines) > 1 or self.trailer):
            raise Refused(
                "no_trailer",
                f"Record {lines[-1]} is a second trailer ({edge.segment}). Expected one, as the last record; ask the sender for the right file.",
            )

    def _holds(self, segment: str | None, path: Path) -> bool:
        """Whether records of this segment have the field: it is in no segment's group, or in that of theirs."""
        if segment is None:
            return True
        inside = {value for value, group in self._groups.items() if path[: len(group)] == group}
        return not inside or segment in inside

    def _column(self, layout: Layout, path: Path, table: np.ndarray, kind: Kind) -> Decoded:
        """One field, group or table of all records of a kind."""
        place = layout.places.get(path)
        beyond = np.zeros(len(table), bool) if place is None else self._beyond(path, kind, len(table))
        if place is None or beyond.all():
            return pa.nulls(len(table), pa.string()), np.zeros(len(table), bool), lambda _: ""
        if place.end > table.shape[1]:
            where = f"{place.item.name} (bytes {place.start + 1} to {place.end}) lies behind the record's {table.shape[1]} bytes"
            return pa.nulls(len(table), pa.string()), np.ones(len(table), bool), lambda _: where
        if place.item.picture is not None and not (place.item.times and path[-1][1] is None):
            field, picture = table[:, place.start : place.end], place.item.picture
            where = f"{place.item.name} (bytes {place.start + 1} to {place.end})"
            values, wrong = self._fields.values(field, picture)
            is_shown = picture.kind in NUMBERS and not any(path[: len(one)] == one for one in self._secret)

            def why(at: int) -> str:
                shown = f"is {field[at].tobytes()[:24].hex(' ')}" if is_shown else "cannot be read"
                return f"{where} {shown}: {self._fields.expected(picture)}"

            found: Decoded = (values, wrong, why)
        else:
            found = self._json(layout, place, table, kind)
        for choice in self._choices:
            found = self._as_chosen(choice, found, path, layout, table, kind)
        return found

    def _as_chosen(
        self,
        choice: tuple[Path, dict[str, Path]],
        read: Decoded,
        path: Path,
        layout: Layout,
        table: np.ndarray,
        kind: Kind,
    ) -> Decoded:
        """What stands in a place that is read in several ways: null where another way was chosen, whole groups and tables too; wrong where
        the field that says the way says none of them. That field itself, where it stands inside of one, is as it is.
        """
        asked, groups = choice
        ways = [value for value, group in groups.items() if _within(path, group)]
        if not ways or path == asked:
            return read
        values, wrong, why = read
        chosen = self._column(layout, asked, table, kind)[0]
        meant = pc.is_in(chosen, pa.array(ways, pa.string()))
        known = pc.is_in(chosen, pa.array(list(groups), pa.string())).to_numpy(zero_copy_only=False)
        return (
            pc.if_else(meant, values, pa.scalar(None, pa.string())),
            (wrong & meant.to_numpy(zero_copy_only=False)) | ~known,
            lambda at: (
                why(at)
                if known[at]
                else f"{asked[-1][0]} is {chosen[at].as_py()!r}: expected one of {', '.join(groups)}, each declared under choices"
            ),
        )

    def _beyond(self, path: Path, kind: Kind, number: int) -> np.ndarray:
        """The element does not exist: the table of all of these records holds fewer."""
        if kind.counts is None:
            return np.zeros(number, bool)
        gone = False
        for table, held in zip(self._table_paths, kind.counts, strict=True):
            here = path[: len(table)]
            if len(here) == len(table) and here[:-1] == table[:-1] and here[-1][0] == table[-1][0]:
                gone = gone or (here[-1][1] or 0) > held
        return np.full(number, gone)

    def _json(self, layout: Layout, place: Place, table: np.ndarray, kind: Kind) -> Decoded:
        """A group or a table as JSON: numbers as they were written, fields in the order of the copybook."""
        wrong = np.zeros(len(table), bool)
        why: list[tuple[np.ndarray, Callable[[int], str]]] = []

        def inside(path: Path) -> list[str]:
            values, bad, reason = self._column(layout, path, table, kind)
            wrong[:] |= bad
            why.append((bad, reason))
            item = layout.places[path].item
            if item.picture is None or (item.times and path[-1][1] is None):
                return [v or "null" for v in values.to_pylist()]
            plain = item.picture.kind in ("zoned", "packed", "binary")
            return [
                "null" if v is None else _number(v) if plain else json.dumps(v, ensure_ascii=False)
                for v in values.to_pylist()
            ]

        item, (*outer, (name, element)) = place.item, place.path
        if item.times and element is None:
            steps: list[Path] = [(*outer, (name, n)) for n in range(1, item.times + 1)]
            elements = [inside(path) for path in steps if self._exists(layout, path, kind)]
            texts = ["[" + ",".join(e[i] for e in elements) + "]" for i in range(len(table))]
        else:
            named = {c.name: (*place.path, (c.name, None)) for c in item.children if c.name != "filler"}
            fields = {json.dumps(n): inside(path) for n, path in named.items() if path in layout.places}
            texts = [
                "{" + ",".join(f"{n}:{values[i]}" for n, values in fields.items()) + "}" for i in range(len(table))
            ]
        return (
            pa.array(texts, pa.string()),
            wrong,
            lambda at: next((reason(at) for bad, reason in why if bad[at]), ""),
        )

    def _exists(self, layout: Layout, path: Path, kind: Kind) -> bool:
        return path in layout.places and not self._beyond(path, kind, 1)[0]

    # --- what stays ---------------------------------------------------------------------------------------------------

    def _carried_columns(self) -> dict[str, set[str]]:
        """Column -> segments of the records that tell it anew: those of its group, and of the groups before it under `carry`, whose new record ends the old one's family."""
        if self._fmt.segment is None:
            return {}
        carried: dict[str, set[str]] = {}
        outer: set[str] = set()
        for group in map(self._fmt.book.find, self._fmt.segment.carry):
            outer = outer | {segment for segment, path in self._groups.items() if path == group}
            carried |= {name: outer for name, path in self._paths.items() if path[: len(group)] == group}
        return carried

    def _carry(self, columns: dict[str, pa.Array], rows: Sequence[int], segments: Sequence[str | None]) -> None:
        """Values of a parent stay with the records after it, across blocks too; of a parent that could not be read nothing stays, nor
        after a record that may have been one.
        """
        place = {record: at for at, record in enumerate(rows)}
        for name, own in self._carried.items():
            values, last = columns[name].to_pylist(), self._last.get(name)
            for record, segment in enumerate(segments):
                at = place.get(record)
                if segment in own or segment not in self._groups:
                    last = values[at] if at is not None else None
                elif at is not None:
                    values[at] = last
            self._last[name] = last
            columns[name] = pa.array(values, pa.string())


class _Wrong(Exception):
    """A record that cannot be decoded at all."""


def _within(path: Path, group: Path) -> bool:
    """A field is the group or part of it; an element is part of its table."""
    return len(path) >= len(group) and all(
        name == outer and (n is None or n == element) for (name, element), (outer, n) in zip(path, group, strict=False)
    )


def column_names(stream: BinaryIO, fmt: CopybookFile) -> list[str]:
    """The file names no columns; its copybook does."""
    return fmt.book.addresses


def _behind_trailer(number: int) -> Refused:
    return Refused(
        "no_trailer",
        f"Record {number} stands behind the trailer. Expected the trailer last; ask the sender for the right file.",
    )


def _wrong_length(number: int, at: int, why: str, what: str = "record") -> Refused:
    return Refused(
        "record_length",
        f"The {what} {number} at byte {at} has no possible length: {why}. Expected lengths that add up to the file; check "
        "`records` and `lengths` of the source, or send the file again.",
    )


def _number(text: str) -> str:
    """As JSON writes it: without zeros in front."""
    sign, plain = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, point, rest = plain.partition(".")
    return f"{sign}{whole.lstrip('0') or '0'}{point}{rest}"
