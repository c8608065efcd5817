"""Whatever is approved, in whatever order: not a row and not a cent is lost, doubled or silently dropped, and nothing counts that nobody approved."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from jobs import bank as banks
from jobs import quarantine as bench
from jobs.bank import open_bank
from jobs.ledger import batches, fixes
from jobs.quarantine import NotAllowed
from tests.ledger.conftest import TinyBank
from tests.quarantine.conftest import (
    ANNA,
    BERND,
    approved,
    approved_unseen,
    case_of,
    counts,
    given_meaning,
    live,
    load,
    send,
    states,
)


def test_of_copies_that_differ_only_one_is_ever_accepted(tiny: TinyBank, spark: Any) -> None:
    """The second line is accepted; the first is still rejected, and somebody accepts it, too."""
    send("p1|D|1.00|6200001|", "p1|D|9.00|6200001|")
    opened, case = open_bank("tiny"), case_of("primary_key_unique")
    bench.approve(opened, bench.propose_acceptance(opened, case.case_id, [2], "the slip says 9", ANNA), BERND)
    load()
    assert live(spark, tiny) == [("p1", "D", "9.00")]
    try:
        bench.approve(opened, bench.propose_acceptance(opened, case.case_id, [1], "the slip says 1", ANNA), BERND)
    except NotAllowed:
        return
    load()
    assert len(live(spark, tiny)) == 1


def test_rows_rejected_for_good_stay_out(tiny: TinyBank, spark: Any) -> None:
    """b01's row was a test of the branch. b02's code gets a meaning; then another line of b01 is corrected."""
    send("p1|X|1.00|6200001|", "p2|D|2,00|6200002|")
    opened = open_bank("tiny")
    rejected = bench.propose_rejection(opened, case_of("direction_known").case_id, "a test of the branch", ANNA)
    bench.approve(opened, rejected, BERND)
    second = send("p3|X|3.00|6200003|", entity="b02")
    given_meaning(case_of("direction_known", second))
    load()
    approved(case_of("amount_unreadable"), {2: {"amount": "2.00"}})
    load()
    assert live(spark, tiny) == [("p2", "D", "2.00"), ("p3", "X", "3.00")]


def test_the_reason_of_a_rejection_outlives_a_replay(tiny: TinyBank) -> None:
    send("p1|X|1.00|6200001|", "p2|D|2,00|6200002|")
    opened = open_bank("tiny")
    rejected = bench.propose_rejection(opened, case_of("direction_known").case_id, "a test of the branch", ANNA)
    bench.approve(opened, rejected, BERND)
    approved(case_of("amount_unreadable"), {2: {"amount": "2.00"}})
    load()
    assert "a test of the branch" in case_of("direction_known").reason


def test_a_row_that_is_caught_again_has_an_open_case(tiny: TinyBank) -> None:
    """The first correction reads, but is negative; the second does not read again."""
    delivery = send("p1|D|1.00|6200001|", "p2|D|2,00|6200002|")
    approved_unseen(case_of("amount_unreadable"), 2, {"amount": "-2.00"})
    load()
    approved_unseen(case_of("amount_positive"), 2, {"amount": "2.0.0"})
    load()
    assert counts(tiny, delivery)[:3] == ("partly_loaded", 1, 1)
    with tiny.ledger.begin() as db:
        assert sum(case.affected_rows for case in batches.cases(db)) == 1


def test_a_fix_of_a_case_that_was_closed_meanwhile_is_not_approved(tiny: TinyBank, spark: Any) -> None:
    send("p1|D|1.00|6200001|", "p2|D|2,00|6200002|")
    opened, case = open_bank("tiny"), case_of("amount_unreadable")
    correction = bench.propose_correction(opened, case.case_id, {2: {"amount": "2.00"}}, "r", ANNA)
    bench.approve(opened, bench.propose_rejection(opened, case.case_id, "was never paid", ANNA), BERND)
    with pytest.raises(NotAllowed, match="closed"):
        bench.approve(opened, correction, BERND)


def test_a_code_has_one_meaning(tiny: TinyBank) -> None:
    """Two colleagues propose a meaning each. The first was approved and its rows are live; the second may not turn them over without a word."""
    send("p1|X|1.00|6200001|")
    opened, case = open_bank("tiny"), case_of("direction_known")
    first, second = (bench.propose_code(opened, case.case_id, "X", m, "r", ANNA) for m in ("credit", "debit"))
    bench.approve(opened, first, BERND)
    load()
    with tiny.ledger.begin() as db:
        db.execute(text("delete from dirty_dates"))
    try:
        bench.approve(opened, second, BERND)
    except NotAllowed:
        return
    load()
    meaning = banks.as_decided(opened).catalog.references["directions"].map["X"]
    assert meaning == "credit" or tiny.dirty(), f"X is a {meaning} now, and no day is restated"


def test_a_code_whose_replay_failed_can_still_be_dealt_with(tiny: TinyBank, spark: Any) -> None:
    """The code is known, the file's gate holds it because of another row: once that is corrected, the code's rows count."""
    send("p1|X|5000.00|6200001|", "p2|D|2.00|6200002|")
    fix = given_meaning(case_of("direction_known"))
    load()
    assert states(tiny, fix) == ["failed"] and live(spark, tiny) == [("p2", "D", "2.00")]
    case = case_of("gate_hold")
    # A house was sold, the amount is right: somebody has to be able to say so.
    assert bench.ACCEPT in bench.kinds(open_bank("tiny"), case)
    opened = open_bank("tiny")
    bench.approve(opened, bench.propose_acceptance(opened, case.case_id, None, "a house was sold", ANNA), BERND)
    load()
    assert live(spark, tiny) == [("p1", "X", "5000.00"), ("p2", "D", "2.00")]


def test_what_is_approved_last_counts(tiny: TinyBank, spark: Any) -> None:
    """Two corrections of one line are proposed. The second one is approved and live; then the first is approved, which replaces it."""
    send("p1|D|1.00|6200001|", "p2|D|2,00|6200002|", "p2b|X|2.00|6200002|")
    opened, case = open_bank("tiny"), case_of("amount_unreadable")
    first, second = (
        bench.propose_correction(opened, case.case_id, {2: {"amount": amount}}, "r", ANNA)
        for amount in ("20.00", "2.00")
    )
    bench.approve(opened, second, BERND)
    load()
    assert live(spark, tiny) == [("p1", "D", "1.00"), ("p2", "D", "2.00")]
    try:
        bench.approve(opened, first, BERND)
    except NotAllowed:
        return
    load()
    assert states(tiny, first) == ["done"]
    assert live(spark, tiny) == [("p1", "D", "1.00"), ("p2", "D", "20.00")]


def test_a_held_file_that_is_sent_again_closes_its_cases(tiny: TinyBank) -> None:
    held = send("p1|D|5000.00|6200001|", "p2|X|1.00|6200001|")
    opened, case = open_bank("tiny"), case_of("gate_hold")
    bench.approve(opened, bench.propose_resend(opened, case.case_id, "amounts in fen", ANNA), BERND)
    new = send("p1|D|50.00|6200001|")
    assert counts(tiny, new)[0] == "loaded"
    assert {case_of(cause, held).state for cause in ("gate_hold", "direction_known")} == {"closed"}


def test_fixes_of_a_case_that_is_settled_no_longer_wait(tiny: TinyBank) -> None:
    send("p1|X|1.00|6200001|")
    bench.propose_resend(open_bank("tiny"), case_of("direction_known").case_id, "r", ANNA)
    send("p1|C|1.00|6200001|")
    assert case_of("direction_known").state == "closed"
    with tiny.ledger.begin() as db:
        assert fixes.waiting(db) == []


def test_the_database_knows_no_approval_without_an_approver(tiny: TinyBank) -> None:
    send("p1|X|1.00|6200001|")
    fix = bench.propose_code(open_bank("tiny"), case_of("direction_known").case_id, "X", "credit", "r", ANNA)
    with tiny.ledger.begin() as db, pytest.raises(IntegrityError, match="four_eyes"), db.begin_nested():
        db.execute(text(f"update fixes set state = 'approved' where fix_id = {fix}"))


def test_only_deliveries_that_have_the_code_are_judged_again(tiny: TinyBank) -> None:
    """b02's case is of the same rule, and of another code: its day is not told anew for nothing."""
    first = send("p1|X|1.00|6200001|")
    send("p2|Y|2.00|6200002|", entity="b02")
    fix = given_meaning(case_of("direction_known", first))
    with tiny.ledger.begin() as db:
        assert [replay.delivery_id for replay in fixes.replays(db, [fix])] == [first]
