"""Booked movements of every source, one row each, in the reporting currency.

A core system may send the last hour again after a restart: equal copies count once, copies that differ are both
rejected (the contract's uniqueness rule). A movement in a currency without a rate for its day is rejected for want of
an amount.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.calendars import local_clock, local_date, out_of_hours
from jobs.contracts.day import Day
from jobs.history import valid_on
from jobs.money import in_reporting_currency, with_rate


def transform(
    incoming: DataFrame, branches: DataFrame, calendar: DataFrame, exchange_rates: DataFrame, day: Day
) -> DataFrame:
    at_place = valid_on(
        incoming, branches, key="branch_id", at="business_date", take=["opens_at", "closes_at"], small=True
    )
    on_date = at_place.withColumn("local_date", local_date(F.col("event_time"), day.zone)).join(
        F.broadcast(calendar.where("is_current").select(F.col("calendar_date").alias("local_date"), "is_working_day")),
        on="local_date",
        how="left",
    )
    rated = with_rate(on_date, exchange_rates, at="business_date")
    return rated.select(
        "transaction_id",
        "account_id",
        "customer_key",
        "legal_entity_id",
        "business_line",
        "branch_id",
        "channel",
        "channel_origin",
        "initiator",
        "operator",
        "is_financial",
        "direction",
        in_reporting_currency(
            F.col("amount"), F.col("amount_original"), F.col("currency"), F.col("rate"), day.currency
        ).alias("amount"),
        "amount_original",
        "currency",
        "status",
        "event_time",
        "business_date",
        "posting_date",
        out_of_hours(
            local_clock(F.col("event_time"), day.zone), F.col("opens_at"), F.col("closes_at"), F.col("is_working_day")
        ).alias("is_out_of_hours"),
        "reverses_transaction_id",
        _original_date().alias("reverses_business_date"),
        "counterparty",
        "sale_id",
        "sources",
        "received_at",
    )


def _original_date() -> Column:
    """The original's business date: told, or part of its id where a journal restarts daily."""
    inside = F.regexp_extract("reverses_transaction_id", r":(\d{4}-\d{2}-\d{2}):", 1)
    return F.coalesce(F.col("reverses_business_date"), inside.try_cast("date"))
