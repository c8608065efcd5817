"""What is counted of a write: every row once, and all the money that arrived."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.arrival.totals import sum_of
from jobs.quality.balance import Balance
from jobs.quality.casting import cast
from jobs.quality.gate import evaluate
from jobs.quality.metrics import FIRST_MALFORMED, first_malformed, measure, nothing
from jobs.quality.verdicts import judge, row_hash
from tests.quality.tools import ZONE, measured, rows_of, table_of, written

POSITIVE = {
    "id": "positive",
    "onFail": "quarantine",
    "expect_column_values_to_be_between": {"column": "amount", "min_value": 0},
}


def judged(spark: SparkSession, table, rows):  # type: ignore[no-untyped-def]
    typed = cast(rows_of(spark, table, rows), table, zone=ZONE).withColumn("__row_hash", row_hash(["id", "amount"]))
    return judge(typed, table.all_rules, within=[], order=["__line"], already=F.col("__cast_errors"))


@pytest.mark.parametrize(
    ("parse", "texts"),
    [
        # Two that are amounts but not of the column: too many decimals, too many digits; three that are no numbers.
        (None, ["10.00", "-2.50", "1.005", "12345678.00", "1,50", "ten", "", None, " 7 "]),
        ("trailing_minus thousands null(0)", ["1,010.00-", "2.50", "1.005-", "x-", "0", "12,345,678.00"]),
        ("implied(2) trailing_minus", ["1000", "250-", "250+", "12.34", "99999999999-", "x"]),
    ],
)
def test_money_that_came_is_money_that_is_there(
    spark: SparkSession, tmp_path: Path, parse: str | None, texts: list[str | None]
) -> None:
    """Arrival's exact sum, read from the text alone, against the write's."""
    amount = ["decimal(9,2)", {"parse": parse} if parse else {}]
    table = table_of({"id": "string", "amount": amount}, [POSITIVE], money="amount", primaryKey=["id"])
    frame = judged(spark, table, [{"id": str(n), "amount": text} for n, text in enumerate(texts)])
    found = measured(tmp_path, frame, table, table.all_rules)
    came, _ = sum_of(pa.array(texts, pa.string()), table.columns["amount"].way)
    balance = Balance.from_metrics(found, received_rows=len(texts), received_money=came)
    assert balance.is_balanced, balance.sentence()


def test_each_row_is_counted_once_and_each_cause_by_itself(spark: SparkSession, tmp_path: Path) -> None:
    table = table_of({"id": "string!", "amount": "decimal(9,2)"}, [POSITIVE], money="amount", primaryKey=["id"])
    rows = [
        {"id": "a", "amount": "1.00"},
        {"id": "a", "amount": "1.00"},  # an equal copy
        {"id": "b", "amount": "-2.00"},  # breaks two rules with the next
        {"id": None, "amount": "-3.00"},
        {"id": "c", "amount": "lots"},
        {"id": None, "amount": None, "__malformed": "1 field, 2 expected"},
    ]
    files = written(tmp_path, judged(spark, table, rows))
    [found] = measure(files, table, table.all_rules, batch=1)
    wanted = {
        "accepted_rows": 1, "accepted_money": Decimal(1), "duplicate_rows": 1, "duplicate_money": Decimal(1),
        "rejected_rows": 4, "rejected_money": Decimal(-5), "filtered_rows": 0, "broken__positive": 2,
        "money__positive": Decimal(-5), "broken__id_required": 1, "money__id_required": Decimal(-3),
        "unreadable__amount": 1, "malformed_line": 1, "broken__primary_key_unique": 0,
    }  # fmt: skip
    assert {name: found[name] for name in wanted} == wanted
    named = found | {FIRST_MALFORMED: first_malformed(files, batch=1)["d1"]}
    failed = evaluate(table, table.all_rules, named, subject="d1").failed
    causes = {f["rule"]: f["unexpected"] for f in failed}
    assert causes == {"id_required": 1, "positive": 2, "amount_unreadable": 1, "malformed_line": 1}
    [told] = [f["sentence"] for f in failed if f["rule"] == "malformed_line"]
    assert told.startswith(
        f"{table.table}: each record must be one that the source's format can read; 1 row breaks it, line 6: 1 field, 2 expected. "
    )


def test_nothing_has_the_names_of_something(spark: SparkSession, tmp_path: Path) -> None:
    table = table_of({"id": "string!", "amount": "decimal(9,2)"}, [POSITIVE], money="amount", primaryKey=["id"])
    found = measured(tmp_path, judged(spark, table, [{"id": "a", "amount": "1"}]), table, table.all_rules)
    assert set(nothing(table, table.all_rules)) == set(found)
