"""Whether constants of a contract fit the type that they stand for: bounds, value sets and enums are compared with a column, constants of a conform are cast to one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from jobs.contracts.column import Column
from jobs.contracts.expectations import BETWEEN, BOUNDS, USUAL
from jobs.contracts.profile import Reference
from jobs.contracts.rule import Rule

Kind = Literal["text", "number", "date", "timestamp", "boolean"]
# What Spark reads as true or false.
FLAGS = {"t", "true", "y", "yes", "1", "f", "false", "n", "no", "0"}
WHOLE = re.compile(r"^\s*[+-]?\d+\s*$")
DAY = re.compile(r"^\s*(\d{4})-(\d{1,2})-(\d{1,2})([ T].*)?\s*$")
LOOKS_LIKE = {
    "number": "a number",
    "date": "a date such as 2026-09-15",
    "timestamp": "a time such as 2026-09-15 08:30:00",
    "boolean": "true or false",
    "text": "text in quotes",
}
OF_TEXT = {
    "expect_column_values_to_match_regex",
    "expect_column_values_to_not_match_regex",
    "expect_column_value_lengths_to_be_between",
    "expect_column_value_lengths_to_equal",
}
OF_NUMBERS = {"expect_column_sum_to_be_between", "expect_column_mean_to_be_between"}
OF_VALUES = {
    "expect_column_values_to_be_between",
    "expect_column_values_to_be_in_set",
    "expect_column_values_to_not_be_in_set",
    "expect_column_min_to_be_between",
    "expect_column_max_to_be_between",
}
PAIR = ("column_A", "column_B")


def kind_of(type_: str) -> Kind | None:
    """None for lists and structures, whose values are compared with nothing."""
    if type_.startswith("decimal") or type_ in ("int", "bigint"):
        return "number"
    if type_ == "string":
        return "text"
    return type_ if type_ in ("date", "timestamp", "boolean") else None  # type: ignore[return-value]


def reads_as(text: str, type_: str) -> bool:
    """Whether a text, cast to the type by Spark as it does in the build, is a value of it. Never False for one that is."""
    kind = kind_of(type_)
    if kind == "number":
        return _number(text.strip()) is not None if type_.startswith("decimal") else bool(WHOLE.match(text))
    if kind == "boolean":
        return text.strip().lower() in FLAGS
    if kind in ("date", "timestamp"):
        return _is_day(text)
    return True


def is_comparable(value: Any, type_: str) -> bool:
    """Whether a constant of a rule, as YAML reads it, can be compared with values of the type."""
    kind = kind_of(type_)
    if value is None or kind is None:
        return True
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, int | float):
        return kind == "number"
    return kind == "text" or (_number(value) is not None if kind == "number" else reads_as(value, type_))


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _is_day(text: str) -> bool:
    match = DAY.match(text)
    if not match:
        return bool(re.match(r"^\s*\d{4}(-\d{1,2})?\s*$", text))  # a year or a month, which is its first day
    try:
        date(*(int(part) for part in match.groups()[:3]))
    except ValueError:
        return False
    return True


def _misfits(values: Sequence[Any], type_: str) -> list[Any]:
    return [value for value in values if not is_comparable(value, type_)]


def allowed(column: Column, references: Mapping[str, Reference]) -> list[str] | None:
    """The values of a column's enum as texts; None where it has none, or its list is not there."""
    values = _values(column.enum, references)
    return None if values is None else [str(v).lower() if isinstance(v, bool) else str(v) for v in values]


def unfit_enum(column: Column, references: Mapping[str, Reference]) -> list[Any]:
    """Values of a column's enum that are not of its type."""
    return _misfits(_values(column.enum, references) or (), column.type)


def _values(told: Sequence[Any] | str | None, references: Mapping[str, Reference]) -> Sequence[Any] | None:
    """The values of an enum or a value set, which may be told by a list's name."""
    if not isinstance(told, str):
        return told
    return references[told[1:]].allowed() if told[1:] in references else None


def unfit(rule: Rule, columns: Mapping[str, Column], references: Mapping[str, Reference]) -> Iterator[tuple[str, str]]:
    """What a rule asks that its column, by its type, cannot answer, and the remedy. Columns and lists that are not there are told elsewhere."""
    if rule.expectation in OF_TEXT | OF_NUMBERS | OF_VALUES:
        name = str(rule.kwargs["column"])
        if name in columns:
            yield from _of_column(rule, name, columns[name].type, references)
    if rule.expectation.startswith("expect_column_pair"):
        a, b = (str(rule.kwargs[key]) for key in PAIR)
        kinds = [kind_of(columns[name].type) for name in (a, b) if name in columns]
        if len(kinds) == 2 and None not in kinds and len(set(kinds)) == 2 and set(kinds) != {"date", "timestamp"}:
            yield (
                f"rule {rule.id} compares {a} ({columns[a].type}) with {b} ({columns[b].type})",
                "Name two columns of one kind",
            )
    yield from _numbers(rule)
    yield from _empty_range(rule, columns)


