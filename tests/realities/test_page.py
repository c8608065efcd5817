"""The page of arrival realities names each of them, and only tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "docs" / "arrival_realities.md").read_text(encoding="utf-8")
# D1 and D6, E and G have a page of their own.
WANTED = {
    *(f"{letter}{n}" for letter, last in {"A": 8, "B": 8, "C": 15, "H": 6}.items() for n in range(1, last + 1)),
    "D2", "D3", "D4", "D5",
}  # fmt: skip


def test_each_reality_has_its_row_and_each_row_a_test() -> None:
    rows = {m[1]: m[0] for m in re.finditer(r"(?m)^\| ([A-H]\d+) \|.*$", PAGE)}
    assert set(rows) == WANTED
    assert [name for name, row in rows.items() if "`test_" not in row] == []


def test_each_test_that_is_named_is_there() -> None:
    there = {
        m[1]
        for path in (PROJECT / "tests").rglob("test_*.py")
        for m in re.finditer(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    assert sorted(set(re.findall(r"`(test_\w+)`", PAGE)) - there) == []
