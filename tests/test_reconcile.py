"""General ledger and accounts of three branches on one day: b01 agrees, b02 is off by 100.00, b03 has sent no accounts."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from jobs import reconcile
from jobs.contracts import Catalog, ContractError, load
from jobs.contracts.model import Reconciles
from jobs.lake import Lake
from jobs.ledger import Ledger, batches, days, deliveries, lanes
from jobs.ledger.days import Lane
from jobs.settings import settings
from tests.contracts.house import change
from tests.ledger.conftest import BRANCHES, DAY, TinyBank, bank, catalog, ledger, migrated, part, running

__all__ = ["bank", "catalog", "ledger", "migrated", "running"]

GL = [
    # branch, subject, has accounts, closing
    ("b01", "2011", True, "150.00"),
    ("b01", "2012", True, "7.00"),
    ("b01", "3001", False, "-157.00"),
    ("b02", "2011", True, "300.00"),
    ("b02", "2012", True, "0.00"),
    ("b03", "2011", True, "9.00"),
]
BALANCES = [
    ("b01", "2011", "100.00"),
    ("b01", "2011", "50.00"),
    ("b01", "2012", "7.00"),
    ("b02", "2011", "200.00"),
]
FEEDS = {"b01": ("core_gl", "core_balances"), "b02": ("core_gl", "core_balances"), "b03": ("core_gl",)}


def lake_of(
    folder: Path,
    gl: list[tuple[Any, ...]] = GL,
    balances: list[tuple[Any, ...]] = BALANCES,
    ids: Mapping[str, str] = MappingProxyType({}),
) -> Lake:
    """Bronze as these rows leave it. `ids`: of deliveries that are also in a ledger. Of each feed there are also a rejected row, and one of a delivery that does not count."""
    lake = Lake(folder)
    rows = {
        "core_gl": [{"branch_id": b, "subject_code": s, "has_sub_ledger": h, "closing": Decimal(m)} for b, s, h, m in gl],
        "core_balances": [{"branch_id": b, "subject_code": s, "balance": Decimal(m)} for b, s, m in balances],
    }  # fmt: skip
    for feed, told in rows.items():
        stamped = [
            row | {"currency": "CNY", "__delivery_id": id_of(f"{feed}/{row['branch_id']}", ids), "__batch": 1, "__business_date": DAY, "__verdict": "accepted"}
            for row in told
        ]  # fmt: skip
        stamped += [stamped[0] | {"__verdict": "rejected"}, stamped[0] | {"__delivery_id": "superseded"}]
        write_deltalake(lake.path(f"bronze.{feed}"), pa.Table.from_pylist(stamped))
    return lake


def id_of(name: str, ids: Mapping[str, str]) -> str:
    return ids.get(name, name)


def parts(feeds: dict[str, tuple[str, ...]] = FEEDS, ids: Mapping[str, str] = MappingProxyType({})) -> list[Any]:
    return [
        SimpleNamespace(
            delivery_id=id_of(f"{feed}/{branch}", ids), feed=feed, entity=branch, batch_id=1, business_date=DAY
        )
        for branch, sent in feeds.items()
        for feed in sent
    ]


def demo() -> Catalog:
    return load("demo")


def test_a_break_is_named_by_branch_and_subject_and_others_agree(tmp_path: Path) -> None:
    [found] = reconcile.compare(demo(), lake_of(tmp_path), parts())
    assert found.branch_days == {("b01", DAY), ("b02", DAY)}
    [one] = found.breaks
    assert (one.branch, one.what, one.left, one.right) == ("b02", "2011, CNY", Decimal("300.00"), Decimal("200.00"))
    assert found.lanes() == {Lane(f, "b02", DAY) for f in ("core_gl", "core_balances", "core_transactions")}


def test_accounts_under_a_subject_that_the_ledger_does_not_have_are_a_break(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, balances=[*BALANCES, ("b01", "2099", "0.01")])
    [found] = reconcile.compare(demo(), lake, parts({"b01": ("core_gl", "core_balances")}))
    assert [(b.what, b.left, b.right) for b in found.breaks] == [("2099, CNY", None, Decimal("0.01"))]


def test_a_difference_within_the_tolerance_is_none(tmp_path: Path) -> None:
    lake, known = lake_of(tmp_path), demo()
    table = known.tables["bronze.core_gl"]
    [(other, rule)] = table.reconciles.items()
    kind = table.model_copy(update={"reconciles": {other: rule.model_copy(update={"tolerance": Decimal(100)})}})
    [found] = reconcile.compare(replace(known, tables=known.tables | {table.table: kind}), lake, parts())
    assert found.breaks == () and found.lanes() == set()


def test_a_break_is_a_case_and_an_alert_until_the_branch_day_agrees(ledger: Ledger, tmp_path: Path) -> None:
    with ledger.begin() as db:
        found = reconcile.compare(demo(), lake_of(tmp_path / "first"), parts())
        assert len(reconcile.report(db, demo(), found, f"{DAY}|v1", "run")) == 3
    with ledger.begin() as db:
        [case] = batches.cases(db)
        [alert] = batches.alerts(db)
    assert (case.cause, case.subject, case.affected_rows, case.money) == (
        "agrees_with_core_balances",
        f"b02|{DAY}",
        1,
        100,
    )
    assert "2011, CNY: closing 300.00, sum of balance 200.00, difference 100.00" in case.reason == alert.message
    corrected = [("b02", "2011", True, "200.00") if row[:2] == ("b02", "2011") else row for row in GL]
    with ledger.begin() as db:
        found = reconcile.compare(demo(), lake_of(tmp_path / "again", corrected), parts())
        assert reconcile.report(db, demo(), found, f"{DAY}|v2", "run") == set()
        assert batches.cases(db) == []


def comes(bank: TinyBank, feed: str, branch: str, *, is_empty: bool = False) -> str:
    """A delivery that counts; an empty one has rows of no date."""
    delivery = bank.claim(feed, branch, DAY)
    with bank.ledger.begin() as db:
        batch = batches.start(db, f"bronze.{feed}", f"{feed}|{delivery}", "r")
        dates = [] if is_empty else [part(DAY)]
        deliveries.go_live(db, delivery, batch.batch_id, "r", dates=dates, totals={"rejected_rows": 0})
    return delivery


@pytest.mark.parametrize("others", [("b01",), ()], ids=["beside_others", "alone"])
@pytest.mark.parametrize("told", ["core_gl", "core_balances"])
def test_money_of_one_side_is_compared_with_a_file_of_the_other_that_is_empty(
    told: str, others: tuple[str, ...], ledger: Ledger, tmp_path: Path
) -> None:
    """b03's ledger, or its accounts, tell 9.00. As long as the other side has not come, it is missing; its empty file says 0.00, and that is a break."""
    bank = TinyBank(ledger, demo())
    ids = {f"{told}/b03": comes(bank, told, "b03")}
    lake = lake_of(tmp_path, balances=[*BALANCES, ("b03", "2011", "9.00")], ids=ids)
    chosen = parts({"b03": (told,)} | dict.fromkeys(others, ("core_gl", "core_balances")), ids)

    def kept_out(run_key: str) -> set[Lane]:
        with ledger.begin() as db:
            return reconcile.report(db, bank.catalog, reconcile.compare(bank.catalog, lake, chosen), run_key, "run")

    assert kept_out(f"{DAY}|v1") == set()
    comes(bank, "core_balances" if told == "core_gl" else "core_gl", "b03", is_empty=True)
    assert kept_out(f"{DAY}|v2") == {Lane(f, "b03", DAY) for f in ("core_gl", "core_balances", "core_transactions")}
    with ledger.begin() as db:
        [case], [alert] = batches.cases(db), batches.alerts(db)
    sides = ("9.00", "nothing", "9.00") if told == "core_gl" else ("nothing", "9.00", "-9.00")
    assert (case.subject, case.money) == (f"b03|{DAY}", 9)
    assert "2011, CNY: closing {}, sum of balance {}, difference {}".format(*sides) in case.reason == alert.message
    comes(bank, told, "b03", is_empty=True)  # sent again: both are empty, and agree
    with ledger.begin() as db:
        found = reconcile.compare(bank.catalog, lake, [one for one in chosen if one.entity != "b03"])
        assert reconcile.report(db, bank.catalog, found, f"{DAY}|v3", "run") == set()
        assert batches.cases(db) == []


