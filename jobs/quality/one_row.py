"""One row judged in plain Python, so that what its rules will say is known without an engine.

Canaries are chosen with it, and the quarantine bench looks with it at a correction before a second person is asked. What counts is decided by the gate, in
Spark (jobs/quality/casting.py, verdicts.py): wherever the two engines might differ the answer here is that it is not known, and nothing is said to be broken.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

from jobs.contracts import Column, Rule, Table
from jobs.contracts.parse import DECIMAL, EPOCH, FIELDS, places
from jobs.quality.casting import ISO_INSTANT, OFFSET, unreadable

LARGEST = {"int": 2**31 - 1, "bigint": 2**63 - 1}
# Of an offset from UTC: what Spark takes at the most.
FARTHEST = timedelta(hours=18)
# What regular expressions of Java and of Python mean differently; a line break they see differently too.
OF_ONE_ENGINE = re.compile(r"\\[bBvzZ]|&&|\(\?[a-zA-Z]|\[[^\]]*\[")
# What they mean alike among the characters of ASCII only.
OF_ASCII = re.compile(r"\\[dDsSwW]")
LINE_BREAK = re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


class Unreadable(ValueError):
    """A text that is no value of its column's type."""


class NotKnown(Enum):
    """A value is there and readable; which one, only the engine can say."""

    VALUE = "value"


def reasons(table: Table, rules: Sequence[Rule], texts: Mapping[str, str | None], zone: str) -> list[str]:
    """Why the gate is sure to reject a row of these texts: `<column>_unreadable`, and ids of quarantine rules. `zone` is the bank's.

    `texts`: physical column -> text as it stands in `rows`; a rule about a column that is left out is not asked. `rules`: with `$lists` resolved. Uniqueness takes
    two rows and is not judged. As in the gate, a value that could not be read is not said to be missing too.
    """
    columns, values, found = table.physical_columns, dict[str, Any](), list[str]()
    for name, text in texts.items():
        try:
            values[name] = read(columns[name], text, zone)
        except Unreadable:
            found.append(unreadable(name))
    asked = [r for r in rules if r.on_fail == "quarantine" and r.judges_rows and not r.is_unique]
    return found + [rule.id for rule in asked if set(rule.columns) <= set(values) and _surely(rule, columns, values)]


def _surely(rule: Rule, columns: Mapping[str, Column], values: Mapping[str, Any]) -> bool:
    """The row breaks the rule, and Spark sees it so."""
    of_rule = [values[name] for name in rule.columns]
    if any(isinstance(value, NotKnown) for value in of_rule):
        return False
    kinds = {columns[name].type.partition("(")[0] for name in rule.columns}
    kind = kinds.pop()
    if kinds or not all(_means_the_same(kind, literal) for literal in _literals(rule)):
        return False
    of_text = is_of_length(rule) or "regex" in rule.kwargs
    if of_text and (kind != "string" or not _matches_alike(str(rule.kwargs.get("regex", "")), str(of_rule[0]))):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return breaks(rule, dict(zip(rule.columns, of_rule, strict=True)))
    except (re.error, Warning):
        return False


def _matches_alike(regex: str, text: str) -> bool:
    return not (
        OF_ONE_ENGINE.search(regex) or LINE_BREAK.search(text) or (OF_ASCII.search(regex) and not text.isascii())
    )


def _literals(rule: Rule) -> list[Any]:
    """What a rule compares values with."""
    if is_of_length(rule):
        return []
    bounds = [rule.kwargs[key] for key in ("min_value", "max_value") if rule.kwargs.get(key) is not None]
    return [*bounds, *rule.kwargs.get("value_set", [])]


def _means_the_same(kind: str, literal: Any) -> bool:
    """A contract's value compares with one of the column's type without being turned into another type, which each engine does in its own way."""
    if kind == "string":
        return isinstance(literal, str)
    if kind == "boolean":
        return isinstance(literal, bool)
    if kind in ("int", "bigint", "decimal"):
        return isinstance(literal, int | float | Decimal) and not isinstance(literal, bool)
    if type(literal) is date:
        return kind == "date"
    try:
        moment = datetime.fromisoformat(literal) if isinstance(literal, str) else None
    except ValueError:
        return False
    return moment is not None and moment.tzinfo is None and (kind == "timestamp" or len(literal) == len("2026-09-15"))


# --- a text as its column's contract reads it (jobs/quality/casting.py) --------------------------------------------------


def read(column: Column, text: str | None, zone: str) -> Any:
    """The value of a text; None where nothing is given. Timestamps are naive and stand for UTC. Raises Unreadable."""
    ways = column.way
    if text is not None and column.type != "string":
        text = text.strip(" ") or None
    if text is None or text in ways.nulls:
        return None
    if column.type == "string":
        return text
    if column.type == "boolean":
        yes, no = str(ways.pattern).split("/")
        if text not in (yes, no):
            raise Unreadable
        return text == yes
    if column.type == "date":
        return _moment(text, ways.pattern or "yyyy-MM-dd", whole_days=True)
    if column.type == "timestamp":
        return _instant(text, ways.pattern, zone)
    if column.type in LARGEST:
        if not re.fullmatch("[+-]?[0-9]+", text) or not -LARGEST[column.type] - 1 <= int(text) <= LARGEST[column.type]:
            raise Unreadable
        return int(text)
    return _decimal(text, column)


