"""What happens on one business day, from the seed and the population: movements, sales, events, processes, loans, rates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from random import Random
from typing import NamedTuple

from jobs.demo_bank.codes import BASE_RATES, PRODUCTS, REMARKS, to_cny
from jobs.demo_bank.population import Population
from jobs.demo_bank.truth import Account, Branch, Event, Loan, LoanState, Process, Record, Sale, Step, Transaction

CHANNEL_MIX = {
    "counter": (("01", "ATM", "DH", "YDZY"), (70, 25, 3, 2)),
    "mixed": (("01", "ATM", "SJ", "WY", "XCX", "KJ", "YDZY"), (20, 20, 35, 10, 5, 8, 2)),
    "digital": (("ATM", "SJ", "WY", "XCX", "KJ"), (10, 60, 12, 8, 10)),
}
CODES_AT = {
    "01": ("CK", "QK", "ZZ"), "ATM": ("CK", "QK", "QK", "ZZ"), "YDZY": ("ZZ", "JF"), "DH": ("ZZ", "JF"), "KJ": ("XF",),
    "SJ": ("ZZ", "XF", "JF"), "WY": ("ZZ", "JF"), "XCX": ("XF", "JF"),
}  # fmt: skip
EVENT_NAMES = ("query", "query", "transfer", "pay", "apply", "sign", "push_receipt", "background_refresh", "crash")
FUNNEL_STEPS = ("甄选", "撮合", "价格匹配", "交易")
PROCESSES = (
    ("account_open", "CX", ("apply", "identify", "review", "sign")),
    ("loan_apply", "XD", ("apply", "documents", "review", "decide", "sign")),
    ("card_loss", "ZF", ("report", "block")),
    ("policy_claim", "BX", ("report", "documents", "review", "pay_out")),
    ("fund_open", "JJ", ("apply", "risk_test", "sign")),
)


class Intent(NamedTuple):
    """A movement that somebody sets going, before the ledger has judged it. `fen` None means the whole balance."""

    second: int
    account: Account
    other: Account | None
    code: str
    channel: str
    origin: str
    initiator: str
    operator: str
    is_financial: bool
    direction: str
    fen: int | None
    currency: str
    is_failed: bool
    reverse: str | None
    original: Transaction | None


def rng_of(seed: int, *purpose: object) -> Random:
    return Random(":".join(map(str, (seed, *purpose))))


def rates(seed: int, day: date) -> dict[str, int]:
    """CNY per unit times 10^8: a slow wave and a little noise."""
    rng = rng_of(seed, "rates", day)
    wave = math.sin(day.toordinal() / 40)
    return {c: int(base * (1 + 0.01 * wave + 0.001 * rng.random())) for c, base in BASE_RATES.items()}


def share(total: int, branch: Branch) -> int:
    return max(1, round(total * branch.share))


def _amount(rng: Random, middle: float = 5.3) -> int:
    """Fen; the median is e^middle CNY, the smallest 1.00."""
    return max(100, min(int(100 * math.exp(rng.gauss(middle, 1.1))), 50_000_000))


def intents(seed: int, people: Population, branch: Branch, day: date, opened: list[Account]) -> list[Intent]:
    """What customers and the bank set going at one branch on one day. `opened`: accounts opened that day, which get a first deposit."""
    rng = rng_of(seed, "movements", branch.branch_id, day)
    moving = people.moving[branch.branch_id]
    found: list[Intent] = []
    for account in opened:
        deposit = rng.randrange(1_000, 2_000_000)
        operator = "T" if account.open_channel in ("01", "YDZY") else "C"
        found.append(
            Intent(32_400 + rng.randrange(3_600), account, None, "CK", account.open_channel, account.open_channel, "C", operator, True, "D",
                   deposit, "CNY", False, None, None)
        )  # fmt: skip
    for account in people.closing(day):
        if account.branch_id == branch.branch_id:
            found.append(Intent(86_100, account, None, "QK", "01", "01", "C", "T", True, "J", None, "CNY", False, None, None))
    for _ in range(share(people.scale.transactions, branch)):
        account = _open_account(rng, moving, day)
        if account is not None:
            found.append(_movement(rng, people, moving, account, day))
    return found


def _open_account(rng: Random, moving: list[Account], day: date) -> Account | None:
    """A demand account that may move today; a few accounts move much more often than the others."""
    for _ in range(20):
        account = moving[int(rng.random() ** 1.6 * len(moving))] if moving else None
        if account is None:
            return None
        is_shut = (account.closed_on and account.closed_on <= day) or (account.frozen_on and account.frozen_on <= day)
        if account.opened_on < day and not is_shut:
            return account
    return None


def _movement(rng: Random, people: Population, moving: list[Account], account: Account, day: date) -> Intent:
    record = people.record[account.customer_no]
    draw = rng.random()
    second = 300 + rng.randrange(85_500)
    if draw < 0.06:
        code, direction, fen = ("LX", "D", rng.randrange(1, 5_000)) if draw < 0.04 else ("FY", "J", 1_000)
        return Intent(second, account, None, code, "WY", "WY", "S", "S", True, direction, fen, "CNY", False, None, None)
    if draw < 0.07:
        return Intent(second, account, None, "ED", "SJ", "SJ", "C", "C", False, "J", rng.randrange(1, 50) * 100_000, "CNY", False, None, None)
    names, weights = CHANNEL_MIX[record.habit]
    channel = rng.choices(names, weights=weights)[0]
    if channel == "01":
        second = 32_400 + rng.randrange(28_800)
    code = rng.choice(CODES_AT[channel])
    direction = "D" if code == "CK" else "J"
    currency = rng.choice(("USD", "HKD", "EUR")) if code == "XF" and rng.random() < 0.08 else "CNY"
    other = None
    if code == "ZZ" and rng.random() < 0.4:
        other = _open_account(rng, moving, day)
        other = None if other is account else other
    elif code == "ZZ" and rng.random() < 0.6:
        direction = "D"
    origin = "SJ" if channel == "01" and rng.random() < 0.06 else channel
    reverse = None
    if other is None and direction == "J" and currency == "CNY":
        turn = rng.random()
        reverse = "same" if turn < 0.005 else "next" if turn < 0.01 else None
    middle = 6.5 if code in ("CK", "QK") else 5.3
    operator = "T" if channel in ("01", "YDZY", "DH") else "C"
    return Intent(second, account, other, code, channel, origin, "C", operator, True, direction, _amount(rng, middle), currency,
                  rng.random() < 0.02, reverse, None)  # fmt: skip


def reversal(rng: Random, original: Transaction, second: int) -> Intent:
    """Takes back a debit, mostly the whole of it."""
    fen = original.fen if rng.random() < 0.8 or original.fen < 200 else original.fen // 2
    return Intent(second, original.account, None, "CZ", original.channel, original.channel, "S", "T", True, "D", fen, "CNY", False, None, original)


def book(
    seed: int, branch: Branch, day: date, wanted: list[Intent], balances: dict[str, int], rate: dict[str, int]
) -> tuple[list[Transaction], list[Transaction]]:
    """Post a branch's movements in order of time. Returns them, and those that will be taken back on the next day. Changes `balances`."""
    rng = rng_of(seed, "reversals", branch.branch_id, day)
    posted: list[Transaction] = []
    carried: list[Transaction] = []
    queue = sorted(wanted, key=lambda i: (i.second, i.account.account_no))
    same_day: list[tuple[Transaction, int]] = []
    journal = 0
    for intent in _with_late(queue, same_day, rng):
        journal += 1
        for leg in _legs(branch, day, journal, intent, balances, rate):
            posted.append(leg)
            if intent.reverse and leg.status == "0":
                if intent.reverse == "same" and intent.second < 80_000:
                    same_day.append((leg, intent.second + rng.randrange(60, 3_600)))
                elif intent.reverse == "next":
                    carried.append(leg)
    return posted, carried


