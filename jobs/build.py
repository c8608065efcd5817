"""One silver or gold table for one run of a business day: read -> transform -> judge -> write -> record. The page to read first.

The transform is a pure function in jobs/<layer>/<table>.py; everything that touches the world is here. A run (`date|vN`) may die anywhere and be
started again, and two copies of it may run at once: each write carries the batch number that the ledger drew for this table and run, and a
step that finds its batch written reads back what it needs.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row

from jobs import conform
from jobs.bank import Bank, as_decided, open_bank
from jobs.contracts import Table
from jobs.contracts.day import Day
from jobs.contracts.model import INCOMING, PREVIOUS
from jobs.lake import history, session
from jobs.lake.tables import SOURCES, Stamp, business_date_column, judged_table
from jobs.lease import hold_writer
from jobs.ledger import batches, days, deliveries, releases
from jobs.ledger.days import days_between
from jobs.seams import seam

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


# The metric that says by what a table was made (made_by).
MADE_BY = "made_by"
# Of equal copies the first by these is the one that counts.
ORDER = ["received_at", "sources"]


class GateStopped(Exception):
    """A gate said stop: this day goes no further. Nothing that was released changes."""


class ColumnsMissing(Exception):
    """A transform does not make a column of its table's contract: nothing was written."""


class StaleRun(Exception):
    """A step of a run that another has taken back: it must leave no trace."""


@dataclass(frozen=True)
class Run:
    """One run of one or more business days, and the live parts of deliveries that it builds from."""

    key: str
    run_id: str
    first: date
    last: date
    row: Row[Any]

    @property
    def chosen(self) -> set[str]:
        return set(self.row.deliveries or [])


def open_run(bank: Bank, run_key: str, run_id: str) -> Run:
    with bank.ledger.begin() as db:
        row = days.get(db, run_key)
    return Run(run_key, run_id, row.from_date, row.to_date, row)


def build(profile: str, run_key: str, table_name: str, run_id: str) -> dict[str, Any]:
    """Build one table for a run; returns its metrics. Does nothing but answer when the batch is written already."""
    bank = as_decided(open_bank(profile))
    run = open_run(bank, run_key, run_id)
    table = bank.catalog.tables[table_name]
    hold_writer(bank, run)
    with bank.ledger.begin() as db:
        done = batches.newest(db, table_name, run_key)
        if done is not None and done.state in ("written", "passed", "stopped"):
            return done.metrics or {}
        batch = batches.start(db, table_name, run_key, run_id)
    stamp = Stamp(batch.batch_id, run_key, run_id)
    if not _has_work(bank, run, table):
        return _record(bank, stamp, {"skipped": True, MADE_BY: made_by(bank, table)}, None)
    former = unchanged_since(bank, run, table)
    if former is not None:
        return _record(bank, stamp, dict(former.metrics or {}) | {"unchanged": True}, None)
    with session(rows_read(bank, run, table)) as spark:
        bank.lake.create(table)
        version = bank.lake.version(table.table)
        with bank.ledger.begin() as db:
            batches.keep_previous_version(db, batch.batch_id, version)
        if bank.lake.committed(table.table, batch.batch_id) is None:
            _write(spark, bank, run, table, stamp)
        came = _came_in(bank, run, table)
        before = conform.before_the_table(spark, bank, table, came) if INCOMING in table.reads else {}
    seam("after_table_write")
    return _record(
        bank,
        stamp,
        _measure(bank, table, batch.batch_id) | before | {MADE_BY: made_by(bank, table)},
        bank.lake.version(table.table),
    )


def _record(bank: Bank, stamp: Stamp, metrics: dict[str, Any], version: int | None) -> dict[str, Any]:
    from jobs.quality.metrics import storable

    kept = storable(metrics)
    with bank.ledger.begin() as db:
        if batches.set_state(
            db, stamp.batch_id, "written", only_from=("started", "written"), metrics=kept, delta_version=version
        ):
            return kept
        found = batches.get(db, stamp.batch_id)
    if found.state == "restored":
        raise StaleRun(
            f"Run {stamp.subject} was given up, and what it wrote was taken back, while this step still ran. Nothing was recorded; "
            "the run that came after it goes on."
        )
    return found.metrics or {}  # a twin of this run was faster


