"""What the judged states of a run change in a table with history; nothing when they tell the history that stands."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from jobs import build
from jobs.bank import open_bank
from jobs.contracts import load
from jobs.lake import Lake
from jobs.lake.history import changes
from jobs.lake.tables import Stamp, judged_table, schema_of
from jobs.ledger import batches, days
from jobs.quality.metrics import nothing
from jobs.settings import settings
from tests.commands.conftest import bank, running
from tests.contracts.house import change
from tests.ledger.conftest import DAY, TinyBank

__all__ = ["bank", "running"]

PRODUCTS = load("demo").tables["silver.products"]
MONDAY, TUESDAY, WEDNESDAY = date(2026, 9, 14), date(2026, 9, 15), date(2026, 9, 16)
BATCH = 7
TYPES = {"date": pa.date32(), "bigint": pa.int64(), "boolean": pa.bool_()}

MODULE = SimpleNamespace(__file__=__file__)  # the tiny bank's tables have no module of their own


def changed(folder: Path, history: list[tuple[Any, ...]], states: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """`history`: key, valid_from, valid_to, hash. `states`: key, valid_from, hash, verdict, all of Tuesday's run. The changes: operation, key,
    valid_from, valid_to, hash."""
    lake = Lake(folder / "lake")
    (key,) = PRODUCTS.primary_key
    before = [
        {key: k, "valid_from": begin, "valid_to": end, "is_current": end is None, "row_hash": content, "__verdict": "accepted"}
        for k, begin, end, content in history
    ]  # fmt: skip
    said = [
        {key: k, "valid_from": begin, "row_hash": content, "__verdict": verdict, "batch": BATCH}
        for k, begin, content, verdict in states
    ]
    for table, rows in ((PRODUCTS, before), (judged_table(PRODUCTS), said)):
        schema = pa.schema([(name, TYPES.get(kind, pa.string())) for name, kind in schema_of(table).items()])
        write_deltalake(lake.path(table.table), pa.Table.from_pylist(rows, schema=schema))
    file = folder / "changes.parquet"
    count = changes(lake, PRODUCTS, BATCH, TUESDAY, file)
    assert file.exists() == (count > 0)
    rows = pq.read_table(file).to_pylist() if count else []
    assert len(rows) == count
    assert all(row["is_current"] == (row["valid_to"] is None) for row in rows)
    return sorted((row["__op"], row[key], row["valid_from"], row["valid_to"], row["row_hash"]) for row in rows)


OPEN = ("loan", MONDAY, None, "a")
TURNED = [("loan", MONDAY, TUESDAY, "a"), ("loan", TUESDAY, None, "b")]


@pytest.mark.parametrize(
    ("history", "states", "expected"),
    [
        ([OPEN], [("loan", TUESDAY, "a", "accepted")], []),  # said again
        ([OPEN], [], []),  # not spoken of: an increment
        ([OPEN], [("loan", TUESDAY, "b", "rejected")], []),  # changed, but rejected
        (TURNED, [("loan", TUESDAY, "b", "accepted")], []),  # Tuesday told again, as it stands
        # Changed: the old row ends where the new one begins.
        (
            [OPEN],
            [("loan", TUESDAY, "b", "accepted")],
            [("keep", "loan", MONDAY, TUESDAY, "a"), ("keep", "loan", TUESDAY, None, "b")],
        ),
        ([OPEN], [("card", TUESDAY, "a", "accepted")], [("keep", "card", TUESDAY, None, "a")]),  # new, beside another
        ([], [("loan", TUESDAY, "a", "accepted")], [("keep", "loan", TUESDAY, None, "a")]),  # the first of all
        # Tuesday told again without its change; and without any word of the key: as if it had never changed.
        (TURNED, [("loan", TUESDAY, "a", "accepted")], [("delete", "loan", TUESDAY, None, "b"), ("keep", "loan", MONDAY, None, "a")]),
        (TURNED, [], [("delete", "loan", TUESDAY, None, "b"), ("keep", "loan", MONDAY, None, "a")]),
        # Told again with another change.
        (
            TURNED,
            [("loan", TUESDAY, "c", "accepted")],
            [("keep", "loan", TUESDAY, None, "c")],
        ),
        # Two states of which the later one goes back; states that repeat themselves open one row.
        (
            [OPEN],
            [("loan", TUESDAY, "b", "accepted"), ("loan", WEDNESDAY, "a", "accepted")],
            [("keep", "loan", MONDAY, TUESDAY, "a"), ("keep", "loan", TUESDAY, WEDNESDAY, "b"), ("keep", "loan", WEDNESDAY, None, "a")],
        ),
        (
            [],
            [("loan", TUESDAY, "a", "accepted"), ("loan", WEDNESDAY, "a", "accepted")],
            [("keep", "loan", TUESDAY, None, "a")],
        ),
    ],
)  # fmt: skip
def test_changes_of_a_history(
    tmp_path: Path, history: list[tuple[Any, ...]], states: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]
) -> None:
    assert changed(tmp_path, history, states) == expected


def test_a_table_that_a_restatement_leaves_as_it_is_needs_no_new_balance(
    running: TinyBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Movements with history: a day told anew reads the rows of later days too. When nothing of its own rows changed, the table stands as it was
    written, and what was written on later days since is no part of that write."""
    change(settings().expectations, "silver/movements.yaml", "history: fact", "history: scd2")
    monkeypatch.setattr(build, "_module", lambda _: MODULE)
    open_bank.cache_clear()
    table = open_bank("tiny").catalog.tables["silver.movements"]
    for day in (DAY, DAY + timedelta(days=1)):
        running.clock(day, "20:00")
        running.whole_day(day)
        [key] = running.decide()
        with running.ledger.begin() as db:
            wrote = batches.start(db, table.table, key, "run")
            bank = open_bank("tiny")
            metrics = nothing(table, bank.catalog.rules(table)) | {"accepted_rows": 2, "accepted_in": 2}
            metrics[build.MADE_BY] = build.made_by(bank, table)
            batches.set_state(db, wrote.batch_id, "passed", metrics=metrics, delta_version=1)
        running.release(key)
    with running.ledger.begin() as db:
        again = days.request_again(db, running.catalog, DAY, "repaired")
    running.start(again)
    assert build.build("tiny", again, table.table, "run")["unchanged"]
    assert build.judge_table("tiny", again, table.table, "run") == "pass"


