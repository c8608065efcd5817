"""Writes ibm1388.csv.gz from the table that glibc's iconv has: `python -m jobs.arrival.encodings.make_table`.

One line a code: its bytes in hexadecimal, its character's code point. A code that iconv does not map to one character and
back is left out: such bytes are refused, never guessed.
"""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

TABLE = Path(__file__).with_name("ibm1388.csv.gz")
CODE_PAGE = "IBM1388"
LINE_END = 0x25


def table() -> list[tuple[str, str]]:
    """(code, code point) in the order of the codes."""
    singles = [bytes([b]) for b in range(0x100) if b not in (0x0E, 0x0F, LINE_END)]
    doubles = [bytes([a, b]) for a in range(0x40, 0xFF) for b in range(0x40, 0xFF)]
    pairs = [*_pairs(singles, b"", b""), (bytes([LINE_END]), "\n"), *_pairs(doubles, b"\x0e", b"\x0f")]
    return [(code.hex(), f"{ord(character):x}") for code, character in pairs]


def _pairs(codes: list[bytes], before: bytes, after: bytes) -> list[tuple[bytes, str]]:
    """One code a line; what iconv does not know it leaves out, and the line is empty."""
    end = bytes([LINE_END])
    text = _iconv(b"".join(before + code + after + end for code in codes), CODE_PAGE, "UTF-8").decode()
    found = [(code, line) for code, line in zip(codes, text.split("\n")[:-1], strict=True) if len(line) == 1]
    back = _iconv("".join(line + "\n" for _, line in found).encode(), "UTF-8", CODE_PAGE).split(end)[:-1]
    return [(code, line) for (code, line), again in zip(found, back, strict=True) if again == before + code + after]


def _iconv(data: bytes, source: str, target: str) -> bytes:
    # With -c what has no character is left out, and iconv says so by its status.
    return subprocess.run(
        ["iconv", "-c", "-f", source, "-t", target], input=data, capture_output=True, check=False
    ).stdout


def main() -> None:
    lines = "".join(f"{code},{point}\n" for code, point in table())
    TABLE.write_bytes(gzip.compress(lines.encode("ascii"), mtime=0))


if __name__ == "__main__":
    main()
