"""XML: one row for each element of a path, such as the entries of an ISO 20022 statement (camt.053).

A column is a path from that element: `Amt`, `Amt/@Ccy`, `NtryDtls/TxDtls/Refs/EndToEndId`; `../Acct/Id/IBAN` begins one element further out and
gives what stood there so far. Namespaces are not part of names; the file's own is checked where the source names one. What stands there several
times arrives as a JSON array. The file is read as a stream; document types, which may define entities, are refused.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Generator, Mapping
from decimal import Decimal, InvalidOperation
from typing import BinaryIO, ClassVar
from xml.parsers import expat

import pyarrow as pa

from jobs.arrival.encodings import codec_name
from jobs.arrival.errors import Cut, Refused
from jobs.arrival.forbidden import check_names
from jobs.arrival.records import Rows, text_array
from jobs.arrival.text import assigned, beginning, transcoded
from jobs.contracts.column import Column
from jobs.contracts.formats import XmlFile

ROWS = 16_384
BITE = 64 << 10
DEEPEST = 200
SHOWN = 8  # names of elements that stand where the records were expected
LONGEST_NAME = 40  # characters of each
TAG = re.compile(r"<([^\W\d][\w.:-]*)([^<>]*)")
ATTRIBUTE = re.compile(r"([^\W\d][\w.:-]*)\s*=")
Path = tuple[str, ...]


class Reader:
    seeks: ClassVar[bool] = False

    def __init__(self, stream: BinaryIO, fmt: XmlFile, columns: Mapping[str, Column]):
        self.header: dict[str, str] = {}
        self.trailer: dict[str, str] = {}
        self.extra: list[str] = []
        self.lacking: list[str] = []
        self.notes: Counter[str] = Counter()
        self.ends_itself = True
        self._stream, self._fmt, self._codec = stream, fmt, codec_name(fmt.encoding)
        self._record: Path = tuple(fmt.record.split("/"))
        self._columns = {name: fmt.path(column.source or name) for name, column in columns.items()}
        self._edges = {
            (part, key): tuple(path.strip("/").split("/"))
            for part, fields in (("header", fmt.header), ("trailer", fmt.trailer))
            for key, path in fields.items()
        }
        self._asked, self._stated = set(self._columns.values()), set(self._edges.values())
        self._wanted = self._asked | self._stated
        self._edge_values: dict[Path, list[str]] = {}
        # Which of them are told anew when an element of a path begins.
        self._inside: dict[Path, list[Path]] = {}
        for path in set(self._columns.values()):
            for length in range(1, len(path) + 1):
                self._inside.setdefault(path[:length], []).append(path)
        self._open: list[str] = []
        self._texts: list[list[str] | None] = []
        self._found: dict[Path, list[str]] = {}
        self._begun = 0
        self._lines: list[int] = []
        self._rows: list[list[str | None]] = []
        self._harmless: set[str] = set()
        # Until the first record: what begins in each element on the way to it.
        self._on_the_way: dict[Path, dict[str, None]] | None = {}
        # Named by the source or the contract, so no record under another name.
        self._expected = {path[: n + 1] for path in self._wanted for n in range(len(path))}

    def __iter__(self) -> Generator[Rows]:
        self._parser = parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        for data in transcoded(self._stream, self._fmt.compression, self._codec, self.notes):
            for at in range(0, len(data), BITE):
                self._parse(data[at : at + BITE], last=False)
                if len(self._lines) >= ROWS:
                    self._tell_edges()
                    yield self._batch()
        self._parse(b"", last=True)
        self._tell_edges()
        self._check_edges()
        self._check_any_record()
        if self._lines:
            yield self._batch()

    # --- parsing ------------------------------------------------------------------------------------------------------

    def _parse(self, data: bytes, *, last: bool) -> None:
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            what = expat.errors.messages[error.code]
            where = f"line {error.lineno}, column {error.offset + 1}"
            if last:
                raise Cut(
                    f"The XML ends at {where} before its elements do ({what}). Expected a whole document; send it again."
                ) from error
            raise Refused(
                "bad_xml",
                f"The file is no XML at {where}: {what}. Expected a well-formed document; correct it and send it again.",
            ) from error

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        if not self._open:
            self._check_root(namespace, local)
        if len(self._open) >= DEEPEST:
            raise Refused(
                "bad_xml",
                f"Line {self._parser.CurrentLineNumber}: more than {DEEPEST} elements inside each other. Expected an ordinary "
                "document; ask the sender what this is.",
            )
        names = [local, *(key.rpartition(" ")[2] for key in attributes)]
        if not self._harmless.issuperset(names):
            check_names(names, f"line {self._parser.CurrentLineNumber}")
            self._harmless.update(names)
        self._open.append(local)
        path = tuple(self._open)
        if self._on_the_way is not None:
            self._look_for_record(path)
        # A record begins, or what it stands in: what was told before is another's. What stands several times within one of them stays.
        if path == self._record[: len(path)]:
            for gone in self._inside.get(path, ()):
                self._found.pop(gone, None)
        if path == self._record:
            self._begun = self._parser.CurrentLineNumber
        self._texts.append([] if path in self._wanted else None)
        for key, value in zip(names[1:], attributes.values(), strict=True):
            self._note((*path, f"@{key}"), value)

    def _text(self, data: str) -> None:
        if self._texts and (text := self._texts[-1]) is not None:
            text.append(data)

    def _end(self, _: str) -> None:
        path, text = tuple(self._open), self._texts.pop()
        self._open.pop()
        if text is not None:
            self._note(path, assigned("".join(text).strip().encode(), self.notes).decode())
        if path == self._record:
            self._lines.append(self._begun)
            self._rows.append([_one(self._found.get(p)) for p in self._columns.values()])

    def _note(self, path: Path, value: str) -> None:
        if not value:
            return
        if path in self._asked:
            self._found.setdefault(path, []).append(value)
        if path in self._stated:
            self._edge_values.setdefault(path, []).append(value)

    def _doctype(self, *_: object) -> None:
        raise Refused(
            "xml_doctype",
            f"Line {self._parser.CurrentLineNumber} declares a document type. Expected a document without one: it may define "
            "entities that read other files or grow without end; ask the sender to leave it out.",
        )

    def _check_root(self, namespace: str, local: str) -> None:
        if local != self._record[0]:
            raise Refused(
                "wrong_document",
                f"The root element is {local}. Expected {self._record[0]}, as {self._fmt.record} begins; ask the sender for the "
                "right document.",
            )
        if self._fmt.namespace and namespace != self._fmt.namespace:
            raise Refused(
                "wrong_namespace",
                f"The document is of the namespace {namespace or '(none)'}. Expected {self._fmt.namespace}; ask the sender for that "
                "version, or change the source with the contract's consumers.",
            )

    # --- what was found -----------------------------------------------------------------------------------------------

    def _tell_edges(self) -> None:
        for (part, key), path in self._edges.items():
            values = self._edge_values.get(path)
            if values:
                (self.header if part == "header" else self.trailer)[key] = _together(key, values)

    def _check_edges(self) -> None:
        for (part, key), path in self._edges.items():
            if key not in (self.header if part == "header" else self.trailer):
                raise Refused(
                    f"no_{part}",
                    f"The document has no {'/'.join(path)}, which states its {key}. Expected it; ask the sender for it, or take it out of the source.",
                )

    def _look_for_record(self, path: Path) -> None:
        """Keeps what stands on the way to the first record: should there be none, it tells an empty document from a wrong path."""
        if path == self._record:
            self._on_the_way = None
            return
        assert self._on_the_way is not None
        if path == self._record[: len(path)]:
            self._on_the_way.setdefault(path, {})
        beside = self._on_the_way.get(path[:-1])
        if beside is not None and len(beside) <= SHOWN and path not in self._expected:  # one more than is shown
            beside[path[-1]] = None

    def _check_any_record(self) -> None:
        """A wrong path finds nothing either: a document without records is right where it says so, or where their place is there and holds nothing else."""
        if self._on_the_way is None or _is_zero(self.trailer.get("record_count", self.header.get("record_count"))):
            return
        deepest = max(self._on_the_way, key=len)
        others = list(self._on_the_way[deepest])
        if len(deepest) == len(self._record) - 1 and not others:
            return
        names = [name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…" for name in others[:SHOWN]]
        there = f", but {', '.join(names)}{' and others' if len(others) > SHOWN else ''}" if names else ""
        raise Refused(
            "no_record",
            f"The document has no {self._fmt.record}, which is a row: in {'/'.join(deepest)} stands no {self._record[len(deepest)]}{there}. Expected at least one, or a record_count of 0 "
            "that the document states; correct `record` in the source if the records are called otherwise, else ask the sender for the right document. If a document without records is "
            "right, let header or trailer of the source name where it states its record_count, or the elements that it has nevertheless.",
        )

    def _batch(self) -> Rows:
        lines, rows = self._lines, self._rows
        self._lines, self._rows = [], []
        columns = {name: text_array([row[i] for row in rows]) for i, name in enumerate(self._columns)}
        return Rows(pa.array(lines, pa.int64()), columns)


def column_names(stream: BinaryIO, fmt: XmlFile) -> list[str]:
    """Names of the elements and attributes at the beginning."""
    head = beginning(stream, fmt.compression, codec_name(fmt.encoding))
    found = [name for tag, rest in TAG.findall(head) for name in (tag, *ATTRIBUTE.findall(rest))]
    return sorted({name.rpartition(":")[2] for name in found})


def _one(values: list[str] | None) -> str | None:
    if not values:
        return None
    return values[0] if len(values) == 1 else json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def _together(key: str, values: list[str]) -> str:
    """Totals of several parts (statements of one message) add up; of anything else the last counts."""
    if len(values) > 1 and key in ("record_count", "amount_sum"):
        try:
            return f"{sum((Decimal(v) for v in values), Decimal(0)):f}"
        except InvalidOperation:
            return next(v for v in values if not _is_number(v))  # which is told to be no number
    return values[-1]


def _is_zero(text: str | None) -> bool:
    return text is not None and _is_number(text) and Decimal(text) == 0


def _is_number(text: str) -> bool:
    try:
        Decimal(text)
    except InvalidOperation:
        return False
    return True
