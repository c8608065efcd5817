"""Airflow's LocalExecutor with the heavy libraries imported before its workers fork.

Scheduler, worker and task are bare forks on Linux: what the scheduler has imported costs a task neither time nor memory, where
importing it in the task costs 3-6 s. Third-party modules only: code imported here changes at the next start of the scheduler.
Nothing here may open a gRPC channel or a Spark session; a forked copy of one hangs.
"""

from __future__ import annotations

import importlib
import time

from airflow.executors.local_executor import LocalExecutor

MODULES = (
    "great_expectations",
    "great_expectations.execution_engine.sparkdf_execution_engine",
    "pyspark.sql.connect.session",
    "pyspark.sql.connect.functions",
    "delta",
    "pandas",
    "pyarrow.parquet",
    "grpc",
    "sqlalchemy.orm",
    "psycopg",
    "cryptography.hazmat.primitives.ciphers.aead",
    "structlog",
    "yaml",
)


class WarmLocalExecutor(LocalExecutor):
    def start(self) -> None:
        begun = time.monotonic()
        for module in MODULES:
            importlib.import_module(module)
        self.log.info("Imported %d modules for the workers in %.1f s", len(MODULES), time.monotonic() - begun)
        super().start()
