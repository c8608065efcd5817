"""What readers of formats give, and header and trailer records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, BinaryIO, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from jobs.arrival.errors import Cut, Refused
from jobs.contracts.column import Column
from jobs.contracts.formats import Record

NUL = "the line holds a NUL character"


class Malformed(NamedTuple):
    """A line that could not be split into its columns: its number, why, and the line itself."""

    line: int
    why: str
    raw: bytes


@dataclass
class Rows:
    """Some rows of a file in their order: `lines` (int64) and one string array a column, by contract name. `malformed`
    lines stand apart. `facts`: what arrival found out about their text, one string array a physical column.
    """

    lines: pa.Array
    columns: dict[str, pa.Array]
    malformed: list[Malformed] = field(default_factory=list)
    facts: dict[str, pa.Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.lines) + len(self.malformed)


class Reader(Protocol):
    """Reads one file of one format: iterate over it for `Rows`; afterwards `header`, `trailer`, `extra`, `lacking` and `notes` are filled.

    A format is one module, jobs/arrival/formats/<kind>.py, where <kind> is `format.kind` of a source. It has this class
    and a function `column_names(stream, format)`: the names that the file itself gives its columns, read before
    anything of it is kept.
    """

    seeks: ClassVar[bool]  # the format is not read from front to back
    header: dict[str, str]
    trailer: dict[str, str]
    extra: list[str]  # columns of the file that the contract does not have
    lacking: list[str]  # columns of the contract that the file does not have, and may lack
    notes: Counter[str]  # what somebody should know of the file though nothing is wrong with it, and how often
    ends_itself: bool  # a cut file shows by itself (a trailer, an end mark)

    def __init__(self, stream: BinaryIO, fmt: Any, columns: Mapping[str, Column]): ...

    def __iter__(self) -> Generator[Rows]: ...


def ends(values: pa.Array) -> np.ndarray:
    """Where in `joined` each text of an array begins (int32), and at last where the last one ends."""
    _, offsets, _ = values.buffers()
    if not len(values):
        return np.zeros(1, np.int32)
    found = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    return found - found[0]


def joined(values: pa.Array) -> bytes:
    """All texts of an array one after another, as UTF-8: to look for what none of them has takes no time then."""
    _, ends, data = values.buffers()
    if data is None or not len(values):
        return b""
    first, last = np.frombuffer(ends, np.int32)[[values.offset, values.offset + len(values)]].tolist()
    return data.slice(first, last - first).to_pybytes()  # type: ignore[no-any-return]


def text_array(values: list[str | None]) -> pa.Array:
    return pa.array(values, pa.string())


def parse_record(line: str, record: Record, separator: str, what: str, number: int) -> dict[str, str]:
    """A header or trailer line -> its fields by name. It may be split by the file's separator or by a plain `|`."""
    parts = line.split(separator)
    if parts[0].strip() != record.tag:
        parts = _by_bars(line, separator, record) or parts
    parts = [part.strip() for part in parts]
    if parts[0] != record.tag:
        begins = f"Line {number} begins with {parts[0][:8]!r}"
        if record.fields and (never := _no_separator(line, separator)):
            raise Refused(
                f"no_{what}",
                f"{begins}{never}. Expected the {what} record {record.tag} and that separator behind it; correct the separator in the source if the sender has another, else ask for "
                "the right file.",
            )
        raise Refused(f"no_{what}", f"{begins}. Expected the {what} record {record.tag}; send the file again with it.")
    if len(parts) - 1 < len(record.fields):
        raise Refused(
            f"no_{what}",
            f"The {what} in line {number} has {len(parts) - 1} fields. Expected {len(record.fields)} "
            f"({', '.join(record.fields)}); "
            "send the file again.",
        )
    return dict(zip(record.fields, parts[1:], strict=False))


