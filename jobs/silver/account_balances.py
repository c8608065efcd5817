"""Day-end balances with the account's holder, entity, line and branch of that date.

A balance of an account that nobody registered keeps no holder, and the contract rejects it: money without an owner is a
case, not a figure.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.contracts.day import Day
from jobs.history import valid_on
from jobs.money import in_reporting_currency, with_rate

OF_ACCOUNT = ["customer_key", "legal_entity_id", "business_line", "branch_id"]


def transform(incoming: DataFrame, accounts: DataFrame, exchange_rates: DataFrame, day: Day) -> DataFrame:
    held = valid_on(incoming, accounts, key="account_id", at="balance_date", take=OF_ACCOUNT)
    rated = with_rate(held, exchange_rates, at="balance_date")
    balance = F.col("balance_original")
    return rated.select(
        "account_id",
        *OF_ACCOUNT,
        "balance_date",
        in_reporting_currency(balance, balance, F.col("currency"), F.col("rate"), day.currency).alias("balance"),
        balance,
        "currency",
        "subject_code",
        F.col("balance_date").alias("business_date"),
        "sources",
        "received_at",
    )
