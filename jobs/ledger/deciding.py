"""Which days are built now, and what the others wait for.

A day is told for the first time when all its required lanes are live, or at its `close_by` with what is there; a released day whose live rows changed is told anew,
one at a time and after those that were never told. What is decided here is what `ledgerlake releases --waiting` says: one function a question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, func, select
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from jobs.contracts import Catalog
from jobs.ledger import batches, clock, days
from jobs.ledger.days import DECIDING, ON_THE_WAY, REPAIRED, ROLLBACK, TAKE_ON, Coverage, newest_release
from jobs.ledger.locks import lock
from jobs.ledger.models import LIVE_STATES, DayRun, Delivery, DeliveryDate, DirtyDate

# A stream's late rows restate a released day at most this often.
STREAM_RESTATEMENT = timedelta(hours=1)
# A run that failed for want of a service is tried again by itself, so soon and so often.
RETRY_AFTER, MOST_TRIES = timedelta(seconds=60), 3
MOST_NAMED = 5


@dataclass(frozen=True)
class Ready:
    """A day can be built: because of what, and from which lanes."""

    cause: str
    seen: Coverage


@dataclass(frozen=True)
class Waits:
    """Why a day is not built yet, in words."""

    why: str


@dataclass(frozen=True)
class Waiting:
    """A business day for which something came that is not told: no run was asked for, or the newest came to no release. Since when, what came, and what it waits for."""

    business_date: date
    since: datetime
    feeds: tuple[str, ...]
    deliveries: int
    causes: tuple[str, ...]
    why: str


def decide(db: Connection, catalog: Catalog) -> list[str]:
    """Ask for the days that are ready or must be restated; returns the keys newly asked for. One decider at a time
    (advisory lock)."""
    lock(db, DECIDING)
    asked: list[str | None] = []
    changed = _changed(db)
    taken_on = _newest_take_on(db)
    takes = _of_take_on(db, changed, taken_on)
    if takes and taken_on is not None:
        first = takes[0].business_date
        asked.append(_asked(db, first, taken_on, _take_on(db, catalog, first, taken_on)))
    covered = {row.business_date for row in takes}
    again: list[tuple[date, list[Row[Any]]]] = []
    if not _waits_for_history(db, taken_on):
        for day, rows in groupby(changed, key=lambda row: row.business_date):
            if day in covered:
                continue
            if newest_release(db, day) is None:
                asked.append(_asked(db, day, day, _first(db, catalog, day)))
            elif (since := days.closed_since(db, catalog, day)) is not None:
                _say_closed(db, day, list(rows), since)
            else:
                again.append((day, list(rows)))
    asked += [try_again(db, run) for run in _to_try(db)]
    if days.any_open_run(db) is None:
        # One released day, the oldest that may be told anew now: days are built one at a time, and a day that was never released goes before.
        found = (_asked(db, day, day, _anew(db, catalog, day, rows)) for day, rows in again)
        asked.append(next((key for key in found if key), None))
    return [key for key in asked if key]


def _asked(db: Connection, first: date, last: date, verdict: Ready | Waits) -> str | None:
    return days.request(db, first, last, verdict.cause, verdict.seen) if isinstance(verdict, Ready) else None


def waiting(db: Connection, catalog: Catalog) -> list[Waiting]:
    """The days for which something came that is not told, oldest first, each with what it waits for: no run was asked for, or the newest came to no release. Those
    of one take-on wait as one, under its last date."""
    changed = _changed(db)
    taken_on = _newest_take_on(db)
    takes = _of_take_on(db, changed, taken_on)
    found = []
    if takes and taken_on is not None:
        found.append(_told(taken_on, takes, _take_on(db, catalog, takes[0].business_date, taken_on)))
    covered = {row.business_date for row in takes}
    for day, of_day in groupby(changed, key=lambda row: row.business_date):
        if day not in covered:
            rows = list(of_day)
            found.append(_told(day, rows, _why(db, catalog, day, rows, taken_on)))
    # Where more came since, that is what the day is told anew for.
    waits = {one.business_date for one in found} | covered
    found += [_not_told(db, run) for run in not_told(db) if run.to_date not in waits]
    return sorted(found, key=lambda one: one.business_date)


def _not_told(db: Connection, run: Row[Any]) -> Waiting:
    """What a run that came to no release was to tell, and the newest release of its dates does not."""
    made = newest_release(db, run.to_date)
    told = set(days.get(db, made.run_key).deliveries or ()) if made else set()
    new = {one.split("/")[0] for one in run.deliveries or () if one not in told and not _is_rollback(run)}
    feeds = db.execute(select(Delivery.feed).where(Delivery.delivery_id.in_(new)).distinct()).scalars()
    return Waiting(run.to_date, run.requested_at, tuple(sorted(feeds)), len(new), (run.cause,), why_not_told(db, run))


def why_not_told(db: Connection, run: Row[Any]) -> str:
    """Of a run that came to no release: what ended it, and what to do."""
    ended = f"{run.run_key} {run.state}: {(run.reason or 'its log says why').rstrip('.')}."
    anew = f"`ledgerlake {'rollback' if _is_rollback(run) else 'restate'} {run.to_date} --reason ...`"
    if run.state == "stopped":
        gates = dict.fromkeys((gate.table_name, gate.outcome) for gate in batches.stopped_by(db, run.run_key))
        shown = "".join(f" `ledgerlake gates {table} --outcome {outcome}` shows it." for table, outcome in gates)
        return f"{ended}{shown} Correct the source or the contract, then {anew} has it built again."
    if run.tries <= MOST_TRIES:
        return f"{ended} It is tried again by itself."
    return f"{ended} It was tried {run.tries} times, and is not tried again by itself: when the cause is gone, {anew} has it built again."


def _is_rollback(run: Row[Any]) -> bool:
    return bool(run.cause.startswith(ROLLBACK))


def _why(db: Connection, catalog: Catalog, day: date, rows: Sequence[Row[Any]], taken_on: date | None) -> Ready | Waits:
    if _waits_for_history(db, taken_on):
        return Waits("a history that is taken on is told before it")
    if newest_release(db, day) is None:
        return _first(db, catalog, day)
    if (since := days.closed_since(db, catalog, day)) is not None:
        return Waits(
            f"its month is closed since {since}: `ledgerlake restate {day} --reason ...` asks for it, and a second person approves that"
        )
    if (run := days.any_open_run(db)) is not None:
        return Waits(f"{run.run_key} is {_state(run)}, and goes before it")
    return _anew(db, catalog, day, rows)


def _told(day: date, rows: Sequence[Row[Any]], verdict: Ready | Waits) -> Waiting:
    return Waiting(
        day,
        min(row.since for row in rows),
        tuple(sorted({row.feed for row in rows if row.feed})),
        len({row.delivery_id for row in rows if row.delivery_id}),
        tuple(sorted({row.cause for row in rows})),
        verdict.why if isinstance(verdict, Waits) else "nothing: the next roll-call asks for it",
    )


def _state(run: Row[Any]) -> str:
    return "being built" if run.state == "running" else "asked for"


def _changed(db: Connection) -> Sequence[Row[Any]]:
    """The marks of days whose live rows changed since a run of theirs began, by day."""
    return db.execute(select(*DirtyDate.__table__.columns).order_by(DirtyDate.business_date)).all()


def _newest_take_on(db: Connection) -> date | None:
    query = select(func.max(Delivery.business_date))
    return db.execute(query.where(Delivery.entity == TAKE_ON, Delivery.state.in_(LIVE_STATES))).scalar_one()


def _of_take_on(db: Connection, changed: Sequence[Row[Any]], taken_on: date | None) -> list[Row[Any]]:
    """The marks that a take-on is to be told for; not those of repairs, for which only their own day is told anew."""
    return [
        row
        for row in changed
        if taken_on is not None and row.entity == TAKE_ON and row.business_date <= taken_on and not _is_repair(db, row)
    ]


def _take_on(db: Connection, catalog: Catalog, first: date, last: date) -> Ready | Waits:
    """One run for all dates of a take-on, when all its feeds have come and none of its deliveries is still on the
    way."""
    seen = days.take_on_coverage(db, catalog, last)
    if not seen.is_complete:
        return Waits(f"the take-on up to {last} lacks {', '.join(lane.feed for lane in seen.missing)}")
    if (run := days.open_run(db, first, last)) is not None:
        return Waits(f"{run.run_key} is {_state(run)}")
    if (run := _not_begun(db, last)) is not None:
        return Waits(why_not_told(db, run))
    if _history_is_coming(db):
        return Waits("what has come of the take-on is being taken in")
    return Ready("take_on", seen)


def _history_is_coming(db: Connection) -> bool:
    query = select(Delivery.delivery_id).where(Delivery.entity == TAKE_ON, Delivery.state.in_(ON_THE_WAY)).limit(1)
    return db.execute(query).first() is not None


def _waits_for_history(db: Connection, taken_on: date | None) -> bool:
    """Windows need the days before: while a take-on is on its way, or was asked for and is not released, no later day
    is built."""
    if taken_on is not None and newest_release(db, taken_on) is not None:
        return False
    if _history_is_coming(db):
        return True
    asked = select(DayRun.run_key).where(DayRun.cause == "take_on", DayRun.to_date == taken_on).limit(1)
    return taken_on is not None and db.execute(asked).first() is not None


def _first(db: Connection, catalog: Catalog, day: date) -> Ready | Waits:
    """A day that was never released: when complete, or at its close_by with what is there. Complete, it still waits for
    what is in hand and not loaded yet: a stream's files that came with the last branch belong to it."""
    profile, at = catalog.profile, clock.now(db)
    # A row dated in the future (a wrong clock at the sender) waits for its day, however far that is.
    if day > profile.today(at):
        return Waits("its day has not come")
    if (run := days.open_run(db, day, day)) is not None:
        return Waits(f"{run.run_key} is {_state(run)}")
    if (run := _not_begun(db, day)) is not None:
        return Waits(why_not_told(db, run))
    if days.before_history(db, day):
        return Ready("late", days.coverage(db, catalog, day))
    seen = days.coverage(db, catalog, day)
    is_in_hand = bool(days.in_hand(db, catalog, day))
    if seen.expected and seen.is_complete and not is_in_hand:
        return Ready("complete", seen)
    due = profile.local(day, profile.close_by, profile.close_by_day)
    if at >= due:
        return Ready("close_by", seen)
    if seen.is_complete:
        lacks = "what has come is being taken in" if is_in_hand else "nobody owes anything for it"
    else:
        named = ", ".join(f"{lane.feed} of {lane.entity}" for lane in seen.missing[:MOST_NAMED])
        more = f" and {len(seen.missing) - MOST_NAMED} more" if len(seen.missing) > MOST_NAMED else ""
        lacks = f"{len(seen.missing)} of {len(seen.expected)} lanes are not here ({named}{more})"
    return Waits(f"{lacks}; at {profile.clock(due)} it is told with what is there")


