"""The bank's clock. Real in production; the demo and tests drive it. Every due time and `received_at` reads it."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from jobs.ledger.models import Clock


def now(db: Connection) -> datetime:
    """The bank's time, in UTC."""
    driven = db.execute(select(Clock.bank_now)).scalar_one_or_none()
    return driven.astimezone(UTC) if driven else datetime.now(UTC)


def set_now(db: Connection, at: datetime | None) -> None:
    """Drive the clock to an instant (it stands still there), or back to the real time with None."""
    row = insert(Clock).values(id=1, bank_now=at, set_at=datetime.now(UTC))
    db.execute(row.on_conflict_do_update(index_elements=["id"], set_={"bank_now": at, "set_at": datetime.now(UTC)}))
