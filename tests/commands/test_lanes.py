"""The board on the terminal: what came late, what is closed, several days, and one lane with all that became of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from jobs.bank import open_bank
from jobs.contracts import load
from jobs.ledger import days, deliveries
from jobs.settings import settings
from tests.commands.conftest import Said
from tests.contracts.house import change
from tests.ledger.conftest import DAY, TinyBank, unit

Command = Callable[..., Said]
NEXT = DAY + timedelta(days=1)


@pytest.fixture
def evening(running: TinyBank) -> TinyBank:
    """23:12. b01 came late, b02's file was refused, b03 was merged into b01, the rates are there."""
    with running.ledger.begin() as db:
        units = [{**unit(b), "merged_into": None} for b in ("b01", "b02", "b03")]
        days.replace_units(db, [*units[:2], units[2] | {"valid_to": DAY, "merged_into": "b01"}])
    running.clock(DAY, "21:00")
    running.arrives("rates", "HO", DAY)
    refused = running.claim("payments", "b02", DAY, name="PAY_b02.csv")
    with running.ledger.begin() as db:
        deliveries.set_state(db, refused, "refused", "r", reason="The trailer states 3 rows, the file has 2.")
    running.clock(DAY, "22:50")
    running.arrives("payments", "b01", DAY)
    running.arrives("clicks", "app", DAY)
    running.clock(DAY, "23:12")
    return running


def words(line: str) -> list[str]:
    return line.split()


def test_the_board_of_an_evening(evening: TinyBank, ledgerlake: Command) -> None:
    said = ledgerlake("lanes")
    assert said.status == 1, "a lane is refused"
    assert [words(line) for line in said.out.splitlines()] == [
        ["2026-09-15", "Tuesday,", "working", "day:", "open,", "2", "of", "3", "lanes", "live"],
        ["feed", "HO", "b01", "b02", "b03"],
        ["payments", "late", "✓", "refused", "closed"],
        ["rates", "✓"],
        ["lacking", "payments:", "b02"],
    ]


def test_the_board_says_that_a_gate_stopped_the_day_and_what_to_do(running: TinyBank, ledgerlake: Command) -> None:
    running.whole_day()
    [key] = running.decide()
    running.stops(key)
    said = ledgerlake("lanes", str(DAY)).out
    assert "open, v1 stopped, 3 of 3 lanes live" in said
    assert f"{key} stopped: the gate of silver.payments said stop." in said
    assert f"then `ledgerlake restate {DAY} --reason ...`" in said


def test_marks_are_explained_where_words_find_no_room(evening: TinyBank, ledgerlake: Command) -> None:
    lines = [words(line) for line in ledgerlake("lanes", width=24).out.splitlines()]
    assert ["payments", "l", "✗"] in lines and ["payments", "–"] in lines, "the board goes on below"
    assert "l late ✗ refused – closed lacking payments: b02" in " ".join(word for line in lines for word in line)


def test_a_lane_tells_all_that_is_known_of_it(evening: TinyBank, ledgerlake: Command) -> None:
    said = ledgerlake("lanes", str(DAY), "--feed", "payments", "--entity", "b02")
    assert said.status == 1
    told = {line.split()[0]: " ".join(line.split()[1:]) for line in said.out.splitlines()[:9]}
    assert told == {
        "lane": "payments|b02|2026-09-15",
        "branch": "b02",
        "word": "refused",
        "state": "refused",
        "reason": "The trailer states 3 rows, the file has 2.",
        "cut-off": "2026-09-15 17:30 (feed's)",
        "due": "2026-09-15 22:30",
        "late": "42 minutes so far",
        "owner": "branch accounting",
    }
    events = said.out.splitlines()[9:]
    assert words(events[0]) == ["at", "delivery", "state", "file", "name"]
    assert [words(line)[-2:] for line in events if "PAY_b02.csv" in line and "D0" in line] == [
        ["arriving", "PAY_b02.csv"], ["verified", "PAY_b02.csv"], ["refused", "PAY_b02.csv"],
    ]  # fmt: skip


def test_why_a_lane_is_closed(evening: TinyBank, ledgerlake: Command) -> None:
    said = ledgerlake("lanes", str(DAY), "--feed", "payments", "--entity", "b03")
    assert said.status == 0
    assert "branch closed since 2026-09-15, merged into b01" in said.out
    assert "Nothing has come." in said.out


