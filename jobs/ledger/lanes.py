"""Roll-call: what is to be said of each lane of a day, before, at and after its due time.

The word is roll-call's; it is kept apart from the state of the delivery that answered the lane (models.DELIVERY_STATES):

    expected   not here, and not due yet
    arrived    here in time
    late       here, but after its due time; it keeps saying so
    held       here, and a person must decide
    kept_out   here, and its day was built without it, for another feed of its branch tells other money
    refused    here, and not accepted: the right file is still owed
    missing    due, and not here
    closed     not owed that day: the calendar or the branch history says why
    silent     a stream, of which nothing has come for longer than is normal (today only)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, select

from jobs.contracts import Catalog
from jobs.contracts.source import Source
from jobs.ledger import batches, clock, days, deciding, deliveries, sightings, silence
from jobs.ledger.models import LIVE_STATES, NOT_ACCEPTED, REPLACED, Case, Delivery, DeliveryEvent

Word = Literal["expected", "arrived", "late", "held", "kept_out", "refused", "missing", "closed", "silent"]
BAD_WORDS: tuple[Word, ...] = ("missing", "refused", "silent")
# The state that a lane is known by when its batches are in several.
WORST_FIRST = ("refused", "held", "arriving")
# A branch is still shown as closed for so long after its last day, and so long before its first.
REMEMBERED = timedelta(days=30)
# What was claimed so lately is being taken in, and not said to be missing meanwhile.
TAKING_IN = timedelta(minutes=2)
SEEN = {
    sightings.SIGNAL_WITHOUT_FILE: "signal without file",
    sightings.FILE_WITHOUT_SIGNAL: "file without signal",
}


@dataclass(frozen=True)
class LaneStatus:
    """One lane of a day. Instants are UTC."""

    feed: str
    entity: str
    business_date: date
    word: Word
    owner: str
    name: str | None = None  # of the branch
    is_owed: bool = True
    is_required: bool = True  # its day waits for it
    is_live: bool = False  # its deliveries count
    state: str | None = None  # of the delivery that answers it
    delivery_id: str | None = None
    reason: str | None = None
    due: datetime | None = None
    cut_off: datetime | None = None
    cut_off_of: Literal["feed", "branch"] = "feed"
    minutes_late: int | None = None  # until it came, or, where nothing acceptable has come, so far

    @property
    def key(self) -> str:
        return f"{self.feed}|{self.entity}|{self.business_date}"


def of_day(db: Connection, catalog: Catalog, day: date) -> list[LaneStatus]:
    """Every lane that is owed for a day or would be, were it not closed, and those in which something came though nobody owes it. None of a day that was taken on with others."""
    if days.is_history(db, day):
        return []
    kept_out = _kept_out(db, catalog, day)
    found = [
        replace(lane, word="kept_out", is_live=False, reason=kept_out[lane.key])
        if lane.is_live and lane.key in kept_out
        else lane
        for lane in _of_day(db, catalog, day)
    ]
    silent = {one.key: one for one in (_silent(catalog, stream, day) for stream in silence.silent_on(db, catalog, day))}
    failing = batches.failing_loads(db)
    found = [
        replace(lane, reason=failing[lane.feed]) if lane.state == "verified" and lane.feed in failing else lane
        for lane in found
    ]
    marked = [_also_silent(lane, silent.pop(lane.key, None)) for lane in found]
    return marked + list(silent.values())


def _silent(catalog: Catalog, stream: silence.Stream, day: date) -> LaneStatus:
    entity = stream.entity or stream.source.system
    return LaneStatus(
        stream.feed, entity, day, "silent", stream.source.owner, is_owed=False, is_required=False, reason=stream.told(catalog)
    )  # fmt: skip


def _also_silent(lane: LaneStatus, silent: LaneStatus | None) -> LaneStatus:
    """What a person must look at anyhow keeps its word."""
    if silent is None or lane.word not in ("arrived", "late", "expected"):
        return lane
    return replace(lane, word="silent", reason=silent.reason)


def _kept_out(db: Connection, catalog: Catalog, day: date) -> dict[str, str]:
    """Lane -> why the newest release of the day was built without it, of lanes of a branch-day that does not agree (`reconciles` of a contract)."""
    made = days.newest_release(db, day)
    if made is None or not made.missing:
        return {}
    cases = select(Case.case_id, Case.table_name, Case.entity, Case.cause).where(
        Case.business_date == day, Case.state == "open", Case.kind == "rows", Case.entity.is_not(None)
    )
    found: dict[str, str] = {}
    for case in db.execute(cases):
        table = catalog.tables.get(case.table_name)
        for other, rule in (table.reconciles if table else {}).items():
            if case.cause != batches.agrees_with(other):
                continue
            why = f"{case.table_name} and {other} do not agree: case {case.case_id}; {made.run_key} is built without it"
            found |= {f"{feed}|{case.entity}|{day}": why for feed in rule.blocks}
    return {lane: why for lane, why in found.items() if lane in made.missing}


def _of_day(db: Connection, catalog: Catalog, day: date) -> Iterator[LaneStatus]:
    at = clock.now(db)
    came: dict[tuple[str, str], list[Row[Any]]] = {}
    for row in deliveries.find(db, business_date=day):
        came.setdefault((row.feed, row.entity), []).append(row)
    seen = {(row.feed, row.entity): row for row in sightings.of_day(db, day)}
    history = days.branches(db)
    owed = {(lane.feed, lane.entity) for lane in days.owed_lanes(db, catalog, day)}
    for source in days.owing(catalog, days.known_on(db, catalog, day)):
        for entity, branch in _senders(source, history, day):
            lane = (source.feed, entity)
            rows = came.pop(lane, [])
            if lane in owed:
                yield _owed(catalog, source, entity, branch, day, at, rows, seen.get(lane))
            elif rows or (_is_remembered(branch, day) and source.schedule.working_day is None):
                yield _closed(catalog, source, entity, branch, day, rows)
    for (feed, entity), rows in came.items():
        if (answer := _answer(rows)) is not None and entity != days.TAKE_ON:
            owner = catalog.sources[feed].owner if feed in catalog.sources else "-"
            word = _word(answer, None)
            yield LaneStatus(feed, entity, day, word, owner, is_owed=False, is_required=False, **_told_of(answer, rows))


def _senders(source: Source, history: Sequence[Row[Any]], day: date) -> Iterator[tuple[str, Row[Any] | None]]:
    """Who sends a feed, with what the branch history says of each on a day: its row of that day, else the nearest one."""
    if source.sender != "branch":
        yield from ((entity, None) for entity in days.head_office(source))
        return
    known: dict[str, Row[Any]] = {}
    for branch in history:
        if branch.branch_id not in known or branch.valid_from <= day:
            known[branch.branch_id] = branch
    yield from known.items()


def _owed(
    catalog: Catalog,
    source: Source,
    entity: str,
    branch: Row[Any] | None,
    day: date,
    at: datetime,
    rows: Sequence[Row[Any]],
    sighting: Row[Any] | None,
) -> LaneStatus:
    cut_off, due = due_times(catalog, source, branch.cut_off if branch else None, day)
    came = _batches_came(rows)
    wanted = source.schedule.batches
    absent = [seq for seq in _numbers(rows, wanted) if seq not in came]
    whole = None if absent or not came else max(came[seq] for seq in _numbers(rows, wanted))
    late = int(((whole or at) - due).total_seconds() // 60)
    minutes_late = late if late > 0 else None
    answer = _answer(rows)
    word: Word = "missing" if at > due else "expected"
    told = _told_of(answer, rows, wanted)
    if answer is not None and answer.state == "arriving":
        told["reason"] = f"not whole yet, since {catalog.profile.clock(answer.received_at)}"
        if datetime.now(UTC) - answer.claimed_at < TAKING_IN:
            word = "expected"
    elif answer is not None and (whole or answer.state in ("refused", "held")):
        word = _word(answer, minutes_late)
    elif answer is not None:
        told["reason"] = _half_told(absent, wanted) + (f"; {_seen(catalog, sighting)}" if sighting else "")
    elif sighting is not None:
        told["reason"] = _seen(catalog, sighting)
    return LaneStatus(
        source.feed,
        entity,
        day,
        word,
        source.owner,
        name=branch.name if branch else None,
        is_required=source.schedule.required,
        due=due,
        cut_off=cut_off,
        cut_off_of="branch" if branch and branch.cut_off else "feed",
        minutes_late=minutes_late,
        **told,
    )


def _numbers(rows: Sequence[Row[Any]], wanted: int) -> list[int]:
    """The batch numbers that are owed: 1 to so many. Where one file is owed any number is: the first that came."""
    return list(range(1, wanted + 1)) if wanted > 1 else [next(iter(_batches_came(rows)), 1)]


def _half_told(absent: Sequence[int], wanted: int) -> str:
    """3 of 4 files are here, without number 3."""
    which = f", without number{'s' if len(absent) > 1 else ''} {', '.join(map(str, absent))}" if wanted > 1 else ""
    return f"{wanted - len(absent)} of {wanted} files are here{which}"


def _seen(catalog: Catalog, sighting: Row[Any]) -> str:
    return f"{SEEN[sighting.kind]}, since {catalog.profile.clock(sighting.since)}"


def _batches_came(rows: Sequence[Row[Any]]) -> dict[int, datetime]:
    """When each batch number first came, the earliest first."""
    first: dict[int, datetime] = {}
    for row in rows:
        if row.state not in ("refused", "arriving", "ignored_duplicate"):
            first[row.seq] = min(row.received_at, first.get(row.seq, row.received_at))
    return dict(sorted(first.items(), key=lambda one: one[1]))


def due_times(catalog: Catalog, source: Source, own_cut_off: str | None, day: date) -> tuple[datetime, datetime]:
    """Cut-off and due time of a lane. A branch that has a cut-off of its own gets as long after it as the source's schedule gives after the usual one."""
    profile, schedule = catalog.profile, source.schedule
    usual = profile.local(day, schedule.cut_off)
    due = profile.local(day, schedule.due, schedule.day)
    cut_off = profile.local(day, own_cut_off) if own_cut_off else usual
    return cut_off.astimezone(UTC), (cut_off + (due - usual)).astimezone(UTC)


