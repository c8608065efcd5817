"""The quarantine bench's memory: fixes that people propose and decide, the deliveries that are judged again for them, codes that were given a meaning.

Four eyes: nobody approves what they proposed (the database holds it too). A replay is claimed by a batch of bronze, ends in the transaction in which its delivery
goes live, and so happens once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from jobs.ledger import clock
from jobs.ledger.locks import lock
from jobs.ledger.models import Batch, Case, Code, Delivery, Fix, Replay

# What may be done about a case.
MAP_CODE, CORRECT, ACCEPT, REJECT, RESEND = "map_code", "correct", "accept", "reject", "resend"
JUDGE_AGAIN = "judge_again"
REPLAYED = (MAP_CODE, CORRECT, ACCEPT, JUDGE_AGAIN)
OPEN = ("proposed", "approved")


class NotAllowed(Exception):
    """What a second person has to approve cannot be asked for or decided so; the message says why and what to do."""


def propose(db: Connection, case_id: int, kind: str, change: dict[str, Any], reason: str, person: str) -> int:
    """A new fix, waiting for a second person. Raises NotAllowed for a case that is closed."""
    open_case(db, case_id)
    values = {
        "case_id": case_id, "kind": kind, "change": change, "reason": reason, "state": "proposed", "proposed_by": person,
        "proposed_at": clock.now(db),
    }  # fmt: skip
    return db.execute(plain_insert(Fix).values(**values).returning(Fix.fix_id)).scalar_one()


def approve(db: Connection, fix_id: int, person: str, note: str | None, deliveries: Iterable[str]) -> Row[Any]:
    """A second person agrees: `deliveries` are judged again. Raises NotAllowed for one's own fix, for one that was decided, for a case that is closed, and for a code
    that has another meaning by now."""
    deciding(db)
    fix = _waiting(db, fix_id)
    case = open_case(db, fix.case_id)
    if fix.proposed_by == person:
        raise NotAllowed(
            f"Fix {fix_id} was proposed by {person}, and nobody approves their own. Ask a colleague; `ledgerlake quarantine decline {fix_id}` takes it back."
        )
    _decide(db, fix_id, "approved", person, note)
    rows = [{"fix_id": fix_id, "delivery_id": d, "state": "waiting"} for d in sorted(set(deliveries))]
    if rows:
        db.execute(plain_insert(Replay), rows)
    if fix.kind == MAP_CODE:
        _give_meaning(db, fix)
    if "rules" in fix.change:
        _try_again(db, case.delivery_id)
    if not rows:
        _set(db, fix_id, "done")
    return get(db, fix_id)


def deciding(db: Connection) -> None:
    """One decision at a time, and none while a delivery is settled that it may concern."""
    lock(db, "bench")


def _give_meaning(db: Connection, fix: Row[Any]) -> None:
    change = fix.change
    entry = {"reference": change["reference"], "code": change["code"], "meaning": change.get("meaning")}
    db.execute(insert(Code).values(**entry, fix_id=fix.fix_id).on_conflict_do_nothing())
    known = db.execute(
        select(Code.meaning, Code.fix_id).where(Code.reference == entry["reference"], Code.code == entry["code"])
    ).one()
    if known.meaning != entry["meaning"]:
        raise NotAllowed(
            f"{entry['code']} means {known.meaning} since fix {known.fix_id}, and its rows count as such. Another meaning is a change of the contracts: "
            f"expectations/reference/{entry['reference']}.yaml, which goes before what was decided here; then have the days built again (`ledgerlake restate`)."
        )


def _try_again(db: Connection, delivery_id: str) -> None:
    """What held the delivery back is accepted: fixes that failed because of it are tried with it."""
    failed = select(Replay.fix_id).where(Replay.delivery_id == delivery_id, Replay.state == "failed")
    numbers = list(db.execute(failed).scalars())
    again = update(Replay).where(Replay.delivery_id == delivery_id, Replay.fix_id.in_(numbers))
    db.execute(again.values(state="waiting", batch_id=None, reason=None, ended_at=None))
    db.execute(update(Fix).where(Fix.fix_id.in_(numbers)).values(state="approved"))


def again_for_codes(db: Connection, references: Mapping[str, Collection[str]], delivery_id: str) -> None:
    """A delivery was judged with these codes of these lists, and some of its rows wait: for those that were given a meaning meanwhile it is judged again."""
    deciding(db)
    found = db.execute(select(Code.reference, Code.code, Code.fix_id).where(Code.reference.in_(list(references))))
    for row in found.all():
        if row.code not in references[row.reference]:
            replay = insert(Replay).values(fix_id=row.fix_id, delivery_id=delivery_id, state="waiting")
            db.execute(replay.on_conflict_do_nothing())


def decline(db: Connection, fix_id: int, person: str, note: str) -> Row[Any]:
    """A second person disagrees. One's own fix is withdrawn instead."""
    fix = _waiting(db, fix_id)
    _decide(db, fix_id, "withdrawn" if fix.proposed_by == person else "declined", person, note)
    return get(db, fix_id)


