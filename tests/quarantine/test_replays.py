"""A fix that a second person approved: its delivery is judged again, once, and what counts then is told."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from jobs import bank as banks
from jobs import quarantine as bench
from jobs import rollcall, settling
from jobs.bank import open_bank
from jobs.commands import quarantine as commands
from jobs.ledger import batches, days, deliveries, fixes
from jobs.ledger.models import Balance
from jobs.quarantine import NotAllowed
from jobs.settings import settings
from tests.contracts.house import change
from tests.ledger.conftest import DAY, TinyBank
from tests.quarantine.conftest import ANNA, BERND, Command, case_of, counts, dirty, live, load, send


def test_a_new_code_is_given_a_meaning_and_all_rows_that_wait_for_it_count(tiny: TinyBank, spark: Any) -> None:
    first = send("p1|D|1.00|6200001|", "p2|X|2.00|6200002|", "p3|X|3.00|6200003|")
    second = send("p4|X|4.00|6200004|", "p5|Y|5.00|6200005|", entity="b02")
    opened, case = open_bank("tiny"), case_of("direction_known", first)
    assert [vars(c) for c in bench.codes_of(opened, case)] == [
        {"code": "X", "rows": 3, "entities": ["b01", "b02"], "cases": [1, 2]},
        {"code": "Y", "rows": 1, "entities": ["b02"], "cases": [2]},
    ]
    with pytest.raises(NotAllowed, match=r"No row of case 1 has direction 'Y': it has X\. Rows of case 2 have it"):
        bench.propose_code(opened, case.case_id, "Y", "credit", "not seen here", ANNA)
    fix = bench.propose_code(opened, case.case_id, "X", "credit", "a new kind of credit", ANNA)
    assert load() == {} and live(spark, tiny) == [("p1", "D", "1.00")]  # a proposal changes nothing
    bench.approve(opened, fix, BERND)
    assert load() == {"loaded": 1, "partly_loaded": 1}
    assert live(spark, tiny) == [("p1", "D", "1.00"), ("p2", "X", "2.00"), ("p3", "X", "3.00"), ("p4", "X", "4.00")]
    assert counts(tiny, first) == ("loaded", 3, 0, Decimal(6))
    assert counts(tiny, second) == ("partly_loaded", 1, 1, Decimal(4))
    assert case_of("direction_known", first).state == "closed"
    left = case_of("direction_known", second)
    assert (left.state, left.affected_rows, left.money) == ("open", 1, Decimal(5))
    # From now on the code is known, in bronze and in what is built from it.
    third = send("p6|X|6.00|6200006|", entity="b03")
    assert counts(tiny, third) == ("loaded", 1, 0, Decimal(6))
    known = banks.as_decided(opened).catalog.references["directions"].map
    assert known == {"D": "debit", "C": "credit", "X": "credit"}
    assert bench.codes_as_yaml(opened) == "# expectations/reference/directions.yaml\n  X: credit"


def test_a_row_is_corrected_and_the_money_balances(tiny: TinyBank, spark: Any) -> None:
    delivery = send("p1|D|1.00|6200001|", "p2|D|12,50|6200002|", "p3|D|-3.00|6200003|")
    opened = open_bank("tiny")
    unread, negative = case_of("amount_unreadable"), case_of("amount_positive")
    fix = bench.propose_correction(opened, unread.case_id, {2: {"amount": "12.50"}}, "a comma for a point", ANNA)
    bench.approve(opened, fix, BERND)
    assert load() == {"partly_loaded": 1}
    assert live(spark, tiny) == [("p1", "D", "1.00"), ("p2", "D", "12.50")]
    assert counts(tiny, delivery) == ("partly_loaded", 2, 1, Decimal("13.50"))
    # A second fix of the same delivery keeps the first one.
    other = bench.propose_correction(opened, negative.case_id, {3: {"amount": "3.00", "direction": "C"}}, "paid back", ANNA)  # fmt: skip
    bench.approve(opened, other, BERND)
    assert load() == {"loaded": 1}
    assert live(spark, tiny) == [("p1", "D", "1.00"), ("p2", "D", "12.50"), ("p3", "C", "3.00")]
    with tiny.ledger.begin() as db:
        balances = [row.parts for row in db.execute(Balance.__table__.select().order_by(Balance.balance_id))]
        assert all(row.is_balanced for row in db.execute(Balance.__table__.select()))
    # Received 1.00 + nothing readable - 3.00; people added 12.50 and then 6.00 more.
    assert [parts.get("corrected") for parts in balances] == [
        None,
        {"rows": 0, "money": "-12.50"},
        {"rows": 0, "money": "-18.50"},
    ]


def test_a_line_that_could_not_be_split_is_written_again(tiny: TinyBank, spark: Any) -> None:
    delivery = send("p1|D|1.00|6200001|", "p2|D|2.00")
    case = case_of("malformed_line")
    texts = {"payment_no": "p2", "direction": "D", "amount": "2.00", "account": "6200002", "payer": None}
    fix = bench.propose_correction(open_bank("tiny"), case.case_id, {2: texts}, "the branch read it to me", ANNA)
    bench.approve(open_bank("tiny"), fix, BERND)
    load()
    assert live(spark, tiny) == [("p1", "D", "1.00"), ("p2", "D", "2.00")]
    assert counts(tiny, delivery) == ("loaded", 2, 0, Decimal(3))


def test_a_corrected_name_is_kept_as_a_token(tiny: TinyBank, spark: Any) -> None:
    send("p1|Z|1.00|6200001|张三", "p2|D|1.00|6200001|李四")
    case, opened = case_of("direction_known"), open_bank("tiny")
    fix = bench.propose_correction(
        opened, case.case_id, {1: {"payer": "李四", "direction": "D"}}, "another payer", ANNA
    )
    with tiny.ledger.begin() as db:
        kept = json.dumps(fixes.get(db, fix).change, ensure_ascii=False)
    assert "李四" not in kept and "payer_token" in kept
    bench.approve(opened, fix, BERND)
    load()
    with tiny.ledger.begin() as db:
        parts = deliveries.live_parts(db, ["payments"], DAY, DAY)
    rows = opened.lake.of_parts(spark, opened.catalog.bronze("payments"), parts).collect()
    assert len(rows) == 2 and len({row["payer_token"] for row in rows}) == 1


def test_rows_are_accepted_as_they_are_and_all_other_rules_still_run(tiny: TinyBank, spark: Any) -> None:
    send("p1|D|-1.00|6200001|", "p2|X|-2.00|6200002|", "p3|D|-3.00|6200003|")
    opened, case = open_bank("tiny"), case_of("amount_positive")
    with pytest.raises(NotAllowed, match=r"Line 9 of D\d+ is none of case"):
        bench.propose_acceptance(opened, case.case_id, [9], "r", ANNA)
    fix = bench.propose_acceptance(opened, case.case_id, [1, 2], "corrections of last year, seen on paper", ANNA)
    bench.approve(opened, fix, BERND)
    load()
    assert live(spark, tiny) == [
        ("p1", "D", "-1.00")
    ]  # p2 still has a direction that nobody knows, p3 was not accepted
    assert (case_of("amount_positive").affected_rows, case_of("direction_known").affected_rows) == (1, 1)


def test_of_copies_that_differ_one_may_be_right(tiny: TinyBank, spark: Any) -> None:
    send("p1|D|1.00|6200001|", "p1|D|9.00|6200001|", "p2|D|2.00|6200002|")
    opened, case = open_bank("tiny"), case_of("primary_key_unique")
    assert live(spark, tiny) == [("p2", "D", "2.00")]
    with pytest.raises(NotAllowed, match=r"Rows of one key \(payment_no\) differ: only one of them can be right"):
        bench.propose_acceptance(opened, case.case_id, None, "both", ANNA)
    bench.approve(opened, bench.propose_acceptance(opened, case.case_id, [2], "the slip says 9", ANNA), BERND)
    load()
    assert live(spark, tiny) == [("p1", "D", "9.00"), ("p2", "D", "2.00")]


def test_a_file_that_was_held_is_accepted(tiny: TinyBank, spark: Any) -> None:
    delivery = send("p1|D|5000.00|6200001|", "p2|X|1.00|6200001|")
    opened, case = open_bank("tiny"), case_of("gate_hold")
    assert (counts(tiny, delivery)[0], live(spark, tiny)) == ("held", [])
    bench.approve(opened, bench.propose_acceptance(opened, case.case_id, None, "a house was sold", ANNA), BERND)
    assert load() == {"partly_loaded": 1}
    assert live(spark, tiny) == [("p1", "D", "5000.00")]
    assert case_of("gate_hold").state == "closed" and case_of("direction_known").state == "open"


def test_a_garbled_name_is_written_again(tiny: TinyBank, spark: Any) -> None:
    """What arrival says of a text is said of the corrected one, too."""
    legible = "{identifies: name, text: chinese, classification: C2/3}"
    change(settings().expectations, "bronze/payments.yaml", "{identifies: name, classification: C2/3}", legible)
    banks.open_bank.cache_clear()
    send("p1|D|1.00|6200001|;ヂ", "p2|D|2.00|6200002|张三")
    opened, case = open_bank("tiny"), case_of("payer_legible")
    with pytest.raises(NotAllowed, match=r"payer = •••: payer must be text that was decoded with the right table"):
        bench.propose_correction(opened, case.case_id, {1: {"payer": "寮犱笁"}}, "r", ANNA)
    fix = bench.propose_correction(opened, case.case_id, {1: {"payer": "张三"}}, "the branch wrote it down", ANNA)
    bench.approve(opened, fix, BERND)
    load()
    assert live(spark, tiny) == [("p1", "D", "1.00"), ("p2", "D", "2.00")]


def test_nobody_approves_their_own(tiny: TinyBank, ledgerlake: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    send("p1|X|1.00|6200001|")
    case = case_of("direction_known").case_id
    monkeypatch.setattr(commands, "me", lambda: ANNA)
    told = ledgerlake("quarantine", "fix", str(case), "--map", "X=credit", "--reason", "new")
    assert (told.status, told.out) == (0, "Fix 1 is proposed by anna. A second person approves it: ledgerlake quarantine approve 1\n")  # fmt: skip
    own = ledgerlake("quarantine", "approve", "1", width=400)
    assert own.status == 2 and "proposed by anna, and nobody approves their own" in own.err
    with tiny.ledger.begin() as db, pytest.raises(IntegrityError, match="four_eyes"), db.begin_nested():
        db.execute(text("update fixes set state = 'approved', decided_by = 'anna'"))
    with tiny.ledger.begin() as db:  # the bank's clock hangs in Shanghai
        db.execute(text("update fixes set proposed_at = '2026-09-15T14:05:09Z'"))
    waits = ledgerlake("quarantine", "fixes", width=200)
    assert waits.status == 1 and "direction X means credit (directions)" in waits.out
    assert "2026-09-15 22:05" in waits.out
    monkeypatch.setattr(commands, "me", lambda: BERND)
    assert ledgerlake("quarantine", "approve", "1", "--note", "seen").status == 0
    twice = ledgerlake("quarantine", "approve", "1", width=400)
    assert twice.status == 2 and "Fix 1 is approved (by bernd)" in twice.err
    assert ledgerlake("quarantine", "fixes").out == "No fix waits for a second person.\n"
    load()
    shown = ledgerlake("quarantine", "case", str(case), width=200)
    assert "closed" in shown.out and "done" in shown.out and "seen" in shown.out
    assert "changed no figure yet" in shown.out


def test_rejected_for_good_closes_the_case_and_changes_nothing(tiny: TinyBank, spark: Any) -> None:
    delivery = send("p1|D|1.00|6200001|", "p2|X|2.00|6200001|")
    before = counts(tiny, delivery)
    opened, case = open_bank("tiny"), case_of("direction_known")
    bench.approve(opened, bench.propose_rejection(opened, case.case_id, "a test of the branch", ANNA), BERND)
    assert case_of("direction_known").state == "closed" and load() == {} and counts(tiny, delivery) == before
    with pytest.raises(NotAllowed, match=f"Case {case.case_id} is closed"):
        bench.propose_rejection(opened, case.case_id, "again", ANNA)


def test_the_branch_is_asked_once_and_its_file_settles_the_case(tiny: TinyBank, spark: Any) -> None:
    delivery = send("p1|X|1.00|6200001|")
    opened, case = open_bank("tiny"), case_of("direction_known")
    fix = bench.propose_resend(opened, case.case_id, "the column is shifted", ANNA)
    bench.approve(opened, fix, BERND)
    with tiny.ledger.begin() as db:
        asked = [a.message for a in batches.alerts(db, kind="resend")]
    assert len(asked) == 1 and asked[0].startswith("Please send payments of b01 for 2026-09-15 again: the column is")
    assert case_of("direction_known").state == "open"
    send("p1|C|1.00|6200001|")
    assert counts(tiny, delivery)[0] == "superseded" and case_of("direction_known", delivery).state == "closed"
    assert live(spark, tiny) == [("p1", "C", "1.00")]


def test_the_same_bytes_are_the_answer_where_they_were_asked_for_and_nothing_counts_twice(
    tiny: TinyBank, spark: Any
) -> None:
    """The branch has nothing else. Its file takes the place of the first one, once for each time that it was asked for."""
    lines, opened = ("p1|D|1.00|6200001|", "p2|D|2.00"), open_bank("tiny")
    once = [("p1", "D", "1.00")]
    first = send(*lines)
    assert counts(tiny, send(*lines))[0] == "ignored_duplicate"
    case = case_of("malformed_line", first)
    with pytest.raises(NotAllowed, match=r"nothing would come of it.* ask for it again, the same bytes will do"):
        bench.propose_judging_again(opened, case.case_id, "the source was wrong", ANNA)
    fix = bench.propose_resend(opened, case.case_id, "half a line", ANNA)
    assert counts(tiny, send(*lines))[0] == "ignored_duplicate"  # nobody agreed yet
    bench.approve(opened, fix, BERND)
    # Another batch number would stand beside the first file.
    beside = send(*lines, seq=2)
    assert counts(tiny, beside)[0] == "ignored_duplicate"
    with tiny.ledger.begin() as db:
        assert deliveries.get(db, beside).reason.endswith("it has to come with its batch number 1.")
    answer = send(*lines)
    assert counts(tiny, answer) == ("partly_loaded", 1, 1, Decimal(1))
    assert (counts(tiny, first)[0], live(spark, tiny)) == ("superseded", once)
    closed = case_of("malformed_line", first)
    assert closed.state == "closed" and f"sent again as {answer}" in closed.reason
    assert counts(tiny, send(*lines))[0] == "ignored_duplicate"
    # It is no better, and may be asked for once more; this time it is answered by another file, after which the old one is none.
    again = bench.propose_resend(opened, case_of("malformed_line", answer).case_id, "still half a line", ANNA)
    bench.approve(opened, again, BERND)
    better = send("p1|D|1.00|6200001|", "p2|D|2.00|6200002|")
    assert counts(tiny, better)[0] == "loaded"
    assert counts(tiny, send(*lines))[0] == "ignored_duplicate"
    assert live(spark, tiny) == [("p1", "D", "1.00"), ("p2", "D", "2.00")]


def told(tiny: TinyBank, delivery: str) -> str:
    with tiny.ledger.begin() as db:
        return str(deliveries.get(db, delivery).reason)


def test_a_held_file_that_was_rejected_for_good_is_refused_and_its_bytes_are_judged_anew(
    tiny: TinyBank, spark: Any, ledgerlake: Command
) -> None:
    """Somebody asks the branch once more, and it has nothing else: the bytes were ignored for a file of which nothing counts."""
    lines, opened = ("p1|D|5000.00|6200001|", "p2|X|1.00|6200001|"), open_bank("tiny")
    held = send(*lines)
    number = case_of("gate_hold", held).case_id
    twice = send(*lines)
    assert counts(tiny, twice)[0] == "ignored_duplicate"
    assert f"The same bytes as {held} " in told(tiny, twice) and "which its gate holds" in told(tiny, twice)
    assert f"`ledgerlake quarantine fix {number} --resend --reason ...` asks for them" in told(tiny, twice)
    shown = " ".join(ledgerlake("files", "--delivery", twice, width=400).out.split())
    assert f"quarantine fix {number} --resend" in shown
    bench.approve(opened, bench.propose_rejection(opened, number, "was never paid", ANNA), BERND)
    assert counts(tiny, held)[0] == "refused" and told(tiny, held).endswith(
        "rejected for good by bernd: was never paid"
    )
    assert {case_of(cause, held).state for cause in ("gate_hold", "direction_known")} == {"closed"}
    again = send(*lines)
    assert (counts(tiny, again)[0], live(spark, tiny)) == ("held", [])
    accepted = bench.propose_acceptance(opened, case_of("gate_hold", again).case_id, None, "it was paid", ANNA)
    bench.approve(opened, accepted, BERND)
    load()
    assert live(spark, tiny) == [("p1", "D", "5000.00")]


def test_the_same_bytes_of_a_file_whose_rows_were_rejected_for_good_say_so(tiny: TinyBank) -> None:
    lines, opened = ("p1|D|1.00|6200001|", "p2|X|2.00|6200001|"), open_bank("tiny")
    first = send(*lines)
    case = case_of("direction_known", first)
    bench.approve(opened, bench.propose_resend(opened, case.case_id, "a shifted column", ANNA), BERND)
    bench.approve(opened, bench.propose_rejection(opened, case.case_id, "a test of the branch", ANNA), BERND)
    twice = send(*lines)
    assert counts(tiny, twice)[0] == "ignored_duplicate"
    assert f"rejected for good (case {case.case_id}, approved by bernd: a test of the branch)" in told(tiny, twice)
    assert counts(tiny, send(*reversed(lines)))[0] == "partly_loaded"


def test_a_resend_overtakes_a_fix(tiny: TinyBank, spark: Any) -> None:
    send("p1|X|1.00|6200001|")
    opened = open_bank("tiny")
    fix = bench.propose_code(opened, case_of("direction_known").case_id, "X", "credit", "r", ANNA)
    bench.approve(opened, fix, BERND)
    send("p1|C|1.50|6200001|")
    load()
    assert live(spark, tiny) == [("p1", "C", "1.50")]
    with tiny.ledger.begin() as db:
        # One batch takes both, the older delivery first: it goes live with the fix, and its successor takes its place.
        assert fixes.get(db, fix).state == "done"
        assert fixes.replaying(db) == []


def test_a_fix_that_its_gate_refuses_leaves_all_as_it_was(tiny: TinyBank, spark: Any) -> None:
    delivery = send("p1|D|1.00|6200001|", "p2|D|1,0|6200001|")
    before, opened = counts(tiny, delivery), open_bank("tiny")
    fix = bench.propose_correction(opened, case_of("amount_unreadable").case_id, {2: {"amount": "100000"}}, "r", ANNA)
    bench.approve(opened, fix, BERND)
    load()
    assert counts(tiny, delivery) == before and live(spark, tiny) == [("p1", "D", "1.00")]
    with tiny.ledger.begin() as db:
        (replay,) = fixes.replays(db, [fix])
        assert (fixes.get(db, fix).state, replay.state) == ("failed", "failed")
    assert "amount" in replay.reason and case_of("amount_unreadable").state == "open"
    # The next fix starts from what came, not from the one that failed.
    better = bench.propose_correction(opened, case_of("amount_unreadable").case_id, {2: {"amount": "1.00"}}, "r", ANNA)
    bench.approve(opened, better, BERND)
    load()
    assert live(spark, tiny) == [("p1", "D", "1.00"), ("p2", "D", "1.00")]


@pytest.mark.parametrize("dies", ["measure", "settle", "finish"])
def test_a_replay_that_dies_goes_on_and_happens_once(tiny: TinyBank, spark: Any, monkeypatch: pytest.MonkeyPatch, dies: str) -> None:  # fmt: skip
    delivery = send("p1|D|1.00|6200001|", "p2|X|2.00|6200001|")
    opened = open_bank("tiny")
    fix = bench.propose_code(opened, case_of("direction_known").case_id, "X", "credit", "r", ANNA)
    bench.approve(opened, fix, BERND)
    with monkeypatch.context() as broken:
        broken.setattr(settling, dies, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            load()
    load()
    load()
    assert live(spark, tiny) == [("p1", "D", "1.00"), ("p2", "X", "2.00")]
    assert counts(tiny, delivery) == ("loaded", 2, 0, Decimal(3))
    with tiny.ledger.begin() as db:
        assert [r.state for r in fixes.replays(db, [fix])] == ["done"]
        parts = deliveries.live_parts(db, ["payments"], DAY, DAY)
    assert sum(part.accepted_rows for part in parts) == 2


def test_the_day_is_restated_because_of_a_repair(tiny: TinyBank) -> None:
    send("p1|X|1.00|6200001|")
    with tiny.ledger.begin() as db:
        db.execute(text("delete from dirty_dates"))
    opened = open_bank("tiny")
    bench.approve(opened, bench.propose_code(opened, case_of("direction_known").case_id, "X", "credit", "r", ANNA), BERND)  # fmt: skip
    assert dirty(tiny) == set()
    first = rollcall.call("tiny", "run")["feeds"]
    assert [key.partition("|")[0] for key in first] == ["payments"]  # rung at once
    assert rollcall.call("tiny", "run")["feeds"] == []  # and not again while its run may be on its way
    load()
    assert dirty(tiny) == {days.REPAIRED}
    assert rollcall.call("tiny", "run")["feeds"] == []
