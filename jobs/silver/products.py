"""The product catalogue: what is sold under which business line."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def transform(incoming: DataFrame) -> DataFrame:
    return incoming.select(
        "product_id",
        "product_name",
        "business_line",
        "product_kind",
        F.col("changed_on").alias("valid_from"),
        "sources",
        "received_at",
    )
