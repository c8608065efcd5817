"""A release in the mart: all tables at once, once, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import text

from jobs.contracts.catalog import Catalog
from jobs.ledger.database import Ledger
from jobs.serving import mart
from jobs.serving.mart_schema import MartError
from tests.serving.conftest import BRANCHES, DAILY, KPI_VALUES, PRODUCTS, branch, catalog_of, customer, kpi, table

DAY, NEXT = date(2026, 9, 15), date(2026, 9, 16)
Released = Callable[..., int]


def frames(
    kpis: list[dict] = (), customers: list[dict] = (), branches: list[dict] = (), products: list[dict] = ()
) -> dict[str, pa.Table]:
    made = {}
    for contract, rows in ((KPI_VALUES, kpis), (DAILY, customers), (BRANCHES, branches), (PRODUCTS, products)):
        schema = mart.MartTable(contract).arrow_schema()
        if contract is DAILY:
            holdings = pa.list_(pa.struct([("product", pa.string()), ("count", pa.int32())]))
            schema = schema.set(schema.get_field_index("holdings"), pa.field("holdings", holdings))
        made[contract.table] = pa.Table.from_pylist(list(rows), schema=schema)
    return made


def rows(ledger: Ledger, query: str) -> list[tuple]:
    """`{m}` and `{b}` stand for the mart's two schemas."""
    m, b = mart.schemas(ledger.profile)
    with ledger.begin() as db:
        return [tuple(r) for r in db.execute(text(query.format(m=m, b=b)))]


def test_a_release_fills_all_tables_and_says_so(ledger: Ledger, catalog: Catalog, released: Released) -> None:
    one = released(DAY)
    given = frames(
        [kpi(DAY, "0.48")],
        [customer("p1", DAY, note='a "quoted", line\nand more'), customer("p2", DAY, "37", note="")],
        [branch("b01", "11")],
    )
    published = mart.publish(ledger, catalog, one, given, "run-1")
    assert published.is_new
    assert published.rows == {
        "gold.kpi_values": 1,
        "gold.customer_360_daily": 2,
        "gold.product_sums": 0,
        "silver.branches": 1,
    }
    assert rows(ledger, "select kpi_id, value from {m}.kpi_values") == [("K1", Decimal("0.480000"))]
    # Text survives as it came: empty text is not null, quotes and line ends stay; nested values are JSON; instants
    # keep their zone.
    stored = rows(
        ledger,
        "select party_id, note, holdings, seen_at at time zone 'UTC', balance from {m}.customer_360_daily order by 1",
    )
    assert stored[0][1] == 'a "quoted", line\nand more'
    assert stored[1][1] == ""
    assert stored[0][2] == [{"product": "fund", "count": 2}]
    assert (stored[0][3].hour, stored[0][4]) == (2, Decimal("10.00"))
    assert rows(ledger, "select mart_published_at is not null from releases") == [(True,)]
    assert rows(ledger, "select release_id, run_id from {m}.publications") == [(one, "run-1")]


def test_a_bi_tool_reads_that_a_day_is_provisional_and_what_lacks(
    ledger: Ledger, catalog: Catalog, released: Released
) -> None:
    """C10."""
    lane = f"core_accounts|b03|{DAY}"
    for version, missing in ((1, (lane,)), (2, ())):
        one = released(DAY, version, missing=missing)
        mart.publish(ledger, catalog, one, frames([kpi(DAY, "0.48")], [customer("p1", DAY)], [branch("b01", "11")]), "run-1")  # fmt: skip
    told = rows(
        ledger, "select version, received_units, expected_units, is_provisional, missing from {b}.releases order by 1"
    )
    assert told == [(1, 13, 14, True, [lane]), (2, 14, 14, False, [])]


def test_the_same_release_twice_changes_nothing(ledger: Ledger, catalog: Catalog, released: Released) -> None:
    one = released(DAY)
    mart.publish(ledger, catalog, one, frames([kpi(DAY, "0.48")], [customer("p1", DAY)]), "run-1")
    again = mart.publish(ledger, catalog, one, frames([kpi(DAY, "0.99")], [customer("p9", DAY)]), "run-2")
    assert not again.is_new
    assert rows(ledger, "select value from {m}.kpi_values") == [(Decimal("0.480000"),)]
    assert rows(ledger, "select party_id from {m}.customer_360_daily") == [("p1",)]


