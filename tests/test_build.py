"""When a table with history need not be merged: exactly when the judged states tell the history that stands."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from jobs.build import _says_nothing_new
from jobs.contracts import load
from jobs.lake import Lake
from jobs.lake.tables import judged_table

PRODUCTS = load("demo").tables["silver.products"]
MONDAY, TUESDAY, WEDNESDAY = date(2026, 9, 14), date(2026, 9, 15), date(2026, 9, 16)
BATCH = 7


def says_nothing_new(folder: Path, history: list[tuple[Any, ...]], states: list[tuple[Any, ...]]) -> bool:
    """`history`: key, valid_from, valid_to, hash. `states`: key, valid_from, hash, verdict, all of Tuesday's run."""
    lake = Lake(folder)
    (key,) = PRODUCTS.primary_key
    days, text = pa.date32(), pa.string()
    kept = pa.schema([(key, text), ("valid_from", days), ("valid_to", days), ("row_hash", text), ("__verdict", text)])
    told = pa.schema(
        [(key, text), ("valid_from", days), ("row_hash", text), ("__verdict", text), ("batch", pa.int64())]
    )
    rows = [[*row, "accepted"] for row in history]
    write_deltalake(lake.path(PRODUCTS.table), _table(kept, rows))
    write_deltalake(lake.path(judged_table(PRODUCTS).table), _table(told, [[*state, BATCH] for state in states]))
    return _says_nothing_new(SimpleNamespace(lake=lake), SimpleNamespace(first=TUESDAY), PRODUCTS, BATCH)  # type: ignore[arg-type]


def _table(schema: pa.Schema, rows: list[list[Any]]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


OPEN = ("loan", MONDAY, None, "a")


@pytest.mark.parametrize(
    ("history", "states", "expected"),
    [
        ([OPEN], [("loan", TUESDAY, "a", "accepted")], True),  # said again
        ([OPEN], [], True),  # not spoken of: an increment
        ([OPEN], [("loan", TUESDAY, "b", "accepted")], False),  # changed
        ([OPEN], [("loan", TUESDAY, "b", "rejected")], True),  # changed, but rejected
        ([OPEN], [("card", TUESDAY, "a", "accepted")], False),  # new
        # As it was before the last change: going back is a change.
        ([("loan", MONDAY, TUESDAY, "a"), ("loan", TUESDAY, None, "b")], [("loan", TUESDAY, "a", "accepted")], False),
        # Tuesday told again, as it stands; and with the state of Tuesday gone.
        ([("loan", MONDAY, TUESDAY, "a"), ("loan", TUESDAY, None, "b")], [("loan", TUESDAY, "b", "accepted")], True),
        ([("loan", MONDAY, TUESDAY, "a"), ("loan", TUESDAY, None, "b")], [], False),
        # Two states of which the later one goes back.
        ([OPEN], [("loan", TUESDAY, "b", "accepted"), ("loan", WEDNESDAY, "a", "accepted")], False),
        ([], [("loan", TUESDAY, "a", "accepted")], False),  # the first of all
    ],
)  # fmt: skip
def test_nothing_is_merged_exactly_when_nothing_is_new(
    tmp_path: Path, history: list[tuple[Any, ...]], states: list[tuple[Any, ...]], expected: bool
) -> None:
    assert says_nothing_new(tmp_path, history, states) is expected
