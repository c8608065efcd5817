"""Parquet reads back what was written; what is damaged, or cannot be told as text, refuses the file."""

from __future__ import annotations

import io
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.arrival.errors import Cut, Refused
from jobs.arrival.formats import format_module
from jobs.contracts.formats import ParquetFile
from tests.arrival.reading import columns, quick, read


def test_parquet_values_become_text() -> None:
    instant = datetime(2026, 9, 15, 1, 2, 3, tzinfo=UTC)
    table = pa.table(
        {
            "a": pa.array([Decimal("1.10"), None], pa.decimal128(18, 2)),
            "b": pa.array([date(2026, 9, 15), date(1, 1, 1)]),
            "c": pa.array([instant, instant], pa.timestamp("s", "Asia/Shanghai")),
            "extra": [1, 2],
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    good, _, reader = read(ParquetFile(kind="parquet"), file.getvalue())
    assert good == [(1, "1.10", "2026-09-15", "2026-09-15T01:02:03Z"), (2, None, "0001-01-01", "2026-09-15T01:02:03Z")]
    assert reader.extra == ["extra"]


def test_parquet_floats_missing_columns_and_cut_files_are_refused() -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"a": [1.5], "b": ["x"], "c": ["y"]}), file)
    with pytest.raises(Refused, match=r"column a is double\. Expected decimal"):
        read(ParquetFile(kind="parquet"), file.getvalue())
    with pytest.raises(Refused, match=r"names a, b, c\. Expected the columns of the contract: z\. Missing: z"):
        read(ParquetFile(kind="parquet"), file.getvalue(), columns(z={}))
    with pytest.raises(Cut, match="without its end mark PAR1"):
        read(ParquetFile(kind="parquet"), file.getvalue()[:-9])
    with pytest.raises(Refused, match="does not begin with PAR1"):
        read(ParquetFile(kind="parquet"), b"a|b")


def parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def test_parquet_text_that_is_no_utf8_is_refused_with_its_bytes_and_row() -> None:
    """A2: no library looks, and whoever reads it next would replace what it cannot read."""
    plain = pa.array([b"ok", None, "张三".encode("gbk")]).view(pa.string())
    for texts in (plain, plain.dictionary_encode()):
        with pytest.raises(
            Refused, match=r"Bytes d5 c5 at byte 0 of the Parquet column a in row 3 are not utf-8"
        ) as no:
            read(ParquetFile(kind="parquet"), parquet(pa.table({"a": texts})), columns(a={}))
        assert no.value.cause == "bad_byte"


def test_a_parquet_column_that_is_named_twice_is_refused() -> None:
    twice = pa.table([pa.array(["1"]), pa.array(["2"])], names=["a", "a"])
    with pytest.raises(Refused, match="names the column 'a' twice"):
        read(ParquetFile(kind="parquet"), parquet(twice), columns(a={}))


@quick
@given(
    table=st.lists(
        st.tuples(
            st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
            st.none() | st.decimals(-(10**15), 10**15, places=2, allow_nan=False),
            st.none() | st.dates(),
        ),
        max_size=8,
    ),
    by_word=st.booleans(),
)
def test_parquet_reads_back(table: list[tuple[Any, ...]], by_word: bool) -> None:
    texts, amounts, dates = zip(*table, strict=True) if table else ((), (), ())
    a = pa.array(texts, pa.string())
    content = parquet(
        pa.table(
            {
                "a": a.dictionary_encode() if by_word else a,
                "b": pa.array(amounts, pa.decimal128(18, 2)),
                "c": pa.array(dates, pa.date32()),
            }
        )
    )
    good, bad, _ = read(ParquetFile(kind="parquet"), content)
    shown = [(t, None if b is None else f"{b:.2f}", None if d is None else d.isoformat()) for t, b, d in table]
    assert (bad, good) == ([], [(n, *row) for n, row in enumerate(shown, 1)])


WHOLE_PARQUET = parquet(pa.table({"a": ["张三", None] * 20, "b": ["x"] * 40, "c": pa.array(range(40))}))


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(st.integers(4, len(WHOLE_PARQUET) - 5), st.integers(0, 255)), max_size=6), st.binary(max_size=40)
)
@example([(460, 0x80)], b"")  # a column's name
@example([(929, 0x00)], b"")  # a number of more bits than there are
def test_parquet_that_is_damaged_or_none_never_crashes(damage: list[tuple[int, int]], content: bytes) -> None:
    broken = bytearray(WHOLE_PARQUET)
    for at, byte in damage:
        broken[at] = byte
    for one in (bytes(broken), content, b"PAR1" + content + b"PAR1"):
        with suppress(Refused):
            read(ParquetFile(kind="parquet"), one)


def test_memory_does_not_grow_with_a_parquet_files_row_groups(tmp_path: Path) -> None:
    """Some senders write one row group, whatever the size."""
    import tracemalloc

    number, path = 600_000, tmp_path / "one_group.parquet"
    texts = pa.array([f"{n * 7919:032d}" for n in range(number)])
    table = pa.table({"a": texts, "b": texts})
    pq.write_table(table, path, row_group_size=number, use_dictionary=False, compression="none")
    with path.open("rb", buffering=0) as stream:
        reader = format_module("parquet").Reader(stream, ParquetFile(kind="parquet"), columns(a={}, b={}))
        tracemalloc.start()
        assert sum(len(rows) for rows in reader) == number
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < path.stat().st_size / 8


def test_a_nul_in_a_parquet_text_is_a_row_of_its_own() -> None:
    """A7: as in every other format, the row is rejected and the others stay."""
    file = io.BytesIO()
    pq.write_table(pa.table({"a": ["1", "2", None], "b": ["x", "y\0", "z"], "c": ["p", "q", "r"]}), file)
    good, bad, _ = read(ParquetFile(kind="parquet"), file.getvalue())
    assert good == [(1, "1", "x", "p"), (3, None, "z", "r")]
    assert bad == [(2, "the line holds a NUL character")]
