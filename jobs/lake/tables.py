"""The tables of one bank's lake.

Every write carries the batch number drawn from the ledger as Delta's transaction version (application id: table and subject), so that the
same batch written twice, even by two processes at one moment, is there once. `userMetadata` names batch and run.

Every silver and gold row carries, beside its contract's columns: sources (delivery and line it came from), received_at, batch, row_hash,
__verdict and __reasons; tables with history also valid_from, valid_to (exclusive, null = open) and is_current.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from jobs.contracts import Table

if TYPE_CHECKING:
    from pyarrow.dataset import Expression
    from pyspark.sql import DataFrame, SparkSession

SOURCES = "array<struct<delivery_id:string,line:bigint>>"
MACHINERY = {
    "sources": SOURCES,
    "received_at": "timestamp",
    "batch": "bigint",
    "row_hash": "string",
    "__verdict": "string",
    "__reasons": "array<string>",
    "__warnings": "array<string>",
}
HISTORY = {"valid_from": "date", "valid_to": "date", "is_current": "boolean"}
BRONZE = {
    "__delivery_id": "string", "__line": "bigint", "__batch": "bigint", "__entity": "string", "__business_date": "date",
    "__received_at": "timestamp", "__verdict": "string", "__reasons": "array<string>", "__warnings": "array<string>", "__raw": "map<string,string>", "__row_hash": "bigint",
}  # fmt: skip
SCRATCH = "_scratch"
STATISTICS = "delta.dataSkippingStatsColumns"
# Versions live 35 days: a month-end figure can still be read as it was released.
PROPERTIES = {
    "delta.logRetentionDuration": "interval 35 days",
    "delta.deletedFileRetentionDuration": "interval 35 days",
    "delta.setTransactionRetentionDuration": "interval 35 days",
}


@dataclass(frozen=True)
class Stamp:
    """Who writes: batch number, its subject and the run."""

    batch_id: int
    subject: str
    run_id: str

    def metadata(self) -> str:
        return json.dumps({"batch": self.batch_id, "subject": self.subject, "run": self.run_id})


def business_date_column(table: Table) -> str:
    """The column by which a fact or snapshot is replaced."""
    for name in ("business_date", "balance_date", "as_of_date", "rate_date"):
        if name in table.columns:
            return name
    raise ValueError(f"{table.table} has history {table.history} but no business date column")


def judged_table(table: Table) -> Table:
    """Where the judged states of a table with history are kept, rejected ones too: the table itself holds history alone."""
    return table.model_copy(update={"table": f"{table.table}__judged", "history": "append", "statistics": []})


def schema_of(table: Table) -> dict[str, str]:
    """Column -> Spark type, as the table stands in the lake."""
    if table.table.endswith("__judged"):
        return (
            {name: column.type for name, column in table.physical_columns.items()} | {"valid_from": "date"} | MACHINERY
        )
    columns = {name: column.type for name, column in table.physical_columns.items()}
    if table.layer == "bronze":
        return columns | BRONZE
    return columns | (HISTORY if table.history == "scd2" else {}) | MACHINERY


def statistics_of(table: Table) -> list[str]:
    """The columns of which Delta keeps minimum and maximum: those that people and the machinery filter on."""
    if table.layer == "bronze":
        return [*table.statistics, "__batch", "__business_date"]
    by_date = [business_date_column(table)] if table.history in ("fact", "snapshot") else []
    return [*(table.statistics or by_date), "batch"]


class Lake:
    """Paths, reads and writes below one folder (or s3a:// prefix)."""

    def __init__(self, root: Path | str):
        self.root = str(root)

    def path(self, table: str) -> str:
        return f"{self.root}/{table.replace('.', '/')}"

    def exists(self, table: str) -> bool:
        """Whether something was committed to it; a death while it was created leaves a log without a commit."""
        try:
            with os.scandir(f"{self.path(table)}/_delta_log") as log:
                return any(entry.name[0].isdigit() for entry in log)
        except FileNotFoundError:
            return False

    def scratch(self, stamp: Stamp) -> Path:
        """A file that a write hands from one engine to the next: below the lake, where Spark sees it, and not that of a twin of this run."""
        return Path(self.root) / SCRATCH / f"{stamp.batch_id}_{uuid4().hex}.parquet"

    def version(self, table: str) -> int | None:
        """The table's newest Delta version, None when there is no table."""
        from deltalake import DeltaTable

        return DeltaTable(self.path(table), without_files=True).version() if self.exists(table) else None

    def committed(self, table: str, batch_id: int, look_back: int = 30) -> int | None:
        """The Delta version in which a batch was written, None when it was not."""
        from deltalake import DeltaTable

        if not self.exists(table):
            return None
        for commit in DeltaTable(self.path(table), without_files=True).history(look_back):
            written = json.loads(commit.get("userMetadata") or "{}")
            if written.get("batch") == batch_id and commit.get("operation") != "RESTORE":
                return int(commit["version"])
        return None

    def create(self, spark: SparkSession, table: Table) -> None:
        """Create an empty table from its contract, unless it is there."""
        if self.exists(table.table):
            return
        properties = PROPERTIES | {STATISTICS: ",".join(statistics_of(table))}
        columns = _ddl(schema_of(table))
        listed = ", ".join(f"'{k}' = '{v}'" for k, v in properties.items())
        try:
            spark.sql(
                f"CREATE TABLE IF NOT EXISTS delta.`{self.path(table.table)}` ({columns}) USING delta TBLPROPERTIES ({listed})"
            )
        except Exception:
            # A full disk leaves an empty log, which Delta takes for a table: no later try would give it its properties.
            if not self.exists(table.table):
                shutil.rmtree(f"{self.path(table.table)}/_delta_log", ignore_errors=True)
            raise

    def dataset(self, table: str, version: int | None = None) -> Any:
        """The table's files as an Arrow dataset (statistics prune files), read without Spark."""
        from deltalake import DeltaTable

        return DeltaTable(self.path(table), version=version).to_pyarrow_dataset()

    def files(self, table: str, within: Expression | None = None) -> list[str]:
        """The files that may hold rows of `within`, an Arrow expression over columns of which statistics are kept."""
        return [f"{self.path(table)}/{fragment.path}" for fragment in self.dataset(table).get_fragments(filter=within)]

    def written(self, table: Table, batch_id: int) -> list[str]:
        """The files that may hold rows of a batch."""
        column = "__batch" if table.layer == "bronze" else "batch"
        return self.files(table.table, _between(column, batch_id, batch_id))

    def read(self, spark: SparkSession, table: Table, within: Expression | None = None) -> DataFrame:
        """All rows of the files that may hold rows of `within`; the caller leaves out what else these files hold. The log is read here, not in Spark,
        whose planning of a Delta scan costs more than reading a day's rows.
        """
        files = self.files(table.table, within) if self.exists(table.table) else []
        if not files:
            return empty(spark, table)
        return spark.read.schema(_ddl(schema_of(table))).parquet(*files)

    def append(self, rows: DataFrame, table: Table, stamp: Stamp) -> None:
        self._write(rows, table, stamp, None)

    def replace_dates(self, rows: DataFrame, table: Table, stamp: Stamp, first: date, last: date) -> None:
        """Put these rows in place of all rows of the business dates first..last."""
        column = business_date_column(table)
        if not self.files(table.table, _between(column, first, last)):
            # Nothing to replace: Delta would look for it by Spark jobs of its own.
            self.append(rows, table, stamp)
            return
        self._write(rows, table, stamp, f"`{column}` >= DATE'{first}' AND `{column}` <= DATE'{last}'")

    def _write(self, rows: DataFrame, table: Table, stamp: Stamp, where: str | None) -> None:
        writer = (
            rows.select(*[f"`{c}`" for c in schema_of(table)])
            .write.format("delta")
            .option("txnAppId", f"{table.table}|{stamp.subject}")
            .option("txnVersion", stamp.batch_id)
            .option("userMetadata", stamp.metadata())
        )
        writer = writer.mode("append") if where is None else writer.mode("overwrite").option("replaceWhere", where)
        try:
            writer.save(self.path(table.table))
        except Exception:
            # A twin of this run may have committed the same batch in between: then it is done, whatever Delta calls the conflict.
            if self.committed(table.table, stamp.batch_id) is None:
                raise

    def merge_history(self, spark: SparkSession, table: Table, stamp: Stamp, changes: Path) -> None:
        """Bring the rows of a table with history to the state that a file of jobs.lake.history says: the table's columns, and `__op` (keep or delete)."""
        columns = schema_of(table)
        view = f"changes_{stamp.batch_id}"
        spark.read.schema(_ddl(columns | {"__op": "string"})).parquet(str(changes)).createOrReplaceTempView(view)
        same = " AND ".join(f"t.`{k}` <=> s.`{k}`" for k in [*table.primary_key, "valid_from"])
        sets = ", ".join(f"t.`{c}` = s.`{c}`" for c in columns)
        spark.conf.set("spark.databricks.delta.commitInfo.userMetadata", stamp.metadata())
        try:
            spark.sql(
                f"MERGE INTO delta.`{self.path(table.table)}` t USING {view} s ON {same} "
                "WHEN MATCHED AND s.__op = 'delete' THEN DELETE "
                f"WHEN MATCHED AND (t.row_hash <> s.row_hash OR NOT (t.valid_to <=> s.valid_to)) THEN UPDATE SET {sets} "
                f"WHEN NOT MATCHED AND s.__op <> 'delete' THEN INSERT ({', '.join(f'`{c}`' for c in columns)}) "
                f"VALUES ({', '.join(f's.`{c}`' for c in columns)})"
            )
        finally:
            spark.conf.unset("spark.databricks.delta.commitInfo.userMetadata")
            spark.catalog.dropTempView(view)

    def restore(self, spark: SparkSession, table: str, version: int) -> None:
        """Back to a version, as a new commit. Restoring twice changes nothing."""
        if self.version(table) != version:
            spark.sql(f"RESTORE TABLE delta.`{self.path(table)}` TO VERSION AS OF {version}")

    def read_dates(
        self, spark: SparkSession, table: Table, first: date, last: date, column: str | None = None
    ) -> DataFrame:
        """Accepted rows of business dates first..last, or of another date column of the table."""
        from pyspark.sql import functions as F

        name = column or business_date_column(table)
        return self.accepted(spark, table, _between(name, first, last)).where(
            F.col(name).between(F.lit(first), F.lit(last))
        )

    def accepted(self, spark: SparkSession, table: Table, within: Expression | None = None) -> DataFrame:
        """Rows that passed their gate, of the files that may hold rows of `within`; an empty frame of the right shape when the table was never
        written."""
        from pyspark.sql import functions as F

        return self.read(spark, table, within).where(F.col("__verdict") == "accepted")

    def of_parts(self, spark: SparkSession, table: Table, parts: Sequence[Any]) -> DataFrame:
        """Accepted rows of a bronze table that belong to one of these (delivery_id, batch_id, business_date) parts."""
        from pyspark.sql import functions as F

        batches = [p.batch_id for p in parts]
        days = [p.business_date for p in parts]
        within = _between("__batch", min(batches), max(batches)) & _between("__business_date", min(days), max(days))
        pairs = sorted({f"{p.batch_id}/{p.delivery_id}" for p in parts})
        return self.accepted(spark, table, within).where(
            F.col("__business_date").between(F.lit(min(days)), F.lit(max(days)))
            & F.concat_ws("/", F.col("__batch").cast("string"), F.col("__delivery_id")).isin(pairs)
        )


def empty(spark: SparkSession, table: Table) -> DataFrame:
    return spark.createDataFrame([], _ddl(schema_of(table)))


def _ddl(columns: Mapping[str, str]) -> str:
    return ", ".join(f"`{name}` {kind}" for name, kind in columns.items())


def _between(column: str, low: Any, high: Any) -> Expression:
    import pyarrow.dataset as ds

    return (ds.field(column) >= low) & (ds.field(column) <= high)
