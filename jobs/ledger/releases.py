"""Releases: which version of a day is visible, in which Delta version of each table."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, select, true, update
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import insert

from jobs.ledger import clock, days
from jobs.ledger.models import Batch, DayRun, Release, ReleaseTable

FIGURES = "gold.kpi_values"  # the table that a report is written of


def release(
    db: Connection, run: Row[Any], tables: dict[str, tuple[int, int | None]], run_id: str, *, is_no_change: bool = False
) -> int:
    """Make a run's tables visible: table -> (Delta version, batch). One row a run key; releasing twice returns the
    first release. `is_no_change`: they say what was visible before."""
    restated = days.newest_release(db, run.from_date) is not None
    kind = "restated" if restated else ("provisional" if run.missing else "final")
    row = insert(Release).values(
        run_key=run.run_key,
        from_date=run.from_date,
        to_date=run.to_date,
        version=run.version,
        kind=kind,
        cause=run.cause,
        expected_units=run.expected_units,
        received_units=run.received_units,
        missing=run.missing,
        run_id=run_id,
        released_at=clock.now(db),
        is_no_change=is_no_change,
    )
    made = db.execute(
        row.on_conflict_do_nothing(index_elements=["run_key"]).returning(Release.release_id)
    ).scalar_one_or_none()
    if made is None:
        return db.execute(select(Release.release_id).where(Release.run_key == run.run_key)).scalar_one()
    if tables:
        db.execute(
            plain_insert(ReleaseTable),
            [
                {
                    "release_id": made,
                    "table_name": name,
                    "delta_version": version,
                    "batch_id": batch,
                    "from_date": run.from_date,
                    "to_date": run.to_date,
                }
                for name, (version, batch) in tables.items()
            ],
        )
    days.finish(db, run.run_key, "released")
    return made


def get(db: Connection, run_key: str) -> Row[Any] | None:
    return db.execute(select(*Release.__table__.columns).where(Release.run_key == run_key)).one_or_none()


def not_shown(db: Connection, run_key: str) -> list[str]:
    """Where a run's release is still to be shown: the mart, its report (of a bank that has figures)."""
    made = get(db, run_key)
    if made is None:
        return []
    lacking = [] if made.mart_published_at else ["the mart"]
    return lacking + ([] if made.report_path or FIGURES not in tables(db, made.release_id) else ["its report"])


def newest(db: Connection) -> Row[Any] | None:
    return db.execute(select(*Release.__table__.columns).order_by(Release.release_id.desc()).limit(1)).one_or_none()


def listing(db: Connection, *, day: date | None = None, limit: int = 50) -> list[Row[Any]]:
    query = (
        select(*Release.__table__.columns, DayRun.approved_by)
        .join(DayRun, DayRun.run_key == Release.run_key)
        .order_by(Release.release_id.desc())
        .limit(limit)
    )
    if day:
        query = query.where(Release.from_date <= day, Release.to_date >= day)
    return list(db.execute(query))


def tables(db: Connection, release_id: int) -> dict[str, Row[Any]]:
    rows = db.execute(select(*ReleaseTable.__table__.columns).where(ReleaseTable.release_id == release_id))
    return {row.table_name: row for row in rows}


def set_report(db: Connection, release_id: int, path: str) -> None:
    db.execute(update(Release).where(Release.release_id == release_id).values(report_path=path))


def set_published(db: Connection, release_id: int) -> None:
    db.execute(update(Release).where(Release.release_id == release_id).values(mart_published_at=clock.now(db)))


def newest_days(db: Connection, count: int) -> list[date]:
    """The last `count` business days that were released, in their order."""
    spans = db.execute(
        select(Release.from_date, Release.to_date)
        .distinct()
        .order_by(Release.to_date.desc(), Release.from_date.desc())
        .execution_options(yield_per=200)
    )
    found: set[date] = set()
    for span in spans:
        # Spans come by their last date: none that follows has a day after it.
        if len([day for day in found if day > span.to_date]) >= count:
            break
        found.update(list(days.days_between(span.from_date, span.to_date))[-count:])
    return sorted(found)[-count:]


def writers(db: Connection, table: str, wanted: Collection[date]) -> dict[date, Row[Any]]:
    """Business day -> (batch_id, from_date, to_date) of the run that wrote it into a silver or gold table, by its newest release."""
    if not wanted:
        return {}
    written = db.execute(
        select(Batch.batch_id, Release.from_date, Release.to_date)
        .join(Release, Release.run_key == Batch.subject)
        .where(
            Batch.table_name == table,
            Batch.state == "passed",
            Batch.delta_version.is_not(None),
            Release.to_date >= min(wanted),
            Release.from_date <= max(wanted),
        )
        .order_by(Release.release_id, Batch.batch_id)
    )
    found: dict[date, Row[Any]] = {}
    for row in written:
        found |= {day: row for day in wanted if row.from_date <= day <= row.to_date}
    return found


def written_by(db: Connection, subject: str) -> dict[str, Row[Any]]:
    """Table -> the newest batch that a run (its key is the subject) wrote."""
    rows = db.execute(select(*Batch.__table__.columns).where(Batch.subject == subject).order_by(Batch.batch_id))
    return {row.table_name: row for row in rows}


def unreleased(db: Connection, but: str, only: str | None = None) -> list[Row[Any]]:
    """Batches of silver and gold, newest first, that runs (all `but` one, or `only` one) wrote and never released nor
    took back."""
    released = select(Release.run_key)
    return list(
        db.execute(
            select(*Batch.__table__.columns)
            .where(
                Batch.subject != but,
                Batch.subject == only if only else true(),
                Batch.subject.notin_(released),
                Batch.table_name.notlike("bronze.%"),
                Batch.state.in_(["started", "written", "passed", "held", "stopped"]),
            )
            .order_by(Batch.batch_id.desc())
        )
    )
