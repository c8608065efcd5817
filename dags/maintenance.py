"""maintenance (nightly): small files are put together, old versions and expired raw files go."""

from datetime import datetime, timedelta

from airflow.sdk import DAG, get_current_context, task
from airflow.timetables.trigger import CronTriggerTimetable

from infra.airflow.bells import banks, dag_id, run_of
from jobs.contracts import load


def maintenance(profile: str) -> DAG:
    zone = load(profile).profile.zone
    with DAG(
        dag_id(profile, "maintenance"), schedule=CronTriggerTimetable("30 1 * * *", timezone=zone), start_date=datetime(2026, 1, 1), catchup=False,
        max_active_runs=1, tags=[profile], doc_md=__doc__,
    ) as dag:  # fmt: skip

        @task(retries=2, retry_delay=timedelta(minutes=1))
        def tidy() -> dict[str, int]:
            from jobs import upkeep

            return upkeep.tidy(profile, run_of(get_current_context()))

        tidy()
    return dag


for bank in banks("maintenance"):
    globals()[dag_id(bank, "maintenance")] = maintenance(bank)
