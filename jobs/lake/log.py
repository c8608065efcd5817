"""Delta's log, written from Python: Spark and DuckDB write Parquet files below a table, and one commit here makes rows of them.

A commit by Spark's own Delta takes half a second of its processor time, however few the rows: it plans queries over the log, and gathers the
extremes that the files' footers hold anyway (decision 0013).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deltalake import DeltaTable, Schema
    from deltalake.transaction import AddAction
    from pyarrow.parquet import FileMetaData

# Delta's own length: what is longer is cut for a minimum, and has no maximum.
LONGEST_TEXT = 32
COMMIT_RETRIES = 15
SPARK_NAMES = {"long": "bigint", "integer": "int"}
DELTA_NAMES = {spark: delta for delta, spark in SPARK_NAMES.items()}


class SchemaDiffers(Exception):
    """A live table is not as its contract says, or rows are not as the table: nothing was committed."""


class WrittenMeanwhile(Exception):
    """Another run has written to the table since this one looked at it: nothing was committed, and the step may be run again."""


def schema(columns: Mapping[str, str]) -> Schema:
    """Delta's schema of columns in Spark's types; every column may be null, what must be there is a rule of its gate."""
    from deltalake import Schema

    return Schema.from_json(json.dumps(_struct(columns.items())))


def columns(live: DeltaTable) -> dict[str, str]:
    """The columns of a live table, in Spark's types without spaces."""
    return columns_of(live.schema())


def columns_of(declared: Schema) -> dict[str, str]:
    """The same of a schema."""
    return {field["name"]: type_name(field["type"]) for field in json.loads(declared.to_json())["fields"]}


def differences(wanted: Mapping[str, str], live: Mapping[str, str]) -> list[str]:
    """What a live table has otherwise, or not at all, of these columns and types."""
    return [
        f"{name} {kind} (in the table: {live.get(name, 'no such column')})"
        for name, kind in wanted.items()
        if live.get(name) != kind
    ]


def type_name(kind: Any) -> str:
    """A type of Delta's schema JSON in Spark's words, without spaces."""
    if isinstance(kind, str):
        return SPARK_NAMES.get(kind, kind.replace(" ", ""))
    if kind["type"] == "array":
        return f"array<{type_name(kind['elementType'])}>"
    if kind["type"] == "map":
        return f"map<{type_name(kind['keyType'])},{type_name(kind['valueType'])}>"
    return "struct<" + ",".join(f"{f['name']}:{type_name(f['type'])}" for f in kind["fields"]) + ">"


def delta_type(name: str) -> Any:
    """The other way: a type in Spark's words as it stands in Delta's schema JSON."""
    name = name.replace(" ", "")
    outer, _, inner = name.partition("<")
    if not inner:
        return DELTA_NAMES.get(name, name)
    parts = _split(inner[:-1])
    if outer == "array":
        return {"type": "array", "elementType": delta_type(parts[0]), "containsNull": True}
    if outer == "map":
        kinds = {"keyType": delta_type(parts[0]), "valueType": delta_type(parts[1])}
        return {"type": "map", **kinds, "valueContainsNull": True}
    return _struct((field, kind) for field, _, kind in (part.partition(":") for part in parts))


def _struct(fields: Any) -> dict[str, Any]:
    listed = [{"name": name, "type": delta_type(kind), "nullable": True, "metadata": {}} for name, kind in fields]
    return {"type": "struct", "fields": listed}


def _split(text: str) -> list[str]:
    """The parts between commas that stand in no bracket."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign in "<(") - (sign in ">)")
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def commit(
    live: DeltaTable, table: Path, folder: Path, replaced: Sequence[str], *, statistics: Sequence[str], application: str, version: int,
    metadata: str,
) -> None:  # fmt: skip
    """Make the Parquet files of a folder below the table rows of it, in place of the files `replaced` (by their paths in the log), as one commit.

    `application`, `version`: Delta's transaction. Raises SchemaDiffers when a file's types are not the table's, and CommitFailedError when another
    process has committed one of this application, or removed one of the files, since `live` was read.
    """
    from deltalake import CommitProperties, Transaction
    from deltalake.transaction import RemoveAction

    now = int(time.time() * 1000)
    added = _added(table, folder, statistics, columns(live))
    gone = [RemoveAction(path, True, now, partition_values={}) for path in replaced]
    live.create_write_transaction(
        [*added, *gone], "append", live.schema(),
        commit_properties=CommitProperties(
            custom_metadata={"userMetadata": metadata}, max_commit_retries=COMMIT_RETRIES, app_transactions=[Transaction(application, version, now)],
        ),
    )  # fmt: skip


def _added(table: Path, folder: Path, statistics: Sequence[str], kinds: Mapping[str, str]) -> list[AddAction]:
    """The files of a folder that hold rows. `kinds`: the table's columns and their types."""
    import pyarrow.parquet as pq
    from deltalake.transaction import AddAction

    found = []
    for file in sorted(folder.glob("*.parquet")):
        footer = pq.read_metadata(file)
        of_file = extremes(footer, statistics)
        if of_file["numRecords"]:
            _must_have_types(footer, kinds, table)
            stat = file.stat()
            path = os.path.relpath(file, table)
            found.append(AddAction(path, stat.st_size, {}, int(stat.st_mtime * 1000), True, json.dumps(of_file)))
    return found


def _must_have_types(footer: FileMetaData, kinds: Mapping[str, str], table: Path) -> None:
    """No value is fitted to its column here: a cent would be rounded away in silence."""
    from deltalake import Schema

    written = columns_of(Schema.from_arrow(footer.schema.to_arrow_schema()))
    if wrong := differences(written, kinds):
        raise SchemaDiffers(
            f"Rows for {table.parent.name}.{table.name} were written as {', '.join(wrong)}. Nothing was committed. "
            f"Correct what makes them (jobs/{table.parent.name}/{table.name}.py, or the expressions of its feeds), or the contract."
        )


def extremes(footer: FileMetaData, names: Sequence[str]) -> dict[str, Any]:
    """Delta's statistics of one file, from its footer: rows, and of these columns minimum, maximum and nulls where the footer knows them and they are
    dates, whole numbers or text."""
    place = {footer.schema.column(n).path: n for n in range(len(footer.schema))}
    lowest: dict[str, Any] = {}
    highest: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for name in names:
        if name not in place:
            continue
        parts = [footer.row_group(group).column(place[name]).statistics for group in range(footer.num_row_groups)]
        if any(part is None or not (part.has_min_max or part.num_values == 0) for part in parts):
            continue
        nulls[name] = sum(part.null_count for part in parts)
        try:
            known = [(part.min, part.max) for part in parts if part.has_min_max]
        except (OverflowError, ValueError):
            continue  # a date of the year 0, or beyond 9999: no reader leaves the file out because of it
        if known and type(known[0][0]) in (date, int, str):
            low, high = min(least for least, _ in known), max(most for _, most in known)
            lowest[name] = low[:LONGEST_TEXT] if isinstance(low, str) else _plain(low)
            if not isinstance(high, str) or len(high) <= LONGEST_TEXT:
                highest[name] = _plain(high)
    return {"numRecords": footer.num_rows, "minValues": lowest, "maxValues": highest, "nullCount": nulls}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
