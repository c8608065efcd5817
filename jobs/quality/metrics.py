"""All numbers that a gate and a balance need, measured on what was written.

DuckDB reads the columns it needs of the batch's own files: no Spark job, and the same query after a crash as
before it. The rules themselves are not computed again: Spark marked each row (`__verdict`, `__reasons`, `__warnings`),
here the marks are counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb

from jobs.contracts import Rule, Table
from jobs.contracts.parse import Way
from jobs.quality.casting import MALFORMED, unreadable

PARTS = ("accepted", "rejected", "duplicate", "filtered")
_STATISTICS = {
    "expect_column_sum_to_be_between": "sum",
    "expect_column_mean_to_be_between": "mean",
    "expect_column_min_to_be_between": "min",
    "expect_column_max_to_be_between": "max",
    "expect_column_unique_value_count_to_be_between": "distinct",
    "expect_column_proportion_of_non_null_values_to_be_between": "present",
}
_SQL = {
    "sum": "sum({})",
    "mean": "avg({})",
    "min": "min({})",
    "max": "max({})",
    "distinct": "count(distinct {})",
    "present": "count({})",
}
LEDGER_MONEY = "decimal(38, 6)"
# The metric that says which record was the first that could not be read, and why.
FIRST_MALFORMED = f"first_{MALFORMED}"
# Without a value where there is no row.
OF_NOTHING = {"sum", "mean", "min", "max"}


def statistic(rule: Rule) -> str | None:
    """Name of the aggregate that a table rule is judged by; None when it needs the row count only or counts rows."""
    kind = _STATISTICS.get(rule.expectation)
    return f"{kind}__{rule.kwargs['column']}" if kind else None


def readable(table: Table) -> list[str]:
    """The columns whose text can be unreadable: those of a bronze table that are no strings."""
    return [n for n, c in table.physical_columns.items() if c.type != "string"] if table.layer == "bronze" else []


def of_rows(table: Table, rules: Sequence[Rule]) -> dict[str, str]:
    """Name -> SQL aggregate over all judged rows.

    For each verdict `<part>_rows`, `<part>_money`, and in silver and gold `<part>_in`, the rows that came in by their
    sources. For each rule that speaks of rows `skipped__<rule>`, rows of which it says nothing, for a column is null;
    filtered rows are not among them. Statistics of table rules, over accepted rows.
    """
    wanted: dict[str, str] = {}
    money = _money(table)
    for part in PARTS:
        only = f"filter (where __verdict = '{part}')"
        wanted[f"{part}_rows"] = f"count(*) {only}"
        if money:
            of_part = money if part == "rejected" else quoted(table.money or "")
            wanted[f"{part}_money"] = f"coalesce(sum({of_part}) {only}, 0)::{LEDGER_MONEY}"
        if table.layer != "bronze":
            wanted[f"{part}_in"] = f"coalesce(sum(len(sources)) {only}, 0)"
    for rule in rules:
        if name := statistic(rule):
            kind, _, column = name.partition("__")
            wanted[name] = _SQL[kind].format(quoted(column)) + " filter (where __verdict = 'accepted')"
        elif rule.judges_rows:
            missing = " or ".join(f"{quoted(c)} is null" for c in rule.columns)
            wanted[f"skipped__{rule.id}"] = f"count(*) filter (where __verdict <> 'filtered' and ({missing}))"
    return wanted


def of_marked(table: Table, rules: Sequence[Rule]) -> dict[str, str]:
    """Name -> SQL aggregate over the rows that have a reason or a warning, each of which is 0 where there is none.

    For each rule that speaks of rows `broken__<rule>` rows, with their money `money__<rule>`;
    `unreadable__<column>` and `malformed_line` rows.
    """
    wanted: dict[str, str] = {}
    money = _money(table)
    for rule in rules:
        if not rule.judges_rows:
            continue
        broken = f"list_contains({'__reasons' if rule.on_fail == 'quarantine' else '__warnings'}, '{rule.id}')"
        wanted[f"broken__{rule.id}"] = f"count(*) filter (where {broken})"
        if money:
            wanted[f"money__{rule.id}"] = f"coalesce(sum({money}) filter (where {broken}), 0)::{LEDGER_MONEY}"
    for column in readable(table):
        wanted[f"unreadable__{column}"] = _marked("__reasons", unreadable(column))
    if table.layer == "bronze":
        wanted[MALFORMED] = _marked("__reasons", MALFORMED)
    return wanted


def _marked(marks: str, reason: str) -> str:
    return f"count(*) filter (where list_contains({marks}, '{reason}'))"


def _money(table: Table) -> str | None:
    """SQL for the money of one row. An amount that the column cannot hold (12.345 of cents) was counted at arrival, so
    that its row is rejected with that money; what is no amount at all was not counted.
    """
    if not table.money:
        return None
    column = quoted(table.money)
    if table.layer != "bronze":
        return column
    amount = amount_of(f"__raw['{table.money}']", table.physical_columns[table.money].way)
    return f"coalesce({column}, case when __verdict = 'rejected' then {amount} end)"


def amount_of(text: str, way: Way) -> str:
    """SQL for the amount of money that a text says, null where it says none: the same as jobs.arrival.totals.sum_of."""
    for rewrite in way.rewrites:
        plain = f"'{rewrite.sign}' || regexp_replace({text}, '{rewrite.gone}', '', 'g')"
        text = f"case when regexp_matches({text}, '{rewrite.form}') then {plain} else {text} end"
    unit = f"{Decimal(1).scaleb(-way.implied):f}::decimal({way.implied + 1}, {way.implied})"
    number = f"try_cast({text} as decimal(24)) * {unit}" if way.implied else f"try_cast({text} as {LEDGER_MONEY})"
    return f"case when regexp_matches({text}, '{way.amount}') then {number} end"


def measure(
    files: Sequence[str], table: Table, rules: Sequence[Rule], *, batch: int, by: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The metrics of one batch, one row a group of `by` (one row in all when empty): those of `of_rows` and `of_marked`. `files`: Parquet files,
    among whose rows are all of the batch.
    """
    if not files:
        return [] if by else [nothing(table, rules)]
    batch_column = "__batch" if table.layer == "bronze" else "batch"
    of_batch = f"{parquet(files)} where {quoted(batch_column)} = {int(batch)}"
    marked = dict.fromkeys(of_marked(table, rules), 0)
    with duckdb.connect() as engine:
        every = _grouped(engine, of_rows(table, rules), of_batch, by)
        # Few rows have marks: to look for each rule's among all rows would take most of the time.
        few = _grouped(
            engine, of_marked(table, rules), f"{of_batch} and (len(__reasons) > 0 or len(__warnings) > 0)", by
        )
    return [dict(zip(by, group, strict=True)) | found | few.get(group, marked) for group, found in every.items()]


