"""Roll-call by Airflow's timer: what is new is an event of the asset that tells it, once; no task fails for it."""

from __future__ import annotations

import os
from datetime import date

import httpx
import pytest
from sqlalchemy import create_engine

from infra.local import airflow, demo_crm, services
from infra.local.processes import wait_until
from jobs.contracts import load
from jobs.ledger import Ledger, deliveries
from jobs.settings import Settings
from tests.ledger.conftest import TinyBank

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

DAY = date(2026, 9, 15)


def test_airflow_shows_an_alert_as_one_event_and_its_end_as_another(
    installation: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGERLAKE_PROFILES", "demo")
    services.up(["postgres"], installation, owner=os.getpid())
    demo_crm.create(installation)
    engine = create_engine(installation.ledger_url(), connect_args={"options": "-csearch_path=demo_ledger"})
    bank = TinyBank(Ledger("demo", engine), load("demo"))
    bank.ledger.migrate()
    bank.clock(DAY, "20:00")
    refused = bank.claim("core_rates", "HO", DAY)
    with bank.ledger.begin() as db:
        deliveries.set_state(db, refused, "refused", "r", reason="no trailer")
    services.up(["airflow"], installation, owner=os.getpid())
    password = airflow.logins(installation)["viewer"]
    with httpx.Client(base_url=installation.airflow_url, timeout=20) as client:
        asked = client.post("/auth/token", json={"username": "viewer", "password": password}).raise_for_status()
        client.headers["Authorization"] = f"Bearer {asked.json()['access_token']}"

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
        bank.arrives("core_rates", "HO", DAY)
        ended = "core_rates of HO for 2026-09-15 has come (D0000002)."
        assert wait_until(lambda: told() == [said, ended], timeout=90), told()
        assert "failed" not in calls()
    engine.dispose()
