"""What counts as a customer's activity (kpis.md R4 to R6, R12), and how it adds up over windows of days.

Two shapes: rows of one day (valid transactions, valid sales, digital events), and windows that end on a date, which are
summed from `gold.party_days` so that no figure reads history's single rows again.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.history import valid_on
from jobs.money import net_of

MONEY = "decimal(28,2)"
# What windows() sums: counts and, by the last 90 days, an amount.
COUNTS = [
    "transaction_count", "sale_count", "online_sale_count", "transaction_count_90d", "online_transaction_count_90d",
    "counter_transaction_count_90d", "digital_event_count",
]  # fmt: skip
AMOUNTS = ["transaction_amount_90d", "balance"]
WINDOW_COLUMNS = [*COUNTS, *AMOUNTS, "last_transaction_on", "is_active"]


def valid_transactions(transactions: DataFrame, reversals: DataFrame, ref_channels: DataFrame) -> DataFrame:
    """Successful, customer-initiated, financial movements with `net_amount` > 0 after reversals, and `is_online`,
    `is_off_counter` of the channel on that date. A reversal is never an activity itself, on whatever day it was
    booked.
    """
    booked = transactions.where(
        (F.col("status") == "success")
        & (F.col("initiator") == "customer")
        & F.col("is_financial")
        & F.col("reverses_transaction_id").isNull()
    )
    left = _net(booked, reversals, kind="transaction", key="transaction_id")
    return valid_on(
        left, ref_channels, key="channel", at="business_date", take=["is_online", "is_off_counter"], small=True
    )


def valid_sales(sales: DataFrame, reversals: DataFrame, ref_channels: DataFrame) -> DataFrame:
    """Completed sales with `net_amount` > 0 after reversals; `completed_online` = the customer started and completed
    it online, `origin_online` = began online wherever it was signed.
    """
    completed = sales.where((F.col("status") == "completed") & F.col("reverses_sale_id").isNull())
    left = _net(completed, reversals, kind="sale", key="sale_id")
    signed = _channel(left, ref_channels, "channel_complete", "complete_online")
    begun = _channel(signed, ref_channels, "channel_origin", "origin_online")
    return begun.withColumns(
        {
            "completed_online": F.coalesce(F.col("complete_online"), F.lit(False)) & F.col("is_customer_initiated"),
            "origin_online": F.coalesce(F.col("origin_online"), F.lit(False)),
        }
    ).drop("complete_online")


def digital_events(channel_events: DataFrame, ref_channels: DataFrame) -> DataFrame:
    """Meaningful events of known customers in an online channel; no bots, no test users, no staff."""
    is_customer = ~F.col("is_bot") & ~F.col("is_test_user") & ~F.col("is_staff") & F.col("customer_key").isNotNull()
    meant = channel_events.where(F.col("is_meaningful") & is_customer)
    return _channel(meant, ref_channels, "channel", "is_online").where("is_online")


def _net(rows: DataFrame, reversals: DataFrame, *, kind: str, key: str) -> DataFrame:
    """Rows of which something is left after their reversals (R5: in the original's period), with `net_amount`."""
    undone = (
        reversals.where(F.col("kind") == kind)
        .groupBy(F.col("original_id").alias(key))
        .agg(F.sum("amount").alias("reversed"))
    )
    reversed_ = F.coalesce(F.col("reversed"), F.lit(0)).cast(MONEY)
    return (
        rows.join(undone, on=key, how="left")
        .withColumn("net_amount", net_of(F.col("amount"), F.col("amount_original"), reversed_))
        .where(F.col("net_amount") > 0)
        .drop("reversed")
    )


def _channel(rows: DataFrame, ref_channels: DataFrame, channel: str, flag: str) -> DataFrame:
    """`flag`: whether the channel in column `channel` counted as online on the row's date."""
    named = ref_channels.select(
        F.col("channel").alias("__channel"), F.col("is_online").alias(flag), "valid_from", "valid_to"
    )
    keyed = rows.withColumn("__channel", F.col(channel))
    return valid_on(keyed, named, key="__channel", at="business_date", take=[flag], small=True).drop("__channel")


def windows(
    party_days: DataFrame,
    account_balances: DataFrame,
    party_links: DataFrame,
    *,
    as_of: list[date],
    balance_floor: Decimal,
) -> DataFrame:
    """One row a party and date of `as_of`, for parties with activity in the 12 months ending then or a balance on that
    date.

    Columns: as_of, party_id; transaction_count, sale_count, online_sale_count (12 months); transaction_count_90d,
    transaction_amount_90d, online_transaction_count_90d, counter_transaction_count_90d; digital_event_count (month to
    date); last_transaction_on; balance; is_active. A window of n months or days ending at d is (d - n, d]. Records are
    brought together by their party as of d, so that a merge or split rewrites no day. A customer without a link stands
    for itself.
    """
    told = _dates(party_days.sparkSession, as_of)
    active_days = party_days.join(
        F.broadcast(told),
        (F.col("business_date") > F.add_months("as_of", -12)) & (F.col("business_date") <= F.col("as_of")),
        how="inner",
    )
    quarter = F.col("business_date") > F.date_sub("as_of", 90)
    month = F.col("business_date") >= F.trunc("as_of", "month")
    days = active_days.select(
        "as_of",
        "customer_key",
        "transaction_count",
        "sale_count",
        "online_sale_count",
        _only(quarter, "transaction_count").alias("transaction_count_90d"),
        _only(quarter, "transaction_amount").cast(MONEY).alias("transaction_amount_90d"),
        _only(quarter, "online_transaction_count").alias("online_transaction_count_90d"),
        _only(quarter, "counter_transaction_count").alias("counter_transaction_count_90d"),
        _only(month, "digital_event_count").alias("digital_event_count"),
        F.when(F.col("transaction_count") > 0, F.col("business_date")).alias("last_transaction_on"),
        F.lit(0).cast(MONEY).alias("balance"),
    )
    balances = account_balances.where(F.col("business_date").isin(as_of)).select(
        F.col("business_date").alias("as_of"),
        "customer_key",
        *[F.lit(0).alias(c) for c in COUNTS],
        F.lit(0).cast(MONEY).alias("transaction_amount_90d"),
        F.lit(None).cast("date").alias("last_transaction_on"),
        F.col("balance").cast(MONEY).alias("balance"),
    )
    by_customer = _sums(days.unionByName(balances), "as_of", "customer_key")
    by_party = _sums(with_party(by_customer, party_links, at="as_of"), "as_of", "party_id")
    is_active = (F.col("transaction_count") > 0) | (F.col("balance") >= F.lit(balance_floor))
    return by_party.withColumn("is_active", is_active)


def with_party(rows: DataFrame, party_links: DataFrame, *, at: str) -> DataFrame:
    """`rows` with the party_id of their customer_key on the date in column `at`; the customer key itself where no
    record is linked.
    """
    linked = valid_on(rows, party_links, key="customer_key", at=at, take=["party_id"])
    return linked.withColumn("party_id", F.coalesce("party_id", "customer_key"))


def _sums(rows: DataFrame, *keys: str) -> DataFrame:
    return rows.groupBy(*keys).agg(
        *[F.sum(c).cast("bigint").alias(c) for c in COUNTS],
        *[F.sum(c).cast(MONEY).alias(c) for c in AMOUNTS],
        F.max("last_transaction_on").alias("last_transaction_on"),
    )


def _only(inside: Column, column: str) -> Column:
    return F.when(inside, F.col(column)).otherwise(F.lit(0))


def _dates(spark: SparkSession, days: list[date]) -> DataFrame:
    return spark.createDataFrame([(d,) for d in days], "as_of date")
