"""All numbers that a gate and a balance need, measured on what was written.

One DuckDB query over the columns it needs of the batch's own files: no Spark job, and the same query after a crash as before it. The rules
themselves are not computed again: Spark marked each row (`__verdict`, `__reasons`, `__warnings`), here the marks are counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb

from jobs.contracts import Rule, Table

PARTS = ("accepted", "rejected", "duplicate", "filtered")
_STATISTICS = {
    "expect_column_sum_to_be_between": "sum",
    "expect_column_mean_to_be_between": "mean",
    "expect_column_min_to_be_between": "min",
    "expect_column_max_to_be_between": "max",
    "expect_column_unique_value_count_to_be_between": "distinct",
    "expect_column_proportion_of_non_null_values_to_be_between": "present",
}
_SQL = {"sum": "sum({})", "mean": "avg({})", "min": "min({})", "max": "max({})", "distinct": "count(distinct {})", "present": "count({})"}


def statistic(rule: Rule) -> str | None:
    """Name of the aggregate that a table rule is judged by; None when it needs the row count only or counts rows itself."""
    kind = _STATISTICS.get(rule.expectation)
    return f"{kind}__{rule.kwargs['column']}" if kind else None


def expressions(table: Table, rules: Sequence[Rule]) -> dict[str, str]:
    """Name -> SQL aggregate over judged rows.

    `<part>_rows`, `<part>_money`, `<part>_in` (rows that came in, by their sources; silver and gold) for each verdict; `broken__<rule>` rows, and
    `money__<rule>`, of each rule that speaks of rows; `null__<column>`, `skipped__<rule>` (all columns null); statistics of table rules over accepted rows.
    """
    wanted: dict[str, str] = {}
    for part in PARTS:
        only = f"filter (where __verdict = '{part}')"
        wanted[f"{part}_rows"] = f"count(*) {only}"
        if table.money:
            wanted[f"{part}_money"] = f"coalesce(sum({quoted(table.money)}) {only}, 0)"
        if table.layer != "bronze":
            wanted[f"{part}_in"] = f"coalesce(sum(len(sources)) {only}, 0)"
    for rule in rules:
        wanted |= _of_rule(table, rule)
    wanted["unreadable_rows"] = "count(*) filter (where len(list_filter(__reasons, lambda r: suffix(r, '_unreadable') or r = 'malformed_line')) > 0)"
    return wanted


def _of_rule(table: Table, rule: Rule) -> dict[str, str]:
    name = statistic(rule)
    if name:
        kind, _, column = name.partition("__")
        return {name: _SQL[kind].format(quoted(column)) + " filter (where __verdict = 'accepted')"}
    if not rule.judges_rows:
        return {}
    marks = "__reasons" if rule.on_fail == "quarantine" else "__warnings"
    only = f"filter (where list_contains({marks}, '{rule.id}')" + ("" if rule.on_fail == "quarantine" else " and __verdict = 'accepted'") + ")"
    found = {f"broken__{rule.id}": f"count(*) {only}"}
    if table.money and rule.on_fail == "quarantine":
        found[f"money__{rule.id}"] = f"coalesce(sum({quoted(table.money)}) {only}, 0)"
    if "column" in rule.kwargs:
        found[f"null__{rule.kwargs['column']}"] = f"count(*) - count({quoted(rule.kwargs['column'])})"
    else:
        found[f"skipped__{rule.id}"] = f"count(*) filter (where coalesce({', '.join(f'{quoted(c)}::varchar' for c in rule.columns)}) is null)"
    return found


def measure(written: Any, table: Table, rules: Sequence[Rule], *, batch: int, by: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The metrics of one batch, one row a group of `by` (one row in all when empty). `written`: an Arrow dataset of the table."""
    batch_column = "__batch" if table.layer == "bronze" else "batch"
    listed = ", ".join([*map(quoted, by), *(f"{sql} as {quoted(name)}" for name, sql in expressions(table, rules).items())])
    grouped = f" group by {', '.join(map(quoted, by))}" if by else ""
    with duckdb.connect() as engine:
        engine.register("written", written)
        found = engine.execute(f"select {listed} from written where {quoted(batch_column)} = {int(batch)}{grouped}")
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def distinct(written: Any, sql: str, *, batch: int, by: str) -> dict[str, list[Any]]:
    """Group -> distinct values of an expression over accepted rows of a bronze batch."""
    with duckdb.connect() as engine:
        engine.register("written", written)
        found = engine.execute(
            f"select {quoted(by)}, list(distinct {sql}) from written where __batch = {int(batch)} and __verdict = 'accepted' and ({sql}) is not null group by 1"
        )
        return dict(found.fetchall())


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def nothing(table: Table, rules: Sequence[Rule]) -> dict[str, Any]:
    """The metrics of no rows at all."""
    empty = {"sum", "mean", "min", "max"}
    return {name: None if name.partition("__")[0] in empty else 0 for name in expressions(table, rules)}


def storable(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics as the ledger keeps them (JSON): decimals and dates as text."""
    return {k: (str(v) if isinstance(v, Decimal) else v.isoformat() if isinstance(v, date | datetime) else v) for k, v in metrics.items()}
