"""Dates that mean no date: a source writes 99991231 where nothing is given, and its contract says so (`parse: null(99991231)`).

They are null from the cast on. How many there were is said of the delivery: a sender that writes one by mistake shows by its number.
"""

from __future__ import annotations

from collections import Counter

import pyarrow.compute as pc

from jobs.arrival.records import Rows
from jobs.contracts.model import Table


def count_sentinels(rows: Rows, table: Table, notes: Counter[str]) -> None:
    """Notes each such text of dates and times; an empty value is none."""
    for name, column in table.columns.items():
        if column.type not in ("date", "timestamp") or not any(column.way.nulls):
            continue
        values = pc.ascii_trim(rows.columns[name], " ")
        for text in filter(None, column.way.nulls):
            if number := pc.sum(pc.equal(values, text)).as_py():
                notes[f"{text} in {name} meant nothing"] += number
