"""Contracts change, live tables follow: what can be done in place is done, the rest is refused with the way to do
it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from sqlalchemy import select

from jobs import schema_change
from jobs.bank import Bank
from jobs.contracts import load
from jobs.lake import Lake
from jobs.lake.tables import judged_table, schema_of
from jobs.lease import WRITER
from jobs.ledger import Ledger, batches, leases
from jobs.ledger.models import Lease
from tests.contracts.house import build, change

MOVEMENTS = "silver.movements"


@pytest.fixture
def ledger(new_ledger: Callable[[], Ledger]) -> Ledger:
    return new_ledger()


@pytest.fixture
def house(tmp_path: Path) -> Path:
    return build(tmp_path / "expectations")


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Path:
    """A lake of the tiny bank's tables, with one movement of 10.00; tests take a copy."""
    root = tmp_path_factory.mktemp("written")
    lake, catalog = Lake(root / "lake"), load("tiny", build(root / "expectations"))
    for name in (MOVEMENTS, "gold.daily", "bronze.payments"):
        lake.create(catalog.tables[name])
    row = {
        "movement_id": "'m1'", "direction": "'debit'", "amount": "10.00", "business_date": "date'2026-09-15'",
        "__verdict": "'accepted'", "batch": "7",
    }  # fmt: skip
    columns = [
        f"cast({row.get(name, 'null')} as {kind}) as `{name}`"
        for name, kind in schema_of(catalog.tables[MOVEMENTS]).items()
    ]
    spark.sql(f"select {', '.join(columns)}").write.format("delta").mode("append").save(lake.path(MOVEMENTS))
    return root / "lake"


@pytest.fixture
def bank(house: Path, tmp_path: Path, ledger: Ledger, written: Path) -> Bank:
    shutil.copytree(written, tmp_path / "lake")
    return Bank("tiny", load("tiny", house), ledger, Lake(tmp_path / "lake"))


def after(bank: Bank, house: Path) -> Bank:
    """The same bank, its contracts read again."""
    return Bank(bank.profile, load("tiny", house), bank.ledger, bank.lake)


def rows(bank: Bank) -> list[dict[str, object]]:
    """As the mart and the report read them."""
    return bank.lake.dataset(MOVEMENTS).to_table().to_pylist()


def test_live_tables_as_their_contracts_say_need_nothing(bank: Bank) -> None:
    assert schema_change.plan(bank) == []


def test_a_new_column_is_added_in_place(bank: Bank, house: Path, spark: SparkSession) -> None:
    change(house, "gold/daily.yaml", "  amount: ", "  fees:          [bigint, {classification: C1/1}]\n  amount: ")
    bank = after(bank, house)
    [added] = schema_change.plan(bank)
    assert (added.kind, added.table, added.column, added.before, added.after, added.in_place) == (
        "added",
        "gold.daily",
        "fees",
        None,
        "bigint",
        True,
    )
    assert str(added) == "gold.daily.fees: add bigint; rows of earlier builds hold null."
    assert list(schema_change.apply(bank, [added], spark)) == ["Done. gold.daily.fees: added, now bigint."]
    assert schema_change.plan(bank) == []


def test_the_judged_states_of_a_history_get_its_new_column_too(bank: Bank, house: Path, spark: SparkSession) -> None:
    """Else the next build could not write them."""
    history = bank.catalog.tables["gold.daily"].model_copy(update={"history": "scd2"})
    for table in (history, judged_table(history)):
        bank.lake.create(table)
    change(house, "gold/daily.yaml", "  amount: ", "  fees:          [bigint, {classification: C1/1}]\n  amount: ")
    bank = after(bank, house)
    added = [c for c in schema_change.plan(bank) if c.kind == "added"]
    assert [(c.table, c.column) for c in added] == [("gold.daily", "fees"), ("gold.daily__judged", "fees")]
    list(schema_change.apply(bank, added, spark))
    assert [c for c in schema_change.plan(bank) if c.kind == "added"] == []


