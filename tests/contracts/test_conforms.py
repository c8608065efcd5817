"""What the expressions of a conform give against what the silver table takes: each mistake with its line, and what must not be taken for one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs.contracts import ContractError
from jobs.contracts.catalog import check
from jobs.contracts.conforming import NO_CAST
from jobs.contracts.errors import Mistake
from jobs.contracts.fit import reads_as
from jobs.contracts.spark_functions import SPARK_FUNCTIONS
from tests.contracts.house import build, change

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Beside those that the tiny bank's payments have.
BRONZE = """\
  direction:  [string!, {enum: $directions, classification: C1/2}]
  note:       [string,  {classification: C1/2}]
  colour:     [string,  {enum: $colours, classification: C1/2}]
  mark:       [string,  {enum: [D, X], classification: C1/2}]
  side:       [string,  {classification: C1/2}]
  pieces:     [int,     {classification: C1/2}]
  due_on:     [date,    {classification: C1/2}]
  sent_at:    [timestamp, {classification: C1/2}]
  is_urgent:  [boolean, {classification: C1/2}]
"""
SIDE_IS_JUDGED = "  - {id: side_known, onFail: quarantine, expect_column_values_to_be_in_set: {column: side, value_set: $directions}}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = build(tmp_path)
    change(root, "bronze/payments.yaml", BRONZE.splitlines(keepends=True)[0], BRONZE)
    return root


def conform(root: Path, name: str, type_: str, expression: str, *, enum: str = "") -> int:
    """Silver takes one column more; returns the line of its expression."""
    options = f"{{{f'enum: {enum}, ' if enum else ''}classification: C1/2}}"
    business_date = "  business_date: [date!, {classification: C1/2}]\ncolumns:\n"
    change(root, "silver/movements.yaml", business_date, f'  {name}: ["{type_}", {options}]\n{business_date}')
    last = "      business_date: __business_date\n"
    return change(root, "bronze/payments.yaml", last, f"      {name}: {expression}\n{last}")


def mistakes(root: Path) -> list[Mistake]:
    with pytest.raises(ContractError) as error:
        check("tiny", root)
    return error.value.mistakes


# Type that silver takes, expression, what is found, remedy.
TYPES = {
    "text for a decimal": ("decimal(18,2)", "note", "the expression is text, and silver.movements takes it as decimal(18,2): one text that is none would end the run", "Give the bronze column the type decimal(18,2)"),
    "text for a date": ("date!", "substring(note, 1, 10)", "the expression is text, and silver.movements takes it as date", "or write try_cast(... as date), which makes them null"),
    "text for true or false": ("boolean", "coalesce(note, 'false')", "the expression is text, and silver.movements takes it as boolean", "try_cast(... as boolean)"),
    "codes for a number": ("int", "map_code(directions, direction)", "'credit', 'debit' cannot be read as int", "Write a number"),
    "a constant that is no number": ("decimal(18,2)", "\"'none'\"", "'none' cannot be read as decimal(18,2)", "Write a number"),
    "a constant date that is none": ("date", "\"'2026-02-30'\"", "'2026-02-30' cannot be read as date", "Write a date such as 2026-09-15"),
    "a constant for true or false": ("boolean", "if(is_urgent, 'urgent', 'no')", "'urgent' cannot be read as boolean", "Write true or false"),
    "a number for a date": ("date", "pieces", "the expression is a number, and silver.movements takes it as date: Spark has no such cast", "Give it a date such as 2026-09-15"),
    "a date for a number": ("bigint", "due_on", "the expression is a date, and silver.movements takes it as bigint", "Give it a number"),
    "true or false for a time": ("timestamp", "amount > 100", "the expression is true or false, and silver.movements takes it as timestamp", "Give it a time"),
    "a time for true or false": ("boolean", "sent_at", "the expression is an instant, and silver.movements takes it as boolean", "Give it true or false"),
    "an instant for a date": ("date", "coalesce(sent_at, __received_at)", "an instant in UTC, and silver.movements takes it as date: near midnight the date would be another", "cast(from_utc_timestamp(..., '$zone') as date)"),
    "a date for an instant": ("timestamp", "due_on", "is a date, and silver.movements takes it as timestamp: it would be midnight in UTC", "to_utc_timestamp(cast(... as timestamp), '$zone')"),
    "cents for a whole number": ("bigint", "amount", "the expression is decimal(18,2), and silver.movements takes it as bigint: what stands behind the point would be cut off", "Round it"),
    "a cast that there is not": ("string", "cast(cast(amount as date) as string)", "amount is a number, of which Spark makes no date", "Correct the expression"),
    "always null": ("string!", "'null'", "the expression is always null, and silver.movements never takes it as null: each row would be rejected", "Give it a value"),
    "null in every case": ("string!", "if(is_urgent, null, null)", "the expression is always null", "take silver.movements out of conforms"),
}  # fmt: skip


@pytest.mark.parametrize("case", TYPES)
def test_what_silver_does_not_take_is_told_with_its_line(root: Path, case: str) -> None:
    type_, expression, words, remedy = TYPES[case]
    line = conform(root, "it", type_, expression)
    [found] = mistakes(root)
    assert words in found.found
    assert remedy in found.remedy
    assert (found.file, found.line) == (root / "bronze/payments.yaml", line)


# Enum of what silver takes, expression, what is found, remedy.
CODES = {
    "a constant": ("[red, green]", "\"'rde'\"", "it: 'rde' is not one that silver.movements takes as it: such rows would be rejected", "It takes red, green"),
    "a constant of a list": ("$colours", "if(is_urgent, 'red', 'blue')", "it: 'blue' is not one that", "It takes red, green"),
    "a meaning": ("[debit]", "map_code(directions, direction)", "it: 'credit' is not one that", "It takes debit; meanings stand in expectations/reference/directions.yaml"),
    "what becomes of an unknown code": ("[debit, credit]", "coalesce(map_code(directions, side), 'unknown')", "it: 'unknown' is not one that", "It takes debit, credit"),
    "the codes of a column": ("[red]", "colour", "it: 'green' is not one that", "It takes red"),
    "several": ("[blue]", "colour", "it: 'green', 'red' are not among those that silver.movements takes as it", "It takes blue"),
    "a code without a meaning": ("", "map_code(directions, mark)", "it: directions gives no meaning to 'X', which mark may be: it would be null", "Add it to expectations/reference/directions.yaml"),
    "nothing to look up": ("", "map_code(directions)", "it: map_code takes a code map and what to look up in it", "Write map_code(list, column)"),
    "a number to look up": ("", "map_code(directions, pieces)", "it: map_code looks up pieces, which is a number: the keys of a code map are text", "Write cast(pieces as string), or declare the column as a string"),
    "codes that nobody judged": ("", "map_code(directions, side)", "it: of a code of side that directions does not have, it is null and nobody is told", "Give side `enum: $directions`"),
}  # fmt: skip


@pytest.mark.parametrize("case", CODES)
def test_a_code_that_silver_does_not_know_is_told_with_its_line(root: Path, case: str) -> None:
    enum, expression, words, remedy = CODES[case]
    line = conform(root, "it", "string", expression, enum=enum)
    [found] = mistakes(root)
    assert words in found.found
    assert remedy in found.remedy
    assert (found.file, found.line) == (root / "bronze/payments.yaml", line)


def test_the_enum_may_stand_at_the_silver_column(root: Path) -> None:
    """As it does in the tiny bank: `incoming` says the type, the table's own column which values there are."""
    line = change(root, "bronze/payments.yaml", "map_code(directions, direction)", "\"'debt'\"")
    [found] = mistakes(root)
    assert found.found == (
        "direction: 'debt' is not one that silver.movements takes as direction: such rows would be rejected"
    )
    assert found.remedy == "It takes debit, credit"
    assert found.line == line


