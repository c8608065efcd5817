"""What files were noted for though nothing was wrong with them, added up by feed over days."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta

import pytest

from jobs.arrival.intake import Intake
from jobs.arrival.notes import as_note, counted
from jobs.ledger import deliveries
from tests.commands.conftest import Said
from tests.ledger.conftest import DAY, NEXT, TinyBank

Command = Callable[..., Said]
PHONE, UNKNOWN = "phone in remark made a token", "private-use character U+E123"


def read(bank: TinyBank, feed: str, entity: str, day: date, *, seq: int = 1, **notes: int) -> str:
    """A file that was read and is live. `notes`: phone and unknown, how often."""
    delivery = bank.claim(feed, entity, day, seq=seq)
    named = {{"phone": PHONE, "unknown": UNKNOWN}[name]: number for name, number in notes.items()}
    with bank.ledger.begin() as db:
        deliveries.set_state(db, delivery, "verified", "r", reason=as_note(Intake("", 0, notes=Counter(named)).noted()))
    bank.goes_live(delivery)
    return delivery


@pytest.fixture
def noted(running: TinyBank) -> TinyBank:
    """b01 is sent again on the first day: what the first file was noted for is not counted."""
    read(running, "payments", "b01", DAY, phone=100)
    read(running, "payments", "b01", DAY, phone=2, unknown=1)
    read(running, "payments", "b02", DAY, phone=1)
    read(running, "payments", "b02", NEXT, unknown=7)
    read(running, "clicks", "app", NEXT, phone=40)
    read(running, "payments", "b01", NEXT)
    running.clock(NEXT, "22:00")
    return running


def told(said: Said) -> list[tuple[object, ...]]:
    return [tuple(json.loads(line).values()) for line in said.out.splitlines()]


def test_notes_are_added_up_by_feed_the_most_frequent_first(noted: TinyBank, ledgerlake: Command) -> None:
    said = ledgerlake("files", "--notes", "--json")
    assert said.status == 0
    assert told(said) == [
        ("clicks", PHONE, 40, 1, str(NEXT), str(NEXT)),
        ("payments", UNKNOWN, 8, 2, str(DAY), str(NEXT)),
        ("payments", PHONE, 3, 2, str(DAY), str(DAY)),
    ]


def test_of_a_day_some_days_a_feed_and_a_branch(noted: TinyBank, ledgerlake: Command) -> None:
    assert [n[:4] for n in told(ledgerlake("files", str(DAY), "--notes", "--json"))] == [
        ("payments", PHONE, 3, 2),
        ("payments", UNKNOWN, 1, 1),
    ]
    both = ledgerlake("files", str(NEXT), "--notes", "--days", "2", "--feed", "payments", "--entity", "b02", "--json")
    assert [n[1:3] for n in told(both)] == [(UNKNOWN, 7), (PHONE, 1)]
    assert told(ledgerlake("files", str(NEXT + timedelta(days=40)), "--notes", "--json")) == []


def test_people_see_a_table_that_fits(noted: TinyBank, ledgerlake: Command) -> None:
    out = ledgerlake("files", "--notes", width=80).out.splitlines()
    assert out[0].split() == ["count", "deliveries", "feed", "what", "last", "day"]
    assert out[1].split()[:3] == ["40", "1", "clicks"]
    empty = ledgerlake("files", "2026-01-05", "--notes").out
    assert empty.strip() == "No file was noted for anything from 2026-01-05 to 2026-01-05."


@pytest.mark.parametrize("words", [("--days", "3"), ("--notes", "--state", "refused"), ("--notes", "--delivery", "D1")])
def test_what_does_not_go_together_gives_status_2(
    running: TinyBank, ledgerlake: Command, words: tuple[str, ...]
) -> None:
    said = ledgerlake("files", *words)
    assert (said.status, said.out) == (2, "")
    assert "--notes" in said.err


def test_names_that_a_sender_chose_do_not_part_a_note() -> None:
    """A sheet that is called `a; b: 3`, and a column that is called `5`."""
    intake = Intake("", 0, extra=["5"], notes=Counter({"hidden sheet a; b: 3 was not read": 1, PHONE: 2}))
    assert counted(as_note(intake.noted()) or "") == {
        "columns the contract does not have were held back: 5": 1,
        "hidden sheet a, b: 3 was not read": 1,
        PHONE: 2,
    }
