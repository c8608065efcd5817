"""The `rows` file: a delivery as Parquet, text fields with line numbers, identifying values already tokens. Every
format ends as this. What is the same for all rows of a delivery stands in each row: to write it here costs next to nothing
(one dictionary entry), to look it up there for each row cost a tenth of a load.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.arrival.aside import Aside
from jobs.arrival.records import Rows
from jobs.contracts.model import Table
from jobs.privacy.identify import Identifier
from jobs.privacy.keys import Keys
from jobs.privacy.seal import seal_bytes


@dataclass(frozen=True)
class Of:
    """The delivery that rows are of, as the ledger has it: when it was first seen (with its zone), and what its name says."""

    delivery_id: str
    entity: str
    received_at: datetime
    lane_date: date


# Of the delivery, in each of its rows.
OF_DELIVERY = {
    "__delivery_id": pa.string(),
    "__entity": pa.string(),
    "__received_at": pa.timestamp("us", tz="UTC"),
    "__lane_date": pa.date32(),
}
OF_ROW = {"__line": pa.int64(), "__malformed": pa.string(), "__sealed": pa.binary()}
SPARK = {
    pa.string(): "string",
    pa.int64(): "bigint",
    pa.binary(): "binary",
    pa.date32(): "date",
    pa.timestamp("us", tz="UTC"): "timestamp",
}


def schema_of(table: Table) -> pa.Schema:
    """Machinery columns first, then the contract's physical columns, all text."""
    return pa.schema(OF_DELIVERY | OF_ROW | dict.fromkeys(table.physical_columns, pa.string()))


def spark_schema(table: Table) -> dict[str, str]:
    """The same as Spark's types, in the same order."""
    return {field.name: SPARK[field.type] for field in schema_of(table)}


def _one_value(value: object, kind: pa.DataType) -> pa.Array:
    """An array of one value; of a text its dictionary, which Parquet takes as it is: to look the same text up for each row cost as much as a column of the file."""
    one = pa.array([value], kind)
    return one.dictionary_encode() if kind == pa.string() else one


class RowsWriter:
    """Writes to a draft; only `close()` puts the whole file in place."""

    def __init__(self, path: Path, table: Table, of: Of, identifier: Identifier, keys: Keys):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
        self._schema, self._identifier, self._keys = schema_of(table), identifier, keys
        values = (of.delivery_id, of.entity, of.received_at, of.lane_date)
        self._of = [_one_value(value, kind) for value, kind in zip(values, OF_DELIVERY.values(), strict=True)]
        for place, value in enumerate(self._of):
            self._schema = self._schema.set(place, self._schema.field(place).with_type(value.type))
        self._aside = Aside()
        self._writer = pq.ParquetWriter(
            self._draft,
            self._schema,
            compression="snappy",
            write_statistics=False,
            use_dictionary=list(OF_DELIVERY),
            store_schema=False,
        )

    def write(self, rows: Rows) -> None:
        good = len(rows.lines)
        if good:
            physical = self._identifier.physical(rows.columns) | rows.facts
            self._put(good, rows.lines, pa.nulls(good, pa.string()), pa.nulls(good, pa.binary()), physical)
        if rows.malformed:
            lines = pa.array([m.line for m in rows.malformed], pa.int64())
            why = pa.array([m.why for m in rows.malformed], pa.string())
            sealed = pa.array([seal_bytes(m.raw, self._keys) for m in rows.malformed], pa.binary())
            self._put(len(lines), lines, why, sealed, {})

    @property
    def notes(self) -> Counter[str]:
        """What was found in the rows and changed before it was written."""
        return self._identifier.notes

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
        first = pa.repeat(pa.scalar(0, pa.int8()), count)
        of = [value.take(first) for value in self._of]
        nothing = pa.nulls(count, pa.string())
        columns = [physical.get(name, nothing) for name in self._schema.names[len(OF_DELIVERY) + len(OF_ROW) :]]
        batch = pa.RecordBatch.from_arrays([*of, lines, why, sealed, *columns], schema=self._schema)
        self._aside.call(self._writer.write_batch, batch)
