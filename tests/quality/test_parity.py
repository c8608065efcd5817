"""Our marks and counts against a full run of Great Expectations on the same rows: the same success and the same number of
unexpected rows for every expectation that a contract may use.

One difference is meant: of equal copies Great Expectations counts all, we count none, for one of them is good.
"""

from __future__ import annotations

from typing import Any

import great_expectations as gx
import pytest
from great_expectations.expectations.registry import get_expectation_impl
from pyspark.sql import DataFrame, SparkSession

from jobs.contracts.expectations import KNOWN
from jobs.contracts.model import Table
from jobs.quality.gate import NULLS, evaluate
from tests.quality.small import contract, judged, measured, rule

COLUMNS = {
    "id": "string",
    "channel": "string",
    "journal": "int",
    "amount": "decimal(18,2)",
    "fee": "decimal(18,2)",
    "opened": "date",
    "closed": "date",
    "is_online": "boolean",
}
# Every copy differs in its contents, so that ours and theirs mean the same.
ROWS = """
    id | channel | journal | amount  | fee  | opened     | closed     | is_online
    a  | web     | 1       | 10.00   | 0.10 | 2026-09-01 | 2026-09-02 | true
    b  | mobile  | 1       | -5.00   | 5    | 2026-09-02 | 2026-09-02 | false
    b  | fax     | 2       | 0       | 0    | 2026-09-03 | 2026-09-01 |
       | WEB     | 2       |         | 0.2  | 2026-09-04 |            | true
    c  |         |         | 1000.01 | 0.10 |            | 2026-09-05 | true
    c  | w       |         | 0.01    |      | 2026-12-31 | 2027-01-01 | false
"""
RULES: list[dict[str, Any]] = [
    rule("r", "column_values_to_not_be_null", column="amount"),
    rule("r", "column_values_to_not_be_null", column="id"),
    rule("r", "column_values_to_be_between", column="amount", min_value=0),
    rule("r", "column_values_to_be_between", column="amount", min_value=0, strict_min=True),
    rule("r", "column_values_to_be_between", column="amount", min_value=-5, max_value=1000.01),
    rule("r", "column_values_to_be_between", column="amount", max_value=10, strict_max=True),
    rule("r", "column_values_to_be_between", column="journal", min_value=2),
    rule("r", "column_values_to_be_between", column="opened", min_value="2026-09-02", max_value="2026-09-30"),
    rule("r", "column_values_to_be_in_set", column="channel", value_set=["web", "mobile"]),
    rule("r", "column_values_to_be_in_set", column="is_online", value_set=[True]),
    rule("r", "column_values_to_be_in_set", column="journal", value_set=[1, 3]),
    rule("r", "column_values_to_not_be_in_set", column="channel", value_set=["fax"]),
    rule("r", "column_values_to_match_regex", column="channel", regex="^[a-z]+$"),
    rule("r", "column_values_to_match_regex", column="channel", regex="eb"),
    rule("r", "column_values_to_not_match_regex", column="channel", regex="[A-Z]"),
    rule("r", "column_value_lengths_to_be_between", column="channel", min_value=2, max_value=3),
    rule("r", "column_value_lengths_to_be_between", column="channel", min_value=3, strict_min=True),
    rule("r", "column_value_lengths_to_equal", column="channel", value=3),
    rule("r", "column_pair_values_a_to_be_greater_than_b", column_A="closed", column_B="opened"),
    rule("r", "column_pair_values_a_to_be_greater_than_b", column_A="closed", column_B="opened", or_equal=True),
    rule("r", "column_pair_values_to_be_equal", column_A="closed", column_B="opened"),
    rule("r", "column_values_to_be_unique", column="id"),
    rule("r", "compound_columns_to_be_unique", column_list=["journal", "is_online"]),
    rule("r", "compound_columns_to_be_unique", column_list=["id", "journal"]),
    rule("r", "column_values_to_not_be_null", "warn", column="journal", mostly=0.5),
    rule("r", "column_values_to_not_be_null", "warn", column="journal", mostly=0.9),
    rule("r", "column_values_to_be_in_set", "warn", column="channel", value_set=["web", "mobile"], mostly=0.4),
    rule("r", "column_values_to_be_in_set", "hold", column="channel", value_set=["web", "mobile"], mostly=0.41),
    rule("r", "column_pair_values_to_be_equal", "stop", column_A="closed", column_B="opened", mostly=0.25),
    rule("r", "column_values_to_be_unique", "stop", column="id"),
    rule("r", "table_row_count_to_be_between", "stop", min_value=6, max_value=6),
    rule("r", "table_row_count_to_be_between", "stop", min_value=7),
    rule("r", "column_sum_to_be_between", "warn", column="amount", min_value=1005.02, max_value=1005.02),
    rule("r", "column_sum_to_be_between", "warn", column="amount", min_value=1005.03),
    rule("r", "column_sum_to_be_between", "warn", column="fee", max_value=5.4, strict_max=True),
    rule("r", "column_mean_to_be_between", "warn", column="amount", min_value=201, max_value=201.1),
    rule("r", "column_mean_to_be_between", "warn", column="journal", max_value=1.5, strict_max=True),
    rule("r", "column_min_to_be_between", "warn", column="amount", min_value=-5),
    rule("r", "column_min_to_be_between", "warn", column="opened", min_value="2026-09-02"),
    rule("r", "column_max_to_be_between", "hold", column="amount", max_value=1000),
    rule("r", "column_max_to_be_between", "hold", column="closed", max_value="2026-12-31"),
    rule("r", "column_max_to_be_between", "hold", column="closed", max_value="2027-01-01"),
    rule("r", "column_unique_value_count_to_be_between", "warn", column="channel", min_value=5, max_value=5),
    rule("r", "column_unique_value_count_to_be_between", "warn", column="journal", max_value=1),
    rule("r", "column_proportion_of_non_null_values_to_be_between", "warn", column="amount", min_value=0.8),
    rule("r", "column_proportion_of_non_null_values_to_be_between", "warn", column="amount", min_value=0.9),
]
COUNTS = ("element_count", "unexpected_count", "missing_count", "unexpected_percent", "observed_value")


