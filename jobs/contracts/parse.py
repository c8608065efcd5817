"""How the text of a bronze column is written: the words of `parse`, and which of them fit which types.

Words stand with a space between them:

    date, timestamp   a pattern of yyyy MM dd HH mm ss SSS at fixed places, or ISO 8601 if none is given;
                      `yyMMdd/1950`: two-digit years are those from 1950 to 2049
    timestamp         `epoch_ms`, `epoch_s`: time since 1970-01-01 UTC
    decimal           `implied(2)`: the last two digits are decimals; `trailing_minus`: 12.50-, and 12.50+; `thousands`: 1,234.50
    decimal, int      `zoned`: the last digit holds the sign as well, as mainframes print it: 123D is 1234, 123M is -1234
    boolean           `Y/N`: the texts for true and false
    any               `null(00000000,99991231)`: texts that mean that nothing is given

Three engines read numbers: Arrow sums them at arrival, Spark casts them, DuckDB adds up the money of rejected rows.
What they must agree on stands here as regular expressions that all three read alike: `Way.rewrites`, `Way.amount`
(`\\z` ends a text; `$` would let a line break follow in Spark).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from jobs.contracts.errors import Wrong

DECIMAL = re.compile(r"^decimal\((\d+),\s?(\d+)\)$")
IMPLIED = re.compile(r"^implied\(([1-9]\d*)\)$")
TWO_DIGIT_YEAR = re.compile(r"^(.*)/(\d{4})$")
NULLS = re.compile(r"(?:^|\s)null\(([^)]*)\)(?=\s|$)")
# Pattern letters whose value stands at a fixed place, and how many digits it has.
FIELDS = {"yyyy": 4, "yy": 2, "MM": 2, "dd": 2, "HH": 2, "mm": 2, "ss": 2, "SSS": 3}
# What makes no sense without the field before it.
AFTER = {"mm": "HH", "ss": "mm", "SSS": "ss"}
# Milliseconds of one, and the numbers of year 1 to 9999, which is what a timestamp holds.
EPOCH = {"epoch_ms": (1, -62135596800000, 253402300799999), "epoch_s": (1000, -62135596800, 253402300799)}
ZONED = "zoned"  # read at arrival (jobs/arrival/plain.py): what stands in `rows` has a plain sign
# For each type what may be written beside null(...), as a remedy says it.
WAYS = {
    "date": "a pattern such as yyyyMMdd, dd.MM.yyyy or yyMMdd/1950",
    "timestamp": "a pattern such as yyyyMMddHHmmss, or epoch_ms or epoch_s",
    "decimal": "implied(2), trailing_minus, thousands or zoned",
    "int": "zoned",
    "bigint": "zoned",
    "boolean": "the texts for true and false, such as Y/N",
}
# An amount of money: what the ledger can add up exactly. What is larger, or has more decimals, is no amount.
WHOLE, DECIMALS = 18, 6


@dataclass(frozen=True)
class Rewrite:
    """Of a text of this `form`, what `gone` matches is taken away and `sign` is put before the rest."""

    form: str
    gone: str
    sign: str = ""


GROUPED = Rewrite(r"^[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?[+-]?\z", ",")
MINUS_BEHIND = Rewrite(r"^[0-9.]+-\z", "-", sign="-")
PLUS_BEHIND = Rewrite(r"^[0-9.]+[+]\z", "[+]")  # COBOL's SIGN TRAILING SEPARATE has one or the other


@dataclass(frozen=True)
class Way:
    """How a column's text is written: `how` in words of numbers, the `pattern` of a date, a time or a flag, and the
    texts that mean null."""

    how: frozenset[str]
    pattern: str | None
    nulls: tuple[str, ...]

    @property
    def is_zoned(self) -> bool:
        return ZONED in self.how

    @property
    def implied(self) -> int:
        """Digits after the decimal point that is not written."""
        return next((int(m[1]) for m in map(IMPLIED.match, self.how) if m), 0)

    @property
    def rewrites(self) -> list[Rewrite]:
        """What makes a plain number, in this order, of a number written in this way."""
        known = {"thousands": [GROUPED], "trailing_minus": [MINUS_BEHIND, PLUS_BEHIND]}
        return [rewrite for word, rewrites in known.items() if word in self.how for rewrite in rewrites]

    @property
    def amount(self) -> str:
        """Regular expression of a plain number that is an amount of money; with implied decimals, of its digits."""
        if self.implied:
            return rf"^[+-]?0*[0-9]{{1,{WHOLE + self.implied}}}\z"
        return rf"^[+-]?(0*[0-9]{{1,{WHOLE}}}(\.[0-9]{{0,{DECIMALS}}})?|\.[0-9]{{1,{DECIMALS}}})\z"


def holds_money(kind: str) -> bool:
    """Whether each value of a bronze column's type is an amount of money."""
    match = DECIMAL.match(kind)
    return bool(match) and int(match[2]) <= DECIMALS and int(match[1]) - int(match[2]) <= WHOLE  # type: ignore[index]


