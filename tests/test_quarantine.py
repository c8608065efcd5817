"""The quarantine bench: a row that a gate caught is explained, fixed, approved by a second person and judged again, once.

A tiny bank whose branches send payments: payment number | direction | amount | account | payer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text, update
from sqlalchemy.exc import IntegrityError

from jobs import bank as banks
from jobs import load as loading
from jobs import quarantine as bench
from jobs import rollcall, upkeep
from jobs.bank import open_bank
from jobs.commands import quarantine as commands
from jobs.ledger import batches, clock, days, deliveries, fixes
from jobs.ledger.models import Balance, DayRun, Delivery, DirtyDate, Release
from jobs.quarantine import NotAllowed
from jobs.quarantine.cases import hidden
from jobs.settings import settings
from tests.commands.conftest import Said, bank, ledgerlake, running
from tests.contracts.house import change
from tests.ledger.conftest import DAY, TinyBank, at
from tests.postgres import installation, postgres

__all__ = ["bank", "installation", "ledgerlake", "postgres", "running"]
Command = Callable[..., Said]
ANNA, BERND = "anna", "bernd"
NAME = f"PAY_{{entity}}_{DAY:%Y%m%d}_{{seq}}.csv"
WIDER = """\
  account:    [string, {classification: C2/3}]
  payer:      [string, {identifies: name, classification: C2/3}]
"""
ANOTHER = (
    "  - {id: no_fen_for_yuan, onFail: hold, expect_column_max_to_be_between: {column: amount, max_value: 1000}}\n"
)


@pytest.fixture
def tiny(running: TinyBank, spark_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyBank]:
    """It is the evening of a day whose history before it is released; payments tell account and payer, and a gate holds files that seem to be in fen."""
    monkeypatch.setenv("LEDGERLAKE_SPARK_REMOTE", spark_url)
    settings.cache_clear()
    root = settings().expectations
    change(root, "bronze/payments.yaml", "rules:\n", f"{WIDER}rules:\n{ANOTHER}")
    banks.open_bank.cache_clear()
    running.clock(DAY, "20:00")
    yield running


def send(*lines: str, entity: str = "b01", seq: int = 1) -> str:
    """A branch's file reaches bronze; returns its delivery."""
    content = "".join(f"{line}\n" for line in lines).encode()
    name = NAME.format(entity=entity, seq=seq)
    path = settings().bank("tiny") / "inbox" / "payments" / entity / str(DAY) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.with_name(f"{name}.ok").write_text(f"{name}|||{hashlib.sha256(content).hexdigest()}\n")
    loading.land("tiny", "run")
    load()
    with open_bank("tiny").ledger.begin() as db:
        return deliveries.find(db, feed="payments", entity=entity)[-1].delivery_id


def load() -> dict[str, int]:
    """What waits, verified or to be judged again."""
    with open_bank("tiny").ledger.begin() as db:
        wave = str(deliveries.next_wave(db))
    return loading.load("tiny", "payments", wave, "run")


def case_of(cause: str, delivery: str | None = None) -> Any:
    with open_bank("tiny").ledger.begin() as db:
        (found,) = [c for c in batches.cases(db, state=None) if c.cause == cause and delivery in (None, c.delivery_id)]
    return found


def counts(tiny: TinyBank, delivery: str) -> tuple[str, int, int, Decimal]:
    """State, accepted rows, rejected rows, accepted money."""
    with tiny.ledger.begin() as db:
        found = deliveries.get(db, delivery)
    return found.state, found.accepted_rows, found.rejected_rows, found.accepted_money


def live(spark: Any, tiny: TinyBank) -> list[tuple[str, str, str]]:
    """Payments that count: number, direction, amount."""
    opened = open_bank("tiny")
    with tiny.ledger.begin() as db:
        parts = deliveries.live_parts(db, ["payments"], DAY, DAY)
    rows = opened.lake.of_parts(spark, opened.catalog.bronze("payments"), parts).collect() if parts else []
    return sorted((row["payment_no"], row["direction"], str(row["amount"])) for row in rows)


def dirty(tiny: TinyBank) -> set[str]:
    with tiny.ledger.begin() as db:
        return {row.cause for row in db.execute(DirtyDate.__table__.select())}


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