def test_days_stand_below_each_other_the_newest_first(evening: TinyBank, ledgerlake: Command) -> None:
    evening.clock(NEXT, "09:00")
    heads = [line for line in ledgerlake("lanes", str(NEXT), "--days", "3").out.splitlines() if line.startswith("2026")]
    assert heads == [
        "2026-09-16 Wednesday, working day: open, 0 of 3 lanes live",
        "2026-09-15 Tuesday, working day: open, 2 of 3 lanes live",
        "2026-09-14 Monday, working day: final v1",
    ]


def test_filters_and_a_feed_that_nobody_owes(evening: TinyBank, ledgerlake: Command) -> None:
    assert "rates" not in ledgerlake("lanes", "--entity", "b01").out
    said = ledgerlake("lanes", "--feed", "clicks")
    assert (said.status, words(said.out.splitlines()[-1])) == (0, ["clicks", "✓"])
    assert ledgerlake("lanes", "--feed", "clix").status == 2
    assert "b99 has no lane" in ledgerlake("lanes", "--entity", "b99").err


def test_a_refused_file_that_nobody_owes_is_shown_all_the_same(running: TinyBank, ledgerlake: Command) -> None:
    delivery = running.claim("clicks", "app", DAY)
    assert "clicks" not in ledgerlake("lanes").out
    with running.ledger.begin() as db:
        deliveries.set_state(db, delivery, "refused", "r", reason="no JSON")
    said = ledgerlake("lanes")
    assert said.status == 1
    assert ["clicks", "refused"] in [words(line) for line in said.out.splitlines()]


def test_a_machine_gets_one_object_a_lane(evening: TinyBank, ledgerlake: Command) -> None:
    listed = [json.loads(line) for line in ledgerlake("lanes", "--json").out.splitlines()]
    told = {(one["feed"], one["entity"]): (one["word"], one["state"], one["minutes_late"]) for one in listed}
    assert told == {
        ("payments", "b01"): ("late", "loaded", 20),
        ("payments", "b02"): ("refused", "refused", 42),
        ("payments", "b03"): ("closed", None, None),
        ("rates", "HO"): ("arrived", "loaded", None),
    }


def test_the_board_says_that_the_calendar_ends(running: TinyBank, ledgerlake: Command) -> None:
    """By the bank's clock, which stands in the middle of September. `contracts check` goes by the real date, and is no less content for it."""
    root = settings().expectations
    lines = "".join(f"2026-09-{n:02d},true\n" for n in range(1, 31))
    (root / "reference" / "calendars" / "month.csv").write_text(f"calendar_date,is_working_day\n{lines}")
    change(root, "profiles/tiny.yaml", "calendar: every_day", "calendar: month")
    open_bank.cache_clear()
    said = ledgerlake("lanes", width=400).out
    assert "The calendar month knows nothing of 2026-10-01: from that day on nobody can say who owes what" in said
    assert (
        "reference/calendars/month.csv, a line a day as those that are there (calendar_date,is_working_day; the last is 2026-09-30,true)"
        in said
    )
    checked = ledgerlake("contracts", "check", width=400)
    assert checked.status == 0
    assert f"The calendar month knows nothing of {load('tiny').profile.today(datetime.now(UTC))}: " in checked.out
    (root / "reference" / "calendars" / "month.csv").write_text(
        f"calendar_date,is_working_day\n{lines}{''.join(f'2026-10-{n:02d},true' + chr(10) for n in range(1, 32))}"
    )
    open_bank.cache_clear()
    assert "knows nothing" not in ledgerlake("lanes", width=400).out


def test_a_silent_stream_stands_on_the_board_and_below_that_of_another_day(
    running: TinyBank, ledgerlake: Command
) -> None:
    root = settings().expectations
    change(root, "sources/tiny/clicks.yaml", "kind: events", "kind: events\nschedule: {required: false, quietFor: 1h}")
    open_bank.cache_clear()
    running.clock(DAY, "10:00")
    running.arrives("clicks", "app", DAY)
    assert "silent" not in ledgerlake("lanes", "--feed", "clicks").out
    running.clock(DAY, "11:30")
    today = ledgerlake("lanes", "--feed", "clicks")
    assert [words(line) for line in today.out.splitlines()][-1] == ["clicks", "silent"]
    assert today.status == 1
    running.clock(NEXT, "08:00")
    later = ledgerlake("lanes", "--feed", "clicks", width=200)
    assert [words(line) for line in later.out.splitlines()][-2] == ["clicks", "✓"], "of the day on which something came"
    assert (
        later.out.splitlines()[-1] == "clicks is silent: nothing has come since 2026-09-15 10:00; normal is at most 1h."
    )
    alone = ledgerlake("lanes", "--feed", "clicks", "--entity", "app", str(DAY), width=200)
    assert "silent" not in alone.out