@cache
def way(kind: str, parse: str | None) -> Way:
    """A `parse`, understood. Raises Wrong (a ValueError) naming what does not fit the column's type, and what would."""
    nulls = tuple(text.strip() for found in NULLS.finditer(parse or "") for text in found[1].split(","))
    rest = NULLS.sub(" ", parse or "").strip()
    if kind in ("date", "timestamp"):
        if rest and not (kind == "timestamp" and rest in EPOCH):
            places(rest, kind)
        return Way(frozenset(), rest or None, nulls)
    if kind == "boolean":
        yes, _, no = rest.partition("/")
        if rest and (not yes or not no or "/" in no or yes == no):
            raise _unfit(rest, kind)
        return Way(frozenset(), rest or "true/false", nulls)
    return Way(_words(rest, kind), None, nulls)


def _words(rest: str, kind: str) -> frozenset[str]:
    words = rest.split()
    match = DECIMAL.match(kind)
    number = bool(match) or kind in ("int", "bigint")
    known = [
        w
        for w in words
        if (w == ZONED and number) or (match and (w in ("trailing_minus", "thousands") or IMPLIED.match(w)))
    ]
    if len(known) < len(words):
        raise _unfit(" ".join(w for w in words if w not in known), kind)
    implied = [int(m[1]) for m in map(IMPLIED.match, words) if m]
    if len(implied) > 1 or len(set(words)) < len(words):
        raise _wrong(f"{rest} says the same thing twice", "Keep one of the two")
    if match and implied and implied[0] > int(match[2]):
        raise _wrong(
            f"implied({implied[0]}) gives more decimals than {kind} holds",
            f"Give the type {implied[0]} decimals, or imply at most {match[2]}",
        )
    return frozenset(words)


def places(pattern: str, kind: str = "date") -> tuple[list[str], int | None]:
    """The fields and separators of a date pattern in their order, and the first year of a two-digit one."""
    two_digits = TWO_DIGIT_YEAR.match(pattern)
    bare = two_digits[1] if two_digits else pattern
    parts = re.findall(r"yyyy|yy|MM|dd|HH|mm|ss|SSS|'[^']*'|[^A-Za-z']", bare)
    fields = [p for p in parts if p in FIELDS]
    years = [p for p in fields if p in ("yyyy", "yy")]
    has_day = {"MM", "dd"} <= set(fields) and years == (["yy"] if two_digits else ["yyyy"])
    has_time = all(AFTER[p] in fields for p in fields if p in AFTER)
    if "".join(parts) != bare or not has_day or not has_time or len(set(fields)) < len(fields):
        raise _unfit(
            pattern,
            kind,
            "Fields are yyyy MM dd HH mm ss SSS, each once at most; a two-digit year needs its first year, as in "
            "yyMMdd/1950",
        )
    return [p.strip("'") if p.startswith("'") else p for p in parts], int(two_digits[2]) if two_digits else None


def _unfit(words: str, kind: str, more: str = "") -> Wrong:
    ways = [WAYS[kind.partition("(")[0]]] if kind.partition("(")[0] in WAYS else []
    remedy = " or ".join([*ways, "null(...) with the texts that mean nothing"])
    return _wrong(f"{words} is not a way to write {kind}", f"Write {remedy}. {more}".strip(". "))


def _wrong(found: str, remedy: str) -> Wrong:
    return Wrong([((), found, remedy)])
