"""roll_call (timer): what is expected, due and missing; starts a day at its `close_by`; rings again for what an event did not wake."""

from datetime import datetime, timedelta

from airflow.sdk import DAG, get_current_context, task
from airflow.timetables.trigger import DeltaTriggerTimetable

from infra.airflow.bells import banks, dag_id, days, run_of, verified

EVERY = timedelta(seconds=30)


def roll_call(profile: str) -> DAG:
    feeds, ready = verified(profile), days(profile)
    with DAG(
        dag_id(profile, "roll_call"), schedule=DeltaTriggerTimetable(EVERY), start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1,
        tags=[profile], doc_md=__doc__,
    ) as dag:  # fmt: skip

        @task(outlets=[feeds, ready])
        def call(*, outlet_events=None) -> dict[str, list[str]]:
            from jobs import rollcall

            said = rollcall.call(profile, run_of(get_current_context()))
            if said["feeds"]:
                outlet_events[feeds].add_partitions(said["feeds"])
            if said["days"]:
                outlet_events[ready].add_partitions(said["days"])
            return said

        call()
    return dag


for bank in banks():
    globals()[dag_id(bank, "roll_call")] = roll_call(bank)
