"""Messages and workbooks: statements of the clearing house as ISO 20022 writes them, the cost sheets that a province fills in."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import BinaryIO
from xml.sax.saxutils import escape

from jobs.demo_bank.encoding import Row

CAMT = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
IBAN = "CN99CLRG0000000000000001"  # invented: China has no IBAN


@dataclass(frozen=True)
class Statement:
    """camt.053: one statement for each day that is told, with its entries and their totals."""

    def open(self, out: BinaryIO, entity: str, day: date) -> _StatementWriter:
        return _StatementWriter(out, entity, day)


class _StatementWriter:
    def __init__(self, out: BinaryIO, entity: str, day: date) -> None:
        self._out = out
        self._write(
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="{CAMT}">\n<BkToCstmrStmt>\n'
            f"<GrpHdr><MsgId>{entity}-{day:%Y%m%d}</MsgId><CreDtTm>{day}T23:00:00+08:00</CreDtTm></GrpHdr>\n"
        )

    def add(self, rows: Sequence[Row]) -> None:
        """Rows of one day, in the order of the contract's columns."""
        if not rows:
            return
        total = sum((Decimal(row[3]) for row in rows), Decimal(0))
        self._write(
            f"<Stmt><Id>{rows[0][0]}</Id><Acct><Id><IBAN>{IBAN}</IBAN></Id></Acct>\n"
            f"<TxsSummry><TtlNtries><NbOfNtries>{len(rows)}</NbOfNtries><Sum>{total}</Sum></TtlNtries></TxsSummry>\n"
        )
        for _, _, reference, amount, currency, direction, booked, value, end_to_end, remark in rows:
            self._write(
                f'<Ntry><NtryRef>{reference}</NtryRef><Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{direction}</CdtDbtInd>'
                f"<Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>{booked}</Dt></BookgDt><ValDt><Dt>{value}</Dt></ValDt>"
                f"<NtryDtls><TxDtls><Refs><EndToEndId>{end_to_end}</EndToEndId></Refs></TxDtls></NtryDtls>"
                f"<AddtlNtryInf>{escape(remark)}</AddtlNtryInf></Ntry>\n"
            )
        self._write("</Stmt>\n")

    def close(self, count: int, stated: str) -> None:
        self._write("</BkToCstmrStmt>\n</Document>\n")

    def _write(self, text: str) -> None:
        self._out.write(text.encode())


@dataclass(frozen=True)
class CostSheets:
    """A workbook with one sheet an outlet, a title above the names, a total below the rows, and an old sheet that somebody hid."""

    names: tuple[str, ...]

    def open(self, out: BinaryIO, entity: str, day: date) -> _SheetsWriter:
        return _SheetsWriter(self.names, out)


class _SheetsWriter:
    def __init__(self, names: tuple[str, ...], out: BinaryIO) -> None:
        self._names, self._out = names, out
        self._rows: dict[str, list[Row]] = {}

    def add(self, rows: Sequence[Row]) -> None:
        """(outlet, then the fields of the sheet) each."""
        for outlet, *fields in rows:
            self._rows.setdefault(outlet, []).append(fields)

    def close(self, count: int, stated: str) -> None:
        import openpyxl

        book = openpyxl.Workbook()
        book.remove(book.active)
        for outlet, rows in self._rows.items():
            sheet = book.create_sheet(outlet)
            sheet.append([f"{outlet} 费用明细"])
            sheet.merge_cells("A1:E1")
            sheet.append(list(self._names))
            for month, element, amount, booked, sent in rows:
                # Some clerks type numbers, some text.
                sheet.append(
                    [
                        month,
                        element,
                        float(amount) if element != "其他" else amount,
                        date.fromisoformat(booked),
                        date.fromisoformat(sent),
                    ]
                )
            sheet.append([])
            sheet.append(["合计", None, f"=SUM(C3:C{len(rows) + 2})"])
        old = book.create_sheet("旧表")
        old.sheet_state = "hidden"
        if not self._rows:
            book.create_sheet("空").append(list(self._names))
        file = io.BytesIO()
        book.save(file)
        self._out.write(without_times(file.getvalue()))


def without_times(workbook: bytes) -> bytes:
    """The same workbook without the time at which it was written: equal content gives equal bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook)) as given, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as bare:
        for name in given.namelist():
            content = given.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"2026-09-01T00:00:00Z", content)
            bare.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    return made.getvalue()
