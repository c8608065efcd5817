"""A commit from Python: what other readers see of it, what happens to twins, and what the files' footers tell."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake.exceptions import CommitFailedError
from pyspark.sql import functions as F

from jobs import upkeep
from jobs.contracts import Table, load
from jobs.lake import Lake, history, log
from jobs.lake.log import SchemaDiffers, WrittenMeanwhile
from jobs.lake.tables import RowsOfOtherDates, Stamp, judged_table, schema_of, types_of
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
                assert log.columns(lake.live(table)) == types_of(table)


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
    with pytest.raises(CommitFailedError):
        lake.commit(seen, movements, stamp, folder, old)
    assert held(lake.accepted(spark, movements)) == [("a", "2.00")]


def test_a_run_whose_lease_ran_out_does_not_add_to_what_the_next_one_wrote(
    spark: Any, movements: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both found the date empty; the second to commit would double its rows."""
    lake = Lake(tmp_path / "lake")
    lake.create(movements)
    put = Lake._put

    def slow(*args: Any) -> Path:
        folder = put(*args)
        monkeypatch.setattr(Lake, "_put", put)
        lake.replace_dates(
            frame(spark, movements, 2, MONDAY, a="2.00"), movements, Stamp(2, "monday|v2", "run"), MONDAY, MONDAY
        )
        return folder

    monkeypatch.setattr(Lake, "_put", slow)
    with pytest.raises(WrittenMeanwhile, match=r"silver\.movements was written by another run"):
        lake.replace_dates(
            frame(spark, movements, 1, MONDAY, a="1.00"), movements, Stamp(1, "monday|v1", "run"), MONDAY, MONDAY
        )
    assert held(lake.accepted(spark, movements)) == [("a", "2.00")]


def test_rows_of_other_dates_are_not_committed(spark: Any, movements: Table, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.create(movements)
    rows = frame(spark, movements, 1, TUESDAY, a="1.00")
    with pytest.raises(RowsOfOtherDates, match=r"1 of its rows are of other dates \(2026-09-15.*movements.py"):
        lake.replace_dates(rows, movements, Stamp(1, "monday|v1", "run"), MONDAY, MONDAY)
    assert lake.version(movements.table) == 0


def test_no_cent_is_rounded_away_to_fit_a_column(spark: Any, movements: Table, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.create(movements)
    rows = frame(spark, movements, 1, MONDAY, a="1.00").withColumn("amount", F.expr("cast(1.005 as decimal(20,3))"))
    with pytest.raises(SchemaDiffers, match=r"amount decimal\(20,3\) \(in the table: decimal\(18,2\)\)"):
        lake.append(rows, movements, Stamp(1, "monday|v1", "run"))
    assert lake.version(movements.table) == 0


def test_a_death_while_a_table_is_created_is_no_table(spark: Any, movements: Table, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    log_folder = Path(lake.path(movements.table)) / "_delta_log"
    log_folder.mkdir(parents=True)
    (log_folder / f"{0:020d}.json#1").write_text("{")
    lake.create(movements)
    lake.append(frame(spark, movements, 1, MONDAY, a="1.00"), movements, Stamp(1, "monday|v1", "run"))
    assert held(lake.accepted(spark, movements)) == [("a", "1.00")]


def test_what_stays_in_a_file_keeps_a_column_that_the_contract_has_dropped(
    spark: Any, movements: Table, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    columns = movements.columns | {"note": movements.columns["movement_id"]}
    before = movements.model_copy(update={"columns": columns})
    lake.create(before)
    both = frame(spark, before, 1, MONDAY, a="1.00").unionByName(frame(spark, before, 1, TUESDAY, b="2.00"))
    both = both.withColumn("note", F.lit("told"))
    lake.replace_dates(both.coalesce(1), before, Stamp(1, "both|v1", "run"), MONDAY, TUESDAY)
    lake.replace_dates(
        frame(spark, movements, 2, MONDAY, a="3.00"), movements, Stamp(2, "monday|v2", "run"), MONDAY, MONDAY
    )
    found = lake.dataset(movements.table).to_table(columns=["movement_id", "note"]).to_pylist()
    assert sorted((row["movement_id"], row["note"]) for row in found) == [("a", None), ("b", "told")]


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
    with pytest.raises(SchemaDiffers, match=r"note string \(in the table: no such column\).*contracts apply"):
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
    found = log.extremes(pq.read_metadata(file), [*columns, "not_there"])
    assert found == {
        "numRecords": 4,
        # What is cut off makes a minimum smaller, which is safe, and a maximum too small, which is not.
        "minValues": {"day": "2026-09-13", "number": -3, "short": "a", "long": "x" * 32},
        "maxValues": {"day": "2026-09-15", "number": 9, "short": "c"},
        "nullCount": {
            "day": 1, "number": 1, "short": 1, "long": 0, "nothing": 4, "amount": 0, "instant": 0, "flag": 1,
        },
    }  # fmt: skip


@pytest.mark.parametrize("days", [-719_529, 5_000_000])
def test_a_date_that_is_none_to_python_has_no_extremes_and_ends_no_commit(tmp_path: Path, days: int) -> None:
    """The first of January of the year 0 is a date to Spark, and so is one of the year 15659."""
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"day": pa.array([days, 20_000], pa.date32()), "number": [1, 2]}), file)
    found = log.extremes(pq.read_metadata(file), ["day", "number"])
    assert (found["minValues"], found["maxValues"]) == ({"number": 1}, {"number": 2})


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
        rows = lake.dataset(table.table).to_table().to_pylist()
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


def test_a_history_that_another_run_wrote_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = load("demo").tables["silver.products"]
    lake = Lake(tmp_path / "lake")
    lake.create(table)
    states(lake, table, 1, [("loan", MONDAY, "a")])
    states(lake, table, 2, [("loan", TUESDAY, "b")])
    changes = history.changes

    def slow(*args: Any) -> int:
        monkeypatch.setattr(history, "changes", changes)
        assert history.merge(lake, table, Stamp(1, "monday|v1", "run"), MONDAY) == 1
        return changes(*args)

    monkeypatch.setattr(history, "changes", slow)
    with pytest.raises(WrittenMeanwhile):
        history.merge(lake, table, Stamp(2, "tuesday|v1", "run"), TUESDAY)
    assert [row["row_hash"] for row in lake.dataset(table.table).to_table().to_pylist()] == ["a"]
    assert history.merge(lake, table, Stamp(2, "tuesday|v1", "run"), TUESDAY) == 2  # run again
    assert sorted(row["row_hash"] for row in lake.dataset(table.table).to_table().to_pylist()) == ["a", "b"]


def test_a_history_keeps_a_column_that_the_contract_has_dropped(tmp_path: Path) -> None:
    table = load("demo").tables["silver.products"]
    (key,) = table.primary_key
    dropped = next(name for name in table.columns if name not in table.primary_key)
    lake = Lake(tmp_path / "lake")
    lake.create(table)
    kinds = {"bigint": pa.int64(), "date": pa.date32(), "boolean": pa.bool_()}
    kind = pa.string() if table.columns[dropped].type == "string" else kinds[table.columns[dropped].type]
    rows = [
        {key: k, dropped: "told", "valid_from": MONDAY, "is_current": True, "row_hash": "a", "__verdict": "accepted"}
        for k in ("loan", "card")
    ]
    schema = pa.schema([(name, pa.date32() if name == "valid_from" else pa.bool_() if name == "is_current" else kind if name == dropped else pa.string()) for name in rows[0]])  # fmt: skip
    stamp = Stamp(1, "monday|v1", "run")
    folder = lake.new_folder(table, stamp)
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "part-0.parquet")
    lake.commit(lake.live(table), table, stamp, folder)
    later = table.model_copy(update={"columns": {n: c for n, c in table.columns.items() if n != dropped}})
    states(lake, later, 2, [("loan", TUESDAY, "b")])
    assert history.merge(lake, later, Stamp(2, "tuesday|v1", "run"), TUESDAY) == 2
    found = lake.dataset(table.table).to_table().to_pylist()
    assert sorted((r[key], str(r["valid_from"]), r[dropped]) for r in found) == [
        ("card", "2026-09-14", "told"), ("loan", "2026-09-14", None), ("loan", "2026-09-15", None),
    ]  # fmt: skip


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


