"""Streams of which nothing has come for longer than is normal. Nobody owes a stream, so that none is ever missing; `quietFor` of its schedule says how long it may be silent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import ARRAY, Connection, Text, cast, func, select, true

from jobs.contracts import Catalog
from jobs.contracts.source import Source
from jobs.ledger import clock, days
from jobs.ledger.models import Delivery, Posted

# What came last is looked for among deliveries of so many days back: of a stream that is silent for longer it is not said since when.
REMEMBERED = timedelta(days=31)


@dataclass(frozen=True)
class Stream:
    """A stream that says how long it may be silent. `last`: when something came (UTC), None where nothing has for REMEMBERED; `is_silent`: now, longer than is normal, in its active hours."""

    source: Source
    entity: str | None
    last: datetime | None
    is_silent: bool

    @property
    def feed(self) -> str:
        return self.source.feed

    def told(self, catalog: Catalog) -> str:
        """Since when, and what is normal."""
        since = f"since {catalog.profile.clock(self.last)}" if self.last else f"for {REMEMBERED.days} days"
        return f"nothing has come {since}; normal is at most {self.source.schedule.quiet_for}"


def streams(db: Connection, catalog: Catalog) -> list[Stream]:
    """Each stream that says how long it may be silent, as it is now. None before the bank's first release."""
    asked = [source for source in catalog.sources.values() if source.schedule.silence is not None]
    if not asked or days.last_released_day(db) is None:
        return []
    at = clock.now(db)
    came = _came(db, [source.feed for source in asked], catalog.profile.today(at))
    return [_stream(catalog, source, at, came.get(source.feed)) for source in asked]


def silent_on(db: Connection, catalog: Catalog, day: date) -> Iterator[Stream]:
    """The streams that are silent now, when the day is the bank's today."""
    if day == catalog.profile.today(clock.now(db)):
        yield from (stream for stream in streams(db, catalog) if stream.is_silent)


def _came(db: Connection, feeds: list[str], today: date) -> dict[str, tuple[str | None, datetime]]:
    """Feed -> who sent what came last, and when. What a partner posted has come before it is a delivery."""
    query = (
        select(Delivery.feed, Delivery.entity, Delivery.received_at)
        .where(Delivery.business_date >= today - REMEMBERED, Delivery.feed.in_(feeds))
        .distinct(Delivery.feed)
        .order_by(Delivery.feed, Delivery.received_at.desc())
    )
    found: dict[str, tuple[str | None, datetime]] = {
        row.feed: (row.entity, row.received_at) for row in db.execute(query)
    }
    for feed, posted_at in _posted(db, feeds).items():
        if feed not in found or posted_at > found[feed][1]:
            found[feed] = (found[feed][0] if feed in found else None, posted_at)
    return found


def _posted(db: Connection, feeds: list[str]) -> dict[str, datetime]:
    """Feed -> when something was posted last, by its number; those of which nothing ever was are not in it."""
    asked = func.unnest(cast(feeds, ARRAY(Text))).table_valued("feed", name="asked").render_derived()
    # Of each feed the end of the index: a maximum by feed would read all that was ever posted.
    newest = (
        select(Posted.received_at).where(Posted.feed == asked.c.feed).order_by(Posted.number.desc()).limit(1).lateral()
    )
    found = db.execute(select(asked.c.feed, newest.c.received_at).join_from(asked, newest, true()))
    return {row.feed: row.received_at for row in found}


def _stream(catalog: Catalog, source: Source, at: datetime, came: tuple[str | None, datetime] | None) -> Stream:
    entity, last = came or (None, None)
    begins = _active_since(catalog, source, at)
    normal = source.schedule.silence
    if begins is None or normal is None:
        return Stream(source, entity, last, is_silent=False)
    return Stream(source, entity, last, is_silent=at - max(begins, last or begins) > normal)


def _active_since(catalog: Catalog, source: Source, at: datetime) -> datetime | None:
    """From when on silence counts: the beginning of today's active hours (of all time, where the schedule names neither hours nor a calendar); None outside of them."""
    schedule, profile = source.schedule, catalog.profile
    today = profile.today(at)
    if schedule.hours is None and schedule.calendar == "every_day":
        return datetime.min.replace(tzinfo=UTC)
    if not catalog.is_business_day(today, schedule.calendar):
        return None
    begins, ends = schedule.hours or ("00:00", "23:59")
    local = f"{at.astimezone(ZoneInfo(profile.zone)):%H:%M}"
    return profile.local(today, begins).astimezone(UTC) if begins <= local <= ends else None
