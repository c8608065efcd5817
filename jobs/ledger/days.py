"""Business days: what is expected, what has come, which days are to be built or built again, and their runs.

A day is asked for when all its required lanes are live, or at its `close_by` with what is there (provisional). A
released day whose live rows changed is asked for again under the next version (restated). Keys are `date|vN`, or
`from..to|vN` for a take-on of many dates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, delete, func, or_, select, update
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from jobs.contracts import Catalog
from jobs.contracts.source import Source
from jobs.ledger import batches, clock, deliveries
from jobs.ledger.locks import lock
from jobs.ledger.models import LIVE_STATES, DayRun, Delivery, DeliveryDate, DirtyDate, Release, Unit

TAKE_ON = "TAKEON"
HEAD_OFFICE = "HO"
OPEN_STATES = ("requested", "running")
# A delivery that may still become live.
ON_THE_WAY = ("arriving", "verified")
ROLLBACK = "rollback"
# Rows of a delivery were mended: by a fix of the quarantine bench, or by a file of corrections.
REPAIRED = "repaired"
# Why a person has a released day built again.
ASKED_CAUSES = (REPAIRED, "definition", "identity", "erased")
# Why a day is built for the first time.
FIRST_CAUSES = ("take_on", "complete", "close_by")
# A stream's late rows restate a released day at most this often.
STREAM_RESTATEMENT = timedelta(hours=1)
# A run that failed for want of a service is tried again by itself, so soon and so often.
RETRY_AFTER, MOST_TRIES = timedelta(seconds=60), 3


class MonthClosed(Exception):
    """A released day of a closed month is told anew with approval only: nothing was asked for."""


@dataclass(frozen=True)
class Lane:
    feed: str
    entity: str
    business_date: date

    def __str__(self) -> str:
        return f"{self.feed}|{self.entity}|{self.business_date}"


@dataclass(frozen=True)
class Coverage:
    """Expected lanes of a day by feed, and those that are live."""

    expected: tuple[Lane, ...]
    missing: tuple[Lane, ...]

    @property
    def is_complete(self) -> bool:
        return not self.missing

    def without(self, lanes: Collection[Lane]) -> Coverage:
        """The same, with these lanes missing too."""
        gone = {*self.missing, *lanes}
        return Coverage(self.expected, tuple(lane for lane in self.expected if lane in gone))

    def by_feed(self) -> dict[str, list[int]]:
        """feed -> [expected, received]"""
        feeds: dict[str, list[int]] = {}
        gone = set(self.missing)
        for lane in self.expected:
            pair = feeds.setdefault(lane.feed, [0, 0])
            pair[0] += 1
            pair[1] += lane not in gone
        return feeds


def parse_key(run_key: str) -> tuple[date, date, int]:
    """`2026-09-15|v1` or `2026-08-11..2026-09-14|v1` -> first date, last date, version."""
    dates, _, version = run_key.partition("|v")
    first, _, last = dates.partition("..")
    return date.fromisoformat(first), date.fromisoformat(last or first), int(version)


def make_key(first: date, last: date, version: int) -> str:
    dates = f"{first}" if first == last else f"{first}..{last}"
    return f"{dates}|v{version}"


def units(db: Connection, day: date) -> list[str]:
    """Branches that owe deliveries on a day."""
    rows = db.execute(
        select(Unit.branch_id)
        .where(Unit.valid_from <= day, or_(Unit.valid_to.is_(None), Unit.valid_to > day))
        .order_by(Unit.branch_id)
    )
    return list(rows.scalars())


def branches(db: Connection) -> list[Row[Any]]:
    """All branches of the released history, those too that are closed or not open yet."""
    return list(db.execute(select(*Unit.__table__.columns).order_by(Unit.branch_id, Unit.valid_from)))


def replace_units(db: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """The branch history as of a release: branch_id, valid_from, valid_to, name, province_code, and cut_off and merged_into where they are known."""
    db.execute(delete(Unit))
    if rows:
        db.execute(plain_insert(Unit), list(rows))


def expected_lanes(db: Connection, catalog: Catalog, day: date) -> list[Lane]:
    """Required lanes of a day: feeds x (branches valid that day, or head office) x calendar. Streams and
    configuration owe nothing."""
    branches = units(db, day)
    lanes = []
    for source in owing(catalog):
        if not catalog.is_business_day(day, source.schedule.calendar):
            continue
        senders = branches if source.sender == "branch" else [HEAD_OFFICE]
        lanes += [Lane(source.feed, entity, day) for entity in senders]
    return lanes


def owing(catalog: Catalog) -> list[Source]:
    """Sources of which somebody owes a lane a day."""
    return [s for s in catalog.sources.values() if s.sender in ("branch", "head_office") and s.schedule.required]


def is_history(db: Connection, day: date) -> bool:
    """A day before the first that was released as a day of its own, or that a take-on brings: nothing is owed for it alone."""
    if _before_history(db, day) or _taken_on(db, day) is not None:
        return True
    coming = select(Delivery.delivery_id).where(Delivery.business_date >= day, Delivery.entity == TAKE_ON).limit(1)
    return db.execute(coming).first() is not None


def coverage(db: Connection, catalog: Catalog, day: date) -> Coverage:
    """The required lanes of a day, and those of them that are not live; of a day that was taken on, those of its
    take-on; before all history, none."""
    if _before_history(db, day):
        return Coverage((), ())
    last = _taken_on(db, day)
    return take_on_coverage(db, catalog, last) if last else _covered(db, expected_lanes(db, catalog, day), day)


def _taken_on(db: Connection, day: date) -> date | None:
    """The last date of the take-on that this day came with."""
    of_take_on = select(Release.to_date).where(
        Release.from_date <= day, Release.to_date >= day, Release.cause == "take_on"
    )
    return db.execute(of_take_on.order_by(Release.release_id.desc()).limit(1)).scalar_one_or_none()


def take_on_coverage(db: Connection, catalog: Catalog, last: date) -> Coverage:
    """Of a take-on up to `last`: one lane a required feed. A stream may have no history to give; configuration is
    needed from the first day on."""
    feeds = [s.feed for s in catalog.sources.values() if s.schedule.required and s.sender != "stream"]
    return _covered(db, [Lane(feed, TAKE_ON, last) for feed in feeds], last)


def _covered(db: Connection, lanes: Sequence[Lane], day: date) -> Coverage:
    rows = db.execute(
        select(Delivery.feed, Delivery.entity)
        .where(Delivery.business_date == day, Delivery.state.in_(LIVE_STATES))
        .distinct()
    )
    live = {(row.feed, row.entity) for row in rows}
    return Coverage(tuple(lanes), tuple(lane for lane in lanes if (lane.feed, lane.entity) not in live))


def mark_changed(db: Connection, delivery: Row[Any], dates: Iterable[date]) -> None:
    """Days, released or being built, whose figures a delivery changes though its rows are of another day: those of
    originals that it reverses."""
    for day in sorted(set(dates)):
        if newest_release(db, day) is not None or _is_open(db, day, day):
            deliveries.mark_dirty(db, day, delivery, "reversal")


def touch(db: Connection, catalog: Catalog, day: date) -> None:
    """A day of which nothing arrived is still owed: mark it when its `close_by` is past, so that it is built,
    provisional, with what is there."""
    due = catalog.profile.local(day, catalog.profile.close_by, catalog.profile.close_by_day)
    if (
        clock.now(db) < due
        or newest_release(db, day) is not None
        or _is_open(db, day, day)
        or not expected_lanes(db, catalog, day)
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


DECIDING = "decide"


def decide(db: Connection, catalog: Catalog) -> list[str]:
    """Ask for the days that are ready or must be restated; returns the keys newly asked for. One decider at a time
    (advisory lock)."""
    lock(db, DECIDING)
    asked: list[str | None] = []
    waiting = db.execute(select(*DirtyDate.__table__.columns).order_by(DirtyDate.business_date)).all()
    taken_on = db.execute(
        select(func.max(Delivery.business_date)).where(Delivery.entity == TAKE_ON, Delivery.state.in_(LIVE_STATES))
    ).scalar_one()
    takes = [
        row for row in waiting if row.entity == TAKE_ON and row.business_date <= taken_on and not _is_repair(db, row)
    ]
    if takes:
        asked.append(_ask_take_on(db, catalog, takes[0].business_date, taken_on))
    covered = {row.business_date for row in takes}
    again: list[tuple[date, list[Row[Any]]]] = []
    if not _waits_for_history(db, taken_on):
        for day, rows in groupby(waiting, key=lambda row: row.business_date):
            if day in covered:
                continue
            if newest_release(db, day) is None:
                asked.append(_ask_first(db, catalog, day))
            elif (since := closed_since(db, catalog, day)) is not None:
                _say_closed(db, day, list(rows), since)
            else:
                again.append((day, list(rows)))
    asked += [_request_again(db, run) for run in _failed(db)]
    asked.append(_ask_again(db, catalog, again))
    return [key for key in asked if key]


def closed_since(db: Connection, catalog: Catalog, day: date) -> date | None:
    """The date since which the day's month is closed; None while it is open."""
    closes = catalog.profile.closes(day)
    today = clock.now(db).astimezone(ZoneInfo(catalog.profile.zone)).date()
    return closes if closes is not None and today >= closes else None