def _anew(db: Connection, catalog: Catalog, day: date, dirty: Sequence[Row[Any]]) -> Ready | Waits:
    """A released day whose live rows changed."""
    if (run := _not_begun(db, day)) is not None:
        return Waits(why_not_told(db, run))
    causes = {row.cause for row in dirty}
    if causes == {"reversal"} and _reversals_under_way(db, {row.delivery_id for row in dirty}):
        return Waits("the day on which its reversals were booked is told before it")
    streams = {s.feed for s in catalog.sources.values() if s.sender == "stream"}
    if REPAIRED not in causes and all(row.feed in streams for row in dirty):
        released = newest_release(db, day)
        if released is not None and clock.now(db) - released.released_at < STREAM_RESTATEMENT:
            at = catalog.profile.clock(released.released_at + STREAM_RESTATEMENT)
            return Waits(f"late rows of streams have a day told anew at most once an hour: not before {at}")
        return Ready("late_event", days.coverage(db, catalog, day))
    cause = next((c for c in (REPAIRED, "resend", "reversal") if c in causes), "late")
    return Ready(cause, days.coverage(db, catalog, day))


def _reversals_under_way(db: Connection, delivery_ids: set[str]) -> bool:
    """The days on which these reversals were booked are not built with them yet: the original's day would be told without them."""
    booked = set(
        db.execute(select(DeliveryDate.business_date).where(DeliveryDate.delivery_id.in_(delivery_ids))).scalars()
    )
    waiting = select(DirtyDate.dirty_id).where(
        DirtyDate.business_date.in_(booked), DirtyDate.delivery_id.in_(delivery_ids), DirtyDate.cause != "reversal"
    )
    return db.execute(waiting.limit(1)).first() is not None or any(
        days.open_run(db, day, day) is not None for day in booked
    )