def _with_late(queue: list[Intent], same_day: list[tuple[Transaction, int]], rng: Random) -> Iterator[Intent]:
    """The queue, with each same-day reversal let in when its time has come."""
    for intent in queue:
        while same_day and min(s for _, s in same_day) <= intent.second:
            original, second = min(same_day, key=lambda pair: pair[1])
            same_day.remove((original, second))
            yield reversal(rng, original, second)
        yield intent
    for original, second in sorted(same_day, key=lambda pair: pair[1]):
        yield reversal(rng, original, second)


def _legs(
    branch: Branch, day: date, journal: int, intent: Intent, balances: dict[str, int], rate: dict[str, int]
) -> Iterator[Transaction]:
    account = intent.account
    before = balances[account.account_no]
    fen = before if intent.fen is None else intent.fen
    if fen <= 0:
        return
    booked = to_cny(fen, rate[intent.currency]) if intent.currency != "CNY" else fen
    is_failed = intent.is_failed or (intent.direction == "J" and intent.is_financial and booked > before)
    at = datetime.combine(day, time()) + timedelta(seconds=intent.second)
    moves = intent.is_financial and not is_failed
    if moves:
        balances[account.account_no] = before + (booked if intent.direction == "D" else -booked)
    reverses = intent.original.reference if intent.original else None
    counterparty = intent.other.account_no if intent.other else ""
    status = "1" if is_failed else "0"
    yield Transaction(
        branch.branch_id, journal, 1, account, intent.code, intent.channel, intent.origin, intent.initiator, intent.operator,
        intent.is_financial, intent.direction, fen, intent.currency, booked, status, at, day, reverses,
        balances[account.account_no], counterparty, REMARKS[intent.code],
    )  # fmt: skip
    if intent.other is not None and not is_failed:
        number = intent.other.account_no
        balances[number] += booked
        yield Transaction(
            branch.branch_id, journal, 2, intent.other, intent.code, intent.channel, intent.origin, "S", "S", True, "D", fen,
            intent.currency, booked, "0", at, day, None, balances[number], account.account_no, REMARKS[intent.code],
        )  # fmt: skip


