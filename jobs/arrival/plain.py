"""Numbers and identifiers in plain digits, whatever the format they came in.

Full-width digits and marks of no width are how people and input methods write; they mean the same and are made plain where a number, a date or an
identifier is expected, and counted. Zoned digits, which hold the sign in the last of them, become a sign and digits. Text stays as it came; marks of no width in it are counted, for
nobody sees them.
"""

from __future__ import annotations

import unicodedata
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrival.records import Rows, joined
from jobs.contracts.model import Table
from jobs.privacy.kinds import ZERO_WIDTH

# Identifiers that are made of digits; a name or an address keeps what it is written with.
OF_DIGITS = {"id_number", "phone", "card"}
FULL_WIDTH = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFF01, 0xFF5F)}
NO_WIDTH = "[" + "".join(map(chr, ZERO_WIDTH)) + "]"
# First bytes of these marks in UTF-8.
BEGINS_NO_WIDTH = {chr(code).encode()[:1] for code in ZERO_WIDTH}
DIGITS = frozenset("0123456789")
PLUS = "0123456789{ABCDEFGHI"
MINUS = "}JKLMNOPQRpqrstuvwxy"


def plainly(rows: Rows, table: Table, notes: Counter[str]) -> None:
    """Changes the columns of `rows` in place; notes what was made plain."""
    for name, column in table.columns.items():
        values = rows.columns[name]
        texts = joined(values)
        is_plain = texts.isascii()
        if column.type == "string" and column.identifies not in OF_DIGITS:
            may_have = not is_plain and any(byte in texts for byte in BEGINS_NO_WIDTH)
            if may_have and (unseen := pc.sum(pc.match_substring_regex(values, NO_WIDTH)).as_py()):
                notes[f"marks of no width in {name}"] += unseen
            continue
        if not is_plain:
            values = _narrow(name, values, notes)
        if column.way.is_zoned:
            values = _unzoned(values)
        rows.columns[name] = values


def _narrow(name: str, values: pa.Array, notes: Counter[str]) -> pa.Array:
    texts = values.to_pylist()
    for at, text in enumerate(texts):
        if text is None or text.isascii():
            continue
        narrow = text.translate(FULL_WIDTH)
        bare = narrow.translate(ZERO_WIDTH)
        if narrow != text:
            notes[f"full-width characters made plain in {name}"] += 1
        if bare != narrow:
            notes[f"marks of no width taken out of {name}"] += 1
        texts[at] = bare
    return pa.array(texts, pa.string())


def _unzoned(values: pa.Array) -> pa.Array:
    """What is no zoned number stays as it is, and is rejected where it is read."""
    return pa.array([of_zoned(text) for text in values.to_pylist()], pa.string())


def of_zoned(text: str | None) -> str | None:
    """Sign and digits of a zoned number; any other text as it is."""
    bare = text.strip() if text else ""
    if not bare or not all(c in DIGITS for c in bare[:-1]):
        return text
    last = bare[-1]
    if last in PLUS:
        return bare[:-1] + str(PLUS.index(last) % 10)
    if last in MINUS:
        return f"-{bare[:-1]}{MINUS.index(last) % 10}"
    return text
