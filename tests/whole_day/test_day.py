"""One bank day after the other through the real services, compared with answers that were worked out from the truth alone.

The tests of this module are one story and run in order: history, a clean day; in `make test-long` also a day with faults, and what it restates.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import duckdb
import httpx
import pytest
from sqlalchemy import select

from infra.local import airflow
from jobs import quarantine as bench
from jobs.commands import releases as commands
from jobs.commands import watch
from jobs.ledger import batches, days, deliveries, fixes
from jobs.ledger.models import Balance, Batch, Delivery
from jobs.settings import settings
from tests.whole_day.conftest import Story

pytestmark = [pytest.mark.services, pytest.mark.story, pytest.mark.timeout(1500)]

MONEY = {
    "silver.transactions": "amount", "silver.reversals": "amount", "silver.sales": "amount", "silver.account_balances": "balance",
    "silver.loans": "balance", "silver.gl_balances": "debit_turnover",
}  # fmt: skip
DATES = {"silver.account_balances": "balance_date", "silver.loans": "as_of_date", "silver.exchange_rates": "valid_from"}
GRAINS = ("legal_entity_id", "business_line", "province_code", "branch_id")


def rows_of(story: Story, table: str, sql: str, **values: Any) -> list[tuple[Any, ...]]:
    """A query over the accepted rows of a table's newest version, by DuckDB: `t` is the table."""
    with duckdb.connect() as engine:
        engine.register("all_rows", story.bank.lake.dataset(table))
        engine.execute("create view t as select * from all_rows where __verdict = 'accepted'")
        return engine.execute(sql, values or None).fetchall()


def assert_tables(story: Story, key: dict[str, Any]) -> None:
    for table, answer in key["tables"].items():
        if "rows" in answer:
            money = f"sum({MONEY[table]})" if table in MONEY else "null"
            column = DATES.get(table, "business_date")
            [(rows, total)] = rows_of(
                story, table, f"select count(*), {money} from t where {column} = $day", day=key["date"]
            )
            assert rows == answer["rows"], table
            if table in MONEY:
                assert Decimal(total or 0) == Decimal(answer["money"]), table
        if "current" in answer:
            [(current,)] = rows_of(story, table, "select count(*) from t where is_current")
            assert current == answer["current"], table
    [(parties,)] = rows_of(story, "silver.parties", "select count(*) from t where is_current")
    assert parties == key["parties"]


def assert_figures(story: Story, key: dict[str, Any]) -> None:
    """Every KPI, period, measure and cell of the key stands in kpi_values, with its numerator, denominator and value; and nothing else does."""
    told = rows_of(
        story,
        "gold.kpi_values",
        f"select kpi_id, period_kind, measure, {', '.join(GRAINS)}, numerator, denominator, value from t where as_of_date = $day "
        "qualify row_number() over (partition by kpi_id, period_kind, period, measure, "
        + ", ".join(GRAINS)
        + " order by restatement_no desc) = 1",
        day=key["date"],
    )
    found: dict[tuple[str, ...], tuple[Any, ...]] = {}
    for kpi, kind, measure, *rest in told:
        grain = [f"{name}={value}" for name, value in zip(GRAINS, rest[:4], strict=True) if value is not None]
        cell = "total" if not grain else next((g for g in grain if g.startswith("branch_id")), grain[0])
        found[kpi, kind, measure, cell] = tuple(rest[4:])
    for kpi, kinds in key["kpis"].items():
        for kind, measures in kinds.items():
            for measure, cells in measures.items():
                for cell, answer in cells.items():
                    got = found.get((kpi, kind, measure, cell))
                    if got is None and not answer["numerator"] and not answer["denominator"]:
                        continue
                    assert got is not None, (kpi, kind, measure, cell)
                    assert got == (answer["numerator"], answer["denominator"], answer["value"]), (
                        kpi,
                        kind,
                        measure,
                        cell,
                    )


def test_the_history_is_taken_on_in_one_run(story: Story) -> None:
    key = story.key(story.sender.history_end)
    assert_tables(story, key)
    assert_figures(story, key)


def test_a_clean_day_equals_the_key(story: Story) -> None:
    made = story.run()
    assert (made.kind, made.missing) == ("final", [])
    key = story.key(made.from_date)
    assert_tables(story, key)
    assert_figures(story, key)
    with story.bank.ledger.begin() as db:
        assert batches.cases(db) == []
        states = {d.state for d in deliveries.find(db, business_date=made.from_date)}
    assert states == {"loaded"}


def test_every_batch_names_an_airflow_run_and_every_balance_holds(story: Story) -> None:
    with story.bank.ledger.begin() as db:
        runs = set(db.execute(select(Batch.run_id)).scalars())
        claims = set(db.execute(select(Delivery.run_id)).scalars())
        broken = db.execute(select(Balance.table_name, Balance.subject).where(~Balance.is_balanced)).all()
        silver = set(db.execute(select(Balance.table_name)).scalars())
    assert all(run.startswith(("load/", "business_day/")) for run in runs), runs
    assert all(run.startswith("landing/") for run in claims), claims
    assert broken == []
    assert {t.table for t in story.bank.catalog.tables.values() if "incoming" in t.reads} <= silver


