"""An installation of its own for each test: a temporary home, free ports, the project's jars."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from infra.local import processes, services
from jobs.settings import Settings
from jobs.settings import settings as project_settings


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Settings]:
    """Settings of an empty home; whatever the test starts in it is stopped afterwards."""
    tmp_path.chmod(0o755)  # PostgreSQL's own user must get through
    postgres_port, spark_port, airflow_port, moto_port = free_ports(4)
    made = Settings(
        home=tmp_path / "home",
        postgres_port=postgres_port,
        spark_port=spark_port,
        airflow_port=airflow_port,
        moto_port=moto_port,
        database_url=None,
        spark_remote=None,
    )
    made.home.mkdir()
    yield made
    services.down(made)


@pytest.fixture
def with_jars(installation: Settings) -> Settings:
    """The same, able to start Spark."""
    jars = project_settings().home / "jars"
    if not jars.is_dir():
        pytest.skip(f"Spark's jars are not in {jars}; `make setup` fetches them")
    (installation.home / "jars").symlink_to(jars)
    return installation


def free_ports(count: int) -> list[int]:
    """Ports below those that the system gives to outgoing connections, which could take one between test and use."""
    candidates = random.sample(range(20000, 32000), 50)
    return list(islice(filter(processes.port_is_free, candidates), count))
