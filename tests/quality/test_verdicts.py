"""What the rules say of one row, and which copy of a row counts."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.quality import verdicts as module
from jobs.quality.verdicts import judge, repeated, row_hash
from tests.quality.small import contract, judged, rule, rows_of, verdicts

MOVEMENTS = contract(
    {"id": "string!", "channel": ["string", {"enum": ["web", "mobile"]}], "amount": "decimal(18,2)!"},
    [rule("amount_positive", "column_values_to_be_between", column="amount", min_value=0, strict_min=True)],
)


def test_a_row_says_every_rule_that_it_breaks(spark: SparkSession) -> None:
    assert verdicts(
        judged(
            spark,
            MOVEMENTS,
            """
            id | channel | amount
            a  | web     | 0.01
            b  | fax     | 0.00
            c  |         |
               | mobile  | 5
            """,
        )
    ) == [
        "a accepted",
        "b rejected channel_known amount_positive",
        "c rejected amount_required",
        "None rejected id_required",
    ]


def test_what_cannot_be_read_is_not_said_to_be_missing_as_well(spark: SparkSession) -> None:
    assert verdicts(
        judged(
            spark,
            MOVEMENTS,
            """
            id | channel | amount | __malformed
            a  | web     | 1,50   |
               |         |        | 3 fields, 4 expected
            """,
        )
    ) == ["a rejected amount_unreadable", "None rejected malformed_line"]


def test_equal_copies_count_once_and_copies_that_differ_not_at_all(spark: SparkSession) -> None:
    assert verdicts(
        judged(
            spark,
            MOVEMENTS,
            """
            id | channel | amount
            a  | web     | 1.00
            a  | web     | 1
            b  | web     | 1
            b  | web     | 2
            b  | web     | 2
            """,
        )
    ) == ["a accepted", "a duplicate", *["b rejected primary_key_unique"] * 3]


def test_a_bad_copy_takes_no_good_one_with_it(spark: SparkSession) -> None:
    assert verdicts(
        judged(
            spark,
            MOVEMENTS,
            """
            id | channel | amount
            a  | web     | -1
            a  | web     | 1
            """,
        )
    ) == ["a rejected amount_positive", "a accepted"]


def test_copies_in_two_deliveries_are_compared_at_silver_not_here(spark: SparkSession) -> None:
    assert verdicts(
        judged(
            spark,
            MOVEMENTS,
            """
            __delivery_id | id | amount
            d1            | a  | 1
            d2            | a  | 2
            """,
        )
    ) == ["a accepted", "a accepted"]


def test_a_null_moved_to_another_column_is_another_row(spark: SparkSession) -> None:
    table = contract({"id": "string!", "payer": "string", "payee": "string"})
    assert (
        verdicts(
            judged(
                spark,
                table,
                """
            id | payer | payee
            a  | x     |
            a  |       | x
            """,
            )
        )
        == ["a rejected primary_key_unique"] * 2
    )


TWO_KEYS = contract(
    {"id": "string!", "journal": "string", "line": "int"},
    [
        rule("one_row_each", "column_values_to_be_unique", column="id"),
        rule("one_booking_each", "compound_columns_to_be_unique", column_list=["journal", "line"]),
    ],
)


def test_two_uniqueness_rules_are_decided_one_after_the_other(spark: SparkSession) -> None:
    assert verdicts(
        judged(
            spark,
            TWO_KEYS,
            """
            id | journal | line
            a  | 7       | 1
            a  | 7       | 01
            b  | 8       | 1
            c  | 8       | 1
            d  | 9       |
            e  | 9       |
            """,
        )
    ) == [
        "a accepted",
        "a duplicate",
        "b rejected one_booking_each",
        "c rejected one_booking_each",
        "d accepted",
        "e accepted",
    ]


@pytest.mark.parametrize("on_fail", ["warn", "hold", "stop"])
def test_rules_that_do_not_quarantine_part_no_row(spark: SparkSession, on_fail: str) -> None:
    table = contract(
        {"id": "string", "amount": "decimal(18,2)"},
        [
            rule("small", "column_values_to_be_between", on_fail, column="amount", max_value=10),
            rule("once", "column_values_to_be_unique", on_fail, column="id"),
        ],
    )
    frame = judged(
        spark,
        table,
        """
        id | amount
        a  | 11
        a  | 1
        b  | 2
        """,
    )
    assert verdicts(frame) == ["a accepted", "a accepted", "b accepted"]
    assert [row["__warnings"] for row in frame.orderBy("__line").collect()] == [["small", "once"], ["once"], []]


def test_a_filtered_row_is_judged_no_further_and_no_copy_of_another(spark: SparkSession) -> None:
    typed = spark.sql(
        "SELECT * FROM VALUES ('a', -1, 'not_booked', 1), ('a', 2, NULL, 2) t(id, amount, __filtered, __line)"
    )
    table = contract(
        {"id": "string!", "amount": "int"},
        [rule("positive", "column_values_to_be_between", column="amount", min_value=0)],
    )
    frame = judge(
        typed.withColumn("__row_hash", row_hash(["id", "amount"])), table.all_rules, within=[], order=["__line"]
    )
    found = [(row["__verdict"], row["__reasons"]) for row in frame.orderBy("__line").collect()]
    assert found == [("filtered", ["not_booked"]), ("accepted", [])]


def test_a_bound_with_decimals_is_exact(spark: SparkSession) -> None:
    table = contract(
        {"id": "string", "rate": "decimal(38,18)"},
        [rule("above", "column_values_to_be_between", column="rate", min_value=0.1, strict_min=True)],
    )
    assert verdicts(
        judged(
            spark,
            table,
            """
            id | rate
            a  | 0.1
            b  | 0.100000000000000001
            """,
        )
    ) == ["a rejected above", "b accepted"]


@pytest.fixture
def delivery(tmp_path: Path, spark: SparkSession):  # type: ignore[no-untyped-def]
    def write(table, text: str) -> str:  # type: ignore[no-untyped-def]
        path = tmp_path / "d1.parquet"
        pq.write_table(pa.table(rows_of(spark, table, text).toArrow()), path)
        return str(path)

    return write


COPIES = """
    id | channel | amount
    a  | web     | 1
    b  | web     | 2
    b  | web     | 2.00
    c  | web     | 3
    c  | web     | 4
    c  | fax     | 3
