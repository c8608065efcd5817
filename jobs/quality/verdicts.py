"""Rules compile to one array of reasons a row, evaluated once, and a verdict: accepted, rejected or duplicate."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from jobs.contracts import Rule

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

ACCEPTED, REJECTED, DUPLICATE, FILTERED = "accepted", "rejected", "duplicate", "filtered"


def broken(rule: Rule) -> Column:
    """True for a row that breaks a row rule; nulls break only `not_null` (Great Expectations' way)."""
    from pyspark.sql import functions as F

    k = rule.kwargs
    name = rule.expectation
    if name.startswith("expect_column_pair"):
        a, b = F.col(k["column_A"]), F.col(k["column_B"])
        good = (a == b) if name.endswith("equal") else (a >= b if k.get("or_equal") else a > b)
        return F.coalesce(~good, F.lit(False))
    value = F.col(k["column"])
    if name == "expect_column_values_to_not_be_null":
        return value.isNull()
    return F.coalesce(_CHECKS[name](value, k), F.lit(False))


def _outside(value: Column, k: dict[str, Any]) -> Column:
    from pyspark.sql import functions as F

    tests = []
    if k.get("min_value") is not None:
        low = F.lit(k["min_value"])
        tests.append(value <= low if k.get("strict_min") else value < low)
    if k.get("max_value") is not None:
        high = F.lit(k["max_value"])
        tests.append(value >= high if k.get("strict_max") else value > high)
    return reduce(lambda a, b: a | b, tests)


def _length(value: Column) -> Column:
    from pyspark.sql import functions as F

    return F.char_length(value)


_CHECKS: dict[str, Any] = {
    "expect_column_values_to_be_between": _outside,
    "expect_column_values_to_be_in_set": lambda v, k: ~v.isin(list(k["value_set"])),
    "expect_column_values_to_not_be_in_set": lambda v, k: v.isin(list(k["value_set"])),
    "expect_column_values_to_match_regex": lambda v, k: ~v.rlike(k["regex"]),
    "expect_column_values_to_not_match_regex": lambda v, k: v.rlike(k["regex"]),
    "expect_column_value_lengths_to_be_between": lambda v, k: _outside(_length(v), k),
    "expect_column_value_lengths_to_equal": lambda v, k: _length(v) != k["value"],
}


def judge(rows: DataFrame, rules: Sequence[Rule], *, within: Sequence[str], already: Column | None = None) -> DataFrame:
    """Add `__reasons` and `__verdict`.

    `already`: reasons found before (text that could not be read). Uniqueness is decided among rows of equal `within` columns: of equal copies
    (`__row_hash`) one is accepted and the rest are duplicates; copies that differ are all rejected. Rows that a row rule rejected take no part.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    row_rules = [r for r in rules if r.on_fail == "quarantine" and not r.is_unique]
    unique = [r for r in rules if r.on_fail == "quarantine" and r.is_unique]
    found = F.array_compact(F.array(*[F.when(broken(r), F.lit(r.id)) for r in row_rules])) if row_rules else F.array().cast("array<string>")
    judged = rows.withColumn("__reasons", F.concat(already, found) if already is not None else found)
    if "__row_hash" not in judged.columns:
        own = [c for c in rows.columns if not c.startswith("__")]
        judged = judged.withColumn("__row_hash", F.xxhash64(*own))
    copies, clashes = [], []
    for n, rule in enumerate(unique):
        keys = rule.columns
        good = (F.size("__reasons") == 0) & reduce(lambda a, b: a & b, [F.col(c).isNotNull() for c in keys])
        part = Window.partitionBy(*within, *keys, good)
        first = part.orderBy(*_order(judged))
        judged = judged.withColumn(f"__copies_{n}", F.when(good, F.row_number().over(first)).otherwise(F.lit(1)))
        judged = judged.withColumn(f"__clash_{n}", good & (F.min("__row_hash").over(part) != F.max("__row_hash").over(part)))
        copies.append(F.col(f"__copies_{n}") > 1)
        clashes.append(F.when(F.col(f"__clash_{n}"), F.lit(rule.id)))
    if unique:
        judged = judged.withColumn("__reasons", F.concat("__reasons", F.array_compact(F.array(*clashes))))
    duplicate = reduce(lambda a, b: a | b, copies) if copies else F.lit(False)
    verdict = F.when(F.size("__reasons") > 0, F.lit(REJECTED)).when(duplicate, F.lit(DUPLICATE)).otherwise(F.lit(ACCEPTED))
    return judged.withColumn("__verdict", verdict).drop(*[f"__{k}_{n}" for n in range(len(unique)) for k in ("copies", "clash")])


def _order(rows: DataFrame) -> list[str]:
    if "__line" in rows.columns:
        return ["__delivery_id", "__line"]
    return [c for c in ("received_at", "sources") if c in rows.columns] or ["__row_hash"]
