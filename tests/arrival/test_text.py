"""Bytes become UTF-8 strictly, and come back the same where a table has two codes for a character; compressed ones within bounds."""

from __future__ import annotations

import codecs
import gzip
import io
from collections import Counter
from contextlib import suppress
from itertools import product
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.arrival import text
from jobs.arrival.encodings import line_codec_name
from jobs.arrival.errors import Refused
from jobs.contracts.encodings import ONE_TO_ONE
from jobs.contracts.formats import Delimited as DelimitedFormat
from tests.arrival.reading import read


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


@pytest.mark.parametrize("codec", ["gbk", "gb18030", "utf-16", "utf-8"])
def test_text_without_lines_is_decoded_once_where_codes_are_one_to_one(codec: str) -> None:
    stream = io.BytesIO("<a>张三</a>".encode(codec))
    with patch.object(text, "to_utf8", side_effect=AssertionError("decoded a second time")):
        assert b"".join(text.transcoded(stream, None, codec, Counter())) == "<a>张三</a>".encode()


def test_text_without_lines_is_compared_where_a_character_has_two_codes() -> None:
    with pytest.raises(Refused, match="Round trip failed at byte 3, line 1: a1 fe became a2 41"):
        list(text.transcoded(io.BytesIO(b"<a>\xa1\xfe"), None, "big5", Counter()))


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
