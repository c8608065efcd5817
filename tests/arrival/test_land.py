"""A branch's files from the inbox to `rows`: what is taken, what is refused, and that nothing is taken twice."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.ledger import clock
from jobs.privacy.seal import open_sealed
from tests.arrival.conftest import DAY, Bank, gz, movements

NAME = f"CORE_b01_TXN_{DAY}_1.txt"


def test_a_good_file_becomes_verified_rows_and_leaves_the_inbox(bank: Bank) -> None:
    bank.send("movements", movements(("1", "10.00", "工资"), ("2", "2.50", "")), NAME)
    (landed,) = bank.land()
    assert (landed.state, landed.rows, landed.money) == ("verified", 2, Decimal("12.50"))
    delivery = bank.delivery(landed)
    assert (delivery.feed, delivery.entity, delivery.business_date.isoformat(), delivery.seq) == (
        "movements",
        "b01",
        "2026-09-15",
        1,
    )
    assert (delivery.stated_rows, delivery.stated_money) == (2, Decimal("12.50"))
    machinery = {"__delivery_id": landed.delivery_id, "__malformed": None, "__sealed": None}
    machinery |= {"__entity": "b01", "__received_at": delivery.received_at, "__lane_date": date(2026, 9, 15)}
    lane = {"branch_id": "b01", "business_date": DAY}
    assert bank.rows(landed) == [
        {**machinery, **lane, "__line": 2, "journal_no": "1", "amount": "10.00", "remark": "工资"},
        {**machinery, **lane, "__line": 3, "journal_no": "2", "amount": "2.50", "remark": None},
    ]
    assert bank.waiting() == []
    assert bank.land("run-2") == []


def test_customers_arrive_as_tokens_only(bank: Bank) -> None:
    person = "b01|+|0001|+|张三|+|991101199003071238|+|139 0000 0001"
    same_elsewhere = "b01|+|0002|+|张 三|+|991101199003071238|+|+8613900000001"
    wrong = "b01|+|0003|+|李四|+|991101199003071239|+|"
    lines = [f"H|+|core|+|b01|+|{DAY}|+|x", person, same_elsewhere, wrong, "T|+|3|+|", ""]
    bank.send("customers", "\n".join(lines).encode("gb18030"), f"CORE_b01_CUS_{DAY}_1.txt")
    (landed,) = bank.land()
    first, second, third = bank.rows(landed)
    assert first["id_number_token"] == second["id_number_token"] != third["id_number_token"]
    assert (first["id_number_valid"], third["id_number_valid"]) == ("true", "false")
    assert (first["id_number_birth_date"], first["id_number_gender"], first["id_number_kind"]) == (
        "1990-03-07",
        "m",
        "resident_id",
    )
    assert (third["id_number_birth_date"], third["phone_token"], third["phone_valid"]) == (None, None, None)
    assert first["name_token"] != second["name_token"]
    assert first["name_normal_token"] == second["name_normal_token"]
    assert first["phone_token"] == second["phone_token"]
    assert first["phone_last4"] == "0001"
    assert first["customer_no"] == "0001"
    assert first["customer_no_keyed"] == bank.keys.party_id("core", "0001")
    written = b"".join(p.read_bytes() for p in bank.home.rglob("*") if p.is_file())
    for clear in ("张三", "991101199003071238", "13900000001"):
        assert clear.encode() not in written
        assert clear.encode("gb18030") not in written
    assert list(first) == [
        "__delivery_id",
        "__entity",
        "__received_at",
        "__lane_date",
        "__line",
        "__malformed",
        "__sealed",
        *bank.catalog.bronze("customers").physical_columns,
    ]


def test_each_format_ends_as_rows(bank: Bank) -> None:
    table = pa.table({"loan_id": ["L1"], "principal": pa.array([Decimal("10.50")], pa.decimal128(18, 2))})
    parquet = io.BytesIO()
    pq.write_table(table, parquet)
    fixed = f"H|core|b01|{DAY}|x\nA00001{'账户':<6}{1250:>10}\nT|1|12.50\n"
    bank.send("loans", parquet.getvalue(), f"LOAN_HO_CON_{DAY}_1.parquet", entity="HO")
    bank.send("balances", fixed.encode("gb18030"), f"CORE_b01_BAL_{DAY}_1.dat")
    bank.send(
        "events",
        gz('{"event_id":"e1","payload":{"amount":1.10,"clicks":9007199254740993}}\n'),
        f"APP_app_EVT_{DAY}_1.jsonl.gz",
        signal=None,
    )
    bank.send(
        "tickets", b'\xef\xbb\xbfservice,ticket_no,note\nloan,7,"two\nlines"\n,8,""\n', f"QUE_b01_TIC_{DAY}_1.csv"
    )
    landed = {one.feed: one for one in bank.land()}
    assert {one.state for one in landed.values()} == {"verified"}, landed

    def values(feed: str) -> list[dict[str, object]]:
        return [
            {k: v for k, v in row.items() if k == "__line" or not k.startswith("__")} for row in bank.rows(landed[feed])
        ]

    assert values("loans") == [{"__line": 1, "loan_id": "L1", "principal": "10.50"}]
    assert values("balances") == [{"__line": 2, "account_no": "A00001", "name": "账户", "balance": "1250"}]
    assert values("events") == [{"__line": 1, "event_id": "e1", "amount": "1.10", "clicks": "9007199254740993"}]
    assert values("tickets") == [
        {"__line": 2, "ticket_no": "7", "service": "loan", "note": "two\nlines"},
        {"__line": 4, "ticket_no": "8", "service": None, "note": ""},
    ]


def test_a_file_no_source_knows_is_refused_and_kept_sealed(bank: Bank) -> None:
    bank.send("movements", b"what is this", "report.docx", signal=None)
    (landed,) = bank.land()
    assert (landed.feed, landed.state, landed.cause) == ("unknown", "refused", "unknown_file")
    assert "CORE_{entity}_TXN_{date}_{seq}.txt" in str(landed.reason)
    assert bank.stored() == [f"{landed.delivery_id}.sealed"]
    with open_sealed(Path(bank.delivery(landed).raw_uri), bank.keys) as raw:
        assert raw.read() == b"what is this"


def test_a_file_no_source_knows_is_of_the_banks_day(bank: Bank) -> None:
    """In the morning the day before is not over in UTC."""
    with bank.ledger.begin() as db:
        clock.set_now(db, datetime(2026, 9, 14, 23, 30, tzinfo=UTC))
    bank.send("movements", b"what is this", "report.docx", signal=None)
    (landed,) = bank.land()
    assert bank.delivery(landed).business_date == date(2026, 9, 15)


def test_take_on_brings_many_branches_and_dates(bank: Bank) -> None:
    body = "b01|1|20260901|1.00|\nb02|2|20260914|2.00|\n"
    content = f"H|core|TAKEON|20260914|x\n{body}T|2|3.00\n".encode()
    bank.send("movements", content, "CORE_TAKEON_TXN_20260914_1.txt", entity="TAKEON", day="20260914")
    assert [one.state for one in bank.land()] == ["verified"]


def test_real_data_does_not_enter_a_test_environment(bank: Bank) -> None:
    bank.send("movements", movements(("1", "1.00", "")), NAME)
    (landed,) = bank.with_source("movements", synthetic=False).land()
    assert (landed.state, landed.cause) == ("refused", "real_data_in_test")
    assert bank.stored() == []


def test_the_ledger_knows_encoding_characters_and_bytes(bank: Bank) -> None:
    """A1: characters of the values, as decoded: 4 bytes of GB18030 are two."""
    content = movements(("1", "10.00", "工资"), ("2", "2.50", ""))
    bank.send("movements", content, f"CORE_b01_TXN_{DAY}_1.txt")
    delivery = bank.delivery(bank.land()[0])
    assert (delivery.encoding, delivery.size) == ("gb18030", len(content))
    assert delivery.characters == len(f"b01{'1'}{DAY}10.00工资") + len(f"b01{'2'}{DAY}2.50")


def test_a_byte_order_mark_that_nobody_declared_is_told(bank: Bank) -> None:
    """A7: it is never part of the first value; `utf-8-sig` declares it."""
    content = b"\xef\xbb\xbfticket_no,service,note\n1,a,b\n"
    bank.send("tickets", content, f"QUE_b01_TIC_{DAY}_1.csv")
    (declared,) = bank.land()
    assert (declared.state, declared.reason, bank.rows(declared)[0]["ticket_no"]) == ("verified", None, "1")
    plain = bank.catalog.sources["tickets"].format.model_copy(update={"encoding": "utf-8"})
    other = bank.with_source("tickets", format=plain)
    other.send("tickets", content.replace(b"1,a,b", b"2,a,b"), f"QUE_b01_TIC_{DAY}_2.csv")
    (told,) = other.land()
    assert (told.state, told.reason, bank.rows(told)[0]["ticket_no"]) == ("verified", "byte order mark taken off", "2")