def _has_work(bank: Bank, run: Run, table: Table) -> bool:
    """False when nothing arrived for a table that is made of arrivals alone, and it holds nothing of these dates: then it is not even opened."""
    if INCOMING not in table.reads:
        return True
    if _parts(bank, run, table, run.first, run.last):
        return True
    with bank.ledger.begin() as db:
        return days.newest_release(db, run.first) is not None


def unchanged_since(bank: Bank, run: Run, table: Table) -> Row[Any] | None:
    """The batch that a former release of these dates (a take-on's, too) made of the table, when all that the table is made of is as it was then: the
    same parts of deliveries, the same contracts and transform, and no table among its `reads` written anew by this run. Then it stands as it is."""
    if table.layer != "silver" or looks_beyond(table):
        return None
    with bank.ledger.begin() as db:
        made = days.newest_release(db, run.first)
        if made is None or any(
            (found := days.newest_release(db, day)) is None or found.release_id != made.release_id
            for day in days_between(run.first, run.last)
        ):
            return None
        before = days.get(db, made.run_key)
        former = batches.newest(db, table.table, made.run_key)
        written = releases.written_by(db, run.key)
    reads = [r for r in table.reads if r not in (INCOMING, PREVIOUS)]
    if former is None or any(written[r].delta_version is not None for r in reads if r in written):
        return None
    if (former.metrics or {}).get(MADE_BY) != made_by(bank, table):
        return None
    then = Run(before.run_key, run.run_id, before.from_date, before.to_date, before)
    return former if _part_keys(bank, then, table) == _part_keys(bank, run, table) else None


def made_by(bank: Bank, table: Table) -> str:
    """A digest of what makes the table of what came: its contract, how feeds conform to it, the lists that these name, its transform."""
    feeding = {bronze.table: bronze for bronze in bank.catalog.feeding(table.table)}
    said = [
        table.model_dump_json(),
        repr(bank.catalog.rules(table)),
        repr((bank.catalog.profile.zone, bank.catalog.profile.currency)),
    ]
    said += [
        f"{name} {bronze.money} {bronze.conforms[table.table].model_dump_json()}"
        for name, bronze in sorted(feeding.items())
    ]
    named = {word for text in said for word in re.findall(r"\w+", text)}
    said += [of.model_dump_json() for name, of in sorted(bank.catalog.references.items()) if name in named]
    transform = Path(str(_module(table).__file__)).read_bytes()
    return hashlib.sha256("\n".join(said).encode() + transform).hexdigest()


def looks_beyond(table: Table) -> bool:
    """Whether it reads rows of other dates than the run's own, which may have changed since."""
    return bool(_look_back(table))


def _look_back(table: Table) -> dict[str, str]:
    """What the table's module says of the dates that it reads: address -> window or column."""
    found: dict[str, str] = getattr(_module(table), "READS", {})
    return found


def _module(table: Table) -> ModuleType:
    return importlib.import_module(table.made_by or f"jobs.{table.layer}.{table.name}")


def _part_keys(bank: Bank, run: Run, table: Table) -> set[tuple[str, int]]:
    return {(p.delivery_id, p.batch_id) for p in _parts(bank, run, table, run.first, run.last)}


def rows_read(bank: Bank, run: Run, table: Table) -> int:
    """How much work a table is: the rows that arrived for it, and those that this run wrote into the tables that it reads."""
    arrived = sum(p.accepted_rows for p in _parts(bank, run, table, run.first, run.last))
    with bank.ledger.begin() as db:
        written = releases.written_by(db, run.key)
    read = [written[r] for r in table.reads if r in written and written[r].delta_version is not None]
    return arrived + sum(int((batch.metrics or {}).get("accepted_rows") or 0) for batch in read)


