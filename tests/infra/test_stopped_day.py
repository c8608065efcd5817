"""A day that a gate stopped, in Airflow: its run is failed, and what follows a stop has run all the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from infra.local import services
from infra.local.processes import wait_until
from jobs import rollcall
from jobs.ledger import batches, days
from jobs.quality.metrics import nothing
from jobs.settings import Settings
from tests.infra.conftest import as_viewer, demo_ledger
from tests.ledger.conftest import DAY, TinyBank

pytestmark = [pytest.mark.services, pytest.mark.timeout(420), pytest.mark.long]

TABLE = "silver.branches"


@pytest.fixture
def demo(installation: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyBank]:
    monkeypatch.setenv("LEDGERLAKE_PROFILES", "demo")
    with demo_ledger(installation) as bank:
        yield bank


def test_the_run_of_a_day_that_a_gate_stopped_is_failed(demo: TinyBank, installation: Settings) -> None:
    """A row stands in silver.branches that nobody sent: its balance does not hold. Nothing else came, so that no table needs Spark before that gate has spoken."""
    table = demo.catalog.tables[TABLE]
    with demo.ledger.begin() as db:
        key = days.request(db, DAY, DAY, "complete", days.Coverage((), ()))
        rollcall.expect(db, key)
        batch = batches.start(db, TABLE, key, "run")
        written = nothing(table, demo.catalog.rules(table)) | {"accepted_rows": 1, "accepted_in": 1}
        batches.set_state(db, batch.batch_id, "written", metrics=written)
    services.up(["airflow"], installation, owner=os.getpid())
    runs = "/api/v2/dags/business_day/dagRuns"

    with as_viewer(installation) as client:

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
    assert demo.run(key).state == "stopped"
    assert str(demo.run(key).reason).startswith(
        f"the gate of {TABLE} said stop. Received 0 rows; written accepted 1 rows"
    )
