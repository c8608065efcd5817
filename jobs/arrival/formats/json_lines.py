"""JSON lines: one object a line; a column is a path (`from: payload.amount`), numbers keep their text exactly.

A number is never made into a float: 2^53 + 1 and 1.10 arrive as they were written. A container where a value is
expected arrives as compact JSON. A key that stands twice in one object rejects its line: which value is meant only the sender knows.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import closing
from typing import Any, BinaryIO, ClassVar

import pyarrow as pa

from jobs.arrival.encodings import codec_name
from jobs.arrival.forbidden import check_names, check_text, may_hide_a_secret
from jobs.arrival.records import Malformed, Rows, text_array
from jobs.arrival.text import beginning, texts
from jobs.contracts.column import Column
from jobs.contracts.formats import JsonLines

DEEPEST = 64  # levels of containers inside each other
BRACKETS = re.compile(r"[\[\]{}]")
MOST_UNREAD = 20  # names that are told of one file
NAME = re.compile(r"[A-Za-z][A-Za-z_$@-]*(?:[0-9]{1,2}[A-Za-z_$@-]*){0,3}")
SPACE = re.compile(r"[ \t\r]*")
PARTS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s"{}\[\],:]+')  # of a JSON text, without the space between them


class Number(str):
    """The text of a JSON number, told apart from a JSON string."""

    __slots__ = ()


NOTHING: dict[str, Any] = {}
SCANNER = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=Number).scan_once  # type: ignore[attr-defined]


def is_deep(text: str) -> bool:
    """Whether containers may stand more than DEEPEST levels inside each other; brackets in strings count, which is wrong towards yes only."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return False
    level = 0
    for bracket in BRACKETS.findall(text):
        level += 1 if bracket in "[{" else -1
        if level > DEEPEST:
            return True
    return False


class Reader:
    seeks: ClassVar[bool] = False

    def __init__(self, stream: BinaryIO, fmt: JsonLines, columns: Mapping[str, Column]):
        self.header: dict[str, str] = {}
        self.trailer: dict[str, str] = {}
        self.extra: list[str] = []
        self.lacking: list[str] = []
        self.notes: Counter[str] = Counter()
        self.ends_itself = fmt.compression is not None
        self._stream, self._fmt, self._codec = stream, fmt, codec_name(fmt.encoding)
        self._paths = {name: tuple((column.source or name).split(".")) for name, column in columns.items()}
        self._unread: set[str] = set()
        # Of each object on the way to a column, the keys that are read; not of one that is a column as a whole.
        self._read: dict[tuple[str, ...], set[str]] = {}
        whole = set(self._paths.values())
        for path in whole:
            for depth in range(len(path)):
                if not any(path[:above] in whole for above in range(1, depth + 1)):
                    self._read.setdefault(path[:depth], set()).add(path[depth])

    def __iter__(self) -> Generator[Rows]:
        with closing(texts(self._stream, self._fmt.compression, self._codec)) as read:
            for text in read:
                self.notes += text.notes
                if text.data:
                    yield self._rows(text.data.decode(), text.line, may_hide_a_secret(text.data))

    def _rows(self, text: str, line: int, suspicious: bool) -> Rows:
        lines: list[int] = []
        records: list[dict[str, Any]] = []
        malformed: list[Malformed] = []
        for number, raw in enumerate(text.removesuffix("\n").split("\n"), start=line):
            record, why = _record(raw)
            if why:
                check_text(raw, f"line {number}")
                malformed.append(Malformed(number, why, raw.encode()))
            elif record is not None:  # an empty line is no record
                if suspicious:
                    check_keys(raw, number)
                lines.append(number)
                records.append(record)
        values, keys = self._columns(records)
        self._note_unread(records)
        malformed_keys = sum(_colons(bad.raw.decode()) for bad in malformed)
        # Keys that no column reads are counted only where there are any.
        if not _are_once_each(text, keys + malformed_keys) and not _are_once_each(
            text, sum(map(_count, records)) + malformed_keys
        ):
            raws = text.split("\n")
            kept = []
            for number, record in zip(lines, records, strict=True):
                raw = raws[number - line]
                why = "" if _are_once_each(raw, _count(record)) else self._twice(raw)
                if why:
                    malformed.append(Malformed(number, why, raw.encode()))
                else:
                    kept.append((number, record))
            lines, records = [number for number, _ in kept], [record for _, record in kept]
            values, _ = self._columns(records)
            malformed.sort()
        columns = {name: text_array(texts) for name, texts in values.items()}
        return Rows(pa.array(lines, pa.int64()), columns, malformed)

    def _twice(self, raw: str) -> str:
        """What is wrong with a line in which a key stands twice in one object; nothing of one without. A key that is none of the contract's may be anything, and is not shown."""
        if (found := twice(raw)) is None:
            return ""
        key, first, second = found
        named = (
            f"the key {key!r}" if any(key in path for path in self._paths.values()) else "a key that no column reads"
        )
        return f"{named} stands twice in one object, with its values at characters {first} and {second}"

    def _note_unread(self, records: list[dict[str, Any]]) -> None:
        """Counts keys that no column reads: what a sender added, or what a contract names otherwise. A key may be anything, a person's number too: only what looks like a name is told."""
        objects: dict[tuple[str, ...], list[dict[str, Any]]] = {(): records}
        for path in sorted(self._read, key=len):
            if path:
                objects[path] = [v for parent in objects[path[:-1]] if type(v := parent.get(path[-1])) is dict]
            for key in set().union(*objects[path]) - self._read[path]:
                told = f"the key {'.'.join((*path, key))}" if NAME.fullmatch(key) else "a key that is no name"
                if told in self._unread or len(self._unread) < MOST_UNREAD:
                    self._unread.add(told)
                    self.notes[f"{told} is read by no column"] += sum(key in one for one in objects[path])

    def _columns(self, records: list[dict[str, Any]]) -> tuple[dict[str, list[str | None]], int]:
        """(values of each column, how many keys the objects on the way to them have). Each parent object is found once, however many columns come out of it."""
        found: dict[tuple[str, ...], list[dict[str, Any]]] = {(): records}

        def objects(path: tuple[str, ...]) -> list[dict[str, Any]]:
            if path not in found:
                inner = [parent.get(path[-1]) for parent in objects(path[:-1])]
                found[path] = [v if type(v) is dict else NOTHING for v in inner]
            return found[path]

        columns: dict[str, list[str | None]] = {}
        for name, path in self._paths.items():
            values = [parent.get(path[-1]) for parent in objects(path[:-1])]
            columns[name] = [v if v is None or type(v) is str or type(v) is Number else _text(v) for v in values]
        return columns, sum(sum(map(len, inner)) for inner in found.values())


