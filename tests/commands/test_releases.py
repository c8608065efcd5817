"""A person has a released day built again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from jobs import rollcall
from jobs.bank import open_bank
from jobs.commands import quarantine
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


def test_a_first_day_that_a_gate_stopped_is_asked_for_again_under_its_own_cause(
    running: TinyBank, ledgerlake: Command
) -> None:
    running.whole_day()
    [key] = running.decide()
    running.stops(key)
    told = ledgerlake("releases", "--waiting", width=1000).out
    assert f"{key} stopped: the gate of silver.payments said stop." in told
    assert f"then `ledgerlake restate {DAY} --reason ...`" in told
    said = ledgerlake("restate", str(DAY), "--reason", "contract corrected", "--json")
    assert json.loads(said.out) == {"run_key": V2, "cause": "complete", "begins_within_seconds": 60}
    assert ledgerlake("restate", str(DAY), "--reason", "impatience", "--json").out == said.out
    assert rollcall.call("tiny", "r")["days"] == [V2]
    running.release(V2)
    newest = json.loads(ledgerlake("releases", str(DAY), "--json").out.splitlines()[0])
    assert (newest["run_key"], newest["kind"], newest["cause"]) == (V2, "final", "complete")
    assert ledgerlake("releases", "--waiting").out.strip() == "No day waits to be told."


def test_a_day_that_is_being_built_is_said_among_those_that_wait(running: TinyBank, ledgerlake: Command) -> None:
    running.whole_day()
    [key] = running.decide()
    said = ledgerlake("releases", "--waiting", width=200).out
    assert f"{key} is asked for, and begins soon (complete)." in said
    running.start(key)
    said = ledgerlake("releases", "--waiting", width=200).out
    assert said == f"{key} is being built (complete).\nNo other day waits to be told.\n"
    assert ledgerlake("releases", "2026-01-01", "--waiting").out == "No day waits to be told.\n"


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


@pytest.fixture
def closed(installation: Path, running: TinyBank) -> TinyBank:
    """September is closed, and its 15th released."""
    released(running)
    profile = installation / "expectations" / "profiles" / "tiny.yaml"
    profile.write_text(profile.read_text(encoding="utf-8") + "monthClosesAfter: 10\n", encoding="utf-8")
    open_bank.cache_clear()
    running.clock(date(2026, 10, 11), "08:00")
    return running


def test_a_day_of_a_closed_month_wants_a_second_person(
    closed: TinyBank, ledgerlake: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D5: asked for by one, approved by another; the releases say that the month is closed, and who approved."""
    assert ledgerlake("approvals").out == "No day waits for a second person.\n"
    assert ledgerlake("approvals", "--decided").out == "Nothing was decided yet.\n"
    monkeypatch.setattr(quarantine, "me", lambda: "anna")
    asked = ledgerlake("restate", str(DAY), "--reason", "branch b01 was wrong")
    assert asked.status == 0
    assert asked.out.startswith(
        f"September 2026 is closed: request 1 (restate {DAY}, by anna) waits for a second person"
    )
    with closed.ledger.begin() as db:
        assert days.pending(db) == []
    waits = ledgerlake("approvals")
    assert (waits.status, "repaired: branch b01 was wrong" in waits.out) == (1, True)
    own = ledgerlake("approvals", "approve", "1")
    assert (own.status, "nobody approves their own" in own.err) == (2, True)
    monkeypatch.setattr(quarantine, "me", lambda: "lihua")
    done = ledgerlake("approvals", "approve", "1", "--note", "seen")
    assert done.out.startswith(f"Request 1 is approved by lihua: {V2} begins within 60 s.")
    assert V2 in rollcall.call("tiny", "r")["days"]  # beside October's days, which nobody sent anything for
    assert (ledgerlake("approvals").status, f"built as {V2}" in ledgerlake("approvals", "--decided").out) == (0, True)
    closed.release(V2)
    said = ledgerlake("releases", str(DAY)).out
    assert ("September 2026 is closed since 2026-10-11" in said, "approved by lihua" in said) == (True, True)


def test_a_rollback_of_a_closed_month_waits_too(
    closed: TinyBank, ledgerlake: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = ledgerlake("rollback", str(DAY), "--reason", "x")
    assert "no release before its newest one" in nothing.err
    with closed.ledger.begin() as db:
        days.request_again(db, open_bank("tiny").catalog, DAY, "repaired: x", "lihua")
    closed.release(V2)
    monkeypatch.setattr(quarantine, "me", lambda: "anna")
    asked = ledgerlake("rollback", str(DAY), "--reason", "it was right before")
    assert (asked.status, "request 1 (rollback 2026-09-15, by anna) waits" in asked.out) == (0, True)
    declined = ledgerlake("approvals", "decline", "1", "--note", "asked the wrong day")
    assert declined.out == f"Request 1 is withdrawn. {DAY} stays as it is released.\n"
    assert ledgerlake("approvals").status == 0


def test_a_machine_is_told_what_waits(closed: TinyBank, ledgerlake: Command) -> None:
    told = json.loads(ledgerlake("restate", str(DAY), "--reason", "x", "--json").out)
    assert (told["approval_id"], told["state"], told["business_date"]) == (1, "waiting", str(DAY))
    assert json.loads(ledgerlake("approvals", "--json").out)["reason"] == "repaired: x"


def test_a_day_that_is_to_be_told_says_what_it_waits_for(running: TinyBank, ledgerlake: Command) -> None:
    assert ledgerlake("releases", "--waiting").out.strip() == "No day waits to be told."
    running.arrives("payments", "b01", DAY)
    running.decide()
    why = f"2 of 3 lanes are not here (payments of b02, rates of HO); at {DAY} 23:50 it is told with what is there"
    told = ledgerlake("releases", "--waiting", width=200).out
    assert f"waits for: {why}" in told and "arrived" in told
    assert f"waits for: {why}" in ledgerlake("releases", width=200).out
    assert "waits for" not in ledgerlake("releases", str(DAY + timedelta(days=1)), width=200).out
    machine = json.loads(ledgerlake("releases", "--waiting", "--json").out)
    assert (machine["business_date"], machine["feeds"], machine["why"]) == (str(DAY), ["payments"], why)
