"""Each format of lines reads back what was written, for any content and however the blocks fall; and says of a bad line what is
wrong with it.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from jobs.arrival import text
from jobs.arrival.errors import Cut, Refused
from jobs.arrival.formats import format_module
from jobs.arrival.formats.delimited import Reader as Delimited
from jobs.arrival.records import Rows
from jobs.contracts.formats import Delimited as DelimitedFormat
from jobs.contracts.formats import FixedWidth, Format, JsonLines
from tests.arrival.reading import ABC, CELL, HAN, blocks_of, columns, quick, read


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


@pytest.mark.parametrize("block", [20, 1 << 20])
def test_keys_that_no_column_reads_are_counted_by_name(block: int) -> None:
    """`whole` is a column with all that is in it; what is below an unread key is not looked at; a number may be a person's."""
    lines = [
        {"id": 1, "payload": {"amount": 1.5, "coupon": "x"}, "whole": {"deep": 1}, "extra": {"below": 1}},
        {"id": 2, "payload": {"amount": 2.5, "coupon": "y", "13800138000": 1}},
        {"id": 3, "payload": "none", "張三": 1, "extra": 2},
    ]
    content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    wanted = columns(id={}, amount={"from": "payload.amount"}, whole={}, deep={"from": "whole.deep"})
    with blocks_of(block):
        _, bad, reader = read(JsonLines(kind="json_lines"), content, wanted)
    assert bad == []
    assert dict(reader.notes) == {
        "the key extra is read by no column": 2,
        "the key payload.coupon is read by no column": 2,
        "a key that is no name is read by no column": 2,
    }


def test_of_many_keys_that_no_column_reads_twenty_are_told() -> None:
    content = json.dumps({"a": 1, **{f"key_{n}": n for n in range(100)}}).encode()
    _, _, reader = read(JsonLines(kind="json_lines"), content, columns(a={}))
    assert sum(reader.notes.values()) == len(reader.notes) == 20


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


@pytest.mark.parametrize("names", ['"', 'a,"b', '"a,b,c', 'a,"b"",c'])
def test_names_with_a_quote_that_is_not_closed_are_refused(names: str) -> None:
    """They were looked at for ever, and no other file was taken meanwhile."""
    fmt = DelimitedFormat.model_validate({"kind": "delimited", "quote": '"', "columnLine": True})
    content = f"{names}\n1,2,3\n".encode()
    assert format_module("delimited").column_names(io.BytesIO(content), fmt)
    with pytest.raises(Refused, match="A quote opened in line 1 is not closed there") as no:
        read(fmt, content, ABC)
    assert no.value.cause == "open_quote"


def test_memory_does_not_grow_with_the_file() -> None:
    seen = [len(rows) for rows in Delimited(io.BytesIO(b"1,2,3\n" * 4_000_000), DelimitedFormat(kind="delimited"), ABC)]
    assert sum(seen) == 4_000_000
    assert max(seen) * 6 <= text.BLOCK + 6


def test_rows_know_their_length() -> None:
    assert len(Rows(pa.array([1, 2]), {})) == 2


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


@pytest.mark.parametrize(("declared", "sent"), [("|@|", "|+|"), ("|+|", "||"), ("^|^", "|~|")])
def test_a_plain_bar_does_not_cut_through_another_separator(declared: str, sent: str) -> None:
    fmt = TypeAdapter(Format).validate_python({"kind": "delimited", "separator": declared, **BOTH_ENDS})
    lines = [["H", "core", "b01"], ["a", "b", "c"], ["T", "1", "5.00"]]
    with pytest.raises(
        Refused, match=f"and the separator {re.escape(repr(declared))} that the source declares does not"
    ):
        read(fmt, "\n".join(sent.join(line) for line in lines).encode())
    with pytest.raises(Cut, match="does not occur in it"):
        read(fmt.model_copy(update={"header": None}), f"{declared.join('abc')}\nT{sent}1{sent}5.00\n".encode())
    # A plain one is as good as the file's own.
    _, _, reader = read(fmt, f"H|core\n{declared.join('abc')}\nT|1|-\n".encode())
    assert (reader.header, reader.trailer) == ({"system": "core"}, {"record_count": "1", "amount_sum": "-"})


@pytest.mark.parametrize("kind", ["delimited", "fixed_width"])
def test_of_an_empty_file_no_separator_is_blamed(kind: str) -> None:
    fmt = TypeAdapter(Format).validate_python({"kind": kind, **BOTH_ENDS})
    wanted = columns(a={"width": 1})
    with pytest.raises(Refused, match=r"^The file is empty\. Expected the header record H first; send the whole file"):
        read(fmt, b"", wanted)
    packed = fmt.model_copy(update={"compression": "gzip"})
    with pytest.raises(Refused, match=r"^The file is empty\. Expected the header record H first"):
        read(packed, gzip.compress(b""), wanted)
    if kind == "delimited":
        remarked = fmt.model_copy(update={"comment": "#"})
        with pytest.raises(
            Refused, match=r"^The file ends before line 2: it holds comments only\. Expected the header"
        ):
            read(remarked, b"# nothing today\n", wanted)