def check_keys(raw: str, line: int) -> None:
    """Raises ForbiddenColumn for a key, at any depth, that must never be stored; also for one that another of the same name hides."""

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        check_names([name for name, _ in pairs], f"line {line}")
        return dict(pairs)

    json.loads(raw, object_pairs_hook=look)


def _colons(text: str) -> int:
    """How many keys a text may have: all of them that no space parts from their colons, and some texts that look like one."""
    return text.count('":')


def _are_once_each(text: str, keys: int) -> bool:
    """Does JSON of which so many keys were kept have no more? Quick, and wrong only towards no: to look at each key while it is read cost a tenth of the reading."""
    may_be_spaced = any(space in text and f"{space}:" in text for space in " \t\r")
    return not may_be_spaced and _colons(text) == keys


def _count(value: Any) -> int:
    """The keys of an object or array and of all that is in it."""
    own, inner = (len(value), value.values()) if type(value) is dict else (0, value)
    return own + sum([_count(one) for one in inner if type(one) is dict or type(one) is list])


def twice(raw: str) -> tuple[str, int, int] | None:
    """A key that stands twice in one object of a JSON text, and at which characters its two values begin; None where there is none."""
    inside: list[
        dict[str, int] | None
    ] = []  # the containers around a part, from outside: an object's keys, nothing of an array
    parts = list(PARTS.finditer(raw))
    for place, part in enumerate(parts):
        match part[0]:
            case "{":
                inside.append({})
            case "[":
                inside.append(None)
            case "}" | "]":
                inside.pop()
            case ":" if (keys := inside[-1]) is not None:
                key, begins = json.loads(parts[place - 1][0]), parts[place + 1].start() + 1
                if key in keys:
                    return key, keys[key], begins
                keys[key] = begins
    return None


def column_names(stream: BinaryIO, fmt: JsonLines) -> list[str]:
    """The keys of the first record, nested ones too."""
    record, _ = _record(beginning(stream, fmt.compression, codec_name(fmt.encoding)).split("\n")[0])
    return _keys(record)


def _record(raw: str) -> tuple[dict[str, Any] | None, str]:
    """(the object, what is wrong); an empty line is neither."""
    start = 0 if raw.startswith("{") else SPACE.match(raw).end()  # type: ignore[union-attr]
    if start == len(raw):
        return None, ""
    if is_deep(raw):
        return None, f"nested more than {DEEPEST} levels deep"
    try:
        record, end = SCANNER(raw, start)
    except StopIteration as error:
        return None, f"not JSON at character {error.value + 1}"
    except (json.JSONDecodeError, RecursionError) as error:
        where = f" at character {error.pos + 1} ({error.msg})" if isinstance(error, json.JSONDecodeError) else ""
        return None, f"not JSON{where or ' (nested too deep)'}"
    if end != len(raw) and SPACE.match(raw, end).end() != len(raw):  # type: ignore[union-attr]
        return None, f"more than one JSON value: the first ends at character {end}"
    if type(record) is not dict:
        return None, "a JSON value that is not an object"
    odd = "\\u" in raw or "\0" in raw
    if odd and not all(_is_character(c) for c in _text(record, plain=True)):
        return None, "an escape that is no character (NUL or half of a pair)"
    return record, ""


def _is_character(character: str) -> bool:
    return character != "\0" and not "\ud800" <= character <= "\udfff"


def _text(value: Any, *, plain: bool = False) -> str:
    """JSON text of a boolean or a container, its numbers as they were written. `plain`: strings unescaped, to look at
    their characters.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, str):
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ",".join(_text(v, plain=plain) for v in value) + "]"
    return "{" + ",".join(f"{_text(k, plain=plain)}:{_text(v, plain=plain)}" for k, v in value.items()) + "}"


def _keys(value: Any) -> list[str]:
    if isinstance(value, list):
        return [k for v in value for k in _keys(v)]
    if not isinstance(value, dict):
        return []
    return [*value, *(k for v in value.values() for k in _keys(v))]
