"""A person has a released day built again."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from jobs import rollcall
from jobs.bank import open_bank
from jobs.commands.releases import Cause
from jobs.ledger import days
from jobs.ledger.models import Alert
from tests.commands.conftest import Said
from tests.ledger.conftest import DAY, TinyBank

Command = Callable[..., Said]
V2 = f"{DAY}|v2"


def released(bank: TinyBank) -> None:
    bank.whole_day()
    [key] = bank.decide()
    bank.release(key)


def test_a_released_day_is_asked_for_under_its_next_version(running: TinyBank, ledgerlake: Command) -> None:
    released(running)
    said = ledgerlake("restate", str(DAY), "--reason", "code map corrected", "--cause", "definition")
    assert said.status == 0
    assert said.out.startswith(f"{V2} is asked for (definition: code map corrected). It begins within 60 s")
    assert running.run(V2).state == "requested"


def test_asking_twice_asks_once(running: TinyBank, ledgerlake: Command) -> None:
    released(running)
    told = [ledgerlake("restate", str(DAY), "--reason", why, "--json") for why in ("the first", "the second")]
    wanted = {"run_key": V2, "cause": "repaired: the first", "begins_within_seconds": 60}
    assert [json.loads(said.out) for said in told] == [wanted, wanted]


def test_the_next_roll_call_rings_for_it_once(running: TinyBank, ledgerlake: Command) -> None:
    released(running)
    ledgerlake("restate", str(DAY), "--reason", "repaired")
    assert [rollcall.call("tiny", "r")["days"] for _ in range(2)] == [[V2], []]


def test_roll_call_leaves_time_to_a_ring_that_may_be_on_its_way(running: TinyBank) -> None:
    """A day that the ledger itself asked for was rung for by whoever asked."""
    running.whole_day()
    [key] = running.decide()
    assert rollcall.call("tiny", "r")["days"] == []
    with running.ledger.begin() as db:
        long_ago = datetime.now(UTC) - rollcall.PATIENCE - timedelta(seconds=1)
        db.execute(update(Alert).where(Alert.alert_key == f"asked|{key}").values(raised_at=long_ago))
    assert rollcall.call("tiny", "r")["days"] == [key]


def test_the_new_release_says_why(running: TinyBank, ledgerlake: Command) -> None:
    released(running)
    ledgerlake("restate", str(DAY), "--reason", "branch b01 typed twice")
    running.release(V2)
    newest = json.loads(ledgerlake("releases", str(DAY), "--json").out.splitlines()[0])
    assert (newest["run_key"], newest["kind"], newest["cause"]) == (V2, "restated", "repaired: branch b01 typed twice")


def test_a_day_that_is_being_built_is_not_asked_for(running: TinyBank, ledgerlake: Command) -> None:
    released(running)
    ledgerlake("restate", str(DAY), "--reason", "one")
    running.start(V2)
    said = ledgerlake("restate", str(DAY), "--reason", "another")
    assert (said.status, said.out) == (1, "")
    assert f"{V2} is being built" in said.err
    with running.ledger.begin() as db:
        assert days.newest_release(db, DAY).version == 1  # type: ignore[union-attr]


def test_a_day_that_was_never_released_is_not_asked_for(running: TinyBank, ledgerlake: Command) -> None:
    said = ledgerlake("restate", str(DAY), "--reason", "impatience")
    assert said.status == 1
    assert f"{DAY} was never released" in said.err
    assert f"ledgerlake lanes {DAY}" in said.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["yesterday", "--reason", "x"], "'yesterday' is not a date. Write it as 2026-09-15."),
        ([str(DAY)], "Missing option '--reason'.\nTry `ledgerlake restate --help`."),
        ([str(DAY), "--reason", "x", "--cause", "boredom"], "'boredom' is not one of 'repaired', 'definition'"),
    ],
)
def test_what_is_not_understood_gives_status_2(ledgerlake: Command, words: list[str], told: str) -> None:
    said = ledgerlake("restate", *words)
    assert (said.status, said.out) == (2, "")
    assert told in said.err


def test_each_cause_is_one_that_the_ledger_knows() -> None:
    assert tuple(Cause) == days.ASKED_CAUSES


def test_a_day_of_a_closed_month_wants_a_second_person(
    installation: Path, running: TinyBank, ledgerlake: Command
) -> None:
    """D5: refused without a name, and with one's own; with another's it is asked for, and the releases say both."""
    released(running)
    profile = installation / "expectations" / "profiles" / "tiny.yaml"
    profile.write_text(profile.read_text(encoding="utf-8") + "monthClosesAfter: 10\n", encoding="utf-8")
    open_bank.cache_clear()
    running.clock(date(2026, 10, 11), "08:00")
    words = ("restate", str(DAY), "--reason", "branch b01 was wrong")
    refused = ledgerlake(*words)
    assert (refused.status, "September 2026 is closed since 2026-10-11" in refused.err) == (1, True)
    assert ledgerlake(*words, "--approved-by", getpass.getuser()).status == 2
    assert ledgerlake(*words, "--approved-by", "lihua").status == 0
    running.release(V2)
    said = ledgerlake("releases", str(DAY)).out
    assert ("September 2026 is closed since 2026-10-11" in said, "approved by lihua" in said) == (True, True)
