"""Each fix is in what counts exactly once, whoever dies and whatever runs twice at once."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from jobs import bank as banks
from jobs import load as loading
from jobs import rollcall, settling
from jobs.settings import settings
from tests.contracts.house import change
from tests.ledger.conftest import TinyBank
from tests.quarantine.conftest import (
    TWO_WRONG,
    Command,
    approved,
    case_of,
    counts,
    given_meaning,
    live,
    load,
    send,
    states,
)

# What counts once both lines are mended.
BOTH = [("p1", "D", "1.00"), ("p2", "D", "2.00"), ("p3", "D", "3.00")]


def dies(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """One load that is killed at this place."""
    with monkeypatch.context() as broken:
        broken.setattr(settling, where, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            load()


def test_a_second_fix_does_not_strand_the_replay_of_a_load_that_died(
    tiny: TinyBank, spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(*TWO_WRONG)
    first = approved(case_of("amount_unreadable"), {2: {"amount": "2.00"}})
    dies(monkeypatch, "measure")
    second = approved(case_of("amount_positive"), {3: {"amount": "3.00"}})
    for _ in range(3):
        load()
    assert states(tiny, first, second) == ["done", "done"]
    assert live(spark, tiny) == BOTH


def test_two_loads_at_once_lose_neither_fix(tiny: TinyBank, spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fix is approved while another one's batch is between its write and its gate; its own load overtakes (four of them may run at once)."""
    send(*TWO_WRONG)
    first = approved(case_of("amount_unreadable"), {2: {"amount": "2.00"}})
    measure, second = settling.measure, list[int]()

    def meanwhile(*given: Any) -> Any:
        if not second:
            second.append(approved(case_of("amount_positive"), {3: {"amount": "3.00"}}))
            load()
        return measure(*given)

    monkeypatch.setattr(settling, "measure", meanwhile)
    for _ in range(3):
        load()
    assert states(tiny, first, *second) == ["done", "done"]
    assert live(spark, tiny) == BOTH


def test_a_replay_whose_load_died_is_rung_again(tiny: TinyBank, monkeypatch: pytest.MonkeyPatch) -> None:
    send("p1|X|1.00|6200001|")
    given_meaning(case_of("direction_known"))
    dies(monkeypatch, "measure")
    monkeypatch.setattr(rollcall, "PATIENCE", timedelta(seconds=1))
    time.sleep(1.1)
    assert [key.partition("|")[0] for key in rollcall.call("tiny", "run")["feeds"]] == ["payments"]


def test_a_code_approved_while_a_load_begins_counts(
    tiny: TinyBank, spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load has read the codes; then a fix is approved; then the load takes its replay."""
    send("p1|X|1.00|6200001|")
    case, decided, made = case_of("direction_known"), loading.as_decided, list[int]()

    def then_approved(opened: Any) -> Any:
        known = decided(opened)
        if not made:
            made.append(given_meaning(case))
        return known

    monkeypatch.setattr(loading, "as_decided", then_approved)
    send("p9|D|9.00|6200009|", entity="b02")
    load()
    assert states(tiny, *made) == ["done"]
    assert live(spark, tiny) == [("p1", "X", "1.00"), ("p9", "D", "9.00")]


def test_a_code_approved_while_a_delivery_is_judged_counts_for_it_too(
    tiny: TinyBank, spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """b02's file was judged without the code, and its case is opened after the fix was approved."""
    send("p1|X|1.00|6200001|")
    case, measure, made = case_of("direction_known"), settling.measure, list[int]()

    def meanwhile(*given: Any) -> Any:
        if not made:
            made.append(given_meaning(case))
        return measure(*given)

    monkeypatch.setattr(settling, "measure", meanwhile)
    send("p2|X|2.00|6200002|", entity="b02")
    load()
    load()
    assert live(spark, tiny) == [("p1", "X", "1.00"), ("p2", "X", "2.00")]


def test_what_arrived_under_an_older_contract_stops_no_new_delivery(
    tiny: TinyBank, spark: Any, ledgerlake: Command
) -> None:
    """A case stays open for weeks; the contract gets a column meanwhile; the fix and a new file meet in one load."""
    send("p1|X|1.00|6200001|", "p2|D|2.00|6200002|")
    change(
        settings().expectations,
        "bronze/payments.yaml",
        "rules:\n",
        "  channel: [string, {classification: C1/2}]\nrules:\n",
    )
    banks.open_bank.cache_clear()
    ledgerlake("contracts", "apply", "--yes")
    given_meaning(case_of("direction_known"))
    new = send("p3|D|3.00|6200003||web", entity="b02")
    assert counts(tiny, new)[0] == "loaded"
    assert live(spark, tiny) == [("p1", "X", "1.00"), ("p2", "D", "2.00"), ("p3", "D", "3.00")]
