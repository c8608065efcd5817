"""landing: what waits in the inbox is claimed, verified, decoded and turned into `rows`.

Woken by the doorbell; the inbox and the ledger say what there is to do. Tells `load` which feeds have verified deliveries.
"""

from datetime import datetime, timedelta

from airflow.sdk import DAG, get_current_context, task

from infra.airflow.bells import banks, dag_id, inbox, ring, run_of, verified


def landing(profile: str) -> DAG:
    feeds = verified(profile)
    with DAG(
        dag_id(profile, "landing"), schedule=[inbox(profile)], start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1,
        tags=[profile], doc_md=__doc__,
    ) as dag:  # fmt: skip

        @task(outlets=[feeds], retries=5, retry_delay=timedelta(seconds=3), retry_exponential_backoff=True)
        def claim_and_verify(*, outlet_events=None) -> list[str]:
            from jobs import load

            keys = load.land(profile, run_of(get_current_context()), progress=print)
            ring(outlet_events[feeds], keys)
            return keys

        claim_and_verify()
    return dag


for bank in banks("landing"):
    globals()[dag_id(bank, "landing")] = landing(bank)
