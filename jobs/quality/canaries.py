"""Canaries: known-bad rows made from a contract alone, which ride along with every load.

Each is right in everything but one thing, so that it is accepted if the one rule that it breaks has gone blind.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import product
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as sre_parser  # type: ignore[attr-defined]
from typing import Any

from jobs.contracts import Column, Rule, Table
from jobs.quality.casting import DECIMAL, EPOCH, FIELDS, places, unreadable, way

CANARY = "__canary"
NO_TYPE = "~canary~"
TRIES = 60
FIRST_DAY = date(2024, 2, 27)
Row = dict[str, Any]


def canary_rows(table: Table, rules: Sequence[Rule]) -> list[dict[str, str | None]]:
    """Rows of text (column -> text), each of which must be rejected: one for each quarantine rule about single rows,
    and one for each column whose text can be unreadable. Uniqueness has none: it takes two rows to break it.
    """
    return list(_birds(table, rules).values())


def without_canary(table: Table, rules: Sequence[Rule]) -> list[str]:
    """Ids of quarantine rules that no row made here breaks alone, such as one that another rule implies."""
    birds = _birds(table, rules)
    return [r.id for r in rules if _is_row_rule(r) and r.id not in birds]


def _is_row_rule(rule: Rule) -> bool:
    return rule.on_fail == "quarantine" and not rule.is_unique


def _birds(table: Table, rules: Sequence[Rule]) -> dict[str, dict[str, str | None]]:
    """Reason -> the row that must be rejected for that reason and no other."""
    columns, row_rules = table.physical_columns, [r for r in rules if _is_row_rule(r)]
    birds: dict[str, dict[str, str | None]] = {}
    for n, rule in enumerate(row_rules):
        row = _breaking(rule, columns, row_rules, n)
        if row is not None:
            birds[rule.id] = {c: written(row[c], column) for c, column in columns.items()}
    for n, (name, column) in enumerate(columns.items(), len(row_rules)):
        good = _good_row(columns, row_rules, n)
        if good is not None and column.type != "string":
            texts = {c: written(good[c], other) for c, other in columns.items()}
            birds[unreadable(name)] = texts | {name: NO_TYPE}
    return birds


def _good_row(columns: Mapping[str, Column], rules: Sequence[Rule], n: int) -> Row | None:
    """The n-th row that breaks no rule (what may be null is null); None when none is found."""
    row: Row = dict.fromkeys(columns)
    for name in columns:
        of_column = [r for r in rules if r.columns == [name]]
        if not any(breaks(r, row) for r in of_column):
            continue
        for value in _values(name, columns[name], of_column, n):
            if not any(breaks(r, row | {name: value}) for r in of_column):
                row[name] = value
                break
        else:
            return None
    pairs = [r for r in rules if len(r.columns) == 2]
    for rule in pairs:
        if breaks(rule, row):
            row = _with_pair(rule, columns, rules, row, n, wanted=[]) or row
    return None if any(breaks(r, row) for r in rules) else row


def _breaking(rule: Rule, columns: Mapping[str, Column], rules: Sequence[Rule], n: int) -> Row | None:
    """A row that breaks this rule and no other."""
    good = _good_row(columns, rules, n)
    if good is None:
        return None
    if len(rule.columns) == 2:
        return _with_pair(rule, columns, rules, good, n, wanted=[rule])
    (name,) = rule.columns
    for value in [*_bad(rule, columns[name], n), *_values(name, columns[name], [], n)]:
        row = good | {name: value}
        if [r for r in rules if breaks(r, row)] == [rule]:
            return row
    return None


def _with_pair(
    rule: Rule, columns: Mapping[str, Column], rules: Sequence[Rule], row: Row, n: int, wanted: list[Rule]
) -> Row | None:
    """The row with other values in the rule's two columns, so that exactly the `wanted` rules are broken."""
    a, b = rule.columns
    options = [[row[c], *list(_values(c, columns[c], [r for r in rules if r.columns == [c]], n))[:8]] for c in (a, b)]
    for left, right in product(*options):
        changed = row | {a: left, b: right}
        if [r for r in rules if breaks(r, changed)] == wanted:
            return changed
    return None


