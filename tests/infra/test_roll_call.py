"""Roll-call by Airflow's timer: what is new is an event of the asset that tells it, once; no task fails for it."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from infra.local.processes import wait_until
from jobs.ledger import deliveries
from tests.ledger.conftest import DAY, TinyBank

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]


def test_airflow_shows_an_alert_as_one_event_and_its_end_as_another(
    demo: TinyBank, airflow_starts: Callable[[], httpx.Client]
) -> None:
    refused = demo.claim("core_rates", "HO", DAY)
    with demo.ledger.begin() as db:
        deliveries.set_state(db, refused, "refused", "r", reason="no trailer")
    client = airflow_starts()

    def told() -> list[str]:
        events = client.get("/api/v2/assets/events", params={"order_by": "timestamp"}).json()["asset_events"]
        return [one["message"] for event in events for one in (event.get("extra") or {}).get("alerts", [])]

    def calls() -> list[str]:
        runs = client.get("/api/v2/dags/roll_call/dagRuns", params={"limit": 50}).json().get("dag_runs", [])
        return [run["state"] for run in runs if run["state"] in ("success", "failed")]

    said = "core_rates of HO for 2026-09-15 was refused (D0000001): no trailer. Owner: head office accounting."
    assert wait_until(lambda: told() == [said], timeout=120), told()
    before = len(calls())
    assert wait_until(lambda: len(calls()) >= before + 2, timeout=90)
    assert told() == [said], "twice a minute it is looked at, and said once"
    demo.arrives("core_rates", "HO", DAY)
    ended = "core_rates of HO for 2026-09-15 has come (D0000002)."
    assert wait_until(lambda: told() == [said, ended], timeout=90), told()
    assert "failed" not in calls()