def _sales_begun(seed: int, people: Population, day: date) -> list[tuple[Sale, int]]:
    """The sales of a day, each with the number of days after which it is cancelled (0 = never)."""
    rng = rng_of(seed, "sales", day)
    made = []
    for number in range(people.scale.sales):
        record = people.records[rng.randrange(people.base_records)]
        names, weights = CHANNEL_MIX[record.habit]
        complete = rng.choices(names, weights=weights)[0]
        origin = "SJ" if complete == "01" and rng.random() < 0.2 else complete
        product = rng.choice(PRODUCTS)
        accounts = people.accounts_of.get(record.customer_no, [])
        at = datetime.combine(day, time()) + timedelta(seconds=300 + rng.randrange(85_500))
        sale = Sale(
            f"S{day:%Y%m%d}{number:05d}", record.customer_no, accounts[0].account_no if accounts and rng.random() < 0.8 else None, product,
            record.branch_id, origin, complete, rng.random() < 0.95, _amount(rng, 8.0), "failed" if rng.random() < 0.04 else "completed", at,
            day, None, None, f"LD{rng.randrange(9999):04d}" if rng.random() < 0.1 else None,
            f"CP{rng.randrange(9):02d}" if rng.random() < 0.2 else None, rng.choice((None, "shopping", "travel", "medical")),
            product.line in ("JJ", "BX"),
        )  # fmt: skip
        cancelled = rng.choice((1, 2)) if rng.random() < 0.06 and sale.status == "completed" else 0
        made.append((sale, cancelled))
    return made


def sales(seed: int, people: Population, day: date) -> list[Sale]:
    """Sales of a day, and cancellations of the two days before within the cooling-off period."""
    made = [sale for sale, _ in _sales_begun(seed, people, day)]
    for back in (1, 2):
        earlier = day - timedelta(days=back)
        if earlier < people.first:
            continue
        for sale, cancelled in _sales_begun(seed, people, earlier):
            if cancelled == back:
                at = datetime.combine(day, time(10)) + timedelta(seconds=int(sale.sale_id[-5:]))
                made.append(
                    sale._replace(sale_id=f"{sale.sale_id}R", at=at, business_date=day, reverses=sale.sale_id, reverses_date=earlier,
                                  is_customer_initiated=True)
                )  # fmt: skip
    return sorted(made, key=lambda s: (s.at, s.sale_id))


def events(seed: int, people: Population, day: date, count: int) -> list[Event]:
    """Sessions of customers, of people who never log in, of test users and of bots."""
    rng = rng_of(seed, "events", day)
    made: list[Event] = []
    session = 0
    while len(made) < count:
        session += 1
        record = _visitor(rng, people)
        draw = rng.random()
        made += _session(rng, people, day, session, record, is_anonymous=draw < 0.08, is_bot=draw > 0.99, is_test=0.985 < draw <= 0.99)
    return sorted(made[:count], key=lambda e: (e.at, e.event_id))


