"""Rows of many feeds in one shape: what the bronze contracts' `conforms` make of accepted rows, one SQL expression a column of a silver table's
`incoming` block; what that keeps out of the table under a name, and what it tells otherwise than it came.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row

from jobs.bank import Bank
from jobs.contracts import Table
from jobs.correction_feeds import REPLACED, settled
from jobs.lake.tables import SOURCES

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

MONEY = "decimal(24,6)"  # of any amount (jobs/contracts/parse.py)
FILTERED, TOLD_OTHERWISE = (
    "__filtered",
    "__told_otherwise",
)  # of conformed rows, for the balance: no transform sees them


def incoming(spark: SparkSession, bank: Bank, table: Table, parts: Sequence[Row[Any]]) -> DataFrame:
    """Accepted rows of these parts of deliveries, of all feeds that conform to the table, as its contract's `incoming` block says."""
    rows = conformed(spark, bank, table, parts)
    return (rows.where(f"{FILTERED} is null") if _may_filter(bank, table, parts) else rows).drop(
        FILTERED, TOLD_OTHERWISE
    )


def before_the_table(spark: SparkSession, bank: Bank, table: Table, parts: Sequence[Row[Any]]) -> dict[str, Any]:
    """What a feed's contract does to what came in, before the table: rows (and money) that a named `where`, or a correction, kept out (`filtered:<name>` ->
    [rows, money]), and by how much the amounts that it tells are others than those that came (`conformed` -> [0, money]).
    """
    from pyspark.sql import functions as F

    tells_otherwise = bool(_tell_otherwise(bank, table))
    if not (tells_otherwise or _may_filter(bank, table, parts)):
        return {}
    rows = conformed(spark, bank, table, parts)
    if not tells_otherwise:
        rows = rows.where(f"{FILTERED} is not null")
    money = F.sum(table.money) if table.money else F.lit(None)
    found = (
        rows.groupBy(FILTERED)
        .agg(F.count("*").alias("n"), money.alias("m"), F.sum(TOLD_OTHERWISE).alias("otherwise"))
        .collect()
    )
    kept_out = {f"filtered:{row[FILTERED]}": [row["n"], str(row["m"] or 0)] for row in found if row[FILTERED]}
    otherwise = sum((row["otherwise"] or Decimal(0) for row in found), Decimal(0))
    return kept_out | ({"conformed": [0, str(otherwise)]} if otherwise else {})


def conformed(spark: SparkSession, bank: Bank, table: Table, parts: Sequence[Row[Any]]) -> DataFrame:
    """All accepted rows of these parts in the table's incoming shape, those that are kept out too."""
    arrived = {
        bronze.table: bank.lake.of_parts(spark, bronze, own)
        for bronze in bank.catalog.feeding(table.table)
        if (own := [p for p in parts if p.feed == bronze.name])
    }
    for correction in [bank.catalog.tables[name] for name in arrived if bank.catalog.tables[name].corrects]:
        originals, arrived[correction.table] = settled(
            arrived.get(str(correction.corrects)), arrived[correction.table], correction
        )
        if originals is not None:
            arrived[str(correction.corrects)] = originals
    frames = [_of_feed(bank, bank.catalog.tables[name], table, rows) for name, rows in arrived.items()]
    return reduce(lambda a, b: a.unionByName(b), frames) if frames else _nothing(spark, table)


def _may_filter(bank: Bank, table: Table, parts: Sequence[Row[Any]]) -> bool:
    """Whether rows may be kept out by name: by a `where` of a feed, or because they were corrected."""
    feeding = bank.catalog.feeding(table.table)
    corrections = {bronze.name for bronze in feeding if bronze.corrects}
    return any(bronze.conforms[table.table].where for bronze in feeding) or any(p.feed in corrections for p in parts)


def _tell_otherwise(bank: Bank, table: Table) -> list[str]:
    """Bronze tables whose contract tells another amount to this table than its own `money`: another sign, fen in yuan."""
    feeding = bank.catalog.feeding(table.table)
    return [b.table for b in feeding if table.money and b.conforms[table.table].columns.get(table.money) != b.money]


def _of_feed(bank: Bank, bronze: Table, table: Table, rows: DataFrame) -> DataFrame:
    """Accepted rows of a bronze table as the contract conforms them; `__filtered` names what keeps a row out."""
    from pyspark.sql import functions as F

    conform = bronze.conforms[table.table]
    source = bank.catalog.sources[bronze.name]
    columns: list[Column] = [
        F.expr(expand(bank, source.system, conform.columns[name]) if name in conform.columns else "null")
        .cast(column.type)
        .alias(name)
        for name, column in table.incoming.items()
    ]
    first_failed = (
        F.coalesce(
            *[
                F.when(~F.coalesce(F.expr(expand(bank, source.system, sql)), F.lit(False)), F.lit(name))
                for name, sql in conform.where.items()
            ]
        )
        if conform.where
        else F.lit(None).cast("string")
    )
    return rows.select(
        *columns,
        F.array(F.struct(F.col("__delivery_id").alias("delivery_id"), F.col("__line").alias("line"))).alias("sources"),
        F.col("__received_at").alias("received_at"),
        F.col("__business_date"),
        (F.coalesce(REPLACED, first_failed) if REPLACED in rows.columns else first_failed).alias(FILTERED),
        _told_otherwise(bank, bronze, table, columns),
    )


def _told_otherwise(bank: Bank, bronze: Table, table: Table, columns: Sequence[Column]) -> Column:
    """Money that came in less money that the contract tells of it; 0 where both are the same column."""
    from pyspark.sql import functions as F

    nothing = F.lit(0).cast(MONEY)
    if bronze.table not in _tell_otherwise(bank, table):
        return nothing.alias(TOLD_OTHERWISE)
    told = columns[list(table.incoming).index(str(table.money))]
    came = F.col(bronze.money) if bronze.money else nothing
    differs = F.coalesce(came.cast(MONEY), nothing) - F.coalesce(told.cast(MONEY), nothing)
    return differs.cast(MONEY).alias(TOLD_OTHERWISE)


def _nothing(spark: SparkSession, table: Table) -> DataFrame:
    columns = {name: c.type for name, c in table.incoming.items()}
    machinery = {
        "sources": SOURCES,
        "received_at": "timestamp",
        "__business_date": "date",
        FILTERED: "string",
        TOLD_OTHERWISE: MONEY,
    }
    return spark.createDataFrame([], ", ".join(f"`{n}` {t}" for n, t in (columns | machinery).items()))


def expand(bank: Bank, system: str, sql: str) -> str:
    """Fill `$zone`, `$currency`, `$system` and `map_code(list, ...)` into an expression."""
    profile = bank.catalog.profile
    sql = sql.replace("$zone", profile.zone).replace("$currency", profile.currency).replace("$system", system)

    def looked_up(match: re.Match[str]) -> str:
        pairs = bank.catalog.references[match[1]].map
        listed = ", ".join(f"{_quoted(k)}, {_quoted(v)}" for k, v in pairs.items())
        return f"try_element_at(map({listed}), "

    return re.sub(r"map_code\(\s*(\w+)\s*,", looked_up, sql)


def _quoted(text: str) -> str:
    return "'" + str(text).replace("\\", "\\\\").replace("'", "\\'") + "'"
