"""Values as COBOL stores them, a column of records at a time: (text of each value, which of them is not what its picture says)."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrival.encodings import codec_name, decode, decode_wide
from jobs.arrival.text import assigned
from jobs.contracts.copybook import Picture
from jobs.contracts.encodings import EBCDIC

PADDING = " \0\u3000"  # the blank of double bytes too: 4040 in code page 1388
SINGLE = {"ascii", "cp1250", "cp1252", "iso8859-1", "iso8859-2"}  # one byte a character


class Fields:
    """Values of the fields of one file. `notes`: where characters that nobody knows are counted."""

    def __init__(self, encoding: str, notes: Counter[str]):
        self._encoding, self._notes = encoding, notes
        self._codec = codec_name(encoding)
        self._ebcdic = self._codec in EBCDIC
        self.fillers = b"\x40\0" if self._ebcdic else b" \0"  # the bytes that programs fill records up with

    def values(self, field: np.ndarray, picture: Picture) -> tuple[pa.Array, np.ndarray]:
        """(text of each value, which of them is not what the picture says)."""
        if picture.kind == "packed":
            return packed(field, picture)
        if picture.kind == "binary":
            return binary(field, picture)
        if picture.kind == "zoned":
            return zoned(field, picture, ebcdic=self._ebcdic)
        return self._texts(field, wide=picture.kind == "wide")

    def _texts(self, field: np.ndarray, *, wide: bool) -> tuple[pa.Array, np.ndarray]:
        points = None if wide else _code_points(self._codec)
        if points is not None and field.size and (plain := points[field]).max() < 0x80:
            return _plain_texts(plain.astype(np.uint8))
        width = field.shape[1]
        joined = np.ascontiguousarray(field).tobytes()
        values: list[str | None] = []
        wrong = np.zeros(len(field), bool)
        for at in range(len(field)):
            raw = joined[at * width : (at + 1) * width]
            try:
                text = decode_wide(raw, self._codec) if wide else decode(raw, self._codec)
            except UnicodeError:
                wrong[at] = True
                values.append(None)
                continue
            text = assigned(text.strip(PADDING).encode(), self._notes).decode()
            wrong[at] = "\0" in text
            values.append(text or None)
        return pa.array(values, pa.string()), wrong

    def expected(self, picture: Picture) -> str:
        if picture.kind in ("text", "wide"):
            return f"not {self._encoding}, or with a NUL inside"
        words = {
            "packed": "a packed decimal with its sign in the last half byte",
            "zoned": "digits",
            "binary": "a binary number",
        }
        return f"expected {words[picture.kind]} ({picture.digits} digits{', signed' if picture.signed else ''})"


def packed(field: np.ndarray, picture: Picture) -> tuple[pa.Array, np.ndarray]:
    nibbles = np.stack([field >> 4, field & 0x0F], axis=2).reshape(len(field), -1)
    digits, sign = nibbles[:, :-1], nibbles[:, -1]
    # Where the digits are even in number, half a byte before them is not one of them.
    wrong = (digits > 9).any(axis=1) | (sign < 10) | (digits[:, : -picture.digits] != 0).any(axis=1)
    return _numbers(digits[:, -picture.digits :], (sign == 0x0B) | (sign == 0x0D), picture, wrong), wrong


def zoned(field: np.ndarray, picture: Picture, *, ebcdic: bool) -> tuple[pa.Array, np.ndarray]:
    """Digits, one a byte. A program that moves text there leaves it padded with blanks or low values: the digits count."""
    blank, zero = (0x40, 0xF0) if ebcdic else (0x20, 0x30)
    padding = (field == blank) | (field == 0)
    absent = padding.all(axis=1)
    padded = padding.any(axis=1) & ~absent
    if padded.any():
        field = field.copy()
        for at in np.flatnonzero(padded).tolist():
            given = field[at].tobytes().strip(bytes([blank, 0]))
            field[at] = np.frombuffer(given.rjust(field.shape[1], bytes([zero])), np.uint8)
    negative = wrong = np.zeros(len(field), bool)
    body = field
    if picture.sign.endswith("separate"):
        leading = picture.sign.startswith("leading")
        mark = field[:, 0] if leading else field[:, -1]
        body = field[:, 1:] if leading else field[:, :-1]
        plus, minus = (0x4E, 0x60) if ebcdic else (0x2B, 0x2D)
        negative, wrong = mark == minus, (mark != minus) & (mark != plus)
    digits = body - np.uint8(zero)
    if picture.signed and not picture.sign.endswith("separate"):
        at = 0 if picture.sign == "leading" else -1
        digit, negative, wrong = _overpunched(body[:, at], ebcdic=ebcdic)
        digits[:, at] = digit
    wrong = (wrong | (digits > 9).any(axis=1)) & ~absent
    return _numbers(digits, negative, picture, wrong | absent), wrong


def _overpunched(last: np.ndarray, *, ebcdic: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(digit, is it negative, is it no signed digit) of the byte that holds a digit and the sign."""
    if ebcdic:
        zone, digit = last >> 4, last & 0x0F
        return digit, (zone == 0x0B) | (zone == 0x0D), (zone < 0x0A) | (digit > 9)
    table = np.full(256, 0xFF, np.uint8)
    minus = np.zeros(256, bool)
    for n in range(10):
        table[[0x30 + n, ord("{ABCDEFGHI"[n])]] = n
        table[[0x70 + n, ord("}JKLMNOPQR"[n])]] = n
        minus[[0x70 + n, ord("}JKLMNOPQR"[n])]] = True
    return table[last], minus[last], table[last] > 9


