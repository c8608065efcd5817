"""Columns of which nobody said that they identify a person, and whose values look as if they did: they would stand in the lake in clear (G7)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from jobs.arrival.records import Rows
from jobs.contracts.model import Table
from jobs.privacy.kinds import MOBILE, id_number

IN_CLEAR = "in_clear"  # kind of the alert; its key is the kind, the feed and the column, parted by `|`
LOOKED_AT = 200  # values of a column, of the first rows of a file
FEWEST = 5
SHARE = 0.8  # of them that look so; a number that only happens to fit is one in ten or fewer
WITH_CHECK_CHARACTER = ("resident_id", "uscc")


def _is_id_number(text: str, as_of: date) -> bool:
    found = id_number(text, as_of)
    return found.valid and found.derived["kind"] in WITH_CHECK_CHARACTER


LOOKS: dict[str, Callable[[str, date], bool]] = {
    "id_number": _is_id_number,
    "phone": lambda text, _: bool(MOBILE.match(text)),
    "email": lambda text, _: text.count("@") == 1 and "." in text.rpartition("@")[2],
}


def look_for_identifiers(rows: Rows, table: Table, as_of: date) -> dict[str, str]:
    """Column -> kind of identifier that its first values look like; columns that identify, and free text, are as they should be."""
    found: dict[str, str] = {}
    for name, column in table.columns.items():
        if column.type != "string" or column.identifies or column.free_text:
            continue
        values = [text.strip() for text in rows.columns[name].slice(0, LOOKED_AT).to_pylist() if text and text.strip()]
        if len(values) >= FEWEST:
            for kind, fits in LOOKS.items():
                if sum(fits(text, as_of) for text in values) >= SHARE * len(values):
                    found[name] = kind
    return found
