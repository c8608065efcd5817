"""The bank in a box: its days, one after another, and the files in which it tells of them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from jobs.demo_bank import activity, crm, dealings, general_ledger, other_systems
from jobs.demo_bank.archives import for_the_bank
from jobs.demo_bank.encoding import Writer, yuan
from jobs.demo_bank.faults import ARCHIVES as HOSTILE
from jobs.demo_bank.faults import KINDS, Plan, Spoilt, plan, spoil, spread
from jobs.demo_bank.faults.files import Way
from jobs.demo_bank.feeds import ARCHIVES, FEEDS, ONCE_AT_TAKE_ON, Feed, calendar_days
from jobs.demo_bank.population import Population
from jobs.demo_bank.scale import LAST_DAY_OF_HISTORY, SCALES
from jobs.demo_bank.truth import Day, Transaction

TAKE_ON = "TAKEON"
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Sent:
    """One file as a sender puts it into the inbox. Its signal is written last; `signal` None: the sender forgot it.

    `replaces` names the file that this one corrects or repeats: send it when that one has been dealt with.
    `data` of an encrypted file are its clear bytes: they are the same each time, what is written is not.
    """

    feed: str
    entity: str
    business_date: date
    seq: int
    file_name: str
    data: bytes
    signal: str | None
    rows: int
    money: int | None
    fault: str | None = None
    replaces: str | None = None
    members: tuple[Sent, ...] = ()  # of an archive
    is_encrypted: bool = False
    way: Way = "whole"
    comes: int = 0  # days after its business date

    @property
    def path(self) -> Path:
        """Within the inbox."""
        return Path(self.feed) / self.entity / self.business_date.isoformat() / self.file_name

    def write(self, inbox: Path) -> Path:
        """The whole of it, its signal last."""
        target = self._put(inbox, self._message())
        if self.signal is not None:
            self._signal(target)
        return target

    def begin(self, inbox: Path) -> None:
        """What is seen first of a file that does not come whole: its signal alone, or half of it under the signal of the whole."""
        whole = self._message()
        target = self._put(inbox, whole[: len(whole) // 2])
        if self.way == "signal_first":
            target.unlink()
        self._signal(target)

    def finish(self, inbox: Path) -> None:
        """The whole file, under the signal that lies there."""
        self._put(inbox, self._message())

    def _message(self) -> bytes:
        """The bytes of the file as they lie in the inbox."""
        return for_the_bank(self.data) if self.is_encrypted else self.data

    def _put(self, inbox: Path, data: bytes) -> Path:
        target = inbox / self.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        return target

    def _signal(self, target: Path) -> None:
        Path(f"{target}.ok").write_text(self.signal or "", encoding="utf-8")


class DemoBank:
    """Days are told in order; asking for an earlier one begins again from the seed. The last days told are kept."""

    def __init__(self, seed: int = 20260915, scale: str = "S") -> None:
        if scale not in SCALES:
            raise ValueError(f"there is no scale {scale}; known: {', '.join(SCALES)}")
        self.seed, self.scale_name = seed, scale
        self.scale = SCALES[scale]
        self.history_end = LAST_DAY_OF_HISTORY
        self.first = LAST_DAY_OF_HISTORY - timedelta(days=self.scale.history_days - 1)
        self._start()

    def _start(self) -> None:
        self.people = Population(self.seed, self.scale, self.first)
        self._balances = {a.account_no: a.balance for a in self.people.accounts}
        self._carried: dict[str, list[Transaction]] = {}
        self._ledger = dict(general_ledger.standing((a, a.balance) for a in self.people.accounts))
        self._told: dict[date, Day] = {}
        self._past: dict[date, Day] = {}

    @property
    def first_live_day(self) -> date:
        return self.history_end + ONE_DAY

    def day(self, wanted: date) -> Day:
        """What is true of one business day. Raises ValueError before the history begins."""
        if wanted < self.first:
            raise ValueError(f"the bank's history begins on {self.first}; {wanted} is before it")
        if wanted not in self._told:
            if self.people.grown >= wanted:
                self._start()
            while self.people.grown < wanted:
                made = self._next()
                self._told[made.date] = made
                self._told.pop(made.date - 3 * ONE_DAY, None)
        return self._told[wanted]

    def days(self, first: date, last: date) -> Iterator[Day]:
        for n in range((last - first).days + 1):
            yield self.day(first + n * ONE_DAY)

    def _next(self) -> Day:
        people = self.people
        day = people.grown + ONE_DAY
        is_first = day == self.first
        records, accounts, loans = people.grow(day)
        self._balances.update({a.account_no: 0 for a in accounts})
        rate = activity.rates(self.seed, day)
        sold = dealings.sales(self.seed, people, day)
        registered = [
            activity.registration(s, a)
            for s in sold
            if s.status == "completed"
            for a in people.accounts_of.get(s.customer_no, [])
            if a.account_no == s.account_no
        ]
        transactions: list[Transaction] = []
        carried: dict[str, list[Transaction]] = {}
        for branch in people.outlets:
            opened = [a for a in accounts if a.branch_id == branch.branch_id]
            wanted = activity.intents(self.seed, people, branch, day, opened)
            rng = activity.rng_of(self.seed, "carried", branch.branch_id, day)
            wanted += [
                activity.reversal(rng, t, 30_000 + rng.randrange(20_000))
                for t in self._carried.get(branch.branch_id, [])
            ]
            wanted += [i for i in registered if i.account.branch_id == branch.branch_id]
            posted, carried[branch.branch_id] = activity.book(self.seed, branch, day, wanted, self._balances, rate)
            transactions += posted
        self._carried = carried
        told_records = (
            (people.records[: people.base_records] if is_first else []) + records + people.changed_records(day)
        )
        told_accounts = (
            (people.accounts[: people.base_accounts] if is_first else []) + accounts + people.changed_accounts(day)
        )
        told_loans = (people.loans[: people.base_loans] if is_first else []) + loans
        standing = [
            (a, self._balances[a.account_no]) for a in people.accounts if a.closed_on is None or a.closed_on > day
        ]
        gl = general_ledger.balances(people.outlets, self._ledger, transactions)
        self._ledger.update({(b.branch_id, b.subject): b.closing for b in gl})
        return Day(
            day,
            tuple(told_records),
            tuple(told_accounts),
            tuple(standing),
            tuple(transactions),
            tuple(sold),
            tuple(dealings.events(self.seed, people, day, self.scale.events)),
            tuple(dealings.processes(self.seed, people, day)),
            tuple(told_loans),
            tuple(activity.loan_states(people.loans, day)),
            rate,
            tuple(gl),
        )

    def take_on(self, inbox: Path, *, until: date | None = None) -> list[Path]:
        """Write the history: one delivery a feed, of all branches and business dates, its date the last of them.

        Signals come last.
        """
        last = until or self.history_end
        with ExitStack() as stack:
            streams = [_Stream(feed, inbox, last, stack) for feed in FEEDS.values()]
            for day in self.days(self.first, last):
                for stream in streams:
                    if day.date == self.first or stream.feed.name not in ONCE_AT_TAKE_ON:
                        stream.add(self, day)
            for stream in streams:
                stream.close()
        for stream in streams:
            stream.write_signal()
        return [stream.path for stream in streams]

    def day_files(self, day: date, faults: Sequence[str] = (), *, branch: str | None = None) -> Iterator[Sent]:
        """The files of one business day in the order of their sending: streams, head office, branches, then repeats and
        corrections.

        `faults` are ids of the catalogue, such as "F11" or "F11:core_transactions:b03" (see `jobs.demo_bank.faults`).
        `branch` narrows to the files of one branch.
        """
        if any(f.startswith("F25") for f in faults) and day > self.first:
            self.day(day - ONE_DAY)  # yesterday's rows are told under today's name
        told = self.day(day)
        planned = self.plan(day, faults)
        later: list[Sent] = []
        packed: dict[str, list[Sent]] = {name: [] for name in ARCHIVES}
        for feed in FEEDS.values():
            if feed.sender == "configuration":
                continue
            if feed.sender == "branch":
                yield from _archives(packed, planned)
            for entity in feed.senders(self.people):
                if branch not in (None, entity):
                    continue
                for seq in range(1, feed.parts + 1):
                    for n, sent in enumerate(self._files(feed, entity, seq, told, planned)):
                        if feed.packed_in:
                            packed[feed.packed_in].append(sent)
                        elif n:
                            later.append(sent)
                        else:
                            yield sent
        yield from later

    def plan(self, day: date, faults: Sequence[str]) -> Plan:
        """Which faults happen where on a day, what must be caught and what does not count.

        Raises ValueError for faults that cannot be.
        """
        told = self.day(day)
        return plan(
            self.seed,
            told,
            faults,
            lambda feed, entity: self._items(feed, told, entity, faults),
            lambda feed, item: FEEDS[feed].fen(item),
            self._earlier,
        )

    def spread(self, first: date) -> dict[date, list[str]]:
        """All faults that the bank can commit, over as many days from `first` on as they need."""
        working = {d for d, is_working, _, _ in calendar_days() if is_working == "true"}
        makeup = {d for d, _, _, is_makeup in calendar_days() if is_makeup == "true"}
        feeds = [*FEEDS, *ARCHIVES, crm.COMPLAINTS, crm.CONTACTS]
        return spread(first, feeds, lambda day: day.isoformat() in working, lambda day: day.isoformat() in makeup)

    def _earlier(self, day: date) -> Day:
        """A day of the past, without beginning this bank anew."""
        if day not in self._past:
            self._past[day] = DemoBank(self.seed, self.scale_name).day(day)
        return self._past[day]

    def at_the_office(self, day: date, faults: Sequence[str] = ()) -> tuple[list[crm.Change], list[crm.Change]]:
        """What is written on a day into the tables that the platform fetches from: what a fault has looked at first, and the rest."""
        upsets = self.plan(day, faults).upsets
        own = [*crm.changes(self.people, day), *(change for upset in upsets for change in upset.beside)]
        return [change for upset in upsets for change in upset.before], own

    def office_history(self) -> Iterator[crm.Change]:
        """The same of all days of the history."""
        for n in range(self.scale.history_days):
            yield from crm.changes(self.people, self.first + n * ONE_DAY)

    def _items(self, feed: str, day: Day, entity: str, faults: Sequence[str]) -> Sequence[Any]:
        """What a lane tells; a workbook that is to be spoilt is sent on a day on which none is owed."""
        if feed in (crm.COMPLAINTS, crm.CONTACTS):
            return [change for change in crm.changes(self.people, day.date) if change.feed == feed]
        if any(f.startswith("F80") for f in faults) and feed == "branch_costs":
            return other_systems.costs_of(self.people, day.date, entity)
        return FEEDS[feed].items(self.people, day, entity)

    def send_day(self, inbox: Path, day: date, *, faults: Sequence[str] = (), branch: str | None = None) -> list[Sent]:
        """Write a day's files at once (a corrected file then lies where the first one lay;

        to see both, write them one after the other).
        """
        files = list(self.day_files(day, faults, branch=branch))
        for sent in files:
            sent.write(inbox)
        return files

    def _files(self, feed: Feed, entity: str, seq: int, day: Day, planned: Plan) -> Iterator[Sent]:
        ids = planned.at(feed.name, entity)
        told = planned.told(feed.name, entity, self._items(feed.name, day, entity, ids))
        if feed.hour is not None:
            told = [t for t in told if feed.hour(t.item) * feed.parts // 24 == seq - 1]
        if not told and (feed.hour is not None or feed.is_silent) and "F18" not in ids:
            return  # a stream with nothing to tell sends nothing
        yesterday = self._told.get(day.date - ONE_DAY)
        before = list(feed.items(self.people, yesterday, entity)) if yesterday else []
        others = feed.senders(self.people)
        other = feed.items(self.people, day, others[1] if entity == others[0] else others[0]) if len(others) > 1 else []
        for spoilt in spoil(planned, feed.name, entity, seq, told, before, other, seq == 1):
            yield self._sent(feed, entity, day, spoilt)

    def _sent(self, feed: Feed, entity: str, day: Day, spoilt: Spoilt) -> Sent:
        out = io.BytesIO()
        writer = feed.encoder.open(out, entity, day.date)
        row_date = spoilt.row_date or day.date
        rows = [(t, feed.row(self.people, t.item, row_date)) for t in spoilt.told]
        writer.add([t.fields(row) if t.fields else row for t, row in rows])
        count, money = len(rows), sum(feed.money(t.item) for t, _ in rows) if feed.money else None
        writer.close(count + spoilt.count_off, yuan(money + spoilt.sum_off) if money is not None else "")
        data = spoilt.bytes_of(out.getvalue())
        name = feed.file_name(entity, day.date, spoilt.seq)
        digest = spoilt.signal_hash or hashlib.sha256(data).hexdigest()
        signal = f"{name}|{count}|{yuan(money) if money is not None else ''}|{digest}\n"
        return Sent(
            feed.name,
            entity,
            day.date,
            spoilt.seq,
            name,
            data,
            signal if spoilt.has_signal else None,
            count,
            money,
            spoilt.fault,
            feed.file_name(entity, day.date, spoilt.replaces) if spoilt.replaces else None,
            way=spoilt.way,
            comes=max((KINDS[f].comes for f in (spoilt.fault or "").split("+") if f), default=0),
        )


def _archives(packed: dict[str, list[Sent]], planned: Plan) -> Iterator[Sent]:
    """What is sent packed, each archive with the signal of its members inside, and then what hides as one; each is given once."""
    for name, members in packed.items():
        if not members:
            continue
        archive = _archive(name, members)
        yield archive
        hostile = [fault for fault in planned.at(name, archive.entity) if fault in HOSTILE]
        for seq, fault in enumerate(hostile, start=2):
            data = HOSTILE[fault]()
            file_name = ARCHIVES[name].pattern.format(entity=archive.entity, date=f"{planned.date:%Y%m%d}", seq=seq)
            signal = f"{file_name}|1||{hashlib.sha256(data).hexdigest()}\n"
            yield Sent(name, archive.entity, planned.date, seq, file_name, data, signal, 1, None, fault)
    packed.clear()


def _archive(name: str, members: list[Sent]) -> Sent:
    first, archive = members[0], ARCHIVES[name]
    file_name = archive.pattern.format(entity=first.entity, date=f"{first.business_date:%Y%m%d}", seq=1)
    said = "".join(member.signal or "" for member in members).encode()
    data = archive.pack([*((m.file_name, m.data) for m in members), (f"{name}.OK", said)])
    # An OpenPGP message guards its bytes itself.
    digest = "" if archive.is_encrypted else hashlib.sha256(data).hexdigest()
    return Sent(
        name,
        first.entity,
        first.business_date,
        1,
        file_name,
        data,
        f"{file_name}|{len(members)}||{digest}\n",
        len(members),
        None,
        members=tuple(members),
        is_encrypted=archive.is_encrypted,
    )


class _Stream:
    """One feed's take-on file while it grows day by day."""

    def __init__(self, feed: Feed, inbox: Path, last: date, stack: ExitStack) -> None:
        self.feed, self.count, self.money = feed, 0, 0
        folder = inbox / feed.name / TAKE_ON / last.isoformat()
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / feed.file_name(TAKE_ON, last, 1)
        self._out: BinaryIO = stack.enter_context(self.path.open("wb"))
        self._writer: Writer = feed.encoder.open(self._out, TAKE_ON, last)

    def add(self, bank: DemoBank, day: Day) -> None:
        people, feed = bank.people, self.feed
        items: list[Any] = [item for entity in feed.senders(people) for item in feed.items(people, day, entity)]
        self._writer.add([feed.row(people, item, day.date) for item in items])
        self.count += len(items)
        self.money += sum(map(feed.money, items)) if feed.money else 0

    @property
    def stated(self) -> str:
        return yuan(self.money) if self.feed.money else ""

    def close(self) -> None:
        self._writer.close(self.count, self.stated)

    def write_signal(self) -> None:
        with self.path.open("rb") as data:
            digest = hashlib.file_digest(data, "sha256").hexdigest()
        Path(f"{self.path}.ok").write_text(f"{self.path.name}|{self.count}|{self.stated}|{digest}\n", encoding="utf-8")