def counted(files: Sequence[str], table: Table, *, batch: int, by: Sequence[str]) -> list[dict[str, Any]]:
    """Rows and money of one batch by verdict, one row a group of `by`."""
    if not files:
        return []
    with duckdb.connect() as engine:
        found = _grouped(engine, of_rows(table, []), f"{parquet(files)} where __batch = {int(batch)}", by)
    return [dict(zip(by, group, strict=True)) | counts for group, counts in found.items()]


def _grouped(
    engine: duckdb.DuckDBPyConnection, aggregates: Mapping[str, str], rows: str, by: Sequence[str]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    if not aggregates:
        return {}
    groups = list(map(quoted, by))
    grouped = f" group by {', '.join(groups)}" if groups else ""
    listed = ", ".join([*groups, *(f"{sql} as {quoted(name)}" for name, sql in aggregates.items())])
    found = engine.execute(f"select {listed} from {rows}{grouped}").fetchall()
    return {row[: len(by)]: dict(zip(aggregates, row[len(by) :], strict=True)) for row in found}


def first_malformed(files: Sequence[str], *, batch: int) -> dict[str, str]:
    """Delivery -> the first record of a bronze batch that could not be read: its line, and what the format's reader said."""
    if not files:
        return {}
    of = f"{parquet(files)} where __batch = {int(batch)} and list_contains(__reasons, '{MALFORMED}')"
    first = "arg_min('line ' || __line || ': ' || __raw['__malformed'], __line)"
    with duckdb.connect() as engine:
        return dict(engine.execute(f"select __delivery_id, {first} from {of} group by 1").fetchall())


def distinct(files: Sequence[str], sql: str, *, batch: int, by: str, zone: str = "UTC") -> dict[str, list[Any]]:
    """Group -> distinct dates that an expression gives over accepted rows of a bronze batch; where it gives a list, those in the lists. A moment counts as its
    date; what lies before the year 1 is no day of a bank. `zone`: where an instant has its date.
    """
    if not files:
        return {}
    with duckdb.connect() as engine:
        engine.execute(f"set timezone = '{zone}'")
        # DuckDB may compute a value before it looks at the verdict: what no accepted row has must not fail the load.
        values = (
            f"(select {quoted(by)}, case when __verdict = 'accepted' then try({sql}) end as found "
            f"from {parquet(files)} where __batch = {int(batch)})"
        )
        found = engine.execute(
            f"select {quoted(by)}, list(distinct found) from {values} where found is not null group by 1"
        )
        return {group: _distinct_in(given) for group, given in found.fetchall()}


def _distinct_in(given: list[Any]) -> list[Any]:
    each = (value for one in given for value in (one if isinstance(one, list) else [one]))
    dates = (value for value in each if isinstance(value, date))
    return list(dict.fromkeys(value.date() if isinstance(value, datetime) else value for value in dates))


def parquet(files: Sequence[str]) -> str:
    """SQL for the rows of Parquet files, at least one."""
    listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    return f"read_parquet([{listed}], hive_partitioning = false, union_by_name = true)"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def nothing(table: Table, rules: Sequence[Rule]) -> dict[str, Any]:
    """The metrics of no rows at all."""
    names = [*of_rows(table, rules), *of_marked(table, rules)]
    return {n: None if n.partition("__")[0] in OF_NOTHING else 0 for n in names}


def storable(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics as the ledger keeps them (JSON): decimals and dates as text."""
    return {name: _text(value) for name, value in metrics.items()}


def _text(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    return value.isoformat() if isinstance(value, date | datetime) else value
