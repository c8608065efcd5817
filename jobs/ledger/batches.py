"""Batches, gate results, balances and cases: what each write did and what its gate said."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, select, update
from sqlalchemy import Sequence as DbSequence
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import insert

from jobs.ledger import clock
from jobs.ledger.locks import lock
from jobs.ledger.models import LIVE_STATES, Alert, AlertSent, Balance, Base, Batch, Case, Delivery, Fix, GateResult

NUMBERS = DbSequence("alert_numbers", metadata=Base.metadata)
OPEN_STATES = ("started", "written")
# The kind of alert of a run that came to no release; its key is `day|` and the run's.
DAY_STOPPED = "day_stopped"
# The kind of alert of a release that is not in the mart, or has no report; its key is the kind, `|` and the run's.
NOT_SHOWN = "not_shown"
# The kind of alert of a calendar that ends; its key is the kind, the calendar and the first day that it does not know, parted by `|`.
CALENDAR_ENDS = "calendar_ends"
# The kind of alert of a stream that is silent; its key is the kind, the feed and when something came last (ISO 8601, or `never`), parted by `|`.
SILENT = "silent"
# The kind of alert of a feed whose verified deliveries do not come into bronze; its key is the kind, the feed and when it was told, parted by `|`.
LOAD_FAILS = "load_fails"
# Kind of alerts that end by themselves -> when. What is not here a person looks at and closes.
ENDS_BY_ITSELF = {
    "missing": "its file comes", "refused": "another file takes the place of the refused one", "held": "it is let in or replaced", "not_read": "the file is read",
    "not_removed": "the file is gone from the inbox", "inbox_unavailable": "the inbox can be read again", "not_acknowledged": "the notifications can be taken away again", "source_down": "the source answers again", LOAD_FAILS: "what waits is loaded",
    SILENT: "something comes", CALENDAR_ENDS: "the calendar goes on", DAY_STOPPED: "a later version of its day is released", NOT_SHOWN: "the release is in the mart and has its report",
}  # fmt: skip
# Of what stands since nobody knows when.
NO_TIME = datetime.min.replace(tzinfo=UTC)
# A key that was asked for once; nobody is shown it.
ONCE = "once"
# The end of an alert is told as long as it is news, should a channel be down.
NEWS_FOR = timedelta(days=7)


def start(db: Connection, table: str, subject: str, run_id: str) -> Row[Any]:
    """The batch of this table and subject: the unfinished one of an earlier try, else a new number. Two that start at
    once get the same one."""
    lock(db, f"batch|{table}|{subject}")
    open_one = db.execute(
        select(*Batch.__table__.columns)
        .where(Batch.table_name == table, Batch.subject == subject, Batch.state.in_(OPEN_STATES))
        .order_by(Batch.batch_id.desc())
        .limit(1)
    ).one_or_none()
    if open_one:
        return open_one
    row = plain_insert(Batch).values(
        table_name=table, subject=subject, run_id=run_id, state="started", started_at=datetime.now(UTC)
    )
    return db.execute(row.returning(*Batch.__table__.columns)).one()


def unfinished(db: Connection, table: str) -> list[Row[Any]]:
    """Batches of a table that were begun and not brought to an end, oldest first."""
    query = (
        select(*Batch.__table__.columns)
        .where(Batch.table_name == table, Batch.state.in_(OPEN_STATES))
        .order_by(Batch.batch_id)
    )
    return list(db.execute(query))


def newest(db: Connection, table: str, subject: str) -> Row[Any] | None:
    return db.execute(
        select(*Batch.__table__.columns)
        .where(Batch.table_name == table, Batch.subject == subject)
        .order_by(Batch.batch_id.desc())
        .limit(1)
    ).one_or_none()


def get(db: Connection, batch_id: int) -> Row[Any]:
    return db.execute(select(*Batch.__table__.columns).where(Batch.batch_id == batch_id)).one()


def set_state(db: Connection, batch_id: int, state: str, only_from: Sequence[str] = (), **values: Any) -> bool:
    """States: started, written, passed, held, stopped, restored. False, and nothing done, when it is in none of the states `only_from`."""
    if state in ("passed", "stopped", "restored"):
        values.setdefault("finished_at", datetime.now(UTC))
    query = update(Batch).where(Batch.batch_id == batch_id).values(state=state, **values)
    if only_from:
        query = query.where(Batch.state.in_(only_from))
    return bool(db.execute(query).rowcount)


def keep_previous_version(db: Connection, batch_id: int, version: int | None) -> None:
    """The version to which the table goes back when the run is given up; what was kept first stays, for a twin may have written since."""
    query = update(Batch).where(Batch.batch_id == batch_id, Batch.previous_version.is_(None))
    db.execute(query.values(previous_version=version))


def record_gate(
    db: Connection,
    *,
    batch_id: int,
    table: str,
    subject: str,
    outcome: str,
    rules_run: int,
    failed: Sequence[dict[str, Any]],
    result: dict[str, Any],
    docs_path: str | None,
    run_id: str,
) -> None:
    """One result a batch and subject; a second judgement of the same batch replaces the first (same data, same
    verdict)."""
    values = {
        "batch_id": batch_id,
        "table_name": table,
        "subject": subject,
        "outcome": outcome,
        "rules_run": rules_run,
        "failed": list(failed),
        "result": result,
        "docs_path": docs_path,
        "run_id": run_id,
        "evaluated_at": clock.now(db),
    }
    db.execute(
        insert(GateResult).values(**values).on_conflict_do_update(index_elements=["batch_id", "subject"], set_=values)
    )


def record_balance(
    db: Connection,
    *,
    batch_id: int,
    table: str,
    subject: str,
    received_rows: int,
    received_money: Decimal | None,
    parts: dict[str, Any],
    is_balanced: bool,
) -> None:
    """`parts`: name -> {rows, money as text}; names accepted, rejected, duplicate, superseded, erased,
    filtered:<rule>, conformed (its rows are among the others')."""
    values = {
        "batch_id": batch_id,
        "table_name": table,
        "subject": subject,
        "received_rows": received_rows,
        "received_money": received_money,
        "parts": parts,
        "is_balanced": is_balanced,
    }
    db.execute(
        insert(Balance).values(**values).on_conflict_do_update(index_elements=["batch_id", "subject"], set_=values)
    )


def agrees_with(table: str) -> str:
    """The cause of a case about money that another table tells differently."""
    return f"agrees_with_{table.split('.')[1]}"


def open_case(
    db: Connection,
    *,
    kind: str,
    table: str,
    cause: str,
    subject: str,
    reason: str,
    affected_rows: int,
    owner: str,
    run_id: str,
    money: Decimal | None = None,
    feed: str | None = None,
    entity: str | None = None,
    business_date: date | None = None,
    delivery_id: str | None = None,
) -> None:
    """Open a case, or bring one up to date: same table, cause and subject are one case. One that was closed is open again; but one that was rejected for
    good stays as it is."""
    values = {
        "kind": kind,
        "table_name": table,
        "cause": cause,
        "subject": subject,
        "reason": reason,
        "affected_rows": affected_rows,
        "money": money,
        "owner": owner,
        "run_id": run_id,
        "feed": feed,
        "entity": entity,
        "business_date": business_date,
        "delivery_id": delivery_id,
    }
    row = insert(Case).values(**values, state="open", opened_at=clock.now(db))
    rejected = select(Fix.fix_id).where(Fix.case_id == Case.case_id, Fix.kind == "reject", Fix.state == "done").exists()
    again = values | {"state": "open", "closed_at": None}
    db.execute(
        row.on_conflict_do_update(index_elements=["table_name", "cause", "subject"], set_=again, where=~rejected)
    )


def _close(db: Connection, note: str, *which: Any) -> None:
    """Close open cases. What was proposed for them waits for nobody any more."""
    closed = update(Case).where(Case.state == "open", *which)
    closed = closed.values(state="closed", closed_at=clock.now(db), reason=Case.reason + f" [{note}]")
    numbers = list(db.execute(closed.returning(Case.case_id)).scalars())
    if numbers:
        waiting = update(Fix).where(Fix.case_id.in_(numbers), Fix.state == "proposed")
        db.execute(waiting.values(state="overtaken", note=note))


def close_case(db: Connection, *, table: str, cause: str, subject: str, note: str) -> None:
    """The cause is gone."""
    _close(db, note, Case.table_name == table, Case.cause == cause, Case.subject == subject)


def close_told_anew(db: Connection, *, tables: Sequence[str], dates: tuple[date, date], run_key: str) -> None:
    """Cases that former runs of these dates opened at tables which this run has built: what is still wrong has a case of this run's own."""
    _close(
        db, f"told anew by {run_key}", Case.table_name.in_(tables), Case.business_date.between(*dates), Case.kind == "rows",
        Case.delivery_id.is_(None), Case.subject != run_key, Case.subject.contains("|v"),
    )  # fmt: skip


def close_cases(db: Connection, *, delivery_id: str, note: str, but: Collection[str] = ()) -> None:
    """The cases of a delivery that was replaced are settled by its successor; of one that was judged again, those of which no row is left (`but`: causes
    that still stand)."""
    _close(db, note, Case.delivery_id == delivery_id, Case.cause.notin_(but))


def settle_case(db: Connection, case_id: int, note: str) -> None:
    """A person settled it."""
    _close(db, note, Case.case_id == case_id)


def alert(db: Connection, key: str, kind: str, message: str) -> bool:
    """Say something once. True when it was not said before."""
    if db.execute(select(Alert.alert_key).where(Alert.alert_key == key)).first():
        return False  # asked first: each insert takes a number
    values = {"alert_key": key, "kind": kind, "message": message, "raised_at": clock.now(db)}
    row = insert(Alert).values(**values, number=NUMBERS.next_value())
    return db.execute(row.on_conflict_do_nothing().returning(Alert.alert_key)).scalar_one_or_none() is not None


def alert_anew(db: Connection, key: str, kind: str, message: str) -> bool:
    """Say what may have been said, and have ended, before: once a day, and when it comes back, once an hour at most. True when it was said."""
    now = clock.now(db)
    return any(alert(db, one, kind, message) for one in (f"{key}|{now.date()}", f"{key}|{now.date()}|{now:%H}"))


def alert_again(db: Connection, key: str, kind: str, message: str, since: datetime = NO_TIME) -> bool:
    """Say what stands (since then, where that is known): under the plain key the first time, and once anew (`key|2`, `key|3`) when it comes back after it had ended. What a person closed is
    not told anew unless it is newer. True when it was said."""
    is_of_key = (Alert.alert_key == key) | Alert.alert_key.startswith(f"{key}|", autoescape=True)
    told = list(db.execute(select(Alert.closed_at, Alert.closed_by).where(is_of_key).order_by(Alert.number)))
    if told and (told[-1].closed_at is None or (told[-1].closed_by is not None and told[-1].closed_at >= since)):
        return False
    return alert(db, f"{key}|{len(told) + 1}" if told else key, kind, message)


def open_of(db: Connection, kind: str, feed: str) -> list[Row[Any]]:
    """The open alerts of a kind that speak of a feed: the second part of their keys."""
    return [a for a in alerts(db, kind=kind) if a.alert_key.split("|")[1] == feed]


def alert_of_feed(db: Connection, kind: str, feed: str, message: str) -> None:
    """An alert of a feed until it is over (`end_of_feed`). Another reason, or another time, is told anew, once an hour at most."""
    open_now = open_of(db, kind, feed)
    if any(one.message == message for one in open_now) or not alert_anew(db, f"{kind}|{feed}", kind, message):
        return
    for former in open_now:  # the new one takes its place
        end_alert(db, former.alert_key, None)


def end_of_feed(db: Connection, kind: str, feed: str, end: str) -> None:
    for one in open_of(db, kind, feed):
        end_alert(db, one.alert_key, end)


def failing_loads(db: Connection) -> dict[str, str]:
    """Feed -> why what was verified of it does not come into bronze, as people were told."""
    return {a.alert_key.split("|")[1]: a.message for a in alerts(db, kind=LOAD_FAILS)}


def close_alerts(db: Connection, kind: str, beginning: str) -> None:
    """What was said needs nobody any more. `beginning`: of the alerts' keys."""
    told = update(Alert).where(Alert.kind == kind, Alert.alert_key.startswith(beginning), Alert.closed_at.is_(None))
    db.execute(told.values(closed_at=clock.now(db)))


def alert_rules(db: Connection, *, table: str, subject: str, failed: Sequence[dict[str, Any]]) -> None:
    """Tell people of the broken rules that say so, once a table and subject."""
    for rule in failed:
        if rule.get("alert"):
            alert(db, f"rule|{table}|{rule['rule']}|{subject}", "rule", f"{subject}: {rule['sentence']}")


def end_alert(db: Connection, key: str, end: str | None) -> None:
    """What an alert spoke of is over: those who were told of it are told how (None: nobody is)."""
    query = update(Alert).where(Alert.alert_key == key, Alert.closed_at.is_(None))
    db.execute(query.values(closed_at=clock.now(db), end=end))


def alert_of(db: Connection, number: int) -> Row[Any] | None:
    return db.execute(select(*Alert.__table__.columns).where(Alert.number == number)).one_or_none()


def close_by_hand(db: Connection, number: int, who: str, reason: str) -> bool:
    """A person looked at what an alert said and needs nobody to look again; those who were told are told. False when it had ended."""
    query = update(Alert).where(Alert.number == number, Alert.closed_at.is_(None)).returning(Alert.alert_key)
    end = f"{who} closed alert {number}: {reason}"
    return bool(db.execute(query.values(closed_at=clock.now(db), closed_by=who, end=end)).scalars().all())


def first_time(db: Connection, key: str, at: datetime | None = None) -> bool:
    """True the first time that a key is asked for: kept as a closed alert of that time (None: now), which nobody is shown."""
    at = at or datetime.now(UTC)
    row = insert(Alert).values(alert_key=key, kind=ONCE, message="", raised_at=at, closed_at=at)
    return db.execute(row.on_conflict_do_nothing().returning(Alert.alert_key)).scalar_one_or_none() is not None


def known_since(db: Connection, key: str) -> datetime:
    """When a key was asked for the first time: now, if it is new."""
    first_time(db, key)
    return db.execute(select(Alert.raised_at).where(Alert.alert_key == key)).scalar_one()


def since(db: Connection, keys: Collection[str]) -> dict[str, datetime]:
    """When keys were asked for the first time; those that never were are not in it."""
    found = db.execute(select(Alert.alert_key, Alert.raised_at).where(Alert.alert_key.in_(keys)))
    return {row.alert_key: row.raised_at for row in found}


def alerts(db: Connection, *, kind: str | None = None) -> list[Row[Any]]:
    """The open ones (of a kind), oldest first."""
    query = select(*Alert.__table__.columns).where(Alert.closed_at.is_(None)).order_by(Alert.raised_at, Alert.number)
    return list(db.execute(query.where(Alert.kind == kind) if kind else query))


def alerts_told(db: Connection, limit: int) -> list[Row[Any]]:
    """The newest alerts, those too that ended, newest first."""
    query = select(*Alert.__table__.columns).where(Alert.kind != ONCE)
    return list(db.execute(query.order_by(Alert.raised_at.desc(), Alert.number.desc()).limit(limit)))


@dataclass(frozen=True)
class News:
    """An alert that nobody was told of on a channel yet, or its end (`is_end`). `number`: by which people close it."""

    number: int
    alert_key: str
    kind: str
    message: str
    at: datetime
    is_end: bool


def unsent(db: Connection, channel: str) -> list[News]:
    """Open alerts that nobody was told of on this channel, and the ends of those that somebody was told of (an end of long ago is no news), in the order
    in which they happened."""
    told = select(AlertSent.alert_key).where(AlertSent.alert_key == Alert.alert_key, AlertSent.channel == channel)
    opened, ended = told.where(~AlertSent.is_end).exists(), told.where(AlertSent.is_end).exists()
    new = select(Alert).where(Alert.closed_at.is_(None), ~opened)
    over = select(Alert).where(Alert.end.is_not(None), Alert.closed_at > clock.now(db) - NEWS_FOR, opened, ~ended)
    rows = [News(a.number, a.alert_key, a.kind, a.message, a.raised_at, False) for a in db.execute(new)]
    rows += [News(a.number, a.alert_key, a.kind, a.end, a.closed_at, True) for a in db.execute(over)]
    return sorted(rows, key=lambda news: (news.at, news.alert_key))


def note_sent(db: Connection, channel: str, told: Sequence[News]) -> None:
    rows = [
        {"alert_key": one.alert_key, "channel": channel, "is_end": one.is_end, "sent_at": datetime.now(UTC)}
        for one in told
    ]
    if rows:
        db.execute(insert(AlertSent).on_conflict_do_nothing(), rows)


def gates(db: Connection, *, table: str | None = None, outcome: str | None = None, limit: int = 50) -> list[Row[Any]]:
    query = select(*GateResult.__table__.columns).order_by(GateResult.gate_id.desc()).limit(limit)
    if table:
        query = query.where(GateResult.table_name == table)
    if outcome:
        query = query.where(GateResult.outcome == outcome)
    return list(db.execute(query))


def gates_of_live(db: Connection, tables: Collection[str], first: date, last: date) -> list[Row[Any]]:
    """feed, business_date and failed rules of the gates that let the deliveries in which count now, of these tables and business dates."""
    query = select(Delivery.feed, Delivery.business_date, GateResult.failed).join(
        Delivery, (Delivery.live_batch == GateResult.batch_id) & (Delivery.delivery_id == GateResult.subject)
    )
    query = query.where(Delivery.state.in_(LIVE_STATES), Delivery.business_date.between(first, last))
    return list(db.execute(query.where(GateResult.table_name.in_(tables)).order_by(GateResult.gate_id)))


def stopped_by(db: Connection, subject: str) -> list[Row[Any]]:
    """The gates that stopped or held a run (its key is the subject), in the order in which they spoke."""
    query = select(*GateResult.__table__.columns).join(Batch, Batch.batch_id == GateResult.batch_id)
    halted = query.where(Batch.subject == subject, GateResult.outcome.in_(("stop", "hold")))
    return list(db.execute(halted.order_by(GateResult.gate_id)))


def balances(db: Connection, batch_ids: Collection[int]) -> dict[tuple[int, str], Row[Any]]:
    """What came in and where it went, by batch and subject."""
    query = select(*Balance.__table__.columns).where(Balance.batch_id.in_(batch_ids))
    return {(row.batch_id, row.subject): row for row in db.execute(query)}


def open_cases_of(db: Connection, delivery_id: str) -> list[Row[Any]]:
    """That of the file before those of its rows."""
    query = select(*Case.__table__.columns).where(Case.delivery_id == delivery_id, Case.state == "open")
    return list(db.execute(query.order_by(Case.kind, Case.case_id)))


def cases(db: Connection, *, state: str | None = "open") -> list[Row[Any]]:
    query = select(*Case.__table__.columns).order_by(Case.case_id)
    return list(db.execute(query.where(Case.state == state) if state else query))
