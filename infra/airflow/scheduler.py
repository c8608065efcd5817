"""`airflow scheduler` with the heavy libraries imported first: `python -m infra.airflow.scheduler`.

Scheduler, worker and task are bare forks on Linux: what the scheduler has imported costs a task neither time nor
memory, where importing it in the task costs 3-6 s. It happens before the scheduler signs in, not in an executor's
`start()`: there it delays the first heartbeats until the scheduler takes itself for dead.

What is imported here, our own jobs too, changes at the next start of the scheduler (`ledgerlake down`, `ledgerlake
up`): all tasks of a run work by the same code. Contracts are read here once, and by a task again only when a file of
theirs has changed. Nothing here may open a gRPC channel, a Spark session or a database; a forked copy of one hangs.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress

LIBRARIES = (
    "great_expectations",
    "great_expectations.execution_engine.sparkdf_execution_engine",
    "great_expectations.render.renderer",
    "great_expectations.render.view",
    "pyspark.sql.connect.session",
    "pyspark.sql.connect.functions",
    "delta",
    "pandas",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "deltalake",
    "duckdb",
    "grpc",
    "alembic.command",
    "pydantic_settings",
    "sqlalchemy.orm",
    "sqlalchemy.dialects.postgresql.psycopg",
    "psycopg",
    "cryptography.hazmat.primitives.ciphers.aead",
    "structlog",
    "yaml",
)
OURS = (
    "jobs.build",
    "jobs.day",
    "jobs.load",
    "jobs.lake.history",
    "jobs.arrival.inbox",
    "jobs.arrival.land",
    "jobs.quality.balance",
    "jobs.quality.canaries",
    "jobs.quality.data_docs",
    "jobs.quality.gate",
    "jobs.quality.result_page",
    "jobs.quality.verdicts",
    "jobs.serving.mart",
    "jobs.serving.report",
)


def main() -> None:
    """Imports, then becomes the Airflow command with the arguments given."""
    for module in (*LIBRARIES, *OURS):
        importlib.import_module(module)
    from airflow.__main__ import main as airflow

    from jobs.contracts import ContractError, load, profiles
    from jobs.quality.data_docs import compile_templates

    compile_templates()
    for profile in profiles():
        with suppress(ContractError):  # said by `ledgerlake contracts check` and by each task that reads them
            load(profile)

    sys.argv = ["airflow", "scheduler", *sys.argv[1:]]
    airflow()


if __name__ == "__main__":
    main()
