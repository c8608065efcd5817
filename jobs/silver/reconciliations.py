"""What two sides tell of the same money: general ledger and accounts, account-days, transfers within the bank, reversals and originals, sales and their registration.

The order of movements means nothing (E3): an account is tested by the day, and only where its branch sent movements and something moved. A reversal is
listed on the day of its original, which is built again when either of the two comes; so it is counted once, whenever the original is found (E2).
"""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.contracts.day import Day

# Openings are yesterday's closings. Reversals are read by the day that they change, whenever they were booked.
READS = {"silver.account_balances": "1 day", "silver.reversals": "original_business_date"}
SUM = "decimal(28,2)"


def transform(
    transactions: DataFrame,
    account_balances: DataFrame,
    accounts: DataFrame,
    gl_balances: DataFrame,
    reversals: DataFrame,
    sales: DataFrame,
    day: Day,
) -> DataFrame:
    booked = transactions.where(F.col("status") == "success")
    moved = booked.where("is_financial")
    parts = [
        _subjects(gl_balances, account_balances, day),
        _account_days(moved, account_balances, accounts, day),
        _transfers(moved, accounts),
        _reversals(booked, sales, reversals),
        _registrations(booked, sales),
    ]
    off = F.abs(F.coalesce("left_amount", F.lit(0)) - F.coalesce("right_amount", F.lit(0))).cast(SUM)
    one_side = F.col("left_amount").isNull() | F.col("right_amount").isNull()
    tolerance = F.lit(0).cast("decimal(18,2)")
    return reduce(DataFrame.unionByName, parts).select(
        F.concat_ws(":", "kind", "subject", F.col("business_date").cast("string")).alias("reconciliation_id"),
        "kind",
        "subject",
        "branch_id",
        F.col("left_amount").cast(SUM).alias("left_amount"),
        F.col("right_amount").cast(SUM).alias("right_amount"),
        tolerance.alias("tolerance"),
        off.alias("off_by"),
        F.when(one_side | (off > tolerance), F.col("kind")).alias("disagrees"),
        "since",
        "business_date",
    )


def _subjects(gl_balances: DataFrame, balances: DataFrame, day: Day) -> DataFrame:
    """The general ledger against the accounts, in the subject's currency. That the files agree was found out before; what is rejected since, for want of
    a holder, shows here. Subjects without accounts are not compared.
    """
    keys = ["branch_id", "subject_code", "currency", "business_date"]
    detail = (
        balances.where(F.col("business_date").between(F.lit(day.from_date), F.lit(day.to_date)))
        .where("subject_code is not null")
        .groupBy(*keys)
        .agg(F.sum("balance_original").alias("accounts"))
    )
    total = gl_balances.groupBy(*keys).agg(F.sum("closing").alias("ledger"))
    return _side_by_side(
        detail.join(total, on=keys, how="inner"),
        "gl_subject",
        subject=F.concat_ws("|", "branch_id", "subject_code", "currency"),
        branch=F.col("branch_id"),
        left=F.col("ledger"),
        right=F.col("accounts"),
    )


def _account_days(moved: DataFrame, balances: DataFrame, accounts: DataFrame, day: Day) -> DataFrame:
    """Opening balance and movements against the closing balance, in the account's currency. An account that was opened on the day opens with 0; one whose
    balance of the day before did not come is not tested, nor one in foreign currency that was moved in another.
    """
    sign = F.when(F.col("direction") == "credit", F.lit(1)).otherwise(F.lit(-1))
    movements = moved.groupBy("account_id", "business_date").agg(
        F.sum(sign * F.col("amount")).alias("in_reporting"),
        F.sum(sign * F.col("amount_original")).alias("in_original"),
        F.min("currency").alias("moved_in"),
        F.max("currency").alias("and_in"),
    )
    sent = F.broadcast(moved.select("branch_id", "business_date").distinct())
    opening = balances.select(
        "account_id",
        F.date_add("business_date", 1).alias("business_date"),
        "currency",
        F.col("balance_original").alias("before"),
    )
    is_of_one = (F.col("moved_in") == F.col("currency")) & (F.col("and_in") == F.col("currency"))
    movement = (
        F.when(F.col("moved_in").isNull(), F.lit(0))
        .when(F.col("currency") == day.currency, F.col("in_reporting"))
        .when(is_of_one, F.col("in_original"))
    )
    opened = accounts.groupBy("account_id").agg(F.min("opened_on").alias("opened_on"))
    tested = (
        balances.where(F.col("business_date").between(F.lit(day.from_date), F.lit(day.to_date)))
        .join(sent, on=["branch_id", "business_date"], how="left_semi")
        .join(opening, on=["account_id", "business_date", "currency"], how="left")
        .join(movements, on=["account_id", "business_date"], how="left")
        .join(opened, on="account_id", how="left")
        .withColumn(
            "opening",
            F.coalesce(F.col("before"), F.when(F.col("opened_on") == F.col("business_date"), F.lit(0).cast(SUM))),
        )
        .withColumn("movement", movement)
        .where(F.col("opening").isNotNull() & F.col("movement").isNotNull())
        .where(F.col("moved_in").isNotNull() | (F.col("opening") != F.col("balance_original")))
    )
    return _side_by_side(
        tested,
        "account_day",
        subject=F.col("account_id"),
        branch=F.col("branch_id"),
        left=F.col("opening") + F.col("movement"),
        right=F.col("balance_original"),
    )


