"""The tables of one bank's lake.

Every write carries the batch number drawn from the ledger as Delta's transaction version (application id: table and subject), so that the
same batch written twice, even by two processes at one moment, is there once. `userMetadata` names batch and run.

Every silver and gold row carries, beside its contract's columns: sources (delivery and line it came from), received_at, batch, row_hash,
__verdict and __reasons; tables with history also valid_from, valid_to (exclusive, null = open) and is_current.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from jobs.contracts import Table
from jobs.lake import log
from jobs.lake.log import SchemaDiffers, WrittenMeanwhile

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import DataFrame, SparkSession

# Column -> lowest and highest value wanted. By a column of which no statistics are kept no file is left out.
Within = Mapping[str, tuple[Any, Any]]
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
# A commit, or what stands for all before it; a name beyond that is of a commit that was not finished.
COMMIT = re.compile(r"\d{20}\.(json|checkpoint\..*parquet|checkpoint\.parquet)")
SCRATCH, LOCKS = "_scratch", "_locks"
STATISTICS = "delta.dataSkippingStatsColumns"
# Versions live 35 days: a month-end figure can still be read as it was released.
PROPERTIES = {
    "delta.logRetentionDuration": "interval 35 days",
    "delta.deletedFileRetentionDuration": "interval 35 days",
    "delta.setTransactionRetentionDuration": "interval 35 days",
    "delta.checkpointInterval": "20",
}


class RowsOfOtherDates(Exception):
    """A transform made rows of dates that its run does not build: nothing was committed."""


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


def _all_different(table: Table) -> list[str]:
    """Columns of which hardly a value comes twice."""
    return ["__line", "__row_hash", "row_hash", *(table.primary_key if len(table.primary_key) == 1 else [])]


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


def types_of(table: Table) -> dict[str, str]:
    """The same as a live table names its types: to be compared with jobs.lake.log.columns."""
    return {name: kind.replace(" ", "").lower() for name, kind in schema_of(table).items()}


def statistics_of(table: Table) -> list[str]:
    """The columns of which Delta keeps minimum and maximum: those that people and the machinery filter on."""
    if table.layer == "bronze":
        return [*table.statistics, "__batch", "__business_date"]
    by_date = [business_date_column(table)] if table.history in ("fact", "snapshot") else []
    return [*(table.statistics or by_date), "batch"]


class Lake:
    """Paths, reads and writes below one folder."""

    def __init__(self, root: Path | str):
        self.root = str(root)

    def path(self, table: str) -> str:
        return f"{self.root}/{table.replace('.', '/')}"

    def exists(self, table: str) -> bool:
        """Whether something was committed to it; a death while it was created leaves a log without a commit."""
        try:
            with os.scandir(f"{self.path(table)}/_delta_log") as log:
                return any(COMMIT.fullmatch(entry.name) for entry in log)
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

    def create(self, table: Table) -> None:
        """Create an empty table from its contract, unless it is there."""
        from deltalake import DeltaTable

        if self.exists(table.table):
            return
        properties = PROPERTIES | {STATISTICS: ",".join(statistics_of(table))}
        try:
            DeltaTable.create(
                self.path(table.table), log.schema(schema_of(table)), mode="ignore", configuration=properties
            )
        except Exception:
            # A twin of this run may have created it in between.
            if not self.exists(table.table):
                raise

    def live(self, table: Table) -> DeltaTable:
        """The table as it stands, to be written to. Raises SchemaDiffers when it is not as its contract says."""
        from deltalake import DeltaTable

        live = DeltaTable(self.path(table.table))
        if wrong := log.differences(types_of(table), log.columns(live)):
            raise SchemaDiffers(
                f"{table.table} is not as its contract says: {', '.join(wrong)}. Nothing was written. "
                "`ledgerlake contracts plan` lists the differences and `ledgerlake contracts apply` brings the table to its contract."
            )
        return live

    def dataset(self, table: str, version: int | None = None, within: Within | None = None) -> Any:
        """The table's files that may hold rows of `within` as an Arrow dataset, read without Spark."""
        import pyarrow as pa
        import pyarrow.dataset as ds
        from deltalake import DeltaTable

        live = DeltaTable(self.path(table), version=version)
        schema = pa.schema(live.schema().to_arrow())
        files = [f"{self.path(table)}/{path}" for path in paths(live, within)]
        return ds.dataset(files, schema, format="parquet") if files else ds.dataset(schema.empty_table())

    def file_count(self, table: str) -> int:
        """How many files hold the table as it stands."""
        from deltalake import DeltaTable

        return len(DeltaTable(self.path(table)).file_uris())

    def written(self, table: Table, batch_id: int) -> list[str]:
        """The files that may hold rows of a batch."""
        from deltalake import DeltaTable

        column = "__batch" if table.layer == "bronze" else "batch"
        found = paths(DeltaTable(self.path(table.table)), {column: (batch_id, batch_id)})
        return [f"{self.path(table.table)}/{path}" for path in found]

    def read(self, spark: SparkSession, table: Table, within: Within | None = None) -> DataFrame:
        """All rows of the files that may hold rows of `within`; the caller leaves out what else these files hold. The log is read here, not in Spark,
        whose planning of a Delta scan costs more than reading a day's rows.
        """
        from deltalake import DeltaTable

        found = paths(DeltaTable(self.path(table.table)), within) if self.exists(table.table) else []
        return self._parquet(spark, table, found, schema_of(table)) if found else empty(spark, table)

    def _parquet(
        self, spark: SparkSession, table: Table, found: Sequence[str], columns: Mapping[str, str]
    ) -> DataFrame:
        files = [f"{self.path(table.table)}/{path}" for path in found]
        return spark.read.schema(_ddl(columns)).parquet(*files)

    def append(self, rows: DataFrame, table: Table, stamp: Stamp) -> None:
        live = self.live(table)
        if not self.is_done(live, table, stamp):
            self.commit(live, table, stamp, self._put(rows, table, stamp, list(schema_of(table))))

    def replace_dates(self, rows: DataFrame, table: Table, stamp: Stamp, first: date, last: date) -> None:
        """Put these rows in place of all rows of the business dates first..last. A rejected row that has no date is of no day: it stays.

        Raises RowsOfOtherDates, and WrittenMeanwhile when another run has written to the table in between.
        """
        from pyspark.sql import functions as F

        column = business_date_column(table)
        live = self.live(table)
        if self.is_done(live, table, stamp):
            return
        replaced = paths(live, {column: (first, last)})
        if replaced:
            # The same files hold rows of other dates, or of none, which stay, with all that the table has of them.
            gone = F.coalesce(F.col(column).between(F.lit(first), F.lit(last)), F.lit(False))
            stay = self._parquet(rows.sparkSession, table, replaced, log.columns(live)).where(~gone)
            rows = rows.select(*_named(schema_of(table))).unionByName(stay, allowMissingColumns=True)
        folder = self._put(rows, table, stamp, list(log.columns(live) if replaced else schema_of(table)))
        _must_be_of_dates(folder, table, stamp, first, last)
        self.commit(live, table, stamp, folder, replaced, is_alone=True)

    def _put(self, rows: DataFrame, table: Table, stamp: Stamp, columns: Sequence[str]) -> Path:
        """Write rows to files that are no part of the table yet."""
        folder = self.new_folder(table, stamp)
        writer = rows.select(*_named(columns)).write.option("mapreduce.fileoutputcommitter.marksuccessfuljobs", "false")
        for column in _all_different(table):
            # Parquet tries a dictionary first, and throws it away when no value comes twice.
            writer = writer.option(f"parquet.enable.dictionary#{column}", "false")
        writer.parquet(str(folder))
        return folder

    def new_folder(self, table: Table, stamp: Stamp) -> Path:
        """Where a batch writes its files, below its table and not that of a twin of its run. A write that dies before its commit leaves files that
        no one reads; the nightly maintenance removes them.
        """
        return Path(self.path(table.table)) / f"{stamp.batch_id}-{uuid4().hex}"

    def is_done(self, live: DeltaTable, table: Table, stamp: Stamp) -> bool:
        """Whether this batch, or a later one of the same subject, is in the table."""
        return (live.transaction_version(_application(table, stamp)) or 0) >= stamp.batch_id

    def commit(
        self, live: DeltaTable, table: Table, stamp: Stamp, folder: Path, replaced: Sequence[str] = (), *, is_alone: bool = False
    ) -> None:  # fmt: skip
        """Make the files of a folder rows of the table, in place of the files `replaced`; `live` is what the writer saw. `is_alone`: what is written
        follows from all that stood there, so that nobody may have written since (WrittenMeanwhile).
        """
        try:
            with self.alone(table.table):
                if is_alone and self.version(table.table) != live.version():
                    raise WrittenMeanwhile(
                        f"{table.table} was written by another run since this one looked at it (version {live.version()}). "
                        "Nothing was committed; the step goes on from what stands there now when it runs again."
                    )
                log.commit(
                    live, Path(self.path(table.table)), folder, replaced, statistics=statistics_of(table),
                    application=_application(table, stamp), version=stamp.batch_id, metadata=stamp.metadata(),
                )  # fmt: skip
        except Exception:
            # A twin of this run may have committed the same batch in between, or the commit stands and what follows it (a checkpoint) failed.
            if self.committed(table.table, stamp.batch_id) is None:
                raise

    @contextmanager
    def alone(self, table: str) -> Iterator[None]:
        """No other process commits to the table meanwhile.

        Our own commits need no lock among themselves. Spark's Delta (maintenance, changes of contracts) looks whether a version is free and takes it
        then, which is safe among its own threads alone.
        """
        lock = Path(self.root) / LOCKS / table
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def restore(self, table: str, version: int) -> None:
        """Back to a version, as a new commit. Restoring twice changes nothing."""
        from deltalake import DeltaTable

        with self.alone(table):
            live = DeltaTable(self.path(table))
            if live.version() != version:
                live.restore(version)

    def read_dates(
        self, spark: SparkSession, table: Table, first: date, last: date, column: str | None = None
    ) -> DataFrame:
        """Accepted rows of business dates first..last, or of another date column of the table."""
        from pyspark.sql import functions as F

        name = column or business_date_column(table)
        return self.accepted(spark, table, {name: (first, last)}).where(F.col(name).between(F.lit(first), F.lit(last)))

    def accepted(self, spark: SparkSession, table: Table, within: Within | None = None) -> DataFrame:
        """Rows that passed their gate, of the files that may hold rows of `within`; an empty frame of the right shape when the table was never
        written."""
        from pyspark.sql import functions as F

        return self.read(spark, table, within).where(F.col("__verdict") == "accepted")

    def of_parts(self, spark: SparkSession, table: Table, parts: Sequence[Any]) -> DataFrame:
        """Accepted rows of a bronze table that belong to one of these (delivery_id, batch_id, business_date) parts."""
        from pyspark.sql import functions as F

        batches = [p.batch_id for p in parts]
        days = [p.business_date for p in parts]
        within = {"__batch": (min(batches), max(batches)), "__business_date": (min(days), max(days))}
        pairs = sorted({f"{p.batch_id}/{p.delivery_id}" for p in parts})
        return self.accepted(spark, table, within).where(
            F.col("__business_date").between(F.lit(min(days)), F.lit(max(days)))
            & F.concat_ws("/", F.col("__batch").cast("string"), F.col("__delivery_id")).isin(pairs)
        )


