"""The slices of pulled sources as an inbox: what roll-call took lies here until its delivery is settled."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from jobs.arrival.inbox import Arrived, claim_key
from jobs.arrival.pulls import Dropped, MadeAnew, SourceDown, Span, address, puller
from jobs.contracts.catalog import Catalog
from jobs.contracts.pulls import PostgresTable, Webhook
from jobs.contracts.source import Source
from jobs.ledger import Ledger, LedgerUnavailable, batches, clock, deliveries, slices

log = structlog.get_logger()
LOOK_SECONDS = 2.0
DOWN = "source_down"  # kind of alerts


def take_due(catalog: Catalog, ledger: Ledger) -> int:
    """Takes a slice of every pulled source that is due and has something new; returns how many. A source that does not answer is an alert until it answers again, and no other waits
    for it.
    """
    taken = 0
    for source in catalog.sources.values():
        if source.pull is None:
            continue
        try:
            taken += _take(catalog, ledger, source)
        except (LedgerUnavailable, DBAPIError):
            raise
        except Exception as error:  # a defect at one source, or in our reading of it, is no other's
            why = (
                str(error)
                if isinstance(error, SourceDown)
                else f"{source.feed}: {type(error).__name__}: {error}. Tell whoever looks after Ledgerlake."
            )
            say_down(ledger, source, why)
    return taken


def _take(catalog: Catalog, ledger: Ledger, source: Source) -> int:
    with ledger.begin() as db:
        now, asked = clock.now(db), slices.asked_at(db, source.feed)
        before = slices.ends(db, source.feed)
    # A topic, and what was posted, is looked at each time.
    every = timedelta(minutes=source.pull.every) if isinstance(source.pull, PostgresTable) else timedelta(0)
    if asked is not None and now < asked + every:
        return 0
    pulling = puller(source, catalog.bronze(source.feed), ledger)
    try:
        spans = pulling.spans(before)
    except SourceDown:
        with ledger.begin() as db:
            if slices.ends(db, source.feed) != before:
                return 0  # another run went on meanwhile: what looks wrong may be its doing, and is said at the next look if it is not
        raise
    with ledger.begin() as db:
        slices.one_at_a_time(db, source.feed)
        if slices.ends(db, source.feed) != before:
            return 0  # another run went on meanwhile
        today = catalog.profile.today(clock.now(db))
        taken = [
            slices.take(
                db,
                source.feed,
                span.part,
                span.begins,
                span.ends,
                today,
                slices.DONE if span.is_empty else slices.WAITING,
            )
            for span in spans
        ]
        slices.note_asked(db, source.feed)
        lacking = _lacks_secret(source)
        if lacking is None:
            _end_alerts(db, source)
        passed_over = {span.part: slices.settled_up_to(db, source.feed, span.part) for span in spans if span.is_empty}
    for part, position in passed_over.items():
        pulling.settled(part, position)
    if lacking is not None:
        say_down(ledger, source, lacking)
    return sum(one is not None and not span.is_empty for one, span in zip(taken, spans, strict=True))


def skip_dropped(catalog: Catalog, ledger: Ledger, source: Source, who: str, reason: str) -> list[Span]:
    """What the source no longer holds is passed over: slices are read from where it begins now, and the next ones begin there. Of one that was made anew all that waits is. Who said so, and
    why, is kept. Returns what was skipped.

    Raises SourceDown where the source cannot be asked, or has another defect than that."""
    with ledger.begin() as db:
        ends, unsettled = slices.ends(db, source.feed), slices.unsettled(db, source.feed)
    # Offsets are numbers; other sources drop nothing that could be skipped.
    oldest = dict(ends)
    for row in unsettled:
        oldest[row.part] = min(oldest[row.part], row.dropped_up_to or row.begins, key=int)
    try:
        puller(source, catalog.bronze(source.feed), ledger).spans(oldest)
    except Dropped as dropped:
        gone = dropped.gone
    except MadeAnew:
        if not unsettled:
            raise
        gone = [Span(row.part, row.dropped_up_to or row.begins, row.ends) for row in unsettled]
    else:
        return []
    with ledger.begin() as db:
        slices.one_at_a_time(db, source.feed)
        if (slices.ends(db, source.feed), slices.unsettled(db, source.feed)) != (ends, unsettled):
            raise SourceDown(
                f"{source.feed}: slices of it were taken or read meanwhile. Nothing was skipped: say it again."
            )
        today = catalog.profile.today(clock.now(db))
        for part, begins, low, _ in gone:
            for row in unsettled:
                if row.part == part and int(row.dropped_up_to or row.begins) < int(low):
                    slices.skip(db, row.slice_id, min(low, row.ends, key=int), who, reason)
            if int(at := ends.get(part, begins)) < int(low):
                new = slices.take(db, source.feed, part, at, low, today, slices.DONE)
                assert new is not None, "nobody else takes one now"
                slices.skip(db, new, low, who, reason)
        listed = ", ".join(f"{span.begins} to {int(span.ends) - 1} of {span.part}" for span in gone)
        end = f"{source.feed} goes on without offsets {listed}, which its source dropped before they were read. {who} said so: {reason}"
        batches.end_of_feed(db, DOWN, source.feed, end)
    return gone


def _lacks_secret(source: Source) -> str | None:
    """Why partners are turned away, though what they posted before is taken: nobody asks for their secret but they."""
    if isinstance(source.pull, Webhook):
        try:
            address(source.pull.connection)
        except SourceDown as why:
            return f"{source.feed}: what partners post is turned away (503), for the secret that both know is not set. {why}"
    return None


def say_down(ledger: Ledger, source: Source, why: str) -> None:
    """An alert, until the source answers again. Another reason, or another time, is told anew, once an hour at most."""
    log.warning("source_down", feed=source.feed, reason=why)
    message = f"{why} Owner: {source.owner}."
    with ledger.begin() as db:
        batches.alert_of_feed(db, DOWN, source.feed, message)


def _end_alerts(db: Connection, source: Source) -> None:
    """The source was looked at and all that was taken of it is read: it answers."""
    if not any(row.feed == source.feed for row in slices.waiting(db)):
        batches.end_of_feed(db, DOWN, source.feed, f"{source.feed}: the source answers again.")


@dataclass
class _Known:
    source: Source
    span: Span
    slice_id: int
    claim_key: str


class Slices:
    """An inbox (see jobs/arrival/inbox.py) of what was taken and is not settled."""

    def __init__(self, catalog: Catalog, ledger: Ledger, *, now: Callable[[], float] = time.monotonic):
        self._catalog, self._ledger, self._now = catalog, ledger, now
        self._known: dict[str, _Known] = {}
        self._looked_at, self._seen = float("-inf"), list[Arrived]()
        self.signals_alone: list[str] = []  # slices have no signals

    def waiting(self) -> list[Arrived]:
        with self._ledger.begin() as db:
            rows = slices.waiting(db)
        found = []
        for row in rows:
            source = self._catalog.sources.get(row.feed)
            if source is None or source.pull is None:
                continue  # the source was taken out: its slices wait until it is back
            name = source.files.name(entity=source.system, business_date=row.business_date, seq=row.seq)
            path = f"{row.feed}/{source.system}/{row.business_date}/{name}"
            begins = row.dropped_up_to or row.begins
            uri = f"{source.pull.kind}:{source.pull.connection}/{row.part}?from={begins}&to={row.ends}"
            arrived = Arrived(path, uri, 0, f"{row.slice_id}.{row.tries}", None, None)
            found.append(arrived)
            self._known[arrived.version] = _Known(
                source, Span(row.part, begins, row.ends), row.slice_id, claim_key(arrived)
            )
        return found

    def look(self) -> list[Arrived]:
        """The doorbell asks twice a second; the ledger is asked less often."""
        if self._now() - self._looked_at >= LOOK_SECONDS:
            self._looked_at = self._now()
            try:
                self._seen = self.waiting()
            except LedgerUnavailable:
                self._seen = []  # the doorbell rings when it is back
        return self._seen

    def open(self, arrived: Arrived) -> BinaryIO:
        known = self._known[arrived.version]
        return puller(known.source, self._catalog.bronze(known.source.feed), self._ledger).open(known.span)

    def remove(self, arrived: Arrived, *, keep_signal: bool = False) -> None:
        """Slices have no signals: there is none to keep."""
        known = self._known[arrived.version]
        with self._ledger.begin() as db:
            delivery = deliveries.by_claim(db, [known.claim_key]).get(known.claim_key)
            was_refused = delivery is not None and delivery.state == "refused"
            part, position = slices.settle(db, known.slice_id, slices.REFUSED if was_refused else slices.DONE)
            _end_alerts(db, known.source)
        try:
            puller(known.source, self._catalog.bronze(known.source.feed), self._ledger).settled(part, position)
        except SourceDown as down:
            log.warning("source_down", feed=known.source.feed, reason=str(down))  # it is told with the next slice

    def acknowledge(self) -> None:
        """Nobody notified us."""