def _waiting(db: Connection, fix_id: int) -> Row[Any]:
    fix = db.execute(select(*Fix.__table__.columns).where(Fix.fix_id == fix_id).with_for_update()).one_or_none()
    if fix is None:
        raise NotAllowed(f"There is no fix {fix_id}. `ledgerlake quarantine fixes` lists those that wait.")
    if fix.state == "overtaken":
        raise NotAllowed(f"Fix {fix_id} waits no longer: its case was closed ({fix.note}).")
    if fix.state != "proposed":
        raise NotAllowed(f"Fix {fix_id} is {fix.state} (by {fix.decided_by}); it can no longer be decided.")
    return fix


def _decide(db: Connection, fix_id: int, state: str, person: str, note: str | None) -> None:
    values = {"state": state, "decided_by": person, "decided_at": clock.now(db), "note": note}
    if state == "approved":
        values["turn"] = 1 + (db.execute(select(func.max(Fix.turn))).scalar_one() or 0)
    db.execute(update(Fix).where(Fix.fix_id == fix_id).values(**values))


def _set(db: Connection, fix_id: int, state: str) -> None:
    db.execute(update(Fix).where(Fix.fix_id == fix_id).values(state=state))


def find(db: Connection, fix_id: int) -> Row[Any]:
    """Raises NotAllowed where there is none."""
    fix = db.execute(select(*Fix.__table__.columns).where(Fix.fix_id == fix_id)).one_or_none()
    if fix is None:
        raise NotAllowed(f"There is no fix {fix_id}. `ledgerlake quarantine fixes` lists those that wait.")
    return fix


def get(db: Connection, fix_id: int) -> Row[Any]:
    return db.execute(select(*Fix.__table__.columns).where(Fix.fix_id == fix_id)).one()


def get_case(db: Connection, case_id: int) -> Row[Any]:
    """Raises NotAllowed where there is none."""
    case = db.execute(select(*Case.__table__.columns).where(Case.case_id == case_id)).one_or_none()
    if case is None:
        raise NotAllowed(f"There is no case {case_id}. `ledgerlake quarantine` lists them.")
    return case


def open_case(db: Connection, case_id: int) -> Row[Any]:
    """Raises NotAllowed where there is none, and for one that is closed."""
    case = get_case(db, case_id)
    if case.state != "open":
        raise NotAllowed(f"Case {case_id} is closed: {case.reason} Nothing is left to be fixed.")
    return case


def of_case(db: Connection, case_id: int) -> list[Row[Any]]:
    """The fixes of a case, and those of other cases that had its delivery judged again, oldest first."""
    case = get_case(db, case_id)
    replayed = select(Replay.fix_id).where(Replay.delivery_id == case.delivery_id)
    query = select(*Fix.__table__.columns).where((Fix.case_id == case_id) | Fix.fix_id.in_(replayed))
    return list(db.execute(query.order_by(Fix.fix_id)))


def of_delivery(db: Connection, delivery_id: str) -> list[Row[Any]]:
    """Fixes that change how a delivery is judged, or may yet: done, approved, failed (what failed may be tried again) or waiting for a second person. In the order
    of their approval, those without one last."""
    replayed = select(Replay.fix_id).where(Replay.delivery_id == delivery_id)
    is_proposed_for = (Fix.state == "proposed") & (Fix.change["delivery"].astext == delivery_id)
    of_case = (Case.delivery_id == delivery_id) & (Case.kind == "rows")
    query = (
        select(*Fix.__table__.columns)
        .join(Case, Case.case_id == Fix.case_id)
        .where(Fix.state.in_(("proposed", "approved", "failed", "done")))
        .where(
            (of_case & Fix.kind.in_((CORRECT, ACCEPT, REJECT)))
            | ((Fix.kind == CORRECT) & (Fix.fix_id.in_(replayed) | is_proposed_for))
        )
    )
    return list(db.execute(query.order_by(Fix.turn.nulls_last(), Fix.fix_id)))


def waiting(db: Connection) -> list[Row[Any]]:
    """Fixes that wait for a second person, oldest first."""
    query = select(*Fix.__table__.columns, Case.table_name, Case.cause, Case.subject, Case.affected_rows, Case.money)
    query = query.join(Case, Case.case_id == Fix.case_id).where(Fix.state == "proposed")
    return list(db.execute(query.order_by(Fix.fix_id)))


