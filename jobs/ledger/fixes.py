"""The quarantine bench's memory: fixes that people propose and decide, the deliveries that are judged again for them, codes that were given a meaning.

Four eyes: nobody approves what they proposed (the database holds it too). A replay is claimed by a batch of bronze, ends in the transaction in which its delivery
goes live, and so happens once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import insert

from jobs.ledger import clock
from jobs.ledger.locks import lock
from jobs.ledger.models import Case, Code, Delivery, Fix, Replay

# What may be done about a case.
MAP_CODE, CORRECT, ACCEPT, REJECT, RESEND = "map_code", "correct", "accept", "reject", "resend"
REPLAYED = (MAP_CODE, CORRECT, ACCEPT)
OPEN = ("proposed", "approved")


class NotAllowed(Exception):
    """A fix cannot be proposed or decided so; the message says why and what to do."""


def propose(db: Connection, case_id: int, kind: str, change: dict[str, Any], reason: str, person: str) -> int:
    """A new fix, waiting for a second person. Raises NotAllowed for a case that is closed."""
    case = get_case(db, case_id)
    if case.state != "open":
        raise NotAllowed(f"Case {case_id} is closed: {case.reason} Nothing is left to be fixed.")
    values = {
        "case_id": case_id, "kind": kind, "change": change, "reason": reason, "state": "proposed", "proposed_by": person,
        "proposed_at": clock.now(db),
    }  # fmt: skip
    return db.execute(plain_insert(Fix).values(**values).returning(Fix.fix_id)).scalar_one()


def approve(db: Connection, fix_id: int, person: str, note: str | None, deliveries: Iterable[str]) -> Row[Any]:
    """A second person agrees: `deliveries` are judged again. Raises NotAllowed for one's own fix, and for one that was decided."""
    fix = _waiting(db, fix_id)
    if fix.proposed_by == person:
        raise NotAllowed(
            f"Fix {fix_id} was proposed by {person}, and nobody approves their own. Ask a colleague; `ledgerlake quarantine withdraw {fix_id}` takes it back."
        )
    _decide(db, fix_id, "approved", person, note)
    rows = [{"fix_id": fix_id, "delivery_id": d, "state": "waiting"} for d in sorted(set(deliveries))]
    if rows:
        db.execute(plain_insert(Replay), rows)
    if fix.kind == MAP_CODE:
        entry = insert(Code).values(
            reference=fix.change["reference"], code=fix.change["code"], meaning=fix.change.get("meaning"), fix_id=fix_id
        )
        db.execute(
            entry.on_conflict_do_update(
                index_elements=["reference", "code"], set_={"meaning": entry.excluded.meaning, "fix_id": fix_id}
            )
        )
    if not rows:
        _set(db, fix_id, "done")
    return get(db, fix_id)


def decline(db: Connection, fix_id: int, person: str, note: str) -> Row[Any]:
    """A second person disagrees. One's own fix is withdrawn instead."""
    fix = _waiting(db, fix_id)
    _decide(db, fix_id, "withdrawn" if fix.proposed_by == person else "declined", person, note)
    return get(db, fix_id)


def _waiting(db: Connection, fix_id: int) -> Row[Any]:
    fix = db.execute(select(*Fix.__table__.columns).where(Fix.fix_id == fix_id).with_for_update()).one_or_none()
    if fix is None:
        raise NotAllowed(f"There is no fix {fix_id}. `ledgerlake quarantine fixes` lists those that wait.")
    if fix.state != "proposed":
        raise NotAllowed(f"Fix {fix_id} is {fix.state} (by {fix.decided_by}); it can no longer be decided.")
    return fix


def _decide(db: Connection, fix_id: int, state: str, person: str, note: str | None) -> None:
    values = {"state": state, "decided_by": person, "decided_at": clock.now(db), "note": note}
    db.execute(update(Fix).where(Fix.fix_id == fix_id).values(**values))


def _set(db: Connection, fix_id: int, state: str) -> None:
    db.execute(update(Fix).where(Fix.fix_id == fix_id).values(state=state))


def get(db: Connection, fix_id: int) -> Row[Any]:
    return db.execute(select(*Fix.__table__.columns).where(Fix.fix_id == fix_id)).one()


def get_case(db: Connection, case_id: int) -> Row[Any]:
    """Raises NotAllowed where there is none."""
    case = db.execute(select(*Case.__table__.columns).where(Case.case_id == case_id)).one_or_none()
    if case is None:
        raise NotAllowed(f"There is no case {case_id}. `ledgerlake quarantine` lists them.")
    return case


def of_case(db: Connection, case_id: int) -> list[Row[Any]]:
    """The fixes of a case, and those of other cases that had its delivery judged again, oldest first."""
    case = get_case(db, case_id)
    replayed = select(Replay.fix_id).where(Replay.delivery_id == case.delivery_id)
    query = select(*Fix.__table__.columns).where((Fix.case_id == case_id) | Fix.fix_id.in_(replayed))
    return list(db.execute(query.order_by(Fix.fix_id)))


