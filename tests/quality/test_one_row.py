"""One row judged in plain Python says what Spark says, or nothing: over all forms of text, all rules, and both banks' contracts."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from jobs.contracts import Column, load
from jobs.quality.canaries import canaries
from jobs.quality.one_row import NotKnown, Unreadable, read, reasons
from tests.quality.test_canaries import BANKS, KINDS, RULES, judged
from tests.quality.test_casting import BAD, FORMS
from tests.quality.tools import ZONE, rule, table_of

FORM_NAMES = [f"{kind} {parse or ''}".strip() for kind, parse in FORMS]


def plain(kind: str, parse: str | None, text: str) -> Any:
    """What Spark would show of the value that Python reads."""
    try:
        value = read(Column(type=kind, classification="C1/1", parse=parse), text, ZONE)
    except Unreadable:
        return BAD
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:.2f}"
    return value if value is None else str(value)


@pytest.mark.parametrize("form", FORMS, ids=FORM_NAMES)
def test_each_way_to_write_a_value_is_read_as_spark_reads_it(form: tuple[str, str | None]) -> None:
    assert {text: plain(*form, text) for text in FORMS[form]} == FORMS[form]


@pytest.mark.parametrize("name", BANKS)
def test_each_canary_is_rejected_for_its_rule_alone(name: str) -> None:
    bank, table = BANKS[name]
    rules = load(bank).rules(table)
    birds = canaries(table, rules)
    assert {rule_id: reasons(table, rules, bird, ZONE) for rule_id, bird in birds.items()} == {b: [b] for b in birds}


ROWS: list[dict[str, str | None]] = [
    {"amount": "1.5", "opened": "930101", "code": "1234", "name": "four", "is_ok": "Y", "steps": "1"},
    {"amount": "600", "opened": "000229", "code": "12345", "name": "test", "is_ok": "N", "steps": "2", "low": "1", "high": "2"},
    {"amount": "500", "opened": "010229", "closed": "930101", "code": "１２３４", "name": "张三", "steps": " "},
    {"amount": "501-", "opened": "930102", "closed": "930102", "code": "123\n", "name": "four", "is_ok": "?", "steps": "x"},
    {"until": "20260915100000", "at": "1789437600001", "share": "0.36", "code": "", "steps": "3", "low": "2", "high": "02"},
    {"until": "20260915100000", "at": "1789437600000", "share": "0.3599", "name": "four-five", "steps": "4", "low": "1", "high": ""},
]  # fmt: skip


def test_where_it_speaks_it_says_what_spark_says(spark: Any) -> None:
    rows = [dict.fromkeys(KINDS.physical_columns) | row for row in ROWS]
    by_spark = [
        list(found) for (found,) in judged(spark, KINDS, RULES, rows).orderBy("__line").select("__reasons").collect()
    ]
    here = [reasons(KINDS, RULES, row, ZONE) for row in rows]
    assert [set(spoken) - set(told) for spoken, told in zip(here, by_spark, strict=True)] == [set()] * len(ROWS)
    # Full-width digits: what \d means of them is left to Spark.
    unsaid = [set(told) - set(spoken) for spoken, told in zip(here, by_spark, strict=True)]
    assert unsaid == [set(), set(), {"code_digits"}, set(), set(), set()]


def test_what_is_not_given_is_not_judged_and_what_is_unread_is_not_missing() -> None:
    table = table_of({"a": "int!", "b": "int!"})
    rules = table.all_rules
    assert [r.id for r in rules] == ["a_required", "b_required"]
    assert reasons(table, rules, {"a": None}, ZONE) == ["a_required"]
    assert reasons(table, rules, {"a": "1", "b": "x"}, ZONE) == ["b_unreadable"]


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("string", "5", {"expect_column_values_to_be_in_set": {"value_set": [1, 2]}}),
        ("string", "9", {"expect_column_values_to_be_between": {"max_value": 5}}),
        ("string", "a\n", {"expect_column_values_to_match_regex": {"regex": "^a$"}}),
        ("string", "１", {"expect_column_values_to_not_match_regex": {"regex": r"\d"}}),
        ("string", "a", {"expect_column_values_to_match_regex": {"regex": r"^\p{Lu}$"}}),
        ("int", "7", {"expect_column_value_lengths_to_equal": {"value": 3}}),
        ("timestamp", "0000-01-01T00:00:00Z", {"expect_column_values_to_be_between": {"min_value": "2026-01-01"}}),
    ],
)
def test_where_engines_may_differ_nothing_is_said(kind: str, text: str, words: dict[str, dict[str, Any]]) -> None:
    (name, kwargs) = next(iter(words.items()))
    table = table_of({"a": kind})
    assert reasons(table, [rule("r", "quarantine", name, column="a", **kwargs)], {"a": text}, ZONE) == []


def test_only_what_takes_rows_out_is_asked() -> None:
    table = table_of({"a": "int"})
    small = {"column": "a", "max_value": 5}
    asked = [rule(f"r_{o}", o, "expect_column_values_to_be_between", **small) for o in ("warn", "hold", "stop")]
    asked.append(rule("one_each", "quarantine", "expect_column_values_to_be_unique", column="a"))
    assert reasons(table, asked, {"a": "9"}, ZONE) == []


def test_a_time_that_the_clocks_show_twice_or_never_is_not_known() -> None:
    column = Column(type="timestamp", classification="C1/1")
    zone = "Europe/Berlin"
    told = {
        text: read(column, text, zone) for text in ("2026-10-25T02:30:00", "2026-03-29T02:30:00", "2026-10-25T04:00:00")
    }
    assert list(told.values()) == [NotKnown.VALUE, NotKnown.VALUE, datetime(2026, 10, 25, 3)]
