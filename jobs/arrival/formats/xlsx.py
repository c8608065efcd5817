"""Workbooks of Excel: values only, one row below another under a line of names, of every sheet that is not hidden.

A column is found by its name in that line; `#sheet` is the sheet's own name. A number keeps the fifteen digits that Excel keeps; a number in a
column of dates is Excel's day number. A row is malformed, with the cell named, when a cell of it is merged with others, shows an error, or holds
a formula without a value. The line of a row is its row in the sheet, plus 1048576 for each sheet before it.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, BinaryIO, ClassVar

import pyarrow as pa

from jobs.arrival.drift import fit
from jobs.arrival.errors import Cut, Refused
from jobs.arrival.packed import check_zip
from jobs.arrival.records import Malformed, Rows, text_array
from jobs.contracts.column import Column
from jobs.contracts.formats import Sheets

SHEET_LINES = 1 << 20  # the most rows that a sheet has
SHEET = "#sheet"
LAST_DAY = 2_958_465  # 9999-12-31 as Excel counts days
DIGITS = 15
LONGEST_NAME = 40
AREA = re.compile(rb'<mergeCell [^>]*ref="([A-Z]{1,3})([0-9]{1,7}):([A-Z]{1,3})([0-9]{1,7})"')
MOST_MERGED = 100_000
MOST_BYTES = 256 << 20
MOST_CELLS = 20_000_000  # of all sheets: more is no workbook that people fill in


class Reader:
    seeks: ClassVar[bool] = True

    def __init__(self, stream: BinaryIO, fmt: Sheets, columns: Mapping[str, Column]):
        """`stream` must be able to seek: a workbook is an archive."""
        self.header: dict[str, str] = {}
        self.trailer: dict[str, str] = {}
        self.extra: list[str] = []
        self.lacking: list[str] = []
        self.notes: Counter[str] = Counter()
        self.ends_itself = True
        self._stream, self._fmt, self._columns = stream, fmt, columns
        self._wanted = {name: column.source or name for name, column in columns.items()}

    def __iter__(self) -> Generator[Rows]:
        values = _open(self._stream, formulas=False)
        written = _open(self._stream, formulas=True)
        missing = [name for name in self._fmt.sheets if name not in values.sheetnames]
        if missing:
            raise Refused(
                "sheet_missing",
                f"The workbook has no sheet {', '.join(missing)}; it has {', '.join(values.sheetnames)}. Expected all declared "
                "sheets; ask the sender for them.",
            )
        hidden = [
            sheet.title
            for sheet in values.worksheets
            if sheet.title in self._fmt.sheets and sheet.sheet_state != "visible"
        ]
        if hidden:
            raise Refused(
                "sheet_hidden",
                f"The sheet {', '.join(hidden)} is hidden. Expected declared sheets to be seen: show it, or take it out of the source, and send the workbook again.",
            )
        for number, sheet in enumerate(values.worksheets):
            if self._fmt.sheets and sheet.title not in self._fmt.sheets:
                self.notes[f"sheet {sheet.title} is not declared and was not read"] += 1
            elif sheet.sheet_state != "visible":
                self.notes[f"hidden sheet {sheet.title} was not read"] += 1
            else:
                yield self._sheet(sheet, written[sheet.title], number * SHEET_LINES, values.epoch)

    def _sheet(self, sheet: Any, written: Any, before: int, epoch: datetime) -> Rows:
        from openpyxl.utils import column_index_from_string

        first = column_index_from_string(self._fmt.first_column)
        places = self._places(sheet, first)
        areas = list(sheet.merged_cells.ranges)
        lines: list[int] = []
        rows: list[list[str | None]] = []
        malformed: list[Malformed] = []
        last = sheet.max_row
        for at in range(self._fmt.names_in + 1, last + 1):
            cells = {name: sheet.cell(at, place) if place else None for name, place in places.items()}
            given = [c for c in cells.values() if c is not None and c.value is not None]
            here = [area for area in areas if area.min_row <= at <= area.max_row]
            if not given and not any(
                area.min_col <= place <= area.max_col for area in here for place in places.values() if place
            ):
                if self._fmt.until == "blank":
                    self._below(sheet, at, last)
                    break
                continue
            why = next(
                (w for n, c in cells.items() if c is not None and (w := _wrong(c, self._columns[n], written, here))), ""
            )
            texts = [
                _text(c.value, self._columns[name], epoch)
                if c is not None
                else sheet.title
                if places[name] == 0
                else None
                for name, c in cells.items()
            ]
            if why:
                malformed.append(Malformed(before + at, f"sheet {sheet.title}, {why}", repr(texts).encode()))
            else:
                lines.append(before + at)
                rows.append(texts)
        columns = {name: text_array([row[i] for row in rows]) for i, name in enumerate(self._wanted)}
        return Rows(pa.array(lines, pa.int64()), columns, malformed)

    def _places(self, sheet: Any, first: int) -> dict[str, int | None]:
        """Column of the sheet by column of the contract; 0 for the sheet's own name, None where the sheet has no such column."""
        line = next(sheet.iter_rows(min_row=self._fmt.names_in, max_row=self._fmt.names_in, min_col=first), ())
        found: dict[str, int] = {}
        for cell in line:
            name = str(cell.value).strip() if cell.value is not None else ""
            if name in found:
                raise Refused(
                    "column_twice",
                    f"Sheet {sheet.title} names the column {name!r} twice ({cell.coordinate}). Expected each once; correct the "
                    "workbook and send it again.",
                )
            if name:
                found[name] = cell.column
        of_cells = {name: source for name, source in self._wanted.items() if source != SHEET}
        where = f"Row {self._fmt.names_in} of sheet {sheet.title}"
        fitted = fit(of_cells, self._columns, list(found), self._fmt.drift, where)
        self.extra += [n for n in fitted.added if n not in self.extra]
        self.lacking += [n for n in fitted.lacking if n not in self.lacking]
        places = {name: found[source] for name, source in of_cells.items() if name not in fitted.lacking}
        return {name: 0 if source == SHEET else places.get(name) for name, source in self._wanted.items()}

    def _below(self, sheet: Any, at: int, last: int) -> None:
        left = sum(any(cell.value is not None for cell in row) for row in sheet.iter_rows(min_row=at, max_row=last))
        if left:
            self.notes[f"rows below the table of sheet {sheet.title} that were not read"] += left


