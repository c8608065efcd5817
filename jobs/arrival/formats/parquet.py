"""Parquet: every value becomes its text (decimals with their scale, dates and instants in ISO 8601, in UTC)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping
from typing import BinaryIO, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.arrival.drift import fit
from jobs.arrival.errors import Cut, Refused
from jobs.arrival.records import NUL, Malformed, Rows
from jobs.contracts.column import MOST_DIGITS, Column
from jobs.contracts.formats import ParquetFile
from jobs.contracts.parse import DECIMAL

ROWS = 65_536
READ = 1 << 20  # bytes of a column at once
# What the library raises of bytes that are no Parquet: bad ones, types that none has, names that are no UTF-8.
DAMAGED = (OSError, pa.ArrowException, UnicodeDecodeError)
MAGIC = b"PAR1"


class Reader:
    seeks: ClassVar[bool] = True

    def __init__(self, stream: BinaryIO, fmt: ParquetFile, columns: Mapping[str, Column]):
        """`stream` must be able to seek: the description of a Parquet file stands at its end."""
        self.header: dict[str, str] = {}
        self.trailer: dict[str, str] = {}
        self.extra: list[str] = []
        self.lacking: list[str] = []
        self.notes: Counter[str] = Counter()
        self.ends_itself = True
        self._stream, self._fmt, self._columns = stream, fmt, columns
        self._wanted = {name: column.source or name for name, column in columns.items()}

    def __iter__(self) -> Generator[Rows]:
        file = _open(self._stream)
        names = file.schema_arrow.names
        _check_once_each(names)
        found = fit(self._wanted, self._columns, names, self._fmt.drift, "The Parquet schema")
        self.extra, self.lacking = found.added, found.lacking
        wanted = {name: source for name, source in self._wanted.items() if name not in self.lacking}
        if self._fmt.drift.narrowed == "refuse":
            _check_types(wanted, self._columns, file.schema_arrow)
        row = 1
        try:
            for batch in file.iter_batches(ROWS, columns=list(wanted.values()), use_threads=False):
                columns = {name: _text(name, batch.column(source), row) for name, source in wanted.items()}
                columns |= {name: pa.nulls(batch.num_rows, pa.string()) for name in self.lacking}
                yield _without_nul(pa.array(np.arange(row, row + batch.num_rows, dtype=np.int64)), columns)
                row += batch.num_rows
        except DAMAGED as error:
            raise Refused(
                "bad_parquet",
                f"The Parquet data do not read at row {row}: {error}. Expected a whole file; send it again.",
            ) from error


def _without_nul(lines: pa.Array, columns: dict[str, pa.Array]) -> Rows:
    """The rows; one with a NUL character in a text stands apart."""
    has_nul = np.zeros(len(lines), dtype=bool)
    for values in columns.values():
        has_nul |= pc.fill_null(pc.match_substring(values, "\0"), False).to_numpy(zero_copy_only=False)
    if not has_nul.any():
        return Rows(lines, columns)
    malformed = [
        Malformed(lines[i].as_py(), NUL, repr([values[i].as_py() for values in columns.values()]).encode())
        for i in np.flatnonzero(has_nul).tolist()
    ]
    good = pa.array(~has_nul)
    return Rows(lines.filter(good), {name: values.filter(good) for name, values in columns.items()}, malformed)


def column_names(stream: BinaryIO, fmt: ParquetFile) -> list[str]:
    """All names in the schema, nested ones too."""
    file = _open(stream)
    return [*file.schema_arrow.names, *file.schema.names]


def _open(stream: BinaryIO) -> pq.ParquetFile:
    stream.seek(0, 2)
    size = stream.tell()
    stream.seek(0)
    starts_right = stream.read(4) == MAGIC
    stream.seek(max(0, size - 4))
    if not starts_right:
        raise Refused(
            "bad_parquet", "The file does not begin with PAR1. Expected a Parquet file; send it again in that format."
        )
    if stream.read(4) != MAGIC:
        raise Cut(
            f"The Parquet file ends after {size} bytes without its end mark PAR1. Expected a whole file; send it again."
        )
    stream.seek(0)
    try:
        # Read ahead, a whole row group would lie in memory, which may be the whole file.
        return pq.ParquetFile(stream, buffer_size=READ, pre_buffer=False)
    except DAMAGED as error:
        raise Refused(
            "bad_parquet", f"The Parquet footer does not read: {error}. Expected a whole file; send it again."
        ) from error


def _check_once_each(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise Refused(
                "column_twice",
                f"The Parquet schema names the column {name!r} twice. Expected each once; correct the file and send it again.",
            )


def _check_types(wanted: Mapping[str, str], columns: Mapping[str, Column], schema: pa.Schema) -> None:
    """Raises Refused(column_narrowed) for a type that cannot hold what the contract's holds. A wider one is read value by value."""
    narrow = []
    for name, source in wanted.items():
        declared, kind = columns[name].type, schema.field(source).type
        decimals = DECIMAL.match(declared)
        too_few = decimals is not None and int(decimals[2]) > (
            kind.scale if pa.types.is_decimal(kind) else 0 if pa.types.is_integer(kind) else MOST_DIGITS
        )
        no_time = declared == "timestamp" and pa.types.is_date(kind)
        if (too_few and not columns[name].way.implied) or no_time:
            narrow.append(f"{source} is {kind}, which holds less than {declared}")
    if narrow:
        raise Refused(
            "column_narrowed",
            f"The Parquet schema is narrower than the contract: {'; '.join(narrow)}. Expected types that lose nothing; ask the sender to write them so, or "
            "change the contract with its consumers.",
        )


def _text(name: str, values: pa.Array, row: int) -> pa.Array:
    """`row`: the number of the first."""
    kind = values.type
    if pa.types.is_floating(kind):
        # Money in binary floating point is wrong before it arrives: refuse instead of writing digits that nobody sent.
        raise Refused(
            "float_column",
            f"The Parquet column {name} is {kind}. Expected decimal, integer or text; ask the sender to write it as "
            "decimal(p,s).",
        )
    if pa.types.is_timestamp(kind):
        values = pc.cast(values, pa.timestamp(kind.unit, "UTC")) if kind.tz is not None else values
        text = pc.strftime(values, "%Y-%m-%dT%H:%M:%SZ" if kind.tz is not None else "%Y-%m-%dT%H:%M:%S")
        return pc.replace_substring_regex(text, r"\.0+(Z?)$", r"\1")  # no fraction is not a fraction of zero
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise Refused(
            "unreadable_type",
            f"The Parquet column {name} is {kind}. Expected a flat column of text, numbers or dates; agree the type "
            "with the sender.",
        )
    texts = pc.cast(values, pa.string())
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        raise _bad_byte(name, texts, row) from None
    return texts


def _bad_byte(name: str, texts: pa.Array, row: int) -> Refused:
    """Parquet's texts are UTF-8 by definition, and no library looks whether they are."""
    for at, raw in enumerate(texts.view(pa.binary()).to_pylist(), row):
        try:
            (raw or b"").decode("utf-8")
        except UnicodeDecodeError as error:
            found = raw[error.start : error.end + 1].hex(" ")
            return Refused(
                "bad_byte",
                f"Bytes {found} at byte {error.start} of the Parquet column {name} in row {at} are not utf-8. Expected text in UTF-8, as Parquet has no other; ask the "
                "sender to write it so.",
            )
    raise AssertionError("texts that do not validate decode all the same")
