"""How good the events of a day are: shares of bots, visitors and wrong clocks, and how late they came, by version of the app."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.contracts.day import Day

MINUTE, HOUR, DAY = 60, 3_600, 86_400  # seconds
UNKNOWN = "unknown"


def transform(channel_events: DataFrame, day: Day) -> DataFrame:
    in_run = F.col("business_date").between(F.lit(day.from_date), F.lit(day.to_date))
    late = F.unix_seconds("received_at") - F.unix_seconds("event_time")
    known, stitched = F.col("customer_key").isNotNull(), F.col("is_stitched")
    return (
        channel_events.where(in_run)
        .groupBy(
            "business_date",
            "channel",
            F.coalesce("app_version", F.lit(UNKNOWN)).alias("app_version"),
            F.coalesce("schema_version", F.lit(UNKNOWN)).alias("schema_version"),
        )
        .agg(
            F.count("*").alias("event_count"),
            F.count_if(known & ~stitched).alias("known_event_count"),
            F.count_if(stitched).alias("stitched_event_count"),
            F.count_if(~known).alias("anonymous_event_count"),
            F.count_if("is_bot").alias("bot_event_count"),
            F.count_if("is_test_user").alias("test_event_count"),
            F.count_if("is_staff").alias("staff_event_count"),
            F.count_if("is_clock_wrong").alias("wrong_clock_count"),
            F.max(F.abs("clock_skew_seconds")).alias("largest_skew_seconds"),
            F.count_if(late <= HOUR).alias("within_hour_count"),
            F.count_if(late <= MINUTE).alias("within_minute_count"),
            F.count_if((late > MINUTE) & (late <= 5 * MINUTE)).alias("within_5_minutes_count"),
            F.count_if((late > HOUR) & (late <= DAY)).alias("within_day_count"),
            F.count_if((late > HOUR) & (late <= 6 * HOUR)).alias("within_6_hours_count"),
            F.count_if(late > DAY).alias("later_count"),
            F.count_if((late > DAY) & (late <= 3 * DAY)).alias("within_3_days_count"),
        )
    )
