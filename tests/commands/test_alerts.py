"""What people were told, on the terminal."""

from __future__ import annotations

import json
from collections.abc import Callable

from jobs import rollcall
from jobs.ledger import batches
from tests.commands.conftest import Said
from tests.ledger.conftest import DAY, TinyBank

Command = Callable[..., Said]


def test_open_alerts_stand_newest_first_by_the_banks_clock(running: TinyBank, ledgerlake: Command) -> None:
    assert (ledgerlake("alerts").status, ledgerlake("alerts").out) == (0, "No alert is open.\n")
    assert ledgerlake("alerts", "--all").out == "Nobody was told of anything yet.\n"
    running.clock(DAY, "21:00")
    with running.ledger.begin() as db:
        batches.alert(db, "source_down|rates|2026-09-15", "source_down", "rates does not answer.")
    running.clock(DAY, "22:31")
    with running.ledger.begin() as db:
        batches.alert(db, f"day|{DAY}|v1", batches.DAY_STOPPED, f"Business day {DAY}|v1 stopped.")
        batches.first_time(db, "ring|payments|7")
    said = ledgerlake("alerts")
    assert said.status == 1
    assert [line.split() for line in said.out.splitlines()] == [
        ["since", "kind", "alert"],
        ["2026-09-15", "22:31", "day_stopped", "day|2026-09-15|v1"],
        ["Business", "day", "2026-09-15|v1", "stopped."],
        ["2026-09-15", "21:00", "source_down", "source_down|rates|2026-09-15"],
        ["rates", "does", "not", "answer."],
    ]
    told = [json.loads(line) for line in ledgerlake("alerts", "--json").out.splitlines()]
    assert [(one["alert_key"], one["closed_at"]) for one in told] == [
        (f"day|{DAY}|v1", None),
        ("source_down|rates|2026-09-15", None),
    ]


def test_what_ended_is_shown_with_all_and_how_it_ended(running: TinyBank, ledgerlake: Command) -> None:
    """A stopped day is released under its next version: its alert is no open one any more."""
    running.whole_day()
    [v1] = running.decide()
    running.stops(v1)
    assert ledgerlake("alerts").status == 1
    ledgerlake("restate", str(DAY), "--reason", "contract corrected")
    running.release(f"{DAY}|v2")
    rollcall.call("tiny", "r")
    assert (ledgerlake("alerts").status, ledgerlake("alerts").out) == (0, "No alert is open.\n")
    said = ledgerlake("alerts", "--all")
    assert said.status == 0
    assert f"ended: Business day {v1} is overtaken: {DAY}|v2 is released." in said.out
    assert "asked|" not in said.out, "what is only noted is no alert"
    assert len(ledgerlake("alerts", "--all", "--last", "1", "--json").out.splitlines()) == 1
