"""A release that cannot be shown, in Airflow: its run is failed, and clearing the task that failed mends it."""

from __future__ import annotations

import os
from datetime import date
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine

from infra.local import airflow, demo_crm, services
from infra.local.processes import wait_until
from jobs import rollcall
from jobs.contracts import load
from jobs.lake import Lake
from jobs.ledger import Ledger, batches, days, releases
from jobs.settings import Settings
from tests.ledger.conftest import TinyBank

pytestmark = [pytest.mark.services, pytest.mark.timeout(540), pytest.mark.long]

DAY = date(2026, 9, 15)
RUNS = "/api/v2/dags/business_day/dagRuns"


def test_the_run_of_a_release_that_is_not_shown_is_failed_until_its_task_is_cleared(
    installation: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day was built and released, of tables that the lake has lost: they cannot be published. Then they are there again, empty."""
    monkeypatch.setenv("LEDGERLAKE_PROFILES", "demo")
    services.up(["postgres"], installation, owner=os.getpid())
    demo_crm.create(installation)
    engine = create_engine(installation.ledger_url(), connect_args={"options": "-csearch_path=demo_ledger"})
    catalog = load("demo")
    bank = TinyBank(Ledger("demo", engine), catalog)
    bank.ledger.migrate()
    bank.clock(DAY, "20:00")
    tables = catalog.build_order()
    with bank.ledger.begin() as db:
        key = days.request(db, DAY, DAY, "complete", days.Coverage((), ()))
        days.start(db, catalog, key, "run")
        for table in tables:
            batch = batches.start(db, table.table, key, "run")
            batches.set_state(db, batch.batch_id, "passed", metrics={"skipped": True})
        releases.release(db, days.get(db, key), {table.table: (0, None) for table in tables}, "run")
    services.up(["airflow"], installation, owner=os.getpid())
    password = airflow.logins(installation)["admin"]
    with httpx.Client(base_url=installation.airflow_url, timeout=20) as client:
        asked = client.post("/auth/token", json={"username": "admin", "password": password}).raise_for_status()
        client.headers["Authorization"] = f"Bearer {asked.json()['access_token']}"
        asked = client.post(RUNS, json={"logical_date": None, "partition_key": key}).raise_for_status()
        run = f"{RUNS}/{asked.json()['dag_run_id']}"

        def ended(state: str) -> bool:
            return bool(client.get(run).json()["state"] == state)

        def states() -> dict[str, str]:
            found = client.get(f"{run}/taskInstances", params={"limit": 100}).json()["task_instances"]
            return {task["task_id"]: task["state"] for task in found}

        assert wait_until(lambda: ended("failed"), timeout=300), states()
        assert {states()[name] for name in ("begin", "release")} == {"success"}
        assert [states()[name] for name in ("publish", "report", "settle")] == ["failed", "upstream_failed", "failed"]
        assert told(bank) == [(True, None)]
        lake = Lake(installation.bank("demo") / "lake")
        for table in tables:
            lake.create(table)
        again = {"dag_run_id": asked.json()["dag_run_id"], "task_ids": ["publish"], "include_downstream": True}
        clear = {"dry_run": False, "only_failed": False, "reset_dag_runs": True, **again}
        client.post("/api/v2/dags/business_day/clearTaskInstances", json=clear).raise_for_status()
        assert wait_until(lambda: ended("success"), timeout=120), states()
    assert [is_open for is_open, _ in told(bank)] == [False]
    with bank.ledger.begin() as db:
        assert (bank.run(key).state, releases.not_shown(db, key)) == ("released", [])
    engine.dispose()


def told(bank: TinyBank) -> list[tuple[bool, Any]]:
    """(is it open, how it ended) of each alert of a release that is not shown, after roll-call came by."""
    with bank.ledger.begin() as db:
        rollcall.end_shown(db)
        return [(a.closed_at is None, a.end) for a in batches.alerts_told(db, 9) if a.kind == batches.NOT_SHOWN]