def _parts(bank: Bank, run: Run, table: Table, first: date, last: date) -> list[Row[Any]]:
    """The live parts of deliveries that feed a table in these dates: of the run's own dates, those that it chose when it began."""
    feeds = [bronze.name for bronze in bank.catalog.feeding(table.table)]
    with bank.ledger.begin() as db:
        parts = deliveries.chosen_parts(db, sorted(run.chosen), feeds, max(first, run.first), min(last, run.last))
        if last > run.last:
            parts += deliveries.live_parts(db, feeds, run.last + timedelta(days=1), last)
    return parts


def _came_in(bank: Bank, run: Run, table: Table) -> list[Row[Any]]:
    """The live parts whose rows the run conforms. For a table with history that is built again for an older date, those of all later dates too:
    history from that date on is told anew."""
    last = run.last
    if table.history == "scd2":
        with bank.ledger.begin() as db:
            last = max(last, days.last_released_day(db) or last)
    return _parts(bank, run, table, run.first, last)


def _write(spark: SparkSession, bank: Bank, run: Run, table: Table, stamp: Stamp) -> None:
    """Transform, judge and write."""
    judged = _judged(spark, bank, run, table, stamp)
    if table.history == "append":
        bank.lake.append(judged, table, stamp)
    elif table.history == "scd2":
        _write_history(bank, run, table, stamp, judged)
    else:
        bank.lake.replace_dates(judged, table, stamp, run.first, run.last)


def _write_history(bank: Bank, run: Run, table: Table, stamp: Stamp, judged: DataFrame) -> None:
    """The judged states are kept beside the table (rejected ones too); the accepted ones of this batch are merged into the history."""
    states = judged_table(table)
    bank.lake.create(states)
    bank.lake.append(judged, states, stamp)
    history.merge(bank.lake, table, stamp, run.first)


def _measure(bank: Bank, table: Table, batch_id: int) -> dict[str, Any]:
    """Metrics of what the batch wrote, measured on its own files."""
    from jobs.quality.metrics import measure

    written = bank.lake.written(judged_table(table) if table.history == "scd2" else table, batch_id)
    (found,) = measure(written, table, bank.catalog.rules(table), batch=batch_id)
    return found


def _judged(spark: SparkSession, bank: Bank, run: Run, table: Table, stamp: Stamp) -> DataFrame:
    """The transform's rows in the table's shape, each with its verdict."""
    from pyspark.sql import functions as F

    from jobs.quality.verdicts import judge, row_hash

    out = _transformed(spark, bank, run, table)
    columns = list(table.physical_columns)
    have = set(out.columns)
    if missing := [name for name in columns if name not in have]:
        raise ColumnsMissing(
            f"{table.made_by or f'jobs/{table.layer}/{table.name}.py'} makes no {', '.join(missing)}, which {table.table}'s contract declares. "
            "Nothing was written. Make it there, or take it out of the contract."
        )
    filtered = F.col("__filtered") if "__filtered" in have else F.lit(None).cast("string")
    out = out.select(
        *columns,
        *(["valid_from"] if table.history == "scd2" else []),
        (F.col("sources") if "sources" in have else F.lit(None)).cast(SOURCES).alias("sources"),
        (F.col("received_at") if "received_at" in have else F.lit(None)).cast("timestamp").alias("received_at"),
        F.lit(stamp.batch_id).cast("bigint").alias("batch"),
        row_hash(table.compared).alias("__row_hash"),
        filtered.alias("__filtered"),
    )
    judged = judge(out, bank.catalog.rules(table), within=unique_within(table), order=ORDER, filtered=True)
    judged = judged.withColumn("row_hash", F.lower(F.hex("__row_hash"))).withColumn(
        "__verdict", F.when(F.col("__filtered").isNotNull(), F.lit("filtered")).otherwise(F.col("__verdict"))
    )
    return judged.withColumn(
        "__reasons", F.when(F.col("__filtered").isNotNull(), F.array("__filtered")).otherwise(F.col("__reasons"))
    )


