"""What ends a run for the sake of one row: SQL that throws, under Spark's ANSI rules, on a value that it can make nothing of.

A cast of a text that is no date, a number too large for its type, a division by nought: the build of the table ends, and the day of the whole bank with it (of a `businessDate`, the load of the feed).
The forms that begin with `try_` give null instead: in a required column that rejects the row, and no other. Told is only what is sure (jobs/contracts/conforming.py: what is known of an expression).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from sqlglot import exp

from jobs.contracts.fit import kind_of, reads_as
from jobs.contracts.parse import DECIMAL

if TYPE_CHECKING:
    from jobs.contracts.conforming import Given

    Known = Callable[[exp.Expr | None], Given]

Found = Iterator[tuple[str, str]]
ENDS = "would end the run"
# Whole numbers: how many digits always fit, and how many a value may have.
WHOLE = {"tinyint": (2, 3), "smallint": (4, 5), "int": (9, 10), "bigint": (18, 19)}
# Functions that cast and that sqlglot has no class for -> the type that they give.
CASTS = {name: name for name in ("tinyint", "smallint", "bigint", "decimal", "float")} | {
    "to_timestamp_ntz": "timestamp", "to_timestamp_ltz": "timestamp",
}  # fmt: skip
# They read a text as an instant.
OF_INSTANTS = (
    exp.TsOrDsAdd, exp.TimestampAdd, exp.TimestampTrunc, exp.LastDay, exp.NextDay, exp.AddMonths, exp.MonthsBetween, exp.Hour, exp.Minute, exp.Second, exp.Quarter,
    exp.TimeStrToTime, exp.StrToUnix,
)  # fmt: skip
# They read a text as a number.
OF_NUMBERS = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.Abs, exp.Round, exp.Floor, exp.Ceil)
COMPARES = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.Between, exp.In)


def throwing(parsed: exp.Expr, known: Known) -> Found:
    """What throws and on what, and what to write instead; each once. `known`: what is known of a part of the expression."""
    told = {one: None for node in parsed.walk() for one in _of(node, known)}
    yield from told


def narrows(type_: str | None, wanted: str) -> bool:
    """Whether numbers of a column's type may be too large for another."""
    digits, fit = _digits(type_ or ""), _digits(wanted)
    return digits is not None and fit is not None and digits[1] > fit[0] and type_ != wanted


def _digits(type_: str) -> tuple[int, int] | None:
    """Digits before the point: so many always fit, so many there may be."""
    if type_ in WHOLE:
        return WHOLE[type_]
    match = DECIMAL.match(type_)
    return (int(match[1]) - int(match[2]),) * 2 if match else None


def _of(node: exp.Expr, known: Known) -> Found:
    if isinstance(node, exp.Cast):
        yield from _cast(node, known(node.this))
    elif isinstance(node, exp.TsOrDsToDate):
        yield from _reads(node.this, known, "date", "try_to_date" if node.args.get("format") else None)
    elif isinstance(node, exp.StrToTime):
        yield from _reads(node.this, known, "timestamp", "try_to_timestamp")
    elif isinstance(node, exp.ToNumber):
        yield from _reads(node.this, known, "number", "try_to_number")
    elif isinstance(node, exp.Anonymous):
        yield from _called(node, known)
    elif isinstance(node, OF_INSTANTS):
        yield from _reads(node.this, known, "timestamp")
    elif isinstance(node, OF_NUMBERS):
        for part in _operands(node):
            yield from _reads(part, known, "number")
    elif isinstance(node, COMPARES):
        yield from _compared(node, known)
    elif isinstance(node, exp.Bracket):
        yield from _picked(node)
    if isinstance(node, exp.Div | exp.IntDiv | exp.Mod):
        yield from _divided(node, node.expression)


def _cast(node: exp.Cast, given: Given) -> Found:
    wanted = node.to.sql("spark").lower()
    if node.args.get("safe"):
        return
    if given.kind == "text" and kind_of(wanted) != "text":
        yield from _reads(node.this, lambda _: given, wanted)
    elif narrows(given.type, wanted):
        yield (
            f"{_sql(node.this)} is {given.type}, and a number too large for {wanted} {ENDS}",
            f"Write try_cast({_sql(node.this)} as {wanted}), which is null then",
        )


def _called(node: exp.Anonymous, known: Known) -> Found:
    name = node.name.lower()
    if name in CASTS and node.expressions:
        yield from _reads(node.expressions[0], known, CASTS[name])
    elif name == "make_date":
        yield (
            f"{_sql(node)}: numbers that are no date {ENDS}",
            "Write cast(try_make_timestamp(year, month, day, 0, 0, 0) as date), which is null then",
        )
    elif name == "pmod" and len(node.expressions) == 2:
        yield from _divided(node, node.expressions[1])


def _reads(part: exp.Expr, known: Known, wanted: str, instead: str | None = None) -> Found:
    """A text is read as something else: one that is none throws. `instead`: the function that does not."""
    given, type_ = known(part), "decimal(38,18)" if wanted == "number" else wanted
    if given.kind != "text" or (given.values is not None and all(reads_as(value, type_) for value in given.values)):
        return
    other = f"{instead}({_sql(part)}, ...)" if instead else f"try_cast({_sql(part)} as {type_})"
    yield (
        f"{_sql(part)} is text: one that is no {wanted} {ENDS}",
        f"Write {other}, which is null then: where silver needs the column, that row is rejected and no other. Or give the bronze column the type",
    )


def _compared(node: exp.Expr, known: Known) -> Found:
    """A text that is compared with something else is read as that, not the other way round."""
    parts = _operands(node)
    others = {kind for part in parts if (kind := known(part).kind) not in (None, "text")}
    if len(others) == 1:
        [other] = others
        for part in parts:
            yield from _reads(part, known, str(other))


def _divided(node: exp.Expr, by: exp.Expr) -> Found:
    while isinstance(by, exp.Paren):
        by = by.this
    if isinstance(by, exp.Nullif) or (isinstance(by, exp.Literal) and by.name.strip("0.")):
        return
    yield f"{_sql(node)}: a division by nought {ENDS}", f"Divide by nullif({_sql(by)}, 0), which gives null then"


def _picked(node: exp.Bracket) -> Found:
    """An element of a list by its place; what a map does not have is null, and what is split has a first part."""
    place = node.expressions[0]
    if node.args.get("safe") or not isinstance(place, exp.Literal) or place.is_string:
        return
    is_first = place.name == ("1" if node.args.get("offset") else "0")
    if isinstance(node.this, exp.RegexpSplit | exp.Split) and is_first:
        return
    yield (
        f"{_sql(node)}: a list without that element {ENDS}",
        "Write get(list, place), its places counted from 0, which is null then",
    )


def _operands(node: exp.Expr) -> list[exp.Expr]:
    told = [node.this, *(node.args.get(name) for name in ("expression", "low", "high"))]
    listed = node.expressions if isinstance(node, exp.In) else []
    return [part for part in (*told, *listed) if isinstance(part, exp.Expr)]


def _sql(node: exp.Expr) -> str:
    return node.sql("spark")
