"""Attacks on the quarantine bench: what it promises of rows, money, people and identifiers, where it is hard to keep."""

from __future__ import annotations

import json
import time
from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from jobs import bank as banks
from jobs import load as loading
from jobs import quarantine as bench
from jobs import rollcall
from jobs.bank import open_bank
from jobs.commands import quarantine as commands
from jobs.contracts import load as load_contracts
from jobs.ledger import batches, days, deliveries, fixes
from jobs.quarantine import NotAllowed, cases, outcome
from jobs.settings import settings
from tests.contracts.house import change
from tests.ledger.conftest import DAY, HISTORY_END, TinyBank, part
from tests.quarantine.conftest import ANNA, BERND, Command, case_of, counts, live, load, send


def approved(case: Any, lines: dict[int, dict[str, str | None]]) -> int:
    """A correction that Anna proposed and Bernd approved."""
    fix = bench.propose_correction(open_bank("tiny"), case.case_id, lines, "seen on paper", ANNA)
    bench.approve(open_bank("tiny"), fix, BERND)
    return fix


def approved_unseen(case: Any, line: int, texts: dict[str, str]) -> None:
    """A correction that nobody foresaw anything of when it was proposed: the contract was another one then."""
    with open_bank("tiny").ledger.begin() as db:
        made = {"lines": {str(line): texts}, "delivery": case.delivery_id, "table": "bronze.payments"}
        fix = fixes.propose(db, case.case_id, fixes.CORRECT, made, "seen on paper", ANNA)
    bench.approve(open_bank("tiny"), fix, BERND)


def given_meaning(case: Any, code: str = "X") -> int:
    fix = bench.propose_code(open_bank("tiny"), case.case_id, code, "credit", "a new kind", ANNA)
    bench.approve(open_bank("tiny"), fix, BERND)
    return fix


def states(tiny: TinyBank, *numbers: int) -> list[str]:
    with tiny.ledger.begin() as db:
        return [fixes.get(db, number).state for number in numbers]