def _say_closed(db: Connection, day: date, dirty: Sequence[Row[Any]], since: date) -> None:
    """What came for a released day of a closed month waits; a person is told once a delivery."""
    for row in dirty:
        message = (
            f"{row.feed} of {row.entity} ({row.delivery_id}, {row.cause}) changes {day}, whose month is closed since {since}. It is loaded and its day stays as it was "
            f"released. `ledgerlake restate {day} --reason ... --approved-by ...` tells it anew."
        )
        batches.alert(db, f"closed_month|{day}|{row.delivery_id}", "closed_month", message)


def _must_be_approved(db: Connection, catalog: Catalog, day: date, approved_by: str | None) -> None:
    since = closed_since(db, catalog, day)
    if since is not None and not approved_by:
        raise MonthClosed(
            f"{day:%B %Y} is closed since {since}: {day} is told anew with approval only. Nothing was asked for. Have a second person approve it and give "
            "the name: --approved-by NAME."
        )


def _is_repair(db: Connection, dirty: Row[Any]) -> bool:
    """A row of a history that was told: only its day is told anew."""
    return dirty.cause == REPAIRED and newest_release(db, dirty.business_date) is not None


def _failed(db: Connection) -> list[Row[Any]]:
    """Newest runs of their dates that failed for want of a service (not by a gate), a minute ago or more, at most
    three times in a row."""
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
    rows = db.execute(
        select(*DayRun.__table__.columns, (DayRun.version - since.scalar_subquery()).label("tries"))
        .where(DayRun.state == "failed", DayRun.finished_at < datetime.now(UTC) - RETRY_AFTER, is_newest)
        .order_by(DayRun.from_date)
    )
    return [row for row in rows if row.tries <= MOST_TRIES]


