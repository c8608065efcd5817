"""Accounts, policies and fund holdings: what each read from which business date on."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def transform(incoming: DataFrame) -> DataFrame:
    return incoming.select(
        "account_id",
        "customer_key",
        "legal_entity_id",
        "business_line",
        "product_id",
        "product_kind",
        "branch_id",
        "open_channel",
        "opened_on",
        "closed_on",
        "status",
        F.col("changed_on").alias("valid_from"),
        "sources",
        "received_at",
    )
