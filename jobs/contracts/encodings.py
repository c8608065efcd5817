"""Encodings of text that a source may declare, by Python's names of them, and what is known of their bytes."""

from __future__ import annotations

import codecs

IBM1388 = "ibm1388"  # Python has no codec of it: jobs/arrival/encodings has its table
# Only in these does a byte 0x0A always mean the end of a line, so that lines can be cut before they are decoded.
LINE_SAFE = {
    "ascii",
    "utf-8",
    "gbk",
    "gb18030",
    "gb2312",
    "big5",
    "cp950",
    "big5hkscs",
    "cp1250",
    "cp1252",
    "iso8859-1",
    "iso8859-2",
}
# In these each character has one code, and each code that is read is that one: a test asks for every code there is. What was decoded strictly
# needs no encoding again to show that nothing was changed.
ONE_TO_ONE = LINE_SAFE - {"big5", "big5hkscs", "cp950"}
UTF_16 = {"utf-16", "utf-16-le", "utf-16-be"}
# Code pages of mainframes; a digit is F0 to F9 in all of them.
EBCDIC = {"cp037", "cp1140", "cp273", "cp500", "cp1026", IBM1388}
KNOWN = LINE_SAFE | UTF_16 | EBCDIC
# Encodings that have the characters of another, and more: what a sender often means who says the shorter one.
WIDER = {"big5": ("cp950", "big5hkscs"), "cp950": ("big5hkscs",), "gb2312": ("gbk", "gb18030"), "gbk": ("gb18030",)}


def codec_of(encoding: str) -> str | None:
    """Python's name of the encoding, without its mark at the beginning; None for one that is not read here."""
    plain = encoding.lower().replace("_", "-")
    if plain in (IBM1388, "cp1388", "ibm-1388"):
        return IBM1388
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        return None
    name = "utf-8" if name == "utf-8-sig" else name
    return name if name in KNOWN else None


def not_written(text: str, encoding: str) -> str | None:
    """The first character of a text that the encoding does not have; None where it has all of them, or is none that Python knows."""
    codec = codec_of(encoding)
    if codec is None or codec == IBM1388:
        return None
    return next((character for character in text if not _has(codec, character)), None)


def readers_of(data: bytes, codec: str) -> list[str]:
    """Encodings wider than one (see WIDER) that read bytes that it does not read, to the end of their line or to where they are cut off."""
    line = b"".join(data.partition(b"\n")[:2])
    return [wider for wider in WIDER.get(codec, ()) if _reads(wider, line)]


def writers_of(character: str, encoding: str) -> list[str]:
    """Encodings wider than one that have a character."""
    return [wider for wider in WIDER.get(codec_of(encoding) or "", ()) if _has(wider, character)]


def _has(codec: str, character: str) -> bool:
    try:
        character.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _reads(codec: str, data: bytes) -> bool:
    try:
        codecs.getincrementaldecoder(codec)().decode(data)
    except UnicodeDecodeError:
        return False
    return True