def _closed(
    catalog: Catalog, source: Source, entity: str, branch: Row[Any] | None, day: date, rows: Sequence[Row[Any]]
) -> LaneStatus:
    calendar = catalog.calendar_day(day, source.schedule.calendar)
    monthly = f"owed on working day {source.schedule.working_day} of a month" if source.schedule.working_day else None
    why = _why_closed(branch, day) or monthly or calendar.told
    answer = _answer(rows)
    told = _told_of(answer, rows)
    told["reason"] = why if answer is None else f"{why}; a file came all the same" + (f": {answer.reason}" if answer.reason else "")  # fmt: skip
    name = branch.name if branch else None
    return LaneStatus(source.feed, entity, day, "closed", source.owner, name=name, is_owed=False, **told)


def _why_closed(branch: Row[Any] | None, day: date) -> str | None:
    """What the branch history says; None when the branch was open."""
    if branch is None or (branch.valid_from <= day and (branch.valid_to is None or branch.valid_to > day)):
        return None
    if branch.valid_from > day:
        return f"opens on {branch.valid_from}"
    into = f", merged into {branch.merged_into}" if branch.merged_into else ""
    return f"branch closed since {branch.valid_to}{into}"


def _is_remembered(branch: Row[Any] | None, day: date) -> bool:
    if branch is None:
        return True
    return branch.valid_from - REMEMBERED <= day and (branch.valid_to is None or day < branch.valid_to + REMEMBERED)


