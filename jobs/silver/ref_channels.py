"""The channel map: which channels count as online, which as off-counter, from which date on."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def transform(incoming: DataFrame) -> DataFrame:
    return incoming.select(
        "channel",
        "is_online",
        "is_off_counter",
        F.col("changed_on").alias("valid_from"),
        "sources",
        "received_at",
    )
