"""Each format reads back what was written, for any content and however the blocks fall; and says of a bad line what is
wrong with it.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from jobs.arrival import text
from jobs.arrival.encodings import line_codec_name
from jobs.arrival.errors import Cut, Refused
from jobs.arrival.formats import format_module
from jobs.arrival.formats.delimited import Reader as Delimited
from jobs.arrival.records import Rows
from jobs.contracts.column import Column
from jobs.contracts.encodings import KNOWN, LINE_SAFE, ONE_TO_ONE
from jobs.contracts.source import Delimited as DelimitedFormat
from jobs.contracts.source import FixedWidth, Format, JsonLines, ParquetFile

quick = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
HAN = "张三億誠工资利息\u3007"
CELL = st.text(st.sampled_from(HAN + "ab01 .,;|+-\t\\'"), max_size=6)


def columns(**more: dict[str, Any]) -> dict[str, Column]:
    return {name: Column(type="string", classification="C1/2", **options) for name, options in more.items()}


ABC = columns(a={}, b={}, c={})


def read(
    fmt: Any, content: bytes, wanted: dict[str, Column] | None = None
) -> tuple[list[tuple[Any, ...]], list[tuple[int, str]], Any]:
    """(line and values of good rows, line and reason of malformed ones, the reader)."""
    wanted = wanted or ABC
    reader = format_module(fmt.kind).Reader(io.BytesIO(content), fmt, wanted)
    good: list[tuple[Any, ...]] = []
    bad: list[tuple[int, str]] = []
    for rows in reader:
        good += zip(rows.lines.to_pylist(), *(rows.columns[n].to_pylist() for n in wanted), strict=True)
        bad += [(m.line, m.why) for m in rows.malformed]
    return good, bad, reader


@contextmanager
def blocks_of(size: int) -> Iterator[None]:
    with patch.object(text, "BLOCK", size):
        yield


@quick
@given(
    table=st.lists(st.tuples(CELL, CELL, CELL), max_size=12),
    separator=st.sampled_from(["|", "|+|", "|@|", "\x1b", ";", "§"]),
    encoding=st.sampled_from(["utf-8", "gb18030", "gbk"]),
    packed=st.booleans(),
    block=st.integers(1, 60),
    end=st.sampled_from(["\n", "\r\n"]),
    ends=st.booleans(),
)
def test_delimited_reads_back(
    table: list[tuple[str, ...]], separator: str, encoding: str, packed: bool, block: int, end: str, ends: bool
) -> None:
    table = [tuple(cell.replace(separator, "") for cell in row) for row in table]
    if any(separator in separator.join(row).replace(separator, "", 2) for row in table):
        return  # cells that form a separator with their neighbours cannot be written without quotes
    body = end.join(separator.join(row) for row in table)
    lines = f"H|core{end}{body}{end if table else ''}T|{len(table)}" if ends else body
    content = lines.encode(encoding)
    record = {"tag": "H", "fields": ["system"]}
    fmt = DelimitedFormat.model_validate(
        {
            "kind": "delimited",
            "separator": separator,
            "encoding": encoding,
            "compression": "gzip" if packed else None,
            "header": record if ends else None,
            "trailer": {"tag": "T", "fields": ["record_count"]} if ends else None,
        }
    )
    with blocks_of(block):
        good, bad, reader = read(fmt, gzip.compress(content) if packed else content)
    first = 2 if ends else 1
    if not ends and not content:
        assert good == []
        return
    assert good == [(i, *(cell or None for cell in row)) for i, row in enumerate(table, first)]
    assert bad == []
    if ends:
        assert (reader.header, reader.trailer) == ({"system": "core"}, {"record_count": str(len(table))})


QUOTED = st.text(st.sampled_from(HAN + 'ab1 ,;"\n'), max_size=6)


@quick
@given(
    table=st.lists(st.tuples(QUOTED, QUOTED, QUOTED), min_size=1, max_size=10),
    block=st.integers(1, 60),
    quoting=st.booleans(),
)
def test_quoted_values_read_back_with_the_lines_on_which_they_begin(
    table: list[tuple[str, ...]], block: int, quoting: bool
) -> None:
    written = io.StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_ALL if quoting else csv.QUOTE_MINIMAL, lineterminator="\n")
    lines = []
    for row in table:
        lines.append(written.getvalue().count("\n") + 1)
        writer.writerow(row)
    fmt = DelimitedFormat(kind="delimited", quote='"')
    with blocks_of(block):
        good, bad, _ = read(fmt, written.getvalue().encode())
    empty = "" if quoting else None
    assert good == [(line, *(cell or empty for cell in row)) for line, row in zip(lines, table, strict=True)]
    assert bad == []


ANYTHING = st.text(st.sampled_from('ab,"\n\r\0'), max_size=40)


@quick
@given(content=ANYTHING, quote=st.sampled_from([None, '"']), block=st.integers(1, 30))
def test_the_fast_splitter_gives_what_the_slow_one_gives(content: str, quote: str | None, block: int) -> None:
    fmt = DelimitedFormat(kind="delimited", quote=quote)
    with blocks_of(block):
        one = read(fmt, content.encode())[:2]
    slow = lambda self, data, line, *_: self._split_slowly(data, line)  # noqa: E731
    with blocks_of(1 << 20), patch.object(Delimited, "_split", slow):
        other = read(fmt, content.encode())[:2]
    assert one == other
    lines = content.count("\n") + (not content.endswith("\n") and content != "")
    if quote is None:
        assert sorted([g[0] for g in one[0]] + [b[0] for b in one[1]]) == list(range(1, lines + 1))


def test_a_stray_quote_costs_its_line_only() -> None:
    good, bad, _ = read(
        DelimitedFormat(kind="delimited", quote='"'), b'1,2,3\na"b,2,3\n"x"y,2,3\n4,"5\n5",6\n"open,1,2\n7,8,9\n'
    )
    assert good == [(1, "1", "2", "3"), (4, "4", "5\n5", "6"), (7, "7", "8", "9")]
    assert bad == [(n, "a quote is not where a value begins or ends") for n in (2, 3, 6)]


def test_columns_are_found_by_name_and_changes_are_said() -> None:
    fmt = DelimitedFormat(kind="delimited", columnLine=True)
    good, _, reader = read(fmt, b"\xef\xbb\xbfc,new,a,b\n3,x,1,2\n")
    assert (good, reader.extra) == ([(2, "1", "2", "3")], ["new"])
    with pytest.raises(
        Refused, match=r"Line 1 names a, c\. Expected the columns of the contract: a, b, c\. Missing: b\."
    ):
        read(fmt, b"a,c\n1,2\n")
    with pytest.raises(Refused, match="'a' twice"):
        read(fmt, b"a,a,b,c\n1,2,3,4\n")
    with pytest.raises(Cut, match="before its line of column names"):
        read(fmt, b"")


@quick
@given(
    table=st.lists(st.tuples(CELL, CELL, CELL), max_size=10),
    encoding=st.sampled_from(["utf-8", "gb18030"]),
    block=st.integers(1, 80),
    end=st.sampled_from([b"\n", b"\r\n"]),
)
def test_fixed_width_reads_back_by_bytes(table: list[tuple[str, ...]], encoding: str, block: int, end: bytes) -> None:
    wanted = columns(a={"width": 20}, b={"width": 24}, c={"width": 18})
    content = b"".join(
        b"".join(cell.encode(encoding).ljust(c.width or 0) for cell, c in zip(row, wanted.values(), strict=True)) + end
        for row in table
    )
    with blocks_of(block):
        good, bad, _ = read(FixedWidth(kind="fixed_width", encoding=encoding), content, wanted)
    assert good == [(i, *(cell.strip(" ") or None for cell in row)) for i, row in enumerate(table, 1)]
    assert bad == []


def test_f09_a_column_that_ends_inside_a_character_costs_its_line_only() -> None:
    wanted = columns(a={"width": 3}, b={"width": 3})
    lines = [
        "张a二b".encode("gb18030"),
        "a张张b".encode("gb18030")[:6],
        "ab张b".encode("gb18030") + b" ",
        b"short",
        b"12\x00456",
    ]
    content = b"\n".join(lines)
    good, bad, _ = read(FixedWidth(kind="fixed_width", encoding="gb18030"), content, wanted)
    assert good == [(1, "张a", "二b"), (2, "a张", "张b")]
    assert bad == [
        (3, "a (bytes 1 to 3) is not gb18030: a character is cut or wrong"),
        (4, "5 bytes instead of 6"),
        (5, "the line holds a NUL character"),
    ]


EDGED = FixedWidth.model_validate(
    {
        "kind": "fixed_width",
        "encoding": "gb18030",
        "header": {"tag": "HDR", "fields": ["entity", "business_date", "name"], "widths": [4, 8, 8]},
        "trailer": {"tag": "9", "fields": ["record_count", "amount_sum"], "widths": [6, 12]},
    }
)


@quick
@given(st.lists(CELL, max_size=6), st.integers(1, 40), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "   "]))
def test_header_and_trailer_may_have_widths_too(cells: list[str], block: int, end: str, behind: str) -> None:
    """Bytes here too: a name of Chinese characters stands between fields."""
    lines = [f"HDRb01 20260915张三    {behind}".encode("gb18030")]
    lines += [cell.encode("gb18030").ljust(24) for cell in cells]
    lines.append(f"9{len(cells):06d}{12345:012d}{behind}".encode())
    with blocks_of(block):
        good, bad, reader = read(EDGED, b"".join(line + end.encode() for line in lines), columns(a={"width": 24}))
    assert (bad, [a for _, a in good]) == ([], [cell.strip(" ") or None for cell in cells])
    assert reader.header == {"entity": "b01", "business_date": "20260915", "name": "张三"}
    assert reader.trailer == {"record_count": f"{len(cells):06d}", "amount_sum": "000000012345"}


@pytest.mark.parametrize(
    ("header", "trailer", "cause", "told"),
    [
        ("HDRb01 20260915Anna    ", "9000001000000", "truncated", "Line 3 begins with '9' and has 13 bytes. Expected the trailer record 9 of 19"),
        ("HDRb01 20260915Anna    ", "", "truncated", "Line 2 begins with 'a' and has 3 bytes"),
        ("HDRb01 20260915", "9000001000000012345", "no_header", "Line 1 begins with 'HDR' and has 15 bytes. Expected the header record HDR of 23"),
        ("H01b01 20260915Anna    ", "9000001000000012345", "no_header", "Line 1 begins with 'H01'"),
        ("HDRb01 20260915Anna    ", "9000001000000012345CNY", "no_trailer", "The trailer in line 3 has 22 bytes. Expected 19"),
    ],
)  # fmt: skip
def test_a_header_or_trailer_of_another_width_is_told(header: str, trailer: str, cause: str, told: str) -> None:
    content = "\n".join([header, "abc", *([trailer] if trailer else [])])
    with pytest.raises(Refused) as refusal:
        read(EDGED, content.encode(), columns(a={"width": 3}))
    assert (refusal.value.cause, told in refusal.value.reason) == (cause, True), refusal.value.reason


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False, places=2)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=6,
)


def written(value: Any) -> str:
    """JSON text with decimals as numbers of two places."""
    if isinstance(value, Decimal):
        return f"{value:.2f}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{written(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


@quick
@given(values=st.lists(JSON, min_size=1, max_size=6), block=st.integers(1, 60))
def test_json_values_keep_their_text(values: list[Any], block: int) -> None:
    content = "".join(f'{{"x": {{"y": {written(v)}}}}}\n' for v in values).encode(errors="surrogatepass")
    with blocks_of(block):
        good, bad, _ = read(JsonLines(kind="json_lines"), content, columns(v={"from": "x.y"}))
    expected = [None if v is None else v if isinstance(v, str) else written(v) for v in values]
    assert bad == []
    assert [(line, value) for line, value in good] == list(enumerate(expected, 1))


def test_json_lines_that_are_not_objects_are_malformed() -> None:
    lines = [
        '{"a":1}',
        "",
        '{"a":',
        "[1]",
        '{"a":1} {"a":2}',
        '{"a":"\\u0000"}',
        '{"a":"\\ud800"}',
        '{"a":"\\\\u0000"}',
        "{'a':1}",
    ]
    good, bad, _ = read(JsonLines(kind="json_lines"), "\n".join(lines).encode(), columns(a={}))
    assert good == [(1, "1"), (8, "\\u0000")]
    assert [line for line, _ in bad] == [3, 4, 5, 6, 7, 9]
    assert dict(bad)[5] == "more than one JSON value: the first ends at character 7"


def test_a_key_that_stands_twice_in_one_json_object_rejects_its_line() -> None:
    """The last of its values won, and nobody was told."""
    lines = [
        '{"a":1,"b":{"c":1}}',
        '{"a":1,"a":2}',
        '{"a" : 1, "a"\t:1}',  # equal values too: the sender's mistake is the same
        '{"a":1,"\\u0061":2}',
        '{"a":"1\\",\\"a\\":2"}',  # looks like it, and is one text
        '{"a":":1","b":{"c":2,"d":[{"a":1},{"a":2,"e":"x :y"}]}}',  # one in each object
        '{"a":1,"b":{"c":2,"d":[{"13800138000":1,"13800138000":{"c":2}}]}}',
        '{"a":1,"b":{"c":1},"b":7}',
        '{"a":1, "no json',
        '{"a":9}',
    ]
    good, bad, _ = read(JsonLines(kind="json_lines"), "\n".join(lines).encode(), columns(a={}, c={"from": "b.c"}))
    assert good == [(1, "1", "1"), (5, '1","a":2', None), (6, ":1", "2"), (10, "9", None)]
    named = "the key {} stands twice in one object, with its values at characters {} and {}"
    assert dict(bad) == {
        2: named.format("'a'", 6, 12),
        3: named.format("'a'", 8, 16),
        4: named.format("'a'", 6, 17),
        7: "a key that no column reads stands twice in one object, with its values at characters 39 and 55",
        8: named.format("'b'", 12, 24),
        9: "not JSON at character 9 (Unterminated string starting at)",
    }


def objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Objects whose keys may stand twice, with or without space around the colon."""
    keys = st.sampled_from(['"a"', '"b"', '"c"', '"a:"', '"\\u0061"'])
    pairs = st.tuples(keys, st.sampled_from([":", " :", ": ", "\t: "]), inner).map("".join)
    return st.lists(pairs, max_size=3).map(lambda found: "{" + ",".join(found) + "}")


