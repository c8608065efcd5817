"""JSON lines: one object a line; a column is a path (`from: payload.amount`), numbers keep their text exactly.

A number is never made into a float: 2^53 + 1 and 1.10 arrive as they were written. A container where a value is expected arrives as compact JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, ClassVar

import pyarrow as pa

from jobs.arrival.forbidden import FORBIDDEN_KEY, forbidden
from jobs.arrival.records import Malformed, Rows, text_array
from jobs.arrival.text import BOM, beginning, blocks, codec_name, to_utf8
from jobs.contracts.model import Column
from jobs.contracts.source import JsonLines

SPACE = re.compile(r"[ \t\r]*")


class Number(str):
    """The text of a JSON number, told apart from a JSON string."""

    __slots__ = ()


SCANNER = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=Number).scan_once


class Reader:
    seeks: ClassVar[bool] = False

    def __init__(self, stream: BinaryIO, fmt: JsonLines, columns: Mapping[str, Column]):
        self.header: dict[str, str] = {}
        self.trailer: dict[str, str] = {}
        self.extra: list[str] = []
        self.ends_itself = fmt.compression is not None
        self._stream, self._fmt, self._codec = stream, fmt, codec_name(fmt.encoding)
        self._paths = {name: (column.source or name).split(".") for name, column in columns.items()}

    def __iter__(self) -> Iterator[Rows]:
        for block in blocks(self._stream, self._fmt.compression):
            data = to_utf8(block.data, self._codec, block.offset, block.line)
            if block.line == 1:
                data = data.removeprefix(BOM)
            if hit := FORBIDDEN_KEY.search(data):
                line = block.line + data.count(b"\n", 0, hit.start())
                raise forbidden(hit.group(1).decode(), f"line {line}")
            if data:
                yield self._rows(data.decode(), block.line)

    def _rows(self, text: str, line: int) -> Rows:
        lines: list[int] = []
        records: list[dict[str, Any]] = []
        malformed: list[Malformed] = []
        for number, raw in enumerate(text.removesuffix("\n").split("\n"), start=line):
            record, why = _record(raw)
            if why:
                malformed.append(Malformed(number, why, raw.encode()))
            elif record is not None:  # an empty line is no record
                lines.append(number)
                records.append(record)
        columns = {name: text_array(_column(records, path)) for name, path in self._paths.items()}
        return Rows(pa.array(lines, pa.int64()), columns, malformed)


def column_names(stream: BinaryIO, fmt: JsonLines) -> list[str]:
    """The keys of the first record, nested ones too."""
    head = beginning(stream, fmt.compression).removeprefix(BOM)
    first = head.split(b"\n")[0].decode(codec_name(fmt.encoding), errors="replace")
    record, _ = _record(first)
    return _keys(record)


def _record(raw: str) -> tuple[dict[str, Any] | None, str]:
    """(the object, what is wrong); an empty line is neither."""
    start = SPACE.match(raw).end()  # type: ignore[union-attr]
    if start == len(raw):
        return None, ""
    try:
        record, end = SCANNER(raw, start)
    except StopIteration as error:
        return None, f"not JSON at character {error.value + 1}"
    except (json.JSONDecodeError, RecursionError) as error:
        where = (
            f" at character {error.pos + 1} ({error.msg})"
            if isinstance(error, json.JSONDecodeError)
            else " (nested too deep)"
        )
        return None, f"not JSON{where}"
    if SPACE.match(raw, end).end() != len(raw):  # type: ignore[union-attr]
        return None, f"more than one JSON value: the first ends at character {end}"
    if not isinstance(record, dict):
        return None, "a JSON value that is not an object"
    if "\\u" in raw and not all(_is_character(c) for c in _text(record, plain=True)):
        return None, "an escape that is no character (NUL or half of a pair)"
    return record, ""


def _column(records: list[dict[str, Any]], path: list[str]) -> list[str | None]:
    if len(path) == 1:
        key = path[0]
        values = [record.get(key) for record in records]
    else:
        values = [_at(record, path) for record in records]
    return [v if v is None or type(v) in (str, Number) else _text(v) for v in values]


def _at(value: Any, path: list[str]) -> Any:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _is_character(character: str) -> bool:
    return character != "\0" and not "\ud800" <= character <= "\udfff"


def _text(value: Any, *, plain: bool = False) -> str:
    """JSON text of a boolean or a container, its numbers as they were written. `plain`: strings unescaped, to look at their characters."""
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
