"""Our marks and counts, made by Spark, against a full run of Great Expectations itself on the same rows in pandas: the same
success and the same number of unexpected rows for every expectation that a contract may use, kept and broken.

One difference is meant, and kept out of these rows: of equal copies Great Expectations counts all, we count all but
one, for that one is good.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
import pytest
from great_expectations.expectations.registry import get_expectation_impl
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.contracts.expectations import BOUNDS, KNOWN, ROW
from jobs.contracts.model import Table
from jobs.quality.casting import cast
from jobs.quality.gate import NULLS, evaluate
from jobs.quality.verdicts import judge, row_hash
from tests.quality.tools import ZONE, measured, rows_of, table_of

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
# Every copy differs in its contents, so that ours and theirs mean the same; sums of fees are exact as floats too.
ROWS = [
    ("a", "web", "1", "10.00", "0.25", "2026-09-01", "2026-09-02", "true"),
    ("b", "mobile", "1", "-5.00", "5", "2026-09-02", "2026-09-02", "false"),
    ("b", "fax", "2", "0", "0", "2026-09-03", "2026-09-01", None),
    (None, "WEB", "2", None, "0.5", "2026-09-04", None, "true"),
    ("c", None, None, "1000.01", "0.25", None, "2026-09-05", "true"),
    ("c", "w", None, "0.01", None, "2026-12-31", "2027-01-01", "false"),
]


def rule(on_fail: str, expectation: str, **kwargs: Any) -> dict[str, Any]:
    return {"onFail": on_fail, f"expect_{expectation}": kwargs}


RULES: list[dict[str, Any]] = [
    rule("quarantine", "column_values_to_not_be_null", column="amount"),
    rule("quarantine", "column_values_to_not_be_null", column="id"),
    rule("quarantine", "column_values_to_be_between", column="amount", min_value=0),
    rule("quarantine", "column_values_to_be_between", column="amount", min_value=0, strict_min=True),
    rule("quarantine", "column_values_to_be_between", column="amount", min_value=-5, max_value=1000.01),
    rule("quarantine", "column_values_to_be_between", column="amount", max_value=10, strict_max=True),
    rule("quarantine", "column_values_to_be_between", column="journal", min_value=2),
    rule("quarantine", "column_values_to_be_between", column="opened", min_value="2026-09-02", max_value="2026-09-30"),
    rule("quarantine", "column_values_to_be_in_set", column="channel", value_set=["web", "mobile"]),
    rule("quarantine", "column_values_to_be_in_set", column="is_online", value_set=[True]),
    rule("quarantine", "column_values_to_be_in_set", column="journal", value_set=[1, 3]),
    rule("quarantine", "column_values_to_not_be_in_set", column="channel", value_set=["fax"]),
    rule("quarantine", "column_values_to_match_regex", column="channel", regex="^[a-z]+$"),
    rule("quarantine", "column_values_to_match_regex", column="channel", regex="eb"),
    rule("quarantine", "column_values_to_not_match_regex", column="channel", regex="[A-Z]"),
    rule("quarantine", "column_value_lengths_to_be_between", column="channel", min_value=2, max_value=3),
    rule("quarantine", "column_value_lengths_to_be_between", column="channel", min_value=3, strict_min=True),
    rule("quarantine", "column_value_lengths_to_equal", column="channel", value=3),
    rule("quarantine", "column_pair_values_a_to_be_greater_than_b", column_A="closed", column_B="opened"),
    rule(
        "quarantine", "column_pair_values_a_to_be_greater_than_b", column_A="closed", column_B="opened", or_equal=True
    ),
    rule("quarantine", "column_pair_values_to_be_equal", column_A="closed", column_B="opened"),
    rule("quarantine", "column_values_to_be_unique", column="id"),
    rule("quarantine", "compound_columns_to_be_unique", column_list=["journal", "is_online"]),
    rule("quarantine", "compound_columns_to_be_unique", column_list=["id", "journal"]),
    rule("warn", "column_values_to_not_be_null", column="journal", mostly=0.5),
    rule("warn", "column_values_to_not_be_null", column="journal", mostly=0.9),
    rule("warn", "column_values_to_be_in_set", column="channel", value_set=["web", "mobile"], mostly=0.4),
    rule("hold", "column_values_to_be_in_set", column="channel", value_set=["web", "mobile"], mostly=0.41),
    rule("stop", "column_pair_values_to_be_equal", column_A="closed", column_B="opened", mostly=0.25),
    rule("stop", "column_values_to_be_unique", column="id"),
    rule("stop", "column_values_to_be_unique", column="amount"),
    rule("stop", "compound_columns_to_be_unique", column_list=["fee", "is_online"]),
    rule("warn", "column_values_to_not_be_in_set", column="channel", value_set=["atm"]),
    rule("warn", "column_values_to_match_regex", column="channel", regex="^[A-Za-z]*$"),
    rule("warn", "column_values_to_not_match_regex", column="channel", regex="[0-9]"),
    rule("warn", "column_value_lengths_to_be_between", column="channel", min_value=1, max_value=6),
    rule("warn", "column_value_lengths_to_equal", column="channel", value=3, mostly=0.6),
    rule(
        "warn",
        "column_pair_values_a_to_be_greater_than_b",
        column_A="closed",
        column_B="opened",
        or_equal=True,
        mostly=0.75,
    ),
    rule("stop", "table_row_count_to_be_between", min_value=6, max_value=6),
    rule("stop", "table_row_count_to_be_between", min_value=7),
    rule("warn", "column_sum_to_be_between", column="amount", min_value=1005.02, max_value=1005.02),
    rule("warn", "column_sum_to_be_between", column="amount", min_value=1005.03),
    rule("warn", "column_sum_to_be_between", column="fee", max_value=6, strict_max=True),
    rule("warn", "column_mean_to_be_between", column="amount", min_value=201, max_value=201.1),
    rule("warn", "column_mean_to_be_between", column="journal", max_value=1.5, strict_max=True),
    rule("warn", "column_min_to_be_between", column="amount", min_value=-5),
    rule("warn", "column_min_to_be_between", column="opened", min_value="2026-09-02"),
    rule("hold", "column_max_to_be_between", column="amount", max_value=1000),
    rule("hold", "column_max_to_be_between", column="closed", max_value="2026-12-31"),
    rule("hold", "column_max_to_be_between", column="closed", max_value="2027-01-01"),
    rule("warn", "column_unique_value_count_to_be_between", column="channel", min_value=5, max_value=5),
    rule("warn", "column_unique_value_count_to_be_between", column="journal", max_value=1),
    rule("warn", "column_proportion_of_non_null_values_to_be_between", column="amount", min_value=0.8),
    rule("warn", "column_proportion_of_non_null_values_to_be_between", column="amount", min_value=0.9),
]
COUNTS = ("element_count", "unexpected_count", "missing_count", "unexpected_percent", "observed_value")


RULES = [{"id": f"r{n}", **one} for n, one in enumerate(RULES)]


def ours(spark: SparkSession, path: Path, rules: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Rule -> Great Expectations' result from the metrics of one judged write."""
    table = table_of(COLUMNS, rules)
    hashed = typed(spark, table).withColumn("__row_hash", row_hash(list(COLUMNS)))
    frame = judge(hashed, table.rules, within=[], order=["__line"], already=F.col("__cast_errors"))
    found = evaluate(table, table.rules, measured(path, frame, table, table.rules), subject="d1").result["results"]
    return {result["expectation_config"]["meta"]["id"]: result for result in found}