def _request_again(db: Connection, run: Row[Any]) -> str:
    """The same run under the next version; a rollback keeps its choice of deliveries, any other builds from what is
    live then."""
    run_key = make_key(run.from_date, run.to_date, run.version + 1)
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
    if run.cause.startswith(ROLLBACK):
        kept["deliveries"] = run.deliveries
    db.execute(
        insert(DayRun)
        .values(run_key=run_key, version=run.version + 1, state="requested", requested_at=clock.now(db), **kept)
        .on_conflict_do_nothing()
    )
    return run_key


def _ask_take_on(db: Connection, catalog: Catalog, first: date, last: date) -> str | None:
    """One run for all dates of a take-on, when all its feeds have come and none of its deliveries is still on the
    way."""
    seen = take_on_coverage(db, catalog, last)
    if not seen.is_complete or _is_open(db, first, last) or _history_is_coming(db):
        return None
    return _request(db, first, last, "take_on", seen)


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


def _ask_again(db: Connection, catalog: Catalog, changed: Sequence[tuple[date, Sequence[Row[Any]]]]) -> str | None:
    """One released day, the oldest whose rows changed and that may be restated now; None while any other run is asked for or under way: days are
    built one at a time, and a day that was never released goes before those that are told anew."""
    if db.execute(select(DayRun.run_key).where(DayRun.state.in_(OPEN_STATES)).limit(1)).first() is not None:
        return None
    found = (_ask_restatement(db, catalog, day, rows) for day, rows in changed)
    return next((key for key in found if key), None)


def _ask_restatement(db: Connection, catalog: Catalog, day: date, dirty: Sequence[Row[Any]]) -> str | None:
    causes = {row.cause for row in dirty}
    if causes == {"reversal"} and _reversals_under_way(db, {row.delivery_id for row in dirty}):
        return None
    streams = {s.feed for s in catalog.sources.values() if s.sender == "stream"}
    if REPAIRED not in causes and all(row.feed in streams for row in dirty):
        released = newest_release(db, day)
        if released is not None and clock.now(db) - released.released_at < STREAM_RESTATEMENT:
            return None
        return _request(db, day, day, "late_event", coverage(db, catalog, day))
    cause = next((c for c in (REPAIRED, "resend", "reversal") if c in causes), "late")
    return _request(db, day, day, cause, coverage(db, catalog, day))


def _reversals_under_way(db: Connection, delivery_ids: set[str]) -> bool:
    """The days on which these reversals were booked are not built with them yet: the original's day would be told without them."""
    booked = set(
        db.execute(select(DeliveryDate.business_date).where(DeliveryDate.delivery_id.in_(delivery_ids))).scalars()
    )
    waiting = select(DirtyDate.dirty_id).where(
        DirtyDate.business_date.in_(booked), DirtyDate.delivery_id.in_(delivery_ids), DirtyDate.cause != "reversal"
    )
    return db.execute(waiting.limit(1)).first() is not None or any(_is_open(db, day, day) for day in booked)