def test_of_a_required_column_an_unknown_code_rejects_the_row_and_is_not_named(root: Path) -> None:
    conform(root, "it", "string!", "map_code(directions, side)")
    [found] = mistakes(root)
    assert "its row is rejected by silver.movements as one without it" in found.found


def test_a_rule_may_say_the_codes_instead_of_an_enum(root: Path) -> None:
    conform(root, "it", "string", "map_code(directions, side)")
    change(root, "bronze/payments.yaml", "rules:\n", f"rules:\n{SIDE_IS_JUDGED}")
    check("tiny", root)


def test_a_code_that_a_filter_keeps_out_is_no_mistake(root: Path) -> None:
    conform(root, "it", "string", "colour", enum="[red]")
    change(root, "silver/movements.yaml", "  it: [", '  that: ["string", {classification: C1/2}]\n  it: [')
    change(
        root, "bronze/payments.yaml", "      it: colour\n", "      it: colour\n      that: map_code(directions, mark)\n"
    )
    where = "    where:\n      is_red: colour = 'red' and mark <> 'X'\n    columns:\n      movement_id"
    change(root, "bronze/payments.yaml", "    columns:\n      movement_id", where)
    check("tiny", root)
    change(root, "bronze/payments.yaml", where, "    columns:\n      movement_id")
    assert [m.found.partition(":")[0] for m in mistakes(root)] == ["it", "that"]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("substring(note, 1, 10)", "businessDate: the expression is text, and a business date is a date: one text that is none would end the run"),
        ("sent_at", "an instant in UTC, and a business date is a date: near midnight the date would be another"),
        ("pieces", "the expression is a number, and a business date is a date: Spark has no such cast, and the run would end"),
    ],
)  # fmt: skip
def test_a_business_date_is_a_date(root: Path, expression: str, words: str) -> None:
    line = change(root, "bronze/payments.yaml", "money: amount\n", f"money: amount\nbusinessDate: {expression}\n") + 1
    [found] = mistakes(root)
    assert words in found.found
    assert (found.file, found.line) == (root / "bronze/payments.yaml", line)
    right = "cast(from_utc_timestamp(sent_at, '$zone') as date)"
    change(root, "bronze/payments.yaml", f"businessDate: {expression}\n", f"businessDate: {right}\n")
    check("tiny", root)


