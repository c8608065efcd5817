"""Locks by name, for decisions that one at a time may take."""

from __future__ import annotations

from sqlalchemy import Connection, func, select


def lock(db: Connection, name: str) -> None:
    """Wait until nobody else of this bank holds the lock of this name; it is held until the transaction ends."""
    db.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(func.current_schema() + "|" + name, 0))))
