"""Any text, read by Spark and by plain Python: they agree on every value and on what is unreadable."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.contracts import Column
from jobs.quality.casting import cast
from jobs.quality.one_row import Unreadable, read
from tests.quality.tools import ZONE, rows_of, table_of

UNREADABLE = "unreadable"
# Many texts in one query: Spark answers slowly, but in bulk.
FEW = settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))


def many(texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(texts, min_size=150, max_size=150)


def is_read(column: Column, text: str) -> bool:
    """What is foretold of a correction without Spark (jobs/quality/one_row.py)."""
    try:
        read(column, text, ZONE)
    except Unreadable:
        return False
    return True


def check(spark: SparkSession, kind: str, parse: str | None, texts: list[str], oracle: Callable[[str], Any]) -> None:
    table = table_of({"value": [kind, {"parse": parse} if parse else {}]})
    rows = cast(rows_of(spark, table, [{"value": text} for text in texts]), table, zone=ZONE)
    told = F.col("value").cast("string").alias("told")
    found = [
        UNREADABLE if errors else value
        for errors, value in rows.orderBy("__line").select("__cast_errors", told).collect()
    ]
    wanted = [oracle(text) for text in texts]
    assert [is_read(table.columns["value"], text) for text in texts] == [told != UNREADABLE for told in found]
    assert list(zip(texts, found, strict=True)) == list(zip(texts, wanted, strict=True))


DIGITS = st.text("0123456789", max_size=20)
NUMBERS = st.builds("{}{}{}{}".format, st.sampled_from(["", "-", "+"]), DIGITS, st.sampled_from(["", ".", ","]), DIGITS)
SHORT = st.builds(
    "{}{}.{}".format, st.sampled_from(["", "-"]), st.integers(0, 10**14), st.text("0123456789", max_size=5)
)


@FEW
@given(texts=many(SHORT | NUMBERS | st.text("0123456789.-+eE ,", max_size=12)))
def test_decimals(spark: SparkSession, texts: list[str]) -> None:
    def oracle(text: str) -> str | None:
        text = text.strip(" ")
        if not text:
            return None
        if not re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)", text) or len(text.partition(".")[2]) > 4:
            return UNREADABLE
        value = Decimal(text)
        return f"{abs(value) if value == 0 else value:.4f}" if abs(value) < 10**14 else UNREADABLE

    check(spark, "decimal(18,4)", None, texts, oracle)


@FEW
@given(texts=many(st.builds("{}{}".format, st.sampled_from(["", "-"]), DIGITS)))
def test_implied_decimals(spark: SparkSession, texts: list[str]) -> None:
    def oracle(text: str) -> str | None:
        if not text or text == "-":
            return UNREADABLE if text else None
        value = Decimal(text).scaleb(-2)
        return f"{abs(value) if value == 0 else value:.2f}" if abs(value) < 10**16 else UNREADABLE

    check(spark, "decimal(18,2)", "implied(2)", texts, oracle)


DAYS = st.builds("{:04d}{:02d}{:02d}".format, st.integers(1, 9999), st.integers(0, 13), st.integers(0, 32))


@FEW
@given(texts=many(DAYS | st.text("0123456789T-", min_size=7, max_size=9)))
def test_dates(spark: SparkSession, texts: list[str]) -> None:
    def oracle(text: str) -> str:
        if not re.fullmatch("[0-9]{8}", text):
            return UNREADABLE
        try:
            return str(date(int(text[:4]), int(text[4:6]), int(text[6:])))
        except ValueError:
            return UNREADABLE

    check(spark, "date", "yyyyMMdd", texts, oracle)


@FEW
@given(instants=st.lists(st.datetimes(datetime(1992, 1, 1), datetime(2100, 1, 1)), min_size=150, max_size=150))
def test_local_times(spark: SparkSession, instants: list[datetime]) -> None:
    """From 1992 on, when China had no more summer time."""

    def oracle(text: str) -> str:
        local = datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=ZoneInfo(ZONE))
        return f"{local.astimezone(UTC):%Y-%m-%d %H:%M:%S}"

    check(spark, "timestamp", "yyyyMMddHHmmss", [f"{at:%Y%m%d%H%M%S}" for at in instants], oracle)
