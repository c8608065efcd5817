"""Airflow with all that belongs to it, from an empty home. Roll-call by its timer: what is new is an event of the asset that tells it, once, and no
task fails for it. Then its scheduler and its database are killed.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from infra.local import airflow, processes, services
from infra.local.processes import wait_until
from jobs.ledger import deliveries
from jobs.settings import Settings
from tests.infra.conftest import as_viewer, demo_ledger, installed, take_jars
from tests.infra.test_supervisor import belongings, comes_back, pid_of
from tests.ledger.conftest import DAY, TinyBank

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, TinyBank]]:
    """All services, started once for these tests; the last one stops them. A delivery was refused before Airflow came up."""
    with pytest.MonkeyPatch.context() as patch, installed(tmp_path_factory.mktemp("everything")) as made:
        patch.setenv("LEDGERLAKE_PROFILES", "demo")
        take_jars(made)
        with demo_ledger(made) as bank:
            refused = bank.claim("core_rates", "HO", DAY)
            with bank.ledger.begin() as db:
                deliveries.set_state(db, refused, "refused", "r", reason="no trailer")
            services.up(None, made, owner=os.getpid())
            yield made, bank


def test_airflow_shows_an_alert_as_one_event_and_its_end_as_another(everything: tuple[Settings, TinyBank]) -> None:
    settings, bank = everything
    with as_viewer(settings) as client:

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


def test_airflow_comes_up_and_its_killed_scheduler_leaves_nobody(everything: tuple[Settings, TinyBank]) -> None:
    settings, _ = everything
    assert set(airflow.logins(settings)) == {"admin", "steward", "viewer"}

    former = pid_of("airflow-scheduler", settings)
    assert former is not None
    # A worker has a child of its own while it runs a task: roll-call comes by twice a minute. The last of them may be made just now.
    assert processes.wait_until(lambda: len(psutil.Process(former).children()) == airflow.PARALLELISM, 30)
    workers = [pid for pid in processes.of_session(former) if pid != former]
    os.kill(former, signal.SIGKILL)
    assert comes_back("airflow-scheduler", former, settings)
    assert [pid for pid in workers if processes.start_time(pid) is not None] == []

    former = pid_of("postgres", settings)
    assert former is not None
    os.kill(former, signal.SIGKILL)
    assert comes_back("postgres", former, settings)
    assert processes.wait_until(
        lambda: all(entry.ready or entry.name == "moto" for entry in services.status(settings)), 90
    )

    begun = time.monotonic()
    services.down(settings)
    assert belongings(settings) == []
    assert time.monotonic() - begun < 60