def test_a_commit_waits_for_whoever_holds_the_table(spark: Any, movements: Table, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.create(movements)
    stamp = Stamp(1, "monday|v1", "run")
    folder = lake._put(frame(spark, movements, 1, MONDAY, a="1.00"), movements, stamp, list(schema_of(movements)))
    writer = threading.Thread(target=lambda: lake.commit(lake.live(movements), movements, stamp, folder))
    with lake.alone(movements.table):
        writer.start()
        writer.join(1)
        assert writer.is_alive() and lake.version(movements.table) == 0
    writer.join(30)
    assert lake.version(movements.table) == 1


def test_nightly_maintenance_takes_what_a_dead_write_left_and_keeps_every_version(
    spark: Any, movements: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(tmp_path / "lake")
    lake.create(movements)
    for batch in (1, 2):
        lake.replace_dates(
            frame(spark, movements, batch, MONDAY, a=f"{batch}.00"), movements, Stamp(batch, f"monday|v{batch}", "run"), MONDAY, MONDAY
        )  # fmt: skip
    table = Path(lake.path(movements.table))
    dead = table / "3-dead" / "part-0.parquet"
    dead.parent.mkdir()
    dead.write_bytes(b"half")
    for file in [*table.rglob("*.parquet"), dead.parent]:
        os.utime(file, (time.time() - 40 * 86400,) * 2)

    class Reached(Exception):
        pass

    def no_ledger() -> Any:
        raise Reached

    bank = SimpleNamespace(
        catalog=SimpleNamespace(tables={movements.table: movements}), lake=lake, ledger=SimpleNamespace(begin=no_ledger)
    )
    monkeypatch.setattr(upkeep, "open_bank", lambda profile: bank)
    monkeypatch.setattr(upkeep, "session", lambda: nullcontext(spark))
    with pytest.raises(Reached):  # the tables were done before
        upkeep.tidy("tiny", "run")
    assert not dead.exists()
    assert held(lake.accepted(spark, movements)) == [("a", "2.00")]
    former = lake.dataset(movements.table, 1).to_table(columns=["amount"]).to_pylist()
    assert former == [{"amount": Decimal("1.00")}]