def breaks(rule: Rule, row: Mapping[str, Any]) -> bool:
    """The rule in plain Python: the row breaks it. A null breaks only `not_null`."""
    values, k = [row[c] for c in rule.columns], rule.kwargs
    name = rule.expectation.removeprefix("expect_")
    if name == "column_values_to_not_be_null":
        return values[0] is None
    if None in values:
        return False
    first = values[0]
    if name == "column_pair_values_a_to_be_greater_than_b":
        return not (first > values[1] or (bool(k.get("or_equal")) and first == values[1]))
    if name == "column_pair_values_to_be_equal":
        return bool(first != values[1])
    if name == "column_values_to_be_between":
        return _outside(first, k, type(first))
    if name == "column_value_lengths_to_be_between":
        return _outside(len(first), k, int)
    if name == "column_value_lengths_to_equal":
        return len(first) != k["value"]
    if name in ("column_values_to_be_in_set", "column_values_to_not_be_in_set"):
        among = first in [_as(type(first), v) for v in k["value_set"]]
        return among == name.endswith("not_be_in_set")
    found = re.search(k["regex"], str(first)) is not None
    return found == name.endswith("not_match_regex")


def _outside(value: Any, k: Mapping[str, Any], kind: type) -> bool:
    low, high = k.get("min_value"), k.get("max_value")
    if low is not None and (value < _as(kind, low) or (k.get("strict_min") and value == _as(kind, low))):
        return True
    return high is not None and (value > _as(kind, high) or bool(k.get("strict_max") and value == _as(kind, high)))


def _as(kind: type, value: Any) -> Any:
    """A bound or member of a rule as a value of the column's type."""
    if kind is datetime:
        at = datetime.fromisoformat(str(value))
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    if kind is date:
        return date.fromisoformat(str(value))
    if kind is bool:
        return value if isinstance(value, bool) else str(value).lower() == "true"
    return Decimal(str(value)) if kind in (Decimal, int) else str(value)


def _values(name: str, column: Column, rules: Sequence[Rule], n: int) -> Iterator[Any]:
    """Values of the column's type; the n-th row begins with another one, so that keys differ."""
    kind = _python(column.type)
    for rule in rules:
        k = rule.kwargs
        if "value_set" in k and not rule.expectation.endswith("not_be_in_set"):
            members = [_as(kind, v) for v in k["value_set"]]
            yield from [members[(n + i) % len(members)] for i in range(len(members))]
        for bound in ("min_value", "max_value"):
            if k.get(bound) is not None and not rule.expectation.startswith("expect_column_value_lengths"):
                yield from _near(_as(kind, k[bound]), column, n)
        if kind is str and "regex" in k and not rule.expectation.endswith("not_match_regex"):
            yield from (sample(k["regex"], 1000 * n + i) for i in range(TRIES))
    yield from _plain(name, column, n)
    if kind is str:
        yield from ("9" * length for length in range(1, 41))


def _plain(name: str, column: Column, n: int) -> Iterator[Any]:
    """Values without regard to any rule."""
    kind = _python(column.type)
    if kind is bool:
        yield from (True, False)
    elif kind is date:
        yield from (FIRST_DAY + timedelta(days=n + i) for i in range(4))
    elif kind is datetime:
        start = datetime.combine(FIRST_DAY, datetime.min.time(), UTC)
        yield from (start + timedelta(days=n + i, hours=3) for i in range(4))
    elif kind is str:
        yield f"canary{n}{name}"[:40]
        yield from (f"{n:0{length}d}"[-length:] for length in range(1, 41))
    else:
        unit = _unit(column)
        yield from (kind((n + 1 + i) * unit) for i in range(4))
        yield from (kind(0), kind(-unit))


def _near(bound: Any, column: Column, n: int) -> Iterator[Any]:
    """Values on both sides of a bound."""
    if isinstance(bound, date):
        yield from (bound + timedelta(days=i) for i in (n + 1, -n - 1, 0, 1, -1))
    elif isinstance(bound, Decimal):
        kind, unit = _python(column.type), _unit(column)
        yield from (kind(bound + i * unit) for i in (n + 1, -n - 1, 0, 1, -1))