def table_with(one: dict[str, Any]) -> Table:
    return contract(COLUMNS, [one], primaryKey=[])


@pytest.fixture(scope="module")
def batch(spark: SparkSession):  # type: ignore[no-untyped-def]
    """The same rows, cast but not judged, as Great Expectations reads them."""
    typed = judged(spark, contract(COLUMNS, primaryKey=[]), ROWS).select(*COLUMNS)
    source = gx.get_context(mode="ephemeral").data_sources.add_spark("parity", persist=False)
    asset = source.add_dataframe_asset("rows")
    return asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": typed})


def ours(spark: SparkSession, table: Table) -> dict[str, Any]:
    frame: DataFrame = judged(spark, table, ROWS)
    (result,) = evaluate(table, table.all_rules, measured(frame, table), subject="d1").result["results"]
    return result


def theirs(batch: Any, table: Table) -> dict[str, Any]:
    (one,) = table.all_rules
    nulls = {"ignore_row_if": NULLS[one.expectation]} if one.expectation in NULLS else {}
    expectation = get_expectation_impl(one.expectation)(**one.kwargs, **nulls)
    result = batch.validate(expectation, result_format="BASIC").to_json_dict()
    assert not result["exception_info"].get("raised_exception"), result["exception_info"]
    return result


@pytest.mark.parametrize("one", RULES, ids=lambda one: " ".join(map(str, list(one.items())[2])).removeprefix("expect_"))
def test_as_great_expectations(spark: SparkSession, batch: Any, one: dict[str, Any]) -> None:
    table = table_with(one)
    mine, full = ours(spark, table), theirs(batch, table)
    assert mine["success"] == full["success"]
    for count in COUNTS:
        if count in full["result"]:
            wanted = full["result"][count]
            exact = pytest.approx(float(wanted)) if isinstance(wanted, int | float) else wanted
            assert mine["result"][count] == exact, count


def test_every_expectation_is_compared_and_seen_to_fail() -> None:
    assert {next(k for k in one if k.startswith("expect_")) for one in RULES} == KNOWN
