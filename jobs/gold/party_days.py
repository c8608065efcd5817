"""Activity of one customer record on one business date: what window figures and counts of distinct customers are
summed from.

Kept by source record, not by party: the party is looked up as of the date of the figure, so that a merge or split
rewrites no day. A reversal changes the day of its original (R5), and only that day is built again.
"""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs import activity
from jobs.contracts.day import Day

# Reversals are read by the day that they change, whenever they were booked.
READS = {"silver.reversals": "original_business_date"}
COUNTS = [
    "transaction_count", "online_transaction_count", "off_counter_transaction_count", "counter_transaction_count",
    "sale_count", "online_sale_count", "digital_event_count",
]  # fmt: skip
AMOUNTS = ["transaction_amount", "online_transaction_amount", "sale_amount", "online_sale_amount"]


def transform(
    transactions: DataFrame,
    sales: DataFrame,
    reversals: DataFrame,
    channel_events: DataFrame,
    ref_channels: DataFrame,
    day: Day,
) -> DataFrame:
    in_run = F.col("business_date").between(F.lit(day.from_date), F.lit(day.to_date))
    moved = activity.valid_transactions(transactions.where(in_run), reversals, ref_channels)
    sold = activity.valid_sales(sales.where(in_run), reversals, ref_channels)
    clicked = activity.digital_events(channel_events.where(in_run), ref_channels)
    parts = [
        _measured(
            moved,
            transaction_count=F.lit(1),
            online_transaction_count=F.col("is_online").cast("int"),
            off_counter_transaction_count=F.col("is_off_counter").cast("int"),
            counter_transaction_count=(F.col("channel") == "counter").cast("int"),
            transaction_amount=F.col("net_amount"),
            online_transaction_amount=F.when(F.col("is_online"), F.col("net_amount")),
        ),
        _measured(
            sold,
            sale_count=F.lit(1),
            online_sale_count=F.col("completed_online").cast("int"),
            sale_amount=F.col("net_amount"),
            online_sale_amount=F.when(F.col("completed_online"), F.col("net_amount")),
        ),
        _measured(clicked, digital_event_count=F.lit(1)),
    ]
    return (
        reduce(DataFrame.unionByName, parts)
        .groupBy("customer_key", "business_date")
        .agg(
            *[F.sum(c).cast("int").alias(c) for c in COUNTS],
            *[F.sum(c).cast("decimal(28,2)").alias(c) for c in AMOUNTS],
        )
    )


def _measured(rows: DataFrame, **measures: Column) -> DataFrame:
    """One row of measures a row; what the rows do not measure is 0."""
    zero = F.lit(0)
    counts = [F.coalesce(measures.get(c, zero), zero).cast("int").alias(c) for c in COUNTS]
    amounts = [F.coalesce(measures.get(c, zero), zero).cast("decimal(18,2)").alias(c) for c in AMOUNTS]
    return rows.select("customer_key", "business_date", *counts, *amounts)
