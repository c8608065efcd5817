"""Workbooks as people fill them in: numbers as text, merged cells, formulas, hidden sheets, dates that are numbers."""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.arrival.errors import Cut, Refused
from jobs.arrival.formats.xlsx import SHEET_LINES, Reader, column_names
from jobs.contracts.column import Column
from jobs.contracts.formats import Sheets

COSTS = {"element": "string", "amount": "decimal(18,2)", "booked_on": "date", "outlet": "string"}
FROM = {"element": "费用", "amount": "金额", "booked_on": "日期", "outlet": "#sheet"}
NAMES = ["费用", "金额", "日期"]


def book(**sheets: list[list[Any]]) -> openpyxl.Workbook:
    """A workbook whose sheets hold these rows under the line of names."""
    made = openpyxl.Workbook()
    made.remove(made.active)
    for title, rows in sheets.items():
        sheet = made.create_sheet(title)
        for row in [NAMES, *rows]:
            sheet.append(row)
    return made


def raw(made: openpyxl.Workbook) -> bytes:
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def read(
    content: bytes, types: dict[str, str] = COSTS, **options: Any
) -> tuple[list[tuple[Any, ...]], list[tuple[int, str]], Reader]:
    columns = {
        n: Column.model_validate({"type": t, "classification": "C1/2", "from": FROM.get(n, n)})
        for n, t in types.items()
    }
    reader = Reader(io.BytesIO(content), Sheets.model_validate({"kind": "xlsx", **options}), columns)
    good: list[tuple[Any, ...]] = []
    bad: list[tuple[int, str]] = []
    for part in reader:
        good += zip(part.lines.to_pylist(), *(part.columns[n].to_pylist() for n in types), strict=True)
        bad += [(m.line, m.why) for m in part.malformed]
    return good, bad, reader


def test_one_sheet_per_outlet() -> None:
    made = book(
        b01=[["租金", 12000.5, datetime(2026, 9, 30)], ["水电", "830.10", "2026-09-30"]],
        b02=[["租金", 9000, 46295], [None, None, None], ["合计", 9000, None]],
    )
    good, bad, reader = read(raw(made))
    assert bad == []
    assert good == [
        (2, "租金", "12000.5", "2026-09-30", "b01"),
        (3, "水电", "830.10", "2026-09-30", "b01"),
        (SHEET_LINES + 2, "租金", "9000", "2026-09-30", "b02"),  # Excel's day 46295
    ]
    assert dict(reader.notes) == {"rows below the table of sheet b02 that were not read": 1}


def test_hidden_sheets_are_not_read_and_it_is_said() -> None:
    made = book(b01=[["租金", 1, None]], old=[["租金", 2, None]])
    made["old"].sheet_state = "hidden"
    good, _, reader = read(raw(made))
    assert [row[2] for row in good] == ["1"]
    assert dict(reader.notes) == {"hidden sheet old was not read": 1}


def test_a_declared_sheet_that_is_hidden_is_refused() -> None:
    made = book(b01=[["租金", 1, None]], b02=[["租金", 2, None]])
    made["b02"].sheet_state = "hidden"
    with pytest.raises(Refused, match="The sheet b02 is hidden"):
        read(raw(made), sheets=["b01", "b02"])


def test_an_area_that_would_fill_the_memory_is_refused() -> None:
    sheet = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData/><mergeCells><mergeCell ref="C1:G100000"/></mergeCells></worksheet>'
    with pytest.raises(Refused, match=r"500000 cells of xl/worksheets/sheet1\.xml are merged"):
        read(_zip({"xl/worksheets/sheet1.xml": sheet}))


def test_a_number_that_is_no_day_stays_a_number() -> None:
    made = book(b01=[["租金", 1, 2958465]])
    made.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
    good, _, _ = read(raw(made))
    assert good[0][3] == "2958465"


def test_what_excel_shows_is_what_is_read() -> None:
    good, _, _ = read(
        raw(book(b01=[["a", 0.1 + 0.2, None], ["b", 1234567.89, None], ["c", 1e15, None], ["d", -0.005, None]]))
    )
    assert [row[2] for row in good] == ["0.3", "1234567.89", "1000000000000000", "-0.005"]


