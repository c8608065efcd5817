"""Rules compile to arrays of reasons, evaluated once a row, and a verdict: accepted, rejected or duplicate."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import duckdb

from jobs.contracts import Rule, Table
from jobs.quality.metrics import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

ACCEPTED, REJECTED, DUPLICATE, FILTERED = "accepted", "rejected", "duplicate", "filtered"


def broken(rule: Rule) -> Column:
    """True for a row that breaks a row rule; a null breaks only `not_null` (Great Expectations' way)."""
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


def judge(
    rows: DataFrame, rules: Sequence[Rule], *, within: Sequence[str], order: Sequence[str], already: Column | None = None,
    suspects: dict[str, list[tuple[Any, ...]]] | None = None,
) -> DataFrame:  # fmt: skip
    """Add `__reasons` (broken quarantine rules), `__warnings` (broken row rules of other severities) and `__verdict`.

    `rows` has `__row_hash` over the contents. `already`: reasons found before (text that could not be read). Uniqueness is decided among rows of
    equal `within` columns: of equal copies the first by `order` is accepted and the rest are duplicates; copies that differ are all rejected. Rows
    that a row rule rejected take no part. `suspects`: rule -> key values that occur more than once, where that is known beforehand: no
    other row is shuffled then. A rule without an entry, or None: every row is compared.
    """
    from pyspark.sql import functions as F

    marked = rows.withColumns(
        {
            "__reasons": _marks([r for r in rules if r.on_fail == "quarantine" and not r.is_unique], already),
            "__warnings": _marks([r for r in rules if r.on_fail != "quarantine" and r.judges_rows], None),
        }
    )
    unique = [r for r in rules if r.is_unique]
    copies: list[str] = []
    for rule in unique:
        column = f"__copy_{rule.id}"
        if suspects is None:
            marked = _compared(marked, rule, within, order, column)
        elif rule.id not in suspects:
            marked = _compared(marked, rule, within, order, column)
        elif suspects[rule.id]:
            types = dict(marked.dtypes)
            named = [c for c in rule.columns if types[c] in ("string", "int", "bigint")]
            keys = F.broadcast(marked.sparkSession.createDataFrame(suspects[rule.id], ", ".join(f"`{c}` {types[c]}" for c in named)))
            marked = _compared(marked.join(keys, named, "left_semi"), rule, within, order, column).unionByName(
                marked.join(keys, named, "left_anti").withColumn(column, F.lit(False))
            )
        else:
            continue
        copies.append(column)
    duplicate = reduce(lambda a, b: a | b, [F.col(c) for c in copies]) if copies else F.lit(False)
    verdict = F.when(F.size("__reasons") > 0, F.lit(REJECTED)).when(duplicate, F.lit(DUPLICATE)).otherwise(F.lit(ACCEPTED))
    return marked.withColumn("__verdict", verdict).drop(*copies)


def _marks(rules: Sequence[Rule], already: Column | None) -> Column:
    from pyspark.sql import functions as F

    none = F.array().cast("array<string>")
    found = F.array_compact(F.array(*[F.when(broken(r), F.lit(r.id)) for r in rules])) if rules else none
    return found if already is None else F.concat(already, found) if rules else already


def _compared(rows: DataFrame, rule: Rule, within: Sequence[str], order: Sequence[str], column: str) -> DataFrame:
    """`column`: the row is a further copy of an equal one; rows whose copies differ get the rule among their reasons."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    keys = list(dict.fromkeys([*within, *rule.columns]))
    good = (F.size("__reasons") == 0) & reduce(lambda a, b: a & b, [F.col(c).isNotNull() for c in rule.columns])
    part = Window.partitionBy(*keys, "__good")
    differ = F.min("__row_hash").over(part) != F.max("__row_hash").over(part)
    return (
        rows.withColumn("__good", good)
        .withColumns({column: F.col("__good") & (F.row_number().over(part.orderBy(*order)) > 1), "__differ": F.col("__good") & differ})
        .withColumn("__reasons", F.when(F.col("__differ"), F.array_append("__reasons", F.lit(rule.id))).otherwise(F.col("__reasons")))
        .drop("__good", "__differ")
    )


def repeated(uris: Sequence[str], table: Table, rules: Sequence[Rule]) -> dict[str, list[tuple[Any, ...]]]:
    """Rule -> keys that occur more than once in one of these `rows` files: one pass over the key columns as text, in DuckDB.

    A key is cut to the columns of `suspect_columns`: others (dates, amounts) are still compared in Spark, among these suspects only.
    """
    found: dict[str, list[tuple[Any, ...]]] = {}
    files = "[" + ", ".join("'" + u.replace("'", "''") + "'" for u in uris) + "]"
    with duckdb.connect() as engine:
        for rule in rules:
            if rule.is_unique and suspect_columns(table, rule):
                keys = ", ".join(_as_key(table, c) for c in rule.columns)
                kept = ", ".join(map(quoted, suspect_columns(table, rule)))
                twice = f"select {keys}, __delivery_id from read_parquet({files}) group by all having count(*) > 1"
                rows = engine.execute(f"select distinct {kept} from ({twice})").fetchall()
                found[rule.id] = [row for row in rows if None not in row]
    return found


def suspect_columns(table: Table, rule: Rule) -> list[str]:
    """The columns of a uniqueness rule whose text is its value."""
    return [c for c in rule.columns if table.physical_columns[c].type in ("string", "int", "bigint")]


def _as_key(table: Table, column: str) -> str:
    """Numbers are compared as numbers (`01` is `1`), all else as text."""
    kind = {"int": "integer", "bigint": "bigint"}.get(table.physical_columns[column].type)
    return f"try_cast({quoted(column)} as {kind}) as {quoted(column)}" if kind else quoted(column)