def _of_column(rule: Rule, name: str, type_: str, references: Mapping[str, Reference]) -> Iterator[tuple[str, str]]:
    kind = kind_of(type_)
    if kind is None:
        return
    if rule.expectation in OF_TEXT and kind != "text":
        yield (
            f"rule {rule.id} asks how {name} is written, which is of type {type_}",
            "Only text has a form: ask its value with expect_column_values_to_be_between or expect_column_values_to_be_in_set",
        )
    if rule.expectation in OF_NUMBERS and kind != "number":
        yield f"rule {rule.id} adds up {name}, which is of type {type_}", "Name a column of numbers"
    if rule.expectation in OF_VALUES:
        for key in sorted(BOUNDS & set(rule.kwargs)):
            if not is_comparable(rule.kwargs[key], type_):
                yield (
                    f"rule {rule.id}: {key} {rule.kwargs[key]!r} is compared with {name}, which is of type {type_}",
                    f"Write {LOOKS_LIKE[kind]}",
                )
        if wrong := _misfits(_values(rule.kwargs.get("value_set"), references) or (), type_):
            yield (
                f"rule {rule.id}: value_set has {shown(wrong)}, and {name} is of type {type_}",
                f"Write {LOOKS_LIKE[kind]}",
            )


def _numbers(rule: Rule) -> Iterator[tuple[str, str]]:
    """Bounds of counts, lengths, sums and shares, and the tolerance, are numbers whatever the column's type."""
    keys = {"value"} & set(rule.kwargs) if rule.expectation in OF_TEXT else set()
    # Those of a number of rows may be told in what is usual, and were read with the rule.
    if rule.expectation in BETWEEN - OF_VALUES - {"expect_table_row_count_to_be_between"}:
        keys |= BOUNDS & set(rule.kwargs)
    for key in sorted(keys):
        if not is_comparable(rule.kwargs[key], "bigint"):
            yield f"rule {rule.id}: {key} {rule.kwargs[key]!r} is no number", "Write a number"
    share = rule.kwargs.get("mostly", 1)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        yield f"rule {rule.id}: mostly {share!r} is no share of the rows", "Write a number from 0 to 1, such as 0.95"


def _empty_range(rule: Rule, columns: Mapping[str, Column]) -> Iterator[tuple[str, str]]:
    """Bounds that no value lies between: the rule would be broken by everything, for the least is above the most."""
    least, most = rule.kwargs.get("min_value"), rule.kwargs.get("max_value")
    if rule.expectation not in BETWEEN or least is None or most is None:
        return
    kind: Kind | None = "number"
    if rule.expectation in OF_VALUES:
        name = str(rule.kwargs["column"])
        kind = kind_of(columns[name].type) if name in columns else None
    bounds = [_ordered(bound, kind) for bound in (least, most)]
    if None in bounds or type(bounds[0]) is not type(bounds[1]):
        return  # told as what they are, or not to be compared before the day: a number of rows with a share of what is usual
    strict = rule.kwargs.get("strict_min") or rule.kwargs.get("strict_max")
    if bounds[0] > bounds[1] or (strict and bounds[0] == bounds[1]):  # type: ignore[operator]
        above = "above" if bounds[0] > bounds[1] else "equal to"  # type: ignore[operator]
        but = "" if above == "above" else ", which itself is not allowed"
        yield (
            f"rule {rule.id}: min_value {least} is {above} max_value {most}{but}: nothing lies between them",
            "Write the least as min_value and the most as max_value",
        )


def _ordered(bound: Any, kind: Kind | None) -> Decimal | datetime | str | tuple[Decimal] | None:
    """A bound as something that others of its kind can be compared with; None where that is not sure."""
    if isinstance(bound, bool) or kind is None or kind == "boolean":
        return None
    if kind == "number":
        usual = re.fullmatch(USUAL, str(bound))
        return (Decimal(usual[1]),) if usual else _number(str(bound))
    if kind == "text" or not isinstance(bound, str):
        return bound if isinstance(bound, str) else None
    try:
        at = datetime.fromisoformat(bound.strip())
    except ValueError:
        return None
    return at if at.tzinfo is None else None


def shown(values: Sequence[Any], most: int = 5) -> str:
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return ", ".join(map(repr, values[:most])) + more
