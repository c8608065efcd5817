"""roll_call (timer): what is expected, due and missing; starts a day at its `close_by`; rings again for what an event did not wake."""

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from airflow.timetables.trigger import DeltaTriggerTimetable

from infra.airflow.bells import alerts, banks, dag_id, days, ring, run_of, verified

EVERY = timedelta(seconds=30)


def roll_call(profile: str) -> DAG:
    feeds, ready, told = verified(profile), days(profile), alerts(profile)
    with DAG(
        dag_id(profile, "roll_call"), schedule=DeltaTriggerTimetable(EVERY), start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1,
        tags=[profile], doc_md=__doc__,
    ) as dag:  # fmt: skip

        @task
        def call() -> dict[str, list[Any]]:
            from jobs import rollcall

            said = rollcall.call(profile, run_of(get_current_context()))
            if not any(said.values()):
                # Nor are the three tasks below started, twice a minute.
                raise AirflowSkipException("Nobody is to be rung for.")
            return said

        @task(outlets=[feeds])
        def ring_feeds(said: Any, *, outlet_events=None) -> None:
            ring(outlet_events[feeds], said["feeds"])

        @task(outlets=[ready])
        def ring_days(said: Any, *, outlet_events=None) -> None:
            ring(outlet_events[ready], said["days"])

        @task(outlets=[told])
        def tell(said: Any, *, outlet_events=None) -> None:
            """Airflow shows what is new as an event of the asset; the task never fails for it."""
            if not said["alerts"]:
                raise AirflowSkipException("Nothing new to tell.")
            outlet_events[told].extra = {"alerts": said["alerts"]}

        said = call()
        ring_feeds(said)
        ring_days(said)
        tell(said)
    return dag


for bank in banks("roll_call"):
    globals()[dag_id(bank, "roll_call")] = roll_call(bank)
