"""An installation of its own for each test: a temporary home, free ports, the project's jars."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from infra.local import services
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
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