OBJECTS = st.recursive(
    st.sampled_from(["1", "null", '""', '":"', '"a\\":"', '" :"']),
    lambda inner: st.lists(inner, max_size=2).map(lambda found: f"[{','.join(found)}]") | objects(inner),
    max_leaves=8,
)


def has_one_twice(text: str) -> bool:
    """The same, asked of Python's own reader."""
    found = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        found.append(len({key for key, _ in pairs}) < len(pairs))

    json.loads(text, object_pairs_hook=look)
    return any(found)


@quick
@given(lines=st.lists(objects(OBJECTS), min_size=1, max_size=5), block=st.integers(1, 200))
def test_a_line_is_rejected_exactly_when_one_of_its_keys_stands_twice(lines: list[str], block: int) -> None:
    wanted = columns(a={}, c={"from": "b.c"})
    with blocks_of(block):
        good, bad, _ = read(JsonLines(kind="json_lines"), "\n".join(lines).encode(), wanted)
    assert sorted(line for line, _ in bad) == [n for n, line in enumerate(lines, 1) if has_one_twice(line)]
    assert len(good) + len(bad) == len(lines)


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


ODD = st.binary(max_size=60) | st.text(
    st.sampled_from('ab1,|"#HT{}[]:\\n\r\0\n\\\x0e\x0f\x15\x25\x81\xfe\x30'), max_size=60
).map(lambda t: t.encode("latin-1"))
EDGES = {"header": {"tag": "H", "fields": ["system"]}, "trailer": {"tag": "T", "fields": ["record_count"]}}
OF_LINES = [
    {"kind": "delimited", "separator": "|"},
    {"kind": "delimited", "separator": "|+|", "comment": "#"},
    {"kind": "delimited", "quote": '"', "columnLine": True},
    {"kind": "delimited", "separator": "||", "quote": '"', **EDGES},
    {"kind": "fixed_width"},
    {"kind": "fixed_width", **EDGES},
    {"kind": "json_lines"},
]


