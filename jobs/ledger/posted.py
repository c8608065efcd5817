"""Events that partners posted: each once, in the order of their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import BigInteger, Connection, cast, func, select, update
from sqlalchemy.dialects.postgresql import insert

from jobs.ledger import clock
from jobs.ledger.locks import lock
from jobs.ledger.models import Posted, Slice
from jobs.ledger.slices import DONE

AT_ONCE = 1_000


def keep(db: Connection, feed: str, event_key: str, digest: str, sealed: bytes) -> tuple[int, str]:
    """(number, digest) of the event that stands under this key: its own when it is new or the same again, another's when the id was used before.

    Events of one feed are kept one after the other, so that none with a smaller number appears after a slice was taken.
    """
    lock(db, f"posted|{feed}")
    row = insert(Posted).values(feed=feed, event_key=event_key, digest=digest, sealed=sealed, received_at=clock.now(db))
    db.execute(row.on_conflict_do_nothing())
    found = db.execute(
        select(Posted.number, Posted.digest).where(Posted.feed == feed, Posted.event_key == event_key)
    ).one()
    return found.number, found.digest


def forget(db: Connection, before: datetime) -> int:
    """Empties events that were received before `before` and whose slices are done; their keys stay, so that the same event is still once. Returns how many."""
    done = select(Slice.slice_id).where(
        Slice.feed == Posted.feed,
        Slice.state == DONE,
        cast(Slice.begins, BigInteger) <= Posted.number,
        cast(Slice.ends, BigInteger) > Posted.number,
    )
    old = update(Posted).where(Posted.received_at < before, func.length(Posted.sealed) > 0, done.exists())
    return db.execute(old.values(sealed=b"")).rowcount


def next_number(db: Connection, feed: str) -> int | None:
    """The number after that of the newest event; None before the first."""
    newest = db.execute(select(func.max(Posted.number)).where(Posted.feed == feed)).scalar_one()
    return None if newest is None else newest + 1


def between(db: Connection, feed: str, begins: int, ends: int) -> Iterator[bytes]:
    """Sealed events from a number up to another, in their order."""
    query = select(Posted.sealed).where(Posted.feed == feed, Posted.number >= begins, Posted.number < ends)
    yield from db.execution_options(yield_per=AT_ONCE).execute(query.order_by(Posted.number)).scalars()
