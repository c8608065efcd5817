"""Faults of the catalogue that the demo bank can commit, and what each must lead to.

A fault is written "F11" (at its usual place) or "F11:core_transactions:b03"; several branches are joined by "+". Faults
in rows may meet in one file; of those that spoil the file as a whole there is at most one a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any, NamedTuple

from jobs.demo_bank.truth import Day, Transaction

UNKNOWN_CODE = "X9"
# Characters whose second byte in GBK is a backslash.
BACKSLASH_REMARK = "誠信運費錦旗"
BRANCH_FEEDS = ("core_customers", "core_accounts", "core_balances", "core_transactions")


class Kind(NamedTuple):
    """`control` catches it; `outcome` is the state of the delivery, or of the rows.

    `causes`: what the ledger may name it.
    """

    name: str
    control: str
    outcome: str
    feeds: tuple[str, ...]
    entities: tuple[str, ...]
    causes: tuple[str, ...] = ()
    spoils_file: bool = True


KINDS = {
    "F01": Kind("bad_byte", "strict decoding", "refused", ("core_customers",), ("b02",), ("bad_byte",)),
    "F04": Kind(
        "backslash_in_character", "decode before split", "accepted", ("core_transactions",), ("b01",), spoils_file=False
    ),
    "F11": Kind("trailer_count", "control total", "refused", ("core_transactions",), ("b03",), ("trailer_count",)),
    "F12": Kind("trailer_sum", "control total", "refused", ("core_transactions",), ("b04",), ("trailer_sum",)),
    "F14": Kind("no_ok", "roll-call", "missing", ("core_accounts",), ("b03",)),
    "F17": Kind(
        "truncated",
        "trailer or hash",
        "refused",
        ("core_balances",),
        ("b04",),
        ("truncated", "no_trailer", "trailer_unreadable", "signal_count", "signal_hash"),
    ),
    "F19": Kind("resend_changed", "version of the lane", "superseded", ("core_transactions",), ("b02",)),
    "F20": Kind("resend_same", "hash in the ledger", "ignored_duplicate", ("core_accounts",), ("b01",)),
    "F23": Kind("partial_branches", "coverage", "missing", BRANCH_FEEDS, ("b05", "b06")),
    "F25": Kind("wrong_date", "date of the rows", "refused", ("core_customers",), ("b01",), ("wrong_date",)),
    "F30": Kind(
        "unknown_code",
        "code list",
        "rejected",
        ("core_transactions",),
        ("b01",),
        ("transaction_code_known",),
        spoils_file=False,
    ),
    "F37": Kind(
        "duplicate_rows",
        "uniqueness",
        "rejected",
        ("core_transactions",),
        ("b01",),
        ("primary_key_unique",),
        spoils_file=False,
    ),
    "F75": Kind("two_runs_at_once", "claim and lease", "unchanged", (), ()),
}
# These look into the rows of a movement.
OF_TRANSACTIONS = {"F04", "F19", "F30", "F37"}


class Caught(NamedTuple):
    """What the platform must have caught: rows and fen are those that do not count because of it (F19: those that
    changed).
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
    """A day's faults by lane, and what follows for what counts: lanes that are lost, movements that are."""

    date: date
    faults: tuple[Fault, ...]
    rows: dict[tuple[str, str, str], list[int]]
    caught: list[Caught] = field(default_factory=list)
    lost_lanes: frozenset[tuple[str, str]] = frozenset()
    lost_transactions: frozenset[tuple[str, str]] = frozenset()

    def at(self, feed: str, entity: str) -> list[str]:
        return [f.id for f in self.faults if (feed, entity) in f.lanes()]

    def chosen(self, fault: str, feed: str, entity: str) -> list[int]:
        return self.rows.get((fault, feed, entity), [])


@dataclass(frozen=True)
class Spoilt:
    """A file as a fault lets it out: its items, and how its trailer, signal or bytes are off."""

    items: Sequence[Any]
    seq: int
    fault: str | None = None
    count_off: int = 0
    sum_off: int = 0
    has_signal: bool = True
    row_date: date | None = None
    replaces: int | None = None
    bytes_of: Callable[[bytes], bytes] = bytes


def parse(text: str) -> Fault:
    """Raises ValueError naming what is not known."""
    number, _, place = text.partition(":")
    if number not in KINDS:
        raise ValueError(f"the demo bank cannot commit {number}; it can: {', '.join(KINDS)}")
    kind = KINDS[number]
    feed, _, entities = place.partition(":")
    if feed and number in OF_TRANSACTIONS and feed != "core_transactions":
        raise ValueError(f"{number} needs movements: write {number}:core_transactions:<branch>, not {text}")
    if feed and feed not in BRANCH_FEEDS:
        raise ValueError(f"{number} happens to a branch's file ({', '.join(BRANCH_FEEDS)}), not to {feed}")
    return Fault(number, (feed,) if feed else kind.feeds, tuple(entities.split("+")) if entities else kind.entities)


