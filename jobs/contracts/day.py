"""What a transform may know of the run it works for: its dates, the bank's zone and currency, the definitions. Told,
never looked up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from jobs.contracts.kpi import Kpi

# Lanes owed and lanes received.
Units = tuple[int, int]


@dataclass(frozen=True)
class Day:
    """One run of the business dates `from_date`..`to_date`, both inclusive.

    `as_of`: dates as of which windows and month-to-date figures are told; each month's end and the last date of the
    run, and, when an older day is built again, the newest released day of its month, which then lies after `to_date`.
    `coverage`: feed -> (expected, received) lanes of the run's dates. `earlier`: the same for released dates of the
    `as_of` months outside the run.
    """

    from_date: date
    to_date: date
    as_of: list[date]
    zone: str
    currency: str
    balance_floor: Decimal
    release_key: str
    version: int = 1
    cause: str = "complete"
    kpis: list[Kpi] = field(default_factory=list)
    coverage: dict[str, Units] = field(default_factory=dict)
    run_id: str = ""
    earlier: dict[date, dict[str, Units]] = field(default_factory=dict)

    @property
    def dates(self) -> list[date]:
        return [self.from_date + timedelta(days=n) for n in range((self.to_date - self.from_date).days + 1)]

    def covers(self, day: date) -> bool:
        return self.from_date <= day <= self.to_date

    def units(self, feeds: Iterable[str], first: date, last: date) -> Units:
        """Expected and received lanes of some feeds in the dates first..last; the run's own lanes count once however
        many dates it has.
        """
        parts = [units for day, units in self.earlier.items() if first <= day <= last and not self.covers(day)]
        if first <= self.to_date and last >= self.from_date:
            parts.append(self.coverage)
        pairs = [units[feed] for units in parts for feed in feeds if feed in units]
        return sum(expected for expected, _ in pairs), sum(received for _, received in pairs)


def is_month_end(day: date) -> bool:
    return (day + timedelta(days=1)).day == 1
