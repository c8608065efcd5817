"""What does not agree, with both sides and how long it has been so."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from jobs.bank import open_bank
from jobs.commands.breaks import TABLE
from tests.commands.conftest import Said
from tests.ledger.conftest import DAY, HISTORY_END, TinyBank

SCHEMA = pa.schema(
    [("kind", pa.string()), ("subject", pa.string()), ("branch_id", pa.string()), ("disagrees", pa.string())]
    + [(name, pa.decimal128(28, 2)) for name in ("left_amount", "right_amount", "off_by")]
    + [("since", pa.date32()), ("business_date", pa.date32()), ("__verdict", pa.string())]
)


def told(
    kind: str, subject: str, left: str | None, right: str | None, *, since: date, agrees: bool = False
) -> dict[str, object]:
    sides = [Decimal(side) if side is not None else None for side in (left, right)]
    off = abs((sides[0] or Decimal(0)) - (sides[1] or Decimal(0)))
    return {
        "kind": kind, "subject": subject, "branch_id": "b01", "left_amount": sides[0], "right_amount": sides[1], "off_by": off,
        "disagrees": None if agrees else kind, "since": since, "business_date": HISTORY_END, "__verdict": "rejected" if kind == "reversal" else "accepted",
    }  # fmt: skip


@pytest.fixture
def kept(running: TinyBank) -> TinyBank:
    """On the last day of history, read on the morning after it: in UTC that day is not over."""
    rows = [
        told("account_day", "core:1", "10.00", "9.00", since=HISTORY_END),
        told("account_day", "core:2", "10.00", "10.00", since=HISTORY_END, agrees=True),
        told("reversal", "core:b01:2026-09-14:7:1", "5.00", None, since=date(2026, 9, 10)),
    ]
    write_deltalake(open_bank("tiny").lake.path(TABLE), pa.Table.from_pylist(rows, SCHEMA))
    running.clock(DAY, "07:30")
    return running


def test_what_disagrees_is_listed_with_both_sides_and_its_age(kept: TinyBank, ledgerlake: Callable[..., Said]) -> None:
    said = ledgerlake("breaks", "--json")
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert [(r["kind"], r["subject"], r["left_amount"], r["right_amount"], r["age"]) for r in rows] == [
        ("account_day", "core:1", "10.00", "9.00", 1),
        ("reversal", "core:b01:2026-09-14:7:1", "5.00", None, 5),
    ]
    assert said.status == 1
    assert "core:1" not in ledgerlake("breaks", "--kind", "reversal").out


def test_a_day_on_which_all_agrees_gives_status_0(kept: TinyBank, ledgerlake: Callable[..., Said]) -> None:
    said = ledgerlake("breaks", "2026-09-12")
    assert (said.status, said.out.strip()) == (0, "Nothing disagrees on 2026-09-12.")