def unique_within(table: Table) -> list[str]:
    """The columns of a silver or gold table among whose equal values a uniqueness rule compares the rows of a run."""
    if table.history == "append":
        return []
    return ["valid_from"] if table.history == "scd2" else [business_date_column(table)]


def _transformed(spark: SparkSession, bank: Bank, run: Run, table: Table) -> DataFrame:
    transform: Callable[..., DataFrame] = _module(table).transform
    look_back = _look_back(table)
    frames = {read.split(".")[-1]: _frame(spark, bank, run, table, read, look_back.get(read)) for read in table.reads}
    if "day" in transform.__code__.co_varnames[: transform.__code__.co_argcount + transform.__code__.co_kwonlyargcount]:
        return transform(**frames, day=day_of(bank, run))
    return transform(**frames)


def _frame(spark: SparkSession, bank: Bank, run: Run, table: Table, read: str, look_back: str | None) -> DataFrame:
    if read == INCOMING:
        return conform.incoming(spark, bank, table, _came_in(bank, run, table))
    if read == PREVIOUS and look_back:
        return bank.lake.read_dates(spark, table, run.last + timedelta(days=1), _on(run.last, look_back))
    if read == PREVIOUS:
        return bank.lake.accepted(spark, table)
    other = bank.catalog.tables[read]
    if other.history == "scd2":
        return bank.lake.accepted(spark, other)
    if look_back in other.columns:
        # Rows that speak of the run's dates, whatever their own business date (reversals of the run's originals).
        return bank.lake.read_dates(spark, other, run.first, _last_date(bank, run, table), column=look_back)
    return bank.lake.read_dates(spark, other, _back(run.first, look_back), _last_date(bank, run, table))


def _back(first: date, look_back: str | None) -> date:
    """The first date of a window: `month`, `N days` or `N months` before, inclusive of nothing older than needed."""
    if look_back is None:
        return first
    if look_back == "month":
        return first.replace(day=1)
    match = re.fullmatch(r"(\d+) (day|month)s?", look_back)
    if not match:
        raise ValueError(f"look-back {look_back!r} is neither `month`, `N days` nor `N months`")
    count = int(match[1])
    if match[2] == "day":
        return first - timedelta(days=count)
    month = first.year * 12 + first.month - 1 - count
    year, month = divmod(month, 12)
    days_in = (date(year + (month == 11), (month + 1) % 12 + 1, 1) - timedelta(days=1)).day
    return date(year, month + 1, min(first.day, days_in))


def _on(last: date, look_ahead: str) -> date:
    """The last date of a window after the run's dates: `N days on`."""
    match = re.fullmatch(r"(\d+) days? on", look_ahead)
    if not match:
        raise ValueError(f"look-ahead {look_ahead!r} is not `N days on`")
    return last + timedelta(days=int(match[1]))


def _last_date(bank: Bank, run: Run, table: Table) -> date:
    """Tables that keep month-to-date figures see up to the newest figure that the run restates; all others the run's own dates."""
    return max([run.last, *as_of_dates(bank, run)]) if table.layer == "gold" else run.last


