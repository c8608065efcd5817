"""Canaries: known-bad rows made from a contract, one broken rule each, which ride along with every load.

A canary is a valid row but for one rule, so that nothing else rejects it when that rule goes blind. No two share a key where the contract
leaves room for it: else the uniqueness rule would reject those that went through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

from jobs.contracts import Column, Rule, Table
from jobs.contracts.parse import DECIMAL, TWO_DIGIT_YEAR
from jobs.quality.one_row import LARGEST, breaks, is_of_length, of_type
from jobs.quality.samples import matching, written

CANARY = "__canary"
# Any day will do: canaries belong to no business day.
DAY = datetime(2024, 1, 1, 12)
STRANGE = "~canary~"
LONGEST = 10_000


def canary_rows(table: Table, rules: Sequence[Rule]) -> list[dict[str, str | None]]:
    """Rows of text (physical columns, as they stand in `rows`), each of which must be rejected by one rule. `rules`: with `$lists` resolved."""
    return list(canaries(table, rules).values())


def not_covered(table: Table, rules: Sequence[Rule]) -> list[Rule]:
    """The quarantine rules without a canary: uniqueness, which takes two rows, and those that no value breaks alone."""
    covered = canaries(table, rules)
    return [rule for rule in rules if rule.on_fail == "quarantine" and rule.id not in covered]


def canaries(table: Table, rules: Sequence[Rule]) -> dict[str, dict[str, str | None]]:
    """Rule id -> the row of text that breaks this rule and no other quarantine rule."""
    columns = table.physical_columns
    row_rules = [r for r in rules if r.on_fail == "quarantine" and not r.is_unique]
    found = {}
    for n, rule in enumerate(row_rules, 1):
        choices = {
            name: list(_choices(column, [r for r in row_rules if name in r.columns], n))
            for name, column in columns.items()
        }
        valid = _valid(choices, row_rules)
        bad = _breaking(rule, valid, choices, row_rules) if valid is not None else None
        if bad is not None:
            found[rule.id] = {name: written(column, bad[name]) for name, column in columns.items()}
    return found


def _valid(choices: dict[str, list[Any]], rules: Sequence[Rule]) -> dict[str, Any] | None:
    """The first choice of each column that breaks no rule of its own, pairs mended after; None if a rule cannot be kept."""
    row: dict[str, Any] = {}
    for name, values in choices.items():
        own = [r for r in rules if r.columns == [name]]
        for value in values:
            if not any(breaks(r, {name: value}) for r in own):
                row[name] = value
                break
        else:
            return None
    for rule in rules:
        if breaks(rule, row):
            mended = _combined(row, rule.columns, choices, rules, wanted=set())
            row = row if mended is None else mended
    return None if any(breaks(r, row) for r in rules) else row


def _breaking(
    rule: Rule, valid: dict[str, Any], choices: dict[str, list[Any]], rules: Sequence[Rule]
) -> dict[str, Any] | None:
    return _combined(valid, rule.columns, choices, rules, wanted={rule.id})


def _combined(
    row: dict[str, Any],
    columns: Sequence[str],
    choices: dict[str, list[Any]],
    rules: Sequence[Rule],
    *,
    wanted: set[str],
) -> dict[str, Any] | None:
    """The row with other values in these columns, so that of the rules that read them it breaks just those wanted."""
    touched = [r for r in rules if set(r.columns) & set(columns)]
    for values in product(*(choices[c] for c in columns)):
        changed = row | dict(zip(columns, values, strict=True))
        if {r.id for r in touched if breaks(r, changed)} == wanted:
            return changed
    return None


def _choices(column: Column, rules: Sequence[Rule], n: int) -> Iterator[Any]:
    """Values that the column can carry, likely good ones first, null last: enough of them to keep and to break each of its rules."""
    kind = column.type
    listed = [of_type(kind, v) for r in rules for v in r.kwargs.get("value_set", [])]
    turn = n % len(listed) if listed else 0
    values = (
        [*listed[turn:], *listed[:turn], *_texts(rules, n)] if kind == "string" else [*listed[turn:], *listed[:turn]]
    )
    bounds = [
        of_type(kind, r.kwargs[k])
        for r in rules
        for k in ("min_value", "max_value")
        if r.kwargs.get(k) is not None and not is_of_length(r)
    ]
    values += _plain(column, n)
    for bound in [b for b in bounds if b is not None]:
        step = _step(column)
        values += [bound, *([bound + step, bound - step] if step is not None else [])]
    seen = []
    for value in values:
        if value is not None and value not in seen and _fits(column, value):
            seen.append(value)
            yield value
    yield None


def _texts(rules: Sequence[Rule], n: int) -> list[str | None]:
    """Texts of the forms and lengths that the rules speak of, and of others."""
    forms = [matching(r.kwargs["regex"], n) for r in rules if "regex" in r.kwargs]
    lengths = [
        r.kwargs[k]
        for r in rules
        if is_of_length(r)
        for k in ("min_value", "max_value", "value")
        if r.kwargs.get(k) is not None
    ]
    sizes = sorted({int(length) + more for length in lengths for more in (0, 1, -1)} & set(range(1, LONGEST)))
    # Filled with digits, and with what is neither digit nor letter.
    sized = [fill(size) for size in sizes for fill in (lambda k: f"{n:0{k}d}"[-k:], lambda k: (STRANGE * k)[:k])]
    return [*forms, *sized, f"canary-{n}", STRANGE, *(f"{form}~" for form in forms if form), ""]


def _plain(column: Column, n: int) -> list[Any]:
    """Values of the type alone."""
    kind = column.type
    if kind == "boolean":
        return [True, False]
    if kind in ("date", "timestamp"):
        # Texts in the bank's time and in UTC lie less than a day apart: with a day between them the order is sure in every zone.
        at = DAY + timedelta(days=n + (kind == "timestamp" and column.way.pattern not in (None, "epoch_ms", "epoch_s")))
        moments = [at, at - timedelta(days=2), at + timedelta(days=2)]
        return [m.date() for m in moments] if kind == "date" else moments
    if kind in LARGEST:
        return [n, 0, -1, n + 1]
    return [] if kind == "string" else [Decimal(n), Decimal(0), Decimal(-1), Decimal(n + 1)]


def _step(column: Column) -> Any:
    """The smallest difference of two values; None where there is none."""
    if column.type in LARGEST:
        return 1
    if column.type in ("date", "timestamp"):
        return timedelta(days=1)
    match = DECIMAL.match(column.type)
    return Decimal(1).scaleb(-(column.way.implied or int(match[2]))) if match else None


def _fits(column: Column, value: Any) -> bool:
    """The column can hold the value, and its text is not one that means null."""
    ways = column.way
    if column.type == "date" and ways.pattern and (two_digits := TWO_DIGIT_YEAR.match(ways.pattern)):
        return int(two_digits[2]) <= value.year < int(two_digits[2]) + 100
    if column.type in LARGEST:
        return abs(value) <= LARGEST[column.type]
    if match := DECIMAL.match(column.type):
        precision, scale = int(match[1]), ways.implied or int(match[2])
        return abs(value) < 10 ** (precision - int(match[2])) and value == round(value, scale)
    return written(column, value) not in ways.nulls
