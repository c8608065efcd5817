"""COBOL copybooks: which bytes of a record are which field.

Read are levels 01 to 49, PICTURE, USAGE (DISPLAY, COMP, COMP-3, BINARY, ...), SIGN, REDEFINES, OCCURS with and without
DEPENDING ON; 77, 88, VALUE and the like say nothing of the bytes. What would move bytes in a way that is not read (SYNCHRONIZED, RENAMES)
is refused, never guessed.

A field's address is the end of its path, in lower case with `_` for `-`: COMPANY-NAME of the group COMPANY is
`company_name` where only one field has that name, else `company.company_name`. Elements of a table are counted from 1: `account[2].number`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal

from jobs.contracts.errors import nearest

# Names from the record down to a field, with the element of a table.
Path = tuple[tuple[str, int | None], ...]
Kind = Literal["text", "wide", "zoned", "packed", "binary", "float"]
USAGES: dict[str, Kind] = {
    "DISPLAY": "zoned",
    "COMP": "binary",
    "COMPUTATIONAL": "binary",
    "COMP-4": "binary",
    "COMPUTATIONAL-4": "binary",
    "COMP-5": "binary",
    "COMPUTATIONAL-5": "binary",
    "BINARY": "binary",
    "COMP-3": "packed",
    "COMPUTATIONAL-3": "packed",
    "PACKED-DECIMAL": "packed",
    "COMP-1": "float",
    "COMPUTATIONAL-1": "float",
    "COMP-2": "float",
    "COMPUTATIONAL-2": "float",
    "DISPLAY-1": "wide",
    "NATIONAL": "wide",
}
# Say nothing of the bytes.
NOISE = {
    "IS",
    "ON",
    "TIMES",
    "USAGE",
    "SIGN",
    "CHARACTER",
    "JUSTIFIED",
    "JUST",
    "RIGHT",
    "BLANK",
    "WHEN",
    "ZERO",
    "ZEROS",
    "ZEROES",
    "GLOBAL",
    "EXTERNAL",
    "ARE",
}
# Name what a table is searched by: nothing of the bytes. The words between them and the names.
SEARCH, OF_SEARCH = {"INDEXED", "ASCENDING", "DESCENDING"}, {"BY", "KEY", "IS"}
# Lines that are for the printer of the listing.
LISTING = {"EJECT", "SKIP1", "SKIP2", "SKIP3"}
MOST_DIGITS = 38
WORD = re.compile(r"""'[^']*'|"[^"]*"|[^\s]+""")
REPEATED = re.compile(r"(CR|DB|.)\((\d+)\)")
NUMBER = re.compile(r"S?[9VP]+")
STEP = re.compile(r"([a-z0-9_]+)(?:\[(\d+)\])?")
FREE = re.compile(r"^\s{0,5}\d{1,2}\s+[A-Za-z]")


class CopybookError(ValueError):
    """What cannot be read of a copybook, with its line."""

    def __init__(self, line: int, found: str, remedy: str):
        self.line, self.found, self.remedy = line, found, remedy
        super().__init__(f"line {line}: {found}. {remedy}.")


@dataclass(frozen=True)
class Picture:
    """How the bytes of one elementary field are written. `scale` decimals; negative where the picture ends in P."""

    kind: Kind
    length: int
    digits: int = 0
    scale: int = 0
    signed: bool = False
    sign: Literal["trailing", "leading", "trailing_separate", "leading_separate"] = "trailing"


@dataclass(frozen=True)
class Item:
    """One entry: a field (it has a picture) or a group (it has children). `times` = how often it stands there at most."""

    name: str
    level: int
    line: int
    picture: Picture | None = None
    children: tuple[Item, ...] = ()
    redefines: str | None = None
    times: int | None = None
    counter: str | None = None  # the field whose value says how many there are


@dataclass(frozen=True)
class Place:
    """A field, or one element of it, in a record of one layout: bytes `start` up to `end`."""

    path: Path
    start: int
    end: int
    item: Item


@dataclass(frozen=True)
class Layout:
    """Where everything stands, for one choice of how many elements the tables hold."""

    places: dict[Path, Place]
    length: int


