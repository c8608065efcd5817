"""Branches, parties, customer records, accounts and loans: who the bank knows, and since when.

The base exists before the history begins. `grow` adds what one business day brings; growth of a day depends on the seed
and the day only, and days are added in order, so that the population as of a day is a prefix of every later one.
"""

from __future__ import annotations

import hashlib
import math
from datetime import date, timedelta
from random import Random

from jobs.demo_bank import people
from jobs.demo_bank.codes import PRODUCT, PRODUCTS
from jobs.demo_bank.scale import Scale
from jobs.demo_bank.truth import Account, Branch, Loan, Party, Record

FOUNDED = date(2015, 1, 1)
TOWNS = ("城关", "解放路", "人民广场", "河口", "新华", "东风", "向阳", "石桥", "柳林", "白沙")
PLACES = {
    "11": "北京",
    "13": "河北",
    "21": "辽宁",
    "32": "江苏",
    "33": "浙江",
    "37": "山东",
    "41": "河南",
    "42": "湖北",
    "44": "广东",
    "51": "四川",
}
HABITS = ("counter", "mixed", "digital")
ONLINE_OPENING = ("SJ", "SJ", "SJ", "WY", "XCX")


def branches(scale: Scale, first: date) -> list[Branch]:
    """Outlets by size, the largest about twenty times the smallest; one in four rural, one in six smart.

    The head office comes last.
    """
    weights = [math.exp(-3.0 * i / max(1, scale.outlets - 1)) for i in range(scale.outlets)]
    total = sum(weights)
    made = []
    for i, weight in enumerate(weights):
        province = scale.provinces[i % len(scale.provinces)]
        town = TOWNS[i % len(TOWNS)] + (str(i // len(TOWNS) + 1) if i >= len(TOWNS) else "")
        made.append(
            Branch(
                f"b{i + 1:02d}",
                i + 1,
                f"{PLACES[province]}{town}支行",
                "WD",
                province,
                f"{province}01{i + 1:02d}",
                i % 4 == 3,
                i % 6 == 0,
                weight / total,
                FOUNDED,
            )
        )
    head = Branch("HO", 0, "总行", "HO", scale.provinces[0], f"{scale.provinces[0]}0100", False, False, 0.0, FOUNDED)
    return [*made, head]


class Population:
    """Everybody and everything the bank has, in the order in which it came."""

    def __init__(self, seed: int, scale: Scale, first: date) -> None:
        self.seed, self.scale, self.first = seed, scale, first
        self.branches = branches(scale, first)
        self.outlets = [b for b in self.branches if b.outlet_type == "WD"]
        self.by_id = {b.branch_id: b for b in self.branches}
        self.parties: list[Party] = []
        self._owned: set[int] = set()
        self.records: list[Record] = []
        self.record: dict[str, Record] = {}
        self.accounts: list[Account] = []
        self.loans: list[Loan] = []
        # Accounts that move from day to day, by branch: demand accounts, in the order of their opening.
        self.moving: dict[str, list[Account]] = {b.branch_id: [] for b in self.outlets}
        self.accounts_of: dict[str, list[Account]] = {}
        self.grown: date = first - timedelta(days=1)
        self._closing: dict[date, list[int]] = {}
        self._freezing: dict[date, list[int]] = {}
        self._make_base()
        self.base_records = len(self.records)
        self.base_accounts = len(self.accounts)
        self.base_loans = len(self.loans)

    def _rng(self, *purpose: object) -> Random:
        return Random(":".join(map(str, (self.seed, *purpose))))

    def _make_base(self) -> None:
        rng = self._rng("base")
        scale = self.scale
        opened = (self.first - FOUNDED).days
        for number in range(scale.persons + scale.firms):
            self._add_party(rng, number, is_firm=number >= scale.persons)
        owners = [*range(scale.persons + scale.firms)]
        owners += [rng.randrange(scale.persons) for _ in range(scale.records - len(owners))]
        for owner in owners:
            self._add_record(rng, owner, FOUNDED + timedelta(days=rng.randrange(opened)))
        for index in range(scale.accounts):
            record = (
                self.records[index]
                if index < len(self.records)
                else self.records[int(rng.random() ** 1.5 * len(self.records))]
            )
            since = record.created_on
            if index >= len(self.records):
                since += timedelta(days=rng.randrange((self.first - since).days))
            self._add_account(rng, record, since, is_first=index < len(self.records))
        for _ in range(scale.loans):
            term = rng.choice((360, 720, 1080, 1800))
            self._add_loan(rng, self.first - timedelta(days=rng.randrange(1, term - 60)), term)

    def _add_party(self, rng: Random, number: int, *, is_firm: bool) -> None:
        province = rng.choice(self.scale.provinces)
        if is_firm:
            self.parties.append(
                Party(number, "2", people.firm_name(rng, number), "02", people.uscc(number), province, False)
            )
            return
        kind = "3" if rng.random() < 0.03 else "1"
        id_number = people.id_number(rng, province, number)
        self.parties.append(
            Party(number, kind, people.person_name(rng), "01", id_number, province, rng.random() < 0.15)
        )

    def _add_record(self, rng: Random, owner: int, created_on: date) -> Record:
        """A customer number at an outlet.

        A second one of the same person agrees in ID and name, but for a few written wrongly.
        """
        party = self.parties[owner]
        branch = rng.choices(self.outlets, weights=[b.share for b in self.outlets])[0]
        number = len(self.records)
        name, id_number = party.name, party.id_number
        if owner in self._owned and party.kind != "2":
            draw = rng.random()
            if "·" in name:
                name = name.replace("·", "•")
            elif draw < 0.06:
                name = people.misspelt(rng, name)
            elif draw < 0.10:
                id_number = id_number[:17] + ("0" if id_number[17] != "0" else "1")
            elif draw < 0.12:
                id_number = id_number.translate(people.FULL_WIDTH)
        device = hashlib.sha256(f"{self.seed}:device:{number}".encode()).hexdigest()[:32].upper()
        record = Record(
            f"{branch.number:02d}{number:08d}",
            owner,
            branch.branch_id,
            party.kind,
            party.id_kind,
            id_number,
            name,
            people.phone(number),
            party.province,
            rng.choice(("own", "own", "own", "partner", "campaign", "referral")),
            party.is_farmer,
            rng.choices(HABITS, weights=(30, 40, 30))[0],
            device,
            created_on,
        )
        self.records.append(record)
        self.record[record.customer_no] = record
        self._owned.add(owner)
        return record

    def _add_account(self, rng: Random, record: Record, opened_on: date, *, is_first: bool) -> Account:
        number = len(self.accounts)
        if is_first and rng.random() < 0.9:
            product = PRODUCT["CX01"]
        else:
            product = rng.choice([p for p in PRODUCTS if p.kind != "LN"])
        channel = (
            rng.choice(ONLINE_OPENING)
            if rng.random() < (0.1 if record.habit == "counter" else 0.6)
            else rng.choice(("01", "01", "YDZY"))
        )
        is_base = opened_on < self.first
        closed_on = frozen_on = None
        if is_base:
            draw = rng.random()
            day = self.first + timedelta(days=1 + rng.randrange(400))
            if draw < 0.4 and not is_first:
                closed_on = day
            elif draw > 0.9:
                frozen_on = day
        small = rng.random() < 0.2
        middle = {"DM": 10.2, "TM": 10.5}.get(product.kind, 9.4)
        balance = rng.randrange(8_000) if small else min(int(100 * math.exp(rng.gauss(middle, 1.0))), 10**10)
        branch = self.by_id[record.branch_id]
        body = f"6217{branch.number:03d}{number:011d}"
        account = Account(
            body + _luhn(body),
            record.customer_no,
            record.branch_id,
            product.entity,
            product.line,
            product,
            channel,
            opened_on,
            closed_on,
            frozen_on,
            balance if is_base else 0,
        )
        self.accounts.append(account)
        self.accounts_of.setdefault(record.customer_no, []).append(account)
        if product.kind == "DM":
            self.moving[record.branch_id].append(account)
        if closed_on:
            self._closing.setdefault(closed_on, []).append(number)
        if frozen_on:
            self._freezing.setdefault(frozen_on, []).append(number)
        return account

    def _add_loan(self, rng: Random, signed_on: date, term: int) -> Loan:
        record = self.records[rng.randrange(len(self.records))]
        draw = rng.random()
        overdue_from = signed_on + timedelta(days=rng.randrange(20, term)) if draw < 0.06 else None
        repaid_on = signed_on + timedelta(days=term if draw < 0.8 else rng.randrange(term // 2, term))
        loan = Loan(
            f"L{len(self.loans):07d}",
            record.customer_no,
            record.branch_id,
            rng.randrange(345, 1200),
            rng.choice("ACFGHIS"),
            rng.choice(("farming", "trade", "equipment", "consumption")),
            rng.random() < 0.5,
            rng.random() < 0.4,
            signed_on,
            rng.randrange(10, 500) * 100_000,
            term,
            overdue_from,
            repaid_on,
        )
        self.loans.append(loan)
        return loan

    def grow(self, day: date) -> tuple[list[Record], list[Account], list[Loan]]:
        """New customers, accounts and loans of the next day. Days must be grown in order."""
        if day != self.grown + timedelta(days=1):
            due = self.grown + timedelta(days=1)
            raise ValueError(f"the population stands at {self.grown}; the next day to grow is {due}, not {day}")
        rng = self._rng("growth", day)
        records, accounts, loans = [], [], []
        for i in range(self.scale.new_records):
            if i % 6 == 5:
                owner = rng.randrange(self.scale.persons)
            else:
                owner = len(self.parties)
                self._add_party(rng, owner, is_firm=i % 11 == 10)
            record = self._add_record(rng, owner, day)
            records.append(record)
            accounts.append(self._add_account(rng, record, day, is_first=True))
        for _ in range(self.scale.new_records):
            accounts.append(self._add_account(rng, self.records[rng.randrange(self.base_records)], day, is_first=False))
        for _ in range(max(1, self.scale.loans // 400)):
            loans.append(self._add_loan(rng, day, rng.choice((360, 720, 1080))))
        self.grown = day
        return records, accounts, loans

    def changed_records(self, day: date) -> list[Record]:
        """Records of the base whose phone number is new from this day on;

        none on the day on which the base itself is told.
        """
        if day <= self.first:
            return []
        rng = self._rng("changes", day)
        picked = rng.sample(range(self.base_records), min(self.scale.changed_records, self.base_records))
        start = 5_000_000 + (day - self.first).days * self.scale.changed_records
        return [self.records[i]._replace(phone=people.phone(start + n)) for n, i in enumerate(sorted(picked))]

    def changed_accounts(self, day: date) -> list[Account]:
        """Accounts of the base that close or are frozen on this day."""
        return [self.accounts[i] for i in sorted(self._closing.get(day, []) + self._freezing.get(day, []))]

    def closing(self, day: date) -> list[Account]:
        return [self.accounts[i] for i in self._closing.get(day, [])]

    def cards(self) -> list[str]:
        """Card numbers: of a range that no scheme gives out, with a right check digit."""
        bodies = [f"99999900{n:07d}" for n in range(max(20, self.scale.records // 10))]
        return [body + _luhn(body) for body in bodies]

    def identifiers(self) -> dict[str, set[str]]:
        """Every clear identifier that the bank may send, by kind: what must be found nowhere behind the vault."""
        changed = (
            r
            for offset in range((self.grown - self.first).days + 1)
            for r in self.changed_records(self.first + timedelta(days=offset))
        )
        everybody = [*self.records, *changed]
        return {
            "id_number": {r.id_number for r in everybody},
            "name": {r.name for r in everybody},
            "phone": {r.phone for r in everybody},
            "device": {r.device_id for r in everybody},
            "card": set(self.cards()),
        }


def _luhn(body: str) -> str:
    doubled = [int(d) * (2 - i % 2) for i, d in enumerate(reversed(body))]
    return str(-sum(d - 9 if d > 9 else d for d in doubled) % 10)
