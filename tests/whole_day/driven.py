"""A bank driven by tests.whole_day.drive: real PostgreSQL and Spark under the supervisor, no Airflow."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.local import demo_crm, services
from infra.local.secrets import secret
from jobs.arrival import slices
from jobs.bank import Bank, open_bank
from jobs.commands import demo
from jobs.demo_bank import DemoBank
from jobs.ledger import connect
from jobs.settings import Settings, settings
from tests.postgres import free_port

PROJECT = Path(__file__).resolve().parents[2]


def start_servers(folder: Path) -> Settings:
    """PostgreSQL and Spark of their own below a folder, ended with this process at the latest."""
    servers = Settings(home=folder / "servers", postgres_port=free_port(), spark_port=free_port())
    servers.home.mkdir()
    (servers.home / "jars").symlink_to((settings().home / "jars").resolve())
    services.up(["postgres", "spark"], servers, owner=os.getpid())
    return servers


def environment(servers: Settings, home: Path, database: str) -> dict[str, str]:
    """The settings of a bank whose home is `home`, on these servers."""
    password = secret(servers, "postgres_ledgerlake")
    where = f"ledgerlake:{password}@127.0.0.1:{servers.postgres_port}/{database}"
    return {
        "LEDGERLAKE_HOME": str(home),
        "LEDGERLAKE_DATABASE_URL": f"postgresql+psycopg://{where}",
        "LEDGERLAKE_SPARK_REMOTE": servers.spark_url,
    }


def forget() -> None:
    """What this process remembers of the settings of another home."""
    for cached in (settings, connect, open_bank):
        cached.cache_clear()


@contextmanager
def own_servers(prefix: str) -> Iterator[tuple[Path, Settings]]:
    """A folder, and PostgreSQL and Spark of its own in it; afterwards they are ended and the environment is as it was."""
    before = dict(os.environ)
    # Not in pytest's folder, which is closed to the user as whom PostgreSQL may have to run.
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        servers = start_servers(Path(folder))
        try:
            yield Path(folder), servers
        finally:
            services.down(servers)
            os.environ.clear()
            os.environ.update(before)
            forget()


def first_bank(folder: Path, servers: Settings, profile: str = "demo") -> Driven:
    """A bank in the folder, in the servers' first database; nothing came yet."""
    home = folder / "bank"
    home.mkdir()
    demo_crm.create(servers)
    return Driven(
        home, {demo_crm.VARIABLE: demo_crm.own_address(servers), **environment(servers, home, "ledgerlake")}, profile
    )


@dataclass
class Driven:
    """A bank with a home and a database of its own, and how to play on it what lies in its inbox."""

    home: Path
    environment: dict[str, str]
    profile: str = "demo"

    def start(self, *only: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.whole_day.drive", self.profile, *only],
            cwd=PROJECT, env={**os.environ, **self.environment, **more}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def play(self, *only: str, **more: str) -> str:
        """What waits, from the inbox to the report (`only`: see drive); what it printed."""
        process = self.start(*only, **more)
        said, _ = process.communicate(timeout=1500)
        assert process.returncode == 0, said[-6000:]
        return said

    def bank(self) -> Bank:
        """The bank of this copy, as this test process sees it; ends the view of any other."""
        for name, value in self.environment.items():
            os.environ[name] = value
        forget()
        return open_bank(self.profile)

    def take_on(self, sender: DemoBank) -> Bank:
        """The sender's history is taken on; the clock stands after its last due time."""
        bank = self.bank()
        bank.ledger.migrate()
        demo.set_clock(bank, bank.catalog.profile.local(sender.history_end, "23:00"))
        demo.tell_office_history(sender)
        sender.take_on(demo.inbox_folder(bank))
        slices.take_due(bank.catalog, bank.ledger)  # as roll-call does
        self.play()
        return bank
