"""Successful reversals of movements and sales. A feed conforms to this table beside its own, so that figures of the
original's day need only this small one.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def transform(incoming: DataFrame) -> DataFrame:
    return incoming.select(
        "reversal_id",
        "kind",
        "original_id",
        F.col("business_date").alias("original_business_date"),
        "amount",
        F.col("booked_on").alias("business_date"),
        "sources",
        "received_at",
    )