@settings(max_examples=600, deadline=None)
@given(
    content=ODD,
    how=st.sampled_from(OF_LINES),
    encoding=st.sampled_from(sorted(KNOWN)),
    packed=st.sampled_from([None, "gzip", "as it is"]),
    block=st.integers(1, 40),
)
@example(b'"', OF_LINES[2], "utf-8", None, 40)
@example(b'a,"b\n1,2\n', OF_LINES[2], "utf-8", None, 40)
@example(b'a,"b""\n1,2\n', OF_LINES[2], "utf-8", None, 40)
def test_random_bytes_never_crash_it(
    content: bytes, how: dict[str, Any], encoding: str, packed: str | None, block: int
) -> None:
    """Whatever comes: the file is refused, or each of its texts is one and each line stands once among the rows or apart."""
    if how["kind"] == "fixed_width" and encoding not in LINE_SAFE:
        encoding = "gbk"
    fmt: Any = TypeAdapter(Format).validate_python(
        {**how, "encoding": encoding, "compression": "gzip" if packed else None}
    )
    content = gzip.compress(content) if packed == "gzip" else content
    wanted = columns(a={"width": 2}, b={"width": 3}, c={"width": 1})
    lines: list[int] = []
    with blocks_of(block), suppress(Refused):
        format_module(fmt.kind).column_names(io.BytesIO(content), fmt)
        for rows in format_module(fmt.kind).Reader(io.BytesIO(content), fmt, wanted):
            for texts in rows.columns.values():
                texts.validate(full=True)
                assert len(texts) == len(rows.lines)
            lines += [*rows.lines.to_pylist(), *(m.line for m in rows.malformed)]
    assert len(lines) == len(set(lines))


