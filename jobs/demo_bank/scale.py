"""How big the demo bank is. `S` is for tests and the demo, `M` for a laptop; `XS` keeps unit tests quick."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

LAST_DAY_OF_HISTORY = date(2026, 9, 14)


@dataclass(frozen=True)
class Scale:
    """Sizes of the bank at the start of its history, and what happens on one day."""

    provinces: tuple[str, ...]
    outlets: int
    persons: int
    firms: int
    records: int
    accounts: int
    loans: int
    transactions: int
    events: int
    sales: int
    processes: int
    complaints: int
    contacts: int
    new_records: int
    changed_records: int
    history_days: int


SCALES = {
    "XS": Scale(("11", "37", "44"), 6, 190, 10, 260, 500, 40, 300, 500, 24, 12, 4, 20, 4, 6, 35),
    "S": Scale(("11", "37", "44"), 6, 2_000, 100, 2_600, 5_000, 400, 3_000, 6_000, 60, 50, 4, 60, 12, 38, 35),
    "M": Scale(
        ("11", "13", "21", "32", "33", "37", "41", "42", "44", "51"),
        60,
        100_000,
        5_000,
        130_000,
        250_000,
        20_000,
        200_000,
        600_000,
        4_000,
        2_500,
        60,
        3_000,
        600,
        2_400,
        100,
    ),
}
