"""How each true thing is told: the fields of one row of a file."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from typing import Any

from jobs.demo_bank.codes import SUBJECTS
from jobs.demo_bank.encoding import Exact, Row, yuan
from jobs.demo_bank.population import Population
from jobs.demo_bank.truth import (
    Account,
    Branch,
    Event,
    GlBalance,
    Loan,
    LoanState,
    Process,
    Product,
    Record,
    Sale,
    Transaction,
)

CHINA = timezone(timedelta(hours=8))
EPOCH_IN_CHINA, MILLISECOND = datetime(1970, 1, 1, 8), timedelta(milliseconds=1)


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


def customer(people: Population, r: Record, day: date) -> Row:
    return (
        r.customer_no,
        r.branch_id,
        r.kind,
        r.id_kind,
        r.id_number,
        r.name,
        r.phone,
        r.province,
        r.acquisition,
        flag(r.is_farmer),
        ymd(day),
        ymd(day),
    )


def status_of(account: Account, day: date) -> str:
    """0 open, 1 closed, 2 frozen, at the end of the day."""
    if account.closed_on and account.closed_on <= day:
        return "1"
    return "2" if account.frozen_on and account.frozen_on <= day else "0"


def account(people: Population, a: Account, day: date) -> Row:
    closed = a.closed_on if a.closed_on and a.closed_on <= day else None
    return (
        a.account_no,
        a.customer_no,
        a.branch_id,
        a.entity,
        a.line,
        a.product.product_id,
        a.product.kind,
        a.open_channel,
        ymd(a.opened_on),
        ymd(closed),
        status_of(a, day),
        ymd(day),
        ymd(day),
    )


def balance(people: Population, pair: tuple[Account, int], day: date) -> Row:
    account, fen = pair
    subject, _ = SUBJECTS[account.product.product_id]
    return account.branch_id, ymd(day), account.account_no, "CNY", account.product.name, f"{fen:018d}", subject


def gl_balance(people: Population, b: GlBalance, day: date) -> Row:
    amounts = map(yuan, (b.opening, b.debit, b.credit, b.closing))
    return b.branch_id, b.subject, b.name, "CNY", flag(b.has_sub_ledger), *amounts, ymd(day)


def transaction(people: Population, t: Transaction, day: date) -> Row:
    return (
        t.branch_id,
        str(t.journal),
        str(t.line),
        t.account.account_no,
        t.account.customer_no,
        t.account.line,
        t.code,
        t.channel,
        t.origin,
        t.initiator,
        t.operator,
        flag(t.is_financial),
        t.direction,
        yuan(t.fen),
        t.currency,
        t.status,
        f"{t.at:%Y%m%d%H%M%S}",
        ymd(t.business_date),
        ymd(t.business_date),
        t.reverses or "",
        yuan(t.after),
        t.counterparty,
        t.remark,
        t.sale_id,
    )


def product(people: Population, p: Product, day: date) -> Row:
    return p.product_id, p.name, p.line, p.kind, ymd(people.first), ymd(day)


def branch(people: Population, b: Branch, day: date) -> Row:
    opens, closes = ("08:30", "17:30") if b.is_rural else ("09:00", "17:00")
    parent = "" if b.outlet_type == "HO" else "HO"
    return (
        b.branch_id,
        b.name,
        "B",
        parent,
        b.outlet_type,
        b.province,
        b.county,
        flag(b.is_rural),
        flag(b.is_smart),
        "Y",
        opens,
        closes,
        "17:30",
        ymd(b.opened_on),
        "",
        "",
        ymd(people.first),
        ymd(day),
    )


def hours(people: Population, item: tuple[Branch, int], day: date) -> Row:
    branch, weekday = item
    is_open = weekday <= 5 or branch.is_rural
    return branch.branch_id, str(weekday), "09:00" if is_open else "", "17:00" if is_open else "", ymd(day)


def rate(people: Population, pair: tuple[str, int], day: date) -> Row:
    currency, rate = pair
    return currency, ymd(day), f"{rate // 10**8}.{rate % 10**8:08d}"


def contract(people: Population, loan: Loan, day: date) -> Row:
    return (
        loan.loan_id,
        loan.customer_no,
        loan.branch_id,
        Decimal(loan.annual_rate) / 10_000,
        loan.industry,
        loan.purpose,
        loan.is_nfra,
        loan.is_pboc,
        loan.signed_on,
        Decimal(loan.principal) / 100,
        day,
        day,
    )


def loan_state(people: Population, s: LoanState, day: date) -> Row:
    return s.loan.loan_id, day, Decimal(s.balance) / 100, s.five_class, s.days_past_due


def event(people: Population, e: Event, day: date) -> Row:
    """Older apps write an older version of the schema. The device tells its own clock's times, the collector the right one."""
    version = {"7.2.0": 1, "7.2.1": 2}.get(e.version, 3)
    made = epoch_ms(e.at) + e.clock_off * 1_000
    row: dict[str, Any] = {
        "v": version,
        "event": {"id": e.event_id, "no": e.number, "name": e.name, "time": made, "sent": made + 500},
        "collected": epoch_ms(e.at) + 500,
        "user": {
            ("id" if version == 1 else "customer_no"): e.customer_no,
            "anonymous_id": e.anonymous_id,
            "is_test": e.is_test,
            "is_staff": e.is_staff,
        },
        "session": {"id": e.session_id, "started": epoch_ms(e.started), "is_bot": e.is_bot},
        "app": {"channel": e.channel, "version": e.version},
        "device": {"id": e.device_id, "os": "ios" if e.device_id < "8" else "android"},
    }
    if e.page:
        row["page"] = {"url": e.page}
    if e.funnel:
        name, attempt, step, is_final = e.funnel
        row["funnel"] = {"id": name, "attempt": attempt, "step": step, "is_final": is_final}
    return row


