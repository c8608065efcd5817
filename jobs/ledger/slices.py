"""Slices of pulled sources: up to where each was taken, and which are still to be read."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert

from jobs.ledger import clock
from jobs.ledger.locks import lock
from jobs.ledger.models import Delivery, Pull, Slice

WAITING, REFUSED, DONE = "waiting", "refused", "done"


def asked_at(db: Connection, feed: str) -> datetime | None:
    """When the source was last looked at, by the bank's clock."""
    return db.execute(select(Pull.asked_at).where(Pull.feed == feed)).scalar_one_or_none()


def note_asked(db: Connection, feed: str) -> None:
    row = insert(Pull).values(feed=feed, asked_at=clock.now(db))
    db.execute(row.on_conflict_do_update(index_elements=["feed"], set_={"asked_at": row.excluded.asked_at}))


def ends(db: Connection, feed: str) -> dict[str, str]:
    """Part -> up to where slices were taken."""
    newest = select(func.max(Slice.slice_id)).where(Slice.feed == feed).group_by(Slice.part)
    rows = db.execute(select(Slice.part, Slice.ends).where(Slice.slice_id.in_(newest)))
    return {row.part: row.ends for row in rows}


def one_at_a_time(db: Connection, feed: str) -> None:
    """Until the transaction ends nobody else takes slices of the feed, or skips what its source dropped."""
    lock(db, f"slices|{feed}")


def take(db: Connection, feed: str, part: str, begins: str, up_to: str, day: date, state: str = WAITING) -> int | None:
    """The new slice's id; None when another run took one from the same position."""
    one_at_a_time(db, feed)
    number = select(func.coalesce(func.max(Slice.seq), 0) + 1).where(Slice.feed == feed, Slice.business_date == day)
    row = insert(Slice).values(
        feed=feed,
        part=part,
        begins=begins,
        ends=up_to,
        business_date=day,
        seq=number.scalar_subquery(),
        state=state,
        taken_at=clock.now(db),
    )
    return db.execute(row.on_conflict_do_nothing().returning(Slice.slice_id)).scalar_one_or_none()


def unsettled(db: Connection, feed: str) -> list[Row[Any]]:
    """Those that are still to be read, and those whose delivery was refused."""
    query = select(*Slice.__table__.columns).where(Slice.feed == feed, Slice.state != DONE)
    return list(db.execute(query.order_by(Slice.slice_id)))


def skip(db: Connection, slice_id: int, up_to: str, who: str, reason: str) -> None:
    """What of this slice lies before `up_to` is gone at its source: it is read from there on. Said twice of one slice, both stand."""
    both = func.coalesce(Slice.reason + " / ", "") + reason
    values = {"dropped_up_to": up_to, "skipped_by": who, "reason": both}
    db.execute(update(Slice).where(Slice.slice_id == slice_id).values(**values))


def skipped(db: Connection, feed: str) -> list[Row[Any]]:
    """Slices whose source dropped something of them before it was read, oldest first."""
    query = select(*Slice.__table__.columns).where(Slice.feed == feed, Slice.dropped_up_to.is_not(None))
    return list(db.execute(query.order_by(Slice.slice_id)))


def waiting(db: Connection, feed: str | None = None) -> list[Row[Any]]:
    """In the order in which they were taken."""
    query = select(*Slice.__table__.columns).where(Slice.state == WAITING).order_by(Slice.slice_id)
    return list(db.execute(query.where(Slice.feed == feed) if feed else query))


def settle(db: Connection, slice_id: int, state: str) -> tuple[str, str]:
    """The slice is done, or its delivery was refused. Returns its part, and the position up to which the part is settled: of a refused one the source is to keep what it
    holds."""
    done = db.execute(
        update(Slice).where(Slice.slice_id == slice_id).values(state=state).returning(Slice.feed, Slice.part)
    ).one()
    return done.part, settled_up_to(db, done.feed, done.part)


def settled_up_to(db: Connection, feed: str, part: str) -> str:
    """The position before which all slices of a part are done."""
    of_part = select(Slice.begins, Slice.ends).where(Slice.feed == feed, Slice.part == part)
    first = db.execute(of_part.where(Slice.state != DONE).order_by(Slice.slice_id).limit(1)).one_or_none()
    last = db.execute(of_part.order_by(Slice.slice_id.desc()).limit(1)).one()
    return first.begins if first else last.ends


def take_again(db: Connection, delivery_id: str) -> bool:
    """The slice of a refused delivery is fetched once more, as a new delivery. False when it is not one."""
    claim = db.execute(
        select(Delivery.claim_key).where(Delivery.delivery_id == delivery_id, Delivery.state == REFUSED)
    ).scalar_one_or_none()
    slice_id, _, tries = (claim or "").rpartition("|")[2].partition(".")
    if not slice_id.isdigit() or not tries.isdigit():
        return False
    wanted = update(Slice).where(Slice.slice_id == int(slice_id), Slice.tries == int(tries), Slice.state == REFUSED)
    return db.execute(wanted.values(state=WAITING, tries=Slice.tries + 1)).rowcount == 1