def column_names(stream: BinaryIO, fmt: Sheets) -> list[str]:
    """All texts that may be names, of every sheet, wherever they stand: a sheet that is not asked for has its own line of names."""
    book = _open(stream, formulas=False)
    return sorted(
        {
            cell.value
            for sheet in book.worksheets
            for row in sheet.iter_rows()
            for cell in row
            if isinstance(cell.value, str) and len(cell.value) <= LONGEST_NAME
        }
    )


def _open(stream: BinaryIO, *, formulas: bool) -> Any:
    import openpyxl

    stream.seek(0, 2)
    size = stream.tell()
    stream.seek(0)
    starts_right = stream.read(4) == b"PK\3\4"
    if not starts_right:
        raise Refused(
            "bad_xlsx",
            "The file does not begin as a workbook does (PK). Expected .xlsx; save it in that format and send it again.",
        )
    try:
        with zipfile.ZipFile(stream) as archive:
            check_zip(archive, size)
            _check_areas(archive)
    except zipfile.BadZipFile as error:
        raise Cut(
            f"The workbook ends after {size} bytes without its directory. Expected a whole file; send it again."
        ) from error
    stream.seek(0)
    try:
        book = openpyxl.load_workbook(stream, data_only=not formulas)
        cells = sum(sheet.max_row * sheet.max_column for sheet in book.worksheets)
        if cells > MOST_CELLS:
            raise Refused(
                "bomb",
                f"The workbook has {cells} cells. Expected at most {MOST_CELLS}; delete empty rows and columns, or send the data as text.",
            )
        return book
    except Refused:
        raise
    except Exception as error:  # openpyxl raises whatever its parsers do
        raise Refused(
            "bad_xlsx",
            f"The workbook does not read: {error}. Expected .xlsx; open and save it in Excel, and send it again.",
        ) from error


def _check_areas(archive: zipfile.ZipFile) -> None:
    """The library makes a cell of each place in a merged area, and of each row up to the last styled one: looked at before it is let loose."""
    for entry in archive.infolist():
        if not entry.filename.startswith("xl/worksheets/"):
            continue
        if entry.file_size > MOST_BYTES:
            raise Refused(
                "bomb",
                f"{entry.filename} of the workbook has {entry.file_size} bytes. Expected at most {MOST_BYTES}; send such data as text or Parquet.",
            )
        merged = 0
        for found in AREA.finditer(archive.read(entry)):
            columns = [_column(found[n]) for n in (1, 3)]
            merged += (abs(columns[1] - columns[0]) + 1) * (abs(int(found[4]) - int(found[2])) + 1)
        if merged > MOST_MERGED:
            raise Refused(
                "bomb",
                f"{merged} cells of {entry.filename} are merged. Expected at most {MOST_MERGED}; take the merging out and send the workbook again.",
            )


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _wrong(cell: Any, column: Column, written: Any, areas: Sequence[Any]) -> str:
    """What is wrong with a cell, by its name. `areas`: merged ones of its row."""
    area = next((one for one in areas if one.min_col <= cell.column <= one.max_col), None)
    if area:
        return f"cell {cell.coordinate} is merged with others ({area}): whose value is it?"
    if cell.data_type == "e":
        return f"cell {cell.coordinate} shows {cell.value}"
    if cell.value is None and written.cell(cell.row, cell.column).data_type == "f":
        return f"cell {cell.coordinate} holds a formula without a value: open and save the workbook in Excel"
    if column.type == "string" and isinstance(cell.value, float) and abs(cell.value) >= 10**DIGITS:
        return f"cell {cell.coordinate} holds a number of more than {DIGITS} digits, of which Excel keeps no more: type it as text"
    return ""


def _text(value: Any, column: Column, epoch: datetime) -> str | None:
    from openpyxl.utils.datetime import from_excel

    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if (
        isinstance(value, int | float)
        and column.type in ("date", "timestamp")
        and column.parse is None
        and 1 <= value <= LAST_DAY
    ):
        with suppress(ValueError, OverflowError):  # a number that is no day stays a number, and is rejected as one
            value = from_excel(value, epoch)
    if isinstance(value, float):
        return f"{Decimal(f'{value:.{DIGITS}g}'):f}"
    if isinstance(value, datetime):
        return (
            value.date().isoformat() if value.time() == time() and column.type == "date" else value.isoformat(sep="T")
        )
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value).strip() or None
