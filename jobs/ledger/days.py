"""Business days: what is expected, what has come, which days are to be built or built again, and their runs.

A day is asked for when all its required lanes are live, or at its `close_by` with what is there. It is provisional when a
lane is missing, or a delivery of it is in hand, not loaded yet or held. A released day whose live rows changed is asked for again under the next version (restated). Keys are `date|vN`, or
`from..to|vN` for a take-on of many dates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, delete, exists, func, or_, select, update
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from jobs.contracts import Catalog
from jobs.contracts.source import Source
from jobs.ledger import batches, clock, deliveries
from jobs.ledger.locks import lock
from jobs.ledger.models import LIVE_STATES, DayRun, Delivery, DirtyDate, Release, Unit

TAKE_ON = "TAKEON"
HEAD_OFFICE = "HO"
OPEN_STATES = ("requested", "running")
ROLLBACK = "rollback"
# A delivery that may still become live.
ON_THE_WAY = ("arriving", "verified")
# Rows of a delivery were mended: by a fix of the quarantine bench, or by a file of corrections.
REPAIRED = "repaired"
# Why a person has a released day built again.
ASKED_CAUSES = (REPAIRED, "definition", "identity", "erased")
# Why a day is built for the first time.
FIRST_CAUSES = ("take_on", "complete", "close_by")


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
    """Expected lanes of a day, those of them that are not live, and others that it is known to lack (in hand, kept out)."""

    expected: tuple[Lane, ...]
    missing: tuple[Lane, ...]

    @property
    def is_complete(self) -> bool:
        return not self.missing

    def without(self, lanes: Collection[Lane]) -> Coverage:
        """The same, with these lanes missing too, those that nobody owes last."""
        gone = {*self.missing, *lanes}
        owed = [lane for lane in self.expected if lane in gone]
        return Coverage(self.expected, (*owed, *sorted(gone.difference(owed), key=str)))

    @property
    def received(self) -> int:
        """So many of the expected lanes are live."""
        return len(self.expected) - len({*self.expected}.intersection(self.missing))

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
    """Required lanes of a day, which it waits for: feeds x (branches valid that day, or head office) x calendar. Streams and configuration owe nothing."""
    return [lane for lane in owed_lanes(db, catalog, day) if catalog.sources[lane.feed].schedule.required]


def owed_lanes(db: Connection, catalog: Catalog, day: date) -> list[Lane]:
    """All lanes that people are told of when they are not here in time: the required ones, and those that no day waits for."""
    branches = units(db, day)
    lanes = []
    for source in owing(catalog, known_on(db, catalog, day)):
        if catalog.is_due_on(day, source.schedule):
            senders = branches if source.sender == "branch" else head_office(source)
            lanes += [Lane(source.feed, entity, day) for entity in senders]
    return lanes


def owing(catalog: Catalog, is_known: Callable[[str], bool] = lambda calendar: True) -> list[Source]:
    """Sources of which somebody owes lanes, by calendars that are known."""
    owed = [s for s in catalog.sources.values() if s.sender in ("branch", "head_office") and s.schedule.is_owed]
    return [source for source in owed if is_known(source.schedule.calendar)]


def known_on(db: Connection, catalog: Catalog, day: date) -> Callable[[str], bool]:
    """Whether a calendar can be asked of a day. Of one that has begun it must be, and says so when it cannot; that a file is dated years ahead stops nobody."""
    has_begun = day <= catalog.profile.today(clock.now(db))
    return lambda calendar: has_begun or catalog.covers(day, calendar)


def head_office(source: Source) -> list[str]:
    """Who sends a feed that is not the branches': head office, or those that send it in its place."""
    return source.schedule.entities or [HEAD_OFFICE]


def is_lacking(db: Connection, catalog: Catalog, day: date) -> bool:
    """An owed lane of the day is not live."""
    return not is_history(db, day) and not _covered(db, catalog, owed_lanes(db, catalog, day), day).is_complete


def is_history(db: Connection, day: date) -> bool:
    """A day before the first that was released as a day of its own, or that a take-on brings: nothing is owed for it alone."""
    if before_history(db, day) or _taken_on(db, day) is not None:
        return True
    coming = select(Delivery.delivery_id).where(Delivery.business_date >= day, Delivery.entity == TAKE_ON).limit(1)
    return db.execute(coming).first() is not None


def coverage(db: Connection, catalog: Catalog, day: date) -> Coverage:
    """The required lanes of a day, and those of them that are not live; of a day that was taken on, those of its
    take-on; before all history, none."""
    if before_history(db, day):
        return Coverage((), ())
    last = _taken_on(db, day)
    return take_on_coverage(db, catalog, last) if last else _covered(db, catalog, expected_lanes(db, catalog, day), day)


def in_hand(db: Connection, catalog: Catalog, day: date, states: Sequence[str] = ON_THE_WAY) -> list[Row[Any]]:
    """What came for the day and may still count: feed, entity, and whether it `replaces` what is live. Of feeds that nothing is built from none counts: the day is the same
    without it."""
    built_from = [t.name for t in catalog.layer("bronze") if t.conforms or t.corrects is not None]
    live = aliased(Delivery)
    replaces = exists().where(
        live.business_date == Delivery.business_date, live.feed == Delivery.feed, live.entity == Delivery.entity,
        live.seq == Delivery.seq, live.state.in_(LIVE_STATES),
    )  # fmt: skip
    query = select(Delivery.feed, Delivery.entity, replaces.label("replaces")).where(
        Delivery.business_date == day, Delivery.state.in_(states), Delivery.feed.in_(built_from)
    )
    return list(db.execute(query))


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
    return _covered(db, catalog, [Lane(feed, TAKE_ON, last) for feed in feeds], last)