@dataclass(frozen=True, eq=False)
class Copybook:
    """The record that a copybook describes."""

    root: Item

    @cached_property
    def tables(self) -> tuple[Item, ...]:
        """Tables whose length stands in a field, in their order."""
        return tuple(item for item in _all(self.root) if item.counter)

    @lru_cache(maxsize=1024)  # noqa: B019 - as long-lived as the contract
    def layout(self, counts: tuple[int, ...] | None = None) -> Layout:
        """`counts`: how many elements each of `tables` holds; all they can when nothing is said."""
        lengths = dict(zip((id(t) for t in self.tables), counts, strict=True)) if counts is not None else {}
        places: dict[Path, Place] = {}
        length = _place(self.root, 0, (), lengths, places)
        return Layout(places, length)

    def find(self, address: str) -> Path:
        """The path of a field, a table or a group. Raises ValueError with a remedy when there is none, or more than one."""
        steps = [STEP.fullmatch(part.strip().lower().replace("-", "_")) for part in address.split(".")]
        if not all(steps):
            raise ValueError(f"{address} is no address of a field; write group.field or table[1].field")
        wanted = [(m[1], int(m[2]) if m[2] else None) for m in steps if m]
        found = [path for path in self._paths if _ends_with(path, wanted)]
        shortest = [path for path in found if len(path) == len(wanted)]
        if len(found) == 1 or len(shortest) == 1:
            return (shortest or found)[0]
        if not found:
            inside = [
                path
                for path in self._paths
                if [step for step, _ in path[-len(wanted) :]] == [step for step, _ in wanted]
            ]
            if inside:
                way = ".".join(step if n is None else f"{step}[{n}]" for step, n in inside[0])
                raise ValueError(
                    f"{address} stands in a table; say which element: {way}, or name the table to have it as JSON"
                )
            raise ValueError(f"the copybook has no {address}. {nearest(address, self.addresses)}")
        ways = ", ".join(".".join(step for step, _ in path) for path in found[:4])
        raise ValueError(f"{address} may be each of {ways}; write more of its path")

    @cached_property
    def addresses(self) -> list[str]:
        return sorted({path[-1][0] for path in self._paths})

    @cached_property
    def _paths(self) -> list[Path]:
        return list(self.layout().places)


def parse_copybook(text: str) -> Copybook:
    """Raises CopybookError naming the line of the first thing that cannot be read."""
    items = [_item(line, words) for line, words in _sentences(text)]
    items = [item for item in items if item is not None]
    if not items:
        raise CopybookError(1, "no field is described", "Expected lines such as `05 ACCOUNT-NO PIC X(19).`")
    roots: list[Item] = []
    at = 0
    while at < len(items):
        root, at = _nested(items, at)  # type: ignore[arg-type]
        if roots and root.level == 1 and root.redefines is None:
            raise CopybookError(
                root.line,
                f"{root.name} is a second record",
                "Describe one record; others of the same file REDEFINE the first",
            )
        roots.append(root)
    root = Item("", 0, 1, children=tuple(roots))
    if len(roots) == 1 and roots[0].children and roots[0].times is None:
        root = replace(roots[0], name="")
    _check(root)
    return Copybook(root)


def _sentences(text: str) -> Iterator[tuple[int, list[str]]]:
    """(line on which it begins, its words) of each entry, which ends with a point."""
    lines = text.expandtabs(4).splitlines()
    free = any(FREE.match(line) and line[6:7] != "*" for line in lines)
    words: list[str] = []
    begun = 1
    for number, line in enumerate(lines, 1):
        if free:
            code = "" if line.lstrip().startswith("*") else line
        else:
            code = "" if line[6:7] in ("*", "/") else line[6:72]
        if code.strip().rstrip(".").upper() in LISTING:
            continue
        for word in WORD.findall(code.split("*>")[0]):
            if not words:
                begun = number
            ends = word.endswith(".") and word[0] not in "'\""
            bare = word.removesuffix(".") if ends else word
            bare = bare.rstrip(",;") if bare[:1] not in "'\"" else bare
            if bare:
                words.append(bare)
            if ends:
                if words:
                    yield begun, words
                words = []
    if words:
        raise CopybookError(begun, f"{' '.join(words[:3])} does not end with a point", "Write a point behind the entry")