def sale(people: Population, s: Sale, day: date) -> Row:
    return {
        "sale_id": s.sale_id,
        "version": 1,
        "customer_no": s.customer_no,
        "account_no": s.account_no,
        "legal_entity": s.product.entity,
        "business_line": s.product.line,
        "product_id": s.product.product_id,
        "branch_id": s.branch_id,
        "channel_origin": s.origin,
        "channel_complete": s.complete,
        "is_customer_initiated": s.is_customer_initiated,
        "amount": Exact(yuan(s.fen)),
        "currency": "CNY",
        "status": s.status,
        "completed_at": utc(s.at),
        "reverses_sale_id": s.reverses,
        "reverses_business_date": s.reverses_date.isoformat() if s.reverses_date else None,
        "lead_id": s.lead_id,
        "campaign_id": s.campaign_id,
        "scene": s.scene,
        "needs_warning": s.needs_warning,
    }


def instance(people: Population, p: Process, day: date) -> Row:
    return {
        "instance_id": p.instance_id,
        "process_id": p.process_id,
        "customer_no": p.customer_no,
        "business_line": p.line,
        "branch_id": p.branch_id,
        "channel_origin": p.origin,
        "submitted_at": utc(p.submitted_at),
        "docs_complete_at": utc(p.docs_at),
        "decided_at": utc(p.decided_at),
        "ended_at": utc(p.ended_at),
        "outcome": p.outcome,
        "business_date": p.business_date.isoformat(),
    }


def step(people: Population, item: tuple[Process, Any], day: date) -> Row:
    process, step = item
    return {
        "instance_id": process.instance_id,
        "step_no": step.number,
        "step_code": step.code,
        "channel": step.channel,
        "actor": step.actor,
        "started_at": utc(step.started_at),
        "ended_at": utc(step.ended_at),
        "business_date": process.business_date.isoformat(),
    }


def calendar_row(people: Population, item: tuple[str, ...], day: date) -> Row:
    return (*item, people.first.isoformat(), day.isoformat())


def channel_row(people: Population, item: tuple[str, bool, bool], day: date) -> Row:
    channel, is_online, is_off_counter = item
    return channel, str(is_online).lower(), str(is_off_counter).lower(), people.first.isoformat(), day.isoformat()
