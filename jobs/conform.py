"""Rows of many feeds in one shape: what the bronze contracts' `conforms` make of accepted rows, one SQL expression a column of a silver table's
`incoming` block; what that keeps out of the table under a name, and what it tells otherwise than it came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row

from jobs.bank import Bank
from jobs.contracts import Table
from jobs.correction_feeds import REPLACED, settled
from jobs.lake.tables import SOURCES
from jobs.ledger import batches
from jobs.quality.balance import CONFORMED

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

MONEY = "decimal(24,6)"  # of any amount (jobs/contracts/parse.py)
# Of conformed rows, for the balance: no transform sees them.
FILTERED, CAME, FEED = "__filtered", "__money_came", "__feed"
# The metric of what each feed's contract tells otherwise than it came, and the name of the warning about it.
MONEY_CHANGED = "money_changed"


def incoming(spark: SparkSession, bank: Bank, table: Table, parts: Sequence[Row[Any]]) -> DataFrame:
    """Accepted rows of these parts of deliveries, of all feeds that conform to the table, as its contract's `incoming` block says."""
    rows = conformed(spark, bank, table, parts)
    return (rows.where(f"{FILTERED} is null") if _may_filter(bank, table, parts) else rows).drop(FILTERED, CAME, FEED)


def before_the_table(spark: SparkSession, bank: Bank, table: Table, parts: Sequence[Row[Any]]) -> dict[str, Any]:
    """What a feed's contract does to what came in, before the table: rows (and money) that a named `where`, or a correction, kept out (`filtered:<name>` ->
    [rows, money]), in how many rows it tells another amount than came, and by how much less (`conformed` -> [rows, money]); and of rows that are not kept out
    the same by feed (`money_changed` -> bronze table -> [rows, money that came in them, money that is told of them]).
    """
    from pyspark.sql import functions as F

    tells_otherwise = bool(_tell_otherwise(bank, table))
    if not (tells_otherwise or _may_filter(bank, table, parts)):
        return {}
    rows = conformed(spark, bank, table, parts)
    if not tells_otherwise:
        rows = rows.where(f"{FILTERED} is not null")
    told = F.coalesce(F.col(table.money).cast(MONEY), F.lit(0)) if table.money else F.lit(0)
    came = F.coalesce(F.col(CAME), F.lit(0))
    found = (
        rows.groupBy(FILTERED, FEED)
        .agg(
            F.count("*").alias("n"),
            F.sum(told).alias("m"),
            F.count_if(came != told).alias("changed"),
            *[F.sum(F.when(came != told, money)).alias(name) for name, money in (("came", came), ("told", told))],
        )
        .collect()
    )
    before: dict[str, Any] = {}
    for row in found:
        if row[FILTERED]:
            n, money = before.get(f"filtered:{row[FILTERED]}", [0, "0"])
            before[f"filtered:{row[FILTERED]}"] = [n + row["n"], str(Decimal(money) + row["m"])]
    changed = [row for row in found if row["changed"]]
    if changed:
        less = sum((row["came"] - row["told"] for row in changed), Decimal(0))
        before[CONFORMED] = [sum(row["changed"] for row in changed), str(less)]
        before[MONEY_CHANGED] = {
            row[FEED]: [row["changed"], str(row["came"]), str(row["told"])] for row in changed if not row[FILTERED]
        }
    return before


def undeclared(bank: Bank, table: Table, metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A warning, in the form of a gate's broken rules, for each feed whose contract changed money on its way into the table and does not say why. A feed whose
    bronze table follows no money changes none."""
    found = []
    for name, (rows, came, told) in (metrics.get(MONEY_CHANGED) or {}).items():
        bronze = bank.catalog.tables[name]
        if not bronze.money or bronze.conforms[table.table].changes_money:
            continue
        before, after = Decimal(came), Decimal(told)
        in_rows = f"{rows:,} {'row' if rows == 1 else 'rows'}"
        sentence = (
            f"Conforming {name} to {table.table} changed the money of {in_rows}: {before:,.2f} came in them, {after:,.2f} is told ({after - before:+,.2f}). "
            f"If that is meant, say why in the contract of {name}: `changesMoney: ...` under `conforms: {table.table}:`; if not, correct its expression of "
            f"{table.money}, then `ledgerlake restate DATE --reason ...`."
        )
        found.append(
            {"rule": MONEY_CHANGED, "on_fail": "warn", "column": table.money, "unexpected": rows, "money": str(after - before), "sentence": sentence, "feed": name}
        )  # fmt: skip
    return found


def tell_changes(db: Connection, bank: Bank, table: Table, subject: str, warned: Sequence[Mapping[str, Any]]) -> None:
    """People are told once of an expression that changes money unsaid, and how it ended: it was corrected, or its contract says why."""
    mappings = {b.table: b.conforms[table.table] for b in bank.catalog.feeding(table.table)}
    prefix = f"{MONEY_CHANGED}|{table.table}|"
    keys = {name: f"{prefix}{name}|{of.columns.get(str(table.money))}" for name, of in mappings.items()}
    standing = {keys[name] for name, of in mappings.items() if not of.changes_money}
    for alert in batches.alerts(db, kind=MONEY_CHANGED):
        if alert.alert_key.startswith(prefix) and alert.alert_key not in standing:
            feed = alert.alert_key.removeprefix(prefix).partition("|")[0]
            why = mappings[feed].changes_money if feed in mappings else None
            batches.end_alert(
                db, alert.alert_key, f"{feed}: its contract says why it changes money: {why}" if why else f"{feed}: its contract tells {table.money} otherwise now."
            )  # fmt: skip
    for one in warned:
        batches.alert(db, keys[one["feed"]], MONEY_CHANGED, f"{subject}: {one['sentence']}")


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
        _money_came(bank, bronze, table, columns),
        F.lit(bronze.table).alias(FEED),
    )


def _money_came(bank: Bank, bronze: Table, table: Table, columns: Sequence[Column]) -> Column:
    """The money that came in the row; where the contract tells the same column, what it tells."""
    from pyspark.sql import functions as F

    if table.money is None:
        return F.lit(None).cast(MONEY).alias(CAME)
    if bronze.table not in _tell_otherwise(bank, table):
        return columns[list(table.incoming).index(table.money)].cast(MONEY).alias(CAME)
    return (F.col(bronze.money) if bronze.money else F.lit(0)).cast(MONEY).alias(CAME)


def _nothing(spark: SparkSession, table: Table) -> DataFrame:
    columns = {name: c.type for name, c in table.incoming.items()}
    machinery = {
        "sources": SOURCES,
        "received_at": "timestamp",
        "__business_date": "date",
        FILTERED: "string",
        CAME: MONEY,
        FEED: "string",
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