def test_a_wider_type_is_put_in_place_and_can_still_be_read_by_the_mart(
    bank: Bank, house: Path, spark: SparkSession
) -> None:
    text = (house / "silver/movements.yaml").read_text()
    (house / "silver/movements.yaml").write_text(text.replace("decimal(18,2)", "decimal(24,2)"))
    bank = after(bank, house)
    [wider] = schema_change.plan(bank)
    assert (wider.kind, wider.column, wider.before, wider.after) == (
        "widened",
        "amount",
        "decimal(18,2)",
        "decimal(24,2)",
    )
    assert wider.tables == ("gold.daily",)
    assert list(schema_change.apply(bank, [wider], spark)) == [f"Done. {MOVEMENTS}.amount: widened, now decimal(24,2)."]
    assert schema_change.plan(bank) == []
    [row] = rows(bank)
    assert (row["movement_id"], row["amount"], row["batch"]) == ("m1", Decimal("10.00"), 7)


@pytest.mark.parametrize(
    ("before", "later", "is_wider"),
    [
        ("int", "bigint", True),
        ("bigint", "int", False),
        ("decimal(10,2)", "decimal(18,2)", True),
        ("decimal(18,2)", "decimal(10,2)", False),
        ("decimal(10,2)", "decimal(18,4)", False),
        ("string", "date", False),
        ("int", "string", False),
    ],
)
def test_which_types_are_wider(before: str, later: str, is_wider: bool) -> None:
    assert schema_change.is_wider(before, later) is is_wider


def test_a_narrower_type_is_refused_with_the_way_to_do_it(bank: Bank, house: Path, spark: SparkSession) -> None:
    text = (house / "silver/movements.yaml").read_text()
    (house / "silver/movements.yaml").write_text(text.replace("decimal(18,2)", "decimal(12,2)"))
    bank = after(bank, house)
    version = bank.lake.version(MOVEMENTS)
    [narrower] = schema_change.plan(bank)
    assert (narrower.kind, narrower.in_place) == ("retyped", False)
    [line] = schema_change.apply(bank, [narrower], spark)
    assert line.startswith(f"Not done. {MOVEMENTS}.amount: decimal(18,2) cannot become decimal(12,2) without loss.")
    assert "give it a new name in the contract" in line
    assert bank.lake.version(MOVEMENTS) == version


def test_a_column_that_the_contract_no_longer_has_stays_and_is_said_to(bank: Bank, house: Path) -> None:
    change(house, "gold/daily.yaml", '  amount:        ["decimal(18,2)!", {classification: C1/2}]\n', "")
    [removed] = schema_change.plan(after(bank, house))
    assert (removed.kind, removed.column, removed.before, removed.in_place) == (
        "removed",
        "amount",
        "decimal(18,2)",
        False,
    )
    assert "the column stays" in str(removed)


def test_the_columns_with_statistics_follow_the_contract(bank: Bank, house: Path, spark: SparkSession) -> None:
    change(house, "silver/movements.yaml", "money: amount", "money: amount\nstatistics: [business_date, movement_id]")
    bank = after(bank, house)
    [kept] = schema_change.plan(bank)
    assert (kept.kind, kept.before, kept.after) == (
        "statistics",
        "business_date,batch",
        "business_date,movement_id,batch",
    )
    list(schema_change.apply(bank, [kept], spark))
    assert schema_change.plan(bank) == []


def test_a_change_of_bronze_reaches_all_that_stands_on_it(bank: Bank, house: Path) -> None:
    change(
        house, "bronze/payments.yaml", "  direction:  [", "  fee:        [int, {classification: C2/3}]\n  direction:  ["
    )
    [added] = schema_change.plan(after(bank, house))
    assert added.tables == (MOVEMENTS, "gold.daily")
    assert "Reaches silver.movements, gold.daily." in str(added)
    assert added.as_dict() == {
        "kind": "added",
        "table": "bronze.payments",
        "column": "fee",
        "from": None,
        "to": "int",
        "in_place": True,
        "affected": {"tables": [MOVEMENTS, "gold.daily"], "kpis": []},
        "remedy": None,
    }