def _decimal(text: str, column: Column) -> Decimal:
    match = DECIMAL.match(column.type)
    assert match is not None  # a bronze column is of no other type
    precision, scale = int(match[1]), int(match[2])
    for rewrite in column.way.rewrites:
        if re.search(rewrite.form.replace(r"\z", r"\Z"), text):
            text = rewrite.sign + re.sub(rewrite.gone, "", text)
    if implied := column.way.implied:
        if not re.fullmatch("[+-]?[0-9]+", text):
            raise Unreadable
        value = Decimal(f"{text}e-{implied}")
        if value.copy_abs() >= 10 ** (precision - scale):
            raise Unreadable
        return value
    point = rf"(\.[0-9]{{0,{scale}}})?" if scale else ""
    if not re.fullmatch(rf"[+-]?(?=\.?[0-9])0*[0-9]{{0,{precision - scale}}}{point}", text):
        raise Unreadable
    return Decimal(text)


def _moment(text: str, pattern: str, *, whole_days: bool = False) -> Any:
    """A date (`whole_days`) or a local time, whose fields stand at fixed places."""
    parts, first_year = places(pattern)
    form = "".join(f"(?P<{p}>[0-9]{{{FIELDS[p]}}})" if p in FIELDS else re.escape(p) for p in parts)
    found = re.fullmatch(form, text)
    if found is None:
        raise Unreadable
    field = {name: int(digits) for name, digits in found.groupdict().items()}
    if first_year is None:
        year = field["yyyy"]
    else:
        century, pivot = divmod(first_year, 100)
        year = 100 * (century if field["yy"] >= pivot else century + 1) + field["yy"]
    times = (
        [] if whole_days else [field.get("HH", 0), field.get("mm", 0), field.get("ss", 0), 1000 * field.get("SSS", 0)]
    )
    return _made(year, field["MM"], field["dd"], times)


def _made(year: int, month: int, day: int, clock: Sequence[int]) -> Any:
    if year == 0:
        return NotKnown.VALUE
    try:
        if not clock:
            return date(year, month, day)
        hour, minute, second, micros = clock
        return datetime(year, month, day, hour, minute, second, micros)
    except ValueError:
        raise Unreadable from None


def _instant(text: str, pattern: str | None, zone: str) -> Any:
    if pattern in EPOCH:
        times, low, high = EPOCH[pattern]
        if not re.fullmatch("-?[0-9]{1,15}", text) or not low <= int(text) <= high:
            raise Unreadable
        return datetime(1970, 1, 1) + timedelta(milliseconds=int(text) * times)
    if pattern is not None:
        return _in_utc(_moment(text, pattern), zone)
    found = re.fullmatch(f"({ISO_INSTANT}){OFFSET}?", text)
    if found is None:
        raise Unreadable
    year, month, day, *clock = [int(part) for part in re.findall("[0-9]+", found[1].partition(".")[0])]
    micros = int(found[1].partition(".")[2][:6].ljust(6, "0"))
    local = _made(year, month, day, [*clock, *([0] if len(clock) == 2 else []), micros])
    offset = found[found.re.groups]
    if isinstance(local, NotKnown) or offset is None:
        return local if isinstance(local, NotKnown) else _in_utc(local, zone)
    if offset == "Z":
        return local
    ahead = timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
    if ahead > FARTHEST or int(offset[-2:]) > 59:
        return NotKnown.VALUE
    return _apart(local, -ahead if offset[0] == "+" else ahead)


def _in_utc(local: Any, zone: str) -> Any:
    """The instant of a local time; not known of one that the clocks skip or show twice, and beside the calendar's ends."""
    if isinstance(local, NotKnown):
        return local
    both = [local.replace(tzinfo=ZoneInfo(zone), fold=fold).utcoffset() for fold in (0, 1)]
    return _apart(local, -both[0]) if both[0] == both[1] else NotKnown.VALUE


def _apart(moment: datetime, by: timedelta) -> Any:
    try:
        return moment + by
    except OverflowError:
        return NotKnown.VALUE


# --- a rule, asked of typed values (jobs/quality/verdicts.py) ------------------------------------------------------------


def breaks(rule: Rule, row: Mapping[str, Any]) -> bool:
    """Whether typed values break a row rule. A null breaks only `not_null`."""
    k, name = rule.kwargs, rule.expectation
    values = [row[c] for c in rule.columns]
    if name == "expect_column_values_to_not_be_null":
        return values[0] is None
    if any(v is None for v in values):
        return False
    if name == "expect_column_pair_values_to_be_equal":
        return bool(values[0] != values[1])
    if name.startswith("expect_column_pair"):
        return bool(values[0] < values[1] if k.get("or_equal") else values[0] <= values[1])
    value = values[0]
    if name.endswith("_in_set"):
        return (value in [_like(value, v) for v in k["value_set"]]) == ("_not_" in name)
    if name.endswith("_regex"):
        return (re.search(k["regex"], str(value)) is not None) == ("_not_" in name)
    if is_of_length(rule):
        value = len(str(value))
    if "value" in k:
        return bool(value != k["value"])
    low, high = _like(value, k.get("min_value")), _like(value, k.get("max_value"))
    too_low = low is not None and (value <= low if k.get("strict_min") else value < low)
    return bool(too_low or (high is not None and (value >= high if k.get("strict_max") else value > high)))


def of_type(kind: str, value: Any) -> Any:
    """A contract's value as the column's type."""
    if value is None or kind == "boolean":
        return value
    if kind == "date":
        return value if isinstance(value, date) else date.fromisoformat(str(value))
    if kind == "timestamp":
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return moment.replace(tzinfo=None)
    if kind in LARGEST:
        number = Decimal(str(value))
        return int(number) if number == int(number) else number
    return str(value) if kind == "string" else Decimal(str(value))


def is_of_length(rule: Rule) -> bool:
    return "value_lengths" in rule.expectation


def _like(value: Any, other: Any) -> Any:
    """A contract's value as one that compares with `value`."""
    kinds = {bool: "boolean", int: "int", Decimal: "decimal", date: "date", datetime: "timestamp", str: "string"}
    return of_type(kinds[type(value)], other)
