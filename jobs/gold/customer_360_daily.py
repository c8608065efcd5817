"""Daily measures of a party: balance, recency, frequency and money, stage of its move to digital channels.

Told as of the run's own as-of dates: each day in daily running; after a take-on the month ends and the last day.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs import activity
from jobs.contracts.day import Day
from jobs.history import valid_on

READS = {"gold.party_days": "12 months"}


def transform(
    party_days: DataFrame, account_balances: DataFrame, party_links: DataFrame, parties: DataFrame, day: Day
) -> DataFrame:
    as_of = [d for d in day.as_of if day.covers(d)]
    told = activity.windows(party_days, account_balances, party_links, as_of=as_of, balance_floor=day.balance_floor)
    placed = valid_on(told, parties, key="party_id", at="as_of", take=["home_province_code", "home_branch_id"])
    return placed.select(
        "party_id",
        F.col("as_of").alias("business_date"),
        "home_province_code",
        "home_branch_id",
        "balance",
        "is_active",
        F.date_diff("as_of", "last_transaction_on").alias("recency_days"),
        F.col("transaction_count_90d").cast("int").alias("frequency_90d"),
        F.col("transaction_amount_90d").alias("monetary_90d"),
        F.col("transaction_count").cast("int").alias("transaction_count_12m"),
        F.col("sale_count").cast("int").alias("sale_count_12m"),
        F.col("online_sale_count").cast("int").alias("online_sale_count_12m"),
        F.col("digital_event_count").cast("int").alias("digital_event_count_mtd"),
        _stage().alias("migration_stage"),
    )


def _stage() -> Column:
    """How far the party has moved, by its valid transactions of the last 90 days; null without any at the counter or
    online.
    """
    online, counter = F.col("online_transaction_count_90d"), F.col("counter_transaction_count_90d")
    return (
        F.when((online == 0) & (counter == 0), F.lit(None))
        .when(counter == 0, F.lit("digital_only"))
        .when(online == 0, F.lit("counter_only"))
        .when(online > counter, F.lit("digital_first"))
        .otherwise(F.lit("mixed"))
    )
