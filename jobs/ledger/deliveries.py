"""Deliveries: claims, states, what replaces what."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from statistics import median
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    Text,
    cast,
    func,
    select,
    update,
)
from sqlalchemy import (
    Sequence as DbSequence,
)
from sqlalchemy import (
    insert as plain_insert,
)
from sqlalchemy.dialects.postgresql import insert

from jobs.ledger import clock
from jobs.ledger.locks import lock
from jobs.ledger.models import (
    LIVE_STATES,
    NOT_ACCEPTED,
    REPLACED,
    Base,
    DayRun,
    Delivery,
    DeliveryDate,
    DeliveryEvent,
    DirtyDate,
)

CENT = Decimal("0.01")
NUMBERS = DbSequence("delivery_numbers", metadata=Base.metadata)
WAVES = DbSequence("wave_numbers", metadata=Base.metadata)


def claim(
    db: Connection,
    *,
    claim_key: str,
    feed: str,
    entity: str,
    business_date: date,
    seq: int,
    file_name: str,
    uri: str,
    run_id: str,
    version: int = 1,
    part_of: str | None = None,
) -> str | None:
    """Claim a file: a new delivery's id, or None when it was claimed before (by a run that may have died: see
    `unfinished`)."""
    number = db.execute(select(NUMBERS.next_value())).scalar_one()
    delivery_id = f"D{number:07d}"
    at = clock.now(db)
    row = insert(Delivery).values(
        delivery_id=delivery_id,
        feed=feed,
        entity=entity,
        business_date=business_date,
        seq=seq,
        version=version,
        file_name=file_name,
        uri=uri,
        claim_key=claim_key,
        state="arriving",
        received_at=at,
        claimed_at=datetime.now(UTC),
        run_id=run_id,
        part_of=part_of,
    )
    claimed = db.execute(
        row.on_conflict_do_nothing(index_elements=["claim_key"]).returning(Delivery.delivery_id)
    ).scalar_one_or_none()
    if claimed:
        note(db, delivery_id, "arriving", run_id, f"claimed {uri}")
    return claimed


def note(db: Connection, delivery_id: str, state: str, run_id: str, text: str | None = None) -> None:
    db.execute(
        plain_insert(DeliveryEvent).values(
            delivery_id=delivery_id, state=state, note=text, run_id=run_id, at=clock.now(db)
        )
    )


def set_state(
    db: Connection, delivery_id: str, state: str, run_id: str, *, reason: str | None = None, **values: Any
) -> None:
    """Move a delivery to a state and write its history line. `values` are further columns of `deliveries`."""
    db.execute(update(Delivery).where(Delivery.delivery_id == delivery_id).values(state=state, reason=reason, **values))
    note(db, delivery_id, state, run_id, reason)
    if state in ("refused", *REPLACED):
        delivery = get(db, delivery_id)
        if is_lacked(db, delivery):
            mark_dirty(db, delivery.business_date, delivery, "late")


def is_lacked(db: Connection, delivery: Row[Any]) -> bool:
    """The newest run of the delivery's day, which is under way or released, says that it lacks this lane, and that is so no more: the lane counts, or nobody owes it and nothing of it is to
    come."""
    runs = select(DayRun.missing, DayRun.coverage).where(
        DayRun.from_date <= delivery.business_date, DayRun.to_date >= delivery.business_date, DayRun.state.in_(("running", "released")),
    )  # fmt: skip
    run = db.execute(runs.order_by(DayRun.version.desc()).limit(1)).one_or_none()
    if run is None or f"{delivery.feed}|{delivery.entity}|{delivery.business_date}" not in run.missing:
        return False
    of_lane = select(Delivery.delivery_id).where(
        Delivery.feed == delivery.feed, Delivery.entity == delivery.entity, Delivery.business_date == delivery.business_date
    )  # fmt: skip
    is_live = db.execute(of_lane.where(Delivery.state.in_(LIVE_STATES)).limit(1)).first() is not None
    return is_live or delivery.feed not in run.coverage


def get(db: Connection, delivery_id: str) -> Row[Any]:
    return db.execute(select(*Delivery.__table__.columns).where(Delivery.delivery_id == delivery_id)).one()


def by_claim(db: Connection, claim_keys: Iterable[str]) -> dict[str, Row[Any]]:
    """Claim key -> delivery, for those that exist."""
    found = db.execute(select(*Delivery.__table__.columns).where(Delivery.claim_key.in_(list(claim_keys))))
    return {row.claim_key: row for row in found}


def settle_claim(db: Connection, delivery_id: str, settled_key: str) -> None:
    """What was settled is known by its own bytes from now on; its former claim key is free for what its sender sends next."""
    db.execute(update(Delivery).where(Delivery.delivery_id == delivery_id).values(claim_key=settled_key))


def free_claim(db: Connection, delivery: Row[Any]) -> None:
    """The same of a delivery that was settled before its bytes were part of its key: nobody knows which they were."""
    mine = (Delivery.delivery_id == delivery.delivery_id, Delivery.claim_key == delivery.claim_key)
    db.execute(update(Delivery).where(*mine).values(claim_key=f"{delivery.claim_key}|{delivery.delivery_id}"))


def find(
    db: Connection,
    *,
    feed: str | None = None,
    business_date: date | None = None,
    entity: str | None = None,
    states: Sequence[str] = (),
) -> list[Row[Any]]:
    """Deliveries in the order of their arrival."""
    query = select(*Delivery.__table__.columns).order_by(Delivery.delivery_id)
    wanted = {Delivery.feed: feed, Delivery.business_date: business_date, Delivery.entity: entity}
    query = query.where(*[column == value for column, value in wanted.items() if value is not None])
    if states:
        query = query.where(Delivery.state.in_(states))
    return list(db.execute(query))


def noted(
    db: Connection, first: date, last: date, *, feed: str | None = None, entity: str | None = None
) -> list[Row[Any]]:
    """delivery_id, feed, business_date and note of the deliveries of these dates that were noted for something when they were read; those that another replaced, or
    that a gate refused, are left out."""
    query = select(Delivery.delivery_id, Delivery.feed, Delivery.business_date, DeliveryEvent.note)
    query = query.join(DeliveryEvent, DeliveryEvent.delivery_id == Delivery.delivery_id)
    query = query.where(
        Delivery.business_date.between(first, last),
        Delivery.state.in_(("verified", "held", *LIVE_STATES)),
        DeliveryEvent.state == "verified",
        DeliveryEvent.note.is_not(None),
    )
    wanted = {Delivery.feed: feed, Delivery.entity: entity}
    query = query.where(*[column == value for column, value in wanted.items() if value is not None])
    return list(db.execute(query.order_by(Delivery.delivery_id, DeliveryEvent.event_id)))


def not_accepted_since(db: Connection, at: datetime) -> set[date]:
    """Business dates of deliveries that were claimed after a moment (of the real clock) and are refused or held."""
    query = select(Delivery.business_date).where(Delivery.state.in_(NOT_ACCEPTED), Delivery.claimed_at > at)
    return set(db.execute(query.distinct()).scalars())


def members(db: Connection, archive_id: str) -> list[Row[Any]]:
    """The deliveries that came in an archive, in the order of their claims."""
    query = select(*Delivery.__table__.columns).where(Delivery.part_of == archive_id)
    return list(db.execute(query.order_by(Delivery.delivery_id)))


def same_bytes(db: Connection, sha256: str, but: str) -> list[Row[Any]]:
    """Earlier deliveries of equal bytes that were not refused."""
    return list(
        db.execute(
            select(*Delivery.__table__.columns)
            .where(
                Delivery.sha256 == sha256,
                Delivery.delivery_id != but,
                Delivery.state.notin_(["refused", "ignored_duplicate"]),
            )
            .order_by(Delivery.delivery_id)
        )
    )


def go_live(
    db: Connection,
    delivery_id: str,
    batch_id: int,
    run_id: str,
    *,
    dates: Sequence[dict[str, Any]],
    totals: dict[str, Any],
    is_read: bool = True,
    cause: str | None = None,
) -> None:
    """The gate passed: the delivery's rows of this batch count from now on, and those of its lane and batch number that it outranks
    no longer do; where one that counts outranks it, it is superseded at once. `is_read`: whether a table is built from its feed, so that its days are to be built
    again; `cause`: why, where it is no mere arrival.

    Two deliveries of one lane go live one after the other, whatever their batches; the higher in rank stays. The
    same delivery twice is once."""
    lock_lane(db, get(db, delivery_id))
    delivery = get(db, delivery_id)
    if delivery.live_batch == batch_id:
        return
    if (above := outranked_by(db, delivery)) is not None:
        supersede(db, delivery, above, run_id, live_batch=batch_id, **totals)
        return
    # Of a delivery that was loaded again: the dates of its former batch.
    touched = {values["business_date"] for values in dates} | dates_of(db, [delivery_id])
    for values in dates:
        db.execute(
            insert(DeliveryDate).values(delivery_id=delivery_id, batch_id=batch_id, **values).on_conflict_do_nothing()
        )
    former = sorted(_in_lane(db, delivery, LIVE_STATES), key=rank)
    for row in former:
        change = _change(row, totals)
        set_state(
            db, row.delivery_id, "superseded", run_id, reason=f"replaced by {delivery_id}: {change}",
            superseded_by=delivery_id,
        )  # fmt: skip
        if row.part_of:
            supersede_emptied(db, row.part_of, run_id)
    for row in _in_lane(db, delivery, ("held",)):
        if rank(row) < rank(delivery):
            values = {"reason": f"replaced by {delivery_id}", "superseded_by": delivery_id}
            set_state(db, row.delivery_id, "superseded", run_id, **values)
            if row.part_of:
                supersede_emptied(db, row.part_of, run_id)
    state = "partly_loaded" if totals.get("rejected_rows") else "loaded"
    supersedes = former[-1].delivery_id if former else delivery.supersedes
    set_state(
        db,
        delivery_id,
        state,
        run_id,
        reason=f"replaces {former[-1].delivery_id}: {_change(former[-1], totals)}" if former else None,
        live_batch=batch_id,
        loaded_at=datetime.now(UTC),
        supersedes=supersedes,
        **totals,
    )
    touched |= dates_of(db, [row.delivery_id for row in former])
    if is_lacked(db, delivery):  # an empty one has no dates
        touched.add(delivery.business_date)
    for business_date in sorted(touched) if is_read else ():
        mark_dirty(db, business_date, delivery, cause or ("resend" if former else "arrived"))


def lock_lane(db: Connection, delivery: Row[Any]) -> None:
    """What counts of a lane and batch number is decided by one at a time, until the transaction ends."""
    lock(db, f"lane|{delivery.feed}|{delivery.entity}|{delivery.business_date}|{delivery.seq}")


def rank(delivery: Row[Any]) -> tuple[int, datetime, int]:
    """Which of several deliveries of a lane and batch number counts: the highest version, of equal ones the last by receipt; the bank's clock may stand still, then
    the number decides."""
    return delivery.version, delivery.received_at, int(delivery.delivery_id.removeprefix("D"))


def outranked_by(db: Connection, delivery: Row[Any]) -> Row[Any] | None:
    """The delivery that counts of the same lane and batch number, where it is higher in rank: then nothing of this one ever will."""
    counts = max(_in_lane(db, delivery, LIVE_STATES), key=rank, default=None)
    return counts if counts is not None and rank(counts) > rank(delivery) else None


def supersede(
    db: Connection, delivery: Row[Any], by: Row[Any], run_id: str, why: str | None = None, **values: Any
) -> str:
    """The delivery came to a lane in which `by` counts and outranks it: it is kept, and no day is told anew. `why`: what else is to be said of it. Returns the reason."""
    if by.version > delivery.version:
        reason = f"version {delivery.version}, and version {by.version} counts: {by.delivery_id} ({by.file_name})"
    else:
        reason = f"a later delivery came first: {by.delivery_id}"
    reason += f". {why}" if why else ""
    set_state(db, delivery.delivery_id, "superseded", run_id, reason=reason, superseded_by=by.delivery_id, **values)
    if delivery.part_of:
        supersede_emptied(db, delivery.part_of, run_id)
    return reason


def supersede_emptied(db: Connection, archive_id: str, run_id: str) -> None:
    """An archive that counts, and of whose members none does any more, says what they say, where another archive outranks it. Where none does (the members came
    by themselves) it is what answers its lane.
    """
    archive = get(db, archive_id)
    inside = {member.state for member in members(db, archive_id)}
    is_left = inside - set(REPLACED) or inside == {"ignored_duplicate"}
    if archive.state not in LIVE_STATES or is_left:
        return
    lock_lane(db, archive)
    if (above := outranked_by(db, archive)) is not None:
        supersede(db, archive, above, run_id)


def supersede_emptied_below(db: Connection, archive: Row[Any], run_id: str) -> None:
    """The same of the archives that this one outranks."""
    for row in _in_lane(db, archive, LIVE_STATES):
        supersede_emptied(db, row.delivery_id, run_id)


def refused_below(db: Connection, delivery: Row[Any]) -> list[str]:
    """The refused deliveries of the same lane and batch number in the place of which this one came."""
    return [row.delivery_id for row in _in_lane(db, delivery, ("refused",)) if rank(row) < rank(delivery)]


def raise_version(db: Connection, delivery: Row[Any], again: Row[Any], run_id: str) -> None:
    """The same bytes came `again` under a higher version: the delivery is that version from now on, and a lower one does not replace it."""
    db.execute(update(Delivery).where(Delivery.delivery_id == delivery.delivery_id).values(version=again.version))
    why = f"came again as version {again.version}: {again.delivery_id} ({again.file_name}); it counts as that version"
    note(db, delivery.delivery_id, delivery.state, run_id, why)


def _in_lane(db: Connection, delivery: Row[Any], states: Sequence[str]) -> Sequence[Row[Any]]:
    """Others of the same lane and batch number."""
    columns = (Delivery.delivery_id, Delivery.file_name, Delivery.version, Delivery.received_at, Delivery.accepted_rows, Delivery.accepted_money, Delivery.part_of)  # fmt: skip
    return db.execute(
        select(*columns)
        .where(
            Delivery.feed == delivery.feed,
            Delivery.entity == delivery.entity,
            Delivery.business_date == delivery.business_date,
            Delivery.seq == delivery.seq,
            Delivery.delivery_id != delivery.delivery_id,
            Delivery.state.in_(states),
        )
        .with_for_update()
    ).all()


def _change(former: Row[Any], totals: dict[str, Any]) -> str:
    """What counts in place of a former delivery, in rows and money, and the difference: `3 rows (+0), 32.00 (+2.00)`."""
    rows, before = int(totals.get("accepted_rows") or 0), int(former.accepted_rows or 0)
    money, was = (Decimal(value or 0).quantize(CENT) for value in (totals.get("accepted_money"), former.accepted_money))
    in_money = f", {money:,} ({money - was:+,})" if money or was else ""
    return f"{rows:,} accepted rows ({rows - before:+,}){in_money}"


def mark_dirty(db: Connection, business_date: date, delivery: Row[Any], cause: str) -> None:
    db.execute(
        plain_insert(DirtyDate).values(
            business_date=business_date,
            delivery_id=delivery.delivery_id,
            feed=delivery.feed,
            entity=delivery.entity,
            cause=cause,
            since=clock.now(db),
        )
    )


def take_verified(db: Connection, feed: str, batch_id: int, *, without: Collection[str] = ()) -> list[str]:
    """Give all verified, waiting deliveries of a feed to a batch, `without` some; what a batch has is never given to another."""
    is_waiting = (Delivery.feed == feed, Delivery.state == "verified", Delivery.load_batch.is_(None))
    rows = db.execute(
        update(Delivery)
        .where(*is_waiting, Delivery.delivery_id.notin_(without))
        .values(load_batch=batch_id)
        .returning(Delivery.delivery_id)
    )
    return sorted(rows.scalars())


def of_batch(db: Connection, batch_id: int) -> list[Row[Any]]:
    return list(
        db.execute(
            select(*Delivery.__table__.columns).where(Delivery.load_batch == batch_id).order_by(Delivery.delivery_id)
        )
    )


def live_parts(db: Connection, feeds: Sequence[str], from_date: date, to_date: date) -> list[Row[Any]]:
    """(delivery_id, feed, entity, batch_id, business_date, accepted rows and money) of all that counts now in these
    business dates."""
    query = _parts(feeds, from_date, to_date).where(
        Delivery.state.in_(LIVE_STATES), DeliveryDate.batch_id == Delivery.live_batch
    )
    return list(db.execute(query))


def chosen_parts(
    db: Connection, chosen: Sequence[str], feeds: Sequence[str], from_date: date, to_date: date
) -> list[Row[Any]]:
    """The same of a fixed choice (`delivery_id/batch_id`), whatever has become of those deliveries since."""
    key = DeliveryDate.delivery_id + "/" + cast(DeliveryDate.batch_id, Text)
    return list(db.execute(_parts(feeds, from_date, to_date).where(key.in_(chosen))))


def live_between(db: Connection, feed: str, from_date: date, to_date: date) -> list[Row[Any]]:
    """Live deliveries of a feed by the date of their lane, empty ones too."""
    query = select(*Delivery.__table__.columns).where(
        Delivery.feed == feed, Delivery.state.in_(LIVE_STATES), Delivery.business_date.between(from_date, to_date)
    )
    return list(db.execute(query.order_by(Delivery.delivery_id)))


def rows_of_date(db: Connection, feeds: Sequence[str], business_date: date) -> dict[str, int]:
    """accepted, rejected, duplicate -> rows of a business date that came in deliveries which count now."""
    parts = {name: DeliveryDate.__table__.c[f"{name}_rows"] for name in ("accepted", "rejected", "duplicate")}
    query = select(*(func.coalesce(func.sum(rows), 0).label(name) for name, rows in parts.items()))
    query = query.join(
        Delivery, (Delivery.delivery_id == DeliveryDate.delivery_id) & (Delivery.live_batch == DeliveryDate.batch_id)
    )
    query = query.where(
        Delivery.state.in_(LIVE_STATES), Delivery.feed.in_(feeds), DeliveryDate.business_date == business_date
    )
    return {name: int(rows) for name, rows in db.execute(query).one()._mapping.items()}


def _parts(feeds: Sequence[str], from_date: date, to_date: date) -> Select[Any]:
    return (
        select(
            Delivery.delivery_id,
            Delivery.feed,
            Delivery.entity,
            DeliveryDate.batch_id,
            DeliveryDate.business_date,
            DeliveryDate.accepted_rows,
            DeliveryDate.accepted_money,
        )
        .join(DeliveryDate, DeliveryDate.delivery_id == Delivery.delivery_id)
        .where(Delivery.feed.in_(feeds), DeliveryDate.business_date.between(from_date, to_date))
        .order_by(Delivery.delivery_id)
    )


def dates_of(db: Connection, delivery_ids: Sequence[str]) -> set[date]:
    """All business dates that the rows of these deliveries touch, those of deliveries they replaced included."""
    if not delivery_ids:
        return set()
    replaced = select(Delivery.delivery_id).where(Delivery.superseded_by.in_(delivery_ids))
    own = select(DeliveryDate.business_date).where(DeliveryDate.delivery_id.in_(delivery_ids))
    theirs = select(DeliveryDate.business_date).where(DeliveryDate.delivery_id.in_(replaced))
    return set(db.execute(own.union(theirs)).scalars())


def replaced_by(db: Connection, delivery_id: str) -> list[str]:
    """The deliveries whose place this one took."""
    query = select(Delivery.delivery_id).where(Delivery.superseded_by == delivery_id)
    return list(db.execute(query.order_by(Delivery.delivery_id)).scalars())


LOOK_BACK = timedelta(days=35)


def usual_rows(db: Connection, delivery: Row[Any]) -> float | None:
    """How many accepted rows the lane's deliveries of this number usually have: the median of those of the same day of the week in the five weeks before, of
    all days while there is none; None when nothing came before.
    """
    query = select(Delivery.business_date, Delivery.accepted_rows).where(
        Delivery.business_date.between(delivery.business_date - LOOK_BACK, delivery.business_date - timedelta(days=1)),
        Delivery.feed == delivery.feed,
        Delivery.entity == delivery.entity,
        Delivery.seq == delivery.seq,
        Delivery.state.in_(LIVE_STATES),
    )
    came = [(row.business_date, row.accepted_rows or 0) for row in db.execute(query)]
    same = [rows for on, rows in came if on.weekday() == delivery.business_date.weekday()]
    rows = same or [rows for _, rows in came]
    return float(median(rows)) if rows else None


def next_wave(db: Connection) -> int:
    return db.execute(select(WAVES.next_value())).scalar_one()


def counts(db: Connection) -> dict[str, int]:
    return dict(db.execute(select(Delivery.state, func.count()).group_by(Delivery.state)).tuples().all())
