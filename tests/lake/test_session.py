"""What two sessions on the Spark server share, and what not."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.sql.connect.session import SparkSession

from jobs.lake import session
from jobs.lake.session import WORTH_COMPILING
from jobs.settings import settings

LOADER = "reflect('org.apache.spark.util.Utils', 'getContextOrSparkClassLoader')"


@pytest.fixture(autouse=True)
def server(spark_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LEDGERLAKE_SPARK_REMOTE", spark_url)
    settings.cache_clear()
    yield
    settings.cache_clear()


def told(spark: Any, expression: str) -> str:
    return str(spark.range(1).selectExpr(expression).collect()[0][0])


def test_what_was_compiled_for_one_session_serves_the_next() -> None:
    """Spark keeps compiled code by the loader of classes in force: one of its own for each session would share nothing."""
    loaders = set()
    for _ in range(2):
        with session() as one:
            loaders.add(told(one, LOADER))
    assert len(loaders) == 1


def test_settings_and_views_of_a_session_are_its_own() -> None:
    key = "spark.sql.adaptive.enabled"
    with session(WORTH_COMPILING - 1) as small, session(WORTH_COMPILING) as large:
        assert (small.conf.get(key), large.conf.get(key)) == ("false", "true")
        small.range(1).createOrReplaceTempView("seen_by_one")
        assert small.catalog.tableExists("seen_by_one") and not large.catalog.tableExists("seen_by_one")


def test_an_ended_session_is_never_collected() -> None:
    """PySpark would close it once more wherever Python is at that moment, and in the middle of a query wait for itself for ever."""

    def alive() -> int:
        gc.collect()
        # by type: isinstance would ask other libraries' stand-ins for modules, which import what may not be there
        return sum(type(thing) is SparkSession for thing in gc.get_objects())

    before = alive()
    with session() as one:
        assert one.is_stopped is False
    del one
    assert alive() == before + 2  # the session, and the one that it is a clone of
