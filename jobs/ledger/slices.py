"""Slices of pulled sources: up to where each was taken, and which are still to be read."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert

from jobs.ledger import clock
from jobs.ledger.models import Pull, Slice

WAITING, DONE = "waiting", "done"


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


def take(db: Connection, feed: str, part: str, begins: str, up_to: str, day: date) -> int | None:
    """The new slice's id; None when another run took one from the same position."""
    number = select(func.coalesce(func.max(Slice.seq), 0) + 1).where(Slice.feed == feed, Slice.business_date == day)
    row = insert(Slice).values(
        feed=feed,
        part=part,
        begins=begins,
        ends=up_to,
        business_date=day,
        seq=number.scalar_subquery(),
        state=WAITING,
        taken_at=clock.now(db),
    )
    return db.execute(row.on_conflict_do_nothing().returning(Slice.slice_id)).scalar_one_or_none()


def waiting(db: Connection) -> list[Row[Any]]:
    """In the order in which they were taken."""
    query = select(*Slice.__table__.columns).where(Slice.state == WAITING).order_by(Slice.slice_id)
    return list(db.execute(query))


def finish(db: Connection, slice_id: int) -> tuple[str, str]:
    """The slice is settled. Returns its part, and the position before which all slices of the part are."""
    done = db.execute(
        update(Slice).where(Slice.slice_id == slice_id).values(state=DONE).returning(Slice.feed, Slice.part)
    ).one()
    of_part = select(Slice.begins, Slice.ends, Slice.state).where(Slice.feed == done.feed, Slice.part == done.part)
    first = db.execute(of_part.where(Slice.state == WAITING).order_by(Slice.slice_id).limit(1)).one_or_none()
    last = db.execute(of_part.order_by(Slice.slice_id.desc()).limit(1)).one()
    return done.part, first.begins if first else last.ends
