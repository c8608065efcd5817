"""From bytes to blocks of whole lines in UTF-8, in constant memory, with every line counted."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from jobs.arrival.errors import Cut, Refused

BLOCK = 8 << 20  # bytes; large enough that the parser works at full speed
LONGEST_LINE = 64 << 20
# Only in these does a byte 0x0A always mean the end of a line, so that lines can be cut before they are decoded.
LINE_SAFE = {
    "ascii",
    "utf-8",
    "gbk",
    "gb18030",
    "gb2312",
    "big5",
    "cp1250",
    "cp1252",
    "cp936",
    "iso8859-1",
    "iso8859-2",
    "latin-1",
}
BOM = codecs.BOM_UTF8
PACKED_BITE = 64 << 10
RATIO = 1_000  # clear bytes a compressed byte: DEFLATE cannot honestly do much better
FREE = 64 << 20  # clear bytes for which the ratio is not looked at


@dataclass(frozen=True)
class Block:
    """Whole lines. `offset` is the place of the first byte in the (decompressed) file, `line` the number of the first
    line (from 1).
    """

    data: bytes
    offset: int
    line: int
    last: bool

    @property
    def last_line(self) -> int:
        return self.line + self.data.count(b"\n") - self.data.endswith(b"\n")


def blocks(stream: BinaryIO, compression: str | None = None) -> Iterator[Block]:
    """Cuts a stream after line ends. The last block is marked; an empty file gives one empty block."""
    rest = b""
    offset, line = 0, 1
    held: Block | None = None
    for data in _clear(stream, compression, BLOCK):
        data = rest + data if rest else data
        end = data.rfind(b"\n") + 1
        if not end and len(data) > LONGEST_LINE:
            raise Refused(
                "endless_line",
                f"Line {line} is longer than {LONGEST_LINE >> 20} MiB. Expected lines that end; check the line ends of "
                "the file and send it again.",
            )
        rest = data[end:]
        if not end:
            continue
        whole = data[:end]
        if held:
            yield held
        held = Block(whole, offset, line, last=False)
        offset += end
        line += whole.count(b"\n")
    if held and not rest:
        yield Block(held.data, held.offset, held.line, last=True)
        return
    if held:
        yield held
    yield Block(rest, offset, line, last=True)


def beginning(stream: BinaryIO, compression: str | None, size: int = 1 << 16) -> bytes:
    """The first clear bytes, as far as they can be read: to look at names before anything is kept."""
    head = stream.read(size)
    if compression is None:
        return head
    try:
        return zlib.decompressobj(wbits=31).decompress(head, size)
    except zlib.error:
        return b""  # the reader will say what is wrong with it


def _clear(stream: BinaryIO, compression: str | None, size: int) -> Iterator[bytes]:
    if compression is None:
        while data := stream.read(size):
            yield data
        return
    packed = unpacked = ready = 0
    parts: list[bytes] = []
    inflate = zlib.decompressobj(wbits=31)
    # Small bites: what one of them can become is bounded, even in a file made to burst.
    while data := stream.read(PACKED_BITE):
        packed += len(data)
        while data:
            if inflate.eof:
                # gzip files may be several members, one after another.
                inflate = zlib.decompressobj(wbits=31)
            try:
                clear = inflate.decompress(data)
            except zlib.error as error:
                raise Refused(
                    "bad_gzip",
                    f"The file is not gzip near byte {packed} ({error}). Expected a .gz file; pack it again and send "
                    "it again.",
                ) from error
            data = inflate.unused_data
            unpacked += len(clear)
            ready += len(clear)
            parts.append(clear)
        if unpacked > FREE and unpacked > packed * RATIO:
            raise Refused(
                "bomb",
                f"{packed} packed bytes became {unpacked}, more than {RATIO} to 1. Expected an ordinary file; ask the "
                "sender what this is.",
            )
        if ready >= size:
            yield b"".join(parts)
            parts, ready = [], 0
    if ready:
        yield b"".join(parts)
    if not inflate.eof:
        raise Cut(
            f"The gzip stream ends after {packed} bytes without its end mark. Expected a whole file; send it again."
        )


def codec_name(encoding: str) -> str:
    """Python's name of an encoding that may be cut into lines. Raises Refused for one that may not, or that nobody
    knows.
    """
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        name = ""
    if name == "utf-8-sig":
        name = "utf-8"
    if name not in LINE_SAFE:
        raise Refused(
            "unknown_encoding",
            f"The source declares the encoding {encoding}. Expected one of {', '.join(sorted(LINE_SAFE))}; correct "
            "format.encoding of the source.",
        )
    return name


def to_utf8(data: bytes, codec: str, offset: int, line: int) -> bytes:
    """Strictly decoded, as UTF-8. `offset` and `line` say where `data` begins, for the message.

    Raises Refused(bad_byte), and Refused(round_trip) when encoding again does not give the same bytes: two tables of
    one name differ.
    """
    if data.isascii() or (codec == "utf-8" and _is_utf8(data)):
        return data
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        raise bad_byte(data, error, codec, offset, line) from error
    again = text.encode(codec)
    if again != data:
        at = next(i for i, (a, b) in enumerate(zip(data, again, strict=False)) if a != b)
        where = f"byte {offset + at}, line {line + data.count(bytes([10]), 0, at)}"
        found = f"{data[at : at + 4].hex(' ')} became {again[at : at + 4].hex(' ')}"
        raise Refused(
            "round_trip",
            f"Round trip failed at {where}: {found}. Expected bytes that {codec} writes the same way; "
            f"agree the encoding with the sender (GB18030 declared as GBK?).",
        )
    return text.encode("utf-8")


def _is_utf8(data: bytes) -> bool:
    """As strict as Python's decoder, several times as fast."""
    ends = pa.array([0, len(data)], pa.int32()).buffers()[1]
    try:
        pa.StringArray.from_buffers(1, ends, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def bad_byte(data: bytes, error: UnicodeDecodeError, codec: str, offset: int, line: int) -> Refused:
    at_line = line + data.count(b"\n", 0, error.start)
    column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
    found = data[error.start : error.end + 1].hex(" ")
    return Refused(
        "bad_byte",
        f"Bytes {found} at byte {offset + error.start} (line {at_line}, byte {column} of the line) are not {codec}. "
        "Expected text in the declared encoding throughout; ask the sender for the file in that encoding.",
    )
