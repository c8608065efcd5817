"""Events of the online channels, dated by the bank's local date of their event time. An event sent three times counts
once (the uniqueness rule); its time is the collector's, less what passed on the device between making and sending it.

Who browses first and logs in later in the same session on the same device was the visitor all along: such events get the
customer of the first login that follows within 7 days. Those after a login stay nobody's, so that no event passes from
one customer to the next. A login on a later day has the session's first day built again.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.calendars import local_date
from jobs.contracts.day import Day

# Logins that came on later days.
READS = {"previous": "7 days on"}
SESSION = ["device_token", "session_id"]
STITCHED_WITHIN = "interval 7 days"
CLOCK_MAY_BE_AHEAD = 300  # seconds
MOST_EVENTS_A_MINUTE = 100  # of a person in one session


def transform(incoming: DataFrame, previous: DataFrame, day: Day) -> DataFrame:
    # One whose corrected time is of another date was loaded for that date.
    told = _stitched(_with_bots(incoming), previous)
    ahead = F.coalesce(
        F.col("clock_skew_seconds"), F.unix_seconds(F.col("event_time")) - F.unix_seconds(F.col("received_at"))
    )
    return told.select(
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
        F.coalesce("is_staff", F.lit(False)).alias("is_staff"),
        "is_stitched",
        "event_time",
        "device_time",
        "clock_skew_seconds",
        F.coalesce(ahead > CLOCK_MAY_BE_AHEAD, F.lit(False)).alias("is_clock_wrong"),
        "event_no",
        "device_os",
        "schema_version",
        "page_url",
        local_date(F.col("event_time"), day.zone).alias("business_date"),
        "app_version",
        "sources",
        "received_at",
    )


def _with_bots(events: DataFrame) -> DataFrame:
    """All events of a session in which more happened in one minute than a person does. An event without a session is
    not counted with others; copies of one event are one.
    """
    in_minute = Window.partitionBy(*SESSION, F.date_trunc("minute", "event_time"))
    in_session = Window.partitionBy(*SESSION)
    busiest = F.max("__in_minute").over(in_session)
    return (
        events.withColumn("__in_minute", F.size(F.collect_set("event_id").over(in_minute)))
        .withColumn("is_bot", F.col("is_bot") | ((busiest > MOST_EVENTS_A_MINUTE) & F.col("session_id").isNotNull()))
        .drop("__in_minute")
    )


def _stitched(events: DataFrame, later: DataFrame) -> DataFrame:
    """Events before the first login of their session, with its customer."""
    columns = [*SESSION, "customer_key", "event_time"]
    known = (
        events.select(*columns)
        .unionByName(later.where(~F.col("is_stitched")).select(*columns))
        .where("customer_key is not null and session_id is not null and device_token is not null")
    )
    first = known.groupBy(*SESSION).agg(
        F.min(F.struct("event_time", "customer_key")).alias("__login"),
    )
    login, customer = F.col("__login.event_time"), F.col("__login.customer_key")
    is_before = (F.col("event_time") < login) & (F.col("event_time") >= login - F.expr(STITCHED_WITHIN))
    is_stitched = F.coalesce(F.col("customer_key").isNull() & is_before, F.lit(False))
    return (
        events.join(first, on=SESSION, how="left")
        .withColumn("is_stitched", is_stitched)
        .withColumn("customer_key", F.when(is_stitched, customer).otherwise(F.col("customer_key")))
        .drop("__login")
    )
