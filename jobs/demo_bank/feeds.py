"""What each feed sends: which true things of a day, in which fields, in which format."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jobs.demo_bank import hong_kong, mainframe, other_systems, rows
from jobs.demo_bank.archives import Archive
from jobs.demo_bank.codes import PRODUCTS
from jobs.demo_bank.documents import CostSheets, Statement
from jobs.demo_bank.encoding import Delimited, Encoder, FixedWidth, JsonLines, Parquet, Row
from jobs.demo_bank.population import Population
from jobs.demo_bank.truth import (
    Day,
)

CALENDAR = Path(__file__).resolve().parents[2] / "expectations" / "reference" / "calendars" / "cn_bank.csv"
CHANNEL_FLAGS = (
    ("counter", False, False),
    ("self_service", False, True),
    ("web", True, True),
    ("mobile", True, True),
    ("mini_program", True, True),
    ("phone", False, True),
    ("open_api", True, True),
    ("assisted", False, True),
)


@dataclass(frozen=True)
class Feed:
    """One feed. `items`: the true things of a day that one sender tells; `row`: the fields of one; `money`: its fen."""

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
    provinces: int = 0  # so many provinces send a file each, not head office
    packed_in: str | None = None  # the archive in which its sender packs it
    is_silent: bool = False  # sends nothing where there is nothing to tell

    def senders(self, people: Population) -> list[str]:
        """Who sends a file a day."""
        if self.sender == "branch":
            return [branch.branch_id for branch in people.outlets]
        return list(people.scale.provinces[: self.provinces]) if self.provinces else [self.entity]

    def fen(self, item: Any) -> int:
        """What one item adds to the control sum; 0 where the feed states none."""
        return self.money(item) if self.money else 0

    def file_name(self, entity: str, day: date, seq: int) -> str:
        return self.pattern.format(entity=entity, date=f"{day:%Y%m%d}", seq=seq)


@cache
def calendar_days() -> tuple[tuple[str, str, str, str], ...]:
    with CALENDAR.open(encoding="utf-8") as lines:
        return tuple(
            (r["calendar_date"], r["is_working_day"], r["is_holiday"], r["is_makeup_day"])
            for r in csv.DictReader(lines)
        )


def _of_branch(name: str) -> Callable[[Population, Day, str], Sequence[Any]]:
    return lambda people, day, entity: [item for item in getattr(day, name) if item.branch_id == entity]


def _of_day(name: str) -> Callable[[Population, Day, str], Sequence[Any]]:
    return lambda people, day, entity: getattr(day, name)


HONG_KONG = "HK"  # the agent there
PLUS = Delimited("|+|")
PARAMETERS = Delimited("|@|", has_header=False, trailer=("count",))
FEEDS: dict[str, Feed] = {
    f.name: f
    for f in (
        Feed(
            "ref_channels",
            "REF_{entity}_CHANNELS_{date}_{seq}.csv",
            "configuration",
            Delimited(
                ",",
                "utf-8",
                False,
                (),
                column_line=("channel", "is_online", "is_off_counter", "changed_on", "business_date"),
            ),
            lambda people, day, entity: CHANNEL_FLAGS,
            rows.channel_row,
        ),
        Feed(
            "calendar",
            "REF_{entity}_CALENDAR_{date}_{seq}.csv",
            "configuration",
            Delimited(
                ",",
                "utf-8",
                False,
                (),
                column_line=(
                    "calendar_date",
                    "is_working_day",
                    "is_holiday",
                    "is_makeup_day",
                    "changed_on",
                    "business_date",
                ),
            ),
            lambda people, day, entity: calendar_days(),
            rows.calendar_row,
        ),
        Feed(
            "app_events",
            "APP_{entity}_EVENTS_{date}_{seq}.jsonl",
            "stream",
            JsonLines(),
            _of_day("events"),
            rows.event,
            entity="app",
            parts=12,
            hour=lambda e: e.at.hour,
        ),
        Feed(
            "online_sales",
            "SALES_{entity}_SALE_{date}_{seq}.jsonl",
            "stream",
            JsonLines(),
            _of_day("sales"),
            rows.sale,
            lambda s: s.fen,
            entity="sales",
            parts=4,
            hour=lambda s: s.at.hour,
        ),
        Feed(
            "process_instances",
            "BPM_{entity}_INSTANCE_{date}_{seq}.jsonl",
            "stream",
            JsonLines(),
            _of_day("processes"),
            rows.instance,
            entity="bpm",
            parts=2,
            hour=lambda p: p.ended_at.hour,
        ),
        Feed(
            "process_steps",
            "BPM_{entity}_STEP_{date}_{seq}.jsonl",
            "stream",
            JsonLines(),
            lambda people, day, entity: [(p, s) for p in day.processes for s in p.steps],
            rows.step,
            entity="bpm",
            parts=2,
            hour=lambda pair: pair[0].ended_at.hour,
        ),
        Feed(
            "core_products",
            "CORE_{entity}_PROD_{date}_{seq}.txt",
            "head_office",
            PARAMETERS,
            lambda people, day, entity: PRODUCTS,
            rows.product,
            packed_in="core_params",
        ),
        Feed(
            "core_branches",
            "CORE_{entity}_ORG_{date}_{seq}.txt",
            "head_office",
            PARAMETERS,
            lambda people, day, entity: people.branches,
            rows.branch,
            packed_in="core_params",
        ),
        Feed(
            "core_rates",
            "CORE_{entity}_RATE_{date}_{seq}.txt",
            "head_office",
            PARAMETERS,
            lambda people, day, entity: list(day.rates.items()),
            rows.rate,
            packed_in="core_params",
        ),
        Feed(
            "core_hours",
            "CORE_{entity}_HOUR_{date}_{seq}.txt",
            "head_office",
            PARAMETERS,
            lambda people, day, entity: [(b, w) for b in people.outlets for w in range(1, 8)],
            rows.hours,
            packed_in="core_params",
        ),
        Feed(
            "loan_contracts",
            "LOAN_{entity}_CONTRACT_{date}_{seq}.parquet",
            "head_office",
            Parquet(
                (
                    ("loan_id", "string"),
                    ("customer_no", "string"),
                    ("branch_id", "string"),
                    ("annual_rate", "rate"),
                    ("industry_code", "string"),
                    ("purpose_code", "string"),
                    ("is_inclusive_nfra", "boolean"),
                    ("is_inclusive_pboc", "boolean"),
                    ("signed_on", "date"),
                    ("principal", "money"),
                    ("changed_on", "date"),
                    ("business_date", "date"),
                )
            ),
            _of_day("new_loans"),
            rows.contract,
        ),
        Feed(
            "loan_daily",
            "LOAN_{entity}_DAILY_{date}_{seq}.parquet",
            "head_office",
            Parquet(
                (
                    ("loan_id", "string"),
                    ("as_of_date", "date"),
                    ("balance", "money"),
                    ("five_class", "string"),
                    ("days_past_due", "int"),
                )
            ),
            _of_day("loans"),
            rows.loan_state,
            lambda s: s.balance,
        ),
        Feed(
            "core_legacy",
            "LEGA_{entity}_ACCT_{date}_{seq}.dat",
            "head_office",
            mainframe.Mainframe(),
            other_systems.legacy_accounts,
            lambda people, account, day: mainframe.row(account, day),
            lambda account: account.balance,
            provinces=2,
        ),
        Feed(
            "card_transactions",
            "CARD_{entity}_TXN_{date}_{seq}.dat",
            "head_office",
            FixedWidth((12, 6, 16, 6, 12, 1, 15, 12, 10, 3), "ascii", "card"),
            other_systems.card_movements,
            other_systems.card_row,
            lambda m: m.fen,
            parts=2,
            hour=lambda m: m.at.hour,
        ),
        Feed(
            "market_rates",
            "MKT_{entity}_RATES_{date}_{seq}.csv",
            "head_office",
            Delimited(",", "utf-8", False, (), column_line=("\ufeffinstrument", "name", "rate", "business_date")),
            other_systems.market_rates,
            other_systems.market_row,
        ),
        Feed(
            "clearing_statements",
            "CLR_{entity}_CAMT053_{date}_{seq}.xml",
            "head_office",
            Statement(),
            other_systems.clearing_entries,
            other_systems.clearing_row,
            lambda entry: entry[1],
            is_silent=True,
        ),
        Feed(
            "branch_costs",
            "COST_{entity}_BRANCH_{date}_{seq}.xlsx",
            "head_office",
            CostSheets(("月份", "费用项目", "金额", "记账日期", "提交日期")),
            other_systems.branch_costs,
            other_systems.cost_row,
            lambda cost: cost[2],
            provinces=99,
            is_silent=True,
        ),
        Feed(
            "hk_deposits",
            "HKA_{entity}_DEPOSIT_{date}_{seq}.txt",
            "head_office",
            Delimited("|", "big5hkscs", system="hka", comments=("# 香港代理行 存款明細", "# 本日完")),
            hong_kong.deposits,
            hong_kong.deposit_row,
            lambda deposit: deposit.cents,
            entity=HONG_KONG,
            packed_in="hk_package",
        ),
        Feed(
            "hk_quotes",
            "HKA_{entity}_QUOTE_{date}_{seq}.txt",
            "head_office",
            Delimited(
                "\t",
                "utf-16-le",
                False,
                (),
                column_line=("\ufeffinstrument", "name", "bid", "ask", "business_date"),
                line_end="\r\n",
            ),
            hong_kong.quotes,
            hong_kong.quote_row,
            entity=HONG_KONG,
            packed_in="hk_package",
        ),
        Feed(
            "hk_ledger",
            "HKA_{entity}_LEDGER_{date}_{seq}.dat",
            "head_office",
            mainframe.Tape(),
            hong_kong.turnovers,
            hong_kong.turnover_row,
            lambda turnover: turnover.debit,
            entity=HONG_KONG,
            packed_in="hk_package",
        ),
        Feed(
            "core_customers",
            "CORE_{entity}_CUST_{date}_{seq}.txt",
            "branch",
            PLUS,
            _of_branch("customers"),
            rows.customer,
        ),
        Feed(
            "core_accounts", "CORE_{entity}_ACCT_{date}_{seq}.txt", "branch", PLUS, _of_branch("accounts"), rows.account
        ),
        Feed(
            "core_balances",
            "CORE_{entity}_BAL_{date}_{seq}.dat",
            "branch",
            FixedWidth((6, 8, 19, 3, 24, 18, 8)),
            lambda people, day, entity: [pair for pair in day.balances if pair[0].branch_id == entity],
            rows.balance,
            lambda pair: pair[1],
        ),
        Feed(
            "core_transactions",
            "CORE_{entity}_TXN_{date}_{seq}.txt.gz",
            "branch",
            Delimited("\x1b", is_gzip=True),
            _of_branch("transactions"),
            rows.transaction,
            lambda t: t.fen,
        ),
        Feed(
            "core_gl",
            "CORE_{entity}_GL_{date}_{seq}.txt",
            "branch",
            Delimited("|", "gbk"),
            _of_branch("gl"),
            rows.gl_balance,
            lambda b: b.debit,
        ),
    )
}
# Head office packs its parameters, the agent in Hong Kong all that it has to tell.
ARCHIVES = {
    "core_params": Archive("CORE_{entity}_PARAMS_{date}_{seq}.tar.gz", "tar.gz"),
    "hk_package": Archive("HKA_{entity}_PACKAGE_{date}_{seq}.zip.pgp", "zip", is_encrypted=True),
}
# Sent whole every day; a take-on needs them once.
ONCE_AT_TAKE_ON = {"ref_channels", "calendar", "core_products", "core_branches", "core_hours"}