def touch(db: Connection, catalog: Catalog, day: date) -> None:
    """A day of which nothing arrived is still owed: mark it when its `close_by` is past, so that it is built,
    provisional, with what is there."""
    due = catalog.profile.local(day, catalog.profile.close_by, catalog.profile.close_by_day)
    if (
        clock.now(db) < due
        or newest_release(db, day) is not None
        or days.open_run(db, day, day) is not None
        or not days.expected_lanes(db, catalog, day)
    ):
        return
    if db.execute(
        select(DirtyDate.dirty_id).where(DirtyDate.business_date == day).limit(1)
    ).first() is None and not _was_tried(db, day):
        db.execute(
            plain_insert(DirtyDate).values(
                business_date=day, delivery_id="", feed="", entity="", cause="close_by", since=clock.now(db)
            )
        )


def _was_tried(db: Connection, day: date) -> bool:
    return (
        db.execute(select(DayRun.run_key).where(DayRun.from_date <= day, DayRun.to_date >= day).limit(1)).first()
        is not None
    )


def _say_closed(db: Connection, day: date, dirty: Sequence[Row[Any]], since: date) -> None:
    """What came for a released day of a closed month waits; a person is told once a delivery, and anew when it changes
    the day again after that was told."""
    for row in dirty:
        message = (
            f"{row.feed} of {row.entity} ({row.delivery_id}, {row.cause}) changes {day}, whose month is closed since {since}. It is loaded and its day stays as it was "
            f"released. `ledgerlake restate {day} --reason ...` asks for it to be told anew, and a second person approves that (`ledgerlake approvals`)."
        )
        batches.alert_again(db, f"closed_month|{day}|{row.delivery_id}", "closed_month", message, row.since)


