"""A tiny bank whose branches send payments (payment number | direction | amount | account | payer), and what a test asks of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from jobs import bank as banks
from jobs import load as loading
from jobs import quarantine as bench
from jobs.bank import open_bank
from jobs.ledger import batches, deliveries, fixes
from jobs.ledger.models import DirtyDate
from jobs.settings import settings
from tests.commands.conftest import Said, bank, ledgerlake, running
from tests.contracts.house import change
from tests.ledger.conftest import DAY, TinyBank

__all__ = ["bank", "ledgerlake", "running"]
Command = Callable[..., Said]
ANNA, BERND = "anna", "bernd"
NAME = f"PAY_{{entity}}_{DAY:%Y%m%d}_{{seq}}.csv"
WIDER = """\
  account:    [string, {classification: C2/3}]
  payer:      [string, {identifies: name, classification: C2/3}]
"""
ANOTHER = (
    "  - {id: no_fen_for_yuan, onFail: hold, expect_column_max_to_be_between: {column: amount, max_value: 1000}}\n"
)
# The second line has an amount that cannot be read, the third one that is below 0.
TWO_WRONG = ("p1|D|1.00|6200001|", "p2|D|2,00|6200002|", "p3|D|-3.00|6200003|")


@pytest.fixture
def tiny(running: TinyBank, spark_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyBank]:
    """It is the evening of a day whose history before it is released; payments tell account and payer, and a gate holds files that seem to be in fen."""
    monkeypatch.setenv("LEDGERLAKE_SPARK_REMOTE", spark_url)
    settings.cache_clear()
    root = settings().expectations
    change(root, "bronze/payments.yaml", "rules:\n", f"{WIDER}rules:\n{ANOTHER}")
    banks.open_bank.cache_clear()
    running.clock(DAY, "20:00")
    yield running


def send(*lines: str, entity: str = "b01", seq: int = 1) -> str:
    """A branch's file reaches bronze; returns its delivery."""
    content = "".join(f"{line}\n" for line in lines).encode()
    name = NAME.format(entity=entity, seq=seq)
    path = settings().bank("tiny") / "inbox" / "payments" / entity / str(DAY) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.with_name(f"{name}.ok").write_text(f"{name}|||{hashlib.sha256(content).hexdigest()}\n")
    loading.land("tiny", "run")
    load()
    with open_bank("tiny").ledger.begin() as db:
        return deliveries.find(db, feed="payments", entity=entity)[-1].delivery_id


def load() -> dict[str, int]:
    """What waits, verified or to be judged again."""
    with open_bank("tiny").ledger.begin() as db:
        wave = str(deliveries.next_wave(db))
    return loading.load("tiny", "payments", wave, "run")


def case_of(cause: str, delivery: str | None = None) -> Any:
    with open_bank("tiny").ledger.begin() as db:
        (found,) = [c for c in batches.cases(db, state=None) if c.cause == cause and delivery in (None, c.delivery_id)]
    return found


def counts(tiny: TinyBank, delivery: str) -> tuple[str, int, int, Decimal]:
    """State, accepted rows, rejected rows, accepted money."""
    with tiny.ledger.begin() as db:
        found = deliveries.get(db, delivery)
    return found.state, found.accepted_rows, found.rejected_rows, found.accepted_money


def live(spark: Any, tiny: TinyBank) -> list[tuple[str, str, str]]:
    """Payments that count: number, direction, amount."""
    opened = open_bank("tiny")
    with tiny.ledger.begin() as db:
        parts = deliveries.live_parts(db, ["payments"], DAY, DAY)
    rows = opened.lake.of_parts(spark, opened.catalog.bronze("payments"), parts).collect() if parts else []
    return sorted((row["payment_no"], row["direction"], str(row["amount"])) for row in rows)


def dirty(tiny: TinyBank) -> set[str]:
    with tiny.ledger.begin() as db:
        return {row.cause for row in db.execute(DirtyDate.__table__.select())}


def approved(case: Any, lines: dict[int, dict[str, str | None]]) -> int:
    """A correction that Anna proposed and Bernd approved."""
    fix = bench.propose_correction(open_bank("tiny"), case.case_id, lines, "seen on paper", ANNA)
    bench.approve(open_bank("tiny"), fix, BERND)
    return fix


def approved_unseen(case: Any, line: int, texts: dict[str, str]) -> None:
    """A correction that nobody foresaw anything of when it was proposed: the contract was another one then."""
    with open_bank("tiny").ledger.begin() as db:
        made = {"lines": {str(line): texts}, "delivery": case.delivery_id, "table": "bronze.payments"}
        fix = fixes.propose(db, case.case_id, fixes.CORRECT, made, "seen on paper", ANNA)
    bench.approve(open_bank("tiny"), fix, BERND)


def given_meaning(case: Any, code: str = "X") -> int:
    fix = bench.propose_code(open_bank("tiny"), case.case_id, code, "credit", "a new kind", ANNA)
    bench.approve(open_bank("tiny"), fix, BERND)
    return fix


def states(tiny: TinyBank, *numbers: int) -> list[str]:
    with tiny.ledger.begin() as db:
        return [fixes.get(db, number).state for number in numbers]
