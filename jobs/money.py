"""Amounts in the reporting currency. Decimals only; rounding is half-even, once, at the end (E6, R13)."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.history import valid_on

AMOUNT = "decimal(18,2)"


def with_rate(rows: DataFrame, exchange_rates: DataFrame, *, at: str) -> DataFrame:
    """`rows` with the `rate` of their `currency` on the date in column `at`; null where none was told by then."""
    return valid_on(rows, exchange_rates, key="currency", at=at, take=["rate"], first_counts_before=False, small=True)


def in_reporting_currency(amount: Column, original: Column, currency: Column, rate: Column, reporting: str) -> Column:
    """`amount` as it came where the currency is the reporting one, else `original` times the rate; null without a rate.

    A null amount is a promise broken and rejects the row; nothing is taken at a guessed rate.
    """
    converted = F.bround(original.cast(AMOUNT) * rate, 2).try_cast(AMOUNT)
    return F.when(currency == F.lit(reporting), amount.cast(AMOUNT)).otherwise(converted)


def net_of(amount: Column, original: Column, reversed_original: Column) -> Column:
    """What is left of an amount after reversals, which are told in the original's currency and net at the original's
    rate (R5).
    """
    left = original - reversed_original
    share = F.bround(amount * left / original, 2).try_cast(AMOUNT)
    return F.when(reversed_original == 0, amount).when(amount == original, left).otherwise(share).cast(AMOUNT)
