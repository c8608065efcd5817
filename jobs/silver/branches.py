"""Branches with place, hours and validity. A snapshot that says the same as yesterday's opens no row."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def transform(incoming: DataFrame) -> DataFrame:
    return incoming.select(
        "branch_id",
        "branch_name",
        "legal_entity_id",
        "parent_branch_id",
        "outlet_type",
        "province_code",
        "county_code",
        "is_rural",
        "is_smart",
        "is_active",
        "opens_at",
        "closes_at",
        "cut_off_at",
        "opened_on",
        "closed_on",
        "merged_into_branch_id",
        F.col("changed_on").alias("valid_from"),
        "sources",
        "received_at",
    )
