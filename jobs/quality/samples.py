"""Values that a contract's words allow: texts that match a simple regular expression, and values written as `parse` says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from jobs.contracts import Column
from jobs.contracts.parse import FIELDS, TWO_DIGIT_YEAR

_DIGITS = "0123456789"
_CLASSES = {"d": _DIGITS, "w": "abcdefghijklmnopqrstuvwxyz0123456789", "s": " ", "D": "x", "W": "-", "S": "x"}
_SHORTHAND = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_COUNT = re.compile(r"\{(\d+)(,(\d*))?\}")
_WRITTEN = re.compile(r"'([^']*)'|" + "|".join(FIELDS))
_ENCODED = {"yyyy": "%Y", "yy": "%y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
_EPOCH = datetime(1970, 1, 1)


def matching(regex: str, n: int = 0) -> str | None:
    """A text that the expression matches, another for each small `n` where it leaves room; None for what is not a simple one.

    Simple: literals, classes, groups with alternatives (the first is taken) and counts. The text is proved by matching it.
    """
    try:
        text = "".join(_Walk(regex, n).alternatives())
        return text if re.search(regex, text) else None
    except (IndexError, ValueError, re.error):
        return None


class _Walk:
    """Reads an expression once from left to right. `n` is spent in the places where a character may be chosen, the first turning fastest."""

    def __init__(self, regex: str, n: int) -> None:
        self._regex, self._at, self._n = regex, 0, n

    def alternatives(self) -> Iterator[str]:
        """What the first alternative gives; the others are passed over without spending `n`."""
        yield from self._sequence()
        left = self._n
        while self._peek() == "|":
            self._at += 1
            list(self._sequence())
        self._n = left

    def _sequence(self) -> Iterator[str]:
        while self._peek() not in ("", "|", ")"):
            start, left = self._at, self._n
            text = self._one()
            end = self._at
            low = self._count()
            after = self._at
            if low == 0:
                self._n = left
                continue
            yield text
            for _ in range(low - 1):
                self._at = start
                yield self._one()
            assert low == 1 or self._at == end
            self._at = after

    def _one(self) -> str:
        character = self._take()
        if character in "^$":
            return ""
        if character == "(":
            if self._peek() == "?":
                if self._regex[self._at : self._at + 2] != "?:":
                    raise ValueError("looks around")
                self._at += 2
            text = "".join(self.alternatives())
            if self._take() != ")":
                raise ValueError("the group does not end")
            return text
        if character == "[":
            return self._choose(self._class())
        if character == ".":
            return self._choose(_CLASSES["w"])
        if character == "\\":
            return self._choose(self._escaped())
        return character

    def _escaped(self) -> str:
        character = self._take()
        if character.isalnum() and character not in _CLASSES:
            raise ValueError(f"\\{character} is no simple class")
        return _CLASSES.get(character, character)

    def _class(self) -> str:
        if self._peek() == "^":
            raise ValueError("a class of what is not meant")
        members = ""
        while (character := self._take()) != "]":
            if character == "\\":
                members += self._escaped()
            elif self._peek() == "-" and self._regex[self._at + 1] != "]":
                self._at += 1
                members += "".join(map(chr, range(ord(character), ord(self._take()) + 1)))
            else:
                members += character
        return members

    def _count(self) -> int:
        """The least number of times that what was read stands; two of the open-ended ones would only be longer."""
        low = 1
        if self._peek() in ("*", "+", "?"):
            low = _SHORTHAND[self._take()][0]
        elif found := _COUNT.match(self._regex, self._at):
            self._at, low = found.end(), int(found[1])
        else:
            return low
        if self._peek() in ("?", "+") and self._peek():
            self._at += 1
        return low

    def _choose(self, members: str) -> str:
        # From the middle: 15 for [0-2]\d, not 00, so that a date's form gives a date.
        self._n, turn = divmod(self._n, len(members))
        return members[(len(members) // 2 + turn) % len(members)]

    def _peek(self) -> str:
        return self._regex[self._at : self._at + 1]

    def _take(self) -> str:
        self._at += 1
        return self._regex[self._at - 1]


def written(column: Column, value: Any) -> str | None:
    """A typed value as its column's text arrives. Timestamps are naive and stand for UTC, or for the bank's time where the text has no offset."""
    if value is None:
        return None
    ways = column.way
    if column.type == "boolean":
        yes, _, no = (ways.pattern or "").partition("/")
        return yes if value else no
    if column.type in ("date", "timestamp"):
        return _moment(column.type, ways.pattern, value)
    if not isinstance(value, Decimal):
        return str(value)
    text = str(int(abs(value).scaleb(ways.implied))) if ways.implied else f"{abs(value):f}"
    if value >= 0:
        return text
    return f"{text}-" if "trailing_minus" in ways.how else f"-{text}"


def _moment(kind: str, pattern: str | None, value: date | datetime) -> str:
    if pattern is None:
        return value.isoformat() + ("Z" if kind == "timestamp" else "")
    if pattern in ("epoch_ms", "epoch_s") and isinstance(value, datetime):
        return str((value - _EPOCH) // timedelta(**{"milliseconds" if pattern == "epoch_ms" else "seconds": 1}))
    two_digits = TWO_DIGIT_YEAR.match(pattern)

    def field(found: re.Match[str]) -> str:
        if found[1] is not None:
            return found[1]
        if found[0] == "SSS":
            return f"{value.microsecond // 1000:03d}" if isinstance(value, datetime) else "000"
        # Not every platform fills %Y to four digits.
        return value.strftime(_ENCODED[found[0]]).zfill(FIELDS[found[0]])

    return _WRITTEN.sub(field, two_digits[1] if two_digits else pattern)
