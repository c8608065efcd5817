"""B6: dates that mean no date are counted on the delivery."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pyarrow as pa

from jobs.arrival.records import Rows
from jobs.arrival.sentinels import count_sentinels
from jobs.contracts.model import Table
from tests.arrival.conftest import DAY, MOVEMENTS, PLAIN, Bank, bronze, movements

NAME = f"CORE_b01_TXN_{DAY}_1.txt"


def closed(kind: str, parse: str) -> Table:
    """The movements, whose last column says when something ended."""
    columns: dict[str, list[Any]] = {name: words for name, words in MOVEMENTS.items() if name != "remark"}
    return bronze(
        "movements", ["journal_no"], columns | {"closed_on": [kind, {**PLAIN, "parse": parse}]}, money="amount"
    )


def noted(kind: str, parse: str, *values: str | None) -> dict[str, int]:
    table, notes = closed(kind, parse), Counter[str]()
    text = pa.array(values, pa.string())
    count_sentinels(Rows(pa.array(range(len(values))), dict.fromkeys(table.columns, text)), table, notes)
    return dict(notes)


def test_dates_that_mean_none_are_counted_on_the_delivery(bank: Bank) -> None:
    known = replace(bank.catalog, tables={**bank.catalog.tables, "bronze.movements": closed("date", "yyyyMMdd null(00000000,99991231)")})  # fmt: skip
    ends = ["99991231", "20260915", "99991231", "00000000", "", "99991231"]
    bank.send("movements", movements(*((str(n), "1.00", end) for n, end in enumerate(ends))), NAME)
    (landed,) = replace(bank, catalog=known).land()
    assert landed.state == "verified"
    assert landed.reason == "00000000 in closed_on meant nothing; 99991231 in closed_on meant nothing: 3"


def test_spaces_beside_it_are_no_other_text_and_an_empty_value_is_no_date() -> None:
    assert noted("date", "yyyyMMdd null(99991231)", " 99991231", "99991231  ", "", None, "9999123") == {
        "99991231 in closed_on meant nothing": 2
    }
    assert noted("timestamp", "epoch_ms null(-1)", "-1", "0") == {"-1 in closed_on meant nothing": 1}


def test_nothing_is_said_of_other_columns_and_of_empty_texts() -> None:
    assert noted("string", "null(99991231)", "99991231") == {}
    assert noted("date", "yyyyMMdd null()", "", None) == {}
    assert noted("date", "yyyyMMdd", "99991231") == {}
