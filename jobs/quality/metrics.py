"""All numbers that a gate and a balance need, as aggregates over judged rows: gathered in the pass that writes, or from what was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING, Any

from jobs.contracts import Rule, Table
from jobs.quality.verdicts import ACCEPTED, DUPLICATE, FILTERED, REJECTED, broken

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Observation

PARTS = (ACCEPTED, REJECTED, DUPLICATE, FILTERED)
MONEY = "decimal(38,6)"
_STATISTICS = {
    "expect_column_sum_to_be_between": "sum",
    "expect_column_mean_to_be_between": "mean",
    "expect_column_min_to_be_between": "min",
    "expect_column_max_to_be_between": "max",
    "expect_column_unique_value_count_to_be_between": "distinct",
    "expect_column_proportion_of_non_null_values_to_be_between": "present",
}


def statistic(rule: Rule) -> str | None:
    """Name of the aggregate that a table rule is judged by; None when it needs the row count only or counts rows itself."""
    kind = _STATISTICS.get(rule.expectation)
    return f"{kind}__{rule.kwargs['column']}" if kind else None


def aggregates(table: Table, rules: Sequence[Rule]) -> dict[str, Column]:
    """Name -> aggregate over the rows of a judged frame (`__verdict`, `__reasons`; for silver and gold also `sources`).

    `<part>_rows`, `<part>_money`, `<part>_in` (rows that came in, by their sources) for each verdict; `broken__<rule>` rows, and `money__<rule>`, of
    each rule that speaks of rows; `null__<column>`; and the statistics of table rules, over accepted rows.
    """
    from pyspark.sql import functions as F

    verdict = F.col("__verdict")
    wanted: dict[str, Column] = {}
    money = F.col(table.money).cast(MONEY) if table.money else None
    for part in PARTS:
        wanted[f"{part}_rows"] = F.count_if(verdict == part)
        if money is not None:
            wanted[f"{part}_money"] = F.sum(F.when(verdict == part, money))
        if table.layer != "bronze":
            wanted[f"{part}_in"] = F.sum(F.when(verdict == part, F.size(F.coalesce("sources", F.array().cast("array<struct<delivery_id:string,line:bigint>>")))))
    accepted = verdict == ACCEPTED
    for rule in rules:
        if rule.judges_rows:
            is_broken = F.array_contains("__reasons", rule.id) if rule.on_fail == "quarantine" else _breaks(rule) & accepted
            wanted[f"broken__{rule.id}"] = F.count_if(is_broken)
            if money is not None and rule.on_fail == "quarantine":
                wanted[f"money__{rule.id}"] = F.sum(F.when(is_broken, money))
            if not rule.expectation.startswith(("expect_compound", "expect_column_pair")):
                wanted.setdefault(f"null__{rule.columns[0]}", F.count_if(F.col(rule.columns[0]).isNull()))
            else:
                both_null = reduce(lambda a, b: a & b, [F.col(c).isNull() for c in rule.columns])
                wanted[f"skipped__{rule.id}"] = F.count_if(both_null)
        name = statistic(rule)
        if name:
            wanted.setdefault(name, _statistic(name, accepted))
    wanted["unreadable_rows"] = F.count_if(F.exists("__reasons", lambda r: r.endswith("_unreadable") | (r == "malformed_line")))
    return wanted


def _breaks(rule: Rule) -> Column:
    from pyspark.sql import functions as F

    if rule.is_unique:
        raise ValueError(f"rule {rule.id}: uniqueness may only quarantine; the duplicates are marked row by row")
    return F.coalesce(broken(rule), F.lit(False))


def _statistic(name: str, accepted: Column) -> Column:
    from pyspark.sql import functions as F

    kind, _, column = name.partition("__")
    value = F.when(accepted, F.col(column))
    return {
        "sum": F.sum(value), "mean": F.avg(value), "min": F.min(value), "max": F.max(value), "distinct": F.approx_count_distinct(value, 0.01),
        "present": F.count(value),
    }[kind]  # fmt: skip


def observe(rows: DataFrame, wanted: Mapping[str, Column]) -> tuple[DataFrame, Observation]:
    """The frame whose write also gathers the aggregates; read them from the observation's `.get` afterwards."""
    from pyspark.sql import Observation

    observation = Observation("gate")
    return rows.observe(observation, *[c.alias(name) for name, c in wanted.items()]), observation


def collect(rows: DataFrame, wanted: Mapping[str, Column]) -> dict[str, Any]:
    """The aggregates of a frame, by one scan of it."""
    return rows.agg(*[c.alias(name) for name, c in wanted.items()]).first().asDict()


def nothing(table: Table, rules: Sequence[Rule]) -> dict[str, Any]:
    """The metrics of no rows at all; needs no Spark."""
    none: dict[str, Any] = {f"{part}_{unit}": 0 for part in PARTS for unit in ("rows", "in")}
    none |= {f"{part}_money": Decimal(0) for part in PARTS}
    for rule in rules:
        none[f"broken__{rule.id}"] = 0
        none[f"skipped__{rule.id}"] = 0
        for column in rule.columns:
            none[f"null__{column}"] = 0
        name = statistic(rule)
        if name:
            none[name] = 0 if name.startswith(("distinct", "present")) else None
    return none | {"unreadable_rows": 0}


def storable(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics as the ledger keeps them (JSON): decimals and dates as text."""
    return {
        k: (str(v) if isinstance(v, Decimal) else v.isoformat() if isinstance(v, date | datetime) else v) for k, v in metrics.items()
    }
