"""From bytes to blocks of whole lines in UTF-8, in constant memory, with every line counted."""

from __future__ import annotations

import codecs
import re
import zlib
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from jobs.arrival.aside import ahead
from jobs.arrival.encodings import decode, encode
from jobs.arrival.errors import Cut, Refused
from jobs.bursting import RATIO, bursts
from jobs.contracts.encodings import EBCDIC, LINE_SAFE, ONE_TO_ONE, UTF_16, readers_of
from jobs.privacy.kinds import PRIVATE_USE

BLOCK = 8 << 20  # bytes; large enough that the parser works at full speed
PIECE = 256 << 10
LONGEST_LINE = 64 << 20
BOM = codecs.BOM_UTF8
ENDS_OF_MAINFRAME = (b"\x15", b"\x25")
NEXT_LINE = "\x85".encode()  # ends lines of mainframe text
MARKED = "byte order mark taken off"
PACKED_BITE = 64 << 10
PRIVATE = re.compile(b"\xee[\x80-\xbf][\x80-\xbf]|\xef[\x80-\xa3][\x80-\xbf]")  # U+E000 to U+F8FF in UTF-8
ASSIGNED = {chr(point).encode(): character.encode() for point, character in PRIVATE_USE.items()}


@dataclass(frozen=True)
class Block:
    """Whole lines. `offset` is the place of the first byte in the (decompressed) file, `line` the number of the first
    line (from 1). `codec` is that of `data`.
    """

    data: bytes
    offset: int
    line: int
    last: bool
    codec: str

    @property
    def last_line(self) -> int:
        return self.line + self.data.count(b"\n") - self.data.endswith(b"\n")


class Text(NamedTuple):
    """Whole lines, strictly decoded to UTF-8, without a mark at the file's beginning, private-use characters that have an assigned one mapped and the
    others noted. `line`: the number of the first; `last_line`: that of the file's last, where it is here.
    """

    data: bytes
    line: int
    last_line: int | None
    notes: Counter[str]


def texts(stream: BinaryIO, compression: str | None, codec: str) -> Generator[Text]:
    """A stream in blocks of whole lines, decoded one block ahead: while one is split and written, the next is read. An empty file gives one empty block."""
    return ahead(_decoded_block(block) for block in blocks(stream, compression, codec))


def _decoded_block(block: Block) -> Text:
    notes: Counter[str] = Counter()
    data = b"".join(_piecewise(block))
    if block.line == 1 and data.startswith(BOM):
        data = data.removeprefix(BOM)
        notes[MARKED] += 1
    return Text(assigned(data, notes), block.line, block.last_line if block.last else None, notes)


def _piecewise(block: Block) -> Iterator[bytes]:
    """A block in UTF-8, decoded in pieces of whole lines that a processor's cache holds: an eighth less of work."""
    if block.codec == "utf-8":
        yield to_utf8(block.data, block.codec, block.offset, block.line)
        return
    at, line = 0, block.line
    while at < len(block.data):
        end = block.data.find(b"\n", at + PIECE) + 1 or len(block.data)
        piece = block.data[at:end]
        yield to_utf8(piece, block.codec, block.offset + at, line)
        at, line = end, line + piece.count(b"\n")


def blocks(stream: BinaryIO, compression: str | None, codec: str) -> Iterator[Block]:
    """Cuts a stream after line ends. The last block is marked; an empty file gives one empty block.

    Text in which a byte 0A may be part of a character is decoded first; its blocks are UTF-8, their offsets count those bytes.
    """
    rest = b""
    offset, line = 0, 1
    held: Block | None = None
    pieces = clear(stream, compression, BLOCK)
    if codec not in LINE_SAFE:
        pieces, codec = _decoded(pieces, codec), "utf-8"
    try:
        for data in pieces:
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
            held = Block(whole, offset, line, False, codec)
            offset += end
            line += whole.count(b"\n")
    except Cut as cut:
        cut.last_whole_line = line - 1
        raise
    if held and not rest:
        yield Block(held.data, held.offset, held.line, True, codec)
        return
    if held:
        yield held
    yield Block(rest, offset, line, True, codec)


def transcoded(stream: BinaryIO, compression: str | None, codec: str, notes: Counter[str]) -> Iterator[bytes]:
    """The stream in UTF-8, in pieces that end where a character ends; for text whose lines mean nothing."""
    first = True
    for data in _decoded(clear(stream, compression, BLOCK), codec):
        yield assigned(data.removeprefix(BOM) if first else data, notes)
        first = False


def _decoded(pieces: Iterator[bytes], codec: str) -> Iterator[bytes]:
    """UTF-8, whatever the encoding and wherever its lines end. Strict, and compared with what encoding again gives."""
    if codec in EBCDIC:
        yield from _lines_of_mainframe(pieces, codec)
        return
    decoder = codecs.getincrementaldecoder(codec)()
    offset, line = 0, 1
    for piece in pieces:
        begun = decoder.getstate()[0]
        try:
            text = decoder.decode(piece)
        except UnicodeDecodeError as error:
            raise bad_byte(begun + piece, error, codec, offset - len(begun), line) from error
        except UnicodeError as error:  # the only one that UTF-16's decoder raises beside: which order of bytes is it?
            raise Refused(
                "no_byte_order",
                f"The file begins with {(begun + piece)[:2].hex(' ')}, which is no byte order mark (ff fe or fe ff) of {codec}. Expected one; declare utf-16-le or utf-16-be where "
                "the sender writes none.",
            ) from error
        data = text.encode()
        if codec not in ONE_TO_ONE | UTF_16 and not data.isascii():
            whole = begun + piece
            to_utf8(whole[: len(whole) - len(decoder.getstate()[0])], codec, offset - len(begun), line)
        offset += len(piece)
        line += data.count(b"\n")
        yield data
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise Cut(
            f"The file ends within a character (byte {offset}). Expected whole {codec}; send the whole file again."
        ) from error


