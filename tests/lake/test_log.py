"""A commit from Python: what other readers see of it, what happens to twins, and what the files' footers tell."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from jobs.contracts import Table, load
from jobs.lake import Lake, history, log
from jobs.lake.tables import SchemaDiffers, Stamp, judged_table, schema_of
from tests.contracts.house import build
from tests.lake.test_tables import MONDAY, TUESDAY, frame, held

WEDNESDAY = TUESDAY + timedelta(days=1)
KINDS = [
    "string", "bigint", "int", "date", "timestamp", "boolean", "decimal(18,2)", "array<string>", "map<string,string>",
    "array<struct<delivery_id:string,line:bigint>>", "struct<a:decimal(5,2),b:array<map<string,int>>>",
]  # fmt: skip


@pytest.fixture
def movements(tmp_path: Path) -> Table:
    return load("tiny", build(tmp_path / "expectations")).tables["silver.movements"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_type_goes_to_delta_and_comes_back(kind: str) -> None:
    assert log.type_name(log.delta_type(kind)) == kind


def test_all_types_of_all_tables_can_be_created(tmp_path: Path) -> None:
    for bank in ("demo", "berka"):
        lake = Lake(tmp_path / bank)
        for one in load(bank).tables.values():
            for table in (one, judged_table(one)):
                lake.create(table)
                assert log.columns(lake.live(table)) == {
                    name: kind.replace(" ", "").lower() for name, kind in schema_of(table).items()
                }


def test_spark_reads_through_delta_what_was_committed_here(spark: Any, movements: Table, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.create(movements)
    for batch, day in ((1, MONDAY), (2, TUESDAY), (3, MONDAY)):
        rows = frame(spark, movements, batch, day, a=f"{batch}.00")
        lake.replace_dates(rows, movements, Stamp(batch, f"{day}|v{batch}", "run"), day, day)
    path = lake.path(movements.table)
    seen = spark.read.format("delta").load(path)
    assert held(seen) == held(lake.accepted(spark, movements)) == [("a", "2.00"), ("a", "3.00")]
    assert spark.sql(f"select count(*) from delta.`{path}` version as of 2").first()[0] == 2
    told = [json.loads(row["userMetadata"]) for row in spark.sql(f"describe history delta.`{path}`").limit(3).collect()]
    assert [one["batch"] for one in told] == [3, 2, 1]
    # Nightly maintenance is Spark's, and the next write goes on from it.
    spark.sql(f"optimize delta.`{path}`")
    lake.replace_dates(
        frame(spark, movements, 4, TUESDAY, b="4.00"), movements, Stamp(4, "tuesday", "run"), TUESDAY, TUESDAY
    )
    assert held(spark.read.format("delta").load(path)) == [("a", "3.00"), ("b", "4.00")]


def test_of_two_who_write_the_same_batch_at_once_one_does(spark: Any, movements: Table, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.create(movements)
    stamp, twins = Stamp(1, "monday", "run"), []
    for _ in "ab":
        live, folder = lake.live(movements), lake.new_folder(movements, stamp)
        frame(spark, movements, 1, MONDAY, a="1.00").write.parquet(str(folder))
        twins.append((live, folder))
    for live, folder in twins:
        lake.commit(live, movements, stamp, folder)
    assert held(lake.accepted(spark, movements)) == [("a", "1.00")]
    assert lake.version(movements.table) == 1


def test_a_batch_of_another_subject_that_comes_between_is_no_hindrance(
    spark: Any, movements: Table, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    lake.create(movements)
    seen = lake.live(movements)
    lake.append(frame(spark, movements, 2, TUESDAY, b="2.00"), movements, Stamp(2, "tuesday", "run"))
    stamp = Stamp(1, "monday", "run")
    folder = lake.new_folder(movements, stamp)
    frame(spark, movements, 1, MONDAY, a="1.00").write.parquet(str(folder))
    lake.commit(seen, movements, stamp, folder)
    assert held(lake.accepted(spark, movements)) == [("a", "1.00"), ("b", "2.00")]


def test_files_that_another_has_replaced_in_between_are_not_replaced_again(
    spark: Any, movements: Table, tmp_path: Path
) -> None:
    """Two runs that restate the same date at once: the second must not bring back what the first has put out."""
    lake = Lake(tmp_path / "lake")
    lake.create(movements)
    lake.append(frame(spark, movements, 1, MONDAY, a="1.00"), movements, Stamp(1, "monday|v1", "run"))
    seen = lake.live(movements)
    old = [row["path"] for row in pa.table(seen.get_add_actions()).to_pylist()]
    lake.replace_dates(
        frame(spark, movements, 2, MONDAY, a="2.00"), movements, Stamp(2, "monday|v2", "run"), MONDAY, MONDAY
    )
    stamp = Stamp(3, "monday|v3", "run")
    folder = lake.new_folder(movements, stamp)
    frame(spark, movements, 3, MONDAY, a="3.00").write.parquet(str(folder))
    with pytest.raises(Exception, match=r"(?i)concurrent|delete"):
        lake.commit(seen, movements, stamp, folder, old)
    assert held(lake.accepted(spark, movements)) == [("a", "2.00")]


def test_a_day_without_rows_is_a_commit_too(spark: Any, movements: Table, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.create(movements)
    lake.append(frame(spark, movements, 1, MONDAY), movements, Stamp(1, "monday", "run"))
    assert lake.committed(movements.table, 1) == 1
    assert lake.written(movements, 1) == []


def test_a_table_that_is_not_as_its_contract_says_is_not_written_to(
    spark: Any, movements: Table, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    lake.create(movements)
    columns = dict(movements.columns)
    columns["note"] = columns["movement_id"]
    wider = movements.model_copy(update={"columns": columns})
    with pytest.raises(SchemaDiffers, match=r"note string \(there: no such column\).*contracts apply"):
        lake.append(frame(spark, movements, 1, MONDAY, a="1.00"), wider, Stamp(1, "monday", "run"))
    assert lake.version(movements.table) == 0


def test_extremes_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    at = datetime(2026, 9, 14, 12, tzinfo=UTC)
    columns: dict[str, list[Any]] = {
        "day": [MONDAY, TUESDAY, None, MONDAY - timedelta(days=1)],
        "number": [5, None, -3, 9],
        "short": ["b", "a", "c", None],
        "long": ["x" * 40, "y" * 40, "y", "z" * 33],
        "nothing": [None] * 4,
        "amount": [Decimal("1.00")] * 4,
        "instant": [at] * 4,
        "flag": [True, False, True, None],
    }
    schema = pa.schema({
        "day": pa.date32(), "number": pa.int64(), "short": pa.string(), "long": pa.string(), "nothing": pa.string(),
        "amount": pa.decimal128(18, 2), "instant": pa.timestamp("us", "UTC"), "flag": pa.bool_(),
    })  # fmt: skip
    pq.write_table(pa.table(columns, schema=schema), file, row_group_size=2)
    found = log.extremes(file, [*columns, "not_there"])
    assert found == {
        "numRecords": 4,
        # What is cut off makes a minimum smaller, which is safe, and a maximum too small, which is not.
        "minValues": {"day": "2026-09-13", "number": -3, "short": "a", "long": "x" * 32},
        "maxValues": {"day": "2026-09-15", "number": 9, "short": "c"},
        "nullCount": {
            "day": 1, "number": 1, "short": 1, "long": 0, "nothing": 4, "amount": 0, "instant": 0, "flag": 1,
        },
    }  # fmt: skip


def states(lake: Lake, table: Table, batch: int, rows: list[tuple[str, date, str]]) -> None:
    """Accepted states of a batch: key, valid_from, hash."""
    (key,) = table.primary_key
    states_of = judged_table(table)
    lake.create(states_of)
    kinds = {"bigint": pa.int64(), "date": pa.date32()}
    listed = [
        {key: k, "valid_from": begin, "row_hash": content, "__verdict": "accepted", "batch": batch}
        for k, begin, content in rows
    ]
    names = {key: "string", "valid_from": "date", "row_hash": "string", "__verdict": "string", "batch": "bigint"}
    folder = lake.new_folder(states_of, Stamp(batch, f"v{batch}", "run"))
    folder.mkdir()
    schema = pa.schema([(name, kinds.get(kind, pa.string())) for name, kind in names.items()])
    pq.write_table(pa.Table.from_pylist(listed, schema=schema), folder / "part-0.parquet")
    lake.commit(lake.live(states_of), states_of, Stamp(batch, f"v{batch}", "run"), folder)


def test_a_history_is_merged_in_the_files_that_change(spark: Any, tmp_path: Path) -> None:
    table = load("demo").tables["silver.products"]
    (key,) = table.primary_key
    lake = Lake(tmp_path / "lake")
    lake.create(table)

    def told(batch: int, day: date, **contents: str) -> int:
        states(lake, table, batch, [(k, day, content) for k, content in contents.items()])
        return history.merge(lake, table, Stamp(batch, f"{day}|v{batch}", "run"), day)

    def stands() -> list[tuple[str, str, str, str]]:
        rows = DeltaTable(lake.path(table.table)).to_pyarrow_table().to_pylist()
        return sorted((r[key], str(r["valid_from"]), str(r["valid_to"]), r["row_hash"]) for r in rows)

    assert told(1, MONDAY, loan="a", card="a") == 2
    first = set(lake.dataset(table.table).files)
    assert told(2, TUESDAY, fund="a") == 1
    second = set(lake.dataset(table.table).files)
    assert first < second and len(second) == 2
    assert told(3, WEDNESDAY, loan="b") == 2  # the old row ends, a new one begins
    third = set(lake.dataset(table.table).files)
    assert len(third) == 2 and not first & third  # the fund's file was not touched
    assert stands() == [
        ("card", "2026-09-14", "None", "a"),
        ("fund", "2026-09-15", "None", "a"),
        ("loan", "2026-09-14", "2026-09-16", "a"),
        ("loan", "2026-09-16", "None", "b"),
    ]
    version = lake.version(table.table)
    assert told(4, WEDNESDAY, loan="b", card="a") == 0
    assert lake.version(table.table) == version  # no change, no commit
    # Wednesday is told again without the loan's change: what its former run said of that day goes.
    assert told(5, WEDNESDAY, loan="a") == 2
    assert [row for row in stands() if row[0] == "loan"] == [("loan", "2026-09-14", "None", "a")]
    same = spark.read.format("delta").load(lake.path(table.table))
    assert same.select(key, "is_current").orderBy(key).collect() == [("card", True), ("fund", True), ("loan", True)]
    assert not list((Path(lake.root) / "_scratch").glob("*"))


def test_back_to_a_version(spark: Any, movements: Table, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.create(movements)
    for batch, day in ((1, MONDAY), (2, TUESDAY)):
        lake.append(frame(spark, movements, batch, day, a=f"{batch}.00"), movements, Stamp(batch, str(day), "run"))
    lake.restore(movements.table, 1)
    assert held(lake.accepted(spark, movements)) == [("a", "1.00")]
    lake.restore(movements.table, 1)
    assert held(lake.accepted(spark, movements)) == [("a", "1.00")]
    # A repaired attempt draws a new number and writes.
    lake.append(frame(spark, movements, 3, TUESDAY, a="3.00"), movements, Stamp(3, str(TUESDAY), "run"))
    assert held(lake.accepted(spark, movements)) == [("a", "1.00"), ("a", "3.00")]
