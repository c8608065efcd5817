"""A session on the long-lived Spark Connect server. Each task makes its own and stops it: a fork never inherits a channel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobs.settings import settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class SparkUnavailable(Exception):
    """The Spark server does not answer; nothing was changed, and the step may be run again."""


# Compiling a plan to Java pays for itself from about so many rows on; below, interpreting it is several times faster.
WORTH_COMPILING = 100_000
INTERPRETED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
}


@contextmanager
def session(rows: int | None = None) -> Iterator[SparkSession]:
    """A session for work on about so many rows (None: not known, taken for many).

    Raises SparkUnavailable, naming the address, when the server does not answer within a few seconds.
    """
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    from pyspark.errors.exceptions.connect import SparkConnectGrpcException
    from pyspark.sql import SparkSession

    url = settings().spark_url
    _must_listen(url)
    try:
        builder = SparkSession.builder.remote(url)
        for name, value in INTERPRETED.items() if rows is not None and rows < WORTH_COMPILING else ():
            builder = builder.config(name, value)
        spark = builder.create()
    except SparkConnectGrpcException as error:
        raise SparkUnavailable(_message(url, str(error))) from error
    try:
        yield spark
    finally:
        spark.stop()


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
