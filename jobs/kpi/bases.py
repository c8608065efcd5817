"""Bases: the rows that KPI definitions speak of. A new KPI is a definition over one of these; a new base is one
function.

A base has one row a unit (a sale, a movement, a party, ...) with: unit_table, unit_id, business_date, legal_entity_id,
business_line, branch_id (null where the unit belongs to no branch), `sources` (the delivered lines behind it; null
where the unit stands for many), and whatever columns its definitions name. The province is that of the branch on the
row's date, and is added once for all bases. A function's parameters name the tables it reads; `day` is the run.
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
FINISHED = ["approved", "rejected", "completed"]


@dataclass(frozen=True)
class Base:
    """`told` days: rows of the run's business dates. `told` as_of: one row a party as of each date of `Day.as_of`."""

    rows: Callable[..., DataFrame]
    told: Literal["days", "as_of"] = "days"


def valid_sales(sales: DataFrame, reversals: DataFrame, ref_channels: DataFrame) -> DataFrame:
    """Columns: completed_online, origin_online (boolean), net_amount."""
    valid = activity.valid_sales(sales, reversals, ref_channels)
    return _units(valid, "silver.sales", "sale_id", ["completed_online", "origin_online", "net_amount"])


def valid_transactions(transactions: DataFrame, reversals: DataFrame, ref_channels: DataFrame) -> DataFrame:
    """Columns: is_online, is_off_counter, is_out_of_hours (boolean), net_amount."""
    valid = activity.valid_transactions(transactions, reversals, ref_channels)
    columns = ["is_online", "is_off_counter", "is_out_of_hours", "net_amount"]
    return _units(valid, "silver.transactions", "transaction_id", columns)


def processes(process_instances: DataFrame, process_steps: DataFrame, ref_channels: DataFrame) -> DataFrame:
    """Finished process instances. Columns: steps, online_steps (those that faced the customer; others are neutral)."""
    finished = process_instances.where(F.col("outcome").isin(FINISHED))
    facing = process_steps.where(F.col("channel").isNotNull())
    told = valid_on(facing, ref_channels, key="channel", at="business_date", take=["is_online"], small=True)
    steps = told.groupBy("process_instance_id").agg(
        F.count("*").alias("steps"), F.count_if("is_online").alias("online_steps")
    )
    counted = finished.join(steps, on="process_instance_id", how="left").na.fill(0, ["steps", "online_steps"])
    # A process names no legal entity: it is that of its branch.
    of_branch = counted.withColumn("legal_entity_id", F.lit(None).cast("string"))
    return _units(of_branch, "silver.process_instances", "process_instance_id", ["steps", "online_steps"])


def accounts_opened(accounts: DataFrame, party_links: DataFrame, ref_channels: DataFrame, day: Day) -> DataFrame:
    """Accounts opened in the run that are the party's first, in the group or at their legal entity.

    The earliest by date, then by id, is the first; one that closed since still counts. Columns: is_online (opened
    online), is_first_in_group, is_first_at_entity.
    """
    known = known_by(accounts, F.lit(day.to_date)).withColumn("as_of", F.lit(day.to_date))
    owned = activity.with_party(known, party_links, at="as_of")
    by_age = ["opened_on", "account_id"]
    ranked = owned.withColumns(
        {
            "is_first_in_group": F.row_number().over(Window.partitionBy("party_id").orderBy(*by_age)) == 1,
            "is_first_at_entity": F.row_number().over(
                Window.partitionBy("party_id", "legal_entity_id").orderBy(*by_age)
            )
            == 1,
            "business_date": F.col("opened_on"),
            "channel": F.col("open_channel"),
        }
    )
    in_run = F.col("opened_on").between(F.lit(day.from_date), F.lit(day.to_date))
    first = ranked.where(in_run & (F.col("is_first_in_group") | F.col("is_first_at_entity")))
    opened = valid_on(first, ref_channels, key="channel", at="business_date", take=["is_online"], small=True)
    columns = ["is_online", "is_first_in_group", "is_first_at_entity"]
    return _units(opened, "silver.accounts", "account_id", columns)


def party_windows(party_days: DataFrame, account_balances: DataFrame, party_links: DataFrame, day: Day) -> DataFrame:
    """Parties with activity in 12 months or a balance: the columns of `jobs.activity.windows`. Total grain only."""
    told = activity.windows(
        party_days, account_balances, party_links, as_of=day.as_of, balance_floor=day.balance_floor
    ).withColumn("business_date", F.col("as_of"))
    none = F.lit(None)
    nowhere = told.withColumns(
        {c: none.cast("string") for c in ("legal_entity_id", "business_line", "branch_id")} | {"sources": none}
    )
    return _units(nowhere, "silver.parties", "party_id", activity.WINDOW_COLUMNS)


def loans_as_of(loans: DataFrame) -> DataFrame:
    """Open loans at the end of each date. Columns: balance, five_class, days_past_due. Lending is one line here."""
    lent = loans.withColumn("business_line", F.lit("micro_loan"))
    return _units(lent, "silver.loans", "loan_id", ["balance", "five_class", "days_past_due"])


BASES: dict[str, Base] = {
    "valid_sales": Base(valid_sales),
    "valid_transactions": Base(valid_transactions),
    "processes": Base(processes),
    "accounts_opened": Base(accounts_opened),
    "party_windows": Base(party_windows, told="as_of"),
    "loans_as_of": Base(loans_as_of),
}


def _units(rows: DataFrame, table: str, key: str, columns: list[str]) -> DataFrame:
    return rows.select(
        F.lit(table).alias("unit_table"),
        F.col(key).alias("unit_id"),
        "business_date",
        "legal_entity_id",
        "business_line",
        "branch_id",
        F.col("sources").cast(SOURCES).alias("sources"),
        *columns,
    )