def _transfers(moved: DataFrame, accounts: DataFrame) -> DataFrame:
    """What accounts paid to other accounts of the bank against what those got, by pair of accounts and day."""
    system = F.substring_index("account_id", ":", 1)
    legs = moved.where("counterparty is not null and reverses_transaction_id is null").withColumn(
        "other_id", F.concat_ws(":", system, "counterparty")
    )
    own = accounts.select(F.col("account_id").alias("other_id")).distinct()
    is_debit = F.col("direction") == "debit"
    paired = (
        legs.join(own, on="other_id", how="left_semi")
        .groupBy(
            F.when(is_debit, F.col("account_id")).otherwise(F.col("other_id")).alias("payer"),
            F.when(is_debit, F.col("other_id")).otherwise(F.col("account_id")).alias("payee"),
            "business_date",
        )
        .agg(
            F.sum(F.when(is_debit, F.col("amount"))).alias("paid"),
            F.sum(F.when(~is_debit, F.col("amount"))).alias("got"),
            F.min("branch_id").alias("branch_id"),
        )
    )
    return _side_by_side(
        paired,
        "internal_transfer",
        subject=F.concat_ws(">", "payer", "payee"),
        branch=F.col("branch_id"),
        left=F.col("paid"),
        right=F.col("got"),
    )


def _reversals(booked: DataFrame, sales: DataFrame, reversals: DataFrame) -> DataFrame:
    """All that was taken back of an original against what the original covers of it, in the original's currency."""
    undone = reversals.groupBy("kind", "original_id", F.col("original_business_date").alias("business_date")).agg(
        F.sum("amount").alias("reversed"), F.min(reversals["business_date"]).alias("booked_on")
    )
    completed = sales.where(F.col("status") == "completed")
    originals = _original(booked, "transaction", "transaction_id").unionByName(_original(completed, "sale", "sale_id"))
    found = undone.join(originals, on=["kind", "original_id", "business_date"], how="left")
    return _side_by_side(
        found,
        "reversal",
        subject=F.col("original_id"),
        branch=F.col("branch_id"),
        left=F.col("reversed"),
        right=F.when(F.col("covers").isNotNull(), F.least("reversed", "covers")),
        since=F.col("booked_on"),
    )


def _original(rows: DataFrame, kind: str, key: str) -> DataFrame:
    return rows.select(
        F.lit(kind).alias("kind"),
        F.col(key).alias("original_id"),
        "business_date",
        "branch_id",
        F.col("amount_original").alias("covers"),
    )


def _registrations(booked: DataFrame, sales: DataFrame) -> DataFrame:
    """Completed sales at an account against what the core system registered under the sale's number."""
    sold = sales.where("status = 'completed' and account_id is not null").select(
        "sale_id", "business_date", F.col("branch_id").alias("sold_at"), F.col("amount").alias("sold")
    )
    registered = (
        booked.where("sale_id is not null")
        .groupBy("sale_id", "business_date")
        .agg(F.sum("amount").alias("registered"), F.min("branch_id").alias("registered_at"))
    )
    return _side_by_side(
        sold.join(registered, on=["sale_id", "business_date"], how="full"),
        "sale_posting",
        subject=F.col("sale_id"),
        branch=F.coalesce("registered_at", "sold_at"),
        left=F.col("sold"),
        right=F.col("registered"),
    )


def _side_by_side(
    rows: DataFrame,
    kind: str,
    *,
    subject: Column,
    branch: Column,
    left: Column,
    right: Column,
    since: Column | None = None,
) -> DataFrame:
    return rows.select(
        F.lit(kind).alias("kind"),
        subject.alias("subject"),
        branch.alias("branch_id"),
        left.cast(SUM).alias("left_amount"),
        right.cast(SUM).alias("right_amount"),
        F.coalesce(since if since is not None else F.lit(None), F.col("business_date")).alias("since"),
        "business_date",
    )