"""


def test_suspects_found_beforehand_change_no_verdict(spark: SparkSession, delivery) -> None:  # type: ignore[no-untyped-def]
    suspects = repeated([delivery(MOVEMENTS, COPIES)], MOVEMENTS, MOVEMENTS.all_rules)
    assert {rule_id: sorted(keys) for rule_id, keys in suspects.items()} == {"primary_key_unique": [("b",), ("c",)]}
    assert verdicts(judged(spark, MOVEMENTS, COPIES, suspects=suspects)) == verdicts(judged(spark, MOVEMENTS, COPIES))


def test_two_spellings_of_one_amount_are_one_key(spark: SparkSession, delivery) -> None:  # type: ignore[no-untyped-def]
    table = contract({"id": "string!", "amount": "decimal(18,2)!"}, key="id amount")
    text = """
        id | amount
        a  | 1.0
        a  | 1.00
    """
    suspects = repeated([delivery(table, text)], table, table.all_rules)
    assert suspects == {"primary_key_unique": [("a",)]}
    assert verdicts(judged(spark, table, text, suspects=suspects)) == ["a accepted", "a duplicate"]


def test_too_many_suspects_are_not_named(spark: SparkSession, delivery, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(module, "MOST_SUSPECTS", 1)
    assert repeated([delivery(MOVEMENTS, COPIES)], MOVEMENTS, MOVEMENTS.all_rules) == {}


def test_without_repeated_keys_no_row_is_shuffled(spark: SparkSession) -> None:
    frame = judged(spark, MOVEMENTS, COPIES, suspects={"primary_key_unique": []})
    plan = frame._explain_string() if hasattr(frame, "_explain_string") else ""
    assert "Window" not in plan
    assert "Exchange" not in plan
    assert frame.where(F.col("__verdict") == "accepted").count() == 5
