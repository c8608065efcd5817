"""The Spark session that all unit tests share: Spark Connect, as in production, on a server of the tests' own."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from infra.local import spark as server
from infra.local.processes import wait_until
from infra.local.setup import checksums, java_binary
from jobs.settings import Settings, settings
from tests.postgres import free_port, installation, left_schemas, new_ledger, postgres

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Here for all tests: each module that imported `postgres` would have a server of its own.
__all__ = ["installation", "left_schemas", "new_ledger", "postgres"]

# The same examples each time, so that a change is judged by its own mistakes; `make test-long` looks for new ones.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("search", max_examples=2000, deadline=None, print_blob=True)
hypothesis.settings.load_profile("same")

# One story on services of its own; it takes longest.
WHOLE_DAY = "tests/whole_day"


def unit_of(nodeid: str) -> str:
    """What one of several workers takes as a whole: a file; all of `whole_day`, whose services are started once."""
    path = nodeid.partition("::")[0]
    return WHOLE_DAY if path.startswith(WHOLE_DAY) else path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest comes first, so that no worker waits for another at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(WHOLE_DAY))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class Units(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    return Units(config, log)


# Many small queries: compiling plans to Java, or Java to its fastest, would cost more than it saves. The whole-day
# tests do both.
SMALL_QUERIES = {
    "spark.master": "local[2]",
    "spark.driver.memory": "1g",
    "spark.sql.shuffle.partitions": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
DELTA = ("spark.sql.extensions", "spark.sql.catalog.spark_catalog")


@pytest.fixture(scope="session")
def spark_url() -> Iterator[str]:
    """Address of a Spark Connect server that lives as long as the tests, with Delta where its jars were fetched."""
    with tempfile.TemporaryDirectory(prefix="ledgerlake_spark_", ignore_cleanup_errors=True) as home:
        own = Settings(home=Path(home), spark_port=free_port())
        java_binary()
        log = own.home / "spark.log"
        with log.open("wb") as output:
            # The shell ends Spark when its input ends: with the tests, even when those were killed.
            process = subprocess.Popen(
                ["bash", "-c", '"$@" </dev/null & child=$!; read -r; kill "$child"; wait "$child"', "spark", *_command(own)],
                stdin=subprocess.PIPE, stdout=output, stderr=output, cwd=home, start_new_session=True,
                env=dict(server.component(own).environment()),
            )  # fmt: skip
            try:
                started = wait_until(lambda: server.speaks_http2(own.spark_port), timeout=90)
                assert started, f"Spark did not start:\n{log.read_text()[-3000:]}"
                yield own.spark_url
            finally:
                assert process.stdin is not None
                process.stdin.close()
                try:
                    process.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)


def _command(own: Settings) -> list[str]:
    jars = [settings().home / "jars" / name for name in sorted(checksums())]
    has_delta = all(jar.exists() for jar in jars)
    java = f"{server.JAVA_OPTIONS} -XX:TieredStopAtLevel=1 -Djava.io.tmpdir={own.home}"
    wanted = server.configuration(own) | SMALL_QUERIES | {"spark.driver.extraJavaOptions": java}
    options = [f"--conf={k}={v}" for k, v in wanted.items() if has_delta or k not in DELTA]
    submit = server.component(own).command[0]
    with_jars = ["--driver-class-path", ":".join(map(str, jars))] if has_delta else []
    return [
        submit,
        "--class",
        "org.apache.spark.sql.connect.service.SparkConnectServer",
        *with_jars,
        *options,
        "spark-internal",
    ]


@pytest.fixture(scope="session")
def spark(spark_url: str) -> Iterator[SparkSession]:
    """One session for all: temporary views and settings that a test makes are seen by the next."""
    from pyspark.sql import SparkSession

    session = SparkSession.builder.remote(spark_url).create()
    yield session
    session.stop()


@pytest.fixture
def after_it_waited() -> Callable[[Any, Callable[[], Any]], Any]:
    """Begins something while a transaction (of a Ledger) is open, and goes on once it waits for a lock: what it will come to, a future."""
    import time
    from concurrent.futures import ThreadPoolExecutor

    from sqlalchemy import text

    def begun(db: Any, action: Callable[[], Any]) -> Any:
        with_one = ThreadPoolExecutor(1)
        future = with_one.submit(action)
        with_one.shutdown(wait=False)
        waits = text("select count(*) from pg_locks where locktype = 'advisory' and not granted")
        until = time.monotonic() + 60
        while not future.done() and not db.execute(waits).scalar_one():
            assert time.monotonic() < until, "it neither ends nor waits"
            time.sleep(0.02)
        return future

    return begun


@pytest.fixture
def both() -> Callable[..., list[Any]]:
    """Runs two functions at one moment, their results, or what they raised, in
    order."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    def together(*actions: Callable[[], Any]) -> list[Any]:
        gate = Barrier(len(actions))

        def act(action: Callable[[], Any]) -> Any:
            gate.wait(10)
            return action()

        with ThreadPoolExecutor(len(actions)) as pool:
            return [future.result(timeout=60) for future in [pool.submit(act, action) for action in actions]]

    return together