def _item(line: int, words: list[str]) -> Item | None:
    if not words[0].isdigit():
        raise CopybookError(line, f"{words[0]} is no level number", "An entry begins with its level: 05 NAME PIC X(8).")
    level = int(words[0])
    if level in (77, 88):
        return None
    if level == 66 or not 1 <= level <= 49:
        raise CopybookError(line, f"level {level} is not read", "Levels are 01 to 49; take RENAMES out of the copybook")
    rest = words[1:]
    starts = {"PIC", "PICTURE", "USAGE", "OCCURS", "REDEFINES", "VALUE", "SIGN", *USAGES}
    clauses = starts | NOISE | SEARCH | {"DEPENDING", "LEADING", "TRAILING", "SEPARATE", "SYNC", "SYNCHRONIZED"}
    name = "FILLER" if not rest or rest[0].upper() in starts else rest.pop(0)
    upper = [w.upper() for w in rest]
    picture: str | None = None
    usage: Kind = "zoned"
    redefines = counter = None
    least = times = None
    sign = "trailing"
    at = 0
    while at < len(upper):
        word = upper[at]
        if word in ("PIC", "PICTURE"):
            at += 2 if upper[at + 1 : at + 2] == ["IS"] else 1
            picture = upper[at] if at < len(upper) else ""
        elif word == "REDEFINES":
            at += 1
            redefines = _plain(upper[at]) if at < len(upper) else ""
        elif word == "OCCURS":
            numbers = []
            while at + 1 < len(upper) and (upper[at + 1].isdigit() or upper[at + 1] in ("TO", "TIMES")):
                at += 1
                numbers += [int(upper[at])] if upper[at].isdigit() else []
            if not numbers:
                raise CopybookError(line, f"{name} OCCURS how often?", "Write OCCURS 5 TIMES")
            if numbers[-1] < 1 or numbers != sorted(numbers):
                found = f"{name} OCCURS {' TO '.join(map(str, numbers))}: it has no element, or its numbers stand the wrong way round"
                raise CopybookError(line, found, "Write the least number first: OCCURS 0 TO 3")
            least, times = numbers[0], numbers[-1]
        elif word == "DEPENDING":
            at += 2 if upper[at + 1 : at + 2] == ["ON"] else 1
            counter = _plain(upper[at]) if at < len(upper) else ""
        elif word in USAGES:
            usage = USAGES[word]
        elif word in ("LEADING", "TRAILING"):
            sign = word.lower() + sign.removeprefix("trailing").removeprefix("leading")
        elif word == "SEPARATE":
            sign += "_separate"
        elif word in ("SYNC", "SYNCHRONIZED"):
            raise CopybookError(line, f"{name} is SYNCHRONIZED", "Replace it by the FILLER bytes that it stands for")
        elif word in ("VALUE", "VALUES"):
            while at + 1 < len(upper) and upper[at + 1] not in starts - {"VALUE"}:
                at += 1
        elif word in SEARCH:
            while at + 1 < len(upper) and upper[at + 1] in OF_SEARCH:
                at += 1
            while at + 1 < len(upper) and upper[at + 1] not in clauses:
                at += 1
        elif word not in NOISE:
            raise CopybookError(
                line,
                f"{name}: {rest[at]} is not read",
                "Take it out, or write what it means for the bytes in words that are",
            )
        at += 1
    if least != times and counter is None:
        raise CopybookError(
            line,
            f"{_plain(name)} OCCURS {least} TO {times}, and no field says how often",
            f"Write OCCURS {times} TIMES where each record holds all of them, else DEPENDING ON the field that counts them",
        )
    made = _picture(line, name, picture, usage, sign)
    if made is None and (usage != "zoned" or sign != "trailing"):
        raise CopybookError(
            line, f"{name} is a group with a USAGE or a SIGN of its own", "Write it at each of its fields"
        )
    return Item(_plain(name), level, line, made, (), redefines, times, counter)


