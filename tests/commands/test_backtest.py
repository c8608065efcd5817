"""A rule is tried on the released days of a tiny bank before it stands in a contract."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from sqlalchemy import func, select, update

from jobs.bank import open_bank
from jobs.lake.log import schema
from jobs.lake.tables import judged_table, schema_of
from jobs.ledger import batches, days, deliveries, releases
from jobs.ledger.models import Base, Delivery
from jobs.settings import settings
from tests.commands.conftest import Said
from tests.contracts.house import change
from tests.ledger.conftest import BRANCHES, DAY, TinyBank, part

Command = Callable[..., Said]
NEXT = DAY + timedelta(days=1)
SMALL = "{id: small, onFail: quarantine, expect_column_values_to_be_between: {column: amount, max_value: 500}}"
# Branch -> amounts of its payments, by day. 900.00 of b02 was rejected by a rule that stands in the contract.
PAYMENTS = {
    DAY: {"b01": ["10.00", "20.00"], "b02": ["700.25"]},
    NEXT: {"b01": ["30.00"], "b02": ["40.00", "800.00"]},
}


@dataclass
class Filled:
    """The tiny bank with two released days in its ledger and its lake."""

    bank: TinyBank
    names: dict[tuple[date, str], str]

    @property
    def files(self) -> set[Path]:
        return {file for file in open_bank("tiny").home.rglob("*") if file.is_file()}

    def rows_of_the_ledger(self) -> dict[str, int]:
        with self.bank.ledger.begin() as db:
            return {
                t.name: db.execute(select(func.count()).select_from(t)).scalar_one()
                for t in Base.metadata.sorted_tables
            }


@pytest.fixture
def filled(running: TinyBank, spark_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Filled]:
    monkeypatch.setenv("LEDGERLAKE_SPARK_REMOTE", spark_url)
    settings.cache_clear()
    open_bank.cache_clear()
    made = Filled(running, {})
    for day, sent in PAYMENTS.items():
        running.clock(day, "20:00")
        for branch in BRANCHES:
            name = made.names[day, branch] = running.claim("payments", branch, day)
            _goes_live(running, name, day, branch, sent[branch])
        running.arrives("rates", "HO", day)
        [key] = running.decide()
        running.start(key)
        _released(running, key, day, [amount for amounts in sent.values() for amount in amounts])
    return made


def _goes_live(bank: TinyBank, name: str, day: date, branch: str, amounts: list[str]) -> None:
    with bank.ledger.begin() as db:
        batch = batches.start(db, "bronze.payments", f"payments|{name}", "r").batch_id
        deliveries.go_live(db, name, batch, "r", dates=[part(day, len(amounts))], totals={})
    rows = [
        {"payment_no": f"{name}-{n}", "direction": "D", "amount": Decimal(amount), "__delivery_id": name, "__line": n, "__batch": batch, "__entity": branch,
         "__business_date": day, "__verdict": verdict, "__reasons": [], "__warnings": [], "__row_hash": n}
        for n, (amount, verdict) in enumerate([*((a, "accepted") for a in amounts), ("900.00", "rejected")], 1)
    ]  # fmt: skip
    _append("bronze.payments", rows)


def _released(bank: TinyBank, key: str, day: date, amounts: list[str]) -> None:
    with bank.ledger.begin() as db:
        batch = batches.start(db, "silver.movements", key, "run").batch_id
    rows = [
        {"movement_id": f"{day}:{n}", "direction": "debit", "amount": Decimal(amount), "business_date": day, "batch": batch, "__verdict": "accepted",
         "__reasons": [], "__warnings": [], "sources": [{"delivery_id": "D", "line": n}]}
        for n, amount in enumerate(amounts)
    ]  # fmt: skip
    version = _append("silver.movements", rows)
    with bank.ledger.begin() as db:
        batches.set_state(db, batch, "passed", delta_version=version)
        releases.release(db, days.get(db, key), {"silver.movements": (version, batch)}, "run")


def _append(name: str, rows: list[dict[str, Any]]) -> int:
    bank = open_bank("tiny")
    kinds = pa.schema(schema(schema_of(bank.catalog.tables[name])).to_arrow())
    write_deltalake(bank.lake.path(name), pa.Table.from_pylist(rows, schema=kinds), mode="append")
    version = bank.lake.version(name)
    assert version is not None
    return version


def test_days_rows_money_and_branches_are_told(filled: Filled, ledgerlake: Command) -> None:
    said = ledgerlake("gates", "backtest", SMALL, "--table", "bronze.payments", "--days", "2")
    first, second = filled.names[DAY, "b02"], filled.names[NEXT, "b02"]
    lines = [line.split() for line in said.out.splitlines()]
    assert lines[0] == ["day", "subject", "outcome", "rows", "money", "branches"]
    assert [line for line in lines if line[0].startswith("2026")] == [
        [str(DAY), first, "quarantine", "1", "700.25", "b02"],
        [str(NEXT), second, "quarantine", "1", "800.00", "b02"],
    ]
    assert said.out.splitlines()[-1] == (
        f"On the 2 released days from {DAY} to {NEXT} small would have quarantined 2 rows of 6 (1,500.25 in amount) on 2 days; branches: b02."
    )
    assert said.status == 1
    assert said.err.startswith(f"Reading bronze.payments, 2 days from {DAY} to {NEXT}: 4 deliveries, 6 rows.\n")


def test_a_rule_that_holds_keeps_nothing_back(filled: Filled, ledgerlake: Command) -> None:
    said = ledgerlake("gates", "backtest", SMALL.replace("500", "800"), "--table", "bronze.payments", "--days", "2")
    assert said.status == 0
    assert said.out == (
        f"On the 2 released days from {DAY} to {NEXT} small would have kept nothing back: it holds in all 6 rows of bronze.payments.\n"
    )


def test_silver_is_judged_by_day(filled: Filled, ledgerlake: Command) -> None:
    rule = "{id: low, onFail: stop, expect_column_sum_to_be_between: {column: amount, max_value: 800}}"
    said = ledgerlake("gates", "backtest", rule, "--table", "silver.movements", "--days", "2", "--json")
    *trials, totals = map(json.loads, said.out.splitlines())
    assert [(t["day"], t["outcome"], t["rows"], t["money"]) for t in trials] == [
        (str(DAY), "pass", 0, None),
        (str(NEXT), "stop", 3, "870.000000"),
    ]
    assert (totals["days_stopped"], totals["rows_kept_back"], totals["rows_quarantined"]) == ([str(NEXT)], 3, 0)
    assert said.status == 1


def test_a_rule_about_a_delivery_says_of_which_days_it_was_asked(filled: Filled, ledgerlake: Command) -> None:
    """Three of the five days came as history that was taken on."""
    rule = "{id: two, onFail: stop, expect_table_row_count_to_be_between: {min_value: 2}}"
    said = ledgerlake("gates", "backtest", rule, "--table", "bronze.payments", width=400)
    assert said.out.splitlines()[-1].startswith(
        "On the 5 released days from 2026-09-12 to 2026-09-16 two would have stopped 2 deliveries on 2 days with 2 rows (730.25 in amount); "
        "branches: b01, b02. It was asked of 2 of these days: "
    )


def test_a_bound_told_in_what_is_usual_is_asked_of_each_delivery(filled: Filled, ledgerlake: Command) -> None:
    """b01 had 40 rows the day before, and now has one. Of b02 there was one, and fewer than 30 tell nothing."""
    with filled.bank.ledger.begin() as db:
        db.execute(update(Delivery).where(Delivery.delivery_id == filled.names[DAY, "b01"]).values(accepted_rows=40))
    rule = "{id: usual, onFail: hold, expect_table_row_count_to_be_between: {min_value: 0.5 * usual_rows}}"
    said = ledgerlake("gates", "backtest", rule, "--table", "bronze.payments", "--days", "2", "--json")
    *trials, totals = map(json.loads, said.out.splitlines())
    spoke = [(t["day"], t["subject"], t["outcome"], t["rows"]) for t in trials if t["outcome"] != "pass"]
    assert spoke == [(str(NEXT), filled.names[NEXT, "b01"], "hold", 1)]
    assert "there must be at least 20 rows; found 1" in next(t["sentence"] for t in trials if t["outcome"] == "hold")
    assert (totals["days_held"], totals["branches"], said.status) == ([str(NEXT)], ["b01"], 1)


def test_only_the_last_days_are_read(filled: Filled, ledgerlake: Command) -> None:
    said = ledgerlake("gates", "backtest", SMALL, "--table", "bronze.payments", "--days", "1")
    assert str(DAY) not in said.out and "quarantined 1 row of 3 (800.00 in amount) on 1 day" in said.out


def test_nothing_is_written(filled: Filled, ledgerlake: Command) -> None:
    files, rows = filled.files, filled.rows_of_the_ledger()
    assert ledgerlake("gates", "backtest", SMALL, "--table", "bronze.payments").status == 1
    assert (filled.files, filled.rows_of_the_ledger()) == (files, rows)


def test_a_rule_may_stand_in_a_file_in_a_contract_or_in_a_draft(
    filled: Filled, ledgerlake: Command, tmp_path: Path
) -> None:
    file, draft = tmp_path / "rule.yaml", tmp_path / "payments.yaml"
    file.write_text(f"- {SMALL}\n")
    text = (settings().expectations / "bronze" / "payments.yaml").read_text()
    draft.write_text(text.replace("min_value: 0}}", "min_value: 25}}"))
    for words, rows in (
        ((str(file), "--table", "bronze.payments"), 2),
        (("amount_positive",), 0),
        (("amount_positive", "--contract", str(draft)), 2),  # 10.00 and 20.00
    ):
        said = ledgerlake("gates", "backtest", *words, "--days", "2", "--json")
        assert json.loads(said.out.splitlines()[-1])["rows_quarantined"] == rows, words


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ([SMALL, "--table", "bronze.paymets"], 1, "tiny has no table bronze.paymets. Did you mean bronze.payments?"),
        ([SMALL], 2, "Which table does the rule speak of? Say it with --table"),
        (["amount_positiv"], 1, "no table has a rule amount_positiv. Did you mean amount_positive?"),
        (["primary_key_unique"], 1, "tables have a rule primary_key_unique: bronze.clicks, bronze.payments"),
        (["amount_positiv", "--table", "bronze.payments"], 1, "bronze.payments has no rule amount_positiv."),
        ([SMALL.replace("amount", "amont"), "--table", "bronze.payments"], 1, "RULE:1: rule small names amont, which is not a column of bronze.payments. Did you mean amount?"),
        ([SMALL.replace("max_value", "maximum"), "--table", "bronze.payments"], 1, "takes no maximum"),
        (["{id: small, onFail: [", "--table", "bronze.payments"], 1, ": not readable as YAML"),
        (["{id: a, onFail: warn, expect_column_values_to_be_in_set: {column: direction, value_set: $direction}}", "--table", "bronze.payments"], 1,
         "reference list $direction does not exist. Did you mean directions?"),
        (["{id: odd, onFail: quarantine, expect_column_values_to_be_between: {column: amount, max_value: many}}", "--table", "bronze.payments"], 1,
         "RULE:1: rule odd: max_value 'many' is compared with amount, which is of type decimal(18,2). Write a number"),
        (["{id: odd, onFail: stop, expect_column_sum_to_be_between: {column: amount, max_value: many}}", "--table", "bronze.payments"], 1,
         "RULE:1: rule odd: max_value 'many' is no number. Write a number"),
        (["no.yaml", "--table", "bronze.payments"], 1, "no.yaml:1: there is no such file."),
        (["amount_positive", "--contract", "no.yaml"], 1, "no.yaml:1: there is no such file."),
    ],
)  # fmt: skip
def test_what_cannot_be_tried_is_told_in_one_message(
    bank: TinyBank, ledgerlake: Command, words: list[str], status: int, told: str
) -> None:
    said = ledgerlake("gates", "backtest", *words)
    assert (said.status, said.out) == (status, "")
    assert told in said.err and "Traceback" not in said.err


def test_values_that_do_not_fit_the_column_are_told_of(filled: Filled, ledgerlake: Command) -> None:
    rule = "{id: odd, onFail: quarantine, expect_column_values_to_match_regex: {column: direction, regex: '\\p{Foo}'}}"
    said = ledgerlake("gates", "backtest", rule, "--table", "bronze.payments")
    assert (said.status, said.out) == (1, "")
    assert "Rule odd" in said.err and "Correct its kwargs" in said.err and "Traceback" not in said.err


def test_the_line_of_a_mistake_in_a_file_is_named(bank: TinyBank, ledgerlake: Command, tmp_path: Path) -> None:
    file = tmp_path / "rule.yaml"
    file.write_text(
        "id: small\nonFail: quarantine\nexpect_column_values_to_be_between: {column: amount, max_value: 5}\nowner: me\n"
    )
    said = ledgerlake("gates", "backtest", str(file), "--table", "bronze.payments")
    assert f"{file}:4: unknown key owner." in said.err


def test_without_a_released_day_there_is_nothing_to_try(bank: TinyBank, ledgerlake: Command) -> None:
    said = ledgerlake("gates", "backtest", "amount_positive")
    assert said.status == 1
    assert said.err.startswith("No day of tiny is released yet")


def test_a_column_that_the_lake_has_not_yet_is_no_null(filled: Filled, ledgerlake: Command) -> None:
    root = settings().expectations
    change(
        root,
        "bronze/payments.yaml",
        "  direction:  [string!,",
        "  remark:     [string, {classification: C1/2}]\n  direction:  [string!,",
    )
    open_bank.cache_clear()
    rule = "{id: said, onFail: quarantine, expect_column_values_to_not_be_null: {column: remark}}"
    said = ledgerlake("gates", "backtest", rule, "--table", "bronze.payments")
    assert said.status == 1
    assert said.err.startswith("bronze.payments has no remark in the lake yet")


def test_the_results_are_still_what_gates_alone_says(bank: TinyBank, ledgerlake: Command) -> None:
    for words, of in (
        ((), ""),
        (("bronze.payments",), " of bronze.payments"),
        (("--last", "5"), ""),
        (("results", "bronze.payments"), " of bronze.payments"),
    ):
        assert ledgerlake("gates", *words) == Said(0, f"No gate{of} has spoken yet.\n", "")


def test_that_no_gate_had_an_outcome_is_said(bank: TinyBank, ledgerlake: Command) -> None:
    assert ledgerlake("gates", "--outcome", "stop").out == "No gate has said stop.\n"
    assert (
        ledgerlake("gates", "bronze.payments", "--outcome", "stop").out == "No gate of bronze.payments has said stop.\n"
    )


def test_a_table_without_its_layer_is_nearly_named(bank: TinyBank, ledgerlake: Command) -> None:
    said = ledgerlake("gates", "suggest", "payments", width=1000)
    assert said.status != 0
    assert "expectations: tiny has no table payments. Did you mean bronze.payments?" in said.err


def test_of_a_table_with_history_what_each_day_told_is_judged(filled: Filled, ledgerlake: Command) -> None:
    """Two days told anew: their former statements no longer count."""
    told = {DAY: ["10.00", "900.00"], NEXT: ["20.00", "950.00"]}
    _with_history(filled, told)
    rule = SMALL.replace("500", "920")
    said = ledgerlake("gates", "backtest", rule, "--table", "silver.movements", "--days", "2", "--json")
    trials = list(map(json.loads, said.out.splitlines()))[:-1]
    assert [(t["day"], t["outcome"], t["judged"], t["rows"]) for t in trials] == [
        (str(DAY), "pass", 2, 0),
        (str(NEXT), "quarantine", 2, 1),
    ]


def _with_history(filled: Filled, told: dict[date, list[str]]) -> None:
    """silver.movements becomes a table with history, and what these days told is released: twice, with dearer amounts the first time."""
    change(settings().expectations, "silver/movements.yaml", "history: fact", "history: scd2")
    open_bank.cache_clear()
    bank = open_bank("tiny")
    states = judged_table(bank.catalog.tables["silver.movements"])
    kinds = pa.schema(schema(schema_of(states)).to_arrow())
    for more in (1_000_000, 0):
        for day, amounts in told.items():
            with filled.bank.ledger.begin() as db:
                key = days.request_again(db, bank.catalog, day, "repaired")
            filled.bank.start(key)
            with filled.bank.ledger.begin() as db:
                batch = batches.start(db, "silver.movements", key, "run").batch_id
            rows = [
                {"movement_id": f"{day}:{n}", "direction": "debit", "amount": Decimal(amount) + more, "business_date": day, "valid_from": day, "batch": batch,
                 "__verdict": "accepted", "__reasons": [], "__warnings": [], "sources": [{"delivery_id": "D", "line": n}]}
                for n, amount in enumerate(amounts)
            ]  # fmt: skip
            write_deltalake(bank.lake.path(states.table), pa.Table.from_pylist(rows, schema=kinds), mode="append")
            with filled.bank.ledger.begin() as db:
                batches.set_state(db, batch, "passed", delta_version=1)
                releases.release(db, days.get(db, key), {"silver.movements": (1, batch)}, "run")


def test_rules_are_proposed_in_contract_form(filled: Filled, ledgerlake: Command) -> None:
    """Forty more payments of a day, of 10.00 to 49.00; what is printed can be pasted into the contract."""
    _goes_live(
        filled.bank, filled.bank.claim("payments", "b01", NEXT, seq=2), NEXT, "b01", [f"{n}.00" for n in range(10, 50)]
    )
    said = ledgerlake("gates", "suggest", "bronze.payments", "--days", "2")
    assert said.status == 0
    assert said.out.splitlines()[0] == "rules:"
    assert (
        "  - {id: amount_range, onFail: quarantine, expect_column_values_to_be_between: {column: amount, max_value: 2000}}"
        in said.out.splitlines()
    )
    contract = settings().expectations / "bronze" / "payments.yaml"
    text = contract.read_text()
    contract.write_text(text.replace("rules:\n", said.out, 1))
    assert ledgerlake("contracts", "check").status == 0
    open_bank.cache_clear()
    again = ledgerlake("gates", "suggest", "bronze.payments", "--days", "2", "--json")
    assert (again.status, again.out) == (0, "")  # all of it is promised now


def test_of_few_rows_nothing_is_proposed(filled: Filled, ledgerlake: Command) -> None:
    said = ledgerlake("gates", "suggest", "bronze.payments")
    assert (said.status, said.out.split(":")[0]) == (0, "Nothing to propose")


def test_of_no_delivery_nothing_is_proposed(filled: Filled, ledgerlake: Command) -> None:
    _append("bronze.clicks", [])
    said = ledgerlake("gates", "suggest", "bronze.clicks")
    assert (said.status, said.out.split(":")[0]) == (0, "Nothing to propose")


def test_a_draft_is_proposed_for_without_its_bank_having_it(
    filled: Filled, ledgerlake: Command, tmp_path: Path
) -> None:
    draft = tmp_path / "payments.yaml"
    draft.write_text((settings().expectations / "bronze" / "payments.yaml").read_text().replace("string!", "string"))
    _goes_live(filled.bank, filled.bank.claim("payments", "b01", NEXT, seq=2), NEXT, "b01", ["5.00"] * 40)
    said = ledgerlake("gates", "suggest", "--contract", str(draft), "--json")
    proposed = {line["id"] for line in map(json.loads, said.out.splitlines())}
    assert {"payment_no_given", "direction_given", "amount_range"} <= proposed and "amount_given" not in proposed
    wrong = ledgerlake("gates", "suggest", "bronze.rates", "--contract", str(draft))
    assert (wrong.status, wrong.err) == (2, f"{draft} is the contract of bronze.payments, not of bronze.rates.\n")
    assert ledgerlake("gates", "suggest").status == 2


def test_silver_is_proposed_for_by_day(filled: Filled, ledgerlake: Command) -> None:
    """A third day with forty movements; their days, directions and amounts are looked at, and of gold nothing was written yet."""
    day, bank = NEXT + timedelta(days=1), filled.bank
    bank.clock(day, "20:00")
    bank.whole_day(day)
    [key] = bank.decide()
    bank.start(key)
    _released(bank, key, day, [f"{n}.00" for n in range(10, 50)])
    said = ledgerlake("gates", "suggest", "silver.movements", "--days", "3", "--json")
    proposed = {line["id"]: line for line in map(json.loads, said.out.splitlines())}
    assert said.status == 0
    assert proposed["amount_range"]["expect_column_values_to_be_between"] == {
        "column": "amount",
        "min_value": 0,
        "strict_min": True,
        "max_value": 2000,
    }
    assert proposed["movement_id_form"]["evidence"] == "the form of all 46 values on 3 days"
    nothing = ledgerlake("gates", "suggest", "gold.daily")
    assert (nothing.status, nothing.err.split(":")[0]) == (1, "gold.daily holds nothing yet")
