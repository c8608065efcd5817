"""A contract tells another amount than came: without its sign, in yuan what came in fen, only of some rows. The balance says by how much, and stops what is lost."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from jobs import build, conform
from jobs.ledger.models import Balance
from tests.realities.conftest import FILES, MONDAY, Small

BRONZE = FILES["bronze/payments.yaml"]


def told(small: Small) -> tuple[Decimal | None, dict[str, Any], bool]:
    """What came in of Monday, where it went, and whether all is accounted for."""
    with small.ledger.begin() as db:
        row = db.execute(
            select(Balance.received_money, Balance.parts, Balance.is_balanced).where(
                Balance.table_name == "silver.movements"
            )
        ).one()
    return (
        row.received_money,
        {name: (p["rows"], Decimal(p["money"])) for name, p in row.parts.items()},
        row.is_balanced,
    )


def send(small: Small) -> None:
    small.send("b01", MONDAY, ("1", "in", "10.00", ""), ("2", "out", "-4.00", ""), ("3", "out", "-1.00", ""))
    small.send("b02", MONDAY, ("1", "in", "20.00", ""))


def test_amounts_that_came_with_a_sign_are_told_without(new_bank: Callable[..., Small]) -> None:
    """10 - 4 - 1 + 20 = 25 came; 35 stand there; 10 less came than is told."""
    small = new_bank(bronze__payments=BRONZE.replace("      amount: amount\n", "      amount: abs(amount)\n"))
    send(small)
    small.play()
    assert told(small) == (
        Decimal("25.00"),
        {"accepted": (4, Decimal("35.00")), "conformed": (0, Decimal("-10.00"))},
        True,
    )
    assert [line.split()[1] for line in small.movements()] == ["10.00", "4.00", "1.00", "20.00"]


def test_what_is_kept_out_is_counted_as_it_is_told(new_bank: Callable[..., Small]) -> None:
    where = "  silver.movements:\n    where:\n      is_paid_in: kind = 'in'\n"
    changed = BRONZE.replace("  silver.movements:\n", where).replace(
        "amount: amount\n      remark", "amount: amount * 100\n      remark"
    )
    small = new_bank(bronze__payments=changed)
    send(small)
    small.play()
    parts = {
        "accepted": (2, Decimal("3000.00")),
        "filtered:is_paid_in": (2, Decimal("-500.00")),
        "conformed": (0, Decimal("-2475.00")),
    }
    assert told(small) == (Decimal("25.00"), parts, True)


def test_a_feed_whose_bronze_follows_no_money_is_followed_from_silver_on(new_bank: Callable[..., Small]) -> None:
    small = new_bank(bronze__payments=BRONZE.replace("money: amount\n", ""))
    send(small)
    small.play()
    assert told(small) == (Decimal(0), {"accepted": (4, Decimal("25.00")), "conformed": (0, Decimal("-25.00"))}, True)


def test_a_row_that_is_lost_on_the_way_stops_the_day_all_the_same(
    new_bank: Callable[..., Small], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A branch's rows are not read: neither its rows nor its money are explained by what the contract changes."""
    small = new_bank(bronze__payments=BRONZE.replace("      amount: amount\n", "      amount: abs(amount)\n"))
    send(small)
    small.take()
    conformed = conform.conformed
    monkeypatch.setattr(conform, "conformed", lambda *args: conformed(*args).where("movement_id not like 'core:b02%'"))
    [key] = small.asked()
    with pytest.raises(build.GateStopped, match=r"off by -1 rows and -20.00 of money"):
        small.build(key)
    assert told(small)[2] is False