def _picture(line: int, name: str, text: str | None, usage: Kind, sign: str) -> Picture | None:
    if usage == "float":
        raise CopybookError(
            line,
            f"{name} is a floating-point number",
            "Money in binary is wrong before it arrives: ask for COMP-3, or name its bytes PIC X(4) or X(8)",
        )
    if text is None:
        return None
    plain = REPEATED.sub(lambda m: m[1] * int(m[2]), text)
    fits: tuple[Kind, ...] = ("zoned", "packed", "binary") if NUMBER.fullmatch(plain) else ("zoned",)
    if set(plain) <= set("GN"):
        fits = ("zoned", "wide")
    if usage not in fits:
        raise CopybookError(
            line,
            f"{name}: PIC {text} of a USAGE that such a picture does not have: its bytes would be guessed",
            "Take the USAGE out where the field holds characters (DISPLAY); a packed or binary number is of 9, S, V and P only, and of DISPLAY-1 or NATIONAL are G and N",
        )
    if set(plain) <= set("XA"):
        return Picture("text", len(plain))
    if set(plain) <= set("GN"):
        return Picture("wide", 2 * len(plain))
    if not NUMBER.fullmatch(plain):
        if set(plain) <= set("XA9ZB0/,.+-*$CRDBSV"):
            return Picture("text", len(plain.replace("V", "")))  # a picture for people: read as the text it shows
        raise CopybookError(line, f"{name}: PIC {text} is not read", "Pictures are of X, A, 9, S, V, P, G and N")
    before, _, after = plain.lstrip("S").partition("V")
    digits = plain.count("9")
    # P stands for a digit that is not written: before the others behind an implied point (PP99 is VPP99), behind them before it.
    leading = plain.lstrip("S").startswith(("P", "VP"))
    scale = len(after) if "V" in plain else len(before) if leading else -before.count("P")
    if not re.fullmatch(r"V?P*9+|9+P*V?|9*V9*", plain.lstrip("S")):
        raise CopybookError(line, f"{name}: PIC {text} is no number", "A P stands at one end, a V once")
    if not digits or digits > MOST_DIGITS:
        raise CopybookError(line, f"{name}: PIC {text} is no number", f"Numbers have 1 to {MOST_DIGITS} digits")
    signed = plain.startswith("S")
    if usage == "packed":
        return Picture("packed", digits // 2 + 1, digits, scale, signed)
    if usage == "binary":
        if digits > 18:
            raise CopybookError(line, f"{name}: a binary number of {digits} digits", "It has 18 at most")
        return Picture("binary", 2 if digits <= 4 else 4 if digits <= 9 else 8, digits, scale, signed)
    separate = signed and sign.endswith("separate")
    return Picture("zoned", digits + separate, digits, scale, signed, sign if signed else "trailing")  # type: ignore[arg-type]


def _nested(items: Sequence[Item], at: int) -> tuple[Item, int]:
    """(the item with its children, where the next of its level or above stands)."""
    item, children = items[at], []
    at += 1
    while at < len(items) and items[at].level > item.level:
        child, at = _nested(items, at)
        children.append(child)
    if children and item.picture:
        raise CopybookError(item.line, f"{item.name} has a PICTURE and fields below it", "Correct the level numbers")
    if not children and item.picture is None:
        raise CopybookError(
            item.line, f"{item.name} has neither PICTURE nor fields", "Write PIC, or correct the levels"
        )
    return replace(item, children=tuple(children)), at


def _check(root: Item) -> None:
    def walk(item: Item, inside: bool) -> None:
        seen: list[str] = []
        for child in item.children:
            if child.redefines is not None and child.redefines not in seen:
                raise CopybookError(
                    child.line,
                    f"{child.name} redefines {child.redefines or 'nothing'}, which is not before it",
                    "Correct it",
                )
            if child.counter is not None:
                _check_counter(root, child)
            if child.counter is not None and inside:
                raise CopybookError(
                    child.line,
                    f"{child.name} OCCURS DEPENDING ON inside a table",
                    "Such a record has no fixed places: ask for another layout",
                )
            seen.append(child.name)
            walk(child, inside or child.times is not None)

    walk(root, root.times is not None)


def _check_counter(root: Item, table: Item) -> None:
    """How many elements a table holds is a whole number that stands once, before the table: elsewhere it is found only when the table's end is known."""
    entries = list(_all(root))
    named = [item for item in entries if item.name == table.counter]
    if not named:
        raise CopybookError(table.line, f"{table.name} depends on {table.counter}, which is no field", "Correct it")
    counter, at = named[0], next(n for n, item in enumerate(entries) if item is table)
    picture = counter.picture
    wrong = (
        "and does not say how often it OCCURS"
        if table.times is None
        else f"a name that {len(named)} fields have"
        if len(named) > 1
        else "which stands behind it"
        if not any(item is counter for item in entries[:at])
        else "which is no whole number"
        if picture is None or picture.kind not in ("zoned", "packed", "binary") or picture.scale != 0
        else "which is an element of a table"
        if _is_in_table(root, counter)
        else ""
    )
    if wrong:
        raise CopybookError(
            table.line,
            f"{table.name} depends on {table.counter} (line {counter.line}), {wrong}",
            "Name the field before it that says how many elements it holds",
        )


def _is_in_table(root: Item, wanted: Item) -> bool:
    return wanted.times is not None or any(
        table.times is not None and any(item is wanted for item in _all(table)) for table in _all(root)
    )


def _all(item: Item) -> Iterator[Item]:
    for child in item.children:
        yield child
        yield from _all(child)


def _place(
    item: Item,
    start: int,
    path: Path,
    lengths: dict[int, int],
    places: dict[Path, Place],
) -> int:
    """Places the children of `item`, which begins at `start`; returns where it ends."""
    at = start
    begins: dict[str, int] = {}
    for child in item.children:
        begin = begins[child.redefines] if child.redefines is not None else at
        begins[child.name] = begin
        end = begin
        named = (*path, (child.name, None))
        if child.times is None:
            end = _one(child, begin, named, lengths, places)
        else:
            for n in range(1, lengths.get(id(child), child.times) + 1):
                end = _one(child, end, (*path, (child.name, n)), lengths, places)
            if child.name != "filler":
                places[named] = Place(named, begin, end, child)
        at = max(at, end)
    return at


def _one(
    item: Item,
    start: int,
    path: Path,
    lengths: dict[int, int],
    places: dict[Path, Place],
) -> int:
    end = start + item.picture.length if item.picture else _place(item, start, path, lengths, places)
    if item.name != "filler":
        places[path] = Place(path, start, end, item)
    return end


def _ends_with(path: Path, wanted: list[tuple[str, int | None]]) -> bool:
    return (
        len(path) >= len(wanted)
        and list(path[-len(wanted) :]) == wanted
        and not any(n is not None for _, n in path[: -len(wanted)])
    )


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_")