def _ask_first(db: Connection, catalog: Catalog, day: date) -> str | None:
    """A day that was never released: when complete, or at its close_by with what is there. Complete, it still waits for
    what is in hand and not loaded yet: a stream's files that came with the last branch belong to it."""
    at = clock.now(db)
    # A row dated in the future (a wrong clock at the sender) waits for its day, however far that is.
    if day > at.astimezone(ZoneInfo(catalog.profile.zone)).date() or _is_open(db, day, day):
        return None
    if _before_history(db, day):
        return _request(db, day, day, "late", coverage(db, catalog, day))
    seen = coverage(db, catalog, day)
    if seen.expected and seen.is_complete and not _in_hand(db, catalog, day):
        return _request(db, day, day, "complete", seen)
    due = catalog.profile.local(day, catalog.profile.close_by, catalog.profile.close_by_day)
    return _request(db, day, day, "close_by", seen) if at >= due else None


def _in_hand(db: Connection, catalog: Catalog, day: date) -> bool:
    """A delivery of the day is on its way. Of feeds that nothing is built from none counts: the day is the same without it."""
    not_built_from = [t.name for t in catalog.layer("bronze") if not t.conforms and t.corrects is None]
    query = select(Delivery.delivery_id).where(
        Delivery.business_date == day, Delivery.state.in_(ON_THE_WAY), Delivery.feed.notin_(not_built_from)
    )
    return db.execute(query.limit(1)).first() is not None


def _before_history(db: Connection, day: date) -> bool:
    """Older than the first day that was released as a day of its own: it is built for the late row alone, and nothing
    is owed for it."""
    first = db.execute(select(func.min(Release.from_date)).where(Release.cause.in_(FIRST_CAUSES))).scalar_one()
    return first is not None and day < first


def _is_open(db: Connection, first: date, last: date) -> bool:
    return open_run(db, first, last) is not None


def open_run(db: Connection, first: date, last: date) -> Row[Any] | None:
    """A run of these dates, or of some of them, that is asked for or under way."""
    query = select(*DayRun.__table__.columns).where(
        DayRun.from_date <= last, DayRun.to_date >= first, DayRun.state.in_(OPEN_STATES)
    )
    return db.execute(query.limit(1)).one_or_none()


def _request(
    db: Connection, first: date, last: date, cause: str, seen: Coverage, approved_by: str | None = None
) -> str:
    version = 1 + (
        db.execute(
            select(func.max(DayRun.version)).where(DayRun.from_date <= last, DayRun.to_date >= first)
        ).scalar_one()
        or 0
    )
    run_key = make_key(first, last, version)
    db.execute(
        insert(DayRun)
        .values(
            run_key=run_key,
            from_date=first,
            to_date=last,
            version=version,
            cause=cause,
            state="requested",
            expected_units=len(seen.expected),
            received_units=len(seen.expected) - len(seen.missing),
            coverage=seen.by_feed(),
            missing=[str(lane) for lane in seen.missing],
            requested_at=clock.now(db),
            approved_by=approved_by,
        )
        .on_conflict_do_nothing()
    )
    return run_key


def request_again(db: Connection, catalog: Catalog, day: date, cause: str, approved_by: str | None = None) -> str:
    """A person asks for a day to be built again, from what is live when the run begins (`ledgerlake restate`).

    Raises MonthClosed for a day of a closed month that nobody approved."""
    lock(db, DECIDING)
    _must_be_approved(db, catalog, day, approved_by)
    return _request(db, day, day, cause, coverage(db, catalog, day), approved_by)


def request_rollback(
    db: Connection, catalog: Catalog, day: date, reason: str, approved_by: str | None = None
) -> str | None:
    """Ask for a day to be built from what its release before the newest was built from; None when there is no such
    release. Raises MonthClosed for a day of a closed month that nobody approved."""
    lock(db, DECIDING)
    _must_be_approved(db, catalog, day, approved_by)
    made = (
        db.execute(
            select(Release.run_key)
            .where(Release.from_date <= day, Release.to_date >= day)
            .order_by(Release.release_id.desc())
            .limit(2)
        )
        .scalars()
        .all()
    )
    if len(made) < 2:
        return None
    former = get(db, made[1])
    run_key = _request(db, day, day, f"{ROLLBACK}: {reason}", coverage(db, catalog, day), approved_by)
    db.execute(
        update(DayRun)
        .where(DayRun.run_key == run_key)
        .values(
            deliveries=former.deliveries,
            coverage=former.coverage,
            missing=former.missing,
            received_units=former.received_units,
            expected_units=former.expected_units,
        )
    )
    return run_key


