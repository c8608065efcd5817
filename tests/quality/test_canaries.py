"""Every canary dies of its own rule and of no other: shown over the contracts of both banks."""

from __future__ import annotations

import pytest
from pyspark.sql import functions as F

from jobs.contracts import Table, load
from jobs.quality.canaries import canaries, canary_rows, not_covered
from jobs.quality.casting import cast
from jobs.quality.samples import matching
from jobs.quality.verdicts import judge, row_hash
from tests.quality.tools import ZONE, rows_of, rule, table_of

BANKS = {t.table: (bank, t) for bank in ("demo", "berka") for t in load(bank).layer("bronze")}


def judged(spark, table: Table, rules, rows, suspects=None):
    typed = cast(rows_of(spark, table, rows), table, zone=ZONE).withColumn(
        "__row_hash", row_hash(list(table.physical_columns))
    )
    return judge(
        typed, rules, within=["__delivery_id"], order=["__line"], already=F.col("__cast_errors"), suspects=suspects
    )


@pytest.mark.parametrize("name", BANKS)
def test_a_canary_breaks_one_rule(spark, name):
    """Judged as a load judges them: their keys are not among those that the files repeat."""
    bank, table = BANKS[name]
    rules = load(bank).rules(table)
    birds = canaries(table, rules)
    found = (
        judged(spark, table, rules, list(birds.values())).orderBy("__line").select("__verdict", "__reasons").collect()
    )
    assert [(v, list(r)) for v, r in found] == [("rejected", [rule_id]) for rule_id in birds]
    assert all(r.is_unique for r in not_covered(table, rules)), "only uniqueness takes more than one row"


def test_a_canary_goes_through_when_its_rule_is_blind(spark):
    """What the alarm listens for: without their rules the same rows are accepted, and do not take each other out as copies of one key."""
    bank, table = BANKS["bronze.core_customers"]
    rules = load(bank).rules(table)
    birds = canaries(table, rules)
    blind = [r for r in rules if r.id not in ("home_province_form", "branch_id_required", "customer_no_form")]
    found = (
        judged(spark, table, blind, list(birds.values()), {r.id: [] for r in rules if r.is_unique})
        .orderBy("__line")
        .select("__verdict")
        .collect()
    )
    assert {name for name, (verdict,) in zip(birds, found, strict=True) if verdict == "accepted"} == {
        "home_province_form",
        "branch_id_required",
        "customer_no_form",
    }


def test_rows_are_text_of_the_physical_columns():
    _, table = BANKS["bronze.core_customers"]
    for row in canary_rows(table, load("demo").rules(table)):
        assert list(row) == list(table.physical_columns)
        assert {type(v) for v in row.values()} <= {str, type(None)}
    assert "id_number" not in row and row["id_number_valid"] in ("true", "false")


KINDS = table_of(
    {
        "amount": ["decimal(9,2)", {"parse": "implied(2) trailing_minus"}], "share": "decimal(5,4)", "steps": "int", "name": "string", "code": "string",
        "opened": ["date", {"parse": "yyMMdd/1950"}], "closed": ["date", {"parse": "yyMMdd/1950"}], "at": ["timestamp", {"parse": "epoch_ms"}],
        "until": ["timestamp", {"parse": "yyyyMMddHHmmss"}], "is_ok": ["boolean", {"parse": "Y/N"}], "low": "bigint", "high": "bigint",
    }
)  # fmt: skip
RULES = [
    rule(
        "amount_range", "quarantine", "expect_column_values_to_be_between", column="amount", min_value=-5, max_value=5
    ),
    rule(
        "share_below",
        "quarantine",
        "expect_column_values_to_be_between",
        column="share",
        max_value=0.36,
        strict_max=True,
    ),
    rule("steps_given", "quarantine", "expect_column_values_to_not_be_null", column="steps"),
    rule("steps_known", "quarantine", "expect_column_values_to_be_in_set", column="steps", value_set=[1, 2, 3]),
    rule("steps_not_two", "quarantine", "expect_column_values_to_not_be_in_set", column="steps", value_set=[2]),
    rule(
        "name_length",
        "quarantine",
        "expect_column_value_lengths_to_be_between",
        column="name",
        min_value=3,
        max_value=5,
    ),
    rule("code_length", "quarantine", "expect_column_value_lengths_to_equal", column="code", value=4),
    rule("code_digits", "quarantine", "expect_column_values_to_match_regex", column="code", regex=r"^\d+$"),
    rule("name_no_test", "quarantine", "expect_column_values_to_not_match_regex", column="name", regex="^test"),
    rule("opened_late", "quarantine", "expect_column_values_to_be_between", column="opened", min_value="1990-01-01"),
    rule(
        "closed_after",
        "quarantine",
        "expect_column_pair_values_a_to_be_greater_than_b",
        column_A="closed",
        column_B="opened",
    ),
    rule(
        "until_later",
        "quarantine",
        "expect_column_pair_values_a_to_be_greater_than_b",
        column_A="until",
        column_B="at",
        or_equal=True,
    ),
    rule("is_ok_true", "quarantine", "expect_column_values_to_be_in_set", column="is_ok", value_set=[True]),
    rule("low_is_high", "quarantine", "expect_column_pair_values_to_be_equal", column_A="low", column_B="high"),
]


