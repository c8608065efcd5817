"""The official calendar, as announced from which date on."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def transform(incoming: DataFrame) -> DataFrame:
    return incoming.select(
        "calendar_date",
        "is_working_day",
        "is_holiday",
        "is_makeup_day",
        F.col("changed_on").alias("valid_from"),
        "sources",
        "received_at",
    )
