"""Local time and opening hours. Instants are UTC; the bank's zone is told by its profile."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F


def local_date(instant: Column, zone: str) -> Column:
    return F.to_date(F.from_utc_timestamp(instant, zone))


def local_clock(instant: Column, zone: str) -> Column:
    """Local time of day as HH:mm, which compares as text."""
    return F.date_format(F.from_utc_timestamp(instant, zone), "HH:mm")


def out_of_hours(clock: Column, opens_at: Column, closes_at: Column, is_working_day: Column) -> Column:
    """No working day, or before opening, or at or after closing. Null when neither calendar nor hours decide it."""
    return ~is_working_day | (clock < opens_at) | (clock >= closes_at)