def test_what_goes_live_since_the_choice_is_no_empty_file(ledger: Ledger, tmp_path: Path) -> None:
    bank = TinyBank(ledger, demo())
    ids = {"core_gl/b03": comes(bank, "core_gl", "b03")}
    found = reconcile.compare(bank.catalog, lake_of(tmp_path, ids=ids), parts({"b03": ("core_gl",)}, ids))
    comes(bank, "core_balances", "b03")
    with ledger.begin() as db:
        assert reconcile.report(db, bank.catalog, found, f"{DAY}|v1", "run") == set()


def test_a_branch_day_that_is_kept_out_is_missing_and_the_day_provisional(running: TinyBank) -> None:
    running.whole_day()
    [key] = running.decide()
    kept_out = {Lane("payments", BRANCHES[1], DAY)}
    with running.ledger.begin() as db:
        run = days.start(db, running.catalog, key, "run", keep_out=lambda _: kept_out)
    assert (run.expected_units, run.received_units, run.missing) == (3, 2, [f"payments|b02|{DAY}"])
    assert run.coverage == {"payments": [2, 1], "rates": [1, 1]}
    assert len(run.deliveries) == 2


def test_the_board_says_that_a_branch_day_is_kept_out_until_it_agrees(running: TinyBank) -> None:
    """b02's payments are here and do not count. What comes after the release is merely not built from yet."""
    table = running.catalog.tables["bronze.payments"]
    rule = Reconciles(keys=["branch_id"], branch="branch_id", left="amount", right="amount", blocks=["payments"])
    of_two_sides = table.model_copy(update={"reconciles": {"bronze.rates": rule}})
    known = replace(running.catalog, tables=running.catalog.tables | {table.table: of_two_sides})
    case = {
        "kind": "rows",
        "table": table.table,
        "cause": "agrees_with_rates",
        "subject": f"b02|{DAY}",
        "business_date": DAY,
    }

    def word_of(entity: str) -> tuple[str, bool]:
        with running.ledger.begin() as db:
            lane = next(one for one in lanes.of_day(db, known, DAY) if (one.feed, one.entity) == ("payments", entity))
            assert lanes.told(known, lane)
            return lane.word, lane.is_live

    running.whole_day()
    [key] = running.decide()
    with running.ledger.begin() as db:
        days.start(db, known, key, "run", keep_out=lambda _: {Lane("payments", "b02", DAY)})
    running.release(key)
    assert (word_of("b01"), word_of("b02")) == (("arrived", True), ("arrived", True))
    with running.ledger.begin() as db:
        batches.open_case(
            db, **case, feed="payments", entity="b02", reason="apart", affected_rows=1, owner="o", run_id="r"
        )
    assert (word_of("b01"), word_of("b02")) == (("arrived", True), ("kept_out", False))
    with running.ledger.begin() as db:
        [board] = lanes.boards(db, known, DAY)
        batches.close_case(db, table=table.table, cause="agrees_with_rates", subject=f"b02|{DAY}", note="agrees")
    assert (board.coverage, [lane.entity for lane in board.not_live]) == ("2 of 3", ["b02"])
    assert (
        f"bronze.payments and bronze.rates do not agree: case 1; {key} is built without it" == board.not_live[0].reason
    )
    assert word_of("b02") == ("arrived", True)


WRONG = {
    "keys: [branch_id, subject": ("keys: [branch, subject", "branch branch_id is not one of keys"),
    "left: closing": ("left: closed", "left names closed, which is not a column of bronze.core_gl"),
    "right: balance": ("right: product_name", "right product_name is of type string"),
    "only: has_sub_ledger": ("only: subject_name", "only subject_name is no boolean"),
    "blocks: [core_gl,": ("blocks: [core_g,", "blocks names core_g, which is no feed"),
    "bronze.core_balances:": ("bronze.core_balance:", "reconciles with bronze.core_balance, which has no contract"),
}


@pytest.mark.parametrize("before", WRONG)
def test_a_mistake_in_what_reconciles_is_told(before: str, tmp_path: Path) -> None:
    root = shutil.copytree(settings().expectations, tmp_path / "expectations")
    after, words = WRONG[before]
    change(root, "bronze/core_gl.yaml", before, after)
    with pytest.raises(ContractError) as error:
        load("demo", root)
    assert words in str(error.value.mistakes[0])
