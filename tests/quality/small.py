"""Small contracts and frames for stories about rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.contracts.model import Table
from jobs.quality.metrics import measure
from jobs.quality.verdicts import judge, row_hash

ZONE = "Asia/Shanghai"


def contract(columns: dict[str, Any], rules: Sequence[dict[str, Any]] = (), key: str = "id", **more: Any) -> Table:
    """A bronze contract. A column is its type, or type and options."""
    spread = {}
    for name, column in columns.items():
        kind, options = (column, {}) if isinstance(column, str) else column
        spread[name] = [kind, {"classification": "C1/2"} | options]
    return Table.model_validate(
        {
            "table": "bronze.small", "version": "1.0.0", "description": "A story.", "grain": "one row", "owner": "tests",
            "steward": "tests", "primaryKey": key.split(), "history": "append", "columns": spread, "rules": list(rules),
        }
        | more
    )  # fmt: skip


def rule(rule_id: str, expectation: str, on_fail: str = "quarantine", **kwargs: Any) -> dict[str, Any]:
    return {"id": rule_id, "onFail": on_fail, f"expect_{expectation}": kwargs}


def rows_of(spark: SparkSession, table: Table, text: str) -> DataFrame:
    """`rows` as arrival writes them, from a text table whose first line names the columns. An empty cell is null, `''`
    an empty text; `__delivery_id` is d1 and `__line` counts where they are not given.
    """
    lines = [line.strip() for line in text.strip().splitlines()]
    header = [cell.strip() for cell in lines[0].split("|")]
    read = [dict(zip(header, (_cell(c) for c in line.split("|")), strict=True)) for line in lines[1:]]
    columns = ["__delivery_id", "__line", "__malformed", *table.physical_columns]
    filled = [{"__delivery_id": "d1", "__line": n, **row} for n, row in enumerate(read, 1)]
    schema = ", ".join(f"`{c}` {'bigint' if c == '__line' else 'string'}" for c in columns)
    values = [tuple(int(row["__line"]) if c == "__line" else row.get(c) for c in columns) for row in filled]
    return spark.createDataFrame(values, schema)


def _cell(text: str) -> str | None:
    text = text.strip()
    return "" if text == "''" else text or None


def judged(spark: SparkSession, table: Table, text: str, **how: Any) -> DataFrame:
    """The rows of a text table, cast and judged as bronze does it, each delivery by itself."""
    from jobs.quality.casting import cast

    typed = cast(rows_of(spark, table, text), table, zone=ZONE)
    hashed = typed.withColumn("__row_hash", row_hash(list(table.physical_columns)))
    within, order = ["__delivery_id"], ["__line"]
    return judge(hashed, table.all_rules, within=within, order=order, already=F.col("__cast_errors"), **how)


def verdicts(frame: DataFrame) -> list[str]:
    """`id verdict reasons`, in the order of the lines."""
    lines = frame.orderBy("__delivery_id", "__line").collect()
    return [" ".join([str(row["id"]), row["__verdict"], *row["__reasons"]]) for row in lines]


def measured(frame: DataFrame, table: Table) -> dict[str, Any]:
    """The metrics of judged rows, as one batch."""
    (found,) = measure(frame.withColumn("__batch", F.lit(1)).toArrow(), table, table.all_rules, batch=1)
    return found
