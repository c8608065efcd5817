"""A rule is tried on past days before it stands in a contract, and rules are proposed from what past days looked like.

Read are the last released business days, as they stand now: of bronze the live deliveries of these days, of silver and gold what was released. Nothing is
written but files below the lake's scratch folder, which are gone when the answer is there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row

from jobs.bank import Bank
from jobs.build import ORDER as ORDER_OF_A_DAY
from jobs.build import unique_within
from jobs.contracts import Rule, Table
from jobs.lake import log, session
from jobs.lake.tables import Stamp, business_date_column, empty, judged_table
from jobs.ledger import days, deliveries, releases
from jobs.load import ORDER, UNIQUE_WITHIN
from jobs.quality.trial import BRANCH, DAY, QUARANTINE, SUBJECT, Subject, Trial
from jobs.quality.usual import is_told_in_usual

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from jobs.quality.proposals import Proposal

Progress = Callable[[str], None]
HALTED = ("stop", "hold")


class NothingToTry(Exception):
    """There is no released day, or the lake does not have what the rule speaks of; the message says what to do."""


class CannotBeJudged(Exception):
    """The rule is well formed, but its values do not fit the column: what a gate would have said of it is an error."""


@dataclass(frozen=True)
class Backtest:
    """What a rule would have said on these days, one trial a day and subject."""

    table: Table
    rule: Rule
    days: list[date]
    trials: list[Trial]

    @property
    def caught(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.outcome != "pass"]

    def days_of(self, *outcomes: str) -> list[date]:
        """The days on which a subject ended so."""
        return sorted({t.subject.day for t in self.trials if t.outcome in outcomes})

    def rows_of(self, *outcomes: str) -> int:
        return sum(t.rows for t in self.trials if t.outcome in outcomes)

    def money_of(self, *outcomes: str) -> Decimal | None:
        """None where the table follows no money."""
        found = [t.money for t in self.trials if t.outcome in outcomes and t.money is not None]
        return sum(found, Decimal(0)) if self.table.money else None

    def branches_of(self, *outcomes: str) -> list[str]:
        return sorted({branch for t in self.trials if t.outcome in outcomes for branch in t.branches})

    @property
    def is_quiet(self) -> bool:
        """Nothing would have been kept back."""
        return not any(t.outcome in (*HALTED, QUARANTINE) for t in self.trials)


def backtest(bank: Bank, table: Table, rule: Rule, count: int, progress: Progress = lambda _: None) -> Backtest:
    """Try a rule on the last `count` released days. Raises NothingToTry, CannotBeJudged, SparkUnavailable, LedgerUnavailable."""
    from jobs.quality.trial import tried

    choice = choose(bank, table, count)
    _must_be_in_the_lake(bank, table, rule.columns)
    progress(f"Reading {choice.sentence}.")
    within, order = uniqueness(table)
    subjects = _with_usual_rows(bank, choice.subjects) if is_told_in_usual([rule]) else choice.subjects
    with session(choice.rows) as spark, _scratch(bank) as folder, _told(table, rule):
        progress(f"Judging them by {rule.id}.")
        trials = tried(choice.read(spark), table, [rule], subjects, folder / "judged", within=within, order=order)
    if not trials:
        raise NothingToTry(
            f"These days of {table.table} came as one delivery, the history that was taken on, of which {rule.id} is not asked: it speaks of a whole "
            "delivery. Try it when days have come by themselves."
        )
    return Backtest(table, rule, choice.days, sorted(trials, key=lambda t: (t.subject.day, t.subject.name)))


def _with_usual_rows(bank: Bank, subjects: Sequence[Subject]) -> list[Subject]:
    """Each delivery with what its lane usually had before it, as its gate would have asked (jobs/settling.py)."""
    with bank.ledger.begin() as db:
        return [
            replace(s, usual_rows=deliveries.usual_rows(db, deliveries.get(db, s.name))) if s.is_whole else s
            for s in subjects
        ]


@dataclass(frozen=True)
class Suggestions:
    """Rules proposed for a table, and those that were left out because they would have kept something back, or warned, on the very days that they come from."""

    table: Table
    days: list[date]
    proposals: list[Proposal]
    left_out: list[Proposal]


def suggest(bank: Bank, table: Table, count: int, progress: Progress = lambda _: None) -> Suggestions:
    """Propose rules from the last `count` released days. Raises NothingToTry, SparkUnavailable, LedgerUnavailable."""
    from jobs.quality.proposals import suggested

    choice = choose(bank, table, count)
    _must_be_in_the_lake(bank, table, list(table.physical_columns))
    progress(f"Reading {choice.sentence}.")
    with session(choice.rows) as spark, _scratch(bank) as folder:
        within, order = uniqueness(table)
        kept, left_out = suggested(
            choice.read(spark),
            table,
            choice.subjects,
            bank.catalog.references,
            folder,
            within=within,
            order=order,
            progress=progress,
        )
    return Suggestions(table, choice.days, kept, left_out)


def uniqueness(table: Table) -> tuple[list[str], list[str]]:
    """Within which columns uniqueness is decided, and which of equal copies counts: the first by these."""
    return (UNIQUE_WITHIN, ORDER) if table.layer == "bronze" else (unique_within(table), ORDER_OF_A_DAY)


@dataclass(frozen=True)
class Choice:
    """The rows of the last released days: what they are, and how to read them."""

    table: Table
    days: list[date]
    subjects: list[Subject]
    rows: int | None
    read: Callable[[SparkSession], DataFrame]

    @property
    def sentence(self) -> str:
        what = "deliveries" if self.table.layer == "bronze" else "days"
        subjects = len({s.name for s in self.subjects})
        rows = f", {self.rows:,} rows" if self.rows is not None else ""
        return f"{self.table.table}, {len(self.days)} days from {self.days[0]} to {self.days[-1]}: {subjects:,} {what}{rows}"


def choose(bank: Bank, table: Table, count: int) -> Choice:
    with bank.ledger.begin() as db:
        wanted = releases.newest_days(db, count)
    if not wanted:
        raise NothingToTry(
            f"No day of {bank.profile} is released yet, so there is nothing to try a rule on. `ledgerlake releases` lists released days."
        )
    return _of_bronze(bank, table, wanted) if table.layer == "bronze" else _of_released(bank, table, wanted)


def _of_bronze(bank: Bank, table: Table, wanted: list[date]) -> Choice:
    """Live deliveries whose lane is of these days, whole; of history that was taken on the parts of these days."""
    first, last = wanted[0], wanted[-1]
    with bank.ledger.begin() as db:
        own = [
            d for d in deliveries.live_between(db, table.name, first, last)
            if d.entity != days.TAKE_ON and d.business_date in wanted
        ]  # fmt: skip
        parts = deliveries.chosen_parts(
            db, [f"{d.delivery_id}/{d.live_batch}" for d in own], [table.name], date.min, date.max
        )
        taken_on = [
            p for p in deliveries.live_parts(db, [table.name], first, last)
            if p.entity == days.TAKE_ON and p.business_date in wanted
        ]  # fmt: skip
    subjects = [Subject(d.business_date, d.delivery_id, d.entity) for d in own]
    subjects += [Subject(p.business_date, p.delivery_id, None, is_whole=False) for p in taken_on]
    day_of = {d.delivery_id: d.business_date for d in own}
    both = [*parts, *taken_on]

    def read(spark: SparkSession) -> DataFrame:
        from pyspark.sql import functions as F

        rows = bank.lake.of_parts(spark, table, both) if both else empty(spark, table)
        lanes = spark.createDataFrame(list(day_of.items()), "`__delivery_id` string, `__lane_day` date")
        rows = rows.join(F.broadcast(lanes), "__delivery_id", "left")
        rows = rows.where(F.col("__lane_day").isNotNull() | F.col("__business_date").isin(wanted))
        branch = F.col("branch_id") if "branch_id" in table.physical_columns else F.lit(None)
        return rows.withColumns(
            {
                DAY: F.coalesce("__lane_day", "__business_date"),
                SUBJECT: F.col("__delivery_id"),
                BRANCH: F.coalesce(branch.cast("string"), F.col("__entity")),
            }
        )

    return Choice(table, wanted, subjects, sum(p.accepted_rows for p in both), read)


def _of_released(bank: Bank, table: Table, wanted: list[date]) -> Choice:
    """Each day as its newest release has it."""
    with bank.ledger.begin() as db:
        newest = releases.newest(db)
        visible = releases.tables(db, newest.release_id).get(table.table) if newest else None
        written = releases.writers(db, table.table, wanted)
    version = visible.delta_version if visible else None
    read = (
        _facts(bank, table, wanted, version)
        if table.history in ("fact", "snapshot")
        else _batches(bank, table, written, version)
    )
    subjects = [Subject(day, day.isoformat()) for day in wanted]
    return Choice(table, wanted, subjects, None, lambda spark: _named(read(spark), table))


def _facts(bank: Bank, table: Table, wanted: list[date], version: int | None) -> Callable[[SparkSession], DataFrame]:
    """Rows of a table that is replaced by business date."""
    column = business_date_column(table)

    def read(spark: SparkSession) -> DataFrame:
        from pyspark.sql import functions as F

        rows = bank.lake.read(spark, table, {column: (wanted[0], wanted[-1])}, version)
        return rows.where((F.col("__verdict") == "accepted") & F.col(column).isin(wanted)).withColumn(
            DAY, F.col(column)
        )

    return read


def _batches(
    bank: Bank, table: Table, written: Mapping[date, Row[Any]], version: int | None
) -> Callable[[SparkSession], DataFrame]:
    """Rows of a table with history, or one that only grows: what the runs of these days told, states that changed nothing too."""
    stored = judged_table(table) if table.history == "scd2" else table
    batches = [row.batch_id for row in written.values()]
    runs = sorted({(row.batch_id, row.from_date, row.to_date) for row in written.values()})

    def read(spark: SparkSession) -> DataFrame:
        from pyspark.sql import functions as F

        if not runs:
            return empty(spark, stored).withColumn(DAY, F.lit(None).cast("date"))
        within = {"batch": (min(batches), max(batches))}
        rows = bank.lake.read(spark, stored, within, None if stored is not table else version)
        told_by = spark.createDataFrame(runs, "batch bigint, `__first` date, `__last` date")
        rows = rows.where(F.col("__verdict") == "accepted").join(F.broadcast(told_by), "batch")
        last = F.col("__last")
        day = F.when(F.col("__first") == last, last).otherwise(F.col("valid_from")) if table.history == "scd2" else last
        asked = spark.createDataFrame(
            [(day, row.batch_id) for day, row in written.items()], f"`{DAY}` date, batch bigint"
        )
        return rows.withColumn(DAY, day).join(F.broadcast(asked), [DAY, "batch"], "left_semi")

    return read


def _named(rows: DataFrame, table: Table) -> DataFrame:
    from pyspark.sql import functions as F

    from jobs.quality.verdicts import row_hash

    scope = (table.mart.scope if table.mart else {}).get("branch", "branch_id")
    branch = F.col(scope).cast("string") if scope in table.physical_columns else F.lit(None).cast("string")
    return rows.withColumns(
        {
            SUBJECT: F.col(DAY).cast("string"),
            BRANCH: branch,
            "__row_hash": row_hash(table.tracked or list(table.physical_columns)),
        }
    )


def _must_be_in_the_lake(bank: Bank, table: Table, columns: Sequence[str]) -> None:
    """A column that the lake has not yet would be null in every row."""
    from deltalake import DeltaTable

    if not bank.lake.exists(table.table):
        raise NothingToTry(
            f"{table.table} holds nothing yet: no day wrote it. `ledgerlake releases` lists released days."
        )
    have = log.columns(DeltaTable(bank.lake.path(table.table), without_files=True))
    if missing := [column for column in columns if column not in have]:
        raise NothingToTry(
            f"{table.table} has no {', '.join(missing)} in the lake yet, so past days say nothing of it. `ledgerlake contracts plan` lists what the contract "
            "would change."
        )


@contextmanager
def _told(table: Table, rule: Rule) -> Iterator[None]:
    """Raises CannotBeJudged for what Spark or Great Expectations cannot make of the rule's values; a Spark server that is lost is no such thing."""
    from pyspark.errors import (
        AnalysisException,
        ArithmeticException,
        DateTimeException,
        IllegalArgumentException,
        NumberFormatException,
        SparkRuntimeException,
    )  # fmt: skip

    from jobs.quality.gate import GateError

    try:
        yield
    except GateError as error:
        raise CannotBeJudged(str(error)) from error
    except (
        AnalysisException, ArithmeticException, DateTimeException, IllegalArgumentException, NumberFormatException, SparkRuntimeException,
    ) as error:  # fmt: skip
        found = str(error).strip().splitlines()[0]
        raise CannotBeJudged(
            f"Rule {rule.id} cannot be judged on {table.table} ({rule.expectation}): {found} Correct its kwargs; columns are of the types that the contract declares."
        ) from error


@contextmanager
def _scratch(bank: Bank) -> Iterator[Path]:
    """A folder below the lake, where Spark sees it, and gone afterwards."""
    folder = bank.lake.scratch(Stamp(0, "backtest", "backtest")).with_suffix("")
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