def _lines_of_mainframe(pieces: Iterator[bytes], codec: str) -> Iterator[bytes]:
    """Lines end in 15 or 25, which no double byte has: text is cut there, so that shifts are whole."""
    rest, offset, line = b"", 0, 1
    for piece in pieces:
        end = max(piece.rfind(mark) for mark in ENDS_OF_MAINFRAME) + 1
        if not end:
            rest += piece
            if len(rest) > LONGEST_LINE:
                raise Refused(
                    "endless_line",
                    f"Line {line} is longer than {LONGEST_LINE >> 20} MiB. Expected lines that end in 15 or 25; records of one length are of the format `copybook`.",
                )
            continue
        data, rest = rest + piece[:end], piece[end:]
        text = to_utf8(data, codec, offset, line).replace(NEXT_LINE, b"\n")
        offset, line = offset + len(data), line + text.count(b"\n")
        yield text
    if rest:
        yield to_utf8(rest, codec, offset, line)


def assigned(data: bytes, notes: Counter[str]) -> bytes:
    """Private-use characters that GB18030 has since given a character are replaced by it, the same for the whole platform; others are
    noted with their number, for nobody knows what they mean."""
    if b"\xee" not in data and b"\xef" not in data:
        return data
    found = Counter(PRIVATE.findall(data))
    for character in found.keys() & ASSIGNED.keys():
        data = data.replace(character, ASSIGNED[character])
    for character in found.keys() - ASSIGNED.keys():
        notes[f"private-use character U+{ord(character.decode()):04X}"] += found[character]
    return data


def beginning(stream: BinaryIO, compression: str | None, codec: str, size: int = 1 << 16) -> str:
    """The first characters, as far as they can be read: to look at names before anything is kept."""
    head = stream.read(size)
    if compression is not None:
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, size)
        except zlib.error:
            return ""  # the reader will say what is wrong with it
    if codec == "ibm1388":
        codec = "cp037"  # the same letters; what else there is does not matter here
    text = head.decode(codec, errors="replace").removeprefix("\ufeff")
    return text.replace("\x85", "\n")


def clear(stream: BinaryIO, compression: str | None, size: int) -> Iterator[bytes]:
    """The stream's bytes, decompressed, about `size` at a time."""
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
        if bursts(packed, unpacked):
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


def to_utf8(data: bytes, codec: str, offset: int, line: int) -> bytes:
    """Strictly decoded, as UTF-8. `offset` and `line` say where `data` begins, for the message.

    Raises Refused(bad_byte), and Refused(round_trip) where a table has two codes for a character and encoding again does not give the same bytes.
    """
    if (codec in LINE_SAFE and data.isascii()) or (codec == "utf-8" and _is_utf8(data)):
        return data
    try:
        text = decode(data, codec)
    except UnicodeDecodeError as error:
        raise bad_byte(data, error, codec, offset, line) from error
    if codec in ONE_TO_ONE:
        return text.encode("utf-8")
    again = encode(text, codec)
    if again != data:
        at = next((i for i, (a, b) in enumerate(zip(data, again, strict=False)) if a != b), min(len(data), len(again)))
        where = f"byte {offset + at}, line {line + _line_ends(data[:at], codec)}"
        found = f"{data[at : at + 4].hex(' ')} became {again[at : at + 4].hex(' ')}"
        raise Refused(
            "round_trip",
            f"Round trip failed at {where}: {found}. Expected bytes that {codec} writes the same way; "
            f"agree the encoding with the sender (GB18030 declared as GBK?).",
        )
    return text.encode("utf-8")


def _line_ends(data: bytes, codec: str) -> int:
    return sum(data.count(end) for end in (ENDS_OF_MAINFRAME if codec in EBCDIC else (b"\n",)))


def _is_utf8(data: bytes) -> bool:
    """As strict as Python's decoder, several times as fast."""
    ends = pa.array([0, len(data)], pa.int32()).buffers()[1]
    try:
        pa.StringArray.from_buffers(1, ends, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def bad_byte(data: bytes, error: UnicodeDecodeError, codec: str, offset: int, line: int) -> Refused:
    at_line = line + _line_ends(data[: error.start], codec)
    ends = ENDS_OF_MAINFRAME if codec in EBCDIC else (b"\n",)
    column = error.start - (max(data.rfind(end, 0, error.start) for end in ends) + 1) + 1
    found = data[error.start : error.end + 1].hex(" ")
    wider = readers_of(data[error.start :], codec)
    hint = f", or declare {' or '.join(wider)}, which {'reads' if len(wider) == 1 else 'read'} them, if that is what the sender writes" if wider else ""  # fmt: skip
    return Refused(
        "bad_byte",
        f"Bytes {found} at byte {offset + error.start} (line {at_line}, byte {column} of the line) are not {codec}. "
        f"Expected text in the declared encoding throughout; ask the sender for the file in that encoding{hint}.",
    )
