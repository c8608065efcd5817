"""What each feed sends: which true things of a day, in which fields, in which format."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jobs.demo_bank.codes import PRODUCTS
from jobs.demo_bank.encoding import Delimited, Encoder, Exact, FixedWidth, JsonLines, Parquet, Row, yuan
from jobs.demo_bank.population import Population
from jobs.demo_bank.truth import (
    Account, Branch, Day, Event, Loan, LoanState, Process, Product, Record, Sale, Transaction,
)  # fmt: skip

CHINA = timezone(timedelta(hours=8))
EPOCH_IN_CHINA, MILLISECOND = datetime(1970, 1, 1, 8), timedelta(milliseconds=1)
CALENDAR = Path(__file__).resolve().parents[2] / "expectations" / "reference" / "calendars" / "cn_bank.csv"
CHANNEL_FLAGS = (
    ("counter", False, False), ("self_service", False, True), ("web", True, True), ("mobile", True, True), ("mini_program", True, True),
    ("phone", False, True), ("open_api", True, True), ("assisted", False, True),
)  # fmt: skip


@dataclass(frozen=True)
class Feed:
    """`items`: the true things of a day that one sender tells; `row`: the fields of one of them; `money`: its fen in the control sum."""

    name: str
    pattern: str
    sender: Literal["branch", "head_office", "stream", "configuration"]
    encoder: Encoder
    items: Callable[[Population, Day, str], Sequence[Any]]
    row: Callable[[Population, Any, date], Row]
    money: Callable[[Any], int] | None = None
    entity: str = "HO"
    parts: int = 1
    hour: Callable[[Any], int] | None = None

    def file_name(self, entity: str, day: date, seq: int) -> str:
        return self.pattern.format(entity=entity, date=f"{day:%Y%m%d}", seq=seq)


@cache
def ymd(day: date | None) -> str:
    return f"{day:%Y%m%d}" if day else ""


def flag(value: bool) -> str:
    return "Y" if value else "N"


def utc(local: datetime | None) -> str | None:
    """A local time of the bank as UTC text."""
    return f"{local.replace(tzinfo=CHINA).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if local else None


def epoch_ms(local: datetime) -> int:
    return (local - EPOCH_IN_CHINA) // MILLISECOND


def _customer(people: Population, r: Record, day: date) -> Row:
    return (
        r.customer_no, r.branch_id, r.kind, r.id_kind, r.id_number, r.name, r.phone, r.province, r.acquisition, flag(r.is_farmer), ymd(day), ymd(day),
    )  # fmt: skip


def status_of(account: Account, day: date) -> str:
    """0 open, 1 closed, 2 frozen, at the end of the day."""
    if account.closed_on and account.closed_on <= day:
        return "1"
    return "2" if account.frozen_on and account.frozen_on <= day else "0"


def _account(people: Population, a: Account, day: date) -> Row:
    closed = a.closed_on if a.closed_on and a.closed_on <= day else None
    return (
        a.account_no, a.customer_no, a.branch_id, a.entity, a.line, a.product.product_id, a.product.kind, a.open_channel, ymd(a.opened_on),
        ymd(closed), status_of(a, day), ymd(day), ymd(day),
    )  # fmt: skip


def _balance(people: Population, pair: tuple[Account, int], day: date) -> Row:
    account, fen = pair
    return account.branch_id, ymd(day), account.account_no, "CNY", account.product.name, f"{fen:018d}"


def _transaction(people: Population, t: Transaction, day: date) -> Row:
    return (
        t.branch_id, str(t.journal), str(t.line), t.account.account_no, t.account.customer_no, t.account.line, t.code, t.channel, t.origin,
        t.initiator, t.operator, flag(t.is_financial), t.direction, yuan(t.fen), t.currency, t.status, f"{t.at:%Y%m%d%H%M%S}",
        ymd(t.business_date), ymd(t.business_date), t.reverses or "", yuan(t.after), t.counterparty, t.remark,
    )  # fmt: skip


def _product(people: Population, p: Product, day: date) -> Row:
    return p.product_id, p.name, p.line, p.kind, ymd(people.first), ymd(day)


def _branch(people: Population, b: Branch, day: date) -> Row:
    opens, closes = ("08:30", "17:30") if b.is_rural else ("09:00", "17:00")
    parent = "" if b.outlet_type == "HO" else "HO"
    return (
        b.branch_id, b.name, "B", parent, b.outlet_type, b.province, b.county, flag(b.is_rural), flag(b.is_smart), "Y", opens, closes, "17:30",
        ymd(b.opened_on), "", ymd(people.first), ymd(day),
    )  # fmt: skip


def _hours(people: Population, item: tuple[Branch, int], day: date) -> Row:
    branch, weekday = item
    is_open = weekday <= 5 or branch.is_rural
    return branch.branch_id, str(weekday), "09:00" if is_open else "", "17:00" if is_open else "", ymd(day)


def _rate(people: Population, pair: tuple[str, int], day: date) -> Row:
    currency, rate = pair
    return currency, ymd(day), f"{rate // 10**8}.{rate % 10**8:08d}"


def _contract(people: Population, loan: Loan, day: date) -> Row:
    return (
        loan.loan_id, loan.customer_no, loan.branch_id, Decimal(loan.annual_rate) / 10_000, loan.industry, loan.purpose, loan.is_nfra, loan.is_pboc,
        loan.signed_on, Decimal(loan.principal) / 100, day, day,
    )  # fmt: skip


def _loan_state(people: Population, s: LoanState, day: date) -> Row:
    return s.loan.loan_id, day, Decimal(s.balance) / 100, s.five_class, s.days_past_due


def _event(people: Population, e: Event, day: date) -> Row:
    row: dict[str, Any] = {
        "event": {"id": e.event_id, "name": e.name, "time": epoch_ms(e.at)},
        "user": {"customer_no": e.customer_no, "anonymous_id": e.anonymous_id, "is_test": e.is_test},
        "session": {"id": e.session_id, "is_bot": e.is_bot},
        "app": {"channel": e.channel, "version": e.version},
        "device": {"id": e.device_id},
    }
    if e.funnel:
        name, attempt, step, is_final = e.funnel
        row["funnel"] = {"id": name, "attempt": attempt, "step": step, "is_final": is_final}
    return row


def _sale(people: Population, s: Sale, day: date) -> Row:
    return {
        "sale_id": s.sale_id, "version": 1, "customer_no": s.customer_no, "account_no": s.account_no, "legal_entity": s.product.entity,
        "business_line": s.product.line, "product_id": s.product.product_id, "branch_id": s.branch_id, "channel_origin": s.origin,
        "channel_complete": s.complete, "is_customer_initiated": s.is_customer_initiated, "amount": Exact(yuan(s.fen)), "currency": "CNY",
        "status": s.status, "completed_at": utc(s.at), "reverses_sale_id": s.reverses,
        "reverses_business_date": s.reverses_date.isoformat() if s.reverses_date else None, "lead_id": s.lead_id, "campaign_id": s.campaign_id,
        "scene": s.scene, "needs_warning": s.needs_warning,
    }  # fmt: skip


def _instance(people: Population, p: Process, day: date) -> Row:
    return {
        "instance_id": p.instance_id, "process_id": p.process_id, "customer_no": p.customer_no, "business_line": p.line, "branch_id": p.branch_id,
        "channel_origin": p.origin, "submitted_at": utc(p.submitted_at), "docs_complete_at": utc(p.docs_at), "decided_at": utc(p.decided_at),
        "ended_at": utc(p.ended_at), "outcome": p.outcome, "business_date": p.business_date.isoformat(),
    }  # fmt: skip


def _step(people: Population, item: tuple[Process, Any], day: date) -> Row:
    process, step = item
    return {
        "instance_id": process.instance_id, "step_no": step.number, "step_code": step.code, "channel": step.channel, "actor": step.actor,
        "started_at": utc(step.started_at), "ended_at": utc(step.ended_at), "business_date": process.business_date.isoformat(),
    }  # fmt: skip


@cache
def _calendar_days() -> tuple[tuple[str, str, str, str], ...]:
    with CALENDAR.open(encoding="utf-8") as lines:
        return tuple(
            (r["calendar_date"], r["is_working_day"], r["is_holiday"], r["is_makeup_day"]) for r in csv.DictReader(lines)
        )


def _calendar_row(people: Population, item: tuple[str, ...], day: date) -> Row:
    return (*item, people.first.isoformat(), day.isoformat())


def _channel_row(people: Population, item: tuple[str, bool, bool], day: date) -> Row:
    channel, is_online, is_off_counter = item
    return channel, str(is_online).lower(), str(is_off_counter).lower(), people.first.isoformat(), day.isoformat()


def _of_branch(name: str) -> Callable[[Population, Day, str], Sequence[Any]]:
    return lambda people, day, entity: [item for item in getattr(day, name) if item.branch_id == entity]


def _of_day(name: str) -> Callable[[Population, Day, str], Sequence[Any]]:
    return lambda people, day, entity: getattr(day, name)


PLUS = Delimited("|+|")
PARAMETERS = Delimited("|@|", has_header=False, trailer=("count",))
FEEDS: dict[str, Feed] = {
    f.name: f
    for f in (
        Feed("ref_channels", "REF_{entity}_CHANNELS_{date}_{seq}.csv", "configuration",
             Delimited(",", "utf-8", False, (), column_line=("channel", "is_online", "is_off_counter", "changed_on", "business_date")),
             lambda people, day, entity: CHANNEL_FLAGS, _channel_row),
        Feed("calendar", "REF_{entity}_CALENDAR_{date}_{seq}.csv", "configuration",
             Delimited(",", "utf-8", False, (), column_line=("calendar_date", "is_working_day", "is_holiday", "is_makeup_day", "changed_on", "business_date")),
             lambda people, day, entity: _calendar_days(), _calendar_row),
        Feed("app_events", "APP_{entity}_EVENTS_{date}_{seq}.jsonl", "stream", JsonLines(), _of_day("events"), _event, entity="app", parts=12,
             hour=lambda e: e.at.hour),
        Feed("online_sales", "SALES_{entity}_SALE_{date}_{seq}.jsonl", "stream", JsonLines(), _of_day("sales"), _sale, lambda s: s.fen,
             entity="sales", parts=4, hour=lambda s: s.at.hour),
        Feed("process_instances", "BPM_{entity}_INSTANCE_{date}_{seq}.jsonl", "stream", JsonLines(), _of_day("processes"), _instance, entity="bpm",
             parts=2, hour=lambda p: p.ended_at.hour),
        Feed("process_steps", "BPM_{entity}_STEP_{date}_{seq}.jsonl", "stream", JsonLines(),
             lambda people, day, entity: [(p, s) for p in day.processes for s in p.steps], _step, entity="bpm", parts=2,
             hour=lambda pair: pair[0].ended_at.hour),
        Feed("core_products", "CORE_{entity}_PROD_{date}_{seq}.txt", "head_office", PARAMETERS, lambda people, day, entity: PRODUCTS, _product),
        Feed("core_branches", "CORE_{entity}_ORG_{date}_{seq}.txt", "head_office", PARAMETERS, lambda people, day, entity: people.branches, _branch),
        Feed("core_rates", "CORE_{entity}_RATE_{date}_{seq}.txt", "head_office", PARAMETERS, lambda people, day, entity: list(day.rates.items()), _rate),
        Feed("core_hours", "CORE_{entity}_HOUR_{date}_{seq}.txt", "head_office", PARAMETERS,
             lambda people, day, entity: [(b, w) for b in people.outlets for w in range(1, 8)], _hours),
        Feed("loan_contracts", "LOAN_{entity}_CONTRACT_{date}_{seq}.parquet", "head_office",
             Parquet((("loan_id", "string"), ("customer_no", "string"), ("branch_id", "string"), ("annual_rate", "rate"), ("industry_code", "string"),
                      ("purpose_code", "string"), ("is_inclusive_nfra", "boolean"), ("is_inclusive_pboc", "boolean"), ("signed_on", "date"),
                      ("principal", "money"), ("changed_on", "date"), ("business_date", "date"))),
             _of_day("new_loans"), _contract),
        Feed("loan_daily", "LOAN_{entity}_DAILY_{date}_{seq}.parquet", "head_office",
             Parquet((("loan_id", "string"), ("as_of_date", "date"), ("balance", "money"), ("five_class", "string"), ("days_past_due", "int"))),
             _of_day("loans"), _loan_state, lambda s: s.balance),
        Feed("core_customers", "CORE_{entity}_CUST_{date}_{seq}.txt", "branch", PLUS, _of_branch("customers"), _customer),
        Feed("core_accounts", "CORE_{entity}_ACCT_{date}_{seq}.txt", "branch", PLUS, _of_branch("accounts"), _account),
        Feed("core_balances", "CORE_{entity}_BAL_{date}_{seq}.dat", "branch", FixedWidth((6, 8, 19, 3, 24, 18)),
             lambda people, day, entity: [pair for pair in day.balances if pair[0].branch_id == entity], _balance, lambda pair: pair[1]),
        Feed("core_transactions", "CORE_{entity}_TXN_{date}_{seq}.txt.gz", "branch", Delimited("\x1b", is_gzip=True), _of_branch("transactions"),
             _transaction, lambda t: t.fen),
    )
}  # fmt: skip
# Sent whole every day; a take-on needs them once.
ONCE_AT_TAKE_ON = {"ref_channels", "calendar", "core_products", "core_branches", "core_hours"}
