"""The real services, started once for all whole-day tests, on an empty home."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import services
from jobs.bank import Bank, open_bank
from jobs.commands import demo
from jobs.commands.services import start_all
from jobs.settings import settings


@pytest.fixture(scope="session")
def installation() -> Iterator[Path]:
    """PostgreSQL, Spark and Airflow, healthy, on a home that holds nothing of an earlier test run."""
    home = settings().home
    if not (home / "jars").exists():
        pytest.skip(f"Spark's jars are not in {home / 'jars'}; `make setup` fetches them")
    services.down()
    for entry in home.iterdir():
        if entry.name != "jars":
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    start_all()
    yield home
    services.down()


@pytest.fixture(scope="session")
def bank(installation: Path) -> Bank:
    """The demo bank with its history taken on."""
    the_bank = open_bank("demo")
    demo.take_on_if_new(the_bank, demo.sender_for("demo", None, "S", 7))
    return the_bank
