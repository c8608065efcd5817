"""What is proposed of which column, and what is not: small files, looked at without Spark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.contracts import Rule
from jobs.contracts.profile import Reference
from jobs.contracts.reading import typed
from jobs.contracts.yaml_file import YamlFile, parse_yaml
from jobs.quality.profile import profiled
from jobs.quality.proposals import Proposal, in_contract_form, proposals
from jobs.quality.trial import Subject
from tests.quality.tools import table_of

FIRST, DAYS, EACH = date(2026, 9, 7), 8, 10
KINDS = {"date": pa.date32(), "int": pa.int32(), "boolean": pa.bool_(), "decimal(9,2)": pa.decimal128(9, 2)}
Row = dict[str, Any]
Propose = Callable[..., dict[str, Proposal]]
CHANNELS = Reference.model_validate(
    {"reference": "core_channels", "version": "1.0.0", "description": "channels", "values": ["web", "atm", "fax"]}
)


def day_of(n: int) -> date:
    """Rows come in their order, ten a day."""
    return FIRST + timedelta(days=n // EACH)


@pytest.fixture
def propose(tmp_path: Path) -> Propose:
    """Rule id -> proposal, of eighty rows in eight days, a delivery a day."""

    def run(
        columns: dict[str, Any], row: Callable[[int], Row], *, references: Sequence[Reference] = (), whole: bool = True, each: int = EACH,
        subjects: Sequence[Subject] = (),
        **contract: Any,
    ) -> dict[str, Proposal]:  # fmt: skip
        table = table_of(columns, contract.pop("rules", ()), **contract)
        kinds = {n: KINDS.get(c.type, pa.string()) for n, c in table.physical_columns.items()}
        schema = pa.schema(kinds | {"__day": pa.date32(), "__subject": pa.string(), "__branch": pa.string()})
        rows = [
            {**row(n), "__day": FIRST + timedelta(days=n // each), "__subject": f"D{n // each}", "__branch": "b01"}
            for n in range(DAYS * each)
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "rows.parquet")
        by_day = [Subject(FIRST + timedelta(days=n), f"D{n}", "b01", is_whole=whole) for n in range(DAYS)]
        profile = profiled([str(tmp_path / "rows.parquet")], table, subjects or by_day, [])
        return {p.rule.id: p for p in proposals(profile, table, {r.reference: r for r in references})}

    return run


def said(found: dict[str, Proposal], rule_id: str) -> tuple[str, dict[str, Any]]:
    rule = found[rule_id].rule
    return rule.on_fail, {k: v for k, v in rule.kwargs.items() if k not in ("column", "column_A", "column_B")}


def test_what_is_always_given_must_be_given(propose: Propose) -> None:
    found = propose({"word": "string", "flag": "boolean", "never": "string"}, lambda n: {"word": "a", "flag": True})
    assert {"word_given", "flag_given"} <= set(found) and not [name for name in found if name.startswith("never")]
    assert found["word_given"].rule.on_fail == "quarantine"
    assert found["word_given"].evidence == "given in all 80 rows of 8 days"


def test_what_is_sometimes_missing_may_be_missing_twice_as_often(propose: Propose) -> None:
    """Of the ten rows of one day one is empty: a share of 0.9 that day and of 1 on all others, with room of as much again."""
    found = propose({"word": "string"}, lambda n: {"word": None if n == 3 else "a"})
    assert said(found, "word_as_often_given") == ("warn", {"min_value": 0.8})
    assert "word_given" not in found


def test_what_is_nearly_always_given_may_be_missing_twice_as_often(propose: Propose) -> None:
    """One of a hundred rows on the worst day."""
    found = propose({"word": "string"}, lambda n: {"word": None if n == 3 else "a"}, each=100)
    assert said(found, "word_mostly_given") == ("warn", {"mostly": 0.98})


def test_codes_are_listed_when_none_came_late(propose: Propose) -> None:
    found = propose({"channel": "string"}, lambda n: {"channel": ["web", "atm"][n % 2]})
    assert said(found, "channel_listed") == ("quarantine", {"value_set": ["atm", "web"]})


def test_a_code_that_came_late_or_once_leaves_the_list_open(propose: Propose) -> None:
    for late in (lambda n: n >= 60, lambda n: n == 3):
        found = propose({"channel": "string"}, lambda n, late=late: {"channel": "fax" if late(n) else "web"})
        assert found["channel_listed"].rule.on_fail == "warn"
        assert "may not be whole" in found["channel_listed"].evidence


@pytest.mark.parametrize("value", ["CN99CLRG0000000000000001", "7.2.1"])
def test_numbers_that_somebody_may_have_and_versions_are_no_codes(propose: Propose, value: str) -> None:
    found = propose({"thing": "string"}, lambda n: {"thing": value})
    assert "thing_listed" not in found and value not in in_contract_form(found.values())
    assert found["thing_form"].rule.on_fail == "quarantine"


def test_many_branches_of_one_day_are_not_yet_usual(propose: Propose) -> None:
    of_one_day = [Subject(FIRST, f"D{n}", f"b{n}") for n in range(DAYS)]
    found = propose({"amount": "decimal(9,2)"}, lambda n: {"amount": Decimal(10)}, money="amount", subjects=of_one_day)
    assert not [name for name in found if name.endswith("as_usual")]


def test_a_reference_list_of_the_columns_name_is_named(propose: Propose) -> None:
    found = propose({"channel": "string"}, lambda n: {"channel": ["web", "atm"][n % 2]}, references=[CHANNELS])
    assert said(found, "channel_listed")[1] == {"value_set": "$core_channels"}
    other = propose({"colour": "string"}, lambda n: {"colour": ["web", "atm"][n % 2]}, references=[CHANNELS])
    assert said(other, "colour_listed")[1] == {"value_set": ["atm", "web"]}


@pytest.mark.parametrize(
    ("text", "regex"),
    [
        (lambda n: f"b{n % 7:02d}", r"^[a-z]\d{2}$"),
        (lambda n: str(n + 1), r"^\d{1,3}$"),
        (lambda n: f"2026-09-{n % 28 + 1:02d}:{n}", r"^\d{4}\-\d{2}\-\d{2}:\d{1,3}$"),
        (lambda n: f"{'AB' if n % 2 else 7}{n % 9}", r"^(\d{2}|[A-Z]{2}\d)$"),
        (lambda n: f"{n * 2654435761 % 2**32:08x}", r"^[0-9a-z]{8}$"),
    ],
)
def test_a_key_has_its_form(propose: Propose, text: Callable[[int], str], regex: str) -> None:
    found = propose({"thing_no": "string"}, lambda n: {"thing_no": text(n)})
    assert said(found, "thing_no_form") == ("quarantine", {"regex": regex})


def test_words_have_a_length_and_no_form(propose: Propose) -> None:
    found = propose({"remark": "string"}, lambda n: {"remark": "转账汇款" if n % 2 else "a word and another"})
    assert said(found, "remark_length") == ("warn", {"max_value": 50})
    assert "remark_form" not in found and "remark_listed" not in found


def test_numbers_have_room_of_as_much_again(propose: Propose) -> None:
    found = propose(
        {"amount": "decimal(9,2)", "line": "int", "balance": "decimal(9,2)"},
        lambda n: {"amount": Decimal(n + 1), "line": n % 3 + 1, "balance": Decimal(n - 40)},
    )
    assert said(found, "amount_range") == ("quarantine", {"min_value": 0, "strict_min": True, "max_value": 200})
    assert said(found, "line_range") == ("quarantine", {"min_value": 1, "max_value": 10})
    assert said(found, "balance_range") == ("quarantine", {"min_value": -100, "max_value": 100})


def test_dates_are_bound_where_nobody_gets_to_soon(propose: Propose) -> None:
    found = propose({"opened": "date"}, lambda n: {"opened": date(2024, 5, 1) + timedelta(days=10 * n)})
    assert said(found, "opened_range") == ("quarantine", {"min_value": "2022-01-01", "max_value": "2036-12-31"})


def test_of_dates_long_past_newer_ones_may_come(propose: Propose) -> None:
    """Nobody of these customers was born after 1991; the next one may be a child."""
    found = propose({"born": "date"}, lambda n: {"born": date(1970, 1, 1) + timedelta(days=100 * n)})
    assert said(found, "born_range") == ("quarantine", {"min_value": "1949-01-01", "max_value": "2036-12-31"})


def test_one_date_is_never_before_another(propose: Propose) -> None:
    found = propose(
        {"opened": "date", "closed": "date", "booked": "date"},
        lambda n: {
            "opened": day_of(n),
            "closed": day_of(n) + timedelta(days=n % 3) if n % 2 else None,
            "booked": day_of(n),
        },
    )
    assert found["closed_not_before_opened"].rule.kwargs == {
        "column_A": "closed",
        "column_B": "opened",
        "or_equal": True,
    }
    assert found["opened_equals_booked"].rule.on_fail == "quarantine"
    assert "opened_not_before_closed" not in found


def test_rows_sums_and_means_stay_as_usual(propose: Propose) -> None:
    found = propose({"amount": "decimal(9,2)"}, lambda n: {"amount": Decimal(10)}, money="amount")
    assert said(found, "rows_as_usual") == ("hold", {"min_value": 5, "max_value": 20})
    assert said(found, "amount_mean_as_usual") == ("hold", {"min_value": 5, "max_value": 20})
    assert said(found, "amount_sum_as_usual") == ("warn", {"min_value": 50, "max_value": 200})
    assert found["rows_as_usual"].evidence == (
        "8 times on 8 days: Mon 10-10, Tue 10-10, Wed 10-10, Thu 10-10, Fri 10-10, Sat 10-10, Sun 10-10"
    )


def test_history_that_was_taken_on_says_nothing_of_a_delivery(propose: Propose) -> None:
    found = propose({"amount": "decimal(9,2)"}, lambda n: {"amount": Decimal(10)}, money="amount", whole=False)
    assert not [name for name in found if name.endswith("as_usual")]
    assert "amount_range" in found


def test_the_key_is_what_tells_the_rows_of_a_gate_apart(propose: Propose) -> None:
    columns = {"branch": "string", "journal": "string", "line": "int", "word": "string"}
    found = propose(columns, lambda n: {"branch": "b", "journal": str(n // 2), "line": n % 2, "word": "w"})
    assert found["one_row_each"].rule.kwargs == {"column_list": ["branch", "journal", "line"]}
    alone = propose({"word": "string", "thing_id": "string"}, lambda n: {"word": "w", "thing_id": str(n)})
    assert alone["one_row_each"].rule.kwargs == {"column": "thing_id"}
    none = propose({"word": "string"}, lambda n: {"word": "w"})
    assert "one_row_each" not in none


def test_what_the_contract_promises_is_not_proposed_again(propose: Propose) -> None:
    columns = {"thing_no": "string!", "amount": "decimal(9,2)!", "channel": ["string!", {"enum": ["web"]}]}
    rules = [
        {"id": "a", "onFail": "quarantine", "expect_column_values_to_be_between": {"column": "amount", "min_value": 0, "strict_min": True}},
        {"id": "b", "onFail": "quarantine", "expect_column_value_lengths_to_equal": {"column": "thing_no", "value": 2}},
        {"id": "c", "onFail": "warn", "expect_table_row_count_to_be_between": {"min_value": 5}},
    ]  # fmt: skip
    found = propose(
        columns, lambda n: {"thing_no": f"{n:02d}", "amount": Decimal(1), "channel": "web"}, rules=rules, primaryKey=["thing_no"]
    )  # fmt: skip
    assert {name: said(found, name)[1] for name in found} == {
        "amount_range": {"max_value": 2},
        "amount_mean_as_usual": {"min_value": 0.5, "max_value": 2},
        "rows_as_usual": {"max_value": 20},
    }


def test_of_persons_and_customers_no_value_is_proposed(propose: Propose) -> None:
    """A few values each, that a list would show: a name's token, what was derived of it, a customer's number, a secret figure."""
    columns = {
        "holder": ["string", {"identifies": "id_number", "derive": ["gender"]}],
        "customer_no": ["string", {"classification": "C2/3"}],
        "grade": ["string", {"classification": "C2/3"}],
        "limit": ["int", {"classification": "C3/4"}],
    }
    row = {
        "holder_token": "tok_1",
        "holder_valid": True,
        "holder_gender": "F",
        "customer_no": "4711",
        "grade": "gold",
        "limit": 4712,
    }
    found = propose(columns, lambda n: row)
    assert set(found) == {
        "holder_token_given", "holder_valid_given", "holder_gender_given", "customer_no_given", "customer_no_form", "grade_given", "grade_form",
        "limit_given", "rows_as_usual",
    }  # fmt: skip
    text = in_contract_form(found.values())
    assert not [value for value in ("tok_1", "4711", "gold", "4712", "F,") if value in text]


def test_few_rows_prove_nothing(propose: Propose) -> None:
    found = propose({"word": "string"}, lambda n: {"word": "a"} if n < 20 else {})
    assert set(found) == {"rows_as_usual"}


def test_what_is_printed_can_be_pasted(propose: Propose) -> None:
    """Strict YAML reads back each rule as it was, codes that look like numbers and flags too."""
    found = propose(
        {"thing_no": "string", "code": "string", "rate": "decimal(9,2)", "day": "date"},
        lambda n: {
            "thing_no": f"A-{n:02d}",
            "code": ["Y", "01", "no", "1-5", "x_y"][n % 5],
            "rate": Decimal(n) / 100,
            "day": day_of(n),
        },
    )
    file = parse_yaml(in_contract_form(found.values()), Path("pasted"))
    assert said(found, "code_listed")[1] == {"value_set": ["01", "1-5", "Y", "no", "x_y"]}
    assert [typed(YamlFile(file.path, one, {}), Rule) for one in file.data["rules"]] == [p.rule for p in found.values()]