def binary(field: np.ndarray, picture: Picture) -> tuple[pa.Array, np.ndarray]:
    kind = f">{'i' if picture.signed else 'u'}{picture.length}"
    numbers = np.ascontiguousarray(field).view(kind).reshape(-1)
    texts = []
    for number in numbers.tolist():
        digits = str(abs(number)).rjust(max(picture.digits, picture.scale + 1), "0")
        texts.append(("-" if number < 0 else "") + _pointed(digits, picture.scale))
    return pa.array(texts, pa.string()), np.zeros(len(field), bool)


def _numbers(digits: np.ndarray, negative: np.ndarray, picture: Picture, absent: np.ndarray) -> pa.Array:
    """Text of numbers given as digits, one row each; null where `absent`."""
    number, width = digits.shape
    characters = digits.astype(np.uint8) + np.uint8(0x30)
    if picture.scale < 0:
        characters = np.concatenate([characters, np.full((number, -picture.scale), 0x30, np.uint8)], axis=1)
    elif picture.scale > 0:
        if picture.scale >= width:
            characters = np.concatenate(
                [np.full((number, picture.scale + 1 - width), 0x30, np.uint8), characters], axis=1
            )
        at = characters.shape[1] - picture.scale
        characters = np.insert(characters, at, 0x2E, axis=1)
    characters = np.insert(characters, 0, 0x2D, axis=1)
    shown = np.ones(characters.shape, bool)
    shown[:, 0] = negative
    shown[absent] = False
    ends = np.concatenate([[0], np.cumsum(shown.sum(axis=1))]).astype(np.int32)
    made = pa.StringArray.from_buffers(number, pa.py_buffer(ends), pa.py_buffer(characters[shown]))
    return pc.if_else(pa.array(absent), pa.scalar(None, pa.string()), made) if absent.any() else made


def _pointed(digits: str, scale: int) -> str:
    if scale < 0:
        return digits + "0" * -scale
    return f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits


@cache
def _code_points(codec: str) -> np.ndarray | None:
    """Code point of each byte; None where a character may be of several bytes, or a byte of none."""
    if codec not in EBCDIC | SINGLE or codec == "ibm1388":
        return None
    points = [bytes([byte]).decode(codec, errors="replace") for byte in range(256)]
    return np.array([ord(point) for point in points], np.uint32)


def _plain_texts(characters: np.ndarray) -> tuple[pa.Array, np.ndarray]:
    """Texts of ASCII characters, one row each, without padding."""
    number, width = characters.shape
    ends = np.arange(number + 1, dtype=np.int32) * width
    data = np.ascontiguousarray(characters)
    values = pc.utf8_trim(pa.StringArray.from_buffers(number, pa.py_buffer(ends), pa.py_buffer(data)), PADDING)
    holds_nul = (characters == 0).any(axis=1)
    wrong = np.zeros(number, bool)
    if holds_nul.any():
        wrong = pc.match_substring(values, "\0").to_numpy(zero_copy_only=False)
    return pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values), wrong
