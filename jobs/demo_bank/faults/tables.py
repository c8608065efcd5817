"""Faults at a source that is fetched: what is written into its tables, and what the lake must hold of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time

from jobs.demo_bank import crm
from jobs.demo_bank.crm import Change
from jobs.demo_bank.faults.rows import ONE_DAY, Lane, Proof

TIE, LATE = 40, 15  # contacts of one moment, and how many of them are written after it was looked at
MOMENT = "now()"  # of the transaction
SAME_MOMENT = "(select min(changed_at) from crm.campaign_contacts where contact_id like '{}%%')"


@dataclass(frozen=True)
class Upset:
    """`before` is written, and looked at, before the day's own changes; `beside` with them. `rows`: those that would be lost."""

    rows: int
    proofs: tuple[Proof, ...]
    before: tuple[Change, ...] = ()
    beside: tuple[Change, ...] = ()


def _down(lane: Lane) -> Upset:
    """Nothing of its own: the day's changes are written while nobody can read them."""
    day = f"{lane.day.date:%y%m%d}"
    of_day = {
        crm.COMPLAINTS: f"op = 'I' and complaint_id like 'C{day}%'",
        crm.CONTACTS: f"contact_id like 'K{day}%' and response is null",
    }
    new = sum(change.statement.startswith("insert") for change in lane.items)
    return Upset(len(lane.items), (Proof(f"bronze.{lane.feed}", of_day[lane.feed], new),))


def _deleted(lane: Lane) -> Upset:
    """A complaint of the day before is taken out of the table."""
    gone = crm.complaint_id(lane.day.date - ONE_DAY, 0)
    proof = Proof("bronze.complaints", f"op = 'D' and complaint_id = '{gone}'", 1)
    return Upset(1, (proof,), beside=(crm.deleted(gone),))


def _tie(lane: Lane) -> Upset:
    """A campaign writes its contacts under one moment, some of them late."""
    begin = f"T{lane.day.date:%y%m%d}"
    customers = lane.rng.sample(sorted({account.customer_no for account, _ in lane.day.balances}), TIE)
    at = datetime.combine(lane.day.date, time(17))
    rows = [
        crm.contacted(
            f"{begin}{n:04d}", "CP09", customer, "SJ", at, MOMENT if n < TIE - LATE else SAME_MOMENT.format(begin)
        )
        for n, customer in enumerate(customers)
    ]
    these = f"contact_id like '{begin}%'"
    proofs = (
        Proof("bronze.campaign_contacts", these, TIE),
        Proof("bronze.campaign_contacts", f"changed_at = (select min(changed_at) from t where {these})", TIE),
    )
    return Upset(LATE, proofs, tuple(rows[: TIE - LATE]), tuple(rows[TIE - LATE :]))


TABLES: dict[str, Callable[[Lane], Upset]] = {"F76": _down, "F77": _deleted, "F78": _tie}
