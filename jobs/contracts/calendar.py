"""A bank's calendar, `expectations/reference/calendars/<name>.csv`: which dates are worked, and why one is not.

Columns: calendar_date (YYYY-MM-DD), is_working_day (true or false) and, where somebody wants to know why, holiday: the name of the holiday, or of the one
for which a weekend is worked.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from jobs.contracts.errors import ContractError, Mistake

SATURDAY = 5
# People are told so long before a calendar ends. The official days of a year are published in the November before it.
NOTICE = timedelta(days=31)


@dataclass(frozen=True)
class CalendarDay:
    day: date
    is_working_day: bool
    holiday: str | None = None

    @property
    def told(self) -> str:
        """The day as an operator reads it: "working day", "weekend", "National Day", "working weekend (National Day)"."""
        is_weekend = self.day.weekday() >= SATURDAY
        if self.is_working_day:
            return ("working weekend" if is_weekend else "working day") + (f" ({self.holiday})" if self.holiday else "")
        return self.holiday or ("weekend" if is_weekend else "no working day")


@dataclass(frozen=True)
class CalendarEnd:
    """A calendar that knows nothing of a day that is near: `missing`, the first of those."""

    name: str
    missing: date
    path: Path

    @property
    def told(self) -> str:
        """Who is kept waiting by it, and what to add where."""
        header, *lines = self.path.read_text(encoding="utf-8-sig").splitlines() if self.path.is_file() else [""]
        form = f", a line a day as those that are there ({header}; the last is {lines[-1]})" if lines else ""
        return (
            f"The calendar {self.name} knows nothing of {self.missing}: from that day on nobody can say who owes what, and no day is told. Add the official days of "
            f"{self.missing.year} to {self.path}{form}."
        )


def read_calendar(path: Path) -> dict[date, CalendarDay]:
    """Raises ContractError naming the first line that is not a date with true or false."""
    days: dict[date, CalendarDay] = {}
    remedy = "Columns are calendar_date (YYYY-MM-DD) and is_working_day (true or false)"

    try:
        text = path.read_bytes().decode("utf-8-sig")  # as Excel saves it too
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _wrong(path, line, f"not UTF-8: {error.reason}", "Save the file as UTF-8") from error
    rows = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for missing in [name for name in ("calendar_date", "is_working_day") if name not in (rows.fieldnames or ())]:
            heading = ",".join(rows.fieldnames or ())
            raise _wrong(path, 1, f"the heading {heading!r} has no {missing}", f"{remedy}, parted by commas")
        for number, row in enumerate(rows, 2):
            day, working = row.get("calendar_date"), row.get("is_working_day")
            try:
                parsed = date.fromisoformat(day or "")
            except ValueError as error:
                raise _wrong(path, number, f"calendar_date {day!r} is not a date", remedy) from error
            if working not in ("true", "false"):
                raise _wrong(
                    path, number, f"is_working_day {working!r} is neither true nor false", "Write true or false"
                )
            if parsed in days:
                raise _wrong(path, number, f"{parsed} is given twice", "Keep one of the two")
            days[parsed] = CalendarDay(parsed, working == "true", row.get("holiday") or None)
    except csv.Error as error:
        raise _wrong(path, rows.line_num, f"not readable as CSV: {error}", remedy) from error
    return days


def _wrong(path: Path, line: int, found: str, remedy: str) -> ContractError:
    return ContractError([Mistake(path, line, found, remedy)])