def _answer(rows: Sequence[Row[Any]]) -> Row[Any] | None:
    """The delivery that a lane is known by: of each batch number the highest in rank (version, then receipt) that nothing replaced; of those the worst."""
    newest: dict[int, Row[Any]] = {}
    for row in rows:
        known = newest.get(row.seq)
        if row.state not in REPLACED and (known is None or deliveries.rank(row) > deliveries.rank(known)):
            newest[row.seq] = row
    rank = {state: n for n, state in enumerate(WORST_FIRST)}
    return min(
        reversed(newest.values()), key=lambda row: rank.get(row.state, len(rank)), default=None
    )  # of equals the newest


def _word(answer: Row[Any], minutes_late: int | None) -> Word:
    if answer.state == "refused":
        return "refused"
    if answer.state == "held":
        return "held"
    if answer.state == "arriving":
        return "expected"
    return "late" if minutes_late else "arrived"


def _told_of(answer: Row[Any] | None, rows: Sequence[Row[Any]], wanted: int = 1) -> dict[str, Any]:
    live = [row for row in rows if row.state in LIVE_STATES]
    is_live = {row.seq for row in live}.issuperset(_numbers(live, wanted))
    if answer is None:
        return {"is_live": is_live}
    return {
        "is_live": is_live,
        "state": answer.state,
        "delivery_id": answer.delivery_id,
        "reason": _beside(answer, {row.seq for row in rows if row.state in LIVE_STATES} - {answer.seq}),
    }


def _beside(answer: Row[Any], live: set[int]) -> str | None:
    """Why a file does not count; where others of its lane do, that none of them takes its place, for that has the same batch number."""
    if answer.state not in NOT_ACCEPTED or not live:
        return answer.reason  # type: ignore[no-any-return]
    others = ", ".join(map(str, sorted(live)))
    return (
        f"{(answer.reason or answer.state).rstrip('.')}. It is batch {answer.seq}, and only a file of that number takes its place; "
        f"of this lane {'batches' if len(live) > 1 else 'batch'} {others} {'count' if len(live) > 1 else 'counts'}"
    )


