"""The five DAGs: they import fast and light, and the day's tasks follow the contracts."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from typing import NamedTuple

import pytest
from airflow.sdk import Asset

from infra.airflow.bells import banks, ring
from jobs.contracts import load
from jobs.contracts.model import INCOMING, PREVIOUS
from jobs.settings import PROJECT


class _Task(NamedTuple):
    task_id: str
    state: str


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


def test_consumers_are_told_in_the_order_given():
    """As the task's end sends it: of more than a set would leave in their places by chance."""
    from airflow.sdk.definitions.asset import AssetUniqueKey
    from airflow.sdk.execution_time.context import OutletEventAccessors
    from airflow.sdk.execution_time.task_runner import _serialize_outlet_events

    keys = [f"feed_{n}|{40 - n}" for n in range(40)]
    events = OutletEventAccessors()
    ring(events[Asset("verified")], keys)
    told = list(_serialize_outlet_events(events))
    assert [one["partition_key"] for one in told] == keys
    assert {AssetUniqueKey(**one["dest_asset_key"]).name for one in told} == {"verified"}


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


@pytest.mark.parametrize("name", ["business_day", "berka_business_day"])
@pytest.mark.parametrize("begun", ["success", "failed"])
def test_a_run_whose_day_was_not_released_is_failed(dags, name, begun):
    """By Airflow's own rule: a run is failed when a task that its state is told by is. A gate said stop, or the run could not begin at all: `settle` fails, and other days
    are asked for all the same."""
    day = dags[name]
    after = {"settle": "failed", "ask_for_days": "success"}
    states = dict.fromkeys(day.task_ids, "upstream_failed") | {"begin": begun} | after
    assert _deciding(day, states) == {"settle": "failed"}


@pytest.mark.parametrize("failed", ["publish", "report"])
def test_a_run_whose_release_was_not_shown_is_failed(dags, monkeypatch, failed):
    """By Airflow's own rule, and by what `settle` does of a day that is released and not shown."""
    from types import SimpleNamespace

    from airflow.sdk.exceptions import AirflowFailException

    from dags import business_day
    from jobs import day

    monkeypatch.setattr(
        business_day, "get_current_context", lambda: {"dag_run": SimpleNamespace(dag_id="d", run_id="r")}
    )
    monkeypatch.setattr(day, "settle", lambda *_: "released")
    monkeypatch.setattr(day, "not_shown", lambda *_: f"released, but {failed} failed")
    dag = dags["business_day"]
    with pytest.raises(AirflowFailException, match=f"{failed} failed"):
        dag.get_task("settle").python_callable(dag_run=SimpleNamespace(partition_key="2026-09-15|v1"))
    states = dict.fromkeys(dag.task_ids, "success") | {
        "report": "upstream_failed",
        failed: "failed",
        "settle": "failed",
    }
    assert _deciding(dag, states) == {"settle": "failed"}


def test_a_run_whose_day_was_released_is_a_success_whoever_asks_for_other_days(dags):
    day = dags["business_day"]
    for asked in ("success", "skipped", "failed"):
        assert _deciding(day, dict.fromkeys(day.task_ids, "success") | {"ask_for_days": asked}) == {"settle": "success"}


def test_what_follows_a_gate_that_stopped_still_comes(dags):
    """The run is settled and other days are asked for, whatever went before: no other task runs on after a failure."""
    day = dags["business_day"]
    rules = {t.task_id: t.trigger_rule.value for t in day.tasks if t.trigger_rule != "all_success"}
    assert rules == {"settle": "all_done", "ask_for_days": "all_done_setup_success"}
    assert not [t.task_id for t in day.tasks if t.is_setup]
    assert day.get_task("ask_for_days").upstream_task_ids == {"settle"}


def _deciding(dag, states):
    """Task -> state, of the tasks that Airflow tells the state of a run of the DAG by."""
    from airflow.models.dagrun import DagRun

    tis = [_Task(name, state) for name, state in states.items()]
    return {ti.task_id: ti.state for ti in DagRun()._tis_for_dagrun_state(dag=dag, tis=tis)}
