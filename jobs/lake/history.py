"""What a batch of judged states changes in a table with history: worked out by DuckDB from the files of both, which then writes anew the files that
hold a changed row, and no others.

A run tells history anew from its first date on, for the keys that it touches: those that its states name, and those of which a row begins within the
run's dates or later (decision 0005).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from jobs.lake.tables import judged_table, paths, schema_of

if TYPE_CHECKING:
    from jobs.contracts import Table
    from jobs.lake.tables import Lake, Stamp

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


# What stays keeps all that the table has of it: columns that a contract has dropped, too. Files of before a column was added lack it; the changes have all
# columns of the contract.
REWRITE = """
    create view standing as select * from
        read_parquet([{files}], union_by_name = true, filename = '__file', hive_partitioning = false);
    create table touched as select distinct __file from standing e where __file <> {changes}
        and exists (select 1 from read_parquet({changes}) c where {same});
    copy (
        select * exclude (__file, __op) from standing e where __file in (select __file from touched)
            and not exists (select 1 from read_parquet({changes}) c where {same})
        union all by name select {columns} from read_parquet({changes}) where __op = '{keep}'
    ) to {target} (format parquet)
"""


def merge(lake: Lake, table: Table, stamp: Stamp, first: date) -> int:
    """Bring a table with history to what the accepted states of a batch say from the date `first` on, as one commit; returns how many rows that
    changed. No change, no commit. Raises WrittenMeanwhile when another run has written to the table in between.
    """
    scratch = lake.scratch(stamp)
    try:
        live = lake.live(table)
        if lake.is_done(live, table, stamp):
            return 0
        count = changes(lake, table, stamp.batch_id, first, scratch, live.version())
        if count:
            folder = lake.new_folder(table, stamp)
            folder.mkdir()
            replaced = _rewrite(lake.path(table.table), paths(live), table, scratch, folder / "part-0.parquet")
            lake.commit(live, table, stamp, folder, replaced, is_alone=True)
        return count
    finally:
        scratch.unlink(missing_ok=True)


def _rewrite(root: str, live: list[str], table: Table, changed: Path, target: Path) -> list[str]:
    """Write the rows of the files in which something changes as they stand after it, and the new ones, to one file; returns those files."""
    listed = {f"{root}/{path}": path for path in live}
    with duckdb.connect() as engine:
        engine.execute("set timezone = 'UTC'")
        engine.execute(
            REWRITE.format(
                files=", ".join(_text(file) for file in [*listed, str(changed)]),
                changes=_text(str(changed)),
                target=_text(str(target)),
                columns=", ".join(f'"{column}"' for column in schema_of(table)),
                same=" and ".join(f'e."{k}" is not distinct from c."{k}"' for k in [*table.primary_key, "valid_from"]),
                keep=KEEP,
            )
        )
        return [listed[name] for (name,) in engine.execute("select __file from touched order by __file").fetchall()]


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def changes(lake: Lake, table: Table, batch: int, first: date, path: Path, version: int | None = None) -> int:
    """Write the rows of `table` that the accepted states of a batch change to a Parquet file, each with what becomes of it (`__op`: keep or delete);
    returns how many there are. `version`: of the history, the newest when None. A state equal to the one before it opens no row; states that tell the history that stands change nothing.
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
        engine.register("judged", lake.dataset(judged_table(table).table, within={"batch": (batch, batch)}))
        engine.register("all_history", lake.dataset(table.table, version))
        engine.execute(
            f"create view states as select * from judged where batch = {int(batch)} and __verdict = 'accepted';"
            "create view history as select * from all_history where __verdict = 'accepted'"
        )
        found = engine.execute(f"create table changes as {statement}", {"first": first}).fetchone()
        count = int(found[0]) if found else 0
        if count:
            engine.execute(f"copy changes to {_text(str(path))} (format parquet)")
    return count
