"""What the bench tells: no clear identifier, messages that say what to do, and no more than a person reads."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from jobs import quarantine as bench
from jobs.bank import open_bank
from jobs.commands import quarantine as commands
from jobs.contracts import load as load_contracts
from jobs.ledger import fixes
from jobs.quarantine import NotAllowed, cases
from tests.ledger.conftest import TinyBank
from tests.quarantine.conftest import ANNA, Command, approved, case_of, given_meaning, load, send


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


def test_a_fix_of_many_rows_is_said_in_a_few_words(tiny: TinyBank, ledgerlake: Command) -> None:
    send(*(f"p{n}|D|-1.00|6200001|" for n in range(5_000)))
    bench.propose_acceptance(open_bank("tiny"), case_of("amount_positive").case_id, None, "last year's", ANNA)
    assert len(ledgerlake("quarantine", "fixes", width=200).out) < 5_000


def test_codes_are_json_when_json_is_asked_for(tiny: TinyBank, ledgerlake: Command) -> None:
    send("p1|X|1.00|6200001|")
    given_meaning(case_of("direction_known"))
    for line in ledgerlake("quarantine", "codes", "--json").out.splitlines():
        json.loads(line)
