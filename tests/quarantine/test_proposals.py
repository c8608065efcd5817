"""What may be proposed for a case: what would come to nothing is said at once, and what the contract of today sees otherwise is asked again."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from jobs import bank as banks
from jobs import quarantine as bench
from jobs.bank import open_bank
from jobs.commands import quarantine as commands
from jobs.ledger import fixes
from jobs.quarantine import NotAllowed
from jobs.settings import settings
from tests.contracts.house import change
from tests.ledger.conftest import TinyBank
from tests.quarantine.conftest import ANNA, BERND, Command, case_of, counts, live, load, send


def test_the_form_says_how_a_text_is_written_and_what_a_whole_line_is(tiny: TinyBank) -> None:
    """A cast value is no model for what the sender writes: 1.00 came as 100."""
    from fastapi import Request

    from infra.airflow.pages import Visitor
    from infra.airflow.pages.quarantine import case

    amount = '["decimal(18,2)!", {unit: CNY'
    change(settings().expectations, "bronze/payments.yaml", amount, f"{amount}, parse: implied(2)")
    banks.open_bank.cache_clear()
    send("p1|D|100|6200001|", "p2|D|2.00", "p3|X|300|6200003|")

    def form(cause: str) -> str:
        request = Request({"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""})
        shown = case(request, Visitor(ANNA, "tiny", ("tiny",), True), case_of(cause).case_id)
        return bytes(shown.body).decode().partition("Correct a row")[2]

    split, unsplit = form("direction_known"), form("malformed_line")
    assert 'amount <span class="soft">implied(2)</span><br><input name="amount" size="14" placeholder="">' in split
    assert '>direction<br><input name="direction" size="14" placeholder="X">' in split and "did not split" not in split
    assert "this line did not split: give all of payment_no, direction, amount (left away is nothing: account, payer)" in unsplit  # fmt: skip
    assert '<input name="amount" size="14" required placeholder="">' in unsplit
    assert '<input name="payer" size="14" placeholder="">' in unsplit


def test_what_cannot_be_fixed_so_is_said(tiny: TinyBank) -> None:
    send("p1|X|1.00|6200001|", "p2|D|1,0|6200001|")
    opened = open_bank("tiny")
    unread, code = case_of("amount_unreadable").case_id, case_of("direction_known").case_id
    for wrong, said in (
        (lambda: bench.propose_acceptance(opened, unread, None, "r", ANNA), r"accept is no fix .*no value that could be accepted\. Possible: correct, resend, reject"),
        (lambda: bench.propose_acceptance(opened, code, [], "r", ANNA), r"No line is named"),
        (lambda: bench.propose_code(opened, code, "W", "credit", "r", ANNA), r"No rejected row has direction 'W'.*Found: X"),
        (lambda: bench.propose_code(opened, code, "X", "kredit", "r", ANNA), r"one of these meanings: credit, debit. Did you mean credit\? A new meaning is a change"),
        (lambda: bench.propose_code(opened, code, "X", "credit", " ", ANNA), r"A fix needs a reason"),
        (lambda: bench.propose_correction(opened, unread, {1: {"amount": "1"}}, "r", ANNA), r"Line 1 of D\d+ is none of case .*Its lines: 2"),
        (lambda: bench.propose_correction(opened, unread, {2: {"amonut": "1"}}, "r", ANNA), r"no column amonut. Did you mean amount"),
        (lambda: bench.propose_correction(opened, unread, {}, "r", ANNA), r"0 rows to correct"),
        (lambda: bench.propose_code(opened, 99, "X", "credit", "r", ANNA), r"There is no case 99"),
        (lambda: bench.approve(opened, 99, BERND), r"There is no fix 99"),
    ):  # fmt: skip
        with pytest.raises(NotAllowed, match=said):
            wrong()


FOUR_WRONG = ("p1|D|1.00|6200001|", "p2|D|1,0|6200002|", "p3|X|-3.00|6200003|", "p4|D|4.00")
HOPELESS = {
    "still no number": ("amount_unreadable", {2: {"amount": "1,5"}}, r"Line 2 would .* amount = 1,5: amount must be a decimal\(18,2\) \(amount_unreadable\)"),
    "what is wrong stays": ("amount_unreadable", {2: {"account": "6200009"}}, r"amount as it came: amount must be a decimal"),
    "another rule": ("amount_unreadable", {2: {"amount": "-1.00"}}, r"amount = -1.00: amount must be at least 0 \(amount_positive\)"),
    "no code": ("direction_known", {3: {"direction": "Q"}}, r"direction = Q: direction must be one of D, C \(direction_known\)"),
    "nothing": ("direction_known", {3: {"direction": None}}, r"direction = nothing: direction must be given \(direction_required\)"),
    "half a line": ("malformed_line", {4: {"payment_no": "p4", "direction": "D"}}, r"Line 4: this line did not split: give all of payment_no, direction, amount \(left away is nothing: account, payer\)\. Given: payment_no, direction\. Nothing was proposed"),
    "a wrong text in a whole line": ("malformed_line", {4: {"payment_no": "p4", "direction": "Q", "amount": "4.00"}}, r"Line 4 would .* direction = Q: direction must be one of D, C"),
}  # fmt: skip


def test_a_correction_that_the_gate_would_reject_again_is_said_at_once(tiny: TinyBank, spark: Any) -> None:
    send(*FOUR_WRONG)
    opened = open_bank("tiny")
    for cause, lines, told in HOPELESS.values():
        with pytest.raises(NotAllowed, match=told):
            bench.propose_correction(opened, case_of(cause).case_id, lines, "r", ANNA)
    with tiny.ledger.begin() as db:
        assert fixes.waiting(db) == []
    # p3 has two faults: each is corrected in its own case.
    for cause, texts in (("direction_known", {"direction": "C"}), ("amount_positive", {"amount": "3.00"})):
        bench.approve(opened, bench.propose_correction(opened, case_of(cause).case_id, {3: texts}, "r", ANNA), BERND)
    load()
    assert live(spark, tiny) == [("p1", "D", "1.00"), ("p3", "C", "3.00")]


def test_what_might_pass_with_another_fix_is_let_through(tiny: TinyBank) -> None:
    """A code that is no code yet, and an amount below 0 that somebody else wants to accept: a second person decides about both."""
    send(*FOUR_WRONG)
    opened, direction = open_bank("tiny"), case_of("direction_known").case_id
    unsure = {3: {"direction": "X", "amount": "-4.00"}}

    def told() -> str:
        with pytest.raises(NotAllowed) as refused:
            bench.propose_correction(opened, direction, unsure, "r", ANNA)
        return str(refused.value)

    assert "(amount_positive)" in told() or "(direction_known)" in told()
    bench.propose_code(opened, direction, "X", "credit", "a new kind", BERND)
    assert "(direction_known)" not in told() and "(amount_positive)" in told()
    bench.propose_acceptance(opened, case_of("amount_positive").case_id, [3], "seen on paper", BERND)
    assert bench.propose_correction(opened, direction, unsure, "r", ANNA) == 3


def test_a_line_that_was_rejected_for_good_is_not_corrected(tiny: TinyBank) -> None:
    send(*FOUR_WRONG)
    opened = open_bank("tiny")
    rejected = bench.propose_rejection(opened, case_of("amount_positive").case_id, "a test of the branch", ANNA)
    bench.approve(opened, rejected, BERND)
    with pytest.raises(NotAllowed, match=r"Line 3 of D\d+ was rejected for good \(amount_positive\): it stays out"):
        bench.propose_correction(opened, case_of("direction_known").case_id, {3: {"direction": "D"}}, "r", ANNA)


def test_nothing_is_decided_of_a_case_without_rows(tiny: TinyBank) -> None:
    """Its delivery was judged again meanwhile, and the case is not closed yet."""
    send("p1|X|1.00|6200001|")
    opened, case = open_bank("tiny"), case_of("direction_known")
    bench.approve(opened, bench.propose_code(opened, case.case_id, "X", "credit", "r", ANNA), BERND)
    load()
    with tiny.ledger.begin() as db:
        db.execute(text("update cases set state = 'open'"))
    for nothing in (
        lambda: bench.propose_rejection(opened, case.case_id, "r", ANNA),
        lambda: bench.propose_acceptance(opened, case.case_id, None, "r", ANNA),
    ):
        with pytest.raises(NotAllowed, match=r"No row of D\d+ is rejected because of direction_known any more"):
            nothing()


def contract_says(path: str, old: str, new: str) -> None:
    change(settings().expectations, path, old, new)
    banks.open_bank.cache_clear()


def test_a_code_that_came_into_the_list_by_itself_has_its_rows_judged_again(
    tiny: TinyBank, spark: Any, ledgerlake: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody adds X to the reference list, and nobody to the bench: two branches' rows wait for it, a third one's for another code."""
    first = send("p1|D|1.00|6200001|", "p2|X|2.00|6200002|")
    second = send("p3|X|3.00|6200003|", "p4|Q|4.00|6200004|", entity="b02")
    third = send("p5|Q|5.00|6200005|", entity="b03")
    case = case_of("direction_known", first)
    assert (bench.changed_since(open_bank("tiny"), case), bench.kinds(open_bank("tiny"), case)[0]) == (None, "map_code")
    with pytest.raises(NotAllowed, match="nothing would come of it"):
        bench.propose_judging_again(open_bank("tiny"), case.case_id, "r", ANNA)
    contract_says("reference/directions.yaml", "C: credit", "C: credit, X: credit")
    opened = open_bank("tiny")
    known = "direction X is in the list directions by the contract of today."
    assert [bench.changed_since(opened, case_of("direction_known", d)) for d in (first, second, third)] == [known, known, None]  # fmt: skip
    assert [c.code for c in bench.codes_of(opened, case)] == ["Q"]
    with pytest.raises(NotAllowed, match=r"directions knows X by the contract of today: .* fix 1 --judge-again"):
        bench.propose_code(opened, case.case_id, "X", "credit", "r", ANNA)
    told = ledgerlake("quarantine", "case", str(case.case_id), width=400).out
    assert f"{known} The rows can be judged again: ledgerlake quarantine fix 1 --judge-again --reason" in told
    monkeypatch.setattr(commands, "me", lambda: ANNA)
    words = ("quarantine", "fix", str(case.case_id), "--judge-again", "--reason", "in the list since today")
    assert ledgerlake(*words).out.startswith("Fix 1 is proposed by anna.")
    assert f"judged again by the contract of today: {known}" in ledgerlake("quarantine", "fixes", width=200).out
    with pytest.raises(NotAllowed, match="nobody approves their own"):
        bench.approve(opened, 1, ANNA)
    assert load() == {} and live(spark, tiny) == [("p1", "D", "1.00")]
    bench.approve(opened, 1, BERND)
    assert bench.changed_since(opened, case) is None  # it is on its way
    assert load() == {"loaded": 1, "partly_loaded": 1}
    assert live(spark, tiny) == [("p1", "D", "1.00"), ("p2", "X", "2.00"), ("p3", "X", "3.00")]
    assert [case_of("direction_known", d).state for d in (first, second, third)] == ["closed", "open", "open"]
    assert counts(tiny, third)[0] == "partly_loaded"
    with tiny.ledger.begin() as db:
        assert [(r.delivery_id, r.state) for r in fixes.replays(db, [1])] == [(first, "done"), (second, "done")]


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ("amount, min_value: 0", "amount, min_value: -10", "The contract of today says: amount must be at least -10."),
        ("{id: amount_positive", "{id: amount_large", "The contract of today has no rule amount_positive."),
        ("onFail: quarantine, expect_column_values_to_be_between: {column: amount", "onFail: warn, expect_column_values_to_be_between: {column: amount", "The contract of today keeps no row aside because of amount_positive: it only warns."),
    ],
)  # fmt: skip
def test_a_rule_that_was_changed_asks_again(tiny: TinyBank, spark: Any, was: str, now: str, told: str) -> None:
    send("p1|D|1.00|6200001|", "p2|D|-2.00|6200002|", "p3|D|3,0|6200003|")
    contract_says("bronze/payments.yaml", was, now)
    opened, case = open_bank("tiny"), case_of("amount_positive")
    assert bench.changed_since(opened, case) == told
    assert bench.changed_since(opened, case_of("amount_unreadable")) is None
    fix = bench.propose_judging_again(opened, case.case_id, "agreed with accounting", ANNA)
    bench.approve(opened, fix, BERND)
    load()
    kept = [] if "amount_large" in now else [("p2", "D", "-2.00")]
    assert live(spark, tiny) == [("p1", "D", "1.00"), *kept]
    assert case_of("amount_positive").state == "closed"


def test_a_fix_is_declined_or_withdrawn_and_the_case_stays(tiny: TinyBank, spark: Any) -> None:
    send("p1|X|1.00|6200001|")
    opened, case = open_bank("tiny"), case_of("direction_known").case_id
    first, second = (bench.propose_code(opened, case, "X", "credit", "r", ANNA) for _ in range(2))
    assert bench.decline(opened, first, BERND, "it is a debit").state == "declined"
    assert bench.decline(opened, second, ANNA, "I was wrong").state == "withdrawn"
    with pytest.raises(NotAllowed, match="Fix 1 is declined"):
        bench.approve(opened, first, "clara")
    assert load() == {} and live(spark, tiny) == [] and case_of("direction_known").state == "open"
