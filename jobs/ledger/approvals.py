"""Days of closed months that somebody wants told anew or taken back: who asked and why, and what a second person said.

Four eyes, as for fixes: nobody approves what they asked for (the database holds it too). Until it is approved nothing is built; what is released stays as it is.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.dialects.postgresql import insert

from jobs.contracts import Catalog
from jobs.ledger import clock, days
from jobs.ledger.fixes import NotAllowed
from jobs.ledger.locks import lock
from jobs.ledger.models import Approval

# What is asked for.
RESTATE, ROLLBACK = "restate", "rollback"


def ask(db: Connection, day: date, act: str, reason: str, person: str) -> Row[Any]:
    """A released day of a closed month is to be told anew (`reason`: its cause and why) or taken back. Asking twice asks once: the first one waits.

    Raises NotAllowed where nothing is said, and where there is no release before the newest one to go back to."""
    if not reason.strip() or "\x00" in reason:
        raise NotAllowed(
            "Say why, in plain text: whoever approves it, and whoever looks at the figures later, reads it."
        )
    if act == ROLLBACK and days.former_run(db, day) is None:
        raise NotAllowed(f"{day} has no release before its newest one: there is nothing to go back to.")
    lock(db, days.DECIDING)
    waits = select(*Approval.__table__.columns).where(
        Approval.business_date == day, Approval.act == act, Approval.state == "waiting"
    )
    if (first := db.execute(waits).one_or_none()) is not None:
        return first
    values = {"business_date": day, "act": act, "reason": reason.strip(), "state": "waiting", "asked_by": person}
    made = insert(Approval).values(**values, asked_at=clock.now(db)).returning(*Approval.__table__.columns)
    return db.execute(made).one()


def waiting(db: Connection) -> list[Row[Any]]:
    """What waits for a second person, oldest first."""
    query = select(*Approval.__table__.columns).where(Approval.state == "waiting")
    return list(db.execute(query.order_by(Approval.approval_id)))


def decided(db: Connection, limit: int = 50) -> list[Row[Any]]:
    """What was approved, declined or withdrawn, the newest first."""
    query = select(*Approval.__table__.columns).where(Approval.state != "waiting")
    return list(db.execute(query.order_by(Approval.approval_id.desc()).limit(limit)))


def approve(db: Connection, catalog: Catalog, number: int, person: str, note: str | None) -> Row[Any]:
    """A second person agrees: the run is asked for, and stands in `run_key` of what is returned. Raises NotAllowed for what one asked for oneself, for what
    was decided, and while a run of the day is asked for or under way."""
    lock(db, days.DECIDING)
    asked = _waiting(db, number)
    day = asked.business_date
    if asked.asked_by == person:
        raise NotAllowed(
            f"{person} asked for it, and nobody approves their own. Ask a colleague; `ledgerlake approvals decline {number}` takes it back."
        )
    if (run := days.open_run(db, day, day)) is not None:
        raise NotAllowed(
            f"{run.run_key} is {run.state}: approve it when that is at its end (`ledgerlake releases {day}`)."
        )
    if asked.act == ROLLBACK:
        run_key = days.request_rollback(db, catalog, day, asked.reason, person)
    else:
        run_key = days.request_again(db, catalog, day, asked.reason, person)
    return _decided(db, number, "approved", person, note, run_key)


def decline(db: Connection, number: int, person: str, note: str) -> Row[Any]:
    """A second person disagrees: the day stays as it is. What one asked for oneself is withdrawn instead. Raises NotAllowed without a word why."""
    if not note.strip():
        raise NotAllowed("Say why: whoever asked for it has to know.")
    asked = _waiting(db, number)
    return _decided(db, number, "withdrawn" if asked.asked_by == person else "declined", person, note.strip())


def _waiting(db: Connection, number: int) -> Row[Any]:
    query = select(*Approval.__table__.columns).where(Approval.approval_id == number).with_for_update()
    found = db.execute(query).one_or_none()
    if found is None:
        raise NotAllowed(f"There is no request {number}. `ledgerlake approvals` lists those that wait.")
    if found.state != "waiting":
        raise NotAllowed(f"Request {number} is {found.state} (by {found.decided_by}); it can no longer be decided.")
    return found


def _decided(db: Connection, number: int, state: str, person: str, note: str | None, run_key: str | None = None) -> Row[Any]:  # fmt: skip
    if "\x00" in (note or ""):
        raise NotAllowed("The note holds the character NUL: leave it out.")
    values = {"state": state, "decided_by": person, "decided_at": clock.now(db), "note": note, "run_key": run_key}
    done = update(Approval).where(Approval.approval_id == number).values(**values)
    return db.execute(done.returning(*Approval.__table__.columns)).one()
