"""Copybooks of tests, and records of them made by an encoder that knows nothing of the reader."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

from jobs.arrival.encodings import encode
from jobs.arrival.formats.copybook import Reader
from jobs.contracts.column import Column
from jobs.contracts.formats import CopybookFile


def columns(*names: str, **renamed: str) -> dict[str, Column]:
    wanted = {name: name for name in names} | renamed
    return {
        n: Column.model_validate({"type": "string", "classification": "C1/2", "from": f}) for n, f in wanted.items()
    }


def described(copybook: str, **options: Any) -> CopybookFile:
    return CopybookFile.model_validate({"kind": "copybook", "copybook": "x.cpy", **options}).described_by(copybook)


def read(
    fmt: CopybookFile, content: bytes, wanted: dict[str, Column]
) -> tuple[list[dict[str, Any]], list[tuple[int, str]], Reader]:
    """(good records with their `line`, line and reason of malformed ones, the reader)."""
    reader = Reader(io.BytesIO(content), fmt, wanted)
    good: list[dict[str, Any]] = []
    bad: list[tuple[int, str]] = []
    for rows in reader:
        values = zip(*(rows.columns[name].to_pylist() for name in wanted), strict=True)
        good += [
            {"line": n, **dict(zip(wanted, v, strict=True))}
            for n, v in zip(rows.lines.to_pylist(), values, strict=True)
        ]
        bad += [(m.line, m.why) for m in rows.malformed]
    return good, bad, reader


def packed(amount: Decimal, digits: int, scale: int) -> bytes:
    shown = str(abs(int(amount.scaleb(scale)))).rjust(digits, "0") + ("D" if amount < 0 else "C")
    return bytes.fromhex(shown.rjust(2 * (digits // 2 + 1), "0"))


def zoned(amount: Decimal, digits: int, scale: int) -> bytes:
    shown = str(abs(int(amount.scaleb(scale)))).rjust(digits, "0")
    return bytes([0xF0 + int(d) for d in shown[:-1]] + [(0xD0 if amount < 0 else 0xC0) + int(shown[-1])])


ACCOUNT = """
      * An account of the old mainframe.
       01  ACCOUNT.
           05  ACCOUNT-NO            PIC X(10).
           05  HOLDER                PIC X(20).
           05  BALANCE               PIC S9(7)V99 COMP-3.
           05  OPENED                PIC 9(8).
           05  OVERDRAFT             PIC S9(5)V99.
           05  BRANCH                PIC S9(4) COMP.
           05  FILLER                PIC X(2).
"""


NAMES = ("account_no", "holder", "balance", "opened", "overdraft", "branch")


LEDGER = described(ACCOUNT, encoding="ibm1388")


def account(number: str, holder: str, balance: str, opened: str, overdraft: str, branch: int) -> bytes:
    return (
        number.ljust(10).encode("cp037")
        + encode(holder, "ibm1388").ljust(20, b"\x40")
        + packed(Decimal(balance), 9, 2)
        + opened.encode("cp037")
        + zoned(Decimal(overdraft), 7, 2)
        + branch.to_bytes(2, "big", signed=True)
        + b"\0\0"
    )


FAMILY = """
       01  RECORD.
           05  KIND              PIC X.
           05  HEAD.
               10  DAY           PIC 9(8).
           05  CUSTOMER REDEFINES HEAD.
               10  NUMBER        PIC X(4).
               10  NAME          PIC X(6).
           05  LOAN REDEFINES HEAD.
               10  LOAN-NO       PIC X(3).
               10  PRINCIPAL     PIC 9(5)V99 COMP-3.
           05  TAIL REDEFINES HEAD.
               10  RECORDS       PIC 9(4).
               10  TOTAL         PIC 9(5)V99.
"""


HOUSE = described(
    FAMILY,
    records="rdw",
    segment={
        "field": "kind",
        "groups": {"H": "head", "C": "customer", "L": "loan", "T": "tail"},
        "carry": ["customer"],
    },
    header={"segment": "H", "fields": {"business_date": "day"}},
    trailer={"segment": "T", "fields": {"record_count": "records", "amount_sum": "total"}},
)


LOANS = columns("kind", "number", "name", "loan_no", "principal")


def family(*records: str | bytes) -> bytes:
    raw = [r if isinstance(r, bytes) else r.encode("cp037") for r in records]
    return b"".join((len(r) + 4).to_bytes(2, "big") + b"\0\0" + r for r in raw)


def loan(number: str, principal: str) -> bytes:
    return f"L{number}".encode("cp037") + packed(Decimal(principal), 7, 2)


ORDERS = """
       01  ORDERS.
           05  CUSTOMER          PIC X(3).
           05  ITEMS             PIC 9(2).
           05  ITEM OCCURS 0 TO 3 TIMES DEPENDING ON ITEMS.
               10  SKU           PIC X(2).
               10  PRICE         PIC 9(3)V9.
           05  CITY              PIC X(4).
"""