def _by_bars(line: str, separator: str, record: Record) -> list[str]:
    """The line split by a plain `|`; nothing where that would cut through another separator than the declared one: `|+|` in the place of `|@|`
    leaves a field `+` before each of the line's own, and each of them would be taken for the next.
    """
    parts = line.split("|")
    between = {part.strip() for part in parts[1::2]}
    cuts_through = (
        separator != "|"
        and len(between) == 1
        and not any(c.isalnum() for c in "".join(between))
        and any(part.strip() for part in parts[2::2])
        and (len(parts) > 3 or len(parts) - 1 > len(record.fields))
    )
    return [] if cuts_through else parts


def no_line(record: Record, number: int) -> Refused:
    """Of a file that holds nothing where its header should be: no separator is to blame."""
    found = "The file is empty" if number == 1 else f"The file ends before line {number}: it holds comments only"
    return Refused("no_header", f"{found}. Expected the header record {record.tag} first; send the whole file again.")


def _no_separator(line: str, separator: str) -> str:
    """Words for a line in which the declared separator never occurs; none where it does."""
    return (
        "" if separator in line else f", and the separator {separator!r} that the source declares does not occur in it"
    )


def parse_cut(
    line: bytes, record: Record, codec: str, what: Literal["header", "trailer"], number: int
) -> dict[str, str]:
    """A header or trailer line whose fields have widths -> its fields by name. Blanks behind the last one are no part of it.

    Raises Cut for a trailer that is another line or ends too early, Refused(no_header, no_trailer) otherwise.
    """
    tag = record.tag.encode(codec)
    ends = list(accumulate(record.widths or [], initial=len(tag)))
    if not line.startswith(tag) or len(line) < ends[-1]:
        begins = line[: len(tag)].decode(codec, errors="replace")
        found = f"Line {number} begins with {begins!r} and has {len(line)} bytes. Expected the {what} record {record.tag} of {ends[-1]} bytes"
        if what == "trailer":
            raise Cut(f"{found}, last; send the whole file again.", last_whole_line=number - 1)
        raise Refused("no_header", f"{found}; send the file again with it.")
    if line[ends[-1] :].strip():
        raise Refused(
            f"no_{what}",
            f"The {what} in line {number} has {len(line)} bytes. Expected {ends[-1]} ({', '.join(record.fields)}); send the file again, or correct the widths in the source.",
        )
    cut = [line[start:end].decode(codec, errors="replace").strip() for start, end in pairwise(ends)]
    return dict(zip(record.fields, cut, strict=True))


def split_ends(
    data: bytes, *, first: bool, last: bool, header: Record | None, trailer: Record | None
) -> tuple[bytes | None, bytes, bytes | None]:
    """(header line, body, trailer line) of a block of whole lines; lines that this block does not hold are None."""
    head = tail = None
    if first and header:
        end = data.find(b"\n") + 1 or len(data)
        head, data = data[:end], data[end:]
    if last and trailer:
        body = data.rstrip(b"\r\n")
        start = body.rfind(b"\n") + 1
        tail, data = body[start:], data[:start]
    return head, data, tail


def parse_trailer(line: bytes, record: Record, separator: str, number: int) -> dict[str, str]:
    """Raises Cut when the last line is not the trailer: the end of the file is missing."""
    text = line.decode(errors="replace")
    tags = {text.split(separator)[0].strip(), (_by_bars(text, separator, record) or [""])[0].strip()}
    if record.tag not in tags:
        behind = text.strip().removeprefix(record.tag)
        # A file may be cut within its separator.
        is_other = text.startswith(record.tag) and not separator.startswith(behind)
        never = _no_separator(text, separator) if is_other else ""
        raise Cut(
            f"The file ends in line {number} without its trailer record {record.tag}{never and f': it begins with {text[:8]!r}{never}'}. Expected the trailer last; send "
            f"the whole file again{never and ', or correct the separator in the source if the sender has another'}.",
            last_whole_line=number - 1,
        )
    return parse_record(text, record, separator, "trailer", number)
