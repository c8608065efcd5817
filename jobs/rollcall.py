"""Roll-call: which lanes are owed, due and missing; what an event should have woken and did not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from jobs import alerts
from jobs.arrival import reach
from jobs.arrival import sightings as inbox_sightings
from jobs.arrival.in_clear import IN_CLEAR
from jobs.arrival.inbox import InboxUnavailable, inbox_of, unreachable
from jobs.arrival.outcomes import COLUMN_ADDED
from jobs.arrival.slices import take_due
from jobs.bank import Bank, open_bank
from jobs.contracts import Catalog
from jobs.ledger import batches, clock, days, deciding, deliveries, fixes, lanes, releases, sightings, silence
from jobs.ledger.lanes import LaneStatus
from jobs.ledger.models import Delivery

# Verified or asked for this long ago and nothing has begun: the event was lost, ring again.
PATIENCE = timedelta(seconds=120)
# So soon a run begins that a person asked for, if all services are up: roll-call comes by twice a minute.
BEGINS_WITHIN = timedelta(seconds=60)
# A day that was released without all its lanes is watched so long; a lane's alert is kept open so long.
WATCHED, FORGOTTEN = timedelta(days=7), timedelta(days=31)
# A file that was refused or held within this time is told, of whatever day it is.
LATELY = timedelta(days=1)
# These alerts end by themselves; one that a person closed is not told anew, however long it stands.
# What roll-call says of a lane and a person should look at.
ALERTED = ("missing", "refused", "held")


def call(profile: str, run_id: str) -> dict[str, list[Any]]:
    """Take slices of the sources that are to be looked at. Say once of each lane that it is missing, held or refused, and once how that ended; start days at
    their `close_by`; ring again for waiting feeds and days. Returns the keys to ring and the alerts that Airflow is to be told of."""
    bank = open_bank(profile)
    with bank.ledger.begin() as db:
        ending = say_calendars(db, bank.catalog)
    if ending:
        alerts.send(bank.ledger)  # at once: a day that a calendar does not know ends the roll-call below
    take_due(bank.catalog, bank.ledger)
    seen = _look(bank)
    with bank.ledger.begin() as db:
        if seen is not None:
            sightings.replace(db, seen)
        watched = watched_days(db, bank.catalog)
        for day in watched:
            deciding.touch(db, bank.catalog, day)
        say(db, bank.catalog, watched)
        say_silence(db, bank.catalog)
        end_overtaken(db)
        end_shown(db)
        end_contracted(db, bank.catalog)
        asked = deciding.decide(db, bank.catalog)
        woken = {"feeds": _stranded_feeds(db) + _feeds_to_judge_again(db), "days": asked + _stranded_days(db, asked)}
    alerts.send(bank.ledger)
    return {**woken, "alerts": alerts.for_airflow(bank.ledger)}


def _look(bank: Bank) -> list[dict[str, Any]] | None:
    """What lies in the inbox and cannot be taken; None where it cannot be looked at. People are told what cannot be seen of it, and what can again."""
    try:
        inbox = inbox_of(bank.catalog, lambda: bank.ledger)
        there = inbox.look()
    except InboxUnavailable as away:
        with bank.ledger.begin() as db:
            reach.say_unreachable(db, away.unreachable)
        return None
    with bank.ledger.begin() as db:
        reach.say_unreachable(db, unreachable(inbox))
        reach.end_settled(db, None if unreachable(inbox) else {arrived.uri for arrived in there})
    return inbox_sightings.sightings(bank.catalog, inbox, there)


def watched_days(db: Connection, catalog: Catalog) -> list[date]:
    """Days that have begun and lack something: not released, or released without all that is owed; at most a week back. None before the first release."""
    if days.last_released_day(db) is None:
        return []
    today = catalog.profile.today(clock.now(db))
    return [day for day in days.days_between(today - WATCHED, today) if _lacks_something(db, catalog, day)]


def _lacks_something(db: Connection, catalog: Catalog, day: date) -> bool:
    made = days.newest_release(db, day)
    if made is None:
        return not days.is_history(db, day)
    return bool(made.missing) or days.is_lacking(db, catalog, day)


def say(db: Connection, catalog: Catalog, watched: Sequence[date]) -> None:
    """Raise an alert for each lane that a person should look at: of the watched days, and of those for which a file was lately refused or held. End the alerts
    of lanes that are well again."""
    oldest = catalog.profile.today(clock.now(db)) - FORGOTTEN
    open_now: dict[str, list[str]] = {}
    for alert in batches.alerts(db):
        if alert.kind in ALERTED:
            open_now.setdefault("|".join(alert.alert_key.split("|")[1:4]), []).append(alert.alert_key)
    for lane_key in [key for key in open_now if _day_of(key) < oldest]:
        for old in open_now.pop(lane_key):
            batches.end_alert(db, old, f"{lane_key} is more than {FORGOTTEN.days} days old: it is watched no longer.")
    lately = deliveries.not_accepted_since(db, datetime.now(UTC) - LATELY)
    for day in sorted({*watched, *map(_day_of, open_now), *(d for d in lately if d >= oldest)}):
        for lane in lanes.of_day(db, catalog, day):
            key = _alert_key(lane)
            if key is not None:
                batches.alert_again(db, key, lane.word, lanes.told(catalog, lane))
            for other in open_now.get(lane.key, ()):
                if lane.word == "expected" and lane.state == "arriving" and other.startswith("missing|"):
                    continue  # it is over when the file is here: what is being taken in may turn out not to be whole
                if key is None or not f"{other}|".startswith(f"{key}|"):
                    # Where another alert takes its place, that one tells it.
                    batches.end_alert(db, other, None if key else lanes.told(catalog, lane))


def say_silence(db: Connection, catalog: Catalog) -> None:
    """Say once of a stream that nothing has come for longer than is normal, and once that something has again. Outside its active hours nothing is said, and nothing ends."""
    streams = {stream.feed: stream for stream in silence.streams(db, catalog)}
    for alert in batches.alerts(db, kind=batches.SILENT):
        _, feed, since = alert.alert_key.split("|")
        stream = streams.get(feed)
        if stream is None:
            batches.end_alert(db, alert.alert_key, f"{feed}: nobody asks any more how long it is silent.")
        elif stream.last is not None and stream.last.isoformat() != since:
            silent_for = (
                ""
                if since == "never"
                else f", after {lanes.minutes(int((stream.last - datetime.fromisoformat(since)).total_seconds() // 60))}"
            )
            end = f"{feed} is silent no longer: something came at {catalog.profile.clock(stream.last)}{silent_for}."
            batches.end_alert(db, alert.alert_key, end)
    for stream in streams.values():
        if stream.is_silent:
            key = f"{batches.SILENT}|{stream.feed}|{stream.last.isoformat() if stream.last else 'never'}"
            batches.alert(
                db,
                key,
                batches.SILENT,
                f"{stream.feed} is silent: {stream.told(catalog)}. Owner: {stream.source.owner}.",
            )


def say_calendars(db: Connection, catalog: Catalog) -> bool:
    """Say a month before that a calendar ends, and once that it goes on. True when something is new."""
    ending = {f"{batches.CALENDAR_ENDS}|{end.name}|{end.missing}": end for end in catalog.ending_calendars(catalog.profile.today(clock.now(db)))}  # fmt: skip
    over = [a.alert_key for a in batches.alerts(db, kind=batches.CALENDAR_ENDS) if a.alert_key not in ending]
    for key in over:
        _, name, missing = key.split("|")
        batches.end_alert(db, key, f"The calendar {name} knows {missing} now.")
    new = [key for key, end in ending.items() if batches.alert(db, key, batches.CALENDAR_ENDS, end.told)]
    return bool(new or over)


def end_overtaken(db: Connection) -> None:
    """End the alerts of runs that came to no release (jobs/day.py: settle) and whose dates a later version has told since."""
    for alert in batches.alerts(db, kind=batches.DAY_STOPPED):
        run_key = alert.alert_key.partition("|")[2]
        first, last, version = days.parse_key(run_key)
        told = [days.newest_release(db, day) for day in sorted({first, last})]
        since = [made.run_key for made in told if made is not None and made.version > version]
        if len(since) == len(told):
            batches.end_alert(db, alert.alert_key, f"Business day {run_key} is overtaken: {since[-1]} is released.")


def end_shown(db: Connection) -> None:
    """End the alerts of releases that could not be shown (jobs/day.py: not_shown), now that they are; or that a later version of the day, which is, has taken the place of."""
    for alert in batches.alerts(db, kind=batches.NOT_SHOWN):
        run_key = alert.alert_key.partition("|")[2]
        first, last, _ = days.parse_key(run_key)
        newest = {made.run_key for day in sorted({first, last}) if (made := days.newest_release(db, day)) is not None}
        if not any(releases.not_shown(db, key) for key in newest):
            shown = " and ".join(sorted(newest))
            batches.end_alert(
                db, alert.alert_key, f"Business day {run_key}: {shown} is shown, in the mart and its report."
            )


def end_contracted(db: Connection, catalog: Catalog) -> None:
    """End the alerts of columns of which a contract says by now what they asked for: that they name a person, or that they are there."""
    for alert in batches.alerts(db):
        if alert.kind not in (IN_CLEAR, COLUMN_ADDED):
            continue
        _, feed, name = alert.alert_key.split("|", 2)
        table = catalog.tables.get(f"bronze.{feed}")
        columns = table.columns if table else {}
        column = columns.get(name)
        if alert.kind == COLUMN_ADDED:
            if name in {column.source or own for own, column in columns.items()}:
                batches.end_alert(db, alert.alert_key, f"The contract of {feed} has the column {name} now.")
        elif column is None:
            batches.end_alert(db, alert.alert_key, f"The contract of {feed} has no column {name} any more.")
        elif column.identifies or column.free_text:
            end = f"The contract of {feed} says now what is in {name}: tokens are stored from now on. What was stored before stays as it came (docs/quarantine.md)."
            batches.end_alert(db, alert.alert_key, end)


def _alert_key(lane: LaneStatus) -> str | None:
    """A lane is missing once; a refused or held file is told once, and the next one is another. What comes back after it had ended is told anew."""
    if lane.word not in ALERTED:
        return None
    return f"{lane.word}|{lane.key}" + ("" if lane.word == "missing" else f"|{lane.delivery_id}")


def _day_of(lane_key: str) -> date:
    return date.fromisoformat(lane_key.rsplit("|", 1)[1])


def _stranded_feeds(db: Connection) -> list[str]:
    """Feeds whose verified deliveries nobody has brought to bronze for long: the ring was lost, or its run died. Rung once in that time."""
    at = datetime.now(UTC)
    query = select(Delivery.feed).where(Delivery.state == "verified", Delivery.verified_at < at - PATIENCE).distinct()
    slot = int(at.timestamp() // PATIENCE.total_seconds())
    late = [feed for feed in sorted(db.execute(query).scalars()) if batches.first_time(db, f"ring|{feed}|{slot}")]
    return [f"{feed}|{deliveries.next_wave(db)}" for feed in late]


def _feeds_to_judge_again(db: Connection) -> list[str]:
    """Feeds of deliveries that wait to be judged again because of a fix: rung at once, and again where nobody came for long."""
    at = datetime.now(UTC)
    slot = int(at.timestamp() // PATIENCE.total_seconds())
    waiting = fixes.feeds_waiting(db, at - PATIENCE)
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
