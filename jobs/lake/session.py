"""A session on the long-lived Spark Connect server. Each task makes its own and stops it: a fork never inherits a channel."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobs.settings import settings

if TYPE_CHECKING:
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession


class SparkUnavailable(Exception):
    """The Spark server does not answer; nothing was changed, and the step may be run again."""


class DiskFull(Exception):
    """A disk is full, here or on the Spark server; nothing is half done, and the step may be run again."""


# A server that died comes back without its sessions: to try again for as long as the client does by itself (ten
# minutes) could not help.
RETRIES, LONGEST_WAIT_MS = 8, 5000
FULL = {errno.ENOSPC, errno.EDQUOT}
SAID_FULL = ("No space left on device", "Disk quota exceeded")
# Compiling a plan to Java pays for itself from about so many rows on; below, interpreting it is several times faster.
WORTH_COMPILING = 100_000
INTERPRETED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
}
# A session brings no classes of its own. The Connect server isolates each one's classes all the same, whatever its settings say
# (each task then asks the driver, over the network, for every class it loads, and every session compiles its queries anew),
# unless the session says otherwise before its first call. A client can say it only for a clone (decision 0012).
SHARED = {
    "spark.sql.artifact.isolation.enabled": "false",
    "spark.sql.artifact.isolation.alwaysApplyClassloader": "false",
}
# Never collected, see _end.
ENDED: list[SparkSession] = []


@contextmanager
def session(rows: int | None = None) -> Iterator[SparkSession]:
    """A session for work on about so many rows (None: not known, taken for many).

    Raises SparkUnavailable, naming the address, when the server does not answer within a few seconds or is lost while
    the session is in use, and DiskFull when it has no room to write.
    """
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    from grpc import RpcError
    from pyspark.errors import PySparkException
    from pyspark.errors.exceptions.connect import SparkConnectGrpcException
    from pyspark.sql import SparkSession
    from pyspark.sql.connect.client.retries import DefaultPolicy

    url = settings().spark_url
    _must_listen(url)
    try:
        builder = SparkSession.builder.remote(url)
        few = rows is not None and rows < WORTH_COMPILING
        for name, value in (SHARED | (INTERPRETED if few else {})).items():
            builder = builder.config(name, value)
        first = builder.create()
        first.client.set_retry_policies([DefaultPolicy(max_retries=RETRIES, max_backoff=LONGEST_WAIT_MS)])
        try:
            spark = first.cloneSession()
        finally:
            _end(first)
        spark.release_session_on_close = True  # which PySpark 4.1 forgets, and needs
    except (SparkConnectGrpcException, RpcError) as error:  # the second from the clone, which PySpark does not convert
        raise SparkUnavailable(_message(url, str(error))) from error
    spark.client.set_retry_policies([DefaultPolicy(max_retries=RETRIES, max_backoff=LONGEST_WAIT_MS)])
    try:
        with room():
            yield spark
    except PySparkException as error:
        if not _is_lost(error):
            raise
        spark.client.set_retry_policies([DefaultPolicy(max_retries=1)])  # else stop() waits as long again
        raise SparkUnavailable(_message(url, "it ended while a step was at work")) from error
    finally:
        _end(spark)


def _end(spark: SparkSession) -> None:
    """Stop a session and keep it, for PySpark closes its client once more when Python collects it: in the middle of another session's query that waits for
    itself for ever (SPARK-55362).
    """
    spark.stop()
    ENDED.append(spark)


def _is_lost(error: PySparkException) -> bool:
    """The server is gone, or another one, which knows nothing of the session, stands in its place."""
    return "StatusCode.UNAVAILABLE" in str(error) or "[INVALID_HANDLE." in str(error)


@contextmanager
def room() -> Iterator[None]:
    """Raises DiskFull in place of any error that says that a disk is full."""
    try:
        yield
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in FULL
        if not full and not any(said in str(error) for said in SAID_FULL):
            raise
        named = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
        raise DiskFull(
            f"The disk is full{named}. Make room on the disk of {settings().home} (or of the lake, if that is elsewhere); "
            "what was released is unchanged, and the step goes on from where it was when it runs again."
        ) from error


def _must_listen(url: str) -> None:
    """The client would retry for minutes before it says that nobody listens; a look at the port says so at once."""
    import socket
    from urllib.parse import urlparse

    address = urlparse(url)
    try:
        with socket.create_connection((address.hostname or "127.0.0.1", address.port or 15002), timeout=5):
            return
    except OSError as error:
        raise SparkUnavailable(_message(url, str(error))) from error


def _message(url: str, found: str) -> str:
    return (
        f"The Spark server does not answer at {url}: {found}. `ledgerlake status` shows it and `ledgerlake up` starts it; "
        "what was released is unchanged, and the step goes on from where it was when it runs again."
    )