def empty(spark: SparkSession, table: Table) -> DataFrame:
    return spark.createDataFrame([], _ddl(schema_of(table)))


def paths(live: DeltaTable, within: Within | None = None) -> list[str]:
    """The files of a table, by their paths in its log, that may hold rows of `within`."""
    import pyarrow as pa

    files = pa.table(live.get_add_actions(flatten=True)).to_pydict()
    found = list(range(len(files["path"])))
    for column, (low, high) in (within or {}).items():
        least, most, nulls = (files.get(f"{kind}.{column}") for kind in ("min", "max", "null_count"))
        found = [
            n
            for n in found
            if not (least and least[n] is not None and least[n] > high)
            and not (most and most[n] is not None and most[n] < low)
            and not (nulls and nulls[n] is not None and nulls[n] == files["num_records"][n])
        ]
    return [files["path"][n] for n in found]


def _must_be_of_dates(folder: Path, table: Table, stamp: Stamp, first: date, last: date) -> None:
    """Rows of other dates would be there twice when those are told anew."""
    import duckdb

    column = business_date_column(table)
    with duckdb.connect() as engine:
        found = engine.execute(
            f'select count(*), min("{column}"), max("{column}") from read_parquet($files, hive_partitioning = false) '
            f'where batch = $batch and ("{column}" < $first or "{column}" > $last)',
            {
                "files": [str(file) for file in folder.glob("*.parquet")],
                "batch": stamp.batch_id,
                "first": first,
                "last": last,
            },
        ).fetchone()
    if found and found[0]:
        raise RowsOfOtherDates(
            f"{table.table} is built for {first} to {last}, and {found[0]:,} of its rows are of other dates ({found[1]} to {found[2]}). Nothing was "
            f"committed. Correct jobs/{table.layer}/{table.name}.py: it must leave out what is of other dates."
        )


def _application(table: Table, stamp: Stamp) -> str:
    """Delta's name for who writes: one of these commits each batch once."""
    return f"{table.table}|{stamp.subject}"


def _named(columns: Iterable[str]) -> list[str]:
    return [f"`{name}`" for name in columns]


def _ddl(columns: Mapping[str, str]) -> str:
    return ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
