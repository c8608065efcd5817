"""Events of the online channels, dated by the bank's local date of their event time. An event sent three times counts
once (the uniqueness rule).
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.calendars import local_date
from jobs.contracts.day import Day


def transform(incoming: DataFrame, day: Day) -> DataFrame:
    return incoming.select(
        "event_id",
        "customer_key",
        "anonymous_id",
        "session_id",
        "device_token",
        "channel",
        "event_name",
        "funnel_id",
        "funnel_attempt_id",
        "funnel_step",
        F.coalesce("is_final_step", F.lit(False)).alias("is_final_step"),
        "is_meaningful",
        "is_bot",
        "is_test_user",
        "event_time",
        local_date(F.col("event_time"), day.zone).alias("business_date"),
        "app_version",
        "sources",
        "received_at",
    )
