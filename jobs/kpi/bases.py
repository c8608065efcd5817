"""Bases: the rows that KPI definitions speak of. A new KPI is a definition over one of these; a new base is one function here.

A base has one row a unit (a sale, a movement, a party, ...) with: unit_table, unit_id, business_date, the grain columns legal_entity_id,
business_line, province_code, branch_id, `sources` (the delivered lines behind it; null where the unit stands for many), and whatever columns
its definitions name. A function's parameters name the tables it reads; `day` is the run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs import activity
from jobs.contracts.day import Day
from jobs.history import known_by, valid_on

GRAINS = ["legal_entity_id", "business_line", "province_code", "branch_id"]
SOURCES = "array<struct<delivery_id:string,line:bigint>>"
# A process names no legal entity: it is that of its branch.
OF_BRANCH = ("province_code", "legal_entity_id")
FINISHED = ["approved", "rejected", "completed"]


@dataclass(frozen=True)
class Base:
    """`told` days: rows of the run's business dates. `told` as_of: one row a party as of each date of `Day.as_of`; windows end there."""

    rows: Callable[..., DataFrame]
    told: Literal["days", "as_of"] = "days"


def valid_sales(sales: DataFrame, reversals: DataFrame, ref_channels: DataFrame, branches: DataFrame) -> DataFrame:
    """Columns: completed_online, origin_online (boolean), net_amount."""
    return _placed(
        activity.valid_sales(sales, reversals, ref_channels),
        branches,
        unit="silver.sales",
        key="sale_id",
        columns=["completed_online", "origin_online", "net_amount"],
    )


def valid_transactions(
    transactions: DataFrame, reversals: DataFrame, ref_channels: DataFrame, branches: DataFrame
) -> DataFrame:
    """Columns: is_online, is_off_counter, is_out_of_hours (boolean), net_amount."""
    valid = activity.valid_transactions(transactions, reversals, ref_channels)
    columns = ["is_online", "is_off_counter", "is_out_of_hours", "net_amount"]
    return _placed(valid, branches, unit="silver.transactions", key="transaction_id", columns=columns)


def processes(
    process_instances: DataFrame, process_steps: DataFrame, ref_channels: DataFrame, branches: DataFrame
) -> DataFrame:
    """Finished process instances. Columns: steps, online_steps (customer-facing ones; back-office steps are neutral)."""
    finished = process_instances.where(F.col("outcome").isin(FINISHED))
    facing = valid_on(
        process_steps.where("channel is not null"),
        ref_channels,
        key="channel",
        at="business_date",
        take=["is_online"],
        small=True,
    )
    steps = facing.groupBy("process_instance_id").agg(
        F.count("*").alias("steps"), F.count_if("is_online").alias("online_steps")
    )
    counted = finished.join(steps, on="process_instance_id", how="left").na.fill(0, ["steps", "online_steps"])
    columns = ["steps", "online_steps"]
    return _placed(
        counted,
        branches,
        unit="silver.process_instances",
        key="process_instance_id",
        columns=columns,
        of_branch=OF_BRANCH,
    )


def accounts_opened(
    accounts: DataFrame, party_links: DataFrame, ref_channels: DataFrame, branches: DataFrame, day: Day
) -> DataFrame:
    """Accounts opened in the run that are the party's first, in the group or at their legal entity; the earliest by date, then by id.

    Columns: is_online (opened online), is_first_in_group, is_first_at_entity. An account that closed since still counts.
    """
    known = known_by(accounts, F.lit(day.to_date)).withColumn("as_of", F.lit(day.to_date))
    owned = activity.with_party(known, party_links, at="as_of")
    in_run = F.col("opened_on").between(F.lit(day.from_date), F.lit(day.to_date))
    new = owned.where(in_run).select("party_id").distinct()
    by_age = ["opened_on", "account_id"]
    in_group = F.row_number().over(Window.partitionBy("party_id").orderBy(*by_age))
    at_entity = F.row_number().over(Window.partitionBy("party_id", "legal_entity_id").orderBy(*by_age))
    ranked = owned.join(F.broadcast(new), on="party_id", how="left_semi").select(
        "*", (in_group == 1).alias("is_first_in_group"), (at_entity == 1).alias("is_first_at_entity")
    )
    first = ranked.where(in_run & (F.col("is_first_in_group") | F.col("is_first_at_entity"))).withColumns(
        {"business_date": F.col("opened_on"), "channel": F.col("open_channel")}
    )
    opened = valid_on(first, ref_channels, key="channel", at="business_date", take=["is_online"], small=True)
    columns = ["is_online", "is_first_in_group", "is_first_at_entity"]
    return _placed(opened, branches, unit="silver.accounts", key="account_id", columns=columns)


def party_windows(party_days: DataFrame, account_balances: DataFrame, party_links: DataFrame, day: Day) -> DataFrame:
    """Parties with activity in 12 months or a balance, as of each date: the columns of `jobs.activity.windows`. Total grain only."""
    told = activity.windows(party_days, account_balances, party_links, as_of=day.as_of, balance_floor=day.balance_floor)
    return told.select(
        F.lit("silver.parties").alias("unit_table"),
        F.col("party_id").alias("unit_id"),
        F.col("as_of").alias("business_date"),
        *[F.lit(None).cast("string").alias(c) for c in GRAINS],
        F.lit(None).cast(SOURCES).alias("sources"),
        *activity.WINDOW_COLUMNS,
    )


def loans_as_of(loans: DataFrame, branches: DataFrame) -> DataFrame:
    """Open loans at the end of each date. Columns: balance, five_class, days_past_due. Lending is one line here."""
    lent = loans.withColumn("business_line", F.lit("micro_loan"))
    return _placed(
        lent, branches, unit="silver.loans", key="loan_id", columns=["balance", "five_class", "days_past_due"]
    )


BASES: dict[str, Base] = {
    "valid_sales": Base(valid_sales),
    "valid_transactions": Base(valid_transactions),
    "processes": Base(processes),
    "accounts_opened": Base(accounts_opened),
    "party_windows": Base(party_windows, told="as_of"),
    "loans_as_of": Base(loans_as_of),
}


def _placed(
    rows: DataFrame, branches: DataFrame, *, unit: str, key: str, columns: list[str], of_branch: tuple[str, ...] = ("province_code",)
) -> DataFrame:  # fmt: skip
    """Rows as units, with the province of their branch on their own date (R8)."""
    return valid_on(rows, branches, key="branch_id", at="business_date", take=of_branch, small=True).select(
        F.lit(unit).alias("unit_table"),
        F.col(key).alias("unit_id"),
        "business_date",
        *[F.coalesce(F.col(c), F.lit("unknown")).alias(c) for c in GRAINS],
        F.col("sources").cast(SOURCES).alias("sources"),
        *columns,
    )
