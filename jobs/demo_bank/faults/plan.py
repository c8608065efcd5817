"""Which faults happen where on which day, what must be caught, and what counts all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any, NamedTuple

from jobs.demo_bank.faults.catalogue import (
    BRANCH_FEEDS,
    DIFFERS,
    KEEPS_OUT,
    KINDS,
    LOSES_LANE,
    MOVES,
    Kind,
)
from jobs.demo_bank.faults.files import ARCHIVES, FILES, Lot, Spoilt
from jobs.demo_bank.faults.rows import ROWS, Change, Lane, Proof, Told
from jobs.demo_bank.faults.tables import TABLES, Upset
from jobs.demo_bank.truth import Day

# Matters of processes, and of the calendar: no file is another.
OF_NO_FILE = ("F46", "F74", "F75")
CAN = {n for n in KINDS if n in ROWS or n in FILES or n in ARCHIVES or n in TABLES or n in OF_NO_FILE}


class Caught(NamedTuple):
    """What the platform must have caught: rows and fen are those that do not count because of it (F19: those that
    changed; F42, F43, F63: those that are not there). `restates` is the day that must be told anew.
    """

    fault: str
    name: str
    control: str
    outcome: str
    causes: tuple[str, ...]
    feed: str | None
    entity: str | None
    business_date: date
    rows: int
    fen: int
    proofs: tuple[Proof, ...] = ()
    restates: date | None = None


@dataclass(frozen=True)
class Fault:
    id: str
    feeds: tuple[str, ...]
    entities: tuple[str, ...]

    @property
    def kind(self) -> Kind:
        return KINDS[self.id]

    def lanes(self) -> list[tuple[str, str]]:
        return [(feed, entity) for feed in self.feeds for entity in self.entities]


@dataclass(frozen=True)
class Plan:
    """A day's faults by lane, and what follows for what counts: lanes that are lost, rows that are, or that are others."""

    date: date
    faults: tuple[Fault, ...]
    changes: dict[tuple[str, str], list[tuple[str, Change]]] = field(default_factory=dict)
    caught: list[Caught] = field(default_factory=list)
    lost_lanes: set[tuple[str, str]] = field(default_factory=set)
    kept_out: set[tuple[str, str]] = field(default_factory=set)  # came, and are not built from
    upsets: list[Upset] = field(default_factory=list)  # at sources that are fetched

    def at(self, feed: str, entity: str) -> list[str]:
        return [f.id for f in self.faults if (feed, entity) in f.lanes()]

    def told(self, feed: str, entity: str, items: Sequence[Any]) -> list[Told]:
        """The rows of a lane as its file tells them."""
        changes = [change for _, change in self.changes.get((feed, entity), [])]
        told = [Told(item) for item in items]
        for change in changes:
            for i, row in change.told.items():
                told[i] = row
        absent = set().union(*(change.absent for change in changes))
        return [row for i, row in enumerate(told) if i not in absent] + [r for c in changes for r in c.beside]

    def counted(self, feed: str, entity: str, items: Sequence[Any]) -> list[Any]:
        """The rows of a lane that count, once its faults were caught; none when the lane is lost."""
        if (feed, entity) in self.lost_lanes | self.kept_out:
            return []
        changes = [change for _, change in self.changes.get((feed, entity), [])]
        instead = {i: item for change in changes for i, item in change.counts.items()}
        lost = set().union(*(change.lost for change in changes))
        kept = [instead.get(i, item) for i, item in enumerate(items) if i not in lost]
        return kept + [item for change in changes for item in change.counts_beside]

    def duplicates(self, feed: str, entity: str) -> list[Any]:
        """Rows that were told once more than they count, each as often."""
        return [item for _, change in self.changes.get((feed, entity), []) for item in change.duplicates]

    def rejected(self, feed: str, entity: str) -> tuple[list[Any], list[Any]]:
        """(rows of the file that are turned away, those of them whose amounts nobody can read). A movement whose other side is turned away later stays."""
        found = [change for fault, change in self.changes.get((feed, entity), []) if KINDS[fault].outcome == "rejected"]
        return [i for c in found for i in c.saved if i not in c.counts_beside], [
            i for c in found if c.is_unread for i in c.saved
        ]


def parse(text: str) -> Fault:
    """Raises ValueError naming what is not known."""
    number, _, place = text.partition(":")
    if number not in CAN:
        raise ValueError(f"the demo bank cannot commit {number}; it can: {', '.join(n for n in KINDS if n in CAN)}")
    kind = KINDS[number]
    feed, _, entities = place.partition(":")
    if feed and number in ROWS and feed not in kind.feeds:
        what = "movements" if kind.feeds == (MOVES,) else f"rows of {' or '.join(kind.feeds)}"
        raise ValueError(f"{number} needs {what}: write {number}:{kind.feeds[0]}:<branch>, not {text}")
    if feed and feed not in kind.feeds and not (kind.feeds[0] in BRANCH_FEEDS and feed in BRANCH_FEEDS):
        whose = "a branch's file" if kind.feeds[0] in BRANCH_FEEDS else "files of its own feed"
        allowed = BRANCH_FEEDS if kind.feeds[0] in BRANCH_FEEDS else kind.feeds
        raise ValueError(f"{number} happens to {whose} ({', '.join(allowed)}), not to {feed}")
    return Fault(number, (feed,) if feed else kind.feeds, tuple(entities.split("+")) if entities else kind.entities)