def test_a_kpi_is_named_when_its_base_stands_on_the_table() -> None:
    tables, kpis = schema_change.affected(load("demo"), "bronze.online_sales")
    assert "silver.sales" in tables
    names = {load("demo").kpis[kpi].name for kpi in kpis}
    assert "online_sales_share" in names
    assert "non_performing_loan_ratio" not in names


def test_nothing_is_changed_while_a_day_is_being_written(bank: Bank, house: Path, spark: SparkSession) -> None:
    change(house, "gold/daily.yaml", "  amount: ", "  fees:          [bigint, {classification: C1/1}]\n  amount: ")
    bank = after(bank, house)
    with bank.ledger.begin() as db:
        leases.acquire(db, WRITER, "2026-09-15|v1", 60)
    with pytest.raises(schema_change.NotNow, match=r"A business day is being written\. Nothing was changed"):
        list(schema_change.apply(bank, schema_change.plan(bank), spark))
    assert len(schema_change.plan(bank)) == 1


def test_nothing_is_changed_while_a_run_is_not_released(bank: Bank, house: Path, spark: SparkSession) -> None:
    """It would put the table back to before the change."""
    change(house, "gold/daily.yaml", "  amount: ", "  fees:          [bigint, {classification: C1/1}]\n  amount: ")
    bank = after(bank, house)
    with bank.ledger.begin() as db:
        batches.start(db, "gold.daily", "2026-09-15|v1", "r")
    with pytest.raises(schema_change.NotNow, match=r"Run 2026-09-15\|v1 was begun and not released"):
        list(schema_change.apply(bank, schema_change.plan(bank), spark))
    with bank.ledger.begin() as db:
        assert db.execute(select(Lease.holder)).scalar_one() == ""


def test_nothing_is_changed_while_a_feed_is_being_loaded(bank: Bank, house: Path, spark: SparkSession) -> None:
    change(
        house, "bronze/payments.yaml", "  direction:  [", "  fee:        [int, {classification: C2/3}]\n  direction:  ["
    )
    bank = after(bank, house)
    with bank.ledger.begin() as db:
        batch = batches.start(db, "bronze.payments", "payments|1", "r").batch_id
        batches.set_state(db, batch, "written")
    with pytest.raises(schema_change.NotNow, match=r"bronze\.payments is being loaded"):
        list(schema_change.apply(bank, schema_change.plan(bank), spark))
    # A load that has written nothing may wait for these very columns.
    with bank.ledger.begin() as db:
        batches.set_state(db, batch, "started")
    assert list(schema_change.apply(bank, schema_change.plan(bank), spark))


def test_rows_loaded_while_a_table_is_widened_are_not_lost(
    bank: Bank, house: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load commits between the reading and the writing: the rewrite is taken back."""
    text = (house / "silver/movements.yaml").read_text()
    (house / "silver/movements.yaml").write_text(text.replace("decimal(18,2)", "decimal(24,2)"))
    bank = after(bank, house)
    path = bank.lake.path(MOVEMENTS)
    [wider] = schema_change.plan(bank)
    load_between(spark, path, monkeypatch)
    with pytest.raises(schema_change.NotNow, match="was written while it was being widened"):
        list(schema_change.apply(bank, [wider], spark))
    assert sorted(str(row["movement_id"]) for row in rows(bank)) == ["m1", "m2"]


def load_between(spark: SparkSession, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for the table's version gets it, and just then somebody else's row is committed."""

    class Late(DeltaTable):
        def version(self) -> int:
            seen = super().version()
            monkeypatch.setattr("deltalake.DeltaTable", DeltaTable)
            row = (
                spark.read.format("delta")
                .load(path)
                .limit(1)
                .selectExpr("* except (movement_id)", "'m2' as movement_id")
            )
            row.write.format("delta").mode("append").save(path)
            return seen

    monkeypatch.setattr("deltalake.DeltaTable", Late)
