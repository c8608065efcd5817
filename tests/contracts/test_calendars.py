"""Calendars: a day that is not in one is not guessed, and what cannot be read is told with its line."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from jobs.contracts import ContractError, load
from tests.contracts.house import change, only


def test_a_calendar_that_does_not_cover_a_day_is_not_guessed(root: Path) -> None:
    catalog = load("tiny", root)
    assert catalog.is_business_day(date(2026, 9, 14), "work")
    assert not catalog.is_business_day(date(2026, 9, 19), "work")
    assert catalog.is_business_day(date(2099, 1, 1), "every_day")
    with pytest.raises(ContractError) as error:
        catalog.is_business_day(date(2027, 1, 1), "work")
    [found] = error.value.mistakes
    assert found.file == root / "reference/calendars/work.csv"
    assert "does not cover 2027-01-01" in found.found
    assert "2027" in found.remedy


def test_a_calendar_line_that_is_no_date_is_told(root: Path) -> None:
    change(root, "reference/calendars/work.csv", "2026-09-19,false", "2026-09-19,maybe")
    found = only(root)
    assert (found.file.name, found.line) == ("work.csv", 3)
    assert "'maybe' is neither true nor false" in found.found


# Bytes of a calendar, the line told, what is found, remedy.
CALENDARS = {
    "of another encoding": ("calendar_date,is_working_day,holiday\n2026-09-14,true,\n2026-10-01,false,国庆节\n".encode("gbk"), 3, "not UTF-8", "Save the file as UTF-8"),
    "of UTF-16": ("calendar_date,is_working_day\n2026-09-14,true\n".encode("utf-16"), 1, "not UTF-8", "Save the file as UTF-8"),
    "with another heading": (b"date,is_working_day\n2026-09-14,true\n", 1, "the heading 'date,is_working_day' has no calendar_date", "Columns are calendar_date"),
    "parted by another character": (b"calendar_date;is_working_day\n2026-09-14;true\n", 1, "has no calendar_date", "parted by commas"),
    "without a line": (b"", 1, "the heading '' has no calendar_date", "Columns are calendar_date"),
    "with a NUL": (b"calendar_date,is_working_day\n2026-09-14,true\n\0,true\n", 3, "", "Columns are calendar_date"),
}  # fmt: skip


@pytest.mark.parametrize("case", CALENDARS)
def test_a_calendar_that_cannot_be_read_is_told(root: Path, case: str) -> None:
    written, line, words, remedy = CALENDARS[case]
    (root / "reference/calendars/work.csv").write_bytes(written)
    found = only(root)
    assert (found.file, found.line) == (root / "reference/calendars/work.csv", line)
    assert words in found.found
    assert remedy in found.remedy


def test_a_calendar_as_excel_saves_it_is_read(root: Path) -> None:
    calendar = root / "reference/calendars/work.csv"
    calendar.write_bytes(calendar.read_text("utf-8").replace("\n", "\r\n").encode("utf-8-sig"))
    assert load("tiny", root).is_business_day(date(2026, 9, 14), "work")
