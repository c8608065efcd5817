"""What lies in an inbox and cannot be taken is seen, up to the board (C1, C2, C3, F14, F15, F16)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import update

from jobs.arrival.folder import Folder
from jobs.arrival.inbox import Several
from jobs.arrival.sightings import sightings
from jobs.ledger import clock, days, lanes
from jobs.ledger import sightings as seen_before
from jobs.ledger.models import Delivery
from tests.arrival.conftest import DAY, Bank, movements

NAME = f"CORE_b01_TXN_{DAY}_1.txt"
PLACE = f"movements/b01/2026-09-15/{NAME}"
GOOD = movements(("1", "10.00", "工资"))
TODAY = date(2026, 9, 15)


def seen(bank: Bank) -> list[tuple[str, str, str]]:
    return [(one["kind"], one["feed"], one["entity"]) for one in sightings(bank.catalog, bank.inbox)]


def said(bank: Bank, at: str) -> tuple[str, str | None, str | None]:
    """Roll-call's word of the lane at a time of day, with the delivery's state and the reason."""
    with bank.ledger.begin() as db:
        days.replace_units(db, [{"branch_id": "b01", "valid_from": date(2020, 1, 1), "name": "b01"}])
        clock.set_now(db, datetime.fromisoformat(f"2026-09-15T{at}:00+08:00").astimezone(UTC))
        seen_before.replace(db, sightings(bank.catalog, bank.inbox))
        [lane] = [one for one in lanes.of_day(db, bank.catalog, TODAY) if one.feed == "movements"]
    return lane.word, lane.state, lane.reason


def test_a_file_without_signal_is_not_read_and_is_missing_when_it_is_due(bank: Bank) -> None:
    """C1, F14."""
    bank.send("movements", GOOD, NAME, signal=None)
    assert bank.land() == []
    assert said(bank, "21:00") == ("expected", None, "file without signal, since 2026-09-15 21:00")
    assert said(bank, "22:30") == ("missing", None, "file without signal, since 2026-09-15 21:00")


def test_a_signal_40_minutes_before_its_file_is_waited_for(bank: Bank) -> None:
    """C2, F15."""
    path = bank.send("movements", GOOD, NAME)
    path.rename(path.with_name(".not_yet"))
    assert bank.land() == []
    assert said(bank, "21:10") == ("expected", None, "signal without file, since 2026-09-15 21:10")
    path.with_name(".not_yet").rename(path)
    assert [one.state for one in bank.land()] == ["verified"]
    assert said(bank, "21:50") == ("arrived", "verified", None)
    assert seen(bank) == []


def test_a_growing_file_is_arriving_until_it_is_whole(bank: Bank) -> None:
    """C3, F16: the hash of the signal is that of the whole file."""
    path = bank.send("movements", GOOD, NAME)
    path.write_bytes(GOOD[:-20])
    assert [one.state for one in bank.land(settle_seconds=60)] == ["arriving"]
    assert said(bank, "21:00")[:2] == ("expected", "arriving")
    with bank.ledger.begin() as db:  # it has been growing for an hour
        db.execute(update(Delivery).values(claimed_at=datetime.now(UTC) - timedelta(hours=1)))
    assert said(bank, "22:30")[:2] == ("missing", "arriving")
    path.write_bytes(GOOD)
    assert [one.state for one in bank.land()] == ["verified"]


@pytest.mark.parametrize("signal", [".ok", ".OK"])
def test_what_needs_no_signal_and_what_nobody_knows_is_no_sighting(bank: Bank, signal: str) -> None:
    bank.send("events", b"", f"APP_app_EVT_{DAY}_1.jsonl.gz", entity="app", signal=None)
    bank.send("movements", GOOD, "who_knows.txt", signal=None)
    bank.inbox.root.joinpath(f"batch_of_the_evening{signal}").write_text("all is there\n")
    assert seen(bank) == []


def test_all_inboxes_of_a_bank_are_looked_at(bank: Bank) -> None:
    bank.send("movements", GOOD, NAME, signal=None)
    other = Folder(bank.home / "other")
    other.root.joinpath("movements").mkdir(parents=True)
    other.root.joinpath("movements", f"CORE_b02_TXN_{DAY}_1.txt.ok").write_text("\n")
    told = sightings(bank.catalog, Several(bank.inbox, other))
    assert [(one["kind"], one["entity"]) for one in told] == [
        ("file_without_signal", "b01"), ("signal_without_file", "b02"),
    ]  # fmt: skip