def _is_repair(db: Connection, dirty: Row[Any]) -> bool:
    """A row of a history that was told: only its day is told anew."""
    return dirty.cause == REPAIRED and newest_release(db, dirty.business_date) is not None


def _to_try(db: Connection) -> list[Row[Any]]:
    """Runs that failed for want of a service (not by a gate), a minute ago or more, at most three times in a row."""
    before = datetime.now(UTC) - RETRY_AFTER
    return [
        run for run in not_told(db) if run.state == "failed" and run.finished_at < before and run.tries <= MOST_TRIES
    ]


def _not_begun(db: Connection, day: date) -> Row[Any] | None:
    """The newest run of the day where it failed before it began, and took no mark away: it is tried again as any that failed, not asked for anew each time."""
    return next((run for run in not_told(db, day) if run.state == "failed" and run.started_at is None), None)


def not_told(db: Connection, day: date | None = None) -> list[Row[Any]]:
    """Newest runs of their dates (or of `day`) that came to no release: a gate stopped them, or they failed. `tries`: so many in a row failed. By date."""
    later, ended = aliased(DayRun), aliased(DayRun)
    is_newest = (
        ~select(later.run_key)
        .where(later.from_date <= DayRun.to_date, later.to_date >= DayRun.from_date, later.version > DayRun.version)
        .exists()
    )
    # Tries of the same dates since a run of theirs came to an end.
    since = select(func.coalesce(func.max(ended.version), 0)).where(
        ended.from_date == DayRun.from_date, ended.to_date == DayRun.to_date, ended.state != "failed"
    )
    of_day = [DayRun.from_date <= day, DayRun.to_date >= day] if day else []
    rows = db.execute(
        select(*DayRun.__table__.columns, (DayRun.version - since.scalar_subquery()).label("tries"))
        .where(DayRun.state.in_(("stopped", "failed")), is_newest, *of_day)
        .order_by(DayRun.from_date)
    )
    return list(rows)


def try_again(db: Connection, run: Row[Any]) -> str:
    """The same run under the next version; a rollback keeps its choice of deliveries, any other builds from what is
    live then."""
    run_key = days.make_key(run.from_date, run.to_date, run.version + 1)
    kept = {
        c: getattr(run, c)
        for c in (
            "from_date",
            "to_date",
            "cause",
            "expected_units",
            "received_units",
            "coverage",
            "missing",
            "approved_by",
        )
    }
    if _is_rollback(run):
        kept["deliveries"] = run.deliveries
    db.execute(
        insert(DayRun)
        .values(run_key=run_key, version=run.version + 1, state="requested", requested_at=clock.now(db), **kept)
        .on_conflict_do_nothing()
    )
    return run_key
