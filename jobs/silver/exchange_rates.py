"""Exchange rates. A rate holds from its date until the next one told."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def transform(incoming: DataFrame) -> DataFrame:
    return incoming.select(
        "currency",
        "rate",
        F.col("rate_date").alias("valid_from"),
        "sources",
        "received_at",
    )
