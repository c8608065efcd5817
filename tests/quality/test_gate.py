"""A gate says which promises were kept, in Great Expectations' words, and a gate that cannot judge says so. That its numbers
are Great Expectations' own: test_parity.py."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from pyspark.sql import functions as F

from jobs.contracts.expectations import KNOWN
from jobs.quality.gate import GateError, evaluate
from jobs.quality.metrics import nothing, storable
from jobs.quality.verdicts import judge, row_hash
from tests.quality.tools import measured, rule, table_of
from tests.tables import literal_frame

COLUMNS = {"id": "int", "amount": "decimal(9,2)", "word": "string", "low": "int", "high": "int"}
ROWS = [
    {"id": "1", "amount": "1.50", "word": "ab", "low": "1", "high": "2"},
    {"id": "2", "amount": "2.50", "word": "cd", "low": "2", "high": "2"},
    {"id": "3", "amount": "-4.00", "word": None, "low": "3", "high": None},
    {"id": "4", "amount": "8.00", "word": "ab", "low": None, "high": None},
    {"id": "4", "amount": None, "word": "xyz", "low": "5", "high": "4"},
    {"id": None, "amount": "0.00", "word": "", "low": "1", "high": "2"},
]
# Expectation -> kwargs with which these rows keep it, kwargs with which they break it.
CASES = {
    "expect_column_values_to_not_be_null": ({"column": "low", "mostly": 0.8}, {"column": "low"}),
    "expect_column_values_to_be_between": ({"column": "amount", "min_value": -4, "max_value": 8}, {"column": "amount", "min_value": 0, "strict_min": True}),
    "expect_column_values_to_be_in_set": ({"column": "word", "value_set": ["ab", "cd", "xyz", ""]}, {"column": "word", "value_set": ["ab", "cd"]}),
    "expect_column_values_to_not_be_in_set": ({"column": "word", "value_set": ["q"]}, {"column": "word", "value_set": ["ab"]}),
    "expect_column_values_to_match_regex": ({"column": "word", "regex": "^[a-z]*$"}, {"column": "word", "regex": "^[a-d]{2}$", "mostly": 0.61}),
    "expect_column_values_to_not_match_regex": ({"column": "word", "regex": "^q"}, {"column": "word", "regex": "^x"}),
    "expect_column_value_lengths_to_be_between": ({"column": "word", "min_value": 2, "mostly": 0.8}, {"column": "word", "min_value": 1, "max_value": 2}),
    "expect_column_value_lengths_to_equal": ({"column": "word", "value": 2, "mostly": 0.6}, {"column": "word", "value": 2}),
    "expect_column_pair_values_a_to_be_greater_than_b": ({"column_A": "high", "column_B": "low", "or_equal": True, "mostly": 0.75},
                                                         {"column_A": "high", "column_B": "low"}),
    "expect_column_pair_values_to_be_equal": ({"column_A": "low", "column_B": "low"}, {"column_A": "high", "column_B": "low"}),
    "expect_column_values_to_be_unique": ({"column": "amount"}, {"column": "id"}),
    "expect_compound_columns_to_be_unique": ({"column_list": ["id", "word"]}, {"column_list": ["low", "high"]}),
    "expect_table_row_count_to_be_between": ({"min_value": 6, "max_value": 6}, {"min_value": 7}),
    "expect_column_sum_to_be_between": ({"column": "amount", "min_value": 8, "max_value": 8}, {"column": "amount", "max_value": 7.99}),
    "expect_column_mean_to_be_between": ({"column": "amount", "min_value": 1.6, "max_value": 1.6}, {"column": "amount", "max_value": 1.5}),
    "expect_column_min_to_be_between": ({"column": "amount", "min_value": -4}, {"column": "amount", "min_value": -4, "strict_min": True}),
    "expect_column_max_to_be_between": ({"column": "amount", "max_value": 8}, {"column": "amount", "max_value": 7}),
    "expect_column_proportion_of_non_null_values_to_be_between": ({"column": "word", "min_value": 0.8}, {"column": "word", "min_value": 0.9}),
    "expect_column_unique_value_count_to_be_between": ({"column": "word", "min_value": 4, "max_value": 4}, {"column": "word", "max_value": 3}),
}  # fmt: skip
ALL = [(name, kept) for name in sorted(CASES) for kept in (True, False)]
THINGS = table_of(COLUMNS, money="amount")


def rule_id(name: str, kept: bool) -> str:
    return f"{'kept' if kept else 'broken'}_{name}"


def rule_of(name: str, kept: bool, on_fail: str = "hold"):
    return rule(rule_id(name, kept), on_fail, name, **CASES[name][0 if kept else 1])


@pytest.fixture(scope="module")
def metrics(spark, tmp_path_factory):
    """Of the rows judged by all rules at once, none of which parts rows."""
    rules = [rule_of(*case) for case in ALL]
    frame = literal_frame(spark, [{"__line": n, **row} for n, row in enumerate(ROWS)], {"__line": "bigint", **COLUMNS})
    judged = judge(frame.withColumn("__row_hash", row_hash(list(COLUMNS))), rules, within=[], order=["__line"])
    raw = judged.withColumn("__raw", F.lit(None).cast("map<string,string>"))
    return measured(tmp_path_factory.mktemp("things"), raw, THINGS, rules)


def test_every_supported_expectation_is_shown():
    assert set(CASES) == KNOWN


@pytest.mark.parametrize(("name", "kept"), ALL)
def test_a_promise_is_kept_or_broken(metrics, name, kept):
    gate = evaluate(THINGS, [rule_of(name, kept)], metrics, subject="d1")
    (result,) = gate.result["results"]
    assert result["success"] is kept
    assert gate.outcome == ("pass" if kept else "hold")


@pytest.mark.parametrize(("name", "kept"), ALL)
def test_metrics_read_back_from_the_ledger_give_the_same_verdict(metrics, name, kept):
    one = rule_of(name, kept)
    kept_as = json.loads(json.dumps(storable(metrics)))
    fresh, again = (evaluate(THINGS, [one], m, subject="d1") for m in (metrics, kept_as))
    assert (again.outcome, again.failed, again.result["results"]) == (
        fresh.outcome,
        fresh.failed,
        fresh.result["results"],
    )


@pytest.mark.parametrize(("name", "kept"), [case for case in ALL if not case[1]])
def test_a_broken_rule_has_a_sentence_and_shows_no_value(metrics, name, kept):
    gate = evaluate(THINGS, [rule_of(name, kept)], metrics, subject="d1")
    (failed,) = gate.failed
    assert failed["sentence"].startswith("bronze.things: ") and "A person decides" in failed["sentence"]
    assert "partial_unexpected" not in json.dumps(gate.result)


@pytest.mark.parametrize("on_fail", ["warn", "hold", "stop"])
def test_each_severity_is_the_outcome(metrics, on_fail):
    name = "expect_table_row_count_to_be_between"
    one = rule(rule_id(name, False), on_fail, name, min_value=7)
    assert evaluate(THINGS, [one], metrics, subject="d1").outcome == on_fail


def test_the_gravest_rule_decides_and_speaks_first(metrics):
    name = "expect_table_row_count_to_be_between"
    rules = [rule(f"of_{severity}", severity, name, min_value=7) for severity in ("warn", "stop", "hold")]
    gate = evaluate(THINGS, rules, metrics, subject="d1")
    assert (gate.outcome, gate.rules_run) == ("stop", 3)
    assert gate.sentence().index("Nothing of it is released") < gate.sentence().index("A person decides")


def test_rows_that_were_parted_do_not_change_the_outcome(spark, tmp_path):
    rules = [
        rule(
            "positive",
            "quarantine",
            "expect_column_values_to_be_between",
            column="amount",
            min_value=0,
            strict_min=True,
        ),
        rule("word_given", "quarantine", "expect_column_values_to_not_be_null", column="word"),
        rule("sum_small", "hold", "expect_column_sum_to_be_between", column="amount", max_value=5),
    ]
    frame = literal_frame(
        spark, [{"__line": n, **row} for n, row in enumerate(ROWS[:3])], {"__line": "bigint", **COLUMNS}
    )
    judged = judge(frame.withColumn("__row_hash", row_hash(list(COLUMNS))), rules, within=[], order=["__line"])
    found = measured(tmp_path, judged.withColumn("__raw", F.lit(None).cast("map<string,string>")), THINGS, rules)
    gate = evaluate(THINGS, rules, found, subject="d1")
    assert gate.outcome == "pass"
    assert [(f["rule"], f["unexpected"], f["money"]) for f in gate.failed] == [
        ("positive", 1, "-4"),
        ("word_given", 1, "-4"),
    ]
    assert (found["accepted_rows"], found["rejected_rows"], found["sum__amount"]) == (2, 1, Decimal("4.00"))


@pytest.mark.parametrize(("name", "kept"), [case for case in ALL if case[1]])
def test_a_metric_that_was_not_gathered_is_an_error_of_the_machinery(metrics, name, kept):
    one = rule_of(name, kept)
    needed = 0
    for missing in metrics:
        try:
            evaluate(THINGS, [one], {k: v for k, v in metrics.items() if k != missing}, subject="d1")
        except GateError as error:
            assert missing in str(error)
            needed += 1
    assert needed >= (1 if name == "expect_table_row_count_to_be_between" else 2)


def test_a_rule_that_cannot_be_judged_is_an_error_of_the_machinery(metrics):
    absurd = rule("absurd", "stop", "expect_column_sum_to_be_between", column="amount", min_value="nine")
    with pytest.raises(GateError, match="absurd"):
        evaluate(THINGS, [absurd], metrics, subject="d1")


def test_an_empty_gate_never_passes(metrics):
    with pytest.raises(GateError, match="no rule"):
        evaluate(THINGS, [], metrics, subject="d1")


def test_a_table_without_rows_is_judged(spark):
    rules = [rule_of(*case) for case in ALL if case[1]]
    gate = evaluate(THINGS, rules, nothing(THINGS, rules), subject="d1")
    assert gate.rules_run == len(rules)
    assert rule_id("expect_table_row_count_to_be_between", True) in {f["rule"] for f in gate.failed}


def test_a_bound_on_values_says_nothing_of_a_table_without_rows(metrics):
    bounds = [
        rule(name, "stop", f"expect_column_{name}_to_be_between", column="amount", min_value=100)
        for name in ("sum", "mean", "min", "max")
    ]
    assert evaluate(THINGS, bounds, nothing(THINGS, bounds), subject="d1").outcome == "pass"
    valueless = {**nothing(THINGS, bounds), "accepted_rows": 3}
    assert evaluate(THINGS, bounds, valueless, subject="d1").outcome == "stop"
