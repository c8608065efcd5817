"""Regular expressions as Spark reads them, by Java's rules: one that cannot be read ends the run that comes to it.

Told is only what Java refuses for sure; what it takes and Python does not (`\\p{IsHan}`, `(?<year>...)`, look-behind of several lengths) passes.
"""

from __future__ import annotations

import re

ESCAPES = frozenset("tnrfaedDhHsSvVwWbBAGZzRXkpPNxuc")
# Those that a name or number in brackets follows.
NAMED = re.compile(r"[pPNx]\{[^}]*\}|k<[^>]*>|c.", re.DOTALL)
# What may stand behind `(?`; the last are flags for the rest of the group.
GROUP = re.compile(r"\?(?::|=|!|>|<=|<!|<[A-Za-z][A-Za-z0-9]*>|[idmsuU]*(?:-[idmsuU]*)?(?::|(\))))")
TIMES = re.compile(r"\{(\d+)(,?)(\d*)\}")
PYTHONS = re.compile(r"\?P<(\w+)>|\?P=(\w+)\)")
# Scripts that Java knows with `Is` before them alone.
SCRIPT = re.compile(r"[pP]\{(Han|Hiragana|Katakana|Bopomofo|Latin)\}")
COMMENTS = re.compile(r"\(\?[a-zA-Z]*x")


def unreadable(pattern: str) -> tuple[int, str] | None:
    """Character (counted from 1) and reason for which Java cannot read it; None when none was found. In the mode of comments (`(?x)`) nothing is looked for."""
    if COMMENTS.search(pattern):
        return None
    try:
        _read(pattern)
    except _Unreadable as error:
        return error.at + 1, error.why
    return None


class _Unreadable(Exception):
    def __init__(self, at: int, why: str):
        self.at, self.why = at, why
        super().__init__(why)


def _read(pattern: str) -> None:
    groups: list[int] = []
    # May a `*` stand here; may a `?` or `+` that makes the one before it lazy or possessive.
    repeats, softens = False, False
    at = 0
    while at < len(pattern):
        char = pattern[at]
        quantified = False
        if char == "\\":
            at = _escape(pattern, at)
        elif char == "[":
            at = _set(pattern, at)
        elif char == "(":
            groups.append(at)
            at, closes = _group(pattern, at)
            if closes:
                groups.pop()
            else:
                repeats, softens = False, False
                continue
        elif char == ")":
            if not groups:
                raise _Unreadable(at, "no bracket is open that ) could close; write \\) for the character")
            groups.pop()
            at += 1
        elif char in "*+?":
            if softens and char != "*":
                repeats, softens, at = False, False, at + 1
                continue
            if not repeats:
                raise _Unreadable(at, f"{char} repeats nothing; write \\{char} for the character")
            quantified, at = True, at + 1
        elif char == "{":
            at, quantified = _times(pattern, at), True
        else:
            at += 1
        repeats, softens = not quantified and char != "|", quantified
    if groups:
        raise _Unreadable(groups[-1], "the bracket ( is not closed; write \\( for the character")


def _escape(pattern: str, at: int) -> int:
    """Where the escape ends."""
    if at + 1 == len(pattern):
        raise _Unreadable(at, "a backslash at the end means nothing; write \\\\ for the character")
    char = pattern[at + 1]
    if char == "Q":  # a quotation, to \E or the end
        end = pattern.find("\\E", at + 2)
        return len(pattern) if end < 0 else end + 2
    if char.isascii() and char.isalpha() and char not in ESCAPES:
        raise _Unreadable(at, f"\\{char} means nothing in Java")
    if script := SCRIPT.match(pattern, at + 1):
        raise _Unreadable(at, f"Java has no {script[1]}; it writes \\{char}{{Is{script[1]}}}")
    named = NAMED.match(pattern, at + 1)
    return named.end() if named else at + 2


def _group(pattern: str, at: int) -> tuple[int, bool]:
    """Where the beginning of a group ends, and whether that is all of it (flags)."""
    if pattern[at + 1 : at + 2] != "?":
        return at + 1, False
    begun = GROUP.match(pattern, at + 1)
    if begun:
        return begun.end(), begun[1] is not None
    if pythons := PYTHONS.match(pattern, at + 1):
        javas = f"(?<{pythons[1]}>" if pythons[1] else f"\\k<{pythons[2]}>"
        raise _Unreadable(at, f"({pythons[0]} is Python's and not Java's, which writes {javas}")
    raise _Unreadable(
        at,
        f"{pattern[at : at + 3]} begins no group that Java knows; a named group is (?<x>...) with letters and digits",
    )


def _set(pattern: str, at: int) -> int:
    """Where a set of characters ends, with those inside it."""
    start, at = at, at + 1
    at += pattern[at : at + 1] == "^"
    at += pattern[at : at + 1] == "]"  # the first is the character itself
    while at < len(pattern):
        char = pattern[at]
        if char == "]":
            return at + 1
        if char == "[":
            at = _set(pattern, at)
        elif char == "\\":
            at = _escape(pattern, at)
        else:
            to = pattern[at + 2 : at + 3]
            if pattern[at + 1 : at + 2] == "-" and to and to not in "[]\\&" and char not in "-&^" and to < char:
                raise _Unreadable(at, f"{char}-{to} is no range: {to} comes before {char}")
            at += 1
    raise _Unreadable(start, "the bracket [ is not closed; write \\[ for the character")


def _times(pattern: str, at: int) -> int:
    """Where a number of times ends."""
    times = TIMES.match(pattern, at)
    if times is None or (times[3] and not times[2]):
        raise _Unreadable(at, "{ says no number of times, such as {2}, {2,} or {2,5}; write \\{ for the character")
    if times[3] and int(times[1]) > int(times[3]):
        raise _Unreadable(at, f"{times[0]} is no number of times: {times[3]} is less than {times[1]}")
    return times.end()
