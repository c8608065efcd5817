"""C12: a file's columns are not those of the contract. Added, removed, renamed, moved, narrowed, widened: taken or refused as the source declares, and told."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Row

from jobs.arrival.drift import proposed
from jobs.contracts.formats import Delimited, Drift
from jobs.ledger import batches
from tests.arrival.conftest import DAY, Bank

NAME = f"QUE_b01_TIC_{DAY}_1.csv"
GOOD = b"ticket_no,service,note\n1,a,b\n"


def declared(bank: Bank, feed: str = "tickets", **drift: str) -> Bank:
    fmt = bank.catalog.sources[feed].format.model_copy(update={"drift": Drift.model_validate(drift)})
    return bank.with_source(feed, format=fmt)


def alerts(bank: Bank) -> list[Row[Any]]:
    with bank.ledger.begin() as db:
        return batches.alerts(db)


def test_a_file_as_agreed_says_nothing(bank: Bank) -> None:
    strict = declared(bank, added="refuse", reordered="refuse")
    strict.send("tickets", GOOD, NAME)
    (landed,) = strict.land()
    assert (landed.state, landed.reason, alerts(bank)) == ("verified", None, [])


@pytest.mark.parametrize("added", ["hold_back", "evolve"])
def test_a_new_column_is_left_out_and_told_once(bank: Bank, added: str) -> None:
    taking = declared(bank, added=added)
    for number in (1, 2):
        taking.send(
            "tickets", b"ticket_no,Colour,service,note\n%d,red,a,b\n" % number, f"QUE_b01_TIC_{DAY}_{number}.csv"
        )
        assert [one.state for one in taking.land()] == ["verified"]
    (alert,) = alerts(bank)
    assert (alert.kind, "tickets has a new column Colour" in alert.message) == ("column_added", True)
    line = "`colour: [string, {from: Colour, classification: C2/3}]`"
    assert (line in alert.message) == (added == "evolve")


def test_a_new_column_is_refused_where_the_contract_is_frozen(bank: Bank) -> None:
    strict = declared(bank, added="refuse")
    strict.send("tickets", b"ticket_no,colour,service,note\n1,red,a,b\n", NAME)
    (landed,) = strict.land()
    assert (landed.state, landed.cause) == ("refused", "column_added")
    assert (
        "Line 1 names ticket_no, colour, service, note. Expected the columns of the contract: ticket_no, service, note. New: colour."
        in str(landed.reason)
    )


def test_a_column_that_is_gone_refuses_the_file(bank: Bank) -> None:
    bank.send("tickets", b"ticket_no,note\n1,b\n", NAME)
    (landed,) = bank.land()
    assert (landed.state, landed.cause) == ("refused", "column_removed")
    assert "Missing: service." in str(landed.reason)


def test_a_column_that_may_be_gone_is_null_and_told(bank: Bank) -> None:
    lenient = declared(bank, removed="null")
    lenient.send("tickets", b"ticket_no,note\n1,b\n", NAME)
    (landed,) = lenient.land()
    assert (landed.state, bank.rows(landed)[0]["service"], bank.rows(landed)[0]["note"]) == ("verified", None, "b")
    assert [alert.kind for alert in alerts(bank)] == ["column_lacking"]
    assert "columns that the file does not have are null: service" in str(landed.reason)


def test_a_column_that_must_be_given_is_never_null_for_being_gone(bank: Bank) -> None:
    lenient = declared(bank, removed="null")
    lenient.send("tickets", b"service,note\na,b\n", NAME)
    (landed,) = lenient.land()
    assert (landed.state, landed.cause) == ("refused", "column_removed")


@pytest.mark.parametrize(
    ("names", "new"),
    [(b"ticket_no,service_code,note", "service_code"), (b"ticket_no,kind,note", "kind")],
    ids=["a name alike", "the same place"],
)
def test_a_renamed_column_is_told_as_such(bank: Bank, names: bytes, new: str) -> None:
    bank.send("tickets", names + b"\n1,a,b\n", NAME)
    (landed,) = bank.land()
    assert f"Missing: service. New: {new}. Likely service was renamed {new}." in str(landed.reason)


def test_another_order_is_found_by_name_or_refused(bank: Bank) -> None:
    moved = b"note,ticket_no,service\nb,1,a\n"
    bank.send("tickets", moved, NAME)
    (landed,) = bank.land()
    assert [(r["ticket_no"], r["service"], r["note"]) for r in bank.rows(landed)] == [("1", "a", "b")]
    strict = declared(bank, reordered="refuse")
    strict.send("tickets", moved.replace(b"b,1,a", b"b,2,a"), NAME)
    (landed,) = strict.land()
    assert (landed.cause, "Their order is another." in str(landed.reason)) == ("column_reordered", True)


def parquet(**columns: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


LOAN = f"LOAN_HO_CON_{DAY}_1.parquet"


def test_a_narrower_type_refuses_the_file_and_a_wider_one_is_read(bank: Bank) -> None:
    bank.send("loans", parquet(loan_id=["L1"], principal=[10]), LOAN, entity="HO")
    (landed,) = bank.land()
    assert (landed.state, landed.cause) == ("refused", "column_narrowed")
    assert "principal is int64, which holds less than decimal(18,2)" in str(landed.reason)
    wide = pa.array([Decimal("10.5000")], pa.decimal128(30, 4))
    bank.send("loans", parquet(loan_id=["L1"], principal=wide), LOAN, entity="HO")
    (landed,) = bank.land()
    assert (landed.state, bank.rows(landed)[0]["principal"]) == ("verified", "10.5000")


def test_a_narrower_type_is_read_where_that_is_declared(bank: Bank) -> None:
    lenient = declared(bank, "loans", narrowed="read")
    lenient.send("loans", parquet(loan_id=["L1"], principal=[10]), LOAN, entity="HO")
    (landed,) = lenient.land()
    assert (landed.state, bank.rows(landed)[0]["principal"]) == ("verified", "10")


def test_a_parquet_column_that_may_be_gone_is_null(bank: Bank) -> None:
    table = bank.catalog.bronze("loans")
    columns = {**table.columns, "purpose": table.columns["loan_id"].model_copy(update={"required": False})}
    bank.catalog.tables["bronze.loans"] = table.model_copy(update={"columns": columns})
    lenient = declared(bank, "loans", removed="null")
    lenient.send("loans", parquet(loan_id=["L1"], principal=["10.50"], colour=["red"]), LOAN, entity="HO")
    (landed,) = lenient.land()
    assert (landed.state, bank.rows(landed)[0]["purpose"]) == ("verified", None)
    assert {alert.kind for alert in alerts(bank)} == {"column_added", "column_lacking"}


def test_the_line_that_is_proposed() -> None:
    assert proposed("colour") == "colour: [string, {classification: C2/3}]"
    assert proposed("ServiceCode") == "service_code: [string, {from: ServiceCode, classification: C2/3}]"
    assert proposed("月份") == "new_column: [string, {from: 月份, classification: C2/3}]"


def test_a_file_without_names_cannot_drift_by_name() -> None:
    with pytest.raises(ValueError, match="without columnLine the file has none"):
        Delimited.model_validate({"kind": "delimited", "drift": {"added": "refuse"}})
