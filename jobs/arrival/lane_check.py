"""Does the file hold what its name says? System, branch and date of the header, branch and date of every row."""

from __future__ import annotations

import re
from datetime import date

import pyarrow.compute as pc

from jobs.arrival.errors import Refused
from jobs.arrival.naming import TAKE_ON, Lane
from jobs.arrival.records import Rows
from jobs.contracts.model import Table
from jobs.contracts.parse import FIELDS, places

# Columns that are known by their names.
BRANCH, DATE = "branch_id", "business_date"
REMEDY = "ask the sender for the file that belongs there"


class LaneCheck:
    """Checks a file against its lane, by the columns that the source names (`control`), else by those of the usual names. Take-on deliveries hold many branches and
    dates; streams' rows carry their own date, and corrections that of the row that they correct.
    """

    def __init__(self, lane: Lane, table: Table):
        self._lane = lane
        source, named = lane.source, lane.source.control
        owes_a_date = source.sender in ("branch", "head_office") and source.kind not in ("events", "correction")
        entity = named.entity or (BRANCH if source.sender == "branch" and BRANCH in table.columns else None)
        date_column = named.business_date or (DATE if owes_a_date and DATE in table.columns else None)
        has_one = lane.entity != TAKE_ON
        self._entity, self._date = (entity, date_column) if has_one else (None, None)
        column = table.columns[self._date] if self._date else None
        self._pattern = column.way.pattern if column and column.type == "date" else None

    def header(self, header: dict[str, str]) -> None:
        """Raises Refused(wrong_system, wrong_branch, wrong_date) for a header that differs from the file's name."""
        lane = self._lane
        system = header.get("system")
        if system and system.casefold() != lane.source.system.casefold():
            raise Refused(
                "wrong_system",
                f"The header names the system {system}. Expected {lane.source.system}, which sends {lane.feed}; "
                f"{REMEDY}.",
            )
        entity = header.get("entity")
        if entity and entity != lane.entity:
            raise Refused(
                "wrong_branch",
                f"The header names {entity}, the file's name {lane.entity}. Expected the same; {REMEDY}.",
            )
        stated = header.get("business_date")
        if stated and _digits(stated) != f"{lane.business_date:%Y%m%d}":
            raise Refused(
                "wrong_date",
                f"The header names the business date {stated}, the file's name {lane.business_date}. Expected the "
                f"same; {REMEDY}.",
            )

    def body(self, rows: Rows) -> None:
        """Raises Refused(wrong_branch, wrong_date) for the first row of another branch or date."""
        lane = self._lane
        if self._entity:
            for found in pc.unique(rows.columns[self._entity]).to_pylist():
                if found is not None and found.strip() != lane.entity:
                    where = _first(rows, self._entity, found)
                    whose = "branch " if lane.source.sender == "branch" else ""
                    raise Refused(
                        "wrong_branch",
                        f"Line {where} is of {whose}{found}. Expected rows of {lane.entity} only; {REMEDY}.",
                    )
        if self._date:
            for found in pc.unique(rows.columns[self._date]).to_pylist():
                # What is no date at all is that row's fault, and bronze rejects the row.
                said = _date(found, self._pattern)
                if said is not None and said != lane.business_date:
                    where = _first(rows, self._date, found)
                    raise Refused(
                        "wrong_date",
                        f"Line {where} is of business date {found}. Expected rows of {lane.business_date} only; "
                        f"{REMEDY}.",
                    )


def _date(text: str | None, pattern: str | None) -> date | None:
    """The date that a text says, as its column is written; None for what is none."""
    if text is None:
        return None
    if pattern is None:
        digits = _digits(text)
        return _calendar_date(digits[:4], digits[4:6], digits[6:]) if len(digits) == 8 else None
    parts, first_year = places(pattern)
    form = "".join(f"(?P<{p}>[0-9]{{{FIELDS[p]}}})" if p in FIELDS else re.escape(p) for p in parts)
    found = re.fullmatch(form, text.strip())
    if found is None:
        return None
    said = found.groupdict()
    year = said["yyyy"] if first_year is None else str(first_year + (int(said["yy"]) - first_year) % 100)
    return _calendar_date(year, said["MM"], said["dd"])


def _calendar_date(year: str, month: str, day: str) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _first(rows: Rows, column: str, value: str) -> int:
    return rows.lines[pc.index(rows.columns[column], value).as_py()].as_py()
