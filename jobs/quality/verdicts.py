"""Rules compile to arrays of reasons, evaluated once a row, and a verdict: accepted, rejected or duplicate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING, Any

import duckdb

from jobs.contracts import Rule, Table
from jobs.quality.casting import listed, unread
from jobs.quality.metrics import parquet, quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

ACCEPTED, REJECTED, DUPLICATE, FILTERED = "accepted", "rejected", "duplicate", "filtered"
# More repeated keys than this are not handed to Spark one by one: all rows are compared instead.
MOST_SUSPECTS = 50_000
# Types whose text in `rows` is the value itself.
TEXT_TYPES = ("string", "int", "bigint")


def row_hash(columns: Sequence[str]) -> Column:
    """bigint over the contents of a row. Unlike by xxhash64 alone, (a, null) and (null, a) differ."""
    from pyspark.sql import functions as F

    return F.xxhash64(*[part for name in columns for part in (F.col(f"`{name}`"), F.col(f"`{name}`").isNull())])


def broken(rule: Rule) -> Column:
    """True for a row that breaks a row rule, never null.

    A null breaks only `not_null`; a pair with a null in it holds (Great Expectations' `either_value_is_missing`).
    """
    from pyspark.sql import functions as F

    k = rule.kwargs
    name = rule.expectation
    if name.startswith("expect_column_pair"):
        a, b = F.col(k["column_A"]), F.col(k["column_B"])
        good = a == b if name.endswith("equal") else a >= b if k.get("or_equal") else a > b
        return F.coalesce(~good, F.lit(False))
    value = F.col(k["column"])
    if name == "expect_column_values_to_not_be_null":
        return value.isNull()
    return F.coalesce(_CHECKS[name](value, k), F.lit(False))


def _literal(value: Any) -> Column:
    """A number with decimals is compared as a decimal: 0.1 as a double would not equal an amount of 0.1."""
    from pyspark.sql import functions as F

    if not isinstance(value, float):
        return F.lit(value)
    exact = Decimal(str(value))
    scale = max(-int(exact.as_tuple().exponent), 0)
    digits = max(len(exact.as_tuple().digits) + max(int(exact.as_tuple().exponent), 0), scale) + 1
    return F.lit(f"{exact:f}").cast(f"decimal({digits},{scale})")


def _outside(value: Column, k: dict[str, Any]) -> Column:
    tests = []
    if k.get("min_value") is not None:
        low = _literal(k["min_value"])
        tests.append(value <= low if k.get("strict_min") else value < low)
    if k.get("max_value") is not None:
        high = _literal(k["max_value"])
        tests.append(value >= high if k.get("strict_max") else value > high)
    return reduce(lambda a, b: a | b, tests)


def _length(value: Column) -> Column:
    from pyspark.sql import functions as F

    return F.char_length(value)


_CHECKS: dict[str, Any] = {
    "expect_column_values_to_be_between": _outside,
    "expect_column_values_to_be_in_set": lambda v, k: ~v.isin([_literal(x) for x in k["value_set"]]),
    "expect_column_values_to_not_be_in_set": lambda v, k: v.isin([_literal(x) for x in k["value_set"]]),
    "expect_column_values_to_match_regex": lambda v, k: ~v.rlike(k["regex"]),
    "expect_column_values_to_not_match_regex": lambda v, k: v.rlike(k["regex"]),
    "expect_column_value_lengths_to_be_between": lambda v, k: _outside(_length(v), k),
    "expect_column_value_lengths_to_equal": lambda v, k: _length(v) != k["value"],
}


def judge(
    rows: DataFrame,
    rules: Sequence[Rule],
    *,
    within: Sequence[str],
    order: Sequence[str],
    already: Column | None = None,
    suspects: dict[str, list[tuple[Any, ...]]] | None = None,
    filtered: bool = False,
    exempt: Mapping[str, Column] | None = None,
) -> DataFrame:
    """Add `__reasons` (broken quarantine rules), `__warnings` (broken row rules of other severities) and `__verdict`.

    `rows` has `__row_hash` over the contents. `already`: reasons found before, by jobs.quality.casting.cast, whose other
    columns `rows` then has too. `filtered`: a row with a name in its `__filtered` is no part of the table by the rule of
    that name, and is judged no further.

    Uniqueness is decided among the rows of equal `within` columns that no row rule rejected, so that a bad copy never
    takes a good one with it; a key with a null in it is compared with nothing. Of equal copies the first by `order` is
    accepted and the rest are duplicates; copies that differ are all rejected. `suspects`: rule -> key values that occur
    more than once, where that is known beforehand: no other row is shuffled then. A rule without an entry, or None:
    every row is compared. `exempt`: rule -> rows that a person accepted as they are; the rule does not mark them (of copies
    that differ the others stay marked).
    """
    from pyspark.sql import functions as F

    exempt = exempt or {}
    row_rules = [r for r in rules if r.judges_rows and not r.is_unique]
    # Each breach is a column of its own, found out once a row; it is named twice.
    if row_rules:
        broken_now = {r.id: _is_broken(r, already is not None) for r in row_rules}
        asked = {name: ~exempt[name] & is_so if name in exempt else is_so for name, is_so in broken_now.items()}
        rows = rows.withColumns({_breach(r): asked[r.id] for r in row_rules})
    reasons = _marks([r for r in row_rules if r.on_fail == "quarantine"], already)
    warnings = _marks([r for r in row_rules if r.on_fail != "quarantine"])
    if filtered:
        left_out = F.col("__filtered").isNotNull()
        reasons = F.when(left_out, F.array("__filtered")).otherwise(reasons)
        warnings = F.when(left_out, _none()).otherwise(warnings)
    marked = rows.withColumns({"__reasons": reasons, "__warnings": warnings})
    copies: list[str] = []
    for rule in (r for r in rules if r.is_unique):
        column = f"__copy_{rule.id}"
        known = None if suspects is None else suspects.get(rule.id)
        if known is None:
            marked = _compared(marked, rule, within, order, column, exempt.get(rule.id))
        elif known:
            types = dict(marked.dtypes)
            named = [c for c in rule.columns if types[c] in TEXT_TYPES]
            schema = ", ".join(f"`{c}` {types[c]}" for c in named)
            keys = F.broadcast(marked.sparkSession.createDataFrame(known, schema))
            among = _compared(marked.join(keys, named, "left_semi"), rule, within, order, column, exempt.get(rule.id))
            marked = among.unionByName(marked.join(keys, named, "left_anti").withColumn(column, F.lit(False)))
        else:
            continue
        copies.append(column)
    duplicate = reduce(lambda a, b: a | b, [F.col(c) for c in copies]) if copies else F.lit(False)
    verdict = F.when(F.size("__reasons") > 0, REJECTED).when(duplicate, DUPLICATE).otherwise(ACCEPTED)
    if filtered:
        verdict = F.when(F.col("__filtered").isNotNull(), FILTERED).otherwise(verdict)
    return marked.withColumn("__verdict", verdict).drop(*copies, *map(_breach, row_rules))


def _none() -> Column:
    from pyspark.sql import functions as F

    return F.array().cast("array<string>")


def _marks(rules: Sequence[Rule], before: Column | None = None) -> Column:
    """Ids of the rules that the row breaks, after what was found before."""
    from pyspark.sql import functions as F

    before = _none() if before is None else before
    if not rules:
        return before
    breaches = [(F.col(_breach(rule)), rule.id) for rule in rules]
    # Nearly every row breaks none, which costs less to find out than to join empty lists.
    any_broken = reduce(lambda a, b: a | b, [is_so for is_so, _ in breaches])
    return F.when(any_broken, F.concat(before, listed(breaches))).otherwise(before)


def _breach(rule: Rule) -> str:
    """Name of the column that says whether a row breaks the rule."""
    return f"__breach_{rule.id}"


def _is_broken(rule: Rule, is_cast: bool) -> Column:
    """The row breaks the rule for a cause of its own: a value that could not be read is not said to be missing too."""
    from pyspark.sql import functions as F

    if not is_cast or rule.expectation != "expect_column_values_to_not_be_null":
        return broken(rule)
    return broken(rule) & F.col("__malformed").isNull() & ~F.col(f"`{unread(rule.kwargs['column'])}`")


def _compared(
    rows: DataFrame, rule: Rule, within: Sequence[str], order: Sequence[str], column: str, exempt: Column | None
) -> DataFrame:
    """`column`: the row is a further copy of an equal one. Rows whose copies differ get the rule among their reasons.

    A rule that does not quarantine parts no rows: every copy gets it among its warnings.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    keys = list(dict.fromkeys([*within, *rule.columns]))
    good = (F.size("__reasons") == 0) & reduce(lambda a, b: a & b, [F.col(c).isNotNull() for c in rule.columns])
    part = Window.partitionBy(*keys, "__good")
    differ = F.min("__row_hash").over(part) != F.max("__row_hash").over(part)
    told, marks = "__differ", "__reasons"
    asked = F.lit(True) if exempt is None else ~exempt
    again = F.row_number().over(part.orderBy(*order)) > 1
    found = {column: F.col("__good") & again & asked, told: F.col("__good") & differ & asked}
    if rule.on_fail != "quarantine":
        marks = "__warnings"
        found = {column: F.lit(False), told: F.col("__good") & (F.count(F.lit(1)).over(part) > 1) & asked}
    earlier = [c for c in rows.columns if c.startswith("__copy_")]
    if earlier:
        good = good & ~reduce(lambda a, b: a | b, [F.col(c) for c in earlier])
    return (
        rows.withColumn("__good", good)
        .withColumns(found)
        .withColumn(
            marks,
            F.when(F.col(told), F.array_append(marks, F.lit(rule.id))).otherwise(F.col(marks)),
        )
        .drop("__good", told)
    )


def repeated(uris: Sequence[str], table: Table, rules: Sequence[Rule]) -> dict[str, list[tuple[Any, ...]]]:
    """Rule -> keys that may occur more than once in one of these `rows` files: one pass over the key columns as text,
    in DuckDB.

    A key is cut to the columns of `suspect_columns`: others (dates, amounts) are still compared in Spark, among these
    suspects only. A rule without an entry has no such column, or too many repeated keys to be worth naming.
    """
    found: dict[str, list[tuple[Any, ...]]] = {}
    single: list[set[str]] = []
    with duckdb.connect() as engine:
        for rule in rules:
            if not rule.is_unique or not suspect_columns(table, rule):
                continue
            columns = [c for c in rule.columns if _is_one_text(table, c)]
            if any(key <= set(columns) for key in single):
                # A part of the key never repeats: then the whole does not.
                found[rule.id] = []
                continue
            keys = ", ".join(_as_key(table, c) for c in columns)
            kept = ", ".join(map(quoted, suspect_columns(table, rule)))
            twice = f"select {keys}, __delivery_id from {parquet(uris)} group by all having count(*) > 1"
            rows = engine.execute(f"select distinct {kept} from ({twice}) limit {MOST_SUSPECTS + 1}").fetchall()
            if not rows:
                single.append(set(columns))
            if len(rows) <= MOST_SUSPECTS:
                found[rule.id] = [row for row in rows if None not in row]
    return found


def suspect_columns(table: Table, rule: Rule) -> list[str]:
    """The columns of a uniqueness rule whose text is its value."""
    return [c for c in rule.columns if table.physical_columns[c].type in TEXT_TYPES]


def _is_one_text(table: Table, column: str) -> bool:
    """Equal values have equal texts: not so for amounts and instants, where `1.0` and `1.00` are one value."""
    return table.physical_columns[column].type in (*TEXT_TYPES, "date")


def _as_key(table: Table, column: str) -> str:
    """Numbers are compared as numbers (`01` is `1`), all else as text."""
    kind = {"int": "integer", "bigint": "bigint"}.get(table.physical_columns[column].type)
    return f"try_cast({quoted(column)} as {kind}) as {quoted(column)}" if kind else quoted(column)