def dies(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """One load that is killed at this place."""
    with monkeypatch.context() as broken:
        broken.setattr(loading, where, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            load()


TWO_WRONG = ("p1|D|1.00|6200001|", "p2|D|2,00|6200002|", "p3|D|-3.00|6200003|")
BOTH = [("p1", "D", "1.00"), ("p2", "D", "2.00"), ("p3", "D", "3.00")]


# --- exactly once, whoever dies and whatever runs twice at once ---------------------------------------------------------


def test_a_second_fix_does_not_strand_the_replay_of_a_load_that_died(
    tiny: TinyBank, spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(*TWO_WRONG)
    first = approved(case_of("amount_unreadable"), {2: {"amount": "2.00"}})
    dies(monkeypatch, "_measure")
    second = approved(case_of("amount_positive"), {3: {"amount": "3.00"}})
    for _ in range(3):
        load()
    assert states(tiny, first, second) == ["done", "done"]
    assert live(spark, tiny) == BOTH


def test_two_loads_at_once_lose_neither_fix(tiny: TinyBank, spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fix is approved while another one's batch is between its write and its gate; its own load overtakes (four of them may run at once)."""
    send(*TWO_WRONG)
    first = approved(case_of("amount_unreadable"), {2: {"amount": "2.00"}})
    measure, second = loading._measure, list[int]()

    def meanwhile(*given: Any) -> Any:
        if not second:
            second.append(approved(case_of("amount_positive"), {3: {"amount": "3.00"}}))
            load()
        return measure(*given)

    monkeypatch.setattr(loading, "_measure", meanwhile)
    for _ in range(3):
        load()
    assert states(tiny, first, *second) == ["done", "done"]
    assert live(spark, tiny) == BOTH


def test_a_replay_whose_load_died_is_rung_again(tiny: TinyBank, monkeypatch: pytest.MonkeyPatch) -> None:
    send("p1|X|1.00|6200001|")
    given_meaning(case_of("direction_known"))
    dies(monkeypatch, "_measure")
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
    case, measure, made = case_of("direction_known"), loading._measure, list[int]()

    def meanwhile(*given: Any) -> Any:
        if not made:
            made.append(given_meaning(case))
        return measure(*given)

    monkeypatch.setattr(loading, "_measure", meanwhile)
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


# --- not a row and not a cent lost, doubled or silently dropped ---------------------------------------------------------


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


# --- what a fix changed ------------------------------------------------------------------------------------------------


def test_both_of_two_fixes_show_the_restatement_that_has_them(tiny: TinyBank) -> None:
    send(*TWO_WRONG)
    tiny.clock(DAY + timedelta(days=1), "06:00")
    (key,) = tiny.decide()
    tiny.release(key)
    first = approved(case_of("amount_unreadable"), {2: {"amount": "2.00"}})
    load()
    second = approved(case_of("amount_positive"), {3: {"amount": "3.00"}})
    load()
    (again,) = tiny.decide()
    assert tiny.run(again).cause == days.REPAIRED
    tiny.release(again)
    with tiny.ledger.begin() as db:
        found = [[r.run_key for r in bench.restatements(db, fixes.get(db, fix))] for fix in (first, second)]
    assert found == [[again], [again]]


def test_a_fix_shows_its_restatement_and_no_first_release(tiny: TinyBank) -> None:
    """The first fix was there before the day was ever told, and changed no figure; the second one has it told anew."""
    send(*TWO_WRONG)
    first = approved(case_of("amount_unreadable"), {2: {"amount": "2.00"}})
    load()
    tiny.clock(DAY + timedelta(days=1), "06:00")
    (key,) = tiny.decide()
    tiny.release(key)
    second = approved(case_of("amount_positive"), {3: {"amount": "3.00"}})
    load()
    (again,) = tiny.decide()
    tiny.release(again)
    with tiny.ledger.begin() as db:
        found = [[r.run_key for r in bench.restatements(db, fixes.get(db, fix))] for fix in (first, second)]
    assert found == [[], [again]]


def test_a_repair_of_a_take_on_restates_its_day_and_not_all_history(running: TinyBank) -> None:
    """One row of 12 September is mended in a delivery that was taken on with three days."""
    with running.ledger.begin() as db:
        (delivery,) = deliveries.find(db, feed="payments", entity=days.TAKE_ON)
        batch = batches.start(db, "bronze.payments", "payments|again", "r").batch_id
        parts = [part(d) for d in (date(2026, 9, 12), date(2026, 9, 13), HISTORY_END)]
        deliveries.go_live(db, delivery.delivery_id, batch, "r", dates=parts, totals={}, cause=days.REPAIRED)
    keys = running.decide()
    assert {running.run(key).cause for key in keys} == {days.REPAIRED}


# --- no clear identifier, and messages that say what to do -----------------------------------------------------------------


@pytest.mark.parametrize("as_json", [False, True])
def test_an_account_in_a_fix_is_masked_like_one_in_a_row(tiny: TinyBank, ledgerlake: Command, as_json: bool) -> None:
    send("p1|X|1.00|6222020200112233|张三")
    case = case_of("direction_known")
    approved(case, {1: {"direction": "D", "account": "6222020200998877", "payer": "李四"}})
    words = ["quarantine", "case", str(case.case_id), *(["--json"] if as_json else [])]
    told = ledgerlake(*words, width=400).out
    assert "6222020200112233" not in told and "6222020200998877" not in told


def test_a_waiting_fix_shows_no_account(tiny: TinyBank, ledgerlake: Command) -> None:
    send("p1|X|1.00|6222020200112233|张三")
    bench.propose_correction(
        open_bank("tiny"),
        case_of("direction_known").case_id,
        {1: {"account": "6222020200998877", "direction": "D"}},
        "r",
        ANNA,
    )
    assert "6222020200998877" not in ledgerlake("quarantine", "fixes", width=400).out


def test_tokens_are_not_in_the_json_of_a_fix(tiny: TinyBank, ledgerlake: Command) -> None:
    send("p1|X|1.00|6222020200112233|张三")
    case = case_of("direction_known")
    fix = bench.propose_correction(open_bank("tiny"), case.case_id, {1: {"payer": "李四", "direction": "D"}}, "r", ANNA)
    with tiny.ledger.begin() as db:
        token = fixes.get(db, fix).change["lines"]["1"]["payer_token"]
    assert token not in ledgerlake("quarantine", "case", str(case.case_id), "--json").out


def test_a_date_of_birth_is_masked() -> None:
    table = load_contracts("demo").tables["bronze.core_customers"]
    born = date(1990, 3, 7)
    assert str(born) not in str(bench.masked(table, "id_number_birth_date", born))


def test_unread_text_of_a_shifted_column_is_masked() -> None:
    """The columns of a line are shifted by one: an ID number stands where a date was expected."""
    table = load_contracts("demo").tables["bronze.core_customers"]
    sample = cases.sample_of(
        table,
        {
            "__delivery_id": "D1",
            "__line": 1,
            "__reasons": ["changed_on_unreadable"],
            "__raw": {"changed_on": "11010519491231002X"},
        },
    )
    assert "11010519491231002X" not in sample.came["changed_on"]


def test_the_message_names_a_command_that_exists(
    tiny: TinyBank, ledgerlake: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    send("p1|X|1.00|6200001|")
    opened = open_bank("tiny")
    fix = bench.propose_code(opened, case_of("direction_known").case_id, "X", "credit", "r", ANNA)
    with pytest.raises(NotAllowed) as told:
        bench.approve(opened, fix, ANNA)
    words = str(told.value).split("`")[1].split()
    monkeypatch.setattr(commands, "me", lambda: ANNA)
    assert ledgerlake(*words[1:], "--note", "thought better of it").status == 0


def test_the_case_says_in_the_terminal_why_its_fix_failed(tiny: TinyBank, ledgerlake: Command) -> None:
    send("p1|D|1.00|6200001|", "p2|D|1,0|6200001|")
    case = case_of("amount_unreadable")
    fix = approved(case, {2: {"amount": "100000"}})
    load()
    with tiny.ledger.begin() as db:
        (replay,) = fixes.replays(db, [fix])
    told = ledgerlake("quarantine", "case", str(case.case_id), width=1000).out
    assert replay.reason[:60] in told


@pytest.mark.parametrize(("amount", "reason"), [("1\x00", "r"), ("1.00", "r\x00")])
def test_a_text_that_the_ledger_cannot_keep_is_said(tiny: TinyBank, amount: str, reason: str) -> None:
    send("p1|D|1,0|6200001|")
    with pytest.raises(NotAllowed):
        bench.propose_correction(
            open_bank("tiny"), case_of("amount_unreadable").case_id, {1: {"amount": amount}}, reason, ANNA
        )


def test_fixes_of_a_case_that_is_settled_no_longer_wait(tiny: TinyBank) -> None:
    send("p1|X|1.00|6200001|")
    bench.propose_resend(open_bank("tiny"), case_of("direction_known").case_id, "r", ANNA)
    send("p1|C|1.00|6200001|")
    assert case_of("direction_known").state == "closed"
    with tiny.ledger.begin() as db:
        assert fixes.waiting(db) == []


def statement(run_key: str, number: int, cells: dict[str | None, str]) -> list[dict[str, Any]]:
    """One statement of a KPI: branch (None: the bank) -> value."""
    fixed = {
        "release_id": run_key,
        "kpi_id": "K1",
        "period_kind": "day",
        "as_of_date": DAY,
        "measure": "amount",
        "restatement_no": number,
    }
    nulls = dict.fromkeys(("legal_entity_id", "business_line", "province_code"))
    return [
        {**fixed, **nulls, "branch_id": branch, "value": Decimal(v), "numerator": Decimal(v), "__verdict": "accepted"} for branch, v in cells.items()
    ]  # fmt: skip


def test_a_figure_that_is_gone_is_among_what_a_fix_changed(tiny: TinyBank) -> None:
    """The only payment of b02 was b01's: after its correction there is no figure of b02 any more."""
    opened, (first, second) = open_bank("tiny"), (f"{DAY}|v1", f"{DAY}|v2")
    rows = statement(first, 0, {None: "10", "b01": "7", "b02": "3"}) + statement(second, 1, {None: "10", "b01": "10"})
    kept = {
        name: pa.string()
        for name in (
            "release_id",
            "kpi_id",
            "period_kind",
            "legal_entity_id",
            "business_line",
            "province_code",
            "branch_id",
            "measure",
            "__verdict",
        )
    }
    kinds = kept | {
        "as_of_date": pa.date32(),
        "restatement_no": pa.int32(),
        "value": pa.decimal128(28, 6),
        "numerator": pa.decimal128(28, 6),
    }
    write_deltalake(opened.lake.path("gold.kpi_values"), pa.Table.from_pylist(rows, pa.schema(list(kinds.items()))))
    release: Any = SimpleNamespace(run_key=second)
    changed = {e.grain: (e.before, e.after) for e in outcome._changed(opened, release)}
    assert changed == {"b01": (Decimal(7), Decimal(10)), "b02": (Decimal(3), None)}


def test_the_page_of_a_case_reads_no_row_twice(tiny: TinyBank, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten samples and a ranking of codes of many rejected rows: counted where they lie, not carried into Python one by one."""
    rows = 20_000
    send(*(f"p{n}|X{n % 3}|1.00|6200001|" for n in range(rows)))
    opened, case, carried = open_bank("tiny"), case_of("direction_known"), list[int]()
    read = cases.rows_of

    def counted(*given: Any) -> Any:
        found = read(*given)
        carried.append(len(found))
        return found

    monkeypatch.setattr(cases, "rows_of", counted)
    bench.samples(opened, case)
    assert [c.rows for c in bench.codes_of(opened, case)] == [6667, 6667, 6666]
    assert sum(carried) < 100


def test_the_database_knows_no_approval_without_an_approver(tiny: TinyBank) -> None:
    send("p1|X|1.00|6200001|")
    fix = bench.propose_code(open_bank("tiny"), case_of("direction_known").case_id, "X", "credit", "r", ANNA)
    with tiny.ledger.begin() as db, pytest.raises(IntegrityError, match="four_eyes"), db.begin_nested():
        db.execute(text(f"update fixes set state = 'approved' where fix_id = {fix}"))


def test_a_fix_of_many_rows_is_said_in_a_few_words(tiny: TinyBank, ledgerlake: Command) -> None:
    send(*(f"p{n}|D|-1.00|6200001|" for n in range(5_000)))
    bench.propose_acceptance(open_bank("tiny"), case_of("amount_positive").case_id, None, "last year's", ANNA)
    assert len(ledgerlake("quarantine", "fixes", width=200).out) < 5_000


def test_codes_are_json_when_json_is_asked_for(tiny: TinyBank, ledgerlake: Command) -> None:
    send("p1|X|1.00|6200001|")
    given_meaning(case_of("direction_known"))
    for line in ledgerlake("quarantine", "codes", "--json").out.splitlines():
        json.loads(line)


def test_only_deliveries_that_have_the_code_are_judged_again(tiny: TinyBank) -> None:
    """b02's case is of the same rule, and of another code: its day is not told anew for nothing."""
    first = send("p1|X|1.00|6200001|")
    send("p2|Y|2.00|6200002|", entity="b02")
    fix = given_meaning(case_of("direction_known", first))
    with tiny.ledger.begin() as db:
        assert [replay.delivery_id for replay in fixes.replays(db, [fix])] == [first]


# --- a key that is there already ----------------------------------------------------------------------------------------


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
