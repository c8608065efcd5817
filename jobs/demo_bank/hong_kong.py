"""What the bank's agent in Hong Kong tells of a day: deposits taken at its counters, quotes, and the turnover of its ledger. Nobody is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from jobs.demo_bank.activity import rng_of
from jobs.demo_bank.encoding import Row, yuan
from jobs.demo_bank.population import Population
from jobs.demo_bank.truth import Day

PRODUCTS = ("活期存款", "定期存款", "零存整付")
# 埗 and 鰂 are in the Big5 of Hong Kong only; the second byte of 育 is `|`, that of 功, 許 and 蓋 `\`.
REMARKS = ("深水埗分行存入", "鰂魚涌分行續存", "教育儲備", "特許櫃檯辦理成功", "旺角分行，覆蓋利息", "")
QUOTES = (
    ("USDHKD", "美元兌港元", 7_800_000),
    ("CNYHKD", "人民幣兌港元", 1_090_000),
    ("EURHKD", "歐元兌港元", 8_900_000),
    ("JPYHKD", "日圓兌港元", 52_000),
    ("HIBORON", "隔夜港元拆息", 2_900_000),
    ("HIBOR1W", "一星期港元拆息", 3_050_000),
    ("HIBOR1M", "一個月港元拆息", 3_200_000),
    ("HIBOR3M", "三個月港元拆息", 3_450_000),
    ("HIBOR6M", "六個月港元拆息", 3_500_000),
    ("HIBOR1Y", "十二個月港元拆息", 3_550_000),
)
SUBJECTS = (
    ("101100", "CASH ON HAND"),
    ("101200", "CASH IN MACHINES"),
    ("112100", "DUE FROM HEAD OFFICE"),
    ("113300", "CHEQUES IN COLLECTION"),
    ("201100", "SAVINGS DEPOSITS"),
    ("201200", "TIME DEPOSITS"),
    ("201300", "INSTALMENT DEPOSITS"),
    ("223100", "INTEREST PAYABLE"),
    ("224100", "REMITTANCES OUTSTANDING"),
    ("511100", "FEES EARNED"),
    ("521100", "INTEREST PAID"),
    ("531500", "OTHER COSTS"),
)
CURRENCY = "HKD"


class Deposit(NamedTuple):
    """Money taken at a counter, in cents."""

    receipt_no: str
    product: str
    cents: int
    remark: str


class Turnover(NamedTuple):
    """What was booked on one subject of the ledger in a day, in cents. Over all subjects debits and credits are equal."""

    subject: str
    name: str
    entries: int
    debit: int
    credit: int


def deposits(people: Population, day: Day, entity: str) -> Sequence[Deposit]:
    rng = rng_of(people.seed, "hk_deposits", day.date)
    return [
        Deposit(f"D{day.date:%y%m%d}{n:04d}", rng.choice(PRODUCTS), 10_000 + rng.randrange(20_000_000), rng.choice(REMARKS))
        for n in range(1, 21 + rng.randrange(15))
    ]  # fmt: skip


def deposit_row(people: Population, deposit: Deposit, day: date) -> Row:
    return (
        deposit.receipt_no,
        deposit.product,
        CURRENCY,
        yuan(deposit.cents),
        deposit.remark,
        f"{day:%Y%m%d}",
    )


def quotes(people: Population, day: Day, entity: str) -> Sequence[tuple[str, str, int, int]]:
    """(instrument, name, bid, ask) of each, in millionths."""
    rng = rng_of(people.seed, "hk_quotes", day.date)
    made = []
    for code, name, base in QUOTES:
        bid = base + rng.randrange(-base // 100, base // 100)
        made.append((code, name, bid, bid + 50 + rng.randrange(500)))
    return made


def quote_row(people: Population, quote: tuple[str, str, int, int], day: date) -> Row:
    code, name, *sides = quote
    return code, name, *(f"{side // 10**6}.{side % 10**6:06d}" for side in sides), day.isoformat()


def turnovers(people: Population, day: Day, entity: str) -> Sequence[Turnover]:
    """Forty entries, each a debit of one subject and a credit of another."""
    rng = rng_of(people.seed, "hk_ledger", day.date)
    entries: Counter[str] = Counter()
    debits: Counter[str] = Counter()
    credits: Counter[str] = Counter()
    for _ in range(40):
        (debited, _), (credited, _) = rng.sample(SUBJECTS, 2)
        cents = 1_000 + rng.randrange(9_000_000)
        entries.update((debited, credited))
        debits[debited] += cents
        credits[credited] += cents
    return [Turnover(s, name, entries[s], debits[s], credits[s]) for s, name in SUBJECTS]


def turnover_row(people: Population, turnover: Turnover, day: date) -> Row:
    """In the order of the contract's columns; numbers as they show once they are read."""
    return (
        turnover.subject,
        turnover.name,
        f"{day:%Y%m%d}",
        CURRENCY,
        str(turnover.entries),
        yuan(turnover.debit),
        yuan(turnover.credit),
        yuan(turnover.debit - turnover.credit),
    )