def _bad(rule: Rule, column: Column, n: int) -> Iterator[Any]:
    """Values that are likely to break the rule; what they really break is tried."""
    k, kind = rule.kwargs, _python(column.type)
    if rule.expectation == "expect_column_values_to_not_be_null":
        yield None
    if "value_set" in k:
        yield from (_as(kind, v) for v in k["value_set"])
    for bound in ("min_value", "max_value"):
        if k.get(bound) is not None and not rule.expectation.startswith("expect_column_value_lengths"):
            yield from _near(_as(kind, k[bound]), column, 0)
    if kind is str:
        if "regex" in k:
            yield from (sample(k["regex"], i) for i in range(TRIES))
        lengths = [int(k[x]) for x in ("min_value", "max_value", "value") if isinstance(k.get(x), int)]
        yield from (letter * length for m in lengths for length in (m - 1, m, m + 1) if length > 0 for letter in "9xA")
        yield from (NO_TYPE, "~", f"{n}", "")


def _unit(column: Column) -> Decimal:
    """The smallest step of a number."""
    match = DECIMAL.match(column.type)
    return Decimal(1).scaleb(-int(match[2])) if match else Decimal(1)


def _python(kind: str) -> type:
    types: dict[str, type] = {
        "string": str,
        "date": date,
        "timestamp": datetime,
        "boolean": bool,
        "int": int,
        "bigint": int,
    }
    return types.get(kind, Decimal)


def written(value: Any, column: Column) -> str | None:
    """A value as text that `casting.cast` reads back. Instants are written in UTC; by a pattern, as if in the bank's
    zone.
    """
    if value is None:
        return None
    ways = way(column)
    if isinstance(value, bool):
        return (ways.pattern or "").split("/")[0 if value else 1]
    if isinstance(value, datetime):
        if ways.pattern in EPOCH:
            return str(int(value.timestamp()) * (1000 if ways.pattern == "epoch_ms" else 1))
        return _by_pattern(value, ways.pattern) if ways.pattern else value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return _by_pattern(datetime.combine(value, datetime.min.time()), ways.pattern or "yyyy-MM-dd")
    if isinstance(value, Decimal):
        digits = f"{abs(value):f}"
        if ways.implied:
            digits = f"{int(abs(value).scaleb(ways.implied))}"
        minus = "-" if value < 0 else ""
        return f"{digits}{minus}" if "trailing_minus" in ways.how else f"{minus}{digits}"
    return str(value)


def _by_pattern(value: datetime, pattern: str) -> str:
    codes = dict(zip(FIELDS, ("%Y", "%y", "%m", "%d", "%H", "%M", "%S"), strict=False)) | {"SSS": "000"}
    return "".join(value.strftime(codes[p]) if p in codes else p for p in places(pattern)[0])


def sample(pattern: str, seed: int) -> str:
    """A text that matches the regular expression, always the same for one seed. Look-arounds and back references are
    not understood: what comes out may then not match.
    """
    return _sample(sre_parser.parse(pattern), random.Random(seed))


def _sample(parsed: Any, rng: random.Random) -> str:
    return "".join(_one(operation, argument, rng) for operation, argument in parsed)


def _one(operation: Any, argument: Any, rng: random.Random) -> str:
    if operation is sre.LITERAL:
        return chr(argument)
    if operation is sre.ANY:
        return rng.choice("0aZ")
    if operation is sre.IN:
        return _member(argument, rng)
    if operation in (sre.MAX_REPEAT, sre.MIN_REPEAT):
        low, high, inner = argument
        return "".join(_sample(inner, rng) for _ in range(rng.randint(low, min(high, low + 3))))
    if operation is sre.SUBPATTERN:
        return _sample(argument[3], rng)
    if operation is sre.BRANCH:
        return _sample(rng.choice(argument[1]), rng)
    return ""


def _member(items: Any, rng: random.Random) -> str:
    """A character of a class such as [A-Z0-9]."""
    classes = {sre.CATEGORY_DIGIT: "0123456789", sre.CATEGORY_WORD: "abcXYZ019_", sre.CATEGORY_SPACE: " "}
    if items[0][0] is sre.NEGATE:
        excluded = {chr(v) for o, v in items[1:] if o is sre.LITERAL}
        ranges = [v for o, v in items[1:] if o is sre.RANGE]
        usable = [c for c in "a0Z-" if c not in excluded and not any(lo <= ord(c) <= hi for lo, hi in ranges)]
        return rng.choice(usable or ["~"])
    operation, value = rng.choice(items)
    if operation is sre.RANGE:
        return chr(rng.randint(*value))
    return rng.choice(classes.get(value, "~")) if operation is sre.CATEGORY else chr(value)
