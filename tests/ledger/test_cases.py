"""Cases of a day's tables: a run that builds them anew settles those of the runs before it, and no others."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from jobs.ledger import batches
from tests.ledger.conftest import DAY, TinyBank


def opened(bank: TinyBank, table: str, subject: str, *, day: date = DAY, **more: Any) -> None:
    with bank.ledger.begin() as db:
        batches.open_case(
            db, kind="rows", table=table, cause="positive", subject=subject, reason="3 rows", affected_rows=3, owner="o", run_id="r",
            business_date=day, **more,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("table", "subject", "day", "more", "is_open"),
    [
        ("silver.movements", f"{DAY}|v1", DAY, {}, False),  # an earlier run of the day
        ("silver.movements", f"{DAY}|v2", DAY, {}, True),  # this run's own
        ("silver.others", f"{DAY}|v1", DAY, {}, True),  # a table that stayed as it was
        ("silver.movements", f"{DAY - timedelta(days=1)}|v1", DAY - timedelta(days=1), {}, True),  # another day
        ("silver.movements", "D0000007", DAY, {"delivery_id": "D0000007"}, True),  # rows of a delivery
    ],
)
def test_a_day_told_anew_settles_the_cases_of_its_former_runs(
    bank: TinyBank, table: str, subject: str, day: date, more: dict[str, Any], is_open: bool
) -> None:
    opened(bank, table, subject, day=day, **more)
    with bank.ledger.begin() as db:
        batches.close_told_anew(db, tables=["silver.movements"], dates=(DAY, DAY), run_key=f"{DAY}|v2")
        assert len(batches.cases(db)) == is_open
        [case] = batches.cases(db, state=None)
    assert case.reason.endswith(f"[told anew by {DAY}|v2]") != is_open


def test_people_are_told_once_of_the_rules_that_say_so(bank: TinyBank) -> None:
    failed = [
        {"rule": "one_row_each", "sentence": "event_id must not occur twice; 2 rows break it.", "alert": True},
        {"rule": "bots_are_few", "sentence": "is_bot must not be one of True; 9 rows break it."},
    ]
    for _ in range(2):  # judged again after a crash
        with bank.ledger.begin() as db:
            batches.alert_rules(db, table="silver.channel_events", subject=f"{DAY}|v1", failed=failed)
    with bank.ledger.begin() as db:
        [alert] = batches.alerts(db)
    assert alert.message == f"{DAY}|v1: event_id must not occur twice; 2 rows break it."
