"""Does the file hold what its name says? System, branch and date of the header, branch and date of every row."""

from __future__ import annotations

import re

import pyarrow.compute as pc

from jobs.arrival.errors import Refused
from jobs.arrival.naming import TAKE_ON, Lane
from jobs.arrival.records import Rows

REMEDY = "ask the sender for the file that belongs there"


class LaneCheck:
    """Checks a file against its lane. Take-on deliveries hold many branches and dates; streams' rows carry their own
    date, and corrections that of the row that they correct.
    """

    def __init__(self, lane: Lane, columns: list[str]):
        self._lane = lane
        owes_a_lane = lane.source.sender in ("branch", "head_office") and lane.entity != TAKE_ON
        self._branch = owes_a_lane and lane.source.sender == "branch" and "branch_id" in columns
        self._date = owes_a_lane and lane.source.kind not in ("events", "correction") and "business_date" in columns

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
        if self._branch:
            for found in pc.unique(rows.columns["branch_id"]).to_pylist():
                if found is not None and found != self._lane.entity:
                    where = _first(rows, "branch_id", found)
                    raise Refused(
                        "wrong_branch",
                        f"Line {where} is of branch {found}. Expected rows of {self._lane.entity} only; {REMEDY}.",
                    )
        if self._date:
            expected = f"{self._lane.business_date:%Y%m%d}"
            for found in pc.unique(rows.columns["business_date"]).to_pylist():
                # What is no date at all is that row's fault, and bronze rejects the row.
                if found is not None and len(_digits(found)) == 8 and _digits(found) != expected:
                    where = _first(rows, "business_date", found)
                    raise Refused(
                        "wrong_date",
                        f"Line {where} is of business date {found}. Expected rows of {self._lane.business_date} only; "
                        f"{REMEDY}.",
                    )


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _first(rows: Rows, column: str, value: str) -> int:
    return rows.lines[pc.index(rows.columns[column], value).as_py()].as_py()
