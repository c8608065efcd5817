"""One DAG run as Airflow's own `dag.test()` makes it: the tasks in this machine's order, with a real Airflow database and ledger."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.ledger import deliveries
from jobs.settings import PROJECT, settings
from tests.commands.conftest import bank, running
from tests.ledger.conftest import DAY, TinyBank

__all__ = ["bank", "running"]
pytestmark = [pytest.mark.services, pytest.mark.timeout(180)]

RUN = """
from airflow.utils.db import upgradedb
upgradedb()
from dags.landing import tiny_landing
run = tiny_landing.test()
print(run.state, run.run_id, sep="|")
"""


def test_what_waits_is_claimed_by_the_run_of_landing(running: TinyBank, tmp_path: Path) -> None:
    lane = settings().bank("tiny") / "inbox" / "payments" / "b01" / str(DAY)
    lane.mkdir(parents=True)
    name = f"PAY_b01_{DAY:%Y%m%d}_1.csv"
    (lane / name).write_text("p1|D|1.00\np2|C|2.50\n")
    (lane / f"{name}.ok").write_text(f"{name}|2|3.50|\n")
    env = os.environ | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "LEDGERLAKE_PROFILES": "tiny",
        "PYTHONPATH": str(PROJECT),
    }
    done = subprocess.run([sys.executable, "-c", RUN], cwd=PROJECT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    state, run_id = done.stdout.strip().splitlines()[-1].split("|")
    assert state == "success"
    with running.ledger.begin() as db:
        [delivery] = deliveries.find(db, business_date=DAY)
    assert (delivery.file_name, delivery.state, delivery.received_rows) == (name, "verified", 2)
    assert delivery.run_id == f"tiny_landing/{run_id}"