def _visitor(rng: Random, people: Population) -> Record:
    for _ in range(10):
        record = people.records[int(rng.random() ** 1.3 * people.base_records)]
        if record.habit != "counter":
            break
    return record


def _session(
    rng: Random, people: Population, day: date, number: int, record: Record, *, is_anonymous: bool, is_bot: bool, is_test: bool
) -> Iterator[Event]:
    start = datetime.combine(day, time()) + timedelta(seconds=300 + rng.randrange(82_000))
    channel = rng.choices(("SJ", "XCX", "WY"), weights=(78, 12, 10))[0]
    name = f"{day:%Y%m%d}-{number:06d}"
    length = 60 if is_bot else rng.randrange(2, 10)
    funnel = rng.randrange(1, 5) if rng.random() < 0.15 and not is_anonymous else 0
    device = record.device_id
    version = rng.choice(("7.2.0", "7.2.1", "7.3.0"))
    for i in range(length):
        what = "login" if i == 0 and not is_anonymous else rng.choice(EVENT_NAMES)
        at = start + timedelta(seconds=i * (1 if is_bot else 17), milliseconds=rng.randrange(1000))
        step = ("product_purchase", f"F{name}", i, i == len(FUNNEL_STEPS)) if 1 <= i <= funnel else None
        yield Event(
            f"E{name}-{i:02d}", what, at, None if is_anonymous else record.customer_no, f"A{record.device_id[:12]}", is_test, f"W{name}",
            is_bot, channel, version, device, step,
        )  # fmt: skip


def processes(seed: int, people: Population, day: date) -> list[Process]:
    """Processes that ended on this day, begun the same day or up to three days before."""
    rng = rng_of(seed, "processes", day)
    made = []
    for number in range(people.scale.processes):
        record = people.records[rng.randrange(people.base_records)]
        process_id, line, codes = rng.choice(PROCESSES)
        online = record.habit != "counter" and rng.random() < 0.7
        ended = datetime.combine(day, time(9)) + timedelta(seconds=rng.randrange(50_000))
        submitted = ended - timedelta(minutes=rng.randrange(10, 4_000))
        gap = (ended - submitted) / len(codes)
        outcome = rng.choices(("approved", "completed", "rejected", "abandoned"), weights=(45, 25, 10, 20))[0]
        taken = codes if outcome != "abandoned" else codes[: rng.randrange(1, len(codes) + 1)]
        steps = []
        for i, code in enumerate(taken):
            is_back_office = code in ("review", "decide", "pay_out", "block")
            channel = None if is_back_office else rng.choice(("SJ", "SJ", "WY", "XCX")) if online and rng.random() < 0.92 else "01"
            actor = rng.choice(("staff", "system")) if is_back_office else "customer" if channel != "01" else "staff"
            begun = (submitted + gap * i).replace(microsecond=0)
            steps.append(Step(i + 1, code, channel, actor, begun, (submitted + gap * (i + 1)).replace(microsecond=0)))
        decided = ended - gap if outcome in ("approved", "rejected") else None
        made.append(
            Process(
                f"P{day:%Y%m%d}{number:05d}", process_id, record.customer_no, line, record.branch_id, "SJ" if online else "01",
                submitted.replace(microsecond=0), (submitted + gap).replace(microsecond=0),
                decided.replace(microsecond=0) if decided else None, ended.replace(microsecond=0), outcome, day, tuple(steps),
            )
        )  # fmt: skip
    return made


def loan_states(loans: list[Loan], day: date) -> list[LoanState]:
    """Every loan that is on the books at the end of the day. Straight-line repayment; an overdue loan stands still and sinks class by class."""
    states = []
    for loan in loans:
        is_overdue = loan.overdue_from is not None and loan.overdue_from <= day
        if loan.signed_on > day or (loan.repaid_on <= day and not is_overdue):
            continue
        stop = loan.overdue_from if is_overdue and loan.overdue_from else day
        days = min((stop - loan.signed_on).days, loan.term_days)
        balance = loan.principal - loan.principal * days // loan.term_days
        past_due = (day - loan.overdue_from).days + 1 if is_overdue and loan.overdue_from else 0
        five_class = "1" if past_due == 0 else "2" if past_due <= 90 else "3" if past_due <= 180 else "4" if past_due <= 360 else "5"
        states.append(LoanState(loan, balance, five_class, past_due))
    return states