def as_of_dates(bank: Bank, run: Run) -> list[date]:
    """Dates as of which windows and month-to-date figures are told: each month's end and the last date of the run; and, when an older day is built
    again, the newest released day of the same month."""
    dates = {d for d in days_between(run.first, run.last) if (d + timedelta(days=1)).day == 1} | {run.last}
    with bank.ledger.begin() as db:
        newest = days.last_released_day(db)
    if newest and newest > run.last:
        month_end = (run.last.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        dates.add(min(newest, month_end))
    return sorted(dates)


def day_of(bank: Bank, run: Run) -> Day:
    profile = bank.catalog.profile
    as_of = as_of_dates(bank, run)
    with bank.ledger.begin() as db:
        earlier = days.coverage_between(db, as_of[0].replace(day=1), as_of[-1])
    return Day(
        from_date=run.first,
        to_date=run.last,
        as_of=as_of,
        zone=profile.zone,
        currency=profile.currency,
        balance_floor=Decimal(profile.balance_floor),
        release_key=run.key,
        version=run.row.version,
        cause=run.row.cause,
        kpis=list(bank.catalog.kpis.values()),
        coverage={feed: (pair[0], pair[1]) for feed, pair in (run.row.coverage or {}).items()},
        run_id=run.run_id,
        earlier={date_: units for date_, units in earlier.items() if not run.first <= date_ <= run.last},
    )


def judge_table(profile: str, run_key: str, table_name: str, run_id: str) -> str:
    """The gate of one table in a run: Great Expectations judges the metrics of the write; the balance must hold. Needs no Spark.

    Returns the outcome; raises GateStopped when the day must stop.
    """
    from jobs.quality import data_docs
    from jobs.quality.gate import evaluate
    from jobs.quality.metrics import nothing

    bank = as_decided(open_bank(profile))
    run = open_run(bank, run_key, run_id)
    table = bank.catalog.tables[table_name]
    rules = bank.catalog.rules(table)
    hold_writer(bank, run)
    with bank.ledger.begin() as db:
        batch = batches.newest(db, table_name, run_key)
    if batch is None or batch.state not in ("written", "passed", "stopped"):
        raise RuntimeError(f"{table_name} was not built in run {run_key}: build it first")
    if batch.state == "passed" and run.row.state == "released":
        return "pass"  # its run was cleared to be shown (jobs/day.py: begin): what is released is not judged anew
    metrics = batch.metrics or {}
    if metrics.get("skipped"):
        metrics = nothing(table, rules)
    changed = conform.undeclared(bank, table, metrics)
    gate = evaluate(table, rules, metrics, subject=run_key, beside=changed)
    balance = balance_of(bank, run, table, metrics)
    outcome, sentence = gate.outcome, gate.sentence()
    if balance is not None and not balance.is_balanced:
        outcome, sentence = "stop", balance.sentence()
    docs = data_docs.render(gate, bank.docs / f"{run_key.replace('|', '_')}_{table_name}.html", outcome, sentence)
    with bank.ledger.begin() as db:
        batches.record_gate(
            db, batch_id=batch.batch_id, table=table_name, subject=run_key, outcome=outcome, rules_run=gate.rules_run, failed=gate.failed,
            result=gate.result, docs_path=str(docs), run_id=run_id,
        )  # fmt: skip
        if balance is not None:
            batches.record_balance(
                db, batch_id=batch.batch_id, table=table_name, subject=run_key, **balance.as_record()
            )
        for failed in gate.failed:
            if failed["on_fail"] == "quarantine" and failed["unexpected"]:
                batches.open_case(
                    db, kind="rows", table=table_name, cause=failed["rule"], subject=run_key, reason=failed["sentence"],
                    affected_rows=failed["unexpected"], money=failed.get("money"), owner=table.steward, run_id=run_id, business_date=run.last,
                )  # fmt: skip
        batches.alert_rules(db, table=table_name, subject=run_key, failed=gate.failed)
        conform.tell_changes(db, bank, table, run_key, changed)
        batches.set_state(db, batch.batch_id, "stopped" if outcome in ("stop", "hold") else "passed")
    if outcome in ("stop", "hold"):
        raise GateStopped(
            f"Gate of {table_name} for {run_key}: {outcome}. {sentence} See {docs}, `ledgerlake gates {table_name}`."
        )
    return outcome


def balance_of(bank: Bank, run: Run, table: Table, metrics: dict[str, Any]) -> Any:
    """What the ledger says came in against what the write says went out; None for tables that no feed conforms to, and for one that this run left
    as it was: its balance was kept when it was written, of all that it was made of then."""
    from jobs.quality.balance import Balance

    if INCOMING not in table.reads or metrics.get("unchanged"):
        return None
    parts = _came_in(bank, run, table)
    money = sum((p.accepted_money for p in parts), Decimal(0)) if table.money else None
    return Balance.from_metrics(
        metrics, received_rows=sum(p.accepted_rows for p in parts), received_money=money, by_sources=True
    )
