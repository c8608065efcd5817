"""A day that a gate stopped, in Airflow: its run is failed, and what follows a stop has run all the same."""

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
from jobs.ledger import Ledger, batches, days
from jobs.quality.metrics import nothing
from jobs.settings import Settings
from tests.ledger.conftest import TinyBank

pytestmark = [pytest.mark.services, pytest.mark.timeout(420), pytest.mark.long]

DAY = date(2026, 9, 15)
TABLE = "silver.branches"


def test_the_run_of_a_day_that_a_gate_stopped_is_failed(
    installation: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row stands in silver.branches that nobody sent: its balance does not hold. Nothing else came, so that no table needs Spark before that gate has spoken."""
    monkeypatch.setenv("LEDGERLAKE_PROFILES", "demo")
    services.up(["postgres"], installation, owner=os.getpid())
    demo_crm.create(installation)
    engine = create_engine(installation.ledger_url(), connect_args={"options": "-csearch_path=demo_ledger"})
    catalog = load("demo")
    bank = TinyBank(Ledger("demo", engine), catalog)
    bank.ledger.migrate()
    bank.clock(DAY, "20:00")
    table = catalog.tables[TABLE]
    with bank.ledger.begin() as db:
        key = days.request(db, DAY, DAY, "complete", days.Coverage((), ()))
        rollcall.expect(db, key)
        batch = batches.start(db, TABLE, key, "run")
        written = nothing(table, catalog.rules(table)) | {"accepted_rows": 1, "accepted_in": 1}
        batches.set_state(db, batch.batch_id, "written", metrics=written)
    services.up(["airflow"], installation, owner=os.getpid())
    password = airflow.logins(installation)["viewer"]
    with httpx.Client(base_url=installation.airflow_url, timeout=20) as client:
        asked = client.post("/auth/token", json={"username": "viewer", "password": password}).raise_for_status()
        client.headers["Authorization"] = f"Bearer {asked.json()['access_token']}"
        runs = "/api/v2/dags/business_day/dagRuns"

        def ended() -> list[dict[str, Any]]:
            found = client.get(runs).json().get("dag_runs", [])
            return [run for run in found if run["state"] in ("success", "failed")]

        assert wait_until(lambda: bool(ended()), timeout=300), client.get(runs).json()
        [run] = ended()
        tasks = client.get(f"{runs}/{run['dag_run_id']}/taskInstances", params={"limit": 100}).json()["task_instances"]
    states = {task["task_id"]: task["state"] for task in tasks}
    assert (states["begin"], states[TABLE], states["release"]) == ("success", "failed", "upstream_failed")
    assert (states["settle"], states["ask_for_days"]) == ("failed", "skipped"), "there is no other day to ask for"
    assert run["state"] == "failed"
    assert bank.run(key).state == "stopped"
    assert str(bank.run(key).reason).startswith(
        f"the gate of {TABLE} said stop. Received 0 rows; written accepted 1 rows"
    )
    engine.dispose()
