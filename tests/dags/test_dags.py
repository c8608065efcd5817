"""The five DAGs: they import fast and light, and the day's tasks follow the contracts."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import pytest

from infra.airflow.bells import banks
from jobs.contracts import load
from jobs.contracts.model import INCOMING, PREVIOUS
from jobs.settings import PROJECT

NAMES = ("landing", "load", "business_day", "roll_call", "maintenance")


@pytest.fixture(scope="module")
def dags(tmp_path_factory):
    """DAG id -> DAG, of all five files; parsing needs Airflow's settings, and no database."""
    os.environ.setdefault("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
    found = {}
    for name in NAMES:
        module = importlib.import_module(f"dags.{name}")
        found |= {d.dag_id: d for d in vars(module).values() if type(d).__name__ == "DAG"}
    return found


def test_every_bank_has_its_five_dags(dags):
    assert set(NAMES) <= set(dags)
    assert {f"berka_{name}" for name in NAMES} <= set(dags)


def test_a_task_makes_no_dag_but_its_own(monkeypatch):
    from airflow.sdk.definitions.context import _AIRFLOW_PARSING_CONTEXT_DAG_ID

    assert {"demo", "berka"} <= set(banks("load"))
    monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, "berka_load")
    assert banks("load") == ["berka"]
    assert banks("landing") == []


def test_dag_files_import_neither_spark_nor_great_expectations(tmp_path):
    code = (
        "import sys; "
        + "; ".join(f"import dags.{n}" for n in NAMES)
        + "; print([m for m in ('pyspark', 'great_expectations') if m in sys.modules])"
    )
    env = os.environ | {"AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(PROJECT)}
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=env, capture_output=True, text=True, check=True
    ).stdout
    assert said.strip().endswith("[]")


def test_a_table_is_built_after_the_gates_of_all_it_reads(dags):
    day, catalog = dags["business_day"], load("demo")
    for table in catalog.build_order():
        upstream = day.get_task(table.table).upstream_task_ids - {"begin"}
        wanted = {r for r in table.reads if r not in (INCOMING, PREVIOUS) and not r.startswith("bronze.")}
        assert upstream == wanted, table.table


def test_every_gate_stands_before_the_release(dags):
    day = dags["business_day"]
    gates = {t.table for t in load("demo").build_order()}
    assert gates <= day.get_task("release").upstream_task_ids
