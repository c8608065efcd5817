"""What the systems beside the core tell of a day: the old mainframe, the card system, the clearing house, market data, cost sheets."""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import cache
from typing import NamedTuple

from jobs.demo_bank.activity import rng_of
from jobs.demo_bank.encoding import Row, yuan
from jobs.demo_bank.mainframe import LegacyAccount, can_write
from jobs.demo_bank.population import Population
from jobs.demo_bank.truth import Day

INSTRUMENTS = (
    ("YEB7D", "余额宝, 七日年化", 1_650_000),
    ("LQT7D", "零钱通, 七日年化", 1_700_000),
    ("CXDM", "本行活期", 50_000),
    ("CX3M", "本行定期 三个月", 650_000),
    ("CX1Y", "本行定期 一年", 950_000),
    ("CX3Y", 'The "three-year" deposit, 本行定期 三年', 1_250_000),
    ("LPR1Y", "贷款市场报价利率 一年", 3_000_000),
    ("LPR5Y", "贷款市场报价利率 五年以上", 3_500_000),
    ("DR007", "银行间七天质押回购", 1_480_000),
    ("SHIBOR3M", "上海银行间同业拆放 三个月", 1_560_000),
    ("CGB1Y", "国债收益率 一年", 1_370_000),
    ("CGB10Y", "国债收益率 十年", 1_780_000),
)
COST_ELEMENTS = ("租金", "水电", "物业", "人工", "信息技术", "其他")


class CardMovement(NamedTuple):
    """An authorisation (A) or its clearing (C); fen; `fee` is what the scheme takes or gives back."""

    rrn: str
    stan: str
    card_no: str
    at: datetime
    kind: str
    merchant: str
    fen: int
    fee: int


def legacy_accounts(people: Population, day: Day, province: str) -> Sequence[LegacyAccount]:
    """A quarter of the first customers of a province still have an account there."""
    base = people.records[: people.base_records]
    owners = [r for r in base if r.province == province and r.kind == "1" and can_write(r.name)][::4]
    made = []
    for n, owner in enumerate(owners):
        steady = rng_of(people.seed, "legacy", owner.customer_no)
        today = rng_of(people.seed, "legacy", owner.customer_no, day.date)
        opened = date(1951, 3, 1) + timedelta(days=steady.randrange(24_000))
        balance = steady.randrange(2_000_000) + today.randrange(-30_000, 30_000)
        holds = tuple(
            (reason, 100 + steady.randrange(90_000))
            for reason in ("CT", "TX", "AM")[: steady.choice((0, 0, 0, 1, 2, 3))]
        )
        status = steady.choice("AAAAAD")
        made.append(
            LegacyAccount(
                f"{province}{n:010d}",
                owner.name,
                opened,
                balance,
                steady.choice((0, 0, 500_000)),
                steady.randrange(1, 9999),
                status,
                holds,
            )
        )
    return made


def card_movements(people: Population, day: Day, entity: str) -> Sequence[CardMovement]:
    rng = rng_of(people.seed, "cards", day.date)
    known = people.cards()
    made = []
    for n in range(people.scale.transactions * 4 // 15):
        at = datetime.combine(day.date, datetime.min.time()) + timedelta(seconds=rng.randrange(86_400))
        kind = rng.choice("AAC")
        fee = rng.choice((0, 38, -12)) if kind == "C" else 0
        merchant = f"MERCHANT {rng.randrange(900):03d}"
        made.append(
            CardMovement(
                f"{day.date:%y%j}{n:07d}",
                f"{n % 10**6:06d}",
                rng.choice(known),
                at,
                kind,
                merchant,
                100 + rng.randrange(300_000),
                fee,
            )
        )
    return made


def card_row(people: Population, m: CardMovement, day: date) -> Row:
    digits = f"{m.fen:012d}"
    zoned = digits[:-1] + "{ABCDEFGHI"[int(digits[-1])]
    fee = f"{yuan(abs(m.fee))}{'-' if m.fee < 0 else ''}"
    return (
        m.rrn,
        m.stan,
        m.card_no,
        f"{day:%y%m%d}",
        f"{m.at:%y%m%d%H%M%S}",
        m.kind,
        m.merchant,
        zoned,
        fee.rjust(10),
        "CNY",
    )


def market_rates(people: Population, day: Day, entity: str) -> Sequence[tuple[str, str, int]]:
    rng = rng_of(people.seed, "market", day.date)
    return [(code, name, base + rng.randrange(-20_000, 20_001)) for code, name, base in INSTRUMENTS]


def market_row(people: Population, rate: tuple[str, str, int], day: date) -> Row:
    code, name, millionths = rate
    quoted = '"' + name.replace('"', '""') + '"'
    return code, quoted, f"{millionths // 10**6}.{millionths % 10**6:06d}", day.isoformat()


def clearing_entries(people: Population, day: Day, entity: str) -> Sequence[tuple[int, int, str, date, str]]:
    """(number, fen, direction, value date, remark) of each. The clearing house works when banks do, on a working weekend too."""
    if day.date not in working_days():
        return []
    rng = rng_of(people.seed, "clearing", day.date)
    return [
        (
            n,
            10_000 + rng.randrange(90_000_000),
            rng.choice(("CRDT", "DBIT")),
            day.date + timedelta(days=rng.choice((0, 0, 1))),
            f"大额支付 & 轧差 {n}",
        )
        for n in range(1, 9 + rng.randrange(8))
    ]


def clearing_row(people: Population, entry: tuple[int, int, str, date, str], day: date) -> Row:
    number, fen, direction, value, remark = entry
    statement = f"CLR-{day:%Y%m%d}"
    return (
        statement,
        "CN99CLRG0000000000000001",
        f"{statement}-{number}",
        yuan(fen),
        "CNY",
        direction,
        day.isoformat(),
        value.isoformat(),
        f"E2E{day:%y%m%d}{number:05d}",
        remark,
    )


def branch_costs(people: Population, day: Day, province: str) -> Sequence[tuple[str, str, int, date]]:
    """(outlet, element, fen, last day of the month) of the month before, told on the fifth working day."""
    return costs_of(people, day.date, province) if is_fifth_working_day(day.date) else []


def costs_of(people: Population, day: date, province: str) -> Sequence[tuple[str, str, int, date]]:
    """The same, whatever day it is told on."""
    last = day.replace(day=1) - timedelta(days=1)
    rng = rng_of(people.seed, "costs", province, last)
    return [
        (b.branch_id, element, 50_000 + rng.randrange(3_000_000), last)
        for b in people.outlets
        if b.province == province
        for element in COST_ELEMENTS
    ]


def cost_row(people: Population, cost: tuple[str, str, int, date], day: date) -> Row:
    outlet, element, fen, last = cost
    return outlet, f"{last:%Y-%m}", element, yuan(fen), last.isoformat(), day.isoformat()


def is_fifth_working_day(day: date) -> bool:
    first = day.replace(day=1)
    month = [first + timedelta(days=n) for n in range(calendar.monthrange(day.year, day.month)[1])]
    return [d for d in month if d in working_days()][4:5] == [day]


@cache
def working_days() -> frozenset[date]:
    from jobs.demo_bank.feeds import calendar_days

    return frozenset(date.fromisoformat(d) for d, is_working, _, _ in calendar_days() if is_working == "true")
