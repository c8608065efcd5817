"""What becomes of a delivery whose lane another one counts in, whatever its gate says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from jobs.bank import Bank
from jobs.lake import Lake
from jobs.ledger import batches, deliveries
from jobs.ledger.models import Delivery
from jobs.quality.metrics import nothing
from jobs.quality.repairs import Repairs
from jobs.settling import Measured, settle
from tests.ledger.conftest import DAY, TinyBank, bank, catalog, ledger, migrated, released

__all__ = ["bank", "catalog", "ledger", "migrated"]
NEXT = DAY + timedelta(days=1)


@dataclass
class Settling:
    """The tiny bank, and the bronze batch in which a delivery of it was written."""

    tiny: TinyBank
    bank: Bank

    def settle(self, delivery: str, *, missing: int = 0) -> str:
        """Gate and balance of a delivery of no rows, of which so many more were received: then the gate stops it."""
        table = self.bank.catalog.bronze("payments")
        rules = self.bank.catalog.rules(table)
        with self.tiny.ledger.begin() as db:
            db.execute(
                update(Delivery).where(Delivery.delivery_id == delivery).values(received_rows=missing, received_money=0)
            )
            batch = batches.start(db, table.table, f"payments|{delivery}", "r")
            row = deliveries.get(db, delivery)
        measured = Measured({delivery: nothing(table, rules)}, {}, {delivery: [DAY]}, {})
        return settle(self.bank, table, rules, batch.batch_id, row, measured, Repairs(), "r")

    def cases(self) -> list[tuple[str | None, str]]:
        with self.tiny.ledger.begin() as db:
            return [(case.delivery_id, case.state) for case in batches.cases(db, state=None)]


@pytest.fixture
def settling(bank: TinyBank, tmp_path: Path) -> Settling:
    return Settling(bank, Bank("tiny", bank.catalog, bank.ledger, Lake(tmp_path / "lake")))


@pytest.mark.parametrize("missing", [0, 5], ids=["gate passed", "gate stopped"])
def test_a_lower_version_is_superseded_without_a_case_and_no_day_is_told_anew(settling: Settling, missing: int) -> None:
    """Of the day after one that is released, whose figures the delivery changes when it counts (it reverses rows of it)."""
    tiny = settling.tiny
    tiny.take_on()
    tiny.clock(DAY, "20:00")
    released(tiny)
    first = tiny.claim("payments", "b01", NEXT, version=1)
    second = tiny.claim("payments", "b01", NEXT, version=2)
    assert settling.settle(second) == "loaded"
    told_anew = tiny.dirty()
    assert told_anew == [(DAY, "reversal")]
    assert settling.settle(first, missing=missing) == "superseded"
    assert (tiny.delivery(first).superseded_by, tiny.delivery(second).state) == (second, "loaded")
    assert (settling.cases(), tiny.dirty()) == ([], told_anew)
    assert settling.settle(first, missing=missing) == "superseded"  # a run that comes after it


def test_a_higher_version_that_its_gate_stops_leaves_the_lower_one_live(settling: Settling) -> None:
    tiny = settling.tiny
    first = tiny.arrives("payments", "b01", DAY, version=1)
    second = tiny.claim("payments", "b01", DAY, version=2)
    assert settling.settle(second, missing=5) == "refused"
    assert (tiny.delivery(first).state, settling.cases()) == ("loaded", [(second, "open")])


def test_what_was_refused_on_the_way_is_settled_by_what_counts(settling: Settling) -> None:
    """Version 2 was verified when version 1 and, after it, version 3 were stopped by their gates."""
    tiny = settling.tiny
    second, first, third = (tiny.claim("payments", "b01", DAY, version=v) for v in (2, 1, 3))
    assert [settling.settle(d, missing=5) for d in (first, third)] == ["refused", "refused"]
    assert settling.settle(second) == "loaded"
    assert settling.cases() == [(first, "closed"), (third, "open")]


def test_a_lower_version_that_is_stopped_while_the_higher_one_goes_live_waits_for_it(
    settling: Settling, after_it_waited: Callable[[Any, Callable[[], str]], Any]
) -> None:
    """Else it would be refused with a case that nobody closes."""
    first, second = (settling.tiny.claim("payments", "b01", DAY, version=v) for v in (1, 2))
    with settling.tiny.ledger.begin() as db:
        deliveries.go_live(db, second, 900, "r", dates=[], totals={})
        stopped = after_it_waited(db, lambda: settling.settle(first, missing=5))
    assert (stopped.result(60), settling.cases()) == ("superseded", [])
