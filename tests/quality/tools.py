"""Contracts of a few lines, and rows that were judged and written, for the stories of this folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from jobs.contracts import Rule, Table
from jobs.quality.metrics import measure

ZONE = "Asia/Shanghai"


def table_of(
    columns: dict[str, Any], rules: Sequence[dict[str, Any]] = (), *, layer: str = "bronze", **other: Any
) -> Table:
    """`columns`: name -> type, or [type, options]."""
    spread = {
        n: [c, {"classification": "C1/1"}] if isinstance(c, str) else [c[0], {"classification": "C1/1", **c[1]}]
        for n, c in columns.items()
    }
    return Table.model_validate(
        {
            "table": f"{layer}.things",
            "version": "1.0.0",
            "description": "things",
            "grain": "one thing",
            "owner": "it",
            "steward": "it",
            "primaryKey": [],
            "history": "append",
            "columns": spread,
            "rules": list(rules),
            **other,
        }
    )


def rule(name: str, on_fail: str, expectation: str, **kwargs: Any) -> Rule:
    return Rule.model_validate({"id": name, "onFail": on_fail, expectation: kwargs})


def rows_of(spark: SparkSession, table: Table, rows: Sequence[dict[str, str | None]]) -> DataFrame:
    """Text rows as arrival leaves them."""
    from jobs.arrival.rows import spark_schema
    from tests.tables import literal_frame

    columns = {name: kind for name, kind in spark_schema(table).items() if name != "__sealed"}
    return literal_frame(spark, [{"__delivery_id": "d1", "__line": n, **row} for n, row in enumerate(rows, 1)], columns)


def written(path: Path, judged: pa.Table | DataFrame) -> list[str]:
    """The file of judged rows, batch 1."""
    arrow = judged if isinstance(judged, pa.Table) else judged.toArrow()
    if "__batch" not in arrow.column_names:
        arrow = arrow.append_column("__batch", pa.array([1] * len(arrow), pa.int64()))
    path.mkdir(exist_ok=True)
    pq.write_table(arrow, path / "part.parquet")
    return [str(path / "part.parquet")]


def measured(path: Path, judged: Any, table: Table, rules: Sequence[Rule]) -> dict[str, Any]:
    return measure(written(path, judged), table, rules, batch=1)[0]
