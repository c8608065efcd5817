"""load (key `feed|wave`): bronze for all verified deliveries of a feed, a gate a delivery; then asks the ledger which days are ready, and rings for them."""

from datetime import datetime, timedelta

from airflow.sdk import DAG, IdentityMapper, PartitionedAssetTimetable, get_current_context, task

from infra.airflow.bells import banks, dag_id, days, ring, run_of, verified


def load_feed(profile: str) -> DAG:
    ready = days(profile)
    timetable = PartitionedAssetTimetable(assets=verified(profile), default_partition_mapper=IdentityMapper())
    with DAG(
        dag_id(profile, "load"), schedule=timetable, start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=4, tags=[profile],
        doc_md=__doc__,
    ) as dag:  # fmt: skip

        @task.branch(retries=5, retry_delay=timedelta(seconds=3), retry_exponential_backoff=True)
        def bronze(dag_run=None, ti=None) -> list[str]:
            from jobs import load

            feed, _, wave = dag_run.partition_key.partition("|")
            print(load.load(profile, feed, wave, run_of(get_current_context())))
            keys = load.ready_days(profile)
            ti.xcom_push("days", keys)
            return ["ring_days"] if keys else []

        @task(outlets=[ready], retries=5, retry_delay=timedelta(seconds=3))
        def ring_days(*, outlet_events=None, ti=None) -> None:
            ring(outlet_events[ready], ti.xcom_pull("bronze", key="days"))

        bronze() >> ring_days()
    return dag


for bank in banks("load"):
    globals()[dag_id(bank, "load")] = load_feed(bank)
