"""How good the events of a day are: shares, the histogram of lateness, copies, and values that no list has."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from sqlalchemy import update

from jobs import bank as banks
from jobs.commands import events
from jobs.contracts import load
from jobs.ledger import batches, days, releases
from jobs.ledger.models import DeliveryDate
from tests.commands.conftest import Said, bank_of
from tests.ledger.conftest import DAY, NEXT, TinyBank

Command = Callable[..., Said]
DEMO = load("demo")
COUNTS = [name for name in DEMO.tables[events.QUALITY].columns if name.endswith(("_count", "_seconds"))]
FINER = ["within_minute_count", "within_5_minutes_count", "within_6_hours_count", "within_3_days_count"]


def quality(channel: str, version: str, day: date = DAY, **counts: int) -> dict[str, Any]:
    keys = {"channel": channel, "app_version": version, "schema_version": "3", "business_date": day}
    return keys | dict.fromkeys(COUNTS, 0) | counts | {"__verdict": "accepted"}


# 1,000 events of the app (800 of version 7.2) and 200 of the web bank.
ROWS = [
    quality(
        "app", "7.2", event_count=800, known_event_count=600, stitched_event_count=80, anonymous_event_count=120, bot_event_count=8, test_event_count=2,
        staff_event_count=4, wrong_clock_count=3, largest_skew_seconds=86_400, within_minute_count=500, within_5_minutes_count=100, within_hour_count=700,
        within_6_hours_count=60, within_day_count=80, within_3_days_count=15, later_count=20,
    ),
    quality("app", "7.1", event_count=200, known_event_count=200, within_minute_count=200, within_hour_count=200),
    quality("web", "unknown", event_count=200, anonymous_event_count=200, within_minute_count=200, within_hour_count=200),
    quality("app", "7.2", NEXT, event_count=7),
]  # fmt: skip


def put(rows: list[dict[str, Any]]) -> None:
    strings = {"channel", "app_version", "schema_version", "__verdict"}
    kinds = {name: pa.string() if name in strings else pa.int64() for name in rows[0]} | {"business_date": pa.date32()}
    lake = banks.open_bank("demo").lake
    write_deltalake(lake.path(events.QUALITY), pa.Table.from_pylist(rows, pa.schema(kinds.items())), mode="overwrite", schema_mode="overwrite")  # fmt: skip


def newest(table: str) -> int:
    return DeltaTable(banks.open_bank("demo").lake.path(table)).version()


@pytest.fixture
def released(installation: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyBank]:
    """The demo bank's contracts, with one released day."""
    with bank_of("demo", monkeypatch) as bank:
        release_events(bank)
        yield bank


def release_events(bank: TinyBank) -> None:
    """Of 1,210 rows that came 6 were copies in their delivery and 1 was rejected; 3 came in another delivery too."""
    bank.clock(DAY, "22:00")
    delivery = bank.arrives("app_events", "APP", DAY)
    bank.arrives("online_sales", "OL", DAY)  # of another table
    with bank.ledger.begin() as db:
        counts = {"accepted_rows": 1203, "rejected_rows": 1, "duplicate_rows": 6}
        db.execute(update(DeliveryDate).where(DeliveryDate.delivery_id == delivery).values(**counts))
        failed = {"rule": "device_os_known", "on_fail": "warn", "values": [["tizen", 5]], "further_values": 0}
        batches.record_gate(
            db, batch_id=bank.delivery(delivery).live_batch, table="bronze.app_events", subject=delivery, outcome="warn", rules_run=9, failed=[failed],
            result={}, docs_path=None, run_id="r",
        )  # fmt: skip
        run = days.request(db, DAY, DAY, "complete", days.Coverage((), ()))
    bank.start(run)
    verdicts = [{"business_date": DAY, "__verdict": v} for v in ["accepted"] * 1200 + ["duplicate"] * 3]
    verdicts.append({"business_date": NEXT, "__verdict": "duplicate"})
    schema = pa.schema({"business_date": pa.date32(), "__verdict": pa.string()}.items())
    write_deltalake(banks.open_bank("demo").lake.path(events.EVENTS), pa.Table.from_pylist(verdicts, schema), mode="overwrite")  # fmt: skip
    put(ROWS)
    with bank.ledger.begin() as db:
        releases.release(db, days.get(db, run), {name: (newest(name), None) for name in (events.QUALITY, events.EVENTS)}, "run")  # fmt: skip


