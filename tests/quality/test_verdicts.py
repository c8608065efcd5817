"""What happens to a row: each rule by itself, then copies of one key."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from jobs.quality.casting import cast
from jobs.quality.verdicts import judge, repeated, row_hash
from tests.quality.tools import ZONE, rows_of, rule, table_of
from tests.tables import literal_frame

COLUMNS = {"n": "int", "amount": "decimal(18,2)", "word": "string", "day": "date", "until": "date"}
# Expectation, kwargs, the column it is shown on, values that keep it, values that break it. A null keeps all but the first.
ROW_RULES = {
    "given": ("expect_column_values_to_not_be_null", {"column": "n"}, "n", ["0"], [None]),
    "between": ("expect_column_values_to_be_between", {"column": "n", "min_value": 1, "max_value": 3}, "n", ["1", "3", None], ["0", "4"]),
    "strictly": ("expect_column_values_to_be_between", {"column": "amount", "min_value": 0, "strict_min": True}, "amount", ["0.01", None], ["0", "-1"]),
    "below": ("expect_column_values_to_be_between", {"column": "amount", "max_value": 0.36, "strict_max": True}, "amount", ["0.35"], ["0.36"]),
    "tenth": ("expect_column_values_to_be_in_set", {"column": "amount", "value_set": [0.1, 7]}, "amount", ["0.10", "7", None], ["0.11"]),
    "since": ("expect_column_values_to_be_between", {"column": "day", "min_value": "2026-01-01"}, "day", ["2026-01-01", None], ["2025-12-31"]),
    "known": ("expect_column_values_to_be_in_set", {"column": "word", "value_set": ["a", "b"]}, "word", ["a", None], ["c", "A", ""]),
    "not_known": ("expect_column_values_to_not_be_in_set", {"column": "word", "value_set": ["a", "b"]}, "word", ["c", None], ["a"]),
    "form": ("expect_column_values_to_match_regex", {"column": "word", "regex": r"^\d{2}$"}, "word", ["12", None], ["1", "123", ""]),
    "anywhere": ("expect_column_values_to_match_regex", {"column": "word", "regex": "x"}, "word", ["axb"], ["ab"]),
    "not_form": ("expect_column_values_to_not_match_regex", {"column": "word", "regex": "^test"}, "word", ["a test", None], ["tests"]),
    "lengths": ("expect_column_value_lengths_to_be_between", {"column": "word", "min_value": 1, "max_value": 2}, "word", ["银行", None], ["", "abc"]),
    "length": ("expect_column_value_lengths_to_equal", {"column": "word", "value": 2}, "word", ["银行", None], ["a", "abc"]),
    "after": ("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "until", "column_B": "day"}, "until", ["2026-06-02", None],
              ["2026-06-01", "2026-05-31"]),
    "not_before": ("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "until", "column_B": "day", "or_equal": True}, "until",
                   ["2026-06-01", None], ["2026-05-31"]),
    "same": ("expect_column_pair_values_to_be_equal", {"column_A": "until", "column_B": "day"}, "until", ["2026-06-01", None], ["2026-06-02"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def caught(spark):
    """(rule, value) -> is the row among those that the rule caught. One query for all."""
    cases = [(name, value) for name, (_, _, _, good, bad) in ROW_RULES.items() for value in [*good, *bad]]
    rows = [{"day": "2026-06-01" if name != "since" else None, ROW_RULES[name][2]: value} for name, value in cases]
    rules = [rule(name, "quarantine", expectation, **kwargs) for name, (expectation, kwargs, *_) in ROW_RULES.items()]
    frame = literal_frame(
        spark, [{"__line": i, **row} for i, row in enumerate(rows)], {"__line": "bigint", **COLUMNS}
    ).withColumn("__row_hash", F.lit(0))
    found = judge(frame, rules, within=[], order=["__line"]).orderBy("__line").select("__reasons").collect()
    return {case: case[0] in reasons for case, (reasons,) in zip(cases, found, strict=True)}


@pytest.mark.parametrize("name", ROW_RULES)
def test_a_row_rule_catches_what_breaks_it_and_nulls_pass(caught, name):
    *_, good, bad = ROW_RULES[name]
    assert {v: caught[name, v] for v in [*good, *bad]} == {v: v in bad for v in [*good, *bad]}


THINGS = table_of(
    {"id": "string", "part": "int", "amount": "decimal(9,2)", "day": "date"}, money="amount", primaryKey=["id"]
)
RULES = [
    rule("positive", "quarantine", "expect_column_values_to_be_between", column="amount", min_value=0),
    rule("one_each", "quarantine", "expect_compound_columns_to_be_unique", column_list=["id", "part"]),
    rule("small", "warn", "expect_column_values_to_be_between", column="amount", max_value=100),
]
STORY = [
    # line, id, part, amount -> verdict, reasons
    ("a", "1", "1.00", "accepted", []),
    ("a", "01", "1", "duplicate", []),  # the same number, the same amount
    ("b", "1", "1.00", "rejected", ["one_each"]),
    ("b", "1", "2.00", "rejected", ["one_each"]),
    ("c", "1", "5.00", "accepted", []),  # its copy is bad by itself and takes no part
    ("c", "1", "-5.00", "rejected", ["positive"]),
    ("d", "1", "x", "rejected", ["amount_unreadable"]),
    ("e", None, "1.00", "accepted", []),  # a key with a null in it is compared with nothing
    ("e", None, "1.00", "accepted", []),
    ("f", "2", "700.00", "accepted", []),  # warned, kept
    ("g", "1", "1.00", "duplicate", []),  # the same twice, sent three times
    ("g", "1", "1.00", "duplicate", []),
    ("g", "1", "1.00", "accepted", []),
]


def told(spark, rows, suspects, deliveries=None):
    # The first of `g` by order of lines is the last of the list: lines count down.
    texts = [
        {
            "id": i,
            "part": p,
            "amount": a,
            "day": "2026-09-15",
            "__line": 100 - n if i == "g" else n,
            "__delivery_id": (deliveries or {}).get(n, "d1"),
        }
        for n, (i, p, a, *_) in enumerate(rows)
    ]
    typed = cast(rows_of(spark, THINGS, texts), THINGS, zone=ZONE)
    hashed = typed.withColumn("__row_hash", row_hash(list(THINGS.physical_columns)))
    judged = judge(
        hashed, RULES, within=["__delivery_id", "day"], order=["__line"], already=F.col("__cast_errors"), suspects=suspects
    )  # fmt: skip
    found = {(r["__line"]): r for r in judged.select("__line", "__verdict", "__reasons", "__warnings").collect()}
    return [found[t["__line"]] for t in texts]


def suspects_of(tmp_path, rows):
    path = str(tmp_path / "rows.parquet")
    columns = list(zip(*[(i, p, a) for i, p, a, *_ in rows], strict=True))
    pq.write_table(
        pa.table({"id": columns[0], "part": columns[1], "amount": columns[2], "__delivery_id": ["d1"] * len(rows)}),
        path,
    )
    return repeated([path], THINGS, RULES)


@pytest.mark.parametrize("path", ["every row is compared", "only suspects are"])
def test_copies_of_a_key(spark, tmp_path, path):
    suspects = suspects_of(tmp_path, STORY) if path == "only suspects are" else None
    found = told(spark, STORY, suspects)
    assert [(r["__verdict"], list(r["__reasons"])) for r in found] == [
        (verdict, reasons) for *_, verdict, reasons in STORY
    ]
    assert [list(r["__warnings"]) for r in found] == [["small"] if row[2] == "700.00" else [] for row in STORY]


def test_suspects_are_the_keys_that_stand_twice(tmp_path):
    assert sorted(suspects_of(tmp_path, STORY)["one_each"]) == [("a", 1), ("b", 1), ("c", 1), ("g", 1)]
    assert suspects_of(tmp_path, [("a", "1", "1"), ("b", "1", "1")]) == {"one_each": []}


def test_without_suspects_no_row_is_compared(spark):
    rows = [("a", "1", "1.00"), ("b", "1", "1.00")]
    assert [r["__verdict"] for r in told(spark, rows, {"one_each": []})] == ["accepted", "accepted"]


def test_two_deliveries_do_not_see_each_other(spark):
    rows = [("a", "1", "1.00"), ("a", "1", "2.00")]
    assert [r["__verdict"] for r in told(spark, rows, None, {1: "d2"})] == ["accepted", "accepted"]


def test_a_filtered_row_is_judged_no_further(spark):
    rows = [{"n": "9", "word": "a", "__filtered": "is_person"}, {"n": "9", "word": "a"}]
    frame = literal_frame(spark, rows, {"n": "int", "word": "string", "__filtered": "string"}).withColumn(
        "__row_hash", F.lit(0)
    )
    rules = [
        rule("low", "quarantine", "expect_column_values_to_be_between", column="n", max_value=3),
        rule("once", "quarantine", "expect_column_values_to_be_unique", column="word"),
        rule("b", "warn", "expect_column_values_to_be_in_set", column="word", value_set=["b"]),
    ]
    found = (
        judge(frame, rules, within=[], order=["n"], filtered=True)
        .orderBy(F.col("__filtered").asc_nulls_last())
        .collect()
    )
    assert [(r["__verdict"], r["__reasons"], r["__warnings"]) for r in found] == [
        ("filtered", ["is_person"], []),
        ("rejected", ["low"], ["b"]),
    ]


def test_uniqueness_that_only_warns_parts_no_row(spark):
    frame = literal_frame(spark, [{"n": "1"}, {"n": "1"}, {"n": "2"}], {"n": "int"}).withColumn(
        "__row_hash", F.hash("n")
    )
    found = (
        judge(frame, [rule("once", "warn", "expect_column_values_to_be_unique", column="n")], within=[], order=["n"])
        .orderBy("n")
        .collect()
    )
    assert [(r["__verdict"], r["__warnings"]) for r in found] == [
        ("accepted", ["once"]),
        ("accepted", ["once"]),
        ("accepted", []),
    ]


def test_a_null_counts_in_the_hash(spark):
    frame = literal_frame(spark, [{"a": "1"}, {"b": "1"}], {"a": "int", "b": "int"})
    first, second = frame.select(row_hash(["a", "b"])).collect()
    assert first != second
