"""Roll-call: which lanes are owed, due and missing; what an event should have woken and did not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from jobs import alerts
from jobs.arrival.slices import take_due
from jobs.bank import Bank, open_bank
from jobs.ledger import batches, clock, days, deliveries, fixes
from jobs.ledger.models import Delivery

# Verified or asked for this long ago and nothing has begun: the event was lost, ring again.
PATIENCE = timedelta(seconds=120)
# So soon a run begins that a person asked for, if all services are up: roll-call comes by twice a minute.
BEGINS_WITHIN = timedelta(seconds=60)


@dataclass(frozen=True)
class LaneStatus:
    """One lane as roll-call sees it: expected, arriving, held, refused, loaded, partly_loaded, verified, or missing (due time is past)."""

    feed: str
    entity: str
    business_date: date
    state: str
    due: datetime
    delivery_id: str | None
    reason: str | None


def lanes(db: Connection, bank: Bank, day: date) -> list[LaneStatus]:
    """Every lane owed for a day, with the newest delivery that answered it."""
    at = clock.now(db)
    newest = {
        (d.feed, d.entity): d
        for d in deliveries.find(db, business_date=day)
        if d.state not in ("superseded", "ignored_duplicate")
    }
    status = []
    for lane in days.expected_lanes(db, bank.catalog, day):
        schedule = bank.catalog.sources[lane.feed].schedule
        due = bank.catalog.profile.local(day, schedule.due, schedule.day).astimezone(UTC)
        found = newest.get((lane.feed, lane.entity))
        state = found.state if found else ("missing" if at > due else "expected")
        status.append(
            LaneStatus(
                lane.feed,
                lane.entity,
                day,
                state,
                due,
                found.delivery_id if found else None,
                found.reason if found else None,
            )
        )
    return status


def call(profile: str, run_id: str) -> dict[str, list[str]]:
    """Take slices of the sources that are to be looked at. Alert once for each lane that is missing; start days at their `close_by`; ring again for waiting feeds and days. Returns the keys to ring."""
    bank = open_bank(profile)
    take_due(bank.catalog, bank.ledger)
    with bank.ledger.begin() as db:
        for day in _open_days(db, bank):
            days.touch(db, bank.catalog, day)
            for lane in lanes(db, bank, day):
                if lane.state == "missing":
                    owner = bank.catalog.sources[lane.feed].owner
                    message = f"{lane.feed} of {lane.entity} for {day} was due at {lane.due:%H:%M} UTC and has not come. Owner: {owner}."
                    batches.alert(db, f"missing|{lane.feed}|{lane.entity}|{day}", "missing", message)
        asked = days.decide(db, bank.catalog)
        woken = {"feeds": _stranded_feeds(db) + _feeds_to_judge_again(db), "days": asked + _stranded_days(db, asked)}
    alerts.send(bank.ledger)
    return woken


def _open_days(db: Connection, bank: Bank) -> list[date]:
    """Days from the last released one to the bank's today that have begun and are not released; at most a week back."""
    released = days.last_released_day(db)
    if released is None:
        return []
    today = clock.now(db).astimezone(ZoneInfo(bank.catalog.profile.zone)).date()
    first = max(released + timedelta(days=1), today - timedelta(days=7))
    return [d for d in days.days_between(first, today) if days.newest_release(db, d) is None]


def _stranded_feeds(db: Connection) -> list[str]:
    """Feeds whose verified deliveries nobody has brought to bronze for long: the ring was lost, or its run died. Rung once in that time."""
    at = datetime.now(UTC)
    query = select(Delivery.feed).where(Delivery.state == "verified", Delivery.verified_at < at - PATIENCE).distinct()
    slot = int(at.timestamp() // PATIENCE.total_seconds())
    late = [feed for feed in sorted(db.execute(query).scalars()) if batches.first_time(db, f"ring|{feed}|{slot}")]
    return [f"{feed}|{deliveries.next_wave(db)}" for feed in late]


def _feeds_to_judge_again(db: Connection) -> list[str]:
    """Feeds of deliveries that wait to be judged again because of a fix: rung at once, and again where nobody came for long."""
    slot = int(datetime.now(UTC).timestamp() // PATIENCE.total_seconds())
    waiting = fixes.feeds_waiting(db)
    rung = [feed for feed, fix in waiting.items() if batches.first_time(db, f"ring|{feed}|fix {fix}|{slot}")]
    return [f"{feed}|{deliveries.next_wave(db)}" for feed in rung]


def expect(db: Connection, run_key: str) -> None:
    """A run that a person asked for, without a ring: the next roll-call rings, without patience for a ring that may be on its way."""
    batches.first_time(db, f"asked|{run_key}", datetime.now(UTC) - PATIENCE)


def _stranded_days(db: Connection, asked: list[str]) -> list[str]:
    """Runs that were asked for and that nobody has begun for long: the ring was lost. Rung once in that time."""
    at = datetime.now(UTC)
    slot = int(at.timestamp() // PATIENCE.total_seconds())
    late = []
    for run in days.pending(db):
        if run.run_key not in asked and batches.known_since(db, f"asked|{run.run_key}") < at - PATIENCE:
            late += [run.run_key] if batches.first_time(db, f"ring|{run.run_key}|{slot}") else []
    return late
