"""What a format's reader gives of a file's bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from jobs.arrival import text
from jobs.arrival.formats import format_module
from jobs.contracts.column import Column

quick = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
HAN = "张三億誠工资利息\u3007"
CELL = st.text(st.sampled_from(HAN + "ab01 .,;|+-\t\\'"), max_size=6)


def columns(**more: dict[str, Any]) -> dict[str, Column]:
    return {name: Column(type="string", classification="C1/2", **options) for name, options in more.items()}


ABC = columns(a={}, b={}, c={})


def read(
    fmt: Any, content: bytes, wanted: dict[str, Column] | None = None
) -> tuple[list[tuple[Any, ...]], list[tuple[int, str]], Any]:
    """(line and values of good rows, line and reason of malformed ones, the reader)."""
    wanted = wanted or ABC
    reader = format_module(fmt.kind).Reader(io.BytesIO(content), fmt, wanted)
    good: list[tuple[Any, ...]] = []
    bad: list[tuple[int, str]] = []
    for rows in reader:
        good += zip(rows.lines.to_pylist(), *(rows.columns[n].to_pylist() for n in wanted), strict=True)
        bad += [(m.line, m.why) for m in rows.malformed]
    return good, bad, reader


@contextmanager
def blocks_of(size: int) -> Iterator[None]:
    with patch.object(text, "BLOCK", size):
        yield