def _covered(db: Connection, catalog: Catalog, lanes: Sequence[Lane], day: date) -> Coverage:
    batches_of = (
        select(Delivery.feed, Delivery.entity, func.count(Delivery.seq.distinct()).label("batches"))
        .where(Delivery.business_date == day, Delivery.state.in_(LIVE_STATES))
        .group_by(Delivery.feed, Delivery.entity)
    )
    live = {(row.feed, row.entity): row.batches for row in db.execute(batches_of)}

    def is_live(lane: Lane) -> bool:
        wanted = 1 if lane.entity == TAKE_ON else catalog.sources[lane.feed].schedule.batches
        return live.get((lane.feed, lane.entity), 0) >= wanted

    return Coverage(tuple(lanes), tuple(lane for lane in lanes if not is_live(lane)))


def mark_changed(db: Connection, delivery: Row[Any], dates: Iterable[date]) -> None:
    """Days, released or being built, whose figures a delivery changes though its rows are of another day: those of
    originals that it reverses."""
    for day in sorted(set(dates)):
        if newest_release(db, day) is not None or open_run(db, day, day) is not None:
            deliveries.mark_dirty(db, day, delivery, "reversal")


DECIDING = "decide"


def closed_since(db: Connection, catalog: Catalog, day: date) -> date | None:
    """The date since which the day's month is closed; None while it is open."""
    closes = catalog.profile.closes(day)
    today = clock.now(db).astimezone(ZoneInfo(catalog.profile.zone)).date()
    return closes if closes is not None and today >= closes else None


def _must_be_approved(db: Connection, catalog: Catalog, day: date, approved_by: str | None) -> None:
    since = closed_since(db, catalog, day)
    if since is not None and not approved_by:
        raise MonthClosed(
            f"{day:%B %Y} is closed since {since}: {day} is told anew with approval only. Nothing was asked for. `ledgerlake restate {day} --reason ...` asks "
            "for it, and a second person approves that (`ledgerlake approvals`)."
        )


def before_history(db: Connection, day: date) -> bool:
    """Older than the first day that was released as a day of its own: it is built for the late row alone, and nothing
    is owed for it."""
    first = db.execute(select(func.min(Release.from_date)).where(Release.cause.in_(FIRST_CAUSES))).scalar_one()
    return first is not None and day < first


def any_open_run(db: Connection) -> Row[Any] | None:
    """A run of whatever dates that is asked for or under way."""
    query = select(*DayRun.__table__.columns).where(DayRun.state.in_(OPEN_STATES))
    return db.execute(query.limit(1)).one_or_none()


def open_runs(db: Connection) -> list[Row[Any]]:
    """All runs that are asked for or under way, the oldest date first."""
    query = select(*DayRun.__table__.columns).where(DayRun.state.in_(OPEN_STATES))
    return list(db.execute(query.order_by(DayRun.from_date, DayRun.version)))


def open_run(db: Connection, first: date, last: date) -> Row[Any] | None:
    """A run of these dates, or of some of them, that is asked for or under way."""
    query = select(*DayRun.__table__.columns).where(
        DayRun.from_date <= last, DayRun.to_date >= first, DayRun.state.in_(OPEN_STATES)
    )
    return db.execute(query.limit(1)).one_or_none()


def request(db: Connection, first: date, last: date, cause: str, seen: Coverage, approved_by: str | None = None) -> str:
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
            received_units=seen.received,
            coverage=seen.by_feed(),
            missing=[str(lane) for lane in seen.missing],
            requested_at=clock.now(db),
            approved_by=approved_by,
        )
        .on_conflict_do_nothing()
    )
    return run_key


def request_again(db: Connection, catalog: Catalog, day: date, cause: str, approved_by: str | None = None) -> str:
    """A person asks for a day to be built again, from what is live when the run begins (`ledgerlake restate`). `approved_by`: the second person, of a day of a
    closed month (jobs/ledger/approvals.py).

    Raises MonthClosed for a day of a closed month that nobody approved."""
    lock(db, DECIDING)
    _must_be_approved(db, catalog, day, approved_by)
    return request(db, day, day, cause, coverage(db, catalog, day), approved_by)


def former_run(db: Connection, day: date) -> Row[Any] | None:
    """The run of a day's release before the newest; None when there is no such release."""
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
    return get(db, made[1]) if len(made) == 2 else None


def request_rollback(
    db: Connection, catalog: Catalog, day: date, reason: str, approved_by: str | None = None
) -> str | None:
    """Ask for a day to be built from what its release before the newest was built from; None when there is no such
    release. `approved_by` and errors: as for request_again."""
    lock(db, DECIDING)
    _must_be_approved(db, catalog, day, approved_by)
    former = former_run(db, day)
    if former is None:
        return None
    run_key = request(db, day, day, f"{ROLLBACK}: {reason}", coverage(db, catalog, day), approved_by)
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
    from all the same; they count as missing, as does what is in hand or held."""
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
        coming = [row for row in in_hand(db, catalog, run.from_date, (*ON_THE_WAY, "held")) if not row.replaces]
        seen = seen.without(kept_out | {Lane(row.feed, row.entity, run.from_date) for row in coming})
        values |= {
            "expected_units": len(seen.expected),
            "received_units": seen.received,
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
