"""`contracts drift`: what files have and their contracts do not."""

from __future__ import annotations

from collections.abc import Callable

from jobs.arrival.outcomes import COLUMN_ADDED
from jobs.ledger import batches
from tests.commands.conftest import Said
from tests.ledger.conftest import TinyBank


def test_the_lines_to_add_are_printed_and_known_columns_are_not(
    bank: TinyBank, ledgerlake: Callable[..., Said]
) -> None:
    assert "No file has a column" in ledgerlake("contracts", "drift").out
    with bank.ledger.begin() as db:
        for name in ("Colour", "amount"):
            batches.alert(db, f"{COLUMN_ADDED}|payments|{name}", COLUMN_ADDED, "a new column")
    said = ledgerlake("contracts", "drift")
    assert said.status == 0
    assert "expectations/bronze/payments.yaml" in said.out
    assert "  colour: [string, {from: Colour, classification: C2/3}]" in said.out
    assert "amount" not in said.out
    assert (
        ledgerlake("contracts", "drift", "--json").out.strip()
        == '{"payments": ["colour: [string, {from: Colour, classification: C2/3}]"]}'
    )