def waiting(db: Connection) -> list[Row[Any]]:
    """Fixes that wait for a second person, oldest first."""
    query = select(*Fix.__table__.columns, Case.table_name, Case.cause, Case.subject, Case.affected_rows, Case.money)
    query = query.join(Case, Case.case_id == Fix.case_id).where(Fix.state == "proposed")
    return list(db.execute(query.order_by(Fix.fix_id)))


def codes(db: Connection) -> dict[str, dict[str, str | None]]:
    """Reference list -> code -> its meaning, of what was decided at the bench."""
    found: dict[str, dict[str, str | None]] = {}
    for row in db.execute(select(Code.reference, Code.code, Code.meaning).order_by(Code.reference, Code.code)):
        found.setdefault(row.reference, {})[row.code] = row.meaning
    return found


# --- replays ----------------------------------------------------------------------------------------------------------


def replays(db: Connection, fix_ids: Sequence[int]) -> list[Row[Any]]:
    query = select(*Replay.__table__.columns).where(Replay.fix_id.in_(fix_ids))
    return list(db.execute(query.order_by(Replay.fix_id, Replay.delivery_id)))


def take(db: Connection, feed: str, batch_id: int) -> int:
    """Give the deliveries of a feed that wait to be judged again to a batch. One that was replaced meanwhile is overtaken: its successor counts."""
    found = db.execute(
        select(Replay.fix_id, Replay.delivery_id, Delivery.state)
        .join(Delivery, Delivery.delivery_id == Replay.delivery_id)
        .where(Replay.state == "waiting", Delivery.feed == feed)
        .with_for_update(of=Replay.__table__)
    ).all()
    taken = set()
    for row in found:
        if row.state in ("superseded", "ignored_duplicate"):
            end(db, row.fix_id, row.delivery_id, "overtaken", "another delivery took its place")
            continue
        key = (Replay.fix_id == row.fix_id, Replay.delivery_id == row.delivery_id)
        db.execute(update(Replay).where(*key).values(state="running", batch_id=batch_id))
        taken.add(row.delivery_id)
    db.execute(update(Delivery).where(Delivery.delivery_id.in_(taken)).values(load_batch=batch_id))
    return len(taken)


def running(db: Connection, batch_id: int, delivery_id: str) -> list[int]:
    """Fixes for which this batch judges the delivery again, and has not settled it yet."""
    query = select(Replay.fix_id).where(
        Replay.batch_id == batch_id, Replay.delivery_id == delivery_id, Replay.state == "running"
    )
    return list(db.execute(query.order_by(Replay.fix_id)).scalars())


def end(db: Connection, fix_id: int, delivery_id: str, state: str, reason: str | None = None) -> None:
    """A replay is over: done, failed or overtaken. The fix is done with its last one."""
    key = (Replay.fix_id == fix_id, Replay.delivery_id == delivery_id)
    db.execute(update(Replay).where(*key).values(state=state, reason=reason, ended_at=datetime.now(UTC)))
    lock(db, f"fix|{fix_id}")
    states = {r.state for r in replays(db, [fix_id])}
    if not states & {"waiting", "running"}:
        _set(db, fix_id, next(s for s in ("done", "failed", "overtaken") if s in states))


def applied_to(db: Connection, delivery_ids: Sequence[str], batch_id: int) -> dict[str, list[Row[Any]]]:
    """Delivery -> the fixes with which this batch judges it: those that were applied before, and those that it applies."""
    query = (
        select(Replay.delivery_id, Fix.fix_id, Fix.kind, Fix.change)
        .join(Fix, Fix.fix_id == Replay.fix_id)
        .where(Replay.delivery_id.in_(delivery_ids))
        .where((Replay.state == "done") | ((Replay.state == "running") & (Replay.batch_id == batch_id)))
        .order_by(Fix.fix_id)
    )
    found: dict[str, list[Row[Any]]] = {}
    for row in db.execute(query):
        found.setdefault(row.delivery_id, []).append(row)
    return found


def replaying(db: Connection) -> list[Row[Any]]:
    """Replays that wait or run."""
    query = select(*Replay.__table__.columns).where(Replay.state.in_(("waiting", "running")))
    return list(db.execute(query.order_by(Replay.fix_id, Replay.delivery_id)))


def feeds_waiting(db: Connection) -> dict[str, int]:
    """Feed -> the newest fix for which one of its deliveries waits to be judged again."""
    query = (
        select(Delivery.feed, Replay.fix_id)
        .join(Delivery, Delivery.delivery_id == Replay.delivery_id)
        .where(Replay.state == "waiting")
        .order_by(Replay.fix_id)
    )
    return {row.feed: row.fix_id for row in db.execute(query)}
