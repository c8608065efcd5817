"""What lies in the inbox and cannot be taken, as roll-call last saw it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, delete, select
from sqlalchemy.dialects.postgresql import insert

from jobs.ledger import clock
from jobs.ledger.models import Sighting

SIGNAL_WITHOUT_FILE, FILE_WITHOUT_SIGNAL = "signal_without_file", "file_without_signal"


def replace(db: Connection, seen: Sequence[dict[str, Any]]) -> None:
    """All that is there now: path, kind, feed, entity, business_date. What was there before keeps the moment since when it is."""
    paths = [one["path"] for one in seen]
    db.execute(delete(Sighting).where(Sighting.path.notin_(paths)))
    if seen:
        row = insert(Sighting).values([{**one, "since": clock.now(db)} for one in seen])
        same_kind = Sighting.kind == row.excluded.kind
        db.execute(
            row.on_conflict_do_update(
                index_elements=["path"], set_={"kind": row.excluded.kind, "since": row.excluded.since}, where=~same_kind
            )
        )


def of_day(db: Connection, day: date) -> list[Row[Any]]:
    query = select(*Sighting.__table__.columns).where(Sighting.business_date == day)
    return list(db.execute(query.order_by(Sighting.path)))
