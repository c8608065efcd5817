"""G7: a column that holds what names people, and whose contract does not say so, is told; the file is taken."""

from __future__ import annotations

import pytest

from jobs.ledger import batches
from jobs.privacy.kinds import check_character
from tests.arrival.conftest import DAY, Bank

NAME = f"QUE_b01_TIC_{DAY}_1.csv"
CARDS = [f"99110119900307{n:03d}" for n in range(1, 11)]
NUMBERS = [digits + check_character(digits) for digits in CARDS]


def told(bank: Bank, values: list[str]) -> tuple[str, str | None, list[str]]:
    """The file's state and note, and the alerts, when its column `service` holds these values."""
    lines = [f"{n},{value},b\n" for n, value in enumerate(values)]
    bank.send("tickets", ("ticket_no,service,note\n" + "".join(lines)).encode(), NAME)
    (landed,) = bank.land()
    with bank.ledger.begin() as db:
        return landed.state, landed.reason, [alert.message for alert in batches.alerts(db)]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("id_number", NUMBERS),
        ("id_number", [*NUMBERS[:8], "none", "unknown"]),
        ("phone", [f"1380013{n:04d}" for n in range(6)]),
        ("email", [f"p{n}@example.org" for n in range(6)]),
    ],
)
def test_what_looks_like_identifiers_is_told(bank: Bank, kind: str, values: list[str]) -> None:
    state, note, [message] = told(bank, values)
    assert (state, note) == ("verified", f"service looks like {kind} in clear")
    assert f"The column service of tickets looks like {kind} in clear" in message
    assert f"Write `identifies: {kind}` in expectations/bronze/tickets.yaml" in message


@pytest.mark.parametrize(
    "values",
    [
        [n[:-1] + ("1" if n[-1] != "1" else "2") for n in NUMBERS],  # no check character is right
        [*NUMBERS[:7], "a", "b", "c"],
        NUMBERS[:4],  # too few to say
        [f"62150000000{n:08d}" for n in range(10)],  # numbers of accounts
        [f"J2026{n:07d}" for n in range(10)],
    ],
)
def test_what_only_happens_to_is_not(bank: Bank, values: list[str]) -> None:
    assert told(bank, values) == ("verified", None, [])
