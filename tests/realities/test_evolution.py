"""C12 on live tables: a branch sends a column more. It is left out until a person has put it into the contract, and loaded from then on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from jobs import bank as banks
from jobs import load, schema_change
from jobs.arrival.drift import proposed
from jobs.lake import SparkUnavailable
from jobs.lake.log import SchemaDiffers
from jobs.ledger import batches, lanes
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
        (alert,) = batches.alerts(db, kind="column_added")
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


def told(small: Small, *kinds: str) -> list[tuple[str, str | None]]:
    """(message, how it ended) of alerts of these kinds, oldest first."""
    with small.ledger.begin() as db:
        return [(a.message, a.end) for a in batches.alerts_told(db, 50)[::-1] if a.kind in kinds]


def test_a_contract_that_is_not_applied_is_told_with_the_remedy_until_its_files_are_loaded(
    new_bank: Callable[..., Small],
) -> None:
    small = new_bank(sources__small__payments=NAMED)
    send(small, MONDAY, NAMES)
    small.play()
    assert schema_change.blocking(small.bank) == []
    contract = settings().expectations / "bronze" / "payments.yaml"
    changed = FILES["bronze/payments.yaml"].replace(
        "[string, {text: chinese, classification: C1/2}]", "[string, {identifies: id_number, classification: C2/4}]"
    )
    contract.write_text(changed.replace("      remark: remark\n", "      remark: remark_token\n"), encoding="utf-8")
    banks.open_bank.cache_clear()
    small.clock(TUESDAY)
    send(small, TUESDAY, NAMES)
    for tries in range(3):
        with pytest.raises(SchemaDiffers):
            small.take() if tries == 0 else small.load("payments")
    [(why, end)] = told(small, "load_fails")
    assert end is None and why.startswith(
        "payments is not loaded, 2 files wait: bronze.payments is not as its contract says: "
    )
    assert "`ledgerlake contracts apply` brings the table to its contract" in why
    with small.ledger.begin() as db:
        assert {lane.reason for lane in lanes.of_day(db, small.bank.catalog, TUESDAY)} == {why}
    assert {change.kind for change in schema_change.blocking(small.bank)} == {"added"}

    lines = list(schema_change.apply(small.bank, schema_change.plan(small.bank)))
    assert [line.partition(". ")[0] for line in lines[:-1]] == ["Done", "Done", "Left as it is", "Left as it is"]
    assert lines[2].startswith(
        "Left as it is. bronze.payments.remark: the contract has tokens in place of it (string)."
    )
    assert "What was stored before stays in it as it came: docs/quarantine.md" in lines[2]
    assert lines[-1] == "2 of 4 changes were made. Left to a person: bronze.payments.remark."
    small.load("payments")
    assert told(small, "load_fails") == [(why, "payments: what waited is loaded.")]
    assert {d.state for d in small.deliveries()} == {"loaded"}


def test_what_was_taken_in_under_another_contract_waits_for_it_and_holds_nothing_else_up(
    new_bank: Callable[..., Small],
) -> None:
    """Tuesday's files have a purpose, which the contract does not know when they are taken in; it does when they are to be loaded, and Wednesday's are read with it."""
    small = new_bank(sources__small__payments=NAMED)
    send(small, MONDAY, NAMES)
    small.play()
    small.clock(TUESDAY)
    send(small, TUESDAY, f"{NAMES},Purpose", "rent")
    small.land()
    contract = settings().expectations / "bronze" / "payments.yaml"
    former = contract.read_text(encoding="utf-8")
    contract.write_text(former.replace("conforms:", f"  {proposed('Purpose')}\nconforms:"), encoding="utf-8")
    banks.open_bank.cache_clear()
    assert [
        line for line in schema_change.apply(small.bank, schema_change.plan(small.bank)) if "Not done" in line
    ] == []
    small.clock(WEDNESDAY)
    send(small, WEDNESDAY, f"{NAMES},Purpose", "salary")
    with pytest.raises(SchemaDiffers):
        small.take()
    states = {(d.business_date, d.state) for d in small.deliveries()}
    assert states == {(MONDAY, "loaded"), (TUESDAY, "verified"), (WEDNESDAY, "loaded")}
    [(why, end)] = told(small, "load_fails")
    assert end is None and why.startswith(
        "payments is not loaded, 2 files wait: 2 of them were taken in under another contract of bronze.payments; their rows lack purpose. Put the contract back as it was"
    )

    contract.write_text(former, encoding="utf-8")
    banks.open_bank.cache_clear()
    small.load("payments")
    assert [end for _, end in told(small, "load_fails")] == ["payments: what waited is loaded."]
    assert [(str(r["__business_date"]), r["purpose"]) for r in small.bronze()][2:] == [
        ("2026-09-15", None),
        ("2026-09-15", None),
        ("2026-09-16", "salary"),
        ("2026-09-16", "salary"),
    ]


def test_a_column_that_leaves_the_contract_is_not_dropped_from_files_that_wait(new_bank: Callable[..., Small]) -> None:
    small = new_bank(sources__small__payments=NAMED)
    send(small, MONDAY, NAMES)
    small.land()
    contract = settings().expectations / "bronze" / "payments.yaml"
    former = contract.read_text(encoding="utf-8")
    without = "".join(line for line in former.splitlines(keepends=True) if "remark" not in line)
    contract.write_text(without, encoding="utf-8")
    banks.open_bank.cache_clear()
    with pytest.raises(SchemaDiffers, match=r"2 of them were taken in under another contract.*their rows have remark"):
        small.load("payments")
    contract.write_text(former, encoding="utf-8")
    banks.open_bank.cache_clear()
    small.load("payments")
    assert {d.state for d in small.deliveries()} == {"loaded"}


def test_a_load_that_fails_for_long_is_told_until_it_does_not(
    new_bank: Callable[..., Small], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = new_bank(sources__small__payments=NAMED)
    send(small, MONDAY, NAMES)
    spark = settings().spark_remote
    monkeypatch.setenv("LEDGERLAKE_SPARK_REMOTE", "sc://127.0.0.1:9")
    settings.cache_clear()
    with pytest.raises(SparkUnavailable):
        small.take()
    assert told(small, "load_fails") == [], "a server that starts again is no news"
    monkeypatch.setattr(load, "PATIENCE", timedelta(0))
    for _ in range(2):
        with pytest.raises(SparkUnavailable):
            small.load("payments")
    [(why, end)] = told(small, "load_fails")
    assert end is None and "2 files wait: SparkUnavailable: The Spark server does not answer" in why
    monkeypatch.setenv("LEDGERLAKE_SPARK_REMOTE", str(spark))
    settings.cache_clear()
    small.load("payments")
    assert [end for _, end in told(small, "load_fails")] == ["payments: what waited is loaded."]
