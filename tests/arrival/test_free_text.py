"""A customer's numbers in remarks: landed, they are tokens, and the delivery says how many. Without the mark they would stand there in clear."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.arrival.conftest import DAY, MOVEMENTS, TABLES, Bank, bronze, movements

ID, PHONE = "991101199003071238", "13900000001"
REMARKS = (("1", "1.00", f"退款 {ID}"), ("2", "2.00", f"tel {PHONE}, {PHONE}"), ("3", "3.00", "工资"))


def with_free_text(bank: Bank) -> Bank:
    remark = {"remark": ["string", {"classification": "C1/2", "freeText": True}]}
    marked = bronze("movements", ["journal_no"], MOVEMENTS | remark, money="amount")
    tables = {t.table: t for t in TABLES} | {marked.table: marked}
    return replace(bank, catalog=replace(bank.catalog, tables=tables))


def in_clear(bank: Bank, *rows: Path) -> list[str]:
    written = b"".join(p.read_bytes() for p in [*bank.home.rglob("*"), *rows] if p.is_file())
    return [value for value in (ID, PHONE) if value.encode() in written]


def test_identifiers_in_a_remark_are_tokens_before_a_row_is_written(bank: Bank) -> None:
    marked = with_free_text(bank)
    marked.send("movements", movements(*REMARKS), f"CORE_b01_TXN_{DAY}_1.txt")
    (landed,) = marked.land()
    delivery = marked.delivery(landed)
    assert landed.state == "verified"
    first, second, third = [row["remark"] for row in marked.rows(landed)]
    assert first.startswith("退款 <id_number:") and third == "工资"
    token = second.removeprefix("tel ").split(", ")
    assert len(token) == 2 and token[0] == token[1] and token[0].startswith("<phone:")
    assert in_clear(marked, Path(delivery.rows_uri)) == []
    assert delivery.reason == "id_number in remark made a token; phone in remark made a token: 2"


def test_the_search_sees_them_where_the_mark_is_missing(bank: Bank) -> None:
    bank.send("movements", movements(*REMARKS), f"CORE_b01_TXN_{DAY}_1.txt")
    (landed,) = bank.land()
    assert [row["remark"] for row in bank.rows(landed)] == [remark for _, _, remark in REMARKS]
