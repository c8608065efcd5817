"""An installation of its own for each test: a temporary home, free ports, the project's jars. For pages, one for all tests: PostgreSQL and
Airflow's API server, which is all that a page needs."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine

from infra.local import airflow, demo_crm, processes, services
from jobs.contracts import load
from jobs.ledger import Ledger
from jobs.settings import Settings
from jobs.settings import settings as project_settings
from tests.ledger.conftest import DAY, TinyBank
from tests.postgres import emptied


@contextmanager
def installed(folder: Path) -> Iterator[Settings]:
    """Settings of an empty home below a folder; whatever is started in it is stopped afterwards."""
    folder.chmod(0o755)  # PostgreSQL's own user must get through
    postgres_port, spark_port, airflow_port, moto_port = free_ports(4)
    made = Settings(
        home=folder / "home",
        postgres_port=postgres_port,
        spark_port=spark_port,
        airflow_port=airflow_port,
        moto_port=moto_port,
        database_url=None,
        spark_remote=None,
    )
    made.home.mkdir()
    try:
        yield made
    finally:
        services.down(made)


def take_jars(made: Settings) -> Settings:
    """The same, able to start Spark."""
    jars = project_settings().home / "jars"
    if not jars.is_dir():
        pytest.skip(f"Spark's jars are not in {jars}; `make setup` fetches them")
    (made.home / "jars").symlink_to(jars)
    return made


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Settings]:
    with installed(tmp_path) as made:
        yield made


@pytest.fixture
def with_jars(installation: Settings) -> Settings:
    return take_jars(installation)


@contextmanager
def demo_ledger(made: Settings) -> Iterator[TinyBank]:
    """The demo bank's ledger in an installation, empty, and the tables that the bank is fetched from; it is the evening of DAY."""
    services.up(["postgres"], made, owner=os.getpid())
    demo_crm.create(made)
    engine = create_engine(made.ledger_url(), connect_args={"options": "-csearch_path=demo_ledger"})
    bank = TinyBank(Ledger("demo", engine), load("demo"))
    bank.ledger.migrate()
    bank.clock(DAY, "20:00")
    try:
        yield bank
    finally:
        engine.dispose()


@contextmanager
def as_viewer(made: Settings) -> Iterator[httpx.Client]:
    """Airflow's API as a viewer asks it."""
    with httpx.Client(base_url=made.airflow_url, timeout=60) as client:
        login = {"username": "viewer", "password": airflow.logins(made)["viewer"]}
        token = client.post("/auth/token", json=login).raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def free_ports(count: int) -> list[int]:
    """Ports below those that the system gives to outgoing connections, which could take one between test and use."""
    candidates = random.sample(range(20000, 32000), 50)
    return list(islice(filter(processes.port_is_free, candidates), count))


@dataclass(frozen=True)
class Website:
    """Airflow's API server with Ledgerlake's pages, and the ledger of the demo bank behind them."""

    settings: Settings
    ledger: Ledger

    def client(self, user: str | None = None) -> httpx.Client:
        """Asks as a browser does; with `user` as somebody who has logged in."""
        client = httpx.Client(base_url=self.settings.airflow_url, headers={"Accept": "text/html"}, timeout=20)
        if user is not None:
            password = airflow.logins(self.settings)[user]
            told = client.post("/auth/token", json={"username": user, "password": password}).raise_for_status()
            client.cookies.set("_token", told.json()["access_token"])
        return client

    def log_in(self, screen: Any, user: str, place: str) -> None:
        """A person opens an address, is asked who they are, and says it."""
        screen.goto(self.settings.airflow_url + place)
        screen.fill("input[name=username]", user)
        screen.fill("input[name=password]", airflow.logins(self.settings)[user])
        screen.click("button[type=submit]")
        screen.wait_for_url(lambda url: "/auth/login" not in url)


@pytest.fixture(scope="session")
def running_website() -> Iterator[Website]:
    with tempfile.TemporaryDirectory(prefix="ledgerlake_pages_", ignore_cleanup_errors=True) as home:
        Path(home).chmod(0o755)  # PostgreSQL's own user must get through
        postgres_port, airflow_port = free_ports(2)
        own = Settings(home=Path(home), postgres_port=postgres_port, airflow_port=airflow_port, database_url=None)
        try:
            services.up(["airflow-api-server"], own, owner=os.getpid())
            engine = create_engine(own.ledger_url(), connect_args={"options": "-csearch_path=demo_ledger"})
            ledger = Ledger("demo", engine)
            ledger.migrate()
            yield Website(own, ledger)
            engine.dispose()
        finally:
            services.down(own)


@pytest.fixture
def website(running_website: Website) -> Website:
    """The same with an empty ledger, its numbers from 1."""
    emptied(running_website.ledger)
    return running_website


@pytest.fixture
def screen() -> Iterator[Any]:
    """A page of a real browser."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no browser here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
        browser.close()