def typed(spark: SparkSession, table: Table) -> DataFrame:
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
    return cast(rows_of(spark, table, rows), table, zone=ZONE)


@pytest.fixture(scope="module")
def mine(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Rules that part rows change what the others see: each uniqueness rule is judged alone, the rest by kind."""
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for one in RULES:
        (name,) = (k for k in one if k.startswith("expect_"))
        alone = one["onFail"] == "quarantine" and name not in ROW
        by_kind.setdefault(one["id"] if alone else str(one["onFail"] == "quarantine"), []).append(one)
    path = tmp_path_factory.mktemp("parity")
    results: dict[str, dict[str, Any]] = {}
    for kind, rules in by_kind.items():
        results |= ours(spark, path / kind, rules)
    return results


@pytest.fixture(scope="module")
def theirs() -> dict[str, dict[str, Any]]:
    """Rule -> the result of Great Expectations' own run over the same rows, in pandas."""
    table = table_of(COLUMNS, RULES)
    values = {c: [_typed(kind, row[n]) for row in ROWS] for n, (c, kind) in enumerate(COLUMNS.items())}
    source = gx.get_context(mode="ephemeral").data_sources.add_pandas("parity")
    asset = source.add_dataframe_asset("rows")
    data = pd.DataFrame({c: pd.Series(each, dtype=object) for c, each in values.items()})
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": data})
    suite = gx.ExpectationSuite("parity")
    for one in table.rules:
        nulls = {"ignore_row_if": NULLS[one.expectation]} if one.expectation in NULLS else {}
        # pandas compares a date only with a date.
        is_date = one.columns and COLUMNS[one.columns[0]] == "date"
        bounds = {k: date.fromisoformat(one.kwargs[k]) for k in BOUNDS & set(one.kwargs) if is_date}
        kwargs = {**one.kwargs, **bounds, **nulls}
        suite.expectations.append(get_expectation_impl(one.expectation)(**kwargs, meta={"id": one.id}))
    results = batch.validate(suite, result_format="BASIC").to_json_dict()["results"]
    return {result["expectation_config"]["meta"]["id"]: result for result in results}


def _typed(kind: str, text: str | None) -> Any:
    if text is None:
        return None
    if kind == "boolean":
        return text == "true"
    return {"int": int, "date": date.fromisoformat, "decimal(18,2)": float}.get(kind, str)(text)


@pytest.mark.parametrize("one", RULES, ids=lambda one: f"{one['id']} {list(one)[2].removeprefix('expect_')}")
def test_as_great_expectations(mine: dict[str, Any], theirs: dict[str, Any], one: dict[str, Any]) -> None:
    found, full = mine[one["id"]], theirs[one["id"]]
    assert not full["exception_info"].get("raised_exception"), full["exception_info"]
    assert found["success"] == full["success"]
    for count in COUNTS:
        if count in full["result"]:
            wanted = full["result"][count]
            exact = pytest.approx(float(wanted)) if isinstance(wanted, int | float) else wanted
            assert found["result"][count] == exact, count


def test_every_expectation_is_compared_kept_and_broken(theirs: dict[str, Any]) -> None:
    shown = {(next(k for k in one if k.startswith("expect_")), theirs[one["id"]]["success"]) for one in RULES}
    assert shown == {(name, kept) for name in KNOWN for kept in (True, False)}
