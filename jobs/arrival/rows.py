"""The `rows` file: a delivery as Parquet, text fields with line numbers, identifying values already tokens. Every
format ends as this.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.arrival.aside import Aside
from jobs.arrival.records import Rows
from jobs.contracts.model import Table
from jobs.privacy.identify import Identifier
from jobs.privacy.keys import Keys
from jobs.privacy.seal import seal_bytes


def schema_of(table: Table) -> pa.Schema:
    """Machinery columns first, then the contract's physical columns, all text."""
    machinery = [
        ("__delivery_id", pa.string()),
        ("__line", pa.int64()),
        ("__malformed", pa.string()),
        ("__sealed", pa.binary()),
    ]
    return pa.schema(machinery + [(name, pa.string()) for name in table.physical_columns])


def spark_schema(table: Table) -> dict[str, str]:
    """The same as Spark's types, in the same order."""
    kinds = {pa.string(): "string", pa.int64(): "bigint", pa.binary(): "binary"}
    return {field.name: kinds[field.type] for field in schema_of(table)}


class RowsWriter:
    """Writes to a draft; only `close()` puts the whole file in place."""

    def __init__(self, path: Path, table: Table, delivery_id: str, identifier: Identifier, keys: Keys):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
        self._schema, self._delivery_id, self._identifier, self._keys = schema_of(table), delivery_id, identifier, keys
        self._aside = Aside()
        self._writer = pq.ParquetWriter(
            self._draft,
            self._schema,
            compression="snappy",
            write_statistics=False,
            use_dictionary=["__delivery_id"],
            store_schema=False,
        )

    def write(self, rows: Rows) -> None:
        good = len(rows.lines)
        if good:
            physical = self._identifier.physical(rows.columns)
            self._put(good, rows.lines, pa.nulls(good, pa.string()), pa.nulls(good, pa.binary()), physical)
        if rows.malformed:
            lines = pa.array([m.line for m in rows.malformed], pa.int64())
            why = pa.array([m.why for m in rows.malformed], pa.string())
            sealed = pa.array([seal_bytes(m.raw, self._keys) for m in rows.malformed], pa.binary())
            self._put(len(lines), lines, why, sealed, {})

    def close(self) -> None:
        self._aside.wait()
        self._aside.close()
        self._writer.close()
        with self._draft.open("rb+") as file:
            os.fsync(file.fileno())
        self._draft.replace(self.path)

    def discard(self) -> None:
        """Leaves nothing behind, also when the disk is full and the file cannot be ended."""
        self._aside.close()
        with suppress(OSError):
            self._writer.close()
        self._draft.unlink(missing_ok=True)

    def _put(self, count: int, lines: pa.Array, why: pa.Array, sealed: pa.Array, physical: dict[str, pa.Array]) -> None:
        delivery = pa.DictionaryArray.from_arrays(pa.nulls(count, pa.int32()).fill_null(0), [self._delivery_id]).cast(
            pa.string()
        )
        nothing = pa.nulls(count, pa.string()) if not physical else None
        columns = [physical.get(name, nothing) for name in self._schema.names[4:]]
        batch = pa.RecordBatch.from_arrays([delivery, lines, why, sealed, *columns], schema=self._schema)
        self._aside.call(self._writer.write_batch, batch)
