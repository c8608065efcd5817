"""Rows of the lake on the terminal: as they were last released, masked, and where each came from."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from jobs.bank import open_bank
from jobs.ledger import batches, days, releases
from jobs.settings import settings
from tests.commands.conftest import Said
from tests.contracts.house import change
from tests.ledger.conftest import DAY, TinyBank

Command = Callable[..., Said]
NEXT = DAY + timedelta(days=1)
TABLE = "silver.movements"
COLUMNS = """\
  account:      [string, {classification: C2/3}]
  opened_on:    [date, {classification: C2/3}]
  business_date:"""


@pytest.fixture
def made(running: TinyBank) -> TinyBank:
    """Three movements of the day are released, and another run has written others since, which is not released. Accounts are classified."""
    path = settings().expectations / "silver/movements.yaml"
    head, _, columns = path.read_text().partition("\ncolumns:\n")
    path.write_text(f"{head}\ncolumns:\n{columns.replace('  business_date:', COLUMNS)}")
    change(
        settings().expectations,
        "bronze/payments.yaml",
        "rules:\n",
        "  payer: [string, {identifies: name, classification: C2/3}]\nrules:\n",
    )
    open_bank.cache_clear()
    first, second = running.arrives("payments", "b01", DAY), running.arrives("payments", "b02", DAY)
    running.arrives("rates", "HO", DAY)
    [key] = running.decide()
    running.start(key)
    opened = open_bank("tiny")
    with running.ledger.begin() as db:
        batch = batches.start(db, TABLE, key, "run").batch_id
        batches.set_state(db, batch, "passed")
    opened.lake.create(opened.catalog.tables[TABLE])
    wrote(
        batch,
        row("core:1", "10.00", [(first, 2)]),
        row("core:2", "20.00", [(first, 3), (second, 7)]),
        row("core:3", "30.00", [(second, 2)]),
        row("core:9", "90.00", [(second, 9)], verdict="rejected"),
        row("core:8", "80.00", [(second, 8)], of=NEXT),
    )
    with running.ledger.begin() as db:
        releases.release(db, days.get(db, key), {TABLE: (1, batch), "gold.daily": (1, None)}, "run")
    wrote(batch + 1, row("core:7", "70.00", [(second, 1)]))
    return running


def row(
    key: str, amount: str, sources: Sequence[tuple[str, int]], *, verdict: str = "accepted", of: Any = DAY
) -> dict[str, Any]:
    return {
        "movement_id": key, "direction": "debit", "amount": Decimal(amount), "business_date": of, "account": "6222020200112233", "opened_on": DAY.replace(year=1990),
        "sources": [{"delivery_id": d, "line": n} for d, n in sources], "__verdict": verdict,
    }  # fmt: skip


def wrote(batch: int, *rows: dict[str, Any], table: str = TABLE) -> None:
    path = open_bank("tiny").lake.path(table)
    schema = pa.schema(DeltaTable(path).schema().to_arrow())
    write_deltalake(
        path, pa.Table.from_pylist([one | {"batch": batch, "__batch": batch} for one in rows], schema), mode="append"
    )


def found(said: Said) -> list[dict[str, Any]]:
    assert said.status == 0, said.err
    return [json.loads(line) for line in said.out.splitlines()]


def test_rows_are_those_of_the_last_release_and_what_names_an_account_is_masked(
    made: TinyBank, ledgerlake: Command
) -> None:
    rows = found(ledgerlake("rows", TABLE, "--json"))
    assert [(r["movement_id"], r["amount"]) for r in rows] == [
        ("core:1", "10.00"),
        ("core:2", "20.00"),
        ("core:3", "30.00"),
    ]
    assert {(r["account"], r["opened_on"]) for r in rows} == {("****2233", "1990")}
    assert set(rows[0]) == {"movement_id", "direction", "amount", "account", "opened_on", "business_date"}
    shown = ledgerlake("rows", TABLE, "--limit", "2", width=200)
    assert "core:2" in shown.out and "core:3" not in shown.out
    assert "There are more: --limit" in shown.out
    assert "6222020200112233" not in shown.out
    assert "silver.movements has no such row on 2026-09-20." in ledgerlake("rows", TABLE, "--date", "2026-09-20").out


def test_a_condition_chooses_among_what_is_shown(made: TinyBank, ledgerlake: Command) -> None:
    rows = found(ledgerlake("rows", TABLE, "--where", "amount > 15 and movement_id <> 'core:3'", "--json"))
    assert [r["movement_id"] for r in rows] == ["core:2"]
    assert [r["movement_id"] for r in found(ledgerlake("rows", TABLE, "--where", "true or false", "--json"))] == [
        "core:1",
        "core:2",
        "core:3",
    ]
    secret = settings().home / "secret.csv"
    secret.write_text("word\nhidden\n")
    for where, words in {
        "account = '6222020200112233'": "account of silver.movements is masked: a condition on it would tell what it is",
        "upper(account) like '%33'": "account of silver.movements is masked",
        "amonut > 1": "silver.movements has no column amonut. Did you mean amount?",
        "amount >": "is no SQL condition",
        "true) --": "is no SQL condition",
        "exists (select 1 from lake_table)": "looks into no other table",
        f"amount in (select 10 from '{secret}')": "looks into no other table",
        "amount; drop table x": "is no condition on a row alone",
        "amount > 'a lot'": "The rows of silver.movements cannot be read so",
    }.items():
        said = ledgerlake("rows", TABLE, "--where", where, width=400)
        assert (said.status, words in said.err) == (2, True), (where, said.err)


def test_each_row_says_where_it_came_from(made: TinyBank, ledgerlake: Command) -> None:
    [second] = found(ledgerlake("rows", TABLE, "--where", "amount = 20", "--explain", "--json"))
    assert [(one.get("feed"), one.get("entity"), one.get("line")) for one in second["from"]] == [
        ("payments", "b01", 3), ("payments", "b02", 7), (None, None, None),
    ]  # fmt: skip
    assert second["from"][-1]["run"] == f"{DAY}|v1"
    told = ledgerlake("rows", TABLE, "--where", "amount = 20", "--explain", width=200).out
    assert (
        f"from line 7 of {second['from'][1]['file_name']} ({second['from'][1]['delivery_id']}: payments of b02)" in told
    )
    assert f"made by run {DAY}|v1" in told


def test_rows_of_bronze_are_those_that_count_now(made: TinyBank, ledgerlake: Command) -> None:
    """A file came again: the rows of the first one, which are still in the table, are not shown. A payer is a token, and not shown either."""
    opened = open_bank("tiny")
    opened.lake.create(opened.catalog.bronze("payments"))
    was = made.arrives("payments", "b01", NEXT, version=1)
    now = made.arrives("payments", "b01", NEXT, version=2)
    for delivery, amount in ((was, "1.00"), (now, "2.00")):
        payment = {
            "payment_no": "p1",
            "direction": "D",
            "amount": Decimal(amount),
            "payer_token": "tok_1",
            "payer_valid": True,
        }
        of = {"__delivery_id": delivery, "__line": 5, "__business_date": NEXT, "__verdict": "accepted"}
        wrote(
            made.delivery(delivery).load_batch or made.delivery(delivery).live_batch,
            payment | of,
            table="bronze.payments",
        )
    [only] = found(ledgerlake("rows", "bronze.payments", "--date", str(NEXT), "--explain", "--json"))
    assert (only["amount"], only["payer_token"], only["payer_valid"]) == ("2.00", "****", True)
    assert [(one["delivery_id"], one["line"]) for one in only["from"]] == [(now, 5)]


def test_a_version_whose_files_were_merged_since_is_shown_as_it_stands_unless_a_run_writes(
    made: TinyBank, ledgerlake: Command
) -> None:
    """Maintenance puts the files of a table together, and takes the old ones away after some weeks."""
    path = open_bank("tiny").lake.path(TABLE)
    before = found(ledgerlake("rows", TABLE, "--json"))
    live = DeltaTable(path)
    live.restore(1)
    live = DeltaTable(path)
    live.optimize.compact()
    old = set(DeltaTable(path, version=1).file_uris())
    rows = DeltaTable(path).to_pyarrow_table()
    write_deltalake(path, rows, mode="overwrite")
    for file in old:
        Path(file).unlink()
    assert found(ledgerlake("rows", TABLE, "--json")) == before
    with made.ledger.begin() as db:
        batches.start(db, TABLE, f"{DAY}|v2", "run")
    said = ledgerlake("rows", TABLE, width=400)
    assert (said.status, "A run is writing silver.movements" in said.err) == (1, True)


def test_what_there_is_not_is_said(bank: TinyBank, ledgerlake: Command) -> None:
    said = ledgerlake("rows", "silver.movement", width=400)
    assert (said.status, "There is no table silver.movement. Did you mean silver.movements?" in said.err) == (2, True)
    said = ledgerlake("rows", TABLE, width=400)
    assert (said.status, "Nothing was released yet" in said.err) == (1, True)
    bank.take_on()
    said = ledgerlake("rows", TABLE, width=400)
    assert (said.status, "silver.movements is in no release yet" in said.err) == (1, True)
