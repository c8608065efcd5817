"""Upkeep of a bank's files: compaction, old Delta versions, decoded `rows` that bronze holds, raw files past their time."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import Connection, select, update
from sqlalchemy.orm import InstrumentedAttribute

from jobs.bank import Bank, open_bank
from jobs.lake import session
from jobs.lake.tables import SCRATCH, judged_table
from jobs.ledger import clock, posted
from jobs.ledger.models import LIVE_STATES, Case, DayRun, Delivery

log = structlog.get_logger()
# The sender's original bytes hold clear identifiers: they are kept encrypted, and no longer than this (rule ER-10).
RAW_DAYS = 30
# `rows` are a step on the way; bronze holds them all. A week is kept for a second look.
ROWS_DAYS = 7
SCRATCH_SECONDS = 24 * 3600


def tidy(profile: str, run_id: str) -> dict[str, int]:
    """Compact and vacuum every table, and delete what has expired. Returns what was done, in counts."""
    bank = open_bank(profile)
    done = {"tables": 0, "files_before": 0, "files_after": 0, "raw_files": 0, "rows_files": 0, "posted_events": 0}
    with session() as spark:
        for table in _tables(bank):
            if bank.lake.exists(table):
                before = bank.lake.file_count(table)
                for act in ("OPTIMIZE", "VACUUM"):
                    with bank.lake.alone(table):
                        spark.sql(f"{act} delta.`{bank.lake.path(table)}`")
                after = bank.lake.file_count(table)
                log.info("table_compacted", table=table, files_before=before, files_after=after)
                done["tables"] += 1
                done["files_before"] += before
                done["files_after"] += after
    _forget_scratch(bank)
    with bank.ledger.begin() as db:
        at = clock.now(db)
        done["raw_files"] = _expire(db, Delivery.raw_uri, at - timedelta(days=RAW_DAYS), only_settled=False)
        done["posted_events"] = posted.forget(db, at - timedelta(days=RAW_DAYS))
        done["rows_files"] = _expire(db, Delivery.rows_uri, at - timedelta(days=ROWS_DAYS), only_settled=True)
    return done


def _tables(bank: Bank) -> list[str]:
    """Every table of the lake, those of the judged states of histories too."""
    return [t.table for one in bank.catalog.tables.values() for t in (one, judged_table(one))]


def _forget_scratch(bank: Bank) -> None:
    """Files that a write left behind when its process died; by its own clock, for they are no rows of any bank day. Those of Spark's half-written
    folders too, which VACUUM takes for nobody's business.
    """
    root = Path(bank.lake.root)
    for left in [*(root / SCRATCH).glob("*"), *root.glob("*/*/*/_temporary")]:
        if time.time() - left.stat().st_mtime > SCRATCH_SECONDS:
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def _expire(db: Connection, column: InstrumentedAttribute[str | None], before: datetime, *, only_settled: bool) -> int:
    query = select(Delivery.delivery_id, column.label("uri")).where(
        column.is_not(None), Delivery.received_at < before.astimezone(UTC)
    )
    if only_settled:
        # With an open case, they are what a fix is applied to.
        open_case = select(Case.case_id).where(Case.delivery_id == Delivery.delivery_id, Case.state == "open")
        query = query.where(Delivery.state.in_([*LIVE_STATES, "superseded"]), ~open_case.exists())
    kept = _of_open_days(db) if only_settled else frozenset()
    gone = 0
    for row in db.execute(query).all():
        if row.delivery_id in kept:
            continue
        Path(row.uri).unlink(missing_ok=True)
        db.execute(update(Delivery).where(Delivery.delivery_id == row.delivery_id).values({column.key: None}))
        gone += 1
    return gone


def _of_open_days(db: Connection) -> frozenset[str]:
    """The deliveries of which runs were built that have an open case: rows of silver are corrected in the delivery that they came with."""
    of_runs = select(DayRun.deliveries).join(Case, Case.subject == DayRun.run_key).where(Case.state == "open")
    return frozenset(named.partition("/")[0] for listed in db.execute(of_runs).scalars() for named in listed or ())
