"""Values that a list does not have, counted on the rows of one batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from jobs.contracts import load
from jobs.contracts.profile import Reference
from jobs.quality import unlisted
from tests.quality.tools import table_of, written

COLOURS = Reference(reference="colours", version="1.0.0", description="colours", values=["red", "green"])
CATALOG = replace(load("demo"), references={"colours": COLOURS})
LISTED = {"id": "listed", "onFail": "warn", "expect_column_values_to_be_in_set": {"column": "colour", "value_set": "$colours"}}  # fmt: skip
THINGS = table_of({"colour": "string"}, [LISTED])
SCHEMA = pa.schema([("__delivery_id", pa.string()), ("colour", pa.string()), ("__verdict", pa.string()), ("__warnings", pa.list_(pa.string()))])  # fmt: skip


def judged(*colours: str | None, delivery: str = "D1", verdict: str = "accepted") -> list[dict[str, object]]:
    return [
        {"__delivery_id": delivery, "colour": c, "__verdict": verdict, "__warnings": [] if c in ("red", None) else ["listed"]}
        for c in colours
    ]  # fmt: skip


def counted(path: Path, rows: list[dict[str, object]], broken: int = 1) -> dict[str, dict[str, dict[str, object]]]:
    files = written(path, pa.Table.from_pylist(rows, SCHEMA))
    return unlisted.count(files, CATALOG, THINGS, {"D1": {"broken__listed": broken}}, batch=1)


def test_rows_that_count_are_counted_by_delivery_and_value(tmp_path: Path) -> None:
    rows = judged("blue", "red", "pink", "blue", None) + judged("blue", delivery="D2") + judged("grey", verdict="rejected")  # fmt: skip
    assert counted(tmp_path, rows) == {
        "D1": {"listed": {"values": [["blue", 2], ["pink", 1]], "further_values": 0}},
        "D2": {"listed": {"values": [["blue", 1]], "further_values": 0}},
    }


def test_of_many_values_twenty_are_named_and_the_others_counted(tmp_path: Path) -> None:
    """Somebody sends rubbish: what is kept of it is short."""
    made = counted(tmp_path, judged("often", "often", *(f"{n:03d}" + "x" * 90 for n in range(30))))["D1"]["listed"]
    values = made["values"]
    assert isinstance(values, list)
    assert (len(values), values[0], max(len(value) for value, _ in values), made["further_values"]) == (20, ["often", 2], 60, 11)  # fmt: skip
    assert unlisted.said(made).endswith(" and 11 other values.")


def test_no_file_is_read_where_no_rule_is_broken(tmp_path: Path) -> None:
    assert unlisted.count(["/not/there"], CATALOG, THINGS, {"D1": {"broken__listed": 0}}, batch=1) == {}


def test_what_may_tell_of_a_customer_is_not_listed() -> None:
    assert list(unlisted.watched(THINGS)) == ["listed"]
    assert unlisted.watched(table_of({"colour": ["string", {"classification": "C2/3"}]}, [LISTED])) == {}
    assert unlisted.watched(table_of({"colour": "string"}, [{**LISTED, "onFail": "quarantine"}])) == {}