def test_a_step_of_a_run_that_was_taken_back_leaves_no_trace(running: TinyBank) -> None:
    bank = open_bank("tiny")
    with running.ledger.begin() as db:
        batch = batches.start(db, "silver.movements", "2026-09-15|v1", "run")
        batches.keep_previous_version(db, batch.batch_id, 3)
        batches.keep_previous_version(db, batch.batch_id, 4)  # a twin, after the first has written
        assert batches.get(db, batch.batch_id).previous_version == 3
        batches.set_state(db, batch.batch_id, "passed", metrics={"accepted_rows": 2})
    stamp = Stamp(batch.batch_id, "2026-09-15|v1", "run")
    assert build._record(bank, stamp, {"accepted_rows": 0}, 5) == {"accepted_rows": 2}  # its twin was faster
    with running.ledger.begin() as db:
        assert batches.get(db, batch.batch_id).state == "passed"
        batches.set_state(db, batch.batch_id, "restored")
    with pytest.raises(build.StaleRun, match="was given up"):
        build._record(bank, stamp, {"accepted_rows": 2}, 5)
    with running.ledger.begin() as db:
        assert batches.get(db, batch.batch_id).state == "restored"


def test_a_column_that_the_transform_does_not_make_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    table = load("demo").tables["silver.products"]
    made = [name for name in table.physical_columns if name != "product_name"]
    monkeypatch.setattr(build, "_transformed", lambda *_: SimpleNamespace(columns=made))
    nothing_else: Any = None
    with pytest.raises(
        build.ColumnsMissing, match=r"jobs/silver/products\.py makes no product_name, which silver\.products's"
    ):
        build._judged(nothing_else, nothing_else, nothing_else, table, Stamp(1, "2026-09-15|v1", "run"))


def test_a_table_that_reads_other_dates_is_never_left_as_it_was(
    running: TinyBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reversal that was booked later changes nothing that arrived for the day of its original; that day is told anew all the same."""
    monkeypatch.setattr(build, "_module", lambda _: MODULE)
    run = days_of_two_builds(running)
    table = open_bank("tiny").catalog.tables["silver.movements"]
    assert build.unchanged_since(open_bank("tiny"), run, table) is not None
    beyond = SimpleNamespace(READS={"silver.reversals": "original_business_date"}, __file__=__file__)
    monkeypatch.setattr(build, "_module", lambda _: beyond)
    assert build.unchanged_since(open_bank("tiny"), run, table) is None


def test_a_table_is_made_anew_when_its_contract_changed(running: TinyBank, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing came since; but an amount is told without its sign now."""
    monkeypatch.setattr(build, "_module", lambda _: MODULE)
    run = days_of_two_builds(running)
    table = open_bank("tiny").catalog.tables["silver.movements"]
    assert build.unchanged_since(open_bank("tiny"), run, table) is not None
    change(settings().expectations, "bronze/payments.yaml", "amount: amount\n", "amount: abs(amount)\n")
    open_bank.cache_clear()
    assert build.unchanged_since(open_bank("tiny"), run, table) is None


def days_of_two_builds(bank: TinyBank) -> build.Run:
    """The second run of a day that was released, and whose movements nothing has touched since."""
    bank.clock(DAY, "20:00")
    bank.whole_day(DAY)
    [key] = bank.decide()
    with bank.ledger.begin() as db:
        wrote = batches.start(db, "silver.movements", key, "run")
        opened = open_bank("tiny")
        made_by = build.made_by(opened, opened.catalog.tables["silver.movements"])
        metrics = {"accepted_rows": 2, build.MADE_BY: made_by}
        batches.set_state(db, wrote.batch_id, "passed", metrics=metrics, delta_version=1)
    bank.release(key)
    with bank.ledger.begin() as db:
        again = days.request_again(db, bank.catalog, DAY, "repaired")
    bank.start(again)
    return build.open_run(open_bank("tiny"), again, "run")


def test_tables_that_read_other_dates_say_so() -> None:
    tables = load("demo").tables
    beyond = {name for name, table in tables.items() if table.layer == "silver" and build.looks_beyond(table)}
    assert beyond == {"silver.channel_events", "silver.reconciliations"}
