"""Encodings that senders declare, decoded and encoded (which there are: jobs/contracts/encodings.py).

Python has no codec of IBM's code page 1388 (simplified Chinese of a mainframe: single bytes, and double bytes between the
bytes shift-out 0E and shift-in 0F). Its table is ibm1388.csv.gz, made by `make_table.py` from glibc's.
"""

from __future__ import annotations

import csv
import gzip
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from jobs.arrival.errors import Refused
from jobs.contracts.encodings import EBCDIC, KNOWN, LINE_SAFE, codec_of

SHIFT_OUT, SHIFT_IN = 0x0E, 0x0F


def codec_name(encoding: str) -> str:
    """Python's name of an encoding that text comes in. Raises Refused for one that nobody here knows."""
    name = codec_of(encoding)
    if name is None:
        raise _unknown(encoding, KNOWN)
    return name


def line_codec_name(encoding: str) -> str:
    """The same for text whose lines are measured in bytes: raises Refused where a line end is not the byte 0A."""
    name = codec_of(encoding)
    if name not in LINE_SAFE:
        raise _unknown(encoding, LINE_SAFE)
    return name


def decode(data: bytes, codec: str) -> str:
    """Strictly. Raises UnicodeDecodeError."""
    return _ibm1388_decode(data) if codec == "ibm1388" else data.decode(codec)


def encode(text: str, codec: str) -> bytes:
    """Strictly. Raises UnicodeEncodeError."""
    return _ibm1388_encode(text) if codec == "ibm1388" else text.encode(codec)


def decode_wide(data: bytes, codec: str) -> str:
    """Double bytes without shifts around them (COBOL's PIC G): of code page 1388, else UTF-16."""
    if codec not in EBCDIC:
        return data.decode("utf-16-be")
    return _ibm1388_decode(bytes([SHIFT_OUT]) + data + bytes([SHIFT_IN]))


class Table(NamedTuple):
    """Byte, or two bytes as one number -> character; and back."""

    single: dict[int, str]
    double: dict[int, str]
    to_single: dict[str, int]
    to_double: dict[str, int]


@cache
def ibm1388() -> Table:
    single: dict[int, str] = {}
    double: dict[int, str] = {}
    with (
        files(__package__).joinpath("ibm1388.csv.gz").open("rb") as packed,
        gzip.open(packed, "rt", encoding="ascii") as lines,
    ):
        for code, point in csv.reader(lines):
            (single if len(code) == 2 else double)[int(code, 16)] = chr(int(point, 16))
    back_single: dict[str, int] = {}
    back_double: dict[str, int] = {}
    for table, back in ((single, back_single), (double, back_double)):
        for number, character in table.items():
            back.setdefault(character, number)
    return Table(single, double, back_single, back_double)


def _ibm1388_decode(data: bytes) -> str:
    table, text, at = ibm1388(), [], 0
    wide = False
    while at < len(data):
        byte = data[at]
        if byte in (SHIFT_OUT, SHIFT_IN):
            if wide == (byte == SHIFT_OUT):
                raise UnicodeDecodeError("ibm1388", data, at, at + 1, "a shift into the state that already is")
            wide = byte == SHIFT_OUT
            at += 1
            continue
        size = 2 if wide else 1
        code = int.from_bytes(data[at : at + size], "big")
        character = (table.double if wide else table.single).get(code)
        if character is None or at + size > len(data):
            raise UnicodeDecodeError("ibm1388", data, at, min(at + size, len(data)), "no such character")
        text.append(character)
        at += size
    if wide:
        raise UnicodeDecodeError("ibm1388", data, len(data) - 1, len(data), "no shift-in at the end")
    return "".join(text)


def _ibm1388_encode(text: str) -> bytes:
    table, data, wide = ibm1388(), bytearray(), False
    for at, character in enumerate(text):
        single, double = table.to_single.get(character), table.to_double.get(character)
        if single is None and double is None:
            raise UnicodeEncodeError("ibm1388", text, at, at + 1, "no such character")
        if wide != (single is None):
            data.append(SHIFT_IN if wide else SHIFT_OUT)
            wide = not wide
        data += bytes([single]) if single is not None else (double or 0).to_bytes(2, "big")
    if wide:
        data.append(SHIFT_IN)
    return bytes(data)


def _unknown(encoding: str, known: set[str]) -> Refused:
    return Refused(
        "unknown_encoding",
        f"The source declares the encoding {encoding}. Expected one of {', '.join(sorted(known))}; correct "
        "format.encoding of the source.",
    )
