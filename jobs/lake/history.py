"""What a batch of judged states changes in a table with history: worked out by DuckDB from the files of both, so that Spark merges the changed rows
and nothing else.

A run tells history anew from its first date on, for the keys that it touches: those that its states name, and those of which a row begins within the
run's dates or later (decision 0005).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from jobs.lake.tables import judged_table, schema_of

if TYPE_CHECKING:
    from jobs.contracts import Table
    from jobs.lake.tables import Lake

KEEP, DELETE = "keep", "delete"
STATEMENT = """
    with touched as (
        select {keys} from states union select {keys} from history where valid_from >= $first
    ), existing as (
        select h.* from history h semi join touched using ({keys})
    ), stated as (
        select {told} from states union all select {told} from existing where valid_from < $first
    ), opening as (
        select * from stated
        qualify lag(row_hash) over (partition by {keys} order by valid_from) is distinct from row_hash
    ), standing as (
        select *, lead(valid_from) over (partition by {keys} order by valid_from) as valid_to from opening
    ), changed as (
        select s.*, s.valid_to is null as is_current, '{keep}' as __op from standing s
        anti join existing e on {same} and e.row_hash = s.row_hash and e.valid_to is not distinct from s.valid_to
    ), gone as (
        select e.*, '{delete}' as __op from existing e anti join standing s on {same} where e.valid_from >= $first
    )
    select {columns}, __op from changed union all select {columns}, __op from gone
"""


def changes(lake: Lake, table: Table, batch: int, first: date, path: Path) -> int:
    """Write the rows of `table` that the accepted states of a batch change to a Parquet file, each with what becomes of it (`__op`: keep or delete);
    returns how many there are. A state equal to the one before it opens no row; states that tell the history that stands change nothing.
    """
    keys = ", ".join(f'"{key}"' for key in table.primary_key)
    columns = [f'"{column}"' for column in schema_of(table)]
    statement = STATEMENT.format(
        keys=keys,
        told=", ".join(c for c in columns if c not in ('"valid_to"', '"is_current"')),
        columns=", ".join(columns),
        same=" and ".join(f'e."{k}" is not distinct from s."{k}"' for k in [*table.primary_key, "valid_from"]),
        keep=KEEP,
        delete=DELETE,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as engine:
        engine.execute("set timezone = 'UTC'")
        engine.register("judged", lake.dataset(judged_table(table).table))
        engine.register("all_history", lake.dataset(table.table))
        engine.execute(
            f"create view states as select * from judged where batch = {int(batch)} and __verdict = 'accepted';"
            "create view history as select * from all_history where __verdict = 'accepted'"
        )
        found = engine.execute(f"create table changes as {statement}", {"first": first}).fetchone()
        count = int(found[0]) if found else 0
        if count:
            engine.execute(f"copy changes to '{str(path).replace(chr(39), chr(39) * 2)}' (format parquet)")
    return count