def test_two_at_once_publish_one_copy(ledger: Ledger, catalog: Catalog, released: Released) -> None:
    one, outcomes, start = released(DAY), [], threading.Barrier(2)

    def run(name: str) -> None:
        start.wait()
        outcomes.append(
            mart.publish(ledger, catalog, one, frames([kpi(DAY, "0.48")], [customer("p1", DAY)]), name).is_new
        )

    threads = [threading.Thread(target=run, args=(f"run-{n}",)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(outcomes) == [False, True]
    assert rows(ledger, "select count(*) from {m}.kpi_values") == [(1,)]


def test_a_crash_before_the_commit_leaves_the_former_release(
    ledger: Ledger, catalog: Catalog, released: Released, monkeypatch: pytest.MonkeyPatch
) -> None:
    mart.publish(
        ledger,
        catalog,
        released(DAY),
        frames([kpi(DAY, "0.48")], [customer("p1", DAY)], [branch("b01", "11")]),
        "run-1",
    )
    restated, real, written = released(DAY, version=2), mart._replace, []

    def dies_at_the_third(*args: Any) -> int:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(real(*args))
        return written[-1]

    monkeypatch.setattr(mart, "_replace", dies_at_the_third)
    given = frames([kpi(DAY, "0.50", no=1)], [customer("p2", DAY)], [branch("b02", "37")])
    with pytest.raises(KeyboardInterrupt):
        mart.publish(ledger, catalog, restated, given, "run-2")
    assert len(written) == 2
    assert rows(ledger, "select party_id from {m}.customer_360_daily") == [("p1",)]
    assert rows(ledger, "select value from {m}.kpi_values") == [(Decimal("0.480000"),)]
    assert rows(ledger, "select mart_published_at is null from releases where release_id = 2") == [(True,)]
    monkeypatch.undo()
    assert mart.publish(ledger, catalog, restated, given, "run-3").is_new
    assert rows(ledger, "select party_id from {m}.customer_360_daily") == [("p2",)]


def test_only_the_released_dates_are_replaced(ledger: Ledger, catalog: Catalog, released: Released) -> None:
    mart.publish(
        ledger,
        catalog,
        released(DAY, to_date=NEXT),
        frames([], [customer("p1", DAY), customer("p1", NEXT)], [branch("b01", "11"), branch("b02", "11")]),
        "r",
    )
    mart.publish(
        ledger, catalog, released(NEXT, version=2), frames([], [customer("p7", NEXT)], [branch("b01", "37")]), "r"
    )
    assert rows(ledger, "select party_id, business_date from {m}.customer_360_daily order by 2") == [
        ("p1", DAY),
        ("p7", NEXT),
    ]
    assert rows(ledger, "select branch_id, province_code from {m}.branches") == [("b01", "37")], (
        "the current state replaces all"
    )


def test_a_delayed_publication_brings_no_old_rows_back(ledger: Ledger, catalog: Catalog, released: Released) -> None:
    """Release 1 spoke of two days, release 2 restated the second and was published first."""
    one = released(DAY, to_date=NEXT)
    two = released(NEXT, version=2)
    mart.publish(
        ledger,
        catalog,
        two,
        frames([kpi(NEXT, "0.50", release="r2", no=1)], [customer("new", NEXT)], [branch("b01", "37")]),
        "r",
    )
    mart.publish(
        ledger,
        catalog,
        one,
        frames([kpi(NEXT, "0.48")], [customer("old", DAY), customer("old", NEXT)], [branch("b01", "11")]),
        "r",
    )
    assert rows(ledger, "select party_id, business_date from {m}.customer_360_daily order by 2") == [
        ("old", DAY),
        ("new", NEXT),
    ]
    assert rows(ledger, "select province_code from {m}.branches") == [("37",)]
    assert rows(ledger, "select value from {m}.kpi_values where __newest") == [(Decimal("0.500000"),)]


def test_a_restated_figure_keeps_its_former_statements(ledger: Ledger, catalog: Catalog, released: Released) -> None:
    first = [kpi(DAY, "0.48"), kpi(DAY, "0.40", province="11"), kpi(DAY, None, kpi_id="K2")]
    mart.publish(ledger, catalog, released(DAY), frames(first), "r")
    mart.publish(ledger, catalog, released(DAY, version=2), frames([kpi(DAY, "0.50", release="r2", no=1)]), "r")
    newest = rows(
        ledger, "select kpi_id, province_code, value from {m}.kpi_values where __newest order by 1, 2 nulls first"
    )
    assert newest == [("K1", None, Decimal("0.500000")), ("K1", "11", Decimal("0.400000")), ("K2", None, None)]
    assert rows(ledger, "select count(*) from {m}.kpi_values") == [(4,)]


def test_a_frame_that_does_not_belong_is_refused_with_its_name(
    ledger: Ledger, catalog: Catalog, released: Released
) -> None:
    one, good = released(DAY), frames()
    with pytest.raises(MartError, match=r"no frame for silver\.branches"):
        mart.publish(ledger, catalog, one, {k: v for k, v in good.items() if k != "silver.branches"}, "r")
    with pytest.raises(MartError, match=r"silver\.secrets, not a mart table"):
        mart.publish(ledger, catalog, one, good | {"silver.secrets": pa.table({"a": [1]})}, "r")
    with pytest.raises(MartError, match=r"lacks province_code"):
        mart.publish(
            ledger,
            catalog,
            one,
            good | {"silver.branches": good["silver.branches"].drop_columns(["province_code"])},
            "r",
        )
    with pytest.raises(MartError, match="rows from 2026-09-16 to 2026-09-16"):
        mart.publish(ledger, catalog, one, frames([], [customer("p1", NEXT)]), "r")
    with pytest.raises(MartError, match=r"silver\.branches\.is_rural: string cannot become bool"):
        broken = good["silver.branches"].set_column(2, "is_rural", pa.array([], pa.string()))
        broken = pa.concat_tables(
            [broken, pa.table({"branch_id": ["b"], "province_code": ["1"], "is_rural": ["maybe"]})]
        )
        mart.publish(ledger, catalog, one, good | {"silver.branches": broken}, "r")
    with pytest.raises(MartError, match="no release 99"):
        mart.publish(ledger, catalog, 99, good, "r")
    assert rows(ledger, "select count(*) from pg_namespace where nspname = '{m}'") == [(0,)], "nothing was left behind"


def test_a_row_that_stands_twice_is_refused_by_the_key(ledger: Ledger, catalog: Catalog, released: Released) -> None:
    with pytest.raises(Exception, match="duplicate key"):
        mart.publish(ledger, catalog, released(DAY), frames([kpi(DAY, "0.48"), kpi(DAY, "0.48")]), "r")


def test_a_contract_that_grew_extends_the_mart(ledger: Ledger, released: Released) -> None:
    def contract(columns: dict) -> Catalog:
        return catalog_of(
            table("silver.things", columns, primaryKey=["thing_id"], history="scd2", mart={"keep": "current"})
        )

    narrow = contract(
        {"thing_id": ["string!", {"classification": "C1/1"}], "size": ["int", {"classification": "C1/1"}]}
    )
    wide = contract(
        {
            "thing_id": ["string!", {"classification": "C1/1"}],
            "colour": ["string", {"classification": "C1/1"}],
            "size": ["bigint", {"classification": "C1/1"}],
        }
    )
    (before,), (after,) = narrow.tables.values(), wide.tables.values()
    one = released(DAY, tables=(before,))
    mart.publish(
        ledger, narrow, one, {"silver.things": pa.table({"thing_id": ["a"], "size": pa.array([1], pa.int32())})}, "r"
    )
    assert rows(ledger, "select * from {b}.things") == [], "the owner has no scope either"
    two = released(NEXT, tables=(after,))
    mart.publish(
        ledger, wide, two, {"silver.things": pa.table({"thing_id": ["a"], "colour": ["red"], "size": [2**40]})}, "r"
    )
    assert rows(ledger, "select thing_id, colour, size from {m}.things") == [("a", "red", 2**40)]
    assert rows(
        ledger,
        "select column_name from information_schema.columns where table_schema = '{b}' and table_name = 'things'",
    ) == [
        ("thing_id",),
        ("colour",),
        ("size",),
    ]


def test_views_are_left_alone_while_nothing_changed(ledger: Ledger, catalog: Catalog) -> None:
    """Replacing a view waits for its readers and makes later ones wait: each publication must not do that."""
    mart.prepare(ledger, catalog)
    views = "select oid from pg_class where relkind = 'v' and relnamespace = '{b}'::regnamespace order by oid"
    first = rows(ledger, views)
    mart.prepare(ledger, catalog)
    assert rows(ledger, views) == first
    assert len(first) == 6, "four tables, the history of figures, and releases"


def test_a_view_whose_contract_is_gone_goes_too(ledger: Ledger, catalog: Catalog) -> None:
    mart.prepare(ledger, catalog)
    mart.prepare(ledger, replace(catalog, tables={k: v for k, v in catalog.tables.items() if k != "gold.product_sums"}))
    assert rows(ledger, "select to_regclass('{b}.product_sums') is null, to_regclass('{m}.product_sums') is null") == [
        (True, False)
    ]