def test_people_see_shares_a_histogram_copies_and_new_values(released: TinyBank, ledgerlake: Command) -> None:
    said = ledgerlake("events", width=160)
    lines = said.out.splitlines()
    assert said.status == 0
    assert [" ".join(line.split()) for line in lines[:5]] == [
        "channel app version schema events mix % known % stitched % nobody % bots tests staff wrong clocks skew",
        "app 7.2 3 800 80.00 75.00 10.00 15.00 8 2 4 3 86400",
        "app 7.1 3 200 20.00 100.00 0.00 0.00 0 0 0 0 0",
        "web unknown 3 200 100.00 0.00 0.00 100.00 0 0 0 0 0",
        "all 1200 100.00 66.67 6.67 26.67 8 2 4 3 86400",
    ]
    assert lines[6:14] == [
        "Received after the event, within:",
        f"1 minute    75.00 %  {'█' * 40} 900",
        f"5 minutes    8.33 %  {'█' * 4} 100",
        f"1 hour       8.33 %  {'█' * 4} 100",
        f"6 hours      5.00 %  {'█' * 3} 60",
        f"24 hours     1.67 %  {'█' * 1} 20",
        f"3 days       1.25 %  {'█' * 1} 15",
        f"later        0.42 %  {'█' * 1} 5",
    ]
    assert "Copies: 9 of 1,210 that came (0.74 %): 6 in one delivery, 3 in another. Rejected: 1." in said.out
    assert said.out.endswith("expectations/reference/device_systems.yaml\n  tizen: tizen\n")


def test_a_machine_is_told_counts_and_what_each_line_is(released: TinyBank, ledgerlake: Command) -> None:
    told = [json.loads(line) for line in ledgerlake("events", str(DAY), "--json").out.splitlines()]
    assert [line["what"] for line in told] == ["version"] * 3 + ["lateness"] * 7 + ["copies", "value"]
    assert (told[0]["app_version"], told[0]["stitched_event_count"]) == ("7.2", 80)
    assert sum(line["events"] for line in told[3:10]) == 1200
    assert told[10] == {"what": "copies", "received": 1210, "in_one_delivery": 6, "in_another": 3, "rejected": 1, "percent": "0.74"}  # fmt: skip


def test_a_day_that_was_built_before_there_were_finer_classes_has_the_coarse_ones(released: TinyBank) -> None:
    """Whether the table has the columns by now, without values, or not."""
    coarse = [("1 minute", 0), ("5 minutes", 0), ("1 hour", 1100), ("6 hours", 0), ("24 hours", 80), ("3 days", 0), ("later", 20)]  # fmt: skip
    put([row | dict.fromkeys(FINER) for row in ROWS])
    assert events.lateness(events.of_day(banks.open_bank("demo"), DAY, newest(events.QUALITY))) == coarse
    put([{name: value for name, value in row.items() if name not in FINER} for row in ROWS])
    assert events.lateness(events.of_day(banks.open_bank("demo"), DAY, newest(events.QUALITY))) == coarse


def test_what_a_run_is_writing_is_not_shown_before_its_release(released: TinyBank, ledgerlake: Command) -> None:
    before = ledgerlake("events").out
    put([quality("app", "7.2", event_count=9, within_minute_count=9)])
    assert ledgerlake("events").out == before


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_terminal_has_all_of_it(released: TinyBank, ledgerlake: Command, width: int) -> None:
    out = ledgerlake("events", width=width).out
    assert all(piece in out for piece in ("7.2", "800", "80.00", "skew 86400", "bots 8")), out


def test_a_day_without_events_says_so(released: TinyBank, ledgerlake: Command) -> None:
    assert ledgerlake("events", "2026-09-01").out.strip() == "No event of 2026-09-01 was built."