@pytest.mark.long
def test_faults_are_caught_each_by_its_control_and_the_rest_is_released(story: Story) -> None:
    faults = ("F01", "F04", "F11", "F12", "F14", "F17", "F19", "F20", "F23", "F25", "F30", "F37", "F75")
    made = story.run(*faults)
    day = made.from_date
    key = story.key(day)
    assert sorted(made.missing) == key["missing"]
    assert made.kind == "provisional"
    with story.bank.ledger.begin() as db:
        arrived = deliveries.find(db, business_date=day)
        for feed, lanes in key["feeds"].items():
            for entity, answer in lanes.items():
                lane = [
                    d
                    for d in arrived
                    if (d.feed, d.entity) == (feed, entity) and d.state not in ("superseded", "ignored_duplicate")
                ]
                states = {d.state for d in lane} or {"missing"}
                assert states == {answer["state"]}, (feed, entity, [d.reason for d in lane])
                if "accepted_rows" in answer:
                    # A stream's lane is several files.
                    for part in ("received", "accepted", "rejected", "duplicate"):
                        got = sum(getattr(d, f"{part}_rows") for d in lane)
                        assert got == answer[f"{part}_rows"], (feed, entity, part)
        refused = {d.delivery_id for d in arrived if d.state == "refused"}
        cases = batches.cases(db)
    assert refused <= {case.delivery_id for case in cases}
    assert_tables(story, key)
    assert_figures(story, key)


@pytest.mark.long
def test_a_day_whose_movements_were_reversed_later_is_told_anew(story: Story) -> None:
    """Rule R5: a reversal nets in the original's period, whenever it comes. Nothing is pending then."""
    with story.bank.ledger.begin() as db:
        assert days.pending(db) == []
    assert_figures(story, story.key(story.sender.first_live_day, known=max(story.faults)))


@pytest.mark.long
def test_rows_in_quarantine_are_fixed_by_two_people_and_the_day_is_told_with_them(story: Story) -> None:
    """Branch b01 sent one movement twice, with two amounts (F37), and movements of a type that nobody knows (F30). One person proposes in the terminal,
    another approves in Airflow; roll-call, load and the day's restatement follow by themselves."""
    day = max(story.faults)
    with story.bank.ledger.begin() as db:
        cases = {c.cause: c for c in batches.cases(db) if c.feed == "core_transactions" and c.entity == "b01"}
    copies, unknown = cases["primary_key_unique"], cases["transaction_code_known"]
    first, second = bench.samples(story.bank, copies)
    right = min(first, second, key=lambda sample: sample.values["amount"])
    accept = bench.propose_acceptance(story.bank, copies.case_id, [right.line], "the slip was read again", "clara")
    assert steward(f"quarantine/{copies.case_id}/approve/{accept}").status_code == 303
    watch.until_at_rest(story.bank)
    restated = story.newest(day)
    assert restated.cause == "repaired"
    story.faults[day] = tuple(f for f in story.faults[day] if f != "F37")
    assert_tables(story, story.key(day))
    assert_figures(story, story.key(day))
    with story.bank.ledger.begin() as db:
        fix = fixes.get(db, accept)
        assert fixes.get_case(db, copies.case_id).affected_rows == 1  # the other copy stays rejected
    changed = {
        (e.kpi_id, e.period_kind, e.grain, e.measure): (e.before, e.after) for e in bench.effects(story.bank, fix)
    }
    assert changed and all(before != after for before, after in changed.values())
    assert any(key[0] == "K4" for key in changed), changed

    code = bench.propose_code(story.bank, unknown.case_id, "X9", "purchase", "told by the product team", "clara")
    page = steward(f"quarantine/{unknown.case_id}/approve/{code}")
    assert page.status_code == 303
    watch.until_at_rest(story.bank)
    assert days.parse_key(story.newest(day).run_key)[2] == days.parse_key(restated.run_key)[2] + 1
    story.faults[day] = tuple(f for f in story.faults[day] if f != "F30")
    assert_tables(story, story.key(day))
    assert_figures(story, story.key(day))
    with story.bank.ledger.begin() as db:
        assert fixes.get_case(db, unknown.case_id).state == "closed"
        replays = fixes.replays(db, [accept, code])
        assert {row.state for row in replays} == {"done"}
        first = min(row.batch_id for row in replays)
        runs = set(db.execute(select(Batch.run_id).where(Batch.batch_id >= first)).scalars())
    assert all(run.startswith(("load/", "business_day/")) for run in runs), runs


def steward(address: str) -> httpx.Response:
    """The steward, logged in to Airflow, presses a button of a page."""
    own = settings()
    with httpx.Client(base_url=own.airflow_url, timeout=60) as client:
        told = client.post("/auth/token", json={"username": "steward", "password": airflow.logins(own)["steward"]})
        client.cookies.set("_token", told.raise_for_status().json()["access_token"])
        return client.post(f"/ledgerlake/{address}?bank=demo", data={"note": "seen"})


@pytest.mark.long
def test_a_refused_file_that_is_sent_again_restates_its_day_which_can_be_taken_back(story: Story) -> None:
    """Branch b03's movements were refused (F11). Sent again as they should have been, they are told in the next version; a rollback tells the day again
    as it was told without them."""
    day = max(story.faults)
    without, mended = story.faults[day], tuple(f for f in story.faults[day] if f != "F11")
    story.drop(day, "core_transactions", "b03")
    restated = story.newest(day)
    assert restated.cause == "late"
    story.faults[day] = mended
    assert_tables(story, story.key(day))
    assert_figures(story, story.key(day))

    commands.rollback("demo", str(day), "b03 withdrew its file")
    watch.until_at_rest(story.bank)
    story.faults[day] = without
    taken_back = story.newest(day)
    assert taken_back.cause == "rollback: b03 withdrew its file"
    assert days.parse_key(taken_back.run_key)[2] == days.parse_key(restated.run_key)[2] + 1
    assert_tables(story, story.key(day))
    assert_figures(story, story.key(day))
