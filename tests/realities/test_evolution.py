"""C12 on live tables: a branch sends a column more. It is left out until a person has put it into the contract, and loaded from then on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from jobs import bank as banks
from jobs import schema_change
from jobs.arrival.drift import proposed
from jobs.ledger import batches
from jobs.settings import settings
from tests.realities.conftest import FILES, MONDAY, TUESDAY, WEDNESDAY, Small

NAMED = """\
feed: payments
description: Payments of one branch.
system: core
owner: branch accounting
sender: branch
kind: increment
files: {pattern: "PAY_{entity}_{date}_{seq}.csv"}
format: {kind: delimited, separator: ",", columnLine: true, drift: {added: evolve}}
control: {sum: amount}
synthetic: true
"""
NAMES = "branch_id,payment_no,kind,amount,business_date,remark"


def send(small: Small, day: date, names: str, *values: str) -> None:
    for branch in ("b01", "b02"):
        row = ",".join([branch, "1", "in", "10.00", f"{day:%Y%m%d}", "", *values])
        small.put("payments", branch, day, f"PAY_{branch}_{day:%Y%m%d}_1.csv", f"{names}\n{row}\n".encode())


def test_a_new_column_is_proposed_and_loaded_once_a_person_has_added_it(new_bank: Callable[..., Small]) -> None:
    small = new_bank(sources__small__payments=NAMED)
    send(small, MONDAY, NAMES)
    small.play()
    small.clock(TUESDAY)
    send(small, TUESDAY, f"{NAMES},Purpose", "rent")
    assert {d.state for d in small.play()} == {"loaded"}
    with small.ledger.begin() as db:
        (alert,) = [a for a in batches.alerts(db) if a.kind == "column_added"]
    assert f"`{proposed('Purpose')}`" in alert.message
    assert "purpose" not in small.bronze()[0]

    contract = settings().expectations / "bronze" / "payments.yaml"
    contract.write_text(
        FILES["bronze/payments.yaml"].replace("conforms:", f"  {proposed('Purpose')}\nconforms:"), encoding="utf-8"
    )
    banks.open_bank.cache_clear()
    (change,) = schema_change.plan(small.bank)
    assert (change.kind, change.name, change.in_place) == ("added", "bronze.payments.purpose", True)
    done = list(schema_change.apply(small.bank, [change]))
    assert [line for line in done if line.startswith("Not done")] == []
    small.clock(WEDNESDAY)
    send(small, WEDNESDAY, f"{NAMES},Purpose", "salary")
    assert {d.state for d in small.play()} == {"loaded"}
    assert [(str(r["__business_date"]), r["purpose"]) for r in small.bronze()] == [
        ("2026-09-14", None),
        ("2026-09-14", None),
        ("2026-09-15", None),
        ("2026-09-15", None),
        ("2026-09-16", "salary"),
        ("2026-09-16", "salary"),
    ]
    assert len(small.movements()) == 6
