"""Rules and enums whose constants their column cannot answer are told with their line; those that it can are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.contracts import load
from tests.contracts.house import change, mistakes, only

# A rule over a column of a type, what is found, remedy. The table is the tiny bank's payments, with a column more.
UNFIT = {
    "the form of a number": ("int", "expect_column_values_to_match_regex: {column: it, regex: '^x$'}", "asks how it is written, which is of type int", "Only text has a form"),
    "the length of a date": ("date", "expect_column_value_lengths_to_equal: {column: it, value: 10}", "asks how it is written, which is of type date", "Only text has a form"),
    "a length in words": ("string", "expect_column_value_lengths_to_equal: {column: it, value: ten}", "value 'ten' is no number", "Write a number"),
    "a bound in words": ('"decimal(18,2)"', "expect_column_values_to_be_between: {column: it, min_value: abc}", "min_value 'abc' is compared with it, which is of type decimal(18,2)", "Write a number"),
    "a number for text": ("string", "expect_column_values_to_be_between: {column: it, max_value: 7}", "max_value 7 is compared with it, which is of type string", "Write text in quotes"),
    "no such date": ("date", "expect_column_values_to_be_between: {column: it, min_value: 2026-02-30}", "min_value '2026-02-30' is compared with it, which is of type date", "Write a date such as 2026-09-15"),
    "a set of texts": ("int", "expect_column_values_to_be_in_set: {column: it, value_set: ['1', one, two]}", "value_set has 'one', 'two', and it is of type int", "Write a number"),
    "a set of numbers": ("string", "expect_column_values_to_not_be_in_set: {column: it, value_set: [1, '2']}", "value_set has 1, and it is of type string", "Write text in quotes"),
    "a list of texts": ("int", "expect_column_values_to_be_in_set: {column: it, value_set: $colours}", "value_set has 'red', 'green', and it is of type int", "Write a number"),
    "flags in numbers": ("boolean", "expect_column_values_to_be_in_set: {column: it, value_set: [1]}", "value_set has 1, and it is of type boolean", "Write true or false"),
    "a sum of texts": ("string", "expect_column_sum_to_be_between: {column: it, min_value: 1}", "adds up it, which is of type string", "Name a column of numbers"),
    "a share in words": ("string", "expect_column_proportion_of_non_null_values_to_be_between: {column: it, min_value: most}", "min_value 'most' is no number", "Write a number"),
    "a pair of two kinds": ("date", "expect_column_pair_values_to_be_equal: {column_A: it, column_B: amount}", "compares it (date) with amount (decimal(18,2))", "Name two columns of one kind"),
    "bounds upside down": ('"decimal(18,2)"', "expect_column_values_to_be_between: {column: it, min_value: 10, max_value: 9.5}", "min_value 10 is above max_value 9.5: nothing lies between them", "Write the least as min_value"),
    "dates upside down": ("date", "expect_column_values_to_be_between: {column: it, min_value: 2036-01-01, max_value: 1950-01-01}", "min_value 2036-01-01 is above max_value 1950-01-01", "Write the least as min_value"),
    "lengths upside down": ("string", "expect_column_value_lengths_to_be_between: {column: it, min_value: 10, max_value: 9}", "min_value 10 is above max_value 9", "Write the least as min_value"),
    "rows upside down": ("string", "expect_table_row_count_to_be_between: {min_value: 2 * usual_rows, max_value: 0.5 * usual_rows}", "min_value 2 * usual_rows is above max_value 0.5 * usual_rows", "Write the least as min_value"),
    "bounds that are not allowed themselves": ("int", "expect_column_values_to_be_between: {column: it, min_value: 9, max_value: 9, strict_max: true}", "min_value 9 is equal to max_value 9, which itself is not allowed", "Write the least as min_value"),
    "a tolerance in percent": ("string", "expect_column_values_to_not_be_null: {column: it, mostly: 95}", "mostly 95 is no share of the rows", "Write a number from 0 to 1"),
}  # fmt: skip
FIT = [
    ('"decimal(18,2)"', "expect_column_values_to_be_between: {column: it, min_value: 0.5, max_value: '7'}"),
    ("string", "expect_column_values_to_be_between: {column: it, min_value: A, max_value: Z}"),
    ("date", "expect_column_values_to_be_between: {column: it, min_value: 1950-01-01}"),
    (
        "string",
        "expect_column_values_to_be_between: {column: it, min_value: '10', max_value: '9'}",
    ),  # in the order of texts
    ("int", "expect_column_values_to_be_between: {column: it, min_value: 9, max_value: 9}"),
    ("int", "expect_table_row_count_to_be_between: {min_value: 100, max_value: 2 * usual_rows}"),
    (
        "string",
        r"expect_column_values_to_match_regex: {column: it, regex: '^(?<year>\d{4})[\p{IsHan}&&[^(]]*+(?<!a|bc)\Q(\E(?i:x){2}(?=a{1,3})[]]\(]?$'}",
    ),
    ("timestamp", "expect_column_max_to_be_between: {column: it, max_value: '2036-01-01 00:00:00'}"),
    ("boolean", "expect_column_values_to_be_in_set: {column: it, value_set: [true]}"),
    ("int", "expect_column_values_to_be_in_set: {column: it, value_set: ['1', 2]}"),
    ("timestamp", "expect_column_pair_values_to_be_equal: {column_A: it, column_B: sent_on}"),
]


def ruled(root: Path, type_: str, rule: str) -> int:
    """The tiny bank's payments have the rule; returns its line."""
    last = '  amount:     ["decimal(18,2)!", {unit: CNY, classification: C2/3}]\n'
    more = f"  it: [{type_}, {{classification: C1/2}}]\n  sent_on: [date, {{classification: C1/2}}]\n"
    change(root, "bronze/payments.yaml", last, f"{last}{more}")
    return change(root, "bronze/payments.yaml", "conforms:\n", f"  - {{id: asked, onFail: warn, {rule}}}\nconforms:\n")


@pytest.mark.parametrize("case", UNFIT)
def test_a_rule_that_its_column_cannot_answer_is_told_with_its_line(root: Path, case: str) -> None:
    type_, rule, words, remedy = UNFIT[case]
    line = ruled(root, type_, rule)
    found = only(root)
    assert f"rule asked{':' if words.startswith(('value', 'min', 'max', 'mostly')) else ''} {words}" in found.found
    assert remedy in found.remedy
    assert (found.file, found.line) == (root / "bronze/payments.yaml", line)


@pytest.mark.parametrize(("type_", "rule"), FIT)
def test_a_rule_that_its_column_can_answer_is_read(root: Path, type_: str, rule: str) -> None:
    ruled(root, type_, rule)
    load("tiny", root)


def test_an_enum_is_of_its_columns_type(root: Path) -> None:
    change(root, "bronze/payments.yaml", "[string!, {enum: $directions", "[int!, {enum: $directions")
    found = [m.found for m in mistakes(root)]
    assert found == ["direction: enum has 'D', 'C', and direction is of type int"]
