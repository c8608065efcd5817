"""Leases with expiry and fencing: one writer at a time, and a writer that lost its lease finds out before it
commits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from jobs.ledger.models import Lease


class LeaseLost(Exception):
    """Another holder took over; nothing of this holder may be written any more."""


def acquire(db: Connection, name: str, holder: str, seconds: int) -> int | None:
    """Take, or renew, the lease. Returns its fencing token, or None while another holder's lease runs. Wall-clock
    time, never the bank's."""
    at = datetime.now(UTC)
    until = at + timedelta(seconds=seconds)
    db.execute(insert(Lease).values(name=name, holder="", token=0, expires_at=at).on_conflict_do_nothing())
    row = db.execute(
        select(Lease.holder, Lease.token, Lease.expires_at).where(Lease.name == name).with_for_update()
    ).one()
    if row.holder == holder:
        db.execute(update(Lease).where(Lease.name == name).values(expires_at=until))
        return row.token
    if row.holder and row.expires_at > at:
        return None
    db.execute(update(Lease).where(Lease.name == name).values(holder=holder, token=row.token + 1, expires_at=until))
    return row.token + 1


def check(db: Connection, name: str, holder: str, token: int) -> None:
    """Raises LeaseLost unless the holder's token is still the newest; the row stays locked until the transaction
    ends."""
    row = db.execute(select(Lease.holder, Lease.token).where(Lease.name == name).with_for_update()).one_or_none()
    if row is None or (row.holder, row.token) != (holder, token):
        now_held = row.holder if row else "nobody"
        raise LeaseLost(
            f"{holder} no longer holds the lease {name} (now: {now_held}). "
            "Nothing was published; its successor goes on."
        )


def release(db: Connection, name: str, holder: str) -> None:
    """Give the lease back; the token stays so that the next grant is higher."""
    db.execute(
        update(Lease).where(Lease.name == name, Lease.holder == holder).values(holder="", expires_at=datetime.now(UTC))
    )