def test_a_filter_is_true_or_false(root: Path) -> None:
    where = "    where:\n      is_booked: {}\n    columns:\n      movement_id"
    line = change(root, "bronze/payments.yaml", "    columns:\n      movement_id", where.format("upper(note)"))
    [found] = mistakes(root)
    assert found.found == "is_booked: this is text, and a filter is true or false"
    assert (found.file, found.line) == (root / "bronze/payments.yaml", line + 1)
    change(root, "bronze/payments.yaml", "is_booked: upper(note)", "is_booked: upper(note) = 'BOOKED'")
    check("tiny", root)


# What throws on one row: type that silver takes, expression, what is found, remedy, the note that it throws on.
THROWS = {
    "a cast": ("date", "cast(note as date)", "note is text: one that is no date would end the run", "Write try_cast(note as date), which is null then", "soon"),
    "a cast with colons": ("int", "note::int", "note is text: one that is no int would end the run", "try_cast(note as int)", "1x"),
    "a cast within": ("boolean", "cast(substring(note, 1, 2) as int) > 50", "SUBSTRING(note, 1, 2) is text: one that is no int", "try_cast(SUBSTRING(note, 1, 2) as int)", "ab"),
    "a cast that is named as its type": ("bigint", "bigint(note)", "note is text: one that is no bigint", "try_cast(note as bigint)", "1x"),
    "a cast of a part": ("int", "cast(split_part(note, ':', 2) as int)", "SPLIT_PART(note, ':', 2) is text", "try_cast(SPLIT_PART(note, ':', 2) as int)", "a:b"),
    "a date": ("date", "to_date(note)", "note is text: one that is no date", "try_cast(note as date)", "soon"),
    "a date of a form": ("date", "to_date(note, 'yyyyMMdd')", "note is text: one that is no date", "Write try_to_date(note, ...)", "2026-09-15"),
    "an instant": ("timestamp", "to_timestamp(note)", "note is text: one that is no timestamp", "try_cast(note as timestamp)", "soon"),
    "an instant of a form": ("timestamp", "to_timestamp(note, 'yyyyMMdd')", "note is text: one that is no timestamp", "try_to_timestamp(note, ...)", "soon"),
    "a number of a form": ("decimal(18,2)", "to_number(note, '999')", "note is text: one that is no number", "try_to_number(note, ...)", "1x"),
    "a text as an instant": ("string", "date_format(note, 'yyyy')", "note is text: one that is no timestamp", "try_cast(note as timestamp)", "soon"),
    "the year of a text": ("int", "year(note)", "note is text: one that is no date", "try_cast(note as date)", "soon"),
    "the zone of a text": ("timestamp", "to_utc_timestamp(note, 'Asia/Shanghai')", "note is text: one that is no timestamp", "try_cast(note as timestamp)", "soon"),
    "days after a text": ("date", "date_add(note, 1)", "note is text: one that is no timestamp", "try_cast(note as timestamp)", "soon"),
    "a sum of a text": ("decimal(18,2)", "note + 1", "note is text: one that is no number", "try_cast(note as decimal(38,18))", "1x"),
    "a text compared with a number": ("boolean", "note > 5", "note is text: one that is no number", "try_cast(note as decimal(38,18))", "1x"),
    "a text among numbers": ("boolean", "note in (1, 2)", "note is text: one that is no number", "try_cast(note as decimal(38,18))", "1x"),
    "a text compared with a date": ("boolean", "due_on = note", "note is text: one that is no date", "try_cast(note as date)", "soon"),
    "a text that is chosen": ("date", "cast(coalesce(note, side) as date)", "COALESCE(note, side) is text: one that is no date", "try_cast(COALESCE(note, side) as date)", "soon"),
    "a number too large": ("int", "cast(amount as int)", "amount is decimal(18,2), and a number too large for int would end the run", "Write try_cast(amount as int)", ""),
    "a number too large for silver": ("decimal(6,2)", "amount", "the expression is decimal(18,2), and silver.movements takes it as decimal(6,2): a number too large for it would end the run", "Write try_cast(... as decimal(6,2))", ""),
    "a division": ("decimal(18,2)", "amount / pieces", "amount / pieces: a division by nought would end the run", "Divide by nullif(pieces, 0)", ""),
    "a rest": ("decimal(18,2)", "amount % pieces", "amount % pieces: a division by nought", "Divide by nullif(pieces, 0)", ""),
    "a part that there is not": ("string", "split(note, ':')[1]", "SPLIT(note, ':')[1]: a list without that element would end the run", "Write get(list, place)", "soon"),
    "a date of parts": ("date", "make_date(pieces, 2, 30)", "MAKE_DATE(pieces, 2, 30): numbers that are no date would end the run", "try_make_timestamp", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", THROWS)
def test_what_throws_on_one_row_is_told_with_its_line(root: Path, case: str) -> None:
    type_, expression, words, remedy, _ = THROWS[case]
    line = conform(root, "it", type_, expression)
    [found] = mistakes(root)
    assert words in found.found
    assert remedy in found.remedy
    assert (found.file, found.line) == (root / "bronze/payments.yaml", line)


@pytest.mark.parametrize("case", THROWS)
def test_spark_throws_on_it(spark: SparkSession, case: str) -> None:
    """So that nothing is called a mistake that is none."""
    from pyspark.errors import PySparkException

    type_, expression, _, _, note = THROWS[case]
    row = spark.sql(
        f"select '{note}' as note, null as side, cast(9e12 as decimal(18,2)) as amount, 0 as pieces, date'2026-09-15' as due_on"
    )
    with pytest.raises(PySparkException):
        row.selectExpr(f"cast({expression} as {type_.rstrip('!')})").collect()


def test_a_business_date_and_a_filter_throw_on_nothing_either(root: Path) -> None:
    change(root, "bronze/payments.yaml", "money: amount\n", "money: amount\nbusinessDate: to_date(note, 'yyyyMMdd')\n")
    where = "    where:\n      is_large: cast(side as int) > 5\n    columns:\n      movement_id"
    change(root, "bronze/payments.yaml", "    columns:\n      movement_id", where)
    assert [m.found for m in mistakes(root)] == [
        "businessDate: note is text: one that is no date would end the run",
        "is_large: side is text: one that is no int would end the run",
    ]


# Type, enum, expression: each does what it says, or may.
CLEAN = [
    ("string", "", "amount"),
    ("string", "", "'null'"),
    ("string", "[red]", "upper(trim(note))"),
    ("string", "[red, green]", "colour"),
    ("string", "[debit, credit]", "map_code(directions, upper(trim(side)))"),
    ("string", "[debit, credit, other]", "coalesce(map_code(directions, side), 'other')"),
    ("string", "[debit, credit]", "if(side is null, null, map_code(directions, side))"),
    ("string", "[debit, credit]", "case when is_urgent then 'debit' else map_code(directions, direction) end"),
    ("string", "[CNY]", "\"'$currency'\""),
    ("string", "[red]", "concat('r', 'ed')"),
    ("decimal(18,2)", "", "pieces"),
    ("decimal(18,2)", "", "try_cast(note as decimal(18,2))"),
    ("decimal(18,2)", "", "\"'12.50'\""),
    ("decimal(18,2)", "", "coalesce(amount, 0)"),
    ("int", "", '"0"'),
    ("int", "", "try_cast(amount as int)"),
    ("int", "", "datediff(due_on, __business_date)"),
    ("bigint", "", "unix_seconds(sent_at)"),
    ("timestamp", "", "pieces"),
    ("timestamp", "", "coalesce(sent_at - (sent_at - __received_at), sent_at)"),
    ("timestamp", "", "to_utc_timestamp(cast(due_on as timestamp), '$zone')"),
    ("timestamp", "", "\"'2026-09-15 08:30:00'\""),
    ("date", "", "cast(sent_at as date)"),
    ("date", "", "try_to_date(note, 'yyyyMMdd')"),
    ("date", "", "to_date(from_utc_timestamp(sent_at, '$zone'))"),
    ("int", "", "year(due_on)"),
    ("decimal(18,6)", "", "amount / nullif(pieces, 0)"),
    ("decimal(18,6)", "", "amount / 100"),
    ("string", "", "cast(pieces as string)"),
    ("string", "", "split(note, ':')[0]"),
    ("string", "", "get(split(note, ':'), 1)"),
    ("boolean", "", "due_on = '2026-09-15'"),
    ("boolean", "", "coalesce(note, '') <> '5'"),
    ("date", "", "try_to_timestamp(note, 'yyyyMMdd')"),
    ("date", "", "cast(try_to_timestamp(note, 'yyyyMMdd') as timestamp)"),
    ("date", "", "coalesce(due_on, '2026-02-30')"),
    ("date", "", "'null'"),
    ("boolean", "", "note in ('a', 'b')"),
    ("boolean", "", "amount > 0 and not is_urgent"),
    ("boolean", "", "\"'Y'\""),
    ("boolean", "", "pieces"),
]


@pytest.mark.parametrize(("type_", "enum", "expression"), CLEAN)
def test_what_may_be_right_is_not_told(root: Path, type_: str, enum: str, expression: str) -> None:
    conform(root, "it", type_, expression, enum=enum)
    check("tiny", root)


VALUES = {"number": "1.5", "date": "date '2026-09-15'", "timestamp": "timestamp '2026-09-15 08:30:00'", "boolean": "true"}  # fmt: skip
TYPE_OF = {"number": "decimal(18,2)", "date": "date", "timestamp": "timestamp", "boolean": "boolean", "text": "string"}


def test_spark_has_no_such_cast_and_has_all_others(spark: SparkSession) -> None:
    from pyspark.errors import AnalysisException

    refused = set()
    for given, value in VALUES.items():
        for wanted, type_ in TYPE_OF.items():
            try:
                spark.sql(f"select cast({value} as {type_})").collect()
            except AnalysisException:
                refused.add((given, wanted))
    assert refused == NO_CAST


TEXTS = ["1", "-1.50", "1.0", " 7 ", "abc", "", "1e3", "2026", "2026-09", "2026-09-15", "2026-9-5", "2026-02-30", "2026-09-15 08:30:00", "2026-09-15T08:30:00Z", "20260915", "Y", "no", "TRUE", "urgent"]  # fmt: skip


@pytest.mark.parametrize("type_", ["int", "decimal(18,2)", "date", "timestamp", "boolean"])
def test_no_text_that_spark_reads_is_said_to_be_unreadable(spark: SparkSession, type_: str) -> None:
    quoted = ", ".join(f"'{text}'" for text in TEXTS)
    rows = spark.sql(f"select t, try_cast(t as {type_}) is not null as good from values {quoted} as texts(t)").collect()
    read = {row["t"] for row in rows if row["good"]}
    ours = {text for text in TEXTS if reads_as(text, type_)}
    assert read <= ours
    # What Spark does not read we seldom take for good: of these texts none.
    assert ours - read == set()


def test_every_function_that_spark_has_is_known(spark: SparkSession) -> None:
    named = {row["function"] for row in spark.sql("show system functions").collect()}
    functions = {name for name in named if name.isidentifier()}
    assert {"to_date", "coalesce", "try_to_timestamp"} <= functions
    assert functions == SPARK_FUNCTIONS, functions ^ SPARK_FUNCTIONS


@pytest.mark.parametrize("value", ["1", *VALUES.values()])
def test_spark_looks_into_a_code_map_by_text_alone(spark: SparkSession, value: str) -> None:
    from pyspark.errors import AnalysisException

    with pytest.raises(AnalysisException, match="MAP_FUNCTION_DIFF_TYPES"):
        spark.sql(f"select try_element_at(map('1', 'x'), {value})").collect()