def told(catalog: Catalog, lane: LaneStatus) -> str:
    """A lane in one sentence, as people are told of it."""
    whose = f"{lane.feed} of {lane.entity}" + (f" ({lane.name})" if lane.name and lane.name != lane.entity else "")
    what = f"{whose} for {lane.business_date}"
    because = f": {lane.reason}" if lane.reason else ""
    to_whom = f" Owner: {lane.owner}."
    match lane.word:
        case "missing":
            due = f"was due at {catalog.profile.clock(lane.due)}" if lane.due else "is due"
            if lane.cut_off and lane.cut_off_of == "branch":
                due += f" (its cut-off is {catalog.profile.clock(lane.cut_off)[-5:]})"
            return f"{what} {due} and has not come{because}.{to_whom}"
        case "refused" | "held":
            did = "was refused" if lane.word == "refused" else "is held"
            return f"{what} {did} ({lane.delivery_id}){because}{'' if because.endswith('.') else '.'}{to_whom}"
        case "kept_out":
            return f"{what} has come ({lane.delivery_id}) and does not count{because}.{to_whom}"
        case "late":
            return f"{what} came {minutes(lane.minutes_late)} late ({lane.delivery_id})."
        case "arrived":
            return f"{what} has come ({lane.delivery_id})."
        case "closed":
            return f"{what} is not owed{because}."
        case "silent":
            return f"{lane.feed} is silent{because}.{to_whom}"
        case _:
            due = f" by {catalog.profile.clock(lane.due)}" if lane.due else ""
            return f"{what} is expected{due}{because}."


def minutes(number: int | None) -> str:
    """42 minutes; 2 hours 5 minutes; 4 days 1 hour."""
    parts = []
    for size, unit in ((1440, "day"), (60, "hour"), (1, "minute")):
        many, number = divmod(number or 0, size)
        parts += [f"{many} {unit}{'s' if many != 1 else ''}"] if many else []
    return " ".join(parts[:2]) or "0 minutes"


OPEN = "open"  # the standing of a day of which no run was ever asked for


@dataclass(frozen=True)
class DayBoard:
    """A day with all its lanes. `standing`: open, being built, provisional v1, final v2, ...; `calendar`: what the bank's calendar says of it; `not_told`: why its newest
    run came to no release, and what to do."""

    day: date
    calendar: str
    standing: str
    close_by: datetime
    lanes: list[LaneStatus]
    not_told: str | None = None

    @property
    def owed(self) -> list[LaneStatus]:
        return [lane for lane in self.lanes if lane.is_owed]

    @property
    def is_awaited(self) -> bool:
        """Nothing of it was asked for or told: it starts when it is complete, or at `close_by`."""
        return self.standing == OPEN

    @property
    def required(self) -> list[LaneStatus]:
        """What the day waits for."""
        return [lane for lane in self.owed if lane.is_required]

    @property
    def not_live(self) -> list[LaneStatus]:
        """Required, and nothing of it counts, or not all: what coverage lacks."""
        return [lane for lane in self.required if not lane.is_live]

    @property
    def coverage(self) -> str:
        return f"{len(self.required) - len(self.not_live)} of {len(self.required)}"


def boards(db: Connection, catalog: Catalog, last: date, number: int = 1) -> list[DayBoard]:
    """The days up to `last`, the newest first."""
    profile = catalog.profile
    return [
        DayBoard(
            day,
            catalog.calendar_day(day).told,
            standing(db, day),
            profile.local(day, profile.close_by, profile.close_by_day).astimezone(UTC),
            of_day(db, catalog, day),
            next((deciding.why_not_told(db, run) for run in deciding.not_told(db, day)), None),
        )
        for day in (last - timedelta(days=n) for n in range(number))
    ]


def standing(db: Connection, day: date) -> str:
    """Where a business day stands, in the words of its releases."""
    made, run = days.newest_release(db, day), days.open_run(db, day, day)
    told = f"{made.kind} v{made.version}" if made else "history" if days.is_history(db, day) else OPEN
    told += ", no change" if made and made.is_no_change else ""
    if run is not None:
        return f"{told}, v{run.version} {'is being built' if run.state == 'running' else 'asked for'}"
    return ", ".join([told, *(f"v{ended.version} {ended.state}" for ended in deciding.not_told(db, day))])


def newest_day(db: Connection, catalog: Catalog) -> date:
    """The day that people look at when they name none: the newest of which something has come, or the bank's today."""
    today = catalog.profile.today(clock.now(db))
    came = db.execute(select(func.max(Delivery.business_date)).where(Delivery.business_date <= today)).scalar_one()
    return came or today


def history(db: Connection, feed: str, entity: str, day: date) -> list[Row[Any]]:
    """What became of all deliveries of a lane, in the order in which it happened: at, delivery_id, file_name, state, note."""
    query = select(
        DeliveryEvent.at, Delivery.delivery_id, Delivery.file_name, DeliveryEvent.state, DeliveryEvent.note
    ).join(Delivery, Delivery.delivery_id == DeliveryEvent.delivery_id)
    lane = (Delivery.business_date == day, Delivery.feed == feed, Delivery.entity == entity)
    return list(db.execute(query.where(*lane).order_by(DeliveryEvent.event_id)))
