"""Corrections that would give a row the key of another."""

from __future__ import annotations

from typing import Any

import pytest

from jobs import quarantine as bench
from jobs.bank import open_bank
from jobs.ledger import fixes
from jobs.quarantine import NotAllowed
from tests.ledger.conftest import TinyBank
from tests.quarantine.conftest import ANNA, BERND, approved, approved_unseen, case_of, counts, live, load, send, states

KEYS = ("p1|D|1.00|6200001|", "p2|D|2,00|6200002|", "p3|X|3.00|6200003|", "p4|D|4,00|6200004|", "p5|D|-5.00|6200005|")
TAKEN = r"Line 2 would be rejected again with payment_no = p1: line 1 of the same delivery has that key too, and says otherwise \(primary_key_unique\): the gate would reject both"


def test_a_correction_does_not_take_the_key_of_another_row(tiny: TinyBank, spark: Any) -> None:
    """The row of p1 counts. With its key line 2 would take it out of the figures, and stay out itself."""
    send(*KEYS)
    opened, case = open_bank("tiny"), case_of("amount_unreadable").case_id
    with pytest.raises(NotAllowed, match=TAKEN):
        bench.propose_correction(opened, case, {2: {"payment_no": "p1", "amount": "2.00"}}, "r", ANNA)
    with pytest.raises(NotAllowed, match=r"Line 4 would .* payment_no = p9: line 2 of the same delivery has that key"):
        both = {2: {"payment_no": "p9", "amount": "2.00"}, 4: {"payment_no": "p9", "amount": "4.00"}}
        bench.propose_correction(opened, case, both, "r", ANNA)
    with tiny.ledger.begin() as db:
        assert fixes.waiting(db) == []
    # Of a row that is rejected itself nobody knows what its key will be: p5 has an amount below 0.
    approved(case_of("amount_unreadable"), {2: {"payment_no": "p5", "amount": "2.00"}, 4: {"amount": "4.00"}})
    load()
    assert live(spark, tiny) == [("p1", "D", "1.00"), ("p4", "D", "4.00"), ("p5", "D", "2.00")]
    with pytest.raises(NotAllowed, match=r"Line 5 would .* payment_no = p4: line 4 of the same delivery"):
        texts = {5: {"payment_no": "p4", "amount": "5.00"}}
        bench.propose_correction(opened, case_of("amount_positive").case_id, texts, "r", ANNA)


def test_a_row_that_says_the_same_under_the_key_is_a_copy(tiny: TinyBank, spark: Any) -> None:
    delivery = send("p1|D|1.00|6200001|", "p2|D|1,00|6200001|")
    fix = approved(case_of("amount_unreadable"), {2: {"payment_no": "p1", "amount": "1.00"}})
    load()
    assert states(tiny, fix) == ["done"]
    assert (live(spark, tiny), counts(tiny, delivery)[:3]) == ([("p1", "D", "1.00")], ("loaded", 1, 0))


def test_two_rows_of_one_key_are_parted_by_another_key_and_by_nothing_else(tiny: TinyBank, spark: Any) -> None:
    send("p1|D|1.00|6200001|", "p1|D|9.00|6200001|")
    opened, case = open_bank("tiny"), case_of("primary_key_unique")
    with pytest.raises(NotAllowed, match=r"Line 2 would .* payment_no as it came: line 1 of the same delivery"):
        bench.propose_correction(opened, case.case_id, {2: {"amount": "8.00"}}, "r", ANNA)
    approved(case, {2: {"payment_no": "p7"}})
    load()
    assert live(spark, tiny) == [("p1", "D", "1.00"), ("p7", "D", "9.00")]


def test_a_key_that_another_fix_may_free_is_let_through(tiny: TinyBank, spark: Any) -> None:
    """Line 1 is to be p8, and waits for a second person; line 2 wants its p1."""
    send("p1|D|1.00|6200001|", "p1|D|9.00|6200001|", "p2|D|2,00|6200002|")
    opened = open_bank("tiny")
    first = bench.propose_correction(
        opened, case_of("primary_key_unique").case_id, {1: {"payment_no": "p8"}, 2: {"payment_no": "p9"}}, "r", ANNA
    )
    second = bench.propose_correction(
        opened, case_of("amount_unreadable").case_id, {3: {"payment_no": "p1", "amount": "2.00"}}, "r", ANNA
    )
    for fix in (first, second):
        bench.approve(opened, fix, BERND)
        load()
    assert live(spark, tiny) == [("p1", "D", "2.00"), ("p8", "D", "1.00"), ("p9", "D", "9.00")]


def test_a_correction_takes_no_released_row_away(tiny: TinyBank, spark: Any) -> None:
    """p2's line is given the number of a payment that counts, and nothing was foreseen: the replay fails and says what the fix would have done, and what counts goes on counting."""
    delivery = send("p1|D|1.00|6200001|", "p2|D|2,00|6200002|")
    before, case = counts(tiny, delivery), case_of("amount_unreadable")
    approved_unseen(case, 2, {"payment_no": "p1", "amount": "2.00"})
    load()
    assert (counts(tiny, delivery), live(spark, tiny)) == (before, [("p1", "D", "1.00")])
    with tiny.ledger.begin() as db:
        [fix] = fixes.of_case(db, case.case_id)
        [replay] = fixes.replays(db, [fix.fix_id])
    assert (fix.state, replay.state) == ("failed", "failed")
    assert "1 row of " in replay.reason and "(line 1: primary_key_unique)" in replay.reason
    assert case_of("amount_unreadable").state == "open"