def test_every_kind_of_rule_has_canaries(spark):
    birds = canaries(KINDS, RULES)
    assert not_covered(KINDS, RULES) == []
    found = (
        judged(spark, KINDS, RULES, list(birds.values())).orderBy("__line").select("__verdict", "__reasons").collect()
    )
    assert [(v, list(r)) for v, r in found] == [("rejected", [r.id]) for r in RULES]


def test_a_rule_that_no_value_breaks_alone_is_named():
    table = table_of({"a": "string", "b": "string"})
    rules = [
        rule("a_given", "quarantine", "expect_column_values_to_not_be_null", column="a"),
        rule("one_letter", "quarantine", "expect_column_values_to_match_regex", column="a", regex="^[ab]$"),
        rule("a_or_b", "quarantine", "expect_column_values_to_be_in_set", column="a", value_set=["a", "b"]),
        rule("look_around", "quarantine", "expect_column_values_to_match_regex", column="b", regex="^(?=x)y?x$"),
        rule("one_each", "quarantine", "expect_column_values_to_be_unique", column="b"),
        rule("b_mostly", "warn", "expect_column_values_to_not_be_null", column="b"),
    ]
    assert [r.id for r in not_covered(table, rules)] == ["one_letter", "a_or_b", "one_each"]


@pytest.mark.parametrize(
    "regex", [r"^\d{19}$", r"^([01]\d|2[0-3]):[0-5]\d$", r"^(a|b)+c?$", r"^[A-F0-9]{4}-\w*$", r"x\.y", "^(?:ab){2}$"]
)
def test_texts_are_made_of_simple_forms(regex):
    import re

    texts = [matching(regex, n) for n in range(3)]
    assert all(text is not None and re.search(regex, text) for text in texts)


def test_texts_of_one_form_differ():
    assert len({matching(r"^\d{10}$", n) for n in range(50)}) == 50
    assert matching("^(?=a)b$") is None


def test_canaries_ride_along_with_a_load(spark):
    """Beside real rows, through the load's own steps: all of them rejected, and not a real row with them."""
    from jobs.load import _with_canaries
    from jobs.quality.canaries import CANARY

    _, table = BANKS["bronze.core_customers"]
    rules = load("demo").rules(table)
    real = next(iter(canaries(table, rules).values())) | {"customer_no": "1234567890"}
    rows = rows_of(spark, table, [real]).withColumn("__sealed", F.lit(None).cast("binary"))
    typed = cast(_with_canaries(spark, table, rules, rows, dict(rows.dtypes)), table, zone=ZONE)
    hashed = typed.withColumn("__row_hash", row_hash(list(table.physical_columns)))
    found = judge(hashed, rules, within=["__delivery_id"], order=["__line"], already=F.col("__cast_errors"))
    counted = {(d, v): n for d, v, n in found.groupBy("__delivery_id", "__verdict").count().collect()}
    assert counted == {("d1", "accepted"): 1, (CANARY, "rejected"): len(canaries(table, rules))}
