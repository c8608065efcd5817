"""What stands in a table after writes that replace dates, come twice, or died half way; and which files a read opens."""

from __future__ import annotations

import os
import time
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobs import upkeep
from jobs.contracts import Table, load
from jobs.lake import Lake
from jobs.lake.tables import Stamp, schema_of
from tests.contracts.house import build

MONDAY = date(2026, 9, 14)
TUESDAY = MONDAY + timedelta(days=1)


@pytest.fixture
def movements(tmp_path: Path) -> Table:
    """A fact: its rows are replaced by business date."""
    return load("tiny", build(tmp_path / "expectations")).tables["silver.movements"]


def frame(spark: Any, table: Table, batch: int, day: date, **amounts: str) -> Any:
    """Accepted rows of one day: id -> amount."""
    given = [
        {"movement_id": name, "amount": Decimal(amount), "business_date": day, "batch": batch, "__verdict": "accepted"}
        for name, amount in amounts.items()
    ]
    schema = schema_of(table)
    rows = [tuple(row.get(column) for column in schema) for row in given]
    return spark.createDataFrame(rows, ", ".join(f"`{name}` {kind}" for name, kind in schema.items()))


def held(frame: Any) -> list[tuple[str, str]]:
    return sorted((row["movement_id"], str(row["amount"])) for row in frame.collect())


def test_a_day_takes_the_place_of_its_rows_and_leaves_other_days_alone(
    spark: Any, movements: Table, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    assert held(lake.accepted(spark, movements)) == []
    lake.create(movements)

    def write(batch: int, day: date, **amounts: str) -> None:
        rows = frame(spark, movements, batch, day, **amounts)
        lake.replace_dates(rows, movements, Stamp(batch, f"{day}|v{batch}", "run"), day, day)

    write(1, MONDAY, a="1.00", b="2.00")
    write(2, TUESDAY, c="3.00")
    write(2, TUESDAY, c="3.00")  # a twin of the same run: once
    assert held(lake.accepted(spark, movements)) == [("a", "1.00"), ("b", "2.00"), ("c", "3.00")]
    write(3, MONDAY, a="1.50")
    assert held(lake.accepted(spark, movements)) == [("a", "1.50"), ("c", "3.00")]
    assert held(lake.read_dates(spark, movements, TUESDAY, TUESDAY)) == [("c", "3.00")]
    write(4, MONDAY)
    assert held(lake.accepted(spark, movements)) == [("c", "3.00")]


def test_a_read_opens_only_files_that_may_hold_what_it_wants(spark: Any, movements: Table, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.create(movements)
    for batch, day in enumerate((MONDAY, TUESDAY), 1):
        rows = frame(spark, movements, batch, day, x="1.00")
        lake.replace_dates(rows, movements, Stamp(batch, f"{day}|v1", "run"), day, day)
    both = set(lake.read(spark, movements).inputFiles())
    one = set(lake.read_dates(spark, movements, TUESDAY, TUESDAY).inputFiles())
    assert len(both) == 2 and len(one) == 1 and one < both
    assert held(lake.read_dates(spark, movements, date(2020, 1, 1), date(2020, 1, 1))) == []


def test_what_a_dead_write_left_in_the_scratch_folder_goes_after_a_day(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    old, new = lake.scratch(Stamp(1, "s", "r")), lake.scratch(Stamp(1, "s", "r"))
    assert old != new  # twins
    old.parent.mkdir()
    for file in (old, new):
        file.touch()
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    half = tmp_path / "silver" / "movements" / "7-ab" / "_temporary"  # of a Spark that died while it wrote
    (half / "0").mkdir(parents=True)
    os.utime(half, (time.time() - 2 * 86400,) * 2)
    upkeep._forget_scratch(SimpleNamespace(lake=lake))  # type: ignore[arg-type]
    assert (old.exists(), new.exists(), half.exists()) == (False, True, False)