@pytest.mark.parametrize("names", ['"', 'a,"b', '"a,b,c', 'a,"b"",c'])
def test_names_with_a_quote_that_is_not_closed_are_refused(names: str) -> None:
    """They were looked at for ever, and no other file was taken meanwhile."""
    fmt = DelimitedFormat.model_validate({"kind": "delimited", "quote": '"', "columnLine": True})
    content = f"{names}\n1,2,3\n".encode()
    assert format_module("delimited").column_names(io.BytesIO(content), fmt)
    with pytest.raises(Refused, match="A quote opened in line 1 is not closed there") as no:
        read(fmt, content, ABC)
    assert no.value.cause == "open_quote"


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


@given(st.binary(max_size=60))
@settings(max_examples=400, deadline=None)
def test_utf8_is_as_strict_as_pythons(content: bytes) -> None:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        with pytest.raises(Refused) as refusal:
            text.to_utf8(content, "utf-8", 100, 7)
        assert f"at byte {100 + error.start} (line {7 + content[: error.start].count(10)}," in refusal.value.reason
    else:
        assert text.to_utf8(content, "utf-8", 0, 1) == content


def test_utf8_halves_of_pairs_are_bytes_too_many() -> None:
    with pytest.raises(Refused):
        text.to_utf8(b"\xed\xa0\x80", "utf-8", 0, 1)


