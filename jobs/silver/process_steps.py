"""Steps of business processes. A step without a channel is back office."""

from __future__ import annotations

from pyspark.sql import DataFrame


def transform(incoming: DataFrame) -> DataFrame:
    return incoming.select(
        "process_instance_id",
        "step_no",
        "step_code",
        "channel",
        "actor",
        "started_at",
        "ended_at",
        "business_date",
        "sources",
        "received_at",
    )