NEAR = 7  # days: so long a working weekend is waited for


def spread(
    first: date, feeds: Sequence[str], is_working: Callable[[date], bool], is_makeup: Callable[[date], bool]
) -> dict[date, list[str]]:
    """Every fault that can be committed, by day from `first` on, so that no two spoil one file: on working days, for on others not all is sent. The days
    between are clean, and so are the last ones, on which what is late comes.
    """
    calendar = [first + timedelta(days=n) for n in range(30)]
    working = [day for day in calendar if is_working(day)]
    days: dict[date, list[str]] = {}
    last = first
    for number, kind in KINDS.items():
        if number not in CAN or not set(kind.feeds) <= set(feeds):
            continue
        at = working[kind.day]
        if number == "F46":
            at = next((day for day in calendar[:NEAR] if is_makeup(day)), date.min)
            if at == date.min:
                continue
        days.setdefault(at, []).append(number)
        last = max(last, at + timedelta(days=kind.comes))
    return {day: days.get(day, []) for day in calendar if day <= last}


def plan(
    seed: int,
    day: Day,
    texts: Sequence[str],
    items: Callable[[str, str], Sequence[Any]],
    money: Callable[[str, Any], int],
    earlier: Callable[[date], Day],
) -> Plan:
    """`items(feed, entity)`: what a lane tells on that day without faults; `money(feed, item)`: fen in its control sum; `earlier`: a day of the past.

    Raises ValueError when two faults would spoil the same file.
    """
    made = Plan(day.date, tuple(parse(text) for text in texts))
    spoilt_by: dict[tuple[str, str], str] = {}
    for fault in made.faults:
        for lane in fault.lanes():
            if fault.kind.spoils_file and spoilt_by.setdefault(lane, fault.id) != fault.id:
                raise ValueError(
                    f"{spoilt_by[lane]} and {fault.id} both spoil the file of {'|'.join(lane)} on {day.date}: "
                    "place one elsewhere"
                )
    taken: dict[tuple[str, str], set[int]] = {}
    # Those that choose single rows go first; what touches all rows takes what is left.
    for fault in sorted(made.faults, key=lambda f: f.id == "F63"):
        if not fault.lanes():
            made.caught.append(_caught(fault, None, None, day.date, 0, 0))
        for feed, entity in fault.lanes():
            told = items(feed, entity) if fault.id not in ARCHIVES else []
            change, feed_of_money = None, feed
            if fault.id in TABLES:
                rng = Random(f"{seed}:{fault.id}:{feed}:{entity}:{day.date}")
                upset = TABLES[fault.id](Lane(feed, entity, day, told, set(), rng, fault.id, earlier))
                made.upsets.append(upset)
                made.caught.append(_caught(fault, feed, entity, day.date, upset.rows, 0)._replace(proofs=upset.proofs))
                continue
            if fault.id in ROWS:
                rng = Random(f"{seed}:{fault.id}:{feed}:{entity}:{day.date}")
                mine = taken.setdefault((feed, entity), set())
                change = ROWS[fault.id](Lane(feed, entity, day, told, mine, rng, fault.id, earlier))
                made.changes.setdefault((feed, entity), []).append((fault.id, change))
            if fault.id in DIFFERS:
                made.kept_out.update((kept, entity) for kept in KEEPS_OUT)
            if fault.kind.outcome == "kept_out":
                # The branch's day: its movements, told as money; balances and subjects are stocks.
                feed_of_money, affected = MOVES, list(items(MOVES, entity))
            elif (fault.kind.outcome in LOSES_LANE or fault.kind.comes) and fault.id not in ARCHIVES:
                made.lost_lanes.add((feed, entity))
                affected = list(told)
            else:
                affected = [*change.saved, *change.duplicates] if change else []
                if fault.id == "F37" and change:
                    affected = change.saved  # the equal copy is no loss: it counts once
            fen = sum(money(feed_of_money, item) for item in affected)
            made.caught.append(_caught(fault, feed, entity, day.date, len(affected), fen, change))
    return made


def _caught(
    fault: Fault, feed: str | None, entity: str | None, day: date, rows: int, fen: int, change: Change | None = None
) -> Caught:
    kind = fault.kind
    restates = change.restates if change else (day if kind.comes else None)
    proofs = change.proofs if change else ()
    return Caught(fault.id, *kind[:3], kind.causes, feed, entity, day, rows, fen, proofs, restates)


def spoil(
    planned: Plan, feed: str, entity: str, seq: int, told: Sequence[Told], before: Sequence[Any], other: Sequence[Any], is_first: bool
) -> Iterator[Spoilt]:  # fmt: skip
    """The file, or files, that a lane sends: none when it is absent, two when it is sent again. Of a lane with several files the first one is spoilt.

    `before`: what the lane told the day before; `other`: what another branch tells.
    """
    ids = planned.at(feed, entity)
    label = "+".join(ids) or None
    of_file = next((i for i in ids if i in FILES), None)
    if of_file is None or not is_first:
        yield Spoilt(told, seq, label)
        return
    touched = [i for fault, c in planned.changes.get((feed, entity), []) if fault == of_file for i in c.told]
    yield from FILES[of_file](Lot(told, seq, label, planned.date, before, other, touched))