def plan(
    seed: int,
    day: Day,
    texts: Sequence[str],
    items: Callable[[str, str], Sequence[Any]],
    money: Callable[[str, Any], int],
) -> Plan:
    """`items(feed, entity)`: what a lane tells on that day without faults; `money(feed, item)`: fen in its control sum.

    Raises ValueError when two faults would spoil the same file.
    """
    faults = tuple(parse(text) for text in texts)
    spoilt_by: dict[tuple[str, str], str] = {}
    for fault in faults:
        for lane in fault.lanes():
            if fault.kind.spoils_file and spoilt_by.setdefault(lane, fault.id) != fault.id:
                raise ValueError(
                    f"{spoilt_by[lane]} and {fault.id} both spoil the file of {'|'.join(lane)} on {day.date}: "
                    "place one elsewhere"
                )
    made = Plan(day.date, faults, {})
    lost_lanes: set[tuple[str, str]] = set()
    lost: set[tuple[str, str]] = set()
    for fault in faults:
        if fault.id == "F75":
            made.caught.append(Caught("F75", *fault.kind[:3], (), None, None, day.date, 0, 0))
        for feed, entity in fault.lanes():
            told = items(feed, entity)
            if fault.kind.outcome in ("refused", "missing"):
                lost_lanes.add((feed, entity))
                affected = list(told)
            else:
                affected = _choose_rows(seed, made, fault.id, feed, entity, told)
            if fault.id in ("F30", "F37"):
                lost |= {told[i].key for i in made.chosen(fault.id, feed, entity)[(1 if fault.id == "F37" else 0) :]}
            fen = sum(money(feed, item) for item in affected)
            made.caught.append(
                Caught(
                    fault.id,
                    fault.kind.name,
                    fault.kind.control,
                    fault.kind.outcome,
                    fault.kind.causes,
                    feed,
                    entity,
                    day.date,
                    len(affected),
                    fen,
                )
            )
    return Plan(day.date, faults, made.rows, made.caught, frozenset(lost_lanes), frozenset(lost))


def _choose_rows(seed: int, made: Plan, fault: str, feed: str, entity: str, told: Sequence[Any]) -> list[Any]:
    """Which rows of the lane a fault touches; those of the lane's other faults are left alone.

    Returns the rows that must not count.
    """
    wanted = {"F04": 2, "F19": 3, "F30": 3, "F37": 2}.get(fault, 0)
    taken = {i for (_, f, e), chosen in made.rows.items() if (f, e) == (feed, entity) for i in chosen}
    free = [i for i, t in enumerate(told) if i not in taken and _is_plain(t)] if wanted else []
    if len(free) < wanted:
        raise ValueError(
            f"{fault} needs {wanted} plain movements in {feed}|{entity}; there are {len(free)}. Choose a larger branch."
        )
    chosen = Random(f"{seed}:{fault}:{feed}:{entity}:{made.date}").sample(free, wanted)
    if wanted:
        made.rows[(fault, feed, entity)] = chosen
    if fault == "F37":
        original = told[chosen[1]]
        return [original, _dearer(original, 500)]
    return [told[i] for i in chosen] if fault in ("F19", "F30") else []


def _is_plain(item: Transaction) -> bool:
    return (
        item.status == "0"
        and item.reverses is None
        and item.initiator == "C"
        and item.is_financial
        and not item.counterparty
    )


def _dearer(item: Transaction, fen: int) -> Transaction:
    return item._replace(fen=item.fen + fen)


def spoil(
    planned: Plan, feed: str, entity: str, seq: int, items: Sequence[Any], before: Sequence[Any]
) -> Iterator[Spoilt]:
    """The file, or files, that a lane sends: none when it is absent, two when it is sent again.

    `before`: what the lane told the day before.
    """
    ids = planned.at(feed, entity)
    told = _spoil_rows(planned, feed, entity, items, ids)
    of_file = next((i for i in ids if KINDS[i].spoils_file), None)
    label = "+".join(ids) or None
    if of_file == "F23":
        return
    if of_file == "F01":
        yield Spoilt(told, seq, label, bytes_of=_with_bad_byte)
    elif of_file == "F11":
        yield Spoilt(told, seq, label, count_off=1)
    elif of_file == "F12":
        yield Spoilt(told, seq, label, sum_off=1)
    elif of_file == "F14":
        yield Spoilt(told, seq, label, has_signal=False)
    elif of_file == "F17":
        yield Spoilt(told, seq, label, bytes_of=lambda data: data[: len(data) * 7 // 10])
    elif of_file == "F19":
        chosen = set(planned.chosen("F19", feed, entity))
        wrong = [_dearer(t, 1_000) if i in chosen else t for i, t in enumerate(told)]
        yield Spoilt(wrong, seq, label)
        yield Spoilt(told, seq, label, replaces=seq)
    elif of_file == "F20":
        yield Spoilt(told, seq, label)
        yield Spoilt(told, seq + 1, label, replaces=seq)
    elif of_file == "F25":
        yield Spoilt(before, seq, label, row_date=planned.date - timedelta(days=1))
    else:
        yield Spoilt(told, seq, label)


def _spoil_rows(planned: Plan, feed: str, entity: str, items: Sequence[Any], ids: list[str]) -> list[Any]:
    told = list(items)
    for i in planned.chosen("F04", feed, entity) if "F04" in ids else []:
        told[i] = told[i]._replace(remark=BACKSLASH_REMARK)
    for i in planned.chosen("F30", feed, entity) if "F30" in ids else []:
        told[i] = told[i]._replace(code=UNKNOWN_CODE)
    if "F37" in ids:
        equal, different = planned.chosen("F37", feed, entity)
        told += [told[equal], _dearer(told[different], 500)]
    return told


def _with_bad_byte(data: bytes) -> bytes:
    """A byte that begins no character, at the beginning of a line in the middle."""
    at = data.rfind(b"\n", 0, len(data) // 2) + 1
    return data[:at] + b"\xff" + data[at:]
