"""Events as the app sends them, through the contract of their feed: copies, reused ids, unknown versions, wrong clocks, misspelt systems."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.conform import expand
from jobs.contracts import load
from jobs.load import _business_date
from jobs.quality.casting import cast
from jobs.quality.gate import evaluate
from jobs.quality.metrics import distinct, nothing
from jobs.quality.verdicts import judge, row_hash
from tests.quality.tools import ZONE, rows_of, written
from tests.tables import held, shown

DEMO = load("demo")
EVENTS = DEMO.tables["bronze.app_events"]
NOON = 1_789_444_800_000  # 2026-09-15 12:00 in Shanghai
A_DAY, SECOND = 86_400_000, 1_000


def event(name: str, **given: str | None) -> dict[str, str | None]:
    """Sent half a second after it was made, collected as it was sent."""
    told = {
        "schema_version": "3", "event_id": name, "event_name": "query", "device_created_at": str(NOON), "device_sent_at": str(NOON + 500),
        "collected_at": str(NOON + 500), "is_test_user": "false", "anonymous_id": "A1", "is_bot": "false", "channel": "SJ", "device_os": "android",
    }  # fmt: skip
    return told | given


STORY = [
    event("thrice"),
    event("thrice", device_sent_at=str(NOON + 9 * SECOND), collected_at=str(NOON + 9 * SECOND)),
    event("thrice", device_sent_at=str(NOON + 60 * SECOND), collected_at=str(NOON + 61 * SECOND)),
    event("reused"),
    event("reused", event_name="pay"),
    event("version4", schema_version="4"),
    event("ahead", device_created_at=str(NOON + A_DAY), device_sent_at=str(NOON + A_DAY + 500)),
    event("no_collector", device_sent_at=None, collected_at=None),
    event("big", event_no="9007199254740993", device_os="andriod", customer_no_v1="C7", schema_version="1"),
    event("strange", device_os="Symbian", customer_no="C8"),
    event("empty", customer_no="", customer_no_v1="C9", session_id="", anonymous_id="", device_os=""),
]


@pytest.fixture(scope="module")
def judged(spark: SparkSession) -> DataFrame:
    typed = cast(rows_of(spark, EVENTS, STORY), EVENTS, zone=ZONE)
    dated = typed.withColumn("__business_date", _business_date(EVENTS, ZONE))
    hashed = dated.withColumn("__row_hash", row_hash(EVENTS.compared))
    made = judge(
        hashed, DEMO.rules(EVENTS), within=["__delivery_id", "__business_date"], order=["__line"], already=F.col("__cast_errors")
    )  # fmt: skip
    names = [*EVENTS.physical_columns, "__line", "__business_date", "__verdict"]
    return held(
        made.select(
            *names, F.concat_ws(",", "__reasons").alias("reasons"), F.concat_ws(",", "__warnings").alias("warnings")
        )
    )


def conformed(judged: DataFrame, *names: str) -> DataFrame:
    columns = EVENTS.conforms["silver.channel_events"].columns
    bank: Any = SimpleNamespace(catalog=DEMO)
    return judged.select("__business_date", *[F.expr(expand(bank, "app", columns[n])).alias(n) for n in names])


def test_copies_that_differ_in_their_way_here_count_once_and_a_reused_id_never(judged: DataFrame) -> None:
    about = judged.where("event_id in ('thrice', 'reused')")
    assert shown(about, "event_id", "__line", "__verdict", "reasons") == [
        ("reused", "4", "rejected", "primary_key_unique"),
        ("reused", "5", "rejected", "primary_key_unique"),
        ("thrice", "1", "accepted", ""),
        ("thrice", "2", "duplicate", ""),
        ("thrice", "3", "duplicate", ""),
    ]


def test_people_are_told_at_once_of_a_reused_id_and_not_of_what_only_warns() -> None:
    rules = DEMO.rules(EVENTS)
    found = nothing(EVENTS, rules) | {
        "accepted_rows": 8,
        "rejected_rows": 2,
        "broken__primary_key_unique": 2,
        "broken__device_os_known": 1,
    }
    told = {f["rule"]: f.get("alert", False) for f in evaluate(EVENTS, rules, found, subject="D1").failed}
    assert told == {"primary_key_unique": True, "device_os_known": False}


def test_an_unknown_version_is_quarantined_and_the_others_go_on(judged: DataFrame) -> None:
    assert shown(judged.where("event_id = 'version4'"), "__verdict", "reasons") == [
        ("rejected", "schema_version_known")
    ]
    assert judged.where("__verdict = 'accepted'").count() == 6


def test_an_empty_text_is_nobody_and_no_session(judged: DataFrame) -> None:
    made = conformed(judged, "event_id", "customer_key", "session_id", "anonymous_id", "device_os")
    assert shown(made.where("event_id = 'app:empty'"), "customer_key", "session_id", "anonymous_id", "device_os") == [
        ("core:C9", "", "", "")
    ]
    assert made.where("event_id = 'app:empty' and session_id is null and anonymous_id is null").count() == 1


def test_time_is_the_collectors_less_what_passed_on_the_device_and_the_raw_one_is_kept(judged: DataFrame) -> None:
    made = conformed(judged, "event_id", "event_time", "device_time", "clock_skew_seconds")
    told = made.where("event_id in ('app:ahead', 'app:no_collector')")
    assert shown(told, "event_id", "event_time", "device_time", "clock_skew_seconds", "__business_date") == [
        ("app:ahead", "2026-09-15 04:00:00", "2026-09-16 04:00:00", "86400", "2026-09-15"),
        ("app:no_collector", "2026-09-15 04:00:00", "2026-09-15 04:00:00", "", "2026-09-15"),
    ]


def test_integers_are_exact_and_misspelt_and_unknown_systems_have_a_name(judged: DataFrame) -> None:
    made = conformed(judged, "event_id", "event_no", "device_os", "customer_key").where(
        "event_id in ('app:big', 'app:strange')"
    )
    assert shown(made, "event_id", "event_no", "device_os", "customer_key") == [
        ("app:big", "9007199254740993", "android", "core:C7"),
        ("app:strange", "", "unknown", "core:C8"),
    ]
    assert shown(judged.where("warnings <> ''"), "event_id", "warnings") == [
        ("empty", "somebody"),
        ("strange", "device_os_known"),
    ]


def test_a_login_changes_the_days_since_its_session_began(tmp_path: Path) -> None:
    """In the bank's zone: 16:30 UTC is half past midnight. A visitor changes nothing, nor does a session of the same day."""
    day = date(2026, 9, 15)
    sessions = [
        ("login", "C1", None, datetime(2026, 9, 13, 16, 30, tzinfo=UTC)),
        ("old_version", None, "C2", datetime(2026, 9, 12, 15, 30, tzinfo=UTC)),
        ("too_long_ago", "C4", None, datetime(2026, 8, 1, 12, tzinfo=UTC)),
        ("visitor", None, None, datetime(2026, 9, 11, 12, tzinfo=UTC)),
        ("same_day", "C3", None, datetime(2026, 9, 14, 16, 30, tzinfo=UTC)),
    ]
    rows = [
        {"__delivery_id": name, "__verdict": "accepted", "__business_date": day, "customer_no": a, "customer_no_v1": b, "session_started_at": at}
        for name, a, b, at in sessions
    ]  # fmt: skip
    files = written(tmp_path, pa.Table.from_pylist(rows))
    assert EVENTS.affects is not None
    found = distinct(files, EVENTS.affects, batch=1, by="__delivery_id", zone=ZONE)
    assert {name: [d.day for d in sorted(days)] for name, days in found.items()} == {
        "login": [14],
        "old_version": [12, 13, 14],
        "too_long_ago": [8, 9, 10, 11, 12, 13, 14],
    }
