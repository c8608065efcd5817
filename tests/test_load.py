"""How Spark reads what arrival wrote."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.arrival.rows import schema_of, spark_schema
from jobs.contracts import Table, load
from jobs.lake.log import SchemaDiffers
from jobs.load import _rows
from tests.contracts.house import build

NINE = datetime(2026, 9, 15, 9, tzinfo=UTC)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    catalog = load("tiny", build(tmp_path / "expectations"))
    return next(t for name, t in sorted(catalog.tables.items()) if name.startswith("bronze."))


def written(path: Path, schema: pa.Schema) -> str:
    value = {pa.string(): "x", pa.int64(): 7, pa.date32(): date(2026, 9, 15), pa.timestamp("us", tz="UTC"): NINE}
    row = {field.name: value.get(field.type) for field in schema}
    pq.write_table(pa.Table.from_pylist([row], schema=schema), path, store_schema=False)
    return str(path)


def test_files_of_the_contract_are_read_by_its_columns(spark: Any, table: Table, tmp_path: Path) -> None:
    read, _ = _rows(spark, table, [written(tmp_path / f"{n}.parquet", schema_of(table)) for n in "ab"])
    assert dict(read.dtypes) == spark_schema(table)
    assert [row["__line"] for row in read.collect()] == [7, 7]


def test_a_column_that_a_file_lacks_is_no_null(spark: Any, table: Table, tmp_path: Path) -> None:
    """It arrived before the contract had the column: that must be seen, not filled."""
    full = schema_of(table)
    lacking = full.remove(len(full) - 1)
    old, new = written(tmp_path / "old.parquet", lacking), written(tmp_path / "new.parquet", full)
    with pytest.raises(
        SchemaDiffers,
        match=f"1 of them was taken in under another contract.*their rows lack {full.names[-1]}",
    ):
        _rows(spark, table, [old, new])
    read, _ = _rows(spark, table, [old, new], again=[old])
    assert [row[full.names[-1]] is None for row in read.collect()].count(True) == 1