def get(db: Connection, run_key: str) -> Row[Any]:
    return db.execute(select(*DayRun.__table__.columns).where(DayRun.run_key == run_key)).one()


def pending(db: Connection) -> list[Row[Any]]:
    """Runs asked for and not begun, oldest first."""
    return list(
        db.execute(
            select(*DayRun.__table__.columns)
            .where(DayRun.state == "requested")
            .order_by(DayRun.from_date, DayRun.version)
        )
    )


def runs(db: Connection, limit: int = 50) -> list[Row[Any]]:
    return list(db.execute(select(*DayRun.__table__.columns).order_by(DayRun.requested_at.desc()).limit(limit)))


def start(
    db: Connection,
    catalog: Catalog,
    run_key: str,
    run_id: str,
    keep_out: Callable[[Sequence[Row[Any]]], set[Lane]] | None = None,
) -> Row[Any]:
    """The run begins: what is live now is what it builds; the dates' dirty marks up to now are taken away. A second
    start of the same run keeps the first one's choice.

    First the marks, then the choice: a delivery that goes live between the two is chosen and its mark stays (one
    build too many), never the other way round. `keep_out` looks at what is live and names lanes that must not be built
    from all the same; they count as missing."""
    run = db.execute(select(*DayRun.__table__.columns).where(DayRun.run_key == run_key).with_for_update()).one()
    if run.state != "requested":
        return run
    if run.deliveries is not None:
        # A rollback: its choice is that of an earlier run.
        db.execute(
            update(DayRun)
            .where(DayRun.run_key == run_key)
            .values(state="running", started_at=datetime.now(UTC), run_id=run_id)
        )
        return get(db, run_key)
    db.execute(delete(DirtyDate).where(DirtyDate.business_date.between(run.from_date, run.to_date)))
    for day in days_between(run.from_date, run.to_date) if run.approved_by else ():
        batches.close_alerts(db, "closed_month", f"closed_month|{day}|")
    parts = deliveries.live_parts(db, list(catalog.sources), run.from_date, run.to_date)
    seen = coverage(db, catalog, run.from_date) if run.from_date == run.to_date and run.cause != "take_on" else None
    kept_out = keep_out(parts) if keep_out else set()
    chosen = [p for p in parts if Lane(p.feed, p.entity, p.business_date) not in kept_out]
    values: dict[str, Any] = {"deliveries": sorted({f"{p.delivery_id}/{p.batch_id}" for p in chosen})}
    if seen is not None:
        seen = seen.without(kept_out)
        values |= {
            "expected_units": len(seen.expected),
            "received_units": len(seen.expected) - len(seen.missing),
            "coverage": seen.by_feed(),
            "missing": [str(lane) for lane in seen.missing],
        }
    db.execute(
        update(DayRun)
        .where(DayRun.run_key == run_key)
        .values(state="running", started_at=datetime.now(UTC), run_id=run_id, **values)
    )
    return get(db, run_key)


def finish(db: Connection, run_key: str, state: str, reason: str | None = None) -> None:
    """The run ends. What was released stays released, whatever a late twin of the run says."""
    ended = update(DayRun).where(DayRun.run_key == run_key, DayRun.state != "released")
    db.execute(ended.values(state=state, reason=reason, finished_at=datetime.now(UTC)))


def newest_release(db: Connection, day: date) -> Row[Any] | None:
    return db.execute(
        select(*Release.__table__.columns)
        .where(Release.from_date <= day, Release.to_date >= day)
        .order_by(Release.release_id.desc())
        .limit(1)
    ).one_or_none()


def coverage_between(db: Connection, first: date, last: date) -> dict[date, dict[str, tuple[int, int]]]:
    """Last date of each newest release that ends in these dates -> feed -> (expected, received) lanes."""
    rows = db.execute(
        select(Release.to_date, DayRun.coverage)
        .join(DayRun, DayRun.run_key == Release.run_key)
        .where(Release.to_date.between(first, last))
        .order_by(Release.release_id)
    )
    return {row.to_date: {feed: (pair[0], pair[1]) for feed, pair in row.coverage.items()} for row in rows}


def last_released_day(db: Connection) -> date | None:
    return db.execute(select(func.max(Release.to_date))).scalar_one()


def days_between(first: date, last: date) -> Iterable[date]:
    return (first + timedelta(days=n) for n in range((last - first).days + 1))
