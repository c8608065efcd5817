"""Product sales of every channel, one row each, in the reporting currency. A reversal (a sale cancelled later) stays a
row of its own.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.contracts.day import Day
from jobs.money import in_reporting_currency, with_rate


def transform(incoming: DataFrame, exchange_rates: DataFrame, day: Day) -> DataFrame:
    rated = with_rate(incoming, exchange_rates, at="business_date")
    return rated.select(
        "sale_id",
        "sale_version",
        "customer_key",
        "account_id",
        "legal_entity_id",
        "business_line",
        "product_id",
        "branch_id",
        "channel_origin",
        "channel_complete",
        "is_customer_initiated",
        in_reporting_currency(
            F.col("amount"), F.col("amount_original"), F.col("currency"), F.col("rate"), day.currency
        ).alias("amount"),
        "amount_original",
        "currency",
        "status",
        "completed_at",
        "business_date",
        "reverses_sale_id",
        "reverses_business_date",
        "lead_id",
        "campaign_id",
        "scene",
        F.coalesce("needs_warning", F.lit(True)).alias("needs_warning"),
        "sources",
        "received_at",
    )
