"""A contract tells another amount than came: without its sign, in yuan what came in fen, only of some rows. The balance says by how much, and stops what is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from jobs import bank as banks
from jobs import build, conform
from jobs.ledger import batches, days
from jobs.ledger.models import Balance
from jobs.quality.balance import Balance as QualityBalance
from tests.realities.conftest import FILES, MONDAY, TUESDAY, WEDNESDAY, Small, write

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
        {"accepted": (4, Decimal("35.00")), "conformed": (2, Decimal("-10.00"))},
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
        "conformed": (4, Decimal("-2475.00")),
    }
    assert told(small) == (Decimal("25.00"), parts, True)


def test_a_feed_whose_bronze_follows_no_money_is_followed_from_silver_on(new_bank: Callable[..., Small]) -> None:
    small = new_bank(bronze__payments=BRONZE.replace("money: amount\n", ""))
    send(small)
    small.play()
    assert told(small) == (Decimal(0), {"accepted": (4, Decimal("25.00")), "conformed": (4, Decimal("-25.00"))}, True)


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


def outcomes(small: Small) -> list[tuple[str, str, str]]:
    """(outcome, subject, what was broken) of silver.movements, oldest first."""
    with small.ledger.begin() as db:
        rows = batches.gates(db, table="silver.movements")
    return [(r.outcome, r.subject, " ".join(f["sentence"] for f in r.failed)) for r in reversed(rows)]


def alerts(small: Small, *, all_: bool = False) -> list[tuple[str, str | None]]:
    """(message, how it ended) of changed money."""
    with small.ledger.begin() as db:
        rows = batches.alerts_told(db, 20) if all_ else batches.alerts(db)
    return [(a.message, a.end) for a in rows if a.kind == conform.MONEY_CHANGED]


def rewrite(small: Small, bronze: str) -> None:
    """Another contract of the payments, from now on."""
    write(Path(os.environ["LEDGERLAKE_EXPECTATIONS"]), small.name, FILES | {"bronze/payments.yaml": bronze})
    banks.open_bank.cache_clear()


def test_a_contract_that_changes_money_and_does_not_say_so_is_warned_of(new_bank: Callable[..., Small]) -> None:
    """On Monday -4 and -1 became 4 and 1: +10 in two rows. On Tuesday a row again: the same mapping, told once. Then the contract says why."""
    unsaid = BRONZE.replace("      amount: amount\n", "      amount: abs(amount)\n")
    small = new_bank(bronze__payments=unsaid)
    send(small)
    small.play()
    [(outcome, subject, sentence)] = outcomes(small)
    assert outcome == "warn"
    assert sentence.startswith(
        "Conforming bronze.payments to silver.movements changed the money of 2 rows: -5.00 came in them, 5.00 is told (+10.00)."
    )
    assert "changesMoney" in sentence
    with small.ledger.begin() as db:
        [balance] = db.execute(select(*Balance.__table__.columns).where(Balance.table_name == "silver.movements"))
    assert QualityBalance.of_record(balance).sentence() == (
        "Received 4 rows with 25.00; all accounted for: accepted 4 rows with 35.00, money changed by conforming: +10.00 in 2 rows."
    )
    assert alerts(small) == [(f"{subject}: {sentence}", None)]
    small.clock(TUESDAY)
    for branch in ("b01", "b02"):
        small.send(branch, TUESDAY, ("1", "out", "-3.00", ""))
    small.play()
    assert [o for o, _, _ in outcomes(small)] == ["warn", "warn"]
    assert len(alerts(small)) == 1

    said = unsaid.replace(
        "  silver.movements:\n", "  silver.movements:\n    changesMoney: what is paid out comes negative\n"
    )
    rewrite(small, said)
    small.clock(WEDNESDAY)
    for branch in ("b01", "b02"):
        small.send(branch, WEDNESDAY, ("1", "out", "-3.00", ""))
    small.play()
    assert [o for o, _, _ in outcomes(small)] == ["warn", "warn", "pass"]
    assert alerts(small) == []
    [(_, end)] = alerts(small, all_=True)
    assert end == "bronze.payments: its contract says why it changes money: what is paid out comes negative"


def test_a_sign_that_was_dropped_by_mistake_is_put_right_by_a_restatement(new_bank: Callable[..., Small]) -> None:
    small = new_bank(bronze__payments=BRONZE.replace("      amount: amount\n", "      amount: abs(amount)\n"))
    send(small)
    small.play()
    rewrite(small, BRONZE)
    with small.ledger.begin() as db:
        key = days.request_again(db, small.bank.catalog, MONDAY, "repaired: the sign was dropped")
    small.build(key)
    assert [line.split()[1] for line in small.movements()] == ["10.00", "-4.00", "-1.00", "20.00"]
    assert [o for o, _, _ in outcomes(small)] == ["warn", "pass"]
    [(_, end)] = alerts(small, all_=True)
    assert end == "bronze.payments: its contract tells amount otherwise now."