def test_round_trip_catches_an_encoding_that_is_not_the_senders() -> None:
    with pytest.raises(Refused, match=r"Bytes 81 30.* at byte 12 \(line 3, byte 1 of the line\) are not gbk"):
        text.to_utf8(b"\n\n" + "\u0080".encode("gb18030"), "gbk", 10, 1)
    # A1FE and A241 are one character in Big5, of which only A241 comes back.
    assert text.to_utf8(b"\xa2\x41", "big5", 0, 1) == b"\xa1\xfe".decode("big5").encode()
    with pytest.raises(Refused, match="Round trip failed at byte 12, line 3: a1 fe became a2 41"):
        text.to_utf8(b"\n\n\xa1\xfe", "big5", 10, 1)


@pytest.mark.parametrize("codec", sorted({codecs.lookup(name).name for name in ONE_TO_ONE}))
def test_each_code_of_a_table_that_is_one_to_one_comes_back(codec: str) -> None:
    """The oracle of ONE_TO_ONE: all codes of up to two bytes, and GB18030's of four."""
    codes = [bytes([a]) for a in range(256)] + [bytes([a, b]) for a in range(0x80, 256) for b in range(256)]
    if codec == "gb18030":
        high, digits = range(0x81, 0xFF), range(0x30, 0x3A)
        codes += [bytes(code) for code in product(high, digits, high, digits)]
    if codec == "utf-8":
        codes = [chr(point).encode() for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    read = {}
    for code in codes:
        with suppress(UnicodeDecodeError):
            read[code] = code.decode(codec)
    assert all(character.encode(codec) == code for code, character in read.items())
    if codec in ("gb18030", "utf-8"):  # they have all characters
        assert sum(len(character) == 1 for character in read.values()) == 0x110000 - 0x800


def test_an_encoding_that_cannot_be_cut_into_lines_is_refused() -> None:
    for encoding in ("utf-16", "no-such-thing"):
        with pytest.raises(Refused, match=f"declares the encoding {encoding}"):
            line_codec_name(encoding)


def test_several_gzip_members_are_one_file() -> None:
    content = gzip.compress(b"1,2,3\n4,5") + gzip.compress(b",6\n")
    good, _, _ = read(DelimitedFormat(kind="delimited", compression="gzip"), content)
    assert good == [(1, "1", "2", "3"), (2, "4", "5", "6")]


def test_f32_a_bomb_is_refused() -> None:
    bomb = gzip.compress(b"\0" * (200 << 20), 9)
    with patch.object(text, "RATIO", 500), pytest.raises(Refused, match="more than 500 to 1"):
        read(DelimitedFormat(kind="delimited", compression="gzip"), bomb)


def test_memory_does_not_grow_with_the_file() -> None:
    seen = [len(rows) for rows in Delimited(io.BytesIO(b"1,2,3\n" * 4_000_000), DelimitedFormat(kind="delimited"), ABC)]
    assert sum(seen) == 4_000_000
    assert max(seen) * 6 <= text.BLOCK + 6


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


def test_rows_know_their_length() -> None:
    assert len(Rows(pa.array([1, 2]), {})) == 2


def test_a_nul_in_a_parquet_text_is_a_row_of_its_own() -> None:
    """A7: as in every other format, the row is rejected and the others stay."""
    file = io.BytesIO()
    pq.write_table(pa.table({"a": ["1", "2", None], "b": ["x", "y\0", "z"], "c": ["p", "q", "r"]}), file)
    good, bad, _ = read(ParquetFile(kind="parquet"), file.getvalue())
    assert good == [(1, "1", "x", "p"), (3, None, "z", "r")]
    assert bad == [(2, "the line holds a NUL character")]


@pytest.mark.parametrize("stray", ["", '9,"a"b,8\n'], ids=["fast", "slow"])
def test_line_ends_inside_values_are_counted(stray: str) -> None:
    """B8: records and lines differ by just these."""
    fmt = DelimitedFormat(kind="delimited", quote='"')
    content = f'1,"2\n2\n2",3\n4,5,6\n{stray}7,"8\n",9\n'
    good, bad, reader = read(fmt, content.encode())
    assert (len(good), len(bad)) == (3, stray.count("\n"))
    assert reader.notes["line ends inside quoted values"] == 3


BOTH_ENDS = {
    "header": {"tag": "H", "fields": ["system"]},
    "trailer": {"tag": "T", "fields": ["record_count", "amount_sum"]},
}


@pytest.mark.parametrize("block", [1, 3, 12, 20, 1000])
def test_comments_stand_before_the_header_and_behind_the_trailer(block: int) -> None:
    """Wherever the blocks end, and with lines numbered as they stand."""
    fmt = TypeAdapter(Format).validate_python({"kind": "delimited", "separator": "|", "comment": "#", **BOTH_ENDS})
    content = b"# made by hand\n#\nH|core\na|b|c\n# in between\n1|2\nd|e|f\nT|3|\n# end of file\n\n# really\n"
    with blocks_of(block):
        good, bad, reader = read(fmt, content)
    assert (good, bad) == ([(4, "a", "b", "c"), (7, "d", "e", "f")], [(6, "2 columns instead of 3")])
    assert (reader.header, reader.trailer) == ({"system": "core"}, {"record_count": "3", "amount_sum": ""})
    with blocks_of(block), pytest.raises(Cut, match="ends in line 7 without its trailer record T"):
        read(fmt, content.replace(b"T|3|\n", b""))


def test_a_separator_that_never_occurs_is_told() -> None:
    fmt = TypeAdapter(Format).validate_python({"kind": "delimited", "separator": "^|^", **BOTH_ENDS})
    told = r"Line 1 begins with 'H\^~\^core', and the separator '\^\|\^' that the source declares does not occur in it\. .*correct the separator in the source"
    with pytest.raises(Refused, match=told) as refusal:
        read(fmt, b"H^~^core\na^~^b^~^c\nT^~^1^~^\n")
    assert refusal.value.cause == "no_header"
    with pytest.raises(Refused, match=r"Line 1 begins with 'a\^'\. Expected the header record H; send"):
        read(fmt, b"a^|^b^|^c\nT^|^1^|^\n")
    only_trailer = fmt.model_copy(update={"header": None})
    with pytest.raises(
        Cut, match=r"line 2 without its trailer record T: it begins with 'T\^~\^1\^~\^', and the separator"
    ):
        read(only_trailer, b"a^|^b^|^c\nT^~^1^~^\n")
    for cut in (b"T^", b"T^|", b"a^|^b"):  # the rest has not come yet
        with pytest.raises(Cut, match=r"line 2 without its trailer record T\. Expected the trailer last") as last:
            read(only_trailer, b"a^|^b^|^c\n" + cut)
        assert last.value.last_whole_line == 1