def is_asked_again(db: Connection, delivery_id: str) -> bool:
    """A second person agreed that the sender is asked for the delivery again, and no answer counts yet: it would have closed the case."""
    query = select(Fix.fix_id).join(Case, Case.case_id == Fix.case_id)
    asked = query.where(Case.delivery_id == delivery_id, Case.state == "open", Fix.kind == RESEND, Fix.state == "done")
    return db.execute(asked.limit(1)).first() is not None


def rejected(db: Connection, delivery_id: str) -> Row[Any] | None:
    """The newest fix by which two people let something of a delivery stay out for good."""
    query = select(*Fix.__table__.columns).join(Case, Case.case_id == Fix.case_id)
    query = query.where(Case.delivery_id == delivery_id, Fix.kind == REJECT, Fix.state == "done")
    return db.execute(query.order_by(Fix.fix_id.desc()).limit(1)).first()


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


def batches_since(db: Connection, delivery_id: str, batch_id: int) -> list[int]:
    """The batches that judged a delivery again and went live, from this one on."""
    query = select(Replay.batch_id).where(
        Replay.delivery_id == delivery_id, Replay.state == "done", Replay.batch_id >= batch_id
    )
    return sorted({batch for batch in db.execute(query).scalars() if batch is not None})


def take(db: Connection, feed: str, batch_id: int) -> int:
    """Give the deliveries of a feed that wait to be judged again to a batch. One that was replaced meanwhile is overtaken: its successor counts. One that another
    batch judges right now waits for its end."""
    busy = aliased(Replay)
    under_way = select(busy.fix_id).where(busy.delivery_id == Replay.delivery_id, busy.state == "running").exists()
    found = db.execute(
        select(Replay.fix_id, Replay.delivery_id, Delivery.state)
        .join(Delivery, Delivery.delivery_id == Replay.delivery_id)
        .where(Replay.state == "waiting", Delivery.feed == feed, ~under_way)
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
        _set(db, fix_id, next(s for s in ("failed", "done", "overtaken") if s in states))


def applied_to(db: Connection, delivery_ids: Sequence[str], batch_id: int) -> dict[str, list[Row[Any]]]:
    """Delivery -> the fixes with which this batch judges it, in the order of their approval: those that were applied before, those that it applies, and
    what was rejected for good."""
    of_replays = (
        select(Replay.delivery_id, Fix.fix_id, Fix.kind, Fix.change, Fix.turn)
        .join(Fix, Fix.fix_id == Replay.fix_id)
        .where(Replay.delivery_id.in_(delivery_ids))
        .where((Replay.state == "done") | ((Replay.state == "running") & (Replay.batch_id == batch_id)))
    )
    rejected = (
        select(Case.delivery_id, Fix.fix_id, Fix.kind, Fix.change, Fix.turn)
        .join(Case, Case.case_id == Fix.case_id)
        .where(Case.delivery_id.in_(delivery_ids), Case.kind == "rows", Fix.kind == REJECT, Fix.state == "done")
    )
    found: dict[str, list[Row[Any]]] = {}
    for row in sorted(db.execute(of_replays.union_all(rejected)), key=lambda row: (row.turn or 0, row.fix_id)):
        found.setdefault(row.delivery_id, []).append(row)
    return found


def replaying(db: Connection) -> list[Row[Any]]:
    """Replays that wait or run."""
    query = select(*Replay.__table__.columns).where(Replay.state.in_(("waiting", "running")))
    return list(db.execute(query.order_by(Replay.fix_id, Replay.delivery_id)))


def is_replaying(db: Connection, delivery_id: str) -> bool:
    """The delivery waits to be judged again, or is judged again just now."""
    open_ones = select(Replay.fix_id).where(Replay.delivery_id == delivery_id, Replay.state.in_(("waiting", "running")))
    return db.execute(open_ones.limit(1)).first() is not None


def feeds_waiting(db: Connection, stranded_since: datetime) -> dict[str, int]:
    """Feed -> the newest fix for which one of its deliveries waits to be judged again, or whose batch began before `stranded_since` and is not at its end."""
    query = (
        select(Delivery.feed, Replay.fix_id)
        .join(Delivery, Delivery.delivery_id == Replay.delivery_id)
        .outerjoin(Batch, Batch.batch_id == Replay.batch_id)
        .where((Replay.state == "waiting") | ((Replay.state == "running") & (Batch.started_at < stranded_since)))
        .order_by(Replay.fix_id)
    )
    return {row.feed: row.fix_id for row in db.execute(query)}