def test_cells_that_cannot_be_trusted_are_named() -> None:
    made = book(
        b01=[
            ["租金", 1, None],
            ["水电", 2, None],
            ["物业", "=B2+B3", None],
            ["人工", "#DIV/0!", None],
            ["其他", 5, None],
        ]
    )
    made["b01"].merge_cells("B2:B3")
    made["b01"]["B5"].data_type = "e"
    good, bad, _ = read(raw(made))
    assert [row[1] for row in good] == ["其他"]
    assert bad == [
        (2, "sheet b01, cell B2 is merged with others (B2:B3): whose value is it?"),
        (3, "sheet b01, cell B3 is merged with others (B2:B3): whose value is it?"),
        (4, "sheet b01, cell B4 holds a formula without a value: open and save the workbook in Excel"),
        (5, "sheet b01, cell B5 shows #DIV/0!"),
    ]


def test_an_account_number_that_excel_took_for_a_number_is_named() -> None:
    """Of 6222021234567890123 it keeps 622202123456789 and writes zeros behind: the account of somebody else."""
    made = book(b01=[[6222021234567890123, 1, None], ["6222021234567890123", 2, None], [622202123456789, 3, None]])
    good, bad, _ = read(raw(made))
    assert [row[1] for row in good] == ["6222021234567890123", "622202123456789"]
    assert bad == [
        (2, "sheet b01, cell A2 holds a number of more than 15 digits, of which Excel keeps no more: type it as text")
    ]


def test_a_table_that_begins_elsewhere() -> None:
    made = openpyxl.Workbook()
    made.active.title = "b01"
    for place, value in {
        "A1": "Costs of September",
        "B3": "费用",
        "C3": "金额",
        "D3": "日期",
        "B4": "租金",
        "C4": 5,
    }.items():
        made.active[place] = value
    made.active.merge_cells("A1:D1")
    good, bad, _ = read(raw(made), namesIn=3, firstColumn="B")
    assert (good, bad) == ([(4, "租金", "5", None, "b01")], [])


def test_columns_are_found_by_name() -> None:
    made = openpyxl.Workbook()
    made.active.append(["日期", "备注", "金额", "费用"])
    made.active.append([date(2026, 9, 1), "x", 3, "租金"])
    good, _, reader = read(raw(made))
    assert good == [(2, "租金", "3", "2026-09-01", "Sheet")]
    assert reader.extra == ["备注"]
    made.active["A1"] = "Date"
    with pytest.raises(
        Refused,
        match=r"Row 1 of sheet Sheet names Date, 备注, 金额, 费用\. Expected the columns of the contract: 费用, 金额, 日期\. Missing: 日期\.",
    ) as refusal:
        read(raw(made))
    assert refusal.value.cause == "column_removed"
    made.active["A1"] = "金额"
    with pytest.raises(Refused, match=r"names the column '金额' twice \(C1\)"):
        read(raw(made))
    with pytest.raises(Refused, match="has no sheet b09; it has Sheet"):
        read(raw(made), sheets=["b09"])


def test_a_workbook_that_is_none() -> None:
    content = raw(book(b01=[["租金", 1, None]]))
    with pytest.raises(Cut, match="ends after"):
        read(content[: len(content) // 2])
    with pytest.raises(Refused, match="does not begin as a workbook"):
        read(b"a;b\n1;2\n")
    with pytest.raises(Refused, match="does not read"):
        read(_zip({"readme.txt": b"no workbook"}))


def test_a_workbook_made_to_burst_is_refused() -> None:
    with pytest.raises(Refused, match="to 1 and 64 GiB in all") as refusal:
        read(_zip({"xl/worksheets/sheet1.xml": b"0" * (80 << 20)}))
    assert refusal.value.cause == "bomb"


def test_names_are_known_before_anything_is_kept() -> None:
    made = book(b01=[], b02=[])
    made["b02"]["D3"] = "cvv2"  # a sheet with lines of its own
    assert "cvv2" in column_names(io.BytesIO(raw(made)), Sheets.model_validate({"kind": "xlsx"}))


cells = st.one_of(
    st.integers(-(10**9), 10**9),
    st.decimals(-99999, 99999, places=2, allow_nan=False),
    st.text("租金水电AB12 .", min_size=1, max_size=6).map(str.strip).filter(bool),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(cells, cells), max_size=6))
def test_what_was_written_is_read_back(table: list[tuple[Any, Any]]) -> None:
    made = book(b01=[[a, b] for a, b in table])
    good, bad, _ = read(raw(made), {"element": "string", "amount": "string"})
    assert bad == []
    assert [(_same(a), _same(b)) for _, a, b in good] == [(_same(a), _same(b)) for a, b in table]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_never_crash_it(content: bytes, in_zip: bool) -> None:
    with pytest.raises(Refused):
        read(_zip({"xl/workbook.xml": content, "[Content_Types].xml": content}) if in_zip else content)


def _same(value: Any) -> Any:
    try:
        return float(value)
    except ValueError:
        return value


def _zip(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()
