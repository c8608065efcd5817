"""Whether a corrected row would have the key of another row of its delivery that says otherwise: then the gate rejects both, and a row that counted counts no more.

Looked at among the rows that the newest batch of the delivery judged (DuckDB), by the rule of jobs/quality/verdicts.py: of equal keys within one delivery and business date. What is not known of a row lets
it through. Keys of other deliveries are another matter: silver sees them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Row

from jobs.bank import Bank
from jobs.contracts import Rule, Table
from jobs.quality.metrics import parquet, quoted
from jobs.quality.one_row import NotKnown, Unreadable, read
from jobs.quality.repairs import Texts

Values = Mapping[str, Any]


def twice(bank: Bank, table: Table, delivery: Row[Any], rule: Rule, rows: Mapping[int, Texts], physical: Mapping[int, Texts], unsure: Collection[int]) -> tuple[int, int] | None:  # fmt: skip
    """(line, another line) of two rows of one key that differ, of which at least the first is corrected; None where no such two are known.

    `rows`: line -> its texts as they would be judged, of the lines that the rule asks; `physical`: line -> the corrected ones among them; `unsure`: lines that a fix which waits may change."""
    values = {line: _values(bank, table, texts) for line, texts in rows.items()}
    made = {line: key for line in rows if (key := _key(rule, values[line])) is not None}
    if not made:
        return None
    stood = _judged(bank, table, delivery, rule, made, [*physical, *unsure])
    days = {line: _day(bank, table, delivery, values[line], physical[line], stood.own.get(line)) for line in made}
    seen: list[tuple[int, Any, Any, Values]] = list(stood.others)
    for line, key in sorted(made.items()):
        if days[line] is None:
            continue
        for other, of_key, day, told in seen:
            if (of_key, day) == (key, days[line]) and _differ(table, values[line], told):
                return line, other
        seen.append((line, key, days[line], values[line]))
    return None


def _values(bank: Bank, table: Table, texts: Texts) -> dict[str, Any]:
    """The values that can be told for sure."""
    found: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            value = read(table.physical_columns[name], text, bank.catalog.profile.zone)
        except Unreadable:
            continue
        if not isinstance(value, NotKnown):
            found[name] = value
    return found


def _key(rule: Rule, values: Values) -> tuple[Any, ...] | None:
    """None where a part of it is not known, or null: that is compared with nothing."""
    key = tuple(values.get(name) for name in rule.columns)
    return None if None in key else key


def _differ(table: Table, one: Values, other: Values) -> bool:
    return any(one[name] != other[name] for name in table.compared if name in one and name in other)


def _day(bank: Bank, table: Table, delivery: Row[Any], values: Values, texts: Texts, stood: date | None) -> date | None:
    """The business date of a row as it would be judged: that by which it was, unless a corrected column tells it."""
    told_by = set(re.findall(r"\w+", table.business_date)) if table.business_date else {"business_date"}
    if not told_by & set(texts):
        return stood
    if table.business_date:
        return None
    return values.get("business_date") or delivery.business_date


class _Judged:
    """What the newest batch of a delivery says: of the corrected lines their business date (`own`), of others of one of the keys line, key, date and values."""

    def __init__(self) -> None:
        self.own: dict[int, date] = {}
        self.others: list[tuple[int, Any, Any, Values]] = []


def _judged(bank: Bank, table: Table, delivery: Row[Any], rule: Rule, made: Mapping[int, tuple[Any, ...]], changed: Collection[int]) -> _Judged:  # fmt: skip
    import duckdb

    found, batch = _Judged(), delivery.live_batch or delivery.load_batch
    files = bank.lake.written(table, batch) if batch is not None else []
    if not files:
        return found
    unique = [other.id for other in bank.catalog.rules(table) if other.is_unique]
    columns = list(dict.fromkeys([*rule.columns, *table.compared]))
    listed = ", ".join(
        ["__line", "__business_date", "list_has_all($unique::varchar[], __reasons)", *map(quoted, columns)]
    )
    first = quoted(rule.columns[0])
    query = (
        f"select {listed} from {parquet(files)} where __delivery_id = $delivery and __batch = $batch "
        f"and (list_contains($lines, __line) or list_contains($keys, {first}))"
    )
    given = {
        "unique": unique,
        "delivery": delivery.delivery_id,
        "batch": batch,
        "lines": list(made),
        "keys": [key[0] for key in made.values()],
    }
    with duckdb.connect() as engine:
        engine.execute("set timezone = 'UTC'")
        rows = engine.execute(query, given).fetchall()
    for line, day, is_good, *values in rows:
        if line in made:
            found.own[line] = day
        if is_good and line not in changed:
            told = {name: _plain(value) for name, value in zip(columns, values, strict=True)}
            found.others.append((line, tuple(told[name] for name in rule.columns), day, told))
    return found


def _plain(value: Any) -> Any:
    """An instant as jobs/quality/one_row.py tells it: naive, in UTC."""
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value
