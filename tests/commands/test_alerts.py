"""What people were told, on the terminal."""

from __future__ import annotations

import json
from collections.abc import Callable

from jobs import rollcall
from jobs.arrival import reach, slices
from jobs.arrival.inbox import Unremovable
from jobs.commands.quarantine import me
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
        ["number", "since", "kind", "alert"],
        ["2", "2026-09-15", "22:31", "day_stopped", "day|2026-09-15|v1"],
        ["Business", "day", "2026-09-15|v1", "stopped."],
        ["1", "2026-09-15", "21:00", "source_down", "source_down|rates|2026-09-15"],
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


def test_what_only_a_person_can_judge_a_person_closes_and_who_and_why_is_kept(
    running: TinyBank, ledgerlake: Command
) -> None:
    with running.ledger.begin() as db:
        for _ in range(3):
            batches.alert(db, "event_id_reused|clicks|1", "event_id_reused", "clicks: the event r1 was posted again.")
        batches.alert(db, "source_down|rates|2026-09-15", "source_down", "rates does not answer.")
        batches.note_sent(db, "webhook", batches.unsent(db, "webhook"))
    assert ledgerlake("alerts", "close", "1").status == 2, "a reason is asked for"
    assert ledgerlake("alerts", "close", "1", "--reason", " ").status == 2
    assert ledgerlake("alerts", "close", "7", "--reason", "x").err.startswith("There is no alert 7.")
    still = ledgerlake("alerts", "close", "2", "--reason", "they know")
    assert (
        still.status,
        "Alert 2 (source_down) stays open: it ends by itself when the source answers" in still.err,
    ) == (1, True)
    assert ledgerlake("alerts", "close", "1", "--reason", "posted anew as r2").out == f"Alert 1 is closed by {me()}.\n"
    assert "has ended already" in ledgerlake("alerts", "close", "1", "--reason", "again").err
    with running.ledger.begin() as db:
        closed = batches.alert_of(db, 1)
        [news] = batches.unsent(db, "webhook")
    assert closed is not None and (closed.closed_by, closed.closed_at is not None) == (me(), True)
    assert (news.is_end, news.message) == (True, f"{me()} closed alert 1: posted anew as r2")
    assert news.message in ledgerlake("alerts", "--all").out
    assert [json.loads(line)["number"] for line in ledgerlake("alerts", "--json").out.splitlines()] == [2]


def test_every_kind_that_is_said_to_end_by_itself_is_one() -> None:
    assert {
        *rollcall.ALERTED,
        slices.DOWN,
        reach.NOT_READ,
        reach.NOT_REMOVED,
        reach.INBOX_UNAVAILABLE,
        reach.NOT_ACKNOWLEDGED,
        batches.LOAD_FAILS,
    } <= set(batches.ENDS_BY_ITSELF)


def test_roll_call_ends_what_is_over_though_no_file_comes(running: TinyBank, ledgerlake: Command) -> None:
    """Landing is woken by files alone."""
    delivery = running.claim("payments", "b01", DAY)
    with running.ledger.begin() as db:
        reach.say_unreachable(db, {"sftp://bank@host/in": "The inbox sftp://bank@host/in does not answer."})
        reach.say_not_read(db, delivery, "It cannot be read.")
        reach.say_not_removed(db, delivery, Unremovable(f"inbox/{delivery}"))
    assert len(ledgerlake("alerts", "--json").out.splitlines()) == 3
    rollcall.call("tiny", "r")
    assert ledgerlake("alerts").out == "No alert is open.\n"
    told = ledgerlake("alerts", "--all").out
    for end in ("sftp://bank@host/in can be read again.", "was read.", "is no longer in the inbox."):
        assert end in told
