"""Whatever bytes come, a reader of lines reads them or says what is wrong."""

from __future__ import annotations

import gzip
import io
from contextlib import suppress
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from jobs.arrival.errors import Refused
from jobs.arrival.formats import format_module
from jobs.contracts.encodings import KNOWN, LINE_SAFE
from jobs.contracts.formats import Format
from tests.arrival.reading import blocks_of, columns

ODD = st.binary(max_size=60) | st.text(
    st.sampled_from('ab1,|"#HT{}[]:\\n\r\0\n\\\x0e\x0f\x15\x25\x81\xfe\x30'), max_size=60
).map(lambda t: t.encode("latin-1"))
EDGES = {"header": {"tag": "H", "fields": ["system"]}, "trailer": {"tag": "T", "fields": ["record_count"]}}
OF_LINES = [
    {"kind": "delimited", "separator": "|"},
    {"kind": "delimited", "separator": "|+|", "comment": "#"},
    {"kind": "delimited", "quote": '"', "columnLine": True},
    {"kind": "delimited", "separator": "||", "quote": '"', **EDGES},
    {"kind": "fixed_width"},
    {"kind": "fixed_width", **EDGES},
    {"kind": "json_lines"},
]


@settings(max_examples=600, deadline=None)
@given(
    content=ODD,
    how=st.sampled_from(OF_LINES),
    encoding=st.sampled_from(sorted(KNOWN)),
    packed=st.sampled_from([None, "gzip", "as it is"]),
    block=st.integers(1, 40),
)
@example(b'"', OF_LINES[2], "utf-8", None, 40)
@example(b'a,"b\n1,2\n', OF_LINES[2], "utf-8", None, 40)
@example(b'a,"b""\n1,2\n', OF_LINES[2], "utf-8", None, 40)
def test_random_bytes_never_crash_it(
    content: bytes, how: dict[str, Any], encoding: str, packed: str | None, block: int
) -> None:
    """Whatever comes: the file is refused, or each of its texts is one and each line stands once among the rows or apart."""
    if how["kind"] == "fixed_width" and encoding not in LINE_SAFE:
        encoding = "gbk"
    fmt: Any = TypeAdapter(Format).validate_python(
        {**how, "encoding": encoding, "compression": "gzip" if packed else None}
    )
    content = gzip.compress(content) if packed == "gzip" else content
    wanted = columns(a={"width": 2}, b={"width": 3}, c={"width": 1})
    lines: list[int] = []
    with blocks_of(block), suppress(Refused):
        format_module(fmt.kind).column_names(io.BytesIO(content), fmt)
        for rows in format_module(fmt.kind).Reader(io.BytesIO(content), fmt, wanted):
            for texts in rows.columns.values():
                texts.validate(full=True)
                assert len(texts) == len(rows.lines)
            lines += [*rows.lines.to_pylist(), *(m.line for m in rows.malformed)]
    assert len(lines) == len(set(lines))
