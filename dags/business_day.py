"""business_day (key `date|vN`): silver, gold, release, mart and report of one business day.

A task a table, which builds it and judges it, laid out from the contracts' `reads`: a table is begun when all that it reads has passed its gate. First run, correction and restatement take the same road. A gate that says
stop ends this day only; what the run wrote is taken back, the task's error says why, and the run is failed: `settle` decides that. A release that did not come into the mart, or has no report, stands; its run
is failed too, people are told, and clearing the failed task mends it.
"""

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG, IdentityMapper, PartitionedAssetTimetable, TaskGroup, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from infra.airflow.bells import banks, dag_id, days, ring, run_of
from jobs.contracts import load
from jobs.contracts.model import INCOMING, PREVIOUS

RETRY: dict[str, Any] = {"retries": 4, "retry_delay": timedelta(seconds=3), "retry_exponential_backoff": True}


def business_day(profile: str) -> DAG:
    ready = days(profile)
    timetable = PartitionedAssetTimetable(assets=ready, default_partition_mapper=IdentityMapper())
    with DAG(
        dag_id(profile, "business_day"), schedule=timetable, start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1,
        max_active_tasks=4, tags=[profile], doc_md=__doc__,
    ) as dag:  # fmt: skip

        @task(**RETRY)
        def begin(dag_run=None) -> str:
            from jobs import day

            state = day.begin(profile, dag_run.partition_key, run_of(get_current_context()))
            if state != "running":
                raise AirflowSkipException(f"{dag_run.partition_key} is {state} already: rung twice, nothing to do.")
            return state

        @task(**RETRY)
        def build_and_judge(table: str, dag_run=None) -> str:
            from jobs.build import GateStopped, build, judge_table

            run_key, run_id = dag_run.partition_key, run_of(get_current_context())
            print(build(profile, run_key, table, run_id))
            try:
                return judge_table(profile, run_key, table, run_id)
            except GateStopped as stopped:
                raise AirflowFailException(str(stopped)) from stopped

        @task(**RETRY)
        def release(dag_run=None) -> int:
            from jobs import day

            return day.release(profile, dag_run.partition_key, run_of(get_current_context()))

        @task(**RETRY)
        def publish(dag_run=None) -> None:
            from jobs import day

            day.publish(profile, dag_run.partition_key, run_of(get_current_context()))

        @task(**RETRY)
        def report(dag_run=None) -> str:
            from jobs import day

            return str(day.report(profile, dag_run.partition_key, run_of(get_current_context())))

        @task(outlets=[ready], **RETRY)
        def ask_for_days(*, outlet_events=None) -> list[str]:
            from jobs.load import ready_days

            keys = ready_days(profile)
            ring(outlet_events[ready], keys)
            return keys

        @task(trigger_rule="all_done", **RETRY)
        def settle(dag_run=None) -> str:
            from jobs import day

            state = day.settle(profile, dag_run.partition_key, run_of(get_current_context()))
            if state != "released":
                raise AirflowFailException(
                    f"Business day {dag_run.partition_key} is {state}: see the failed task above."
                )
            if not_shown := day.not_shown(profile, dag_run.partition_key):
                raise AirflowFailException(not_shown)
            return state

        started, released, settled = begin(), release(), settle()
        passed: dict[str, Any] = {}
        layers = {layer: TaskGroup(layer) for layer in ("silver", "gold")}
        for table in load(profile).build_order():
            with layers[table.layer]:
                made = build_and_judge.override(task_id=table.name)(table.table)
            before = [passed[read] for read in table.reads if read in passed and read not in (INCOMING, PREVIOUS)]
            (before or [started]) >> made
            passed[table.table] = made
        list(passed.values()) >> released
        # A teardown comes whatever became of the run, and the run's state is that of the task before it: other days are asked for, and a day that was not
        # released, or not shown, is no success. Should the asking fail, roll-call asks.
        released >> publish() >> report() >> settled >> ask_for_days().as_teardown()
    return dag


for bank in banks("business_day"):
    globals()[dag_id(bank, "business_day")] = business_day(bank)
