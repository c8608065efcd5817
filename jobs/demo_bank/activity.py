"""What happens to accounts and loans on one business day, from the seed and the population."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from random import Random
from typing import NamedTuple

from jobs.demo_bank.codes import BASE_RATES, REMARKS, to_cny
from jobs.demo_bank.population import Population
from jobs.demo_bank.truth import Account, Branch, Loan, LoanState, Sale, Transaction

CHANNEL_MIX = {
    "counter": (("01", "ATM", "DH", "YDZY"), (70, 25, 3, 2)),
    "mixed": (("01", "ATM", "SJ", "WY", "XCX", "KJ", "YDZY"), (20, 20, 35, 10, 5, 8, 2)),
    "digital": (("ATM", "SJ", "WY", "XCX", "KJ"), (10, 60, 12, 8, 10)),
}
CODES_AT = {
    "01": ("CK", "QK", "ZZ"),
    "ATM": ("CK", "QK", "QK", "ZZ"),
    "YDZY": ("ZZ", "JF"),
    "DH": ("ZZ", "JF"),
    "KJ": ("XF",),
    "SJ": ("ZZ", "XF", "JF"),
    "WY": ("ZZ", "JF"),
    "XCX": ("XF", "JF"),
}


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
    sale_id: str = ""


def rng_of(seed: int, *purpose: object) -> Random:
    return Random(":".join(map(str, (seed, *purpose))))


def rates(seed: int, day: date) -> dict[str, int]:
    """CNY per unit times 10^8: a slow wave and a little noise."""
    rng = rng_of(seed, "rates", day)
    wave = math.sin(day.toordinal() / 40)
    return {c: int(base * (1 + 0.01 * wave + 0.001 * rng.random())) for c, base in BASE_RATES.items()}


def share(total: int, branch: Branch) -> int:
    return max(1, round(total * branch.share))


def amount_of(rng: Random, middle: float = 5.3) -> int:
    """Fen; the median is e^middle CNY, the smallest 1.00."""
    return max(100, min(int(100 * math.exp(rng.gauss(middle, 1.1))), 50_000_000))


def intents(seed: int, people: Population, branch: Branch, day: date, opened: list[Account]) -> list[Intent]:
    """What customers and the bank set going at one branch on one day.

    `opened`: accounts opened that day, which get a first deposit.
    """
    rng = rng_of(seed, "movements", branch.branch_id, day)
    moving = people.moving[branch.branch_id]
    found: list[Intent] = []
    for account in opened:
        deposit = rng.randrange(1_000, 2_000_000)
        operator = "T" if account.open_channel in ("01", "YDZY") else "C"
        found.append(
            Intent(
                32_400 + rng.randrange(3_600),
                account,
                None,
                "CK",
                account.open_channel,
                account.open_channel,
                "C",
                operator,
                True,
                "D",
                deposit,
                "CNY",
                False,
                None,
                None,
            )
        )
    for account in people.closing(day):
        if account.branch_id == branch.branch_id:
            found.append(
                Intent(86_100, account, None, "QK", "01", "01", "C", "T", True, "J", None, "CNY", False, None, None)
            )
    for _ in range(share(people.scale.transactions, branch)):
        mover = _open_account(rng, moving, day)
        if mover is not None:
            found.append(_movement(rng, people, moving, mover, day))
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
        return Intent(
            second,
            account,
            None,
            "ED",
            "SJ",
            "SJ",
            "C",
            "C",
            False,
            "J",
            rng.randrange(1, 50) * 100_000,
            "CNY",
            False,
            None,
            None,
        )
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
    return Intent(
        second,
        account,
        other,
        code,
        channel,
        origin,
        "C",
        operator,
        True,
        direction,
        amount_of(rng, middle),
        currency,
        rng.random() < 0.02,
        reverse,
        None,
    )


def reversal(rng: Random, original: Transaction, second: int) -> Intent:
    """Takes back a debit, mostly the whole of it."""
    fen = original.fen if rng.random() < 0.8 or original.fen < 200 else original.fen // 2
    return Intent(
        second,
        original.account,
        None,
        "CZ",
        original.channel,
        original.channel,
        "S",
        "T",
        True,
        "D",
        fen,
        "CNY",
        False,
        None,
        original,
    )


def registration(sale: Sale, account: Account) -> Intent:
    """The core system registers a sale at the buyer's account; it moves no money there."""
    second = sale.at.hour * 3_600 + sale.at.minute * 60 + sale.at.second
    return Intent(
        second,
        account,
        None,
        "DX",
        sale.complete,
        sale.origin,
        "S",
        "S",
        False,
        "J",
        sale.fen,
        "CNY",
        False,
        None,
        None,
        sale.sale_id,
    )


def book(
    seed: int, branch: Branch, day: date, wanted: list[Intent], balances: dict[str, int], rate: dict[str, int]
) -> tuple[list[Transaction], list[Transaction]]:
    """Post a branch's movements in order of time. Returns them, and those that will be taken back on the next day.

    Changes `balances`.
    """
    rng = rng_of(seed, "reversals", branch.branch_id, day)
    posted: list[Transaction] = []
    carried: list[Transaction] = []
    queue = sorted(wanted, key=lambda i: (i.second, i.account.account_no))
    same_day: list[tuple[Transaction, int]] = []
    for journal, intent in enumerate(_with_late(queue, same_day, rng), start=1):
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
        branch.branch_id,
        journal,
        1,
        account,
        intent.code,
        intent.channel,
        intent.origin,
        intent.initiator,
        intent.operator,
        intent.is_financial,
        intent.direction,
        fen,
        intent.currency,
        booked,
        status,
        at,
        day,
        reverses,
        balances[account.account_no],
        counterparty,
        REMARKS[intent.code],
        intent.sale_id,
    )
    if intent.other is not None and not is_failed:
        number = intent.other.account_no
        balances[number] += booked
        yield Transaction(
            branch.branch_id,
            journal,
            2,
            intent.other,
            intent.code,
            intent.channel,
            intent.origin,
            "S",
            "S",
            True,
            "D",
            fen,
            intent.currency,
            booked,
            "0",
            at,
            day,
            None,
            balances[number],
            account.account_no,
            REMARKS[intent.code],
        )


def loan_states(loans: list[Loan], day: date) -> list[LoanState]:
    """Every loan that is on the books at the end of the day. Straight-line repayment;

    an overdue loan stands still and sinks class by class.
    """
    states = []
    for loan in loans:
        is_overdue = loan.overdue_from is not None and loan.overdue_from <= day
        if loan.signed_on > day or (loan.repaid_on <= day and not is_overdue):
            continue
        stop = loan.overdue_from if is_overdue and loan.overdue_from else day
        days = min((stop - loan.signed_on).days, loan.term_days)
        balance = loan.principal - loan.principal * days // loan.term_days
        past_due = (day - loan.overdue_from).days + 1 if is_overdue and loan.overdue_from else 0
        five_class = (
            "1"
            if past_due == 0
            else "2"
            if past_due <= 90
            else "3"
            if past_due <= 180
            else "4"
            if past_due <= 360
            else "5"
        )
        states.append(LoanState(loan, balance, five_class, past_due))
    return states
