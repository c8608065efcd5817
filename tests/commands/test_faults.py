"""The scorecard looks into the ledger: what the sender says it did is never taken for what was caught."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from jobs import scorecard
from jobs.bank import open_bank
from jobs.demo_bank.faults import KINDS, Caught
from jobs.ledger import batches, deliveries
from jobs.ledger.models import DELIVERY_STATES
from tests.commands.conftest import Said
from tests.ledger.conftest import DAY, TinyBank

NOT_BUILT = ["F59", "F60", "F66", "F67", "F68", "F69", "F70", "F72", "F79"]
Command = Callable[..., Said]


def injected(fault: str, feed: str = "payments", entity: str = "b01", rows: int = 0, fen: int = 0) -> Caught:
    kind = KINDS[fault]
    return Caught(fault, kind.name, kind.control, kind.outcome, kind.causes, feed, entity, DAY, rows, fen)


def note(*entries: Caught, day: date = DAY) -> None:
    scorecard.note_day(open_bank("tiny"), day, entries)


def stopped(bank: TinyBank, entity: str, state: str, cause: str, *, has_case: bool = True) -> str:
    delivery = bank.claim("payments", entity, DAY)
    with bank.ledger.begin() as db:
        deliveries.set_state(db, delivery, state, "r", reason="why it was stopped", cause=cause)
        if has_case:
            case(db, delivery, entity, "file", cause, 1)
    return delivery


def case(db: Any, delivery: str, entity: str, kind: str, cause: str, rows: int) -> None:
    batches.open_case(
        db, kind=kind, table="bronze.payments", cause=cause, subject=delivery, reason="why it was turned away", affected_rows=rows,
        owner="payments", run_id="r", feed="payments", entity=entity, business_date=DAY, delivery_id=delivery,
    )  # fmt: skip


def told(said: Said) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """(fault -> its finding, false alarms)."""
    lines = [json.loads(line) for line in said.out.splitlines()]
    return {f["fault"]: f for f in lines if "fault" in f}, [f["false_alarm"] for f in lines if "false_alarm" in f]


def test_a_clean_day_has_nothing_to_say(running: TinyBank, ledgerlake: Command) -> None:
    running.whole_day()
    note()
    said = ledgerlake("faults")
    assert said.status == 0
    assert "No false alarm" in said.out and "0 caught, 0 not caught" in said.out


def test_a_refused_file_is_caught_and_one_that_was_loaded_is_not(running: TinyBank, ledgerlake: Command) -> None:
    stopped(running, "b01", "refused", "trailer_count")
    running.arrives("payments", "b02", DAY)
    note(injected("F11", rows=49, fen=3_217_604), injected("F12", entity="b02", rows=24))
    said = ledgerlake("faults", "--json")
    findings, alarms = told(said)
    assert said.status == 1 and alarms == []
    assert (findings["F11"]["verdict"], findings["F11"]["rows"], findings["F11"]["money"]) == ("caught", 49, "32176.04")
    assert findings["F12"]["verdict"] == "not caught" and "loaded" in findings["F12"]["found"]


@pytest.mark.parametrize(("cause", "has_case"), [("bad_byte", True), ("trailer_count", False)])
def test_a_refusal_for_another_cause_or_without_a_case_is_not_enough(
    running: TinyBank, ledgerlake: Command, cause: str, has_case: bool
) -> None:
    stopped(running, "b01", "refused", cause, has_case=has_case)
    note(injected("F11"))
    findings, _ = told(ledgerlake("faults", "--json"))
    assert findings["F11"]["verdict"] == "not caught"


def test_a_file_that_is_refused_where_nothing_was_injected_is_a_false_alarm(
    running: TinyBank, ledgerlake: Command
) -> None:
    stopped(running, "b01", "refused", "trailer_count")
    stopped(running, "b02", "refused", "bad_byte")
    note(injected("F11"))
    said = ledgerlake("faults", "--json")
    findings, alarms = told(said)
    assert said.status == 1 and findings["F11"]["verdict"] == "caught"
    assert [(a["what"], a["where"], a["reason"]) for a in alarms] == [
        ("refused", f"payments of b02 for {DAY}", "why it was stopped")
    ]


def test_rows_that_are_rejected_beyond_those_injected_are_a_false_alarm(running: TinyBank, ledgerlake: Command) -> None:
    delivery = running.arrives("payments", "b01", DAY)
    with running.ledger.begin() as db:
        case(db, delivery, "b01", "rows", "transaction_code_known", 5)
    note(injected("F30", rows=3))
    findings, alarms = told(ledgerlake("faults", "--json"))
    assert findings["F30"]["verdict"] == "caught"
    assert [a["what"] for a in alarms] == ["2 rows rejected"]


def test_fewer_rows_than_injected_are_not_enough(running: TinyBank, ledgerlake: Command) -> None:
    delivery = running.arrives("payments", "b01", DAY)
    with running.ledger.begin() as db:
        case(db, delivery, "b01", "rows", "transaction_code_known", 2)
    note(injected("F30", rows=3))
    assert told(ledgerlake("faults", "--json"))[0]["F30"]["verdict"] == "not caught"


def test_a_missing_file_is_caught_when_somebody_was_told(running: TinyBank, ledgerlake: Command) -> None:
    note(injected("F14"))
    assert told(ledgerlake("faults", "--json"))[0]["F14"]["verdict"] == "not caught"
    with running.ledger.begin() as db:
        batches.alert(db, f"missing|payments|b01|{DAY}", "missing", "has not come")
        batches.alert(db, f"missing|payments|b02|{DAY}", "missing", "has not come")
    findings, alarms = told(ledgerlake("faults", "--json"))
    assert findings["F14"]["verdict"] == "caught"
    assert [a["where"] for a in alarms] == [f"missing|payments|b02|{DAY}"]


def test_a_source_that_did_not_answer_is_caught_when_it_was_told_and_all_came_later(
    running: TinyBank, ledgerlake: Command
) -> None:
    """F76. The same alert of another source, or of another day, is a false alarm."""
    note(injected("F76"))
    running.arrives("payments", "b01", DAY)
    said = told(ledgerlake("faults", "--json"))[0]["F76"]
    assert said["verdict"] == "not caught" and "no alert" in said["found"]
    with running.ledger.begin() as db:
        for key in (f"payments|{DAY}", f"rates|{DAY}", "payments|2026-09-16"):
            batches.alert(db, f"source_down|{key}", "source_down", f"the source does not answer on {DAY}")
    findings, alarms = told(ledgerlake("faults", "--json"))
    assert findings["F76"]["verdict"] == "caught"
    assert [a["where"] for a in alarms] == [f"source_down|rates|{DAY}", "source_down|payments|2026-09-16"]


def test_a_source_that_was_told_to_be_down_and_of_which_nothing_came_later_is_not_caught(
    running: TinyBank, ledgerlake: Command
) -> None:
    note(injected("F76"))
    with running.ledger.begin() as db:
        batches.alert(db, f"source_down|payments|{DAY}", "source_down", "the source does not answer")
    said = told(ledgerlake("faults", "--json"))[0]["F76"]
    assert said["verdict"] == "not caught" and "nothing came" in said["found"]


def test_a_day_that_is_told_anew_is_seen_by_its_release(running: TinyBank, ledgerlake: Command) -> None:
    running.whole_day()
    running.clock(DAY, "23:59")
    [key] = running.decide()
    running.release(key)
    late = injected("F21")._replace(restates=DAY)
    note(late)
    assert told(ledgerlake("faults", "--json"))[0]["F21"]["verdict"] == "not caught"
    running.arrives("payments", "b01", DAY, seq=2)
    [again] = running.decide()
    running.release(again)
    findings, _ = told(ledgerlake("faults", "--json"))
    assert findings["F21"]["verdict"] == "caught" and again in findings["F21"]["found"]


def test_a_working_weekend_is_caught_when_what_goes_by_the_calendar_came_and_opening_hours_are_kept(
    running: TinyBank, ledgerlake: Command
) -> None:
    """F46. All lanes of the tiny bank go by its calendar."""

    def said() -> tuple[str, str]:
        finding = told(ledgerlake("faults", "--json"))[0]["F46"]
        return finding["verdict"], finding["found"]

    note(injected("F46")._replace(feed=None, entity=None))
    running.arrives("payments", "b01", DAY)
    running.arrives("rates", "HO", DAY)
    schema = pa.schema([("business_date", pa.date32()), ("is_out_of_hours", pa.bool_()), ("__verdict", pa.string())])
    place = open_bank("tiny").lake.path("silver.transactions")

    def movement(is_out_of_hours: bool) -> None:
        write_deltalake(place, pa.table([[DAY], [is_out_of_hours], ["accepted"]], schema=schema), mode="append")

    movement(False)
    verdict, found = said()
    assert verdict == "not caught" and f"not here payments|b02|{DAY}" in found
    running.arrives("payments", "b02", DAY)
    assert said()[0] == "caught"
    movement(True)
    assert said()[1].endswith("; 1 movements within opening hours")
    write_deltalake(place, pa.table([[DAY], [True], ["accepted"]], schema=schema), mode="overwrite")
    assert said()[0] == "not caught", "to the platform the whole day lies out of hours"


def test_controls_that_do_not_exist_yet_are_named(running: TinyBank, ledgerlake: Command) -> None:
    note()
    findings, _ = told(ledgerlake("faults", "--json"))
    assert list(findings) == list(KINDS)
    assert [f for f, told in findings.items() if told["verdict"] == "control not built yet"] == NOT_BUILT
    assert all(Decimal(told["money"]) == 0 for told in findings.values())


def test_outcomes_that_are_states_are_states_of_deliveries() -> None:
    rows = {"rejected", "duplicate", "accepted", "noted", "warned", "restated", "unchanged", "expected"}
    rows |= {"kept_out", "unreachable"}
    assert {k.outcome for k in KINDS.values()} - rows - {"not_built"} <= set(DELIVERY_STATES)
