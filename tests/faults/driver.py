"""The demo's days on a bank that is driven without Airflow (tests.whole_day.drive)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from jobs import load, rollcall
from jobs.arrival import slices
from jobs.bank import Bank
from jobs.commands import watch
from jobs.ledger import releases
from tests.whole_day.driven import Driven


@dataclass
class Driver:
    """In Airflow's place: each wait is the work itself."""

    driven: Driven

    def until_quiet(self, bank: Bank) -> None:
        self.driven.play("bronze")

    def until_looked(self, bank: Bank, feed: str, entity: str, day: date) -> None:
        load.land(bank.profile, "tests/look")

    def until_reported(self, bank: Bank, day: date) -> Any:
        """The day itself. Other days that it changes are told anew when somebody waits for rest: they would be told anew several times."""
        rollcall.call(bank.profile, "tests/roll_call")
        self.driven.play(str(day))
        with bank.ledger.begin() as db:
            return releases.listing(db, day=day)[0]

    def until_at_rest(self, bank: Bank) -> None:
        self.driven.play()

    def until_fetched(self, bank: Bank, feed: str, is_past: Callable[[str], bool]) -> None:
        slices.take_due(bank.catalog, bank.ledger)
        self.driven.play("bronze")
        watch.until_fetched(bank, feed, is_past, patience=5)

    def until_said(self, bank: Bank, alert_key: str) -> None:
        slices.take_due(bank.catalog, bank.ledger)
        watch.until_said(bank, alert_key, patience=5)
