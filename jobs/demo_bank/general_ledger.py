"""The general ledger of the invented bank: subjects in total, told beside the accounts in detail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from jobs.demo_bank.codes import CLEARING, SUBJECTS
from jobs.demo_bank.truth import Account, Branch, GlBalance, Transaction

Subject = tuple[str, str]  # branch, subject
NAMES = {**dict(SUBJECTS.values()), CLEARING[0]: CLEARING[1]}


def standing(accounts: Iterable[tuple[Account, int]]) -> Counter[Subject]:
    """Balance of each subject: the sum of its accounts; of clearing, what the others leave open."""
    ledger: Counter[Subject] = Counter()
    for account, fen in accounts:
        _put(ledger, account, fen)
    return ledger


def balances(
    branches: Sequence[Branch], before: Mapping[Subject, int], transactions: Iterable[Transaction]
) -> list[GlBalance]:
    """What each branch's ledger says of a day, from the day before and the day's movements."""
    debits: Counter[Subject] = Counter()
    credits: Counter[Subject] = Counter()
    for t in transactions:
        if t.status == "0" and t.is_financial:
            own, other = (credits, debits) if t.direction == "D" else (debits, credits)
            own[t.branch_id, SUBJECTS[t.account.product.product_id][0]] += t.booked
            other[t.branch_id, CLEARING[0]] += t.booked
    told = []
    for branch in branches:
        for subject, name in sorted(NAMES.items()):
            at = branch.branch_id, subject
            if at in before or at in debits or at in credits:
                opening, debit, credit = before.get(at, 0), debits[at], credits[at]
                closing = opening - debit + credit
                told.append(GlBalance(*at, name, subject != CLEARING[0], opening, debit, credit, closing))
    return told


def _put(ledger: Counter[Subject], account: Account, fen: int) -> None:
    ledger[account.branch_id, SUBJECTS[account.product.product_id][0]] += fen
    ledger[account.branch_id, CLEARING[0]] -= fen
