"""The real services, started once for all whole-day tests, on an empty home; one bank whose days go on from test to test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from jobs.bank import Bank, open_bank
from jobs.commands import demo, watch
from jobs.demo_bank import AnswerKey, DemoBank
from jobs.ledger import releases
from jobs.settings import settings
from tests.whole_day.live import everything


@dataclass
class Story:
    """The demo bank (small), the faults it committed so far, and how its days ended."""

    bank: Bank
    sender: DemoBank
    faults: dict[date, tuple[str, ...]]

    def run(self, *faults: str) -> Any:
        """The next business day, by Airflow, and the restatements that its reversals ask for; its first release."""
        day = demo.next_day(self.bank)
        self.faults[day] = faults
        made = demo.run_day(self.bank, self.sender, day, faults)
        watch.until_at_rest(self.bank)
        return made

    def drop(self, day: date, feed: str, branch: str) -> None:
        """A branch sends its file of a day, as it should be; what follows from it is waited for."""
        for sent in self.sender.day_files(day, branch=branch):
            if sent.feed == feed:
                sent.write(demo.inbox_folder(self.bank))
        watch.until_at_rest(self.bank)

    def newest(self, day: date) -> Any:
        """The newest release of a day."""
        with self.bank.ledger.begin() as db:
            return releases.listing(db, day=day)[0]

    def key(self, day: date, known: date | None = None) -> dict[str, Any]:
        """The answers for a day, worked out from the truth alone."""
        return AnswerKey(DemoBank(seed=self.sender.seed, scale="XS"), self.faults).of(day, known=known)


@pytest.fixture(scope="session")
def services_up() -> Iterator[Path]:
    """PostgreSQL, Spark and Airflow, healthy, on a home that holds nothing of an earlier test run."""
    jars = settings().home / "jars"
    if not jars.exists():
        pytest.skip(f"Spark's jars are not in {jars}; `make setup` fetches them")
    with everything() as home:
        yield home


@pytest.fixture(scope="session")
def story(services_up: Path) -> Story:
    sender = DemoBank(seed=7, scale="XS")
    bank = open_bank("demo")
    demo.take_on_if_new(bank, sender)
    return Story(bank, sender, {})