def test_what_cannot_be_fixed_so_is_said(tiny: TinyBank) -> None:
    send("p1|X|1.00|6200001|", "p2|D|1,0|6200001|")
    opened = open_bank("tiny")
    unread, code = case_of("amount_unreadable").case_id, case_of("direction_known").case_id
    for wrong, said in (
        (lambda: bench.propose_acceptance(opened, unread, None, "r", ANNA), r"accept is no fix .*no value that could be accepted\. Possible: correct, resend, reject"),
        (lambda: bench.propose_acceptance(opened, code, [], "r", ANNA), r"No line is named"),
        (lambda: bench.propose_code(opened, code, "W", "credit", "r", ANNA), r"No rejected row has direction 'W'.*Found: X"),
        (lambda: bench.propose_code(opened, code, "X", "kredit", "r", ANNA), r"one of these meanings: credit, debit. Did you mean credit"),
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


def test_a_fix_is_declined_or_withdrawn_and_the_case_stays(tiny: TinyBank, spark: Any) -> None:
    send("p1|X|1.00|6200001|")
    opened, case = open_bank("tiny"), case_of("direction_known").case_id
    first, second = (bench.propose_code(opened, case, "X", "credit", "r", ANNA) for _ in range(2))
    assert bench.decline(opened, first, BERND, "it is a debit").state == "declined"
    assert bench.decline(opened, second, ANNA, "I was wrong").state == "withdrawn"
    with pytest.raises(NotAllowed, match="Fix 1 is declined"):
        bench.approve(opened, first, "clara")
    assert load() == {} and live(spark, tiny) == [] and case_of("direction_known").state == "open"


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
        asked = [a.message for a in batches.alerts(db) if a.kind == "resend"]
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


@pytest.mark.parametrize("dies", ["_measure", "_settle", "_finish"])
def test_a_replay_that_dies_goes_on_and_happens_once(tiny: TinyBank, spark: Any, monkeypatch: pytest.MonkeyPatch, dies: str) -> None:  # fmt: skip
    delivery = send("p1|D|1.00|6200001|", "p2|X|2.00|6200001|")
    opened = open_bank("tiny")
    fix = bench.propose_code(opened, case_of("direction_known").case_id, "X", "credit", "r", ANNA)
    bench.approve(opened, fix, BERND)
    with monkeypatch.context() as broken:
        broken.setattr(loading, dies, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
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


def test_the_first_release_that_was_built_with_a_fix_is_found(tiny: TinyBank) -> None:
    delivery = send("p1|X|1.00|6200001|")
    opened = open_bank("tiny")
    fix = bench.propose_code(opened, case_of("direction_known").case_id, "X", "credit", "r", ANNA)
    bench.approve(opened, fix, BERND)
    load()
    with tiny.ledger.begin() as db:
        batch = deliveries.get(db, delivery).live_batch
        for version, parts in ((1, []), (2, [f"{delivery}/{batch}", "D9/9"]), (3, [f"{delivery}/{batch}"])):
            key = days.make_key(DAY, DAY, version)
            run = {
                "run_key": key,
                "from_date": DAY,
                "to_date": DAY,
                "version": version,
                "cause": "late",
                "state": "released",
            }
            empty = {"expected_units": 0, "received_units": 0, "missing": []}
            db.execute(
                insert(DayRun).values(**run, **empty, coverage={}, deliveries=parts, requested_at=at(DAY, "22:00"))
            )
            made = {name: run[name] for name in ("run_key", "from_date", "to_date", "version", "cause")}
            db.execute(insert(Release).values(**made, **empty, kind="final", run_id="r", released_at=at(DAY, "23:00")))
        assert [r.run_key for r in bench.restatements(db, fixes.get(db, fix))] == [f"{DAY}|v2"]


def test_rows_of_a_case_are_shown_without_identifiers(tiny: TinyBank, ledgerlake: Command) -> None:
    send("p1|X|1.00|6222020200112233|张三")
    case = case_of("direction_known")
    (sample,) = bench.samples(open_bank("tiny"), case)
    assert (sample.line, sample.values["account"], sample.values["direction"]) == (1, "622202******2233", "X")
    assert sample.values["payer_token"] == "•••"
    page = ledgerlake("quarantine", "case", str(case.case_id), width=200)
    assert "direction X" in page.out and "6222020200112233" not in page.out and "张三" not in page.out
    assert "map_code, correct, accept, resend, reject" in page.out
    machine = json.loads(ledgerlake("quarantine", "case", str(case.case_id), "--json").out)
    assert machine["samples"][0]["values"]["account"] == "622202******2233" and machine["age_days"] == 0


@pytest.mark.parametrize(
    ("came", "shown"),
    [
        ("6217001234561234", "621700******1234"),  # a card
        ("6217 0012 3456 1234", "6217 00** **** 1234"),
        ("６２１７００１２３４５６１２３４", "６２１７００******１２３４"),
        ("6217001234561234567", "621700*********4567"),
        ("13800138000", "138****8000"),  # a phone
        ("138-0013-8000", "138-****-8000"),
        ("110105199003074514", "110105************"),  # an identity number
        ("11010519900307451X", "110105***********x"),
        ("110105900307451", "110105*********"),  # of fifteen digits
        ("+86 13800138000", "+** *******8000"),
        ("C0012345", "x***2345"),  # a customer
        ("12,345.67x", "**,**5.67x"),  # an amount that could not be read
        ("2026-13-41", "****-13-41"),
        ("1234", "****"),
        ("", ""),
        ("张三", "xx"),
        ("张三还房租", "张xxxx"),
        ("张三的身份证110105199003074514", "张xxxxx******************"),
        ("Anna Li, rent", "Axxx xx, xxxx"),
        ("---", "---"),
    ],
)
def test_what_is_masked_looks_masked(came: str, shown: str) -> None:
    """As long as it was, and no digit in it that did not come."""
    assert hidden(came) == shown


def test_a_case_grows_old_by_the_banks_clock(tiny: TinyBank, ledgerlake: Command) -> None:
    send("p1|X|1.00|6200001|")
    with tiny.ledger.begin() as db:
        clock.set_now(db, at(DAY.replace(day=20), "21:00"))
        assert bench.age_days(db, case_of("direction_known")) == 5
    [listed] = map(json.loads, ledgerlake("quarantine", "--json").out.splitlines())
    [cause] = map(json.loads, ledgerlake("quarantine", "--by-cause", "--json").out.splitlines())
    assert (listed["age_days"], cause["oldest_days"]) == (5, 5)
    assert " age " in ledgerlake("quarantine").out.splitlines()[0]


def test_what_arrived_is_kept_while_a_case_is_open(tiny: TinyBank) -> None:
    with_case, without = send("p1|X|1.00|6200001|"), send("p2|D|1.00|6200001|", entity="b02")
    with tiny.ledger.begin() as db:
        clock.set_now(db, at(DAY.replace(day=25), "21:00"))
    upkeep.tidy("tiny", "run")
    with tiny.ledger.begin() as db:
        kept = {d: deliveries.get(db, d).rows_uri for d in (with_case, without)}
    assert kept[without] is None and Path(kept[with_case]).exists()
    opened, case = open_bank("tiny"), case_of("direction_known")
    fix = bench.propose_code(opened, case.case_id, "X", "credit", "r", ANNA)
    with tiny.ledger.begin() as db:
        db.execute(update(Delivery).values(rows_uri=None))
    with pytest.raises(NotAllowed, match=f"What arrived as {with_case} is no longer kept"):
        bench.approve(opened, fix, BERND)


def test_what_a_day_with_an_open_case_of_silver_was_built_from_is_kept(tiny: TinyBank) -> None:
    """A row that is turned away in silver is corrected in the delivery that it came with, though that one has no case itself."""
    built_from, other = send("p1|D|1.00|6200001|"), send("p2|D|1.00|6200001|", entity="b02")
    key = days.make_key(DAY, DAY, 1)
    run = {"run_key": key, "from_date": DAY, "to_date": DAY, "version": 1, "cause": "complete", "state": "released"}
    empty = {"expected_units": 1, "received_units": 1, "missing": [], "coverage": {}}
    case = {
        "kind": "rows",
        "table": "silver.transactions",
        "cause": "known_account",
        "subject": key,
        "business_date": DAY,
    }
    with tiny.ledger.begin() as db:
        chosen = [f"{built_from}/{deliveries.get(db, built_from).live_batch}"]
        db.execute(insert(DayRun).values(**run, **empty, deliveries=chosen, requested_at=at(DAY, "22:00")))
        batches.open_case(db, **case, reason="no such account", affected_rows=1, owner="tests", run_id="run")
        clock.set_now(db, at(DAY.replace(day=25), "21:00"))
    upkeep.tidy("tiny", "run")
    with tiny.ledger.begin() as db:
        kept = {d: deliveries.get(db, d).rows_uri for d in (built_from, other)}
    assert kept[other] is None and Path(str(kept[built_from])).exists()


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (Decimal("0.571234"), Decimal("0.571301"), ("0.5712", "0.5713")),
        (Decimal("10"), Decimal("12.5"), ("10.00", "12.50")),
        (None, Decimal("1234.5"), ("–", "1,234.50")),
    ],
)
def test_a_figure_that_changed_is_told_so_that_one_sees_it(before: Any, after: Any, told: tuple[str, str]) -> None:
    assert bench.Effect("K4", "day", DAY, "bank", "amount_share", before, after).told == told
