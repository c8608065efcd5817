"""Encodings other than those that may be cut into lines: UTF-16, mainframe code pages; private-use characters; plain digits."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.arrival import text
from jobs.arrival.encodings import decode, encode, ibm1388, make_table
from jobs.arrival.errors import Cut, Refused
from jobs.arrival.formats import format_module
from jobs.arrival.plain import plainly
from jobs.arrival.records import Rows
from jobs.contracts.column import Column
from jobs.contracts.encodings import EBCDIC, KNOWN, LINE_SAFE
from jobs.contracts.formats import Delimited, JsonLines
from tests.arrival.conftest import bronze

AB = {n: Column(type="string", classification="C1/2") for n in ("a", "b")}


def read(fmt: Any, content: bytes) -> tuple[list[tuple[Any, ...]], Any]:
    reader = format_module(fmt.kind).Reader(io.BytesIO(content), fmt, AB)
    rows = [
        row
        for part in reader
        for row in zip(part.lines.to_pylist(), *(part.columns[n].to_pylist() for n in AB), strict=True)
    ]
    return rows, reader


def delimited(encoding: str, **more: Any) -> Delimited:
    return Delimited.model_validate({"kind": "delimited", "separator": "|", "encoding": encoding, **more})


# U+0A41 and others hold the byte 0A, U+007C7C two bytes that look like separators.
WORDS = st.text("张三億誠AB0ੁ簼", max_size=5)


@given(
    st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=8),
    st.sampled_from(["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"]),
    st.integers(1, 40),
)
def test_text_of_any_encoding_is_read_back(table: list[tuple[str, str]], encoding: str, block: int) -> None:
    content = "".join(f"{a}|{b}\r\n" for a, b in table).encode(encoding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "BLOCK", block)
        rows, _ = read(delimited(encoding), content)
    assert rows == [(n, a or None, b or None) for n, (a, b) in enumerate(table, 1)]


@given(
    st.lists(st.tuples(st.text("张三工商ABC019 ", max_size=5), st.text("AB.-", max_size=3)), min_size=1, max_size=8),
    st.sampled_from([b"\x15", b"\x25"]),
    st.integers(1, 30),
)
def test_lines_of_a_mainframe_are_read_back(table: list[tuple[str, str]], end: bytes, block: int) -> None:
    content = b"".join(encode(f"{a};{b}", "ibm1388") + end for a, b in table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "BLOCK", block)
        rows, _ = read(delimited("ibm1388", separator=";"), content)
    assert rows == [(n, a or None, b or None) for n, (a, b) in enumerate(table, 1)]


# Characters whose second byte is | or \ among them; 碁, 恒 and 裏 are in the Big5 of Windows and of Hong Kong only, 嘅 is in that of Hong Kong.
TAIWAN = {
    "big5": "香港功許育",
    "cp950": "香港功許育碁恒裏",
    "big5hkscs": "香港功許育碁恒裏嘅",
    "gbk": "张三億誠",
    "gb2312": "张三",
}


@pytest.mark.parametrize("encoding", TAIWAN)
@given(data=st.data(), block=st.integers(1, 40))
def test_chinese_of_each_encoding_is_read_back(encoding: str, data: st.DataObject, block: int) -> None:
    words = st.text(st.sampled_from(TAIWAN[encoding] + "AB0\\"), max_size=5)
    table = data.draw(st.lists(st.tuples(words, words), min_size=1, max_size=8))
    content = "".join(f"{a}|{b}\n" for a, b in table).encode(encoding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "BLOCK", block)
        rows, _ = read(delimited(encoding), content)
    assert rows == [(n, a or None, b or None) for n, (a, b) in enumerate(table, 1)]


def test_characters_of_big5_have_second_bytes_that_look_like_separators() -> None:
    assert ("功".encode("big5")[1:], "育".encode("big5")[1:]) == (b"\\", b"|")
    with pytest.raises(Refused, match="are not big5"):
        read(delimited("big5"), "恒|生\n".encode("cp950"))


@pytest.mark.parametrize(
    ("declared", "content", "hint"),
    [
        ("big5", "1|功\n2|碁\n".encode("cp950"), "Bytes f9 d6 at byte 7 (line 2, byte 3 of the line) are not big5. "),
        (
            "big5",
            "碁".encode("cp950"),
            ", or declare cp950 or big5hkscs, which read them, if that is what the sender writes.",
        ),
        (
            "big5",
            "嘅|生\n".encode("big5hkscs"),
            ", or declare big5hkscs, which reads them, if that is what the sender writes.",
        ),
        (
            "gbk",
            "㐀|1\n".encode("gb18030"),
            ", or declare gb18030, which reads them, if that is what the sender writes.",
        ),
        (
            "gb2312",
            "碁|1\n".encode("gbk"),
            ", or declare gbk or gb18030, which read them, if that is what the sender writes.",
        ),
        (
            "big5",
            "碁|".encode("cp950") + b"\xff\n",
            "ask the sender for the file in that encoding.",
        ),  # none reads its line
        ("gb18030", b"\xff|1\n", "ask the sender for the file in that encoding."),
        ("utf-8", "碁|1\n".encode("cp950"), "ask the sender for the file in that encoding."),
    ],
)
def test_a_byte_that_a_wider_encoding_has_names_that_encoding(declared: str, content: bytes, hint: str) -> None:
    with pytest.raises(Refused) as refusal:
        read(delimited(declared), content)
    assert refusal.value.cause == "bad_byte"
    assert hint in refusal.value.reason if hint.startswith("Bytes") else refusal.value.reason.endswith(hint)


@pytest.mark.parametrize("encoding", sorted(LINE_SAFE))
def test_the_byte_0a_is_a_line_end_and_never_part_of_a_character(encoding: str) -> None:
    for first in range(0x80, 0x100):
        for before in (b"", b"\x81\x30"):  # of four bytes in GB18030, too
            shown = (before + bytes([first]) + b"\n").decode(encoding, errors="replace")
            assert shown.endswith("\n"), (encoding, first)


@pytest.mark.parametrize("encoding", sorted(KNOWN))
def test_each_encoding_that_may_be_declared_is_read(encoding: str) -> None:
    end = b"\x25" if encoding in EBCDIC else b""
    content = b"".join(encode(f"A{n};B{n}" + ("" if end else "\n"), encoding) + end for n in (1, 2))
    if encoding == "utf-16":
        content = "A1;B1\nA2;B2\n".encode(encoding)
    rows, _ = read(delimited(encoding, separator=";"), content)
    assert rows == [(1, "A1", "B1"), (2, "A2", "B2")]


def test_json_lines_in_utf_16() -> None:
    rows, _ = read(JsonLines(kind="json_lines", encoding="utf-16"), '{"a":"张"}\n{"b":12.50}\n'.encode("utf-16"))
    assert rows == [(1, "张", None), (2, None, "12.50")]


def test_utf_16_without_its_mark_is_refused_and_not_guessed() -> None:
    with pytest.raises(Refused, match=r"begins with 61 00, which is no byte order mark .* declare utf-16-le or"):
        read(delimited("utf-16"), "a|b\n".encode("utf-16-le"))
    assert read(delimited("utf-16-le"), "a|b\n".encode("utf-16-le"))[0] == [(1, "a", "b")]


def test_half_a_character_is_a_cut_file_and_a_half_of_a_pair_a_bad_byte() -> None:
    content = "a|b\nc|d\n".encode("utf-16-le")
    with pytest.raises(Cut, match=r"ends within a character \(byte 15\)"):
        read(delimited("utf-16-le"), content[:-1])
    with pytest.raises(Refused, match=r"Bytes 00 d8 .* at byte 8 \(line 2, byte"):
        read(delimited("utf-16-le"), content[:8] + b"\x00\xd8" + content[8:])


def test_a_mainframe_file_without_line_ends_is_refused_and_lines_are_counted_by_its_own() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "BLOCK", 1000)
        patch.setattr(text, "LONGEST_LINE", 5000)
        with pytest.raises(Refused, match="Line 1 is longer"):
            read(delimited("ibm1388"), b"\xc1" * 20_000)
    with pytest.raises(Refused, match=r"\(line 3, byte 3 of the line\)"):
        read(delimited("ibm1388"), b"\xc1\x4f\xc2\x25" * 2 + b"\xc1\x0e\xff\xff\x0f\x25")


def test_an_empty_pair_of_shifts_is_told_and_no_crash() -> None:
    with pytest.raises(Refused, match="Round trip failed at byte 3"):
        read(delimited("ibm1388"), b"\xc1\x4f\xc2\x0e\x0f")


def test_bytes_that_a_code_page_does_not_have_are_refused() -> None:
    for raw, told in (
        (b"\x0e\x41", "no shift-in|no such character"),
        (b"\x0e\x0e\x0f", "already"),
        (b"\x0e\xff\xff\x0f", "no such character"),
        (b"\x0f", "already"),
    ):
        with pytest.raises(UnicodeDecodeError, match=told):
            decode(raw, "ibm1388")
    with pytest.raises(UnicodeEncodeError, match="no such character"):
        encode("😀", "ibm1388")
    with pytest.raises(Refused, match="are not ibm1388"):
        read(delimited("ibm1388"), b"\xc1\x4f\xc2\x25\x0e\xff\xff\x0f\x25")


@given(st.binary(max_size=40))
def test_what_is_decoded_is_encoded_again_or_refused(content: bytes) -> None:
    try:
        shown = decode(content, "ibm1388")
    except UnicodeDecodeError:
        return
    assert decode(encode(shown, "ibm1388"), "ibm1388") == shown


@pytest.mark.skipif(shutil.which("iconv") is None, reason="no iconv here to compare with")
def test_the_shipped_table_is_iconvs() -> None:
    known = subprocess.run(["iconv", "-l"], capture_output=True, text=True, check=False).stdout
    if "IBM1388" not in known:
        pytest.skip("this iconv has no IBM1388")
    table = ibm1388()
    shipped = {f"{code:02x}": c for code, c in table.single.items()} | {
        f"{code:04x}": c for code, c in table.double.items()
    }
    assert shipped == {code: chr(int(point, 16)) for code, point in make_table.table()}


def test_one_table_of_private_use_characters_for_all_encodings() -> None:
    # FE59 was private use in the standard of 2000 and is a character since.
    for encoding, raw in (("gb18030", b"\xfe\x59"), ("utf-8", "\ue81e".encode())):
        rows, reader = read(delimited(encoding), b"x|" + raw + b"\n")
        assert rows == [(1, "x", "\u9fb4")]
        assert reader.notes == Counter()


def test_private_use_characters_that_nobody_knows_are_noted() -> None:
    rows, reader = read(delimited("utf-8"), "\ue123张|\ue123\n".encode())
    assert rows == [(1, "\ue123张", "\ue123")]
    assert reader.notes == Counter({"private-use character U+E123": 2})


# --- numbers in plain digits ------------------------------------------------------------------------------------------

TYPED = bronze(
    "t",
    ["a"],
    {
        "a": ["string!", {"classification": "C1/2"}],
        "amount": ["decimal(18,2)", {"classification": "C1/2"}],
        "signed": ["decimal(18,2)", {"classification": "C1/2", "parse": "zoned implied(2)"}],
        "phone": ["string", {"classification": "C2/3", "identifies": "phone"}],
    },
)


def plain(**given_values: list[str | None]) -> tuple[dict[str, list[str | None]], Counter[str]]:
    number = len(next(iter(given_values.values())))
    columns = {n: pa.array(given_values.get(n, [None] * number), pa.string()) for n in TYPED.columns}
    notes: Counter[str] = Counter()
    rows = Rows(pa.array(range(number)), columns)
    plainly(rows, TYPED, notes)
    return {n: rows.columns[n].to_pylist() for n in given_values}, notes


def test_full_width_digits_are_plain_where_a_number_is_expected() -> None:
    found, notes = plain(a=["１２"], amount=["－１２．５０"], phone=["１３８ 0013\u200b8000"])
    assert found == {"a": ["１２"], "amount": ["-12.50"], "phone": ["138 00138000"]}
    assert notes == Counter(
        {
            "full-width characters made plain in amount": 1,
            "full-width characters made plain in phone": 1,
            "marks of no width taken out of phone": 1,
        }
    )


def test_marks_of_no_width_in_a_text_are_counted_and_stay() -> None:
    found, notes = plain(a=["张\u200b三", "李四", "\ufeff王"])
    assert found["a"] == ["张\u200b三", "李四", "\ufeff王"]
    assert notes == Counter({"marks of no width in a": 2})


@pytest.mark.parametrize(
    ("shown", "read_as"),
    [
        ("123D", "1234"),
        ("123M", "-1234"),
        ("12{", "120"),
        ("12}", "-120"),
        ("00q", "-001"),
        ("129", "129"),
        ("1A2B", "1A2B"),
        ("", ""),
        (None, None),
    ],
)
def test_zoned_digits(shown: str | None, read_as: str | None) -> None:
    assert plain(signed=[shown])[0] == {"signed": [read_as]}


@given(st.integers(-(10**12), 10**12))
def test_every_zoned_number_is_read_back(number: int) -> None:
    digits = str(abs(number))
    last = ("}JKLMNOPQR" if number < 0 else "{ABCDEFGHI")[int(digits[-1])]
    assert int(plain(signed=[digits[:-1] + last])[0]["signed"][0] or "x") == number


def test_a_bad_byte_far_inside_a_block_is_found_at_its_place() -> None:
    """A block is decoded in pieces: places are those of the file all the same."""
    line = "一行文字|1\n".encode("gb18030")
    many = 2 * text.PIECE // len(line) + 3
    whole = line * many + b"\xff|2\n" + line
    with pytest.raises(Refused) as refusal:
        list(text.texts(io.BytesIO(whole), None, "gb18030"))
    assert refusal.value.cause == "bad_byte"
    assert f"at byte {len(line) * many} (line {many + 1}, byte 1 of the line)" in str(refusal.value)
    read = list(text.texts(io.BytesIO(line * many), None, "gb18030"))
    assert b"".join(block.data for block in read) == ("一行文字|1\n" * many).encode()
    assert (read[0].line, read[-1].last_line) == (1, many)
