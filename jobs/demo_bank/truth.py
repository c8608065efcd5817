"""What is true in the demo bank, before formats and faults. Money is in fen (1/100 CNY or of the currency named), as
whole numbers.

Codes (channels, lines, marks) are those of the bank's own systems; `meaning` in `codes.py` tells what each stands for.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple


class Branch(NamedTuple):
    branch_id: str
    number: int
    name: str
    outlet_type: str
    province: str
    county: str
    is_rural: bool
    is_smart: bool
    share: float
    opened_on: date


class Product(NamedTuple):
    product_id: str
    name: str
    entity: str
    line: str
    kind: str


class Party(NamedTuple):
    """A person or firm as it really is. `kind` is 1 person, 2 organisation, 3 sole trader."""

    number: int
    kind: str
    name: str
    id_kind: str
    id_number: str
    province: str
    is_farmer: bool


class Record(NamedTuple):
    """A customer number at one branch, with the name and ID number as written there.

    `habit`: how its owner deals with the bank.
    """

    customer_no: str
    party: int
    branch_id: str
    kind: str
    id_kind: str
    id_number: str
    name: str
    phone: str
    province: str
    acquisition: str
    is_farmer: bool
    habit: str
    device_id: str
    created_on: date


class Account(NamedTuple):
    account_no: str
    customer_no: str
    branch_id: str
    entity: str
    line: str
    product: Product
    open_channel: str
    opened_on: date
    closed_on: date | None
    frozen_on: date | None
    balance: int


class Loan(NamedTuple):
    """`overdue_from` stops repayment; `repaid_on` is the day on which the loan leaves the books."""

    loan_id: str
    customer_no: str
    branch_id: str
    annual_rate: int
    industry: str
    purpose: str
    is_nfra: bool
    is_pboc: bool
    signed_on: date
    principal: int
    term_days: int
    overdue_from: date | None
    repaid_on: date


class Transaction(NamedTuple):
    """`fen` in `currency`; `booked` the same in fen of CNY; `after` the account's balance after it, in fen of CNY."""

    branch_id: str
    journal: int
    line: int
    account: Account
    code: str
    channel: str
    origin: str
    initiator: str
    operator: str
    is_financial: bool
    direction: str
    fen: int
    currency: str
    booked: int
    status: str
    at: datetime
    business_date: date
    reverses: str | None
    after: int
    counterparty: str
    remark: str
    sale_id: str = ""  # of the sale that it registers

    @property
    def reference(self) -> str:
        """As a reversal names it, within the branch."""
        return f"{self.business_date}:{self.journal}:{self.line}"

    @property
    def key(self) -> tuple[str, str]:
        return self.branch_id, self.reference


class Sale(NamedTuple):
    sale_id: str
    customer_no: str
    account_no: str | None
    product: Product
    branch_id: str
    origin: str
    complete: str
    is_customer_initiated: bool
    fen: int
    status: str
    at: datetime
    business_date: date
    reverses: str | None
    reverses_date: date | None
    lead_id: str | None
    campaign_id: str | None
    scene: str | None
    needs_warning: bool


class Event(NamedTuple):
    event_id: str
    name: str
    at: datetime
    customer_no: str | None
    anonymous_id: str
    is_test: bool
    session_id: str
    is_bot: bool
    channel: str
    version: str
    device_id: str
    funnel: tuple[str, str, int, bool] | None
    started: datetime  # of the session
    number: int  # the app's own count
    is_staff: bool = False
    clock_off: int = 0  # seconds that the device's clock is ahead
    page: str | None = None


class Step(NamedTuple):
    number: int
    code: str
    channel: str | None
    actor: str
    started_at: datetime
    ended_at: datetime


class Process(NamedTuple):
    instance_id: str
    process_id: str
    customer_no: str
    line: str
    branch_id: str
    origin: str
    submitted_at: datetime
    docs_at: datetime | None
    decided_at: datetime | None
    ended_at: datetime
    outcome: str
    business_date: date
    steps: tuple[Step, ...]


class LoanState(NamedTuple):
    loan: Loan
    balance: int
    five_class: str
    days_past_due: int


class GlBalance(NamedTuple):
    """A subject of the general ledger at one branch over one day. Credit balances are positive, debit balances negative, so that
    closing = opening - debit + credit, and all closings of a branch add up to 0.
    """

    branch_id: str
    subject: str
    name: str
    has_sub_ledger: bool
    opening: int
    debit: int
    credit: int
    closing: int


class Day(NamedTuple):
    """All that happened on one business day, and what stood at its end.

    `customers` and `accounts` are the new and the changed.
    """

    date: date
    customers: tuple[Record, ...]
    accounts: tuple[Account, ...]
    balances: tuple[tuple[Account, int], ...]
    transactions: tuple[Transaction, ...]
    sales: tuple[Sale, ...]
    events: tuple[Event, ...]
    processes: tuple[Process, ...]
    new_loans: tuple[Loan, ...]
    loans: tuple[LoanState, ...]
    rates: dict[str, int]
    gl: tuple[GlBalance, ...]
