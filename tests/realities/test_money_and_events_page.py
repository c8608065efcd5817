"""The page of money and events names each reality, and only tests and rules that there are."""

from __future__ import annotations

import re
from pathlib import Path

from jobs.contracts import load

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "docs" / "arrival_realities_money_and_events.md").read_text(encoding="utf-8")
ROWS = re.findall(r"(?m)^\| ([DEG]\d) \|(.*)$", PAGE)


def test_each_reality_has_its_row_and_each_row_a_test() -> None:
    assert {name for name, _ in ROWS} == {"D1", "D6", *(f"E{n}" for n in range(1, 7)), *(f"G{n}" for n in range(1, 10))}
    assert [name for name, row in ROWS if "`test_" not in row] == []


def test_each_test_that_is_named_is_there() -> None:
    there = {
        m[1]
        for path in (PROJECT / "tests").rglob("test_*.py")
        for m in re.finditer(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    assert sorted(set(re.findall(r"`(test_\w+)`", PAGE)) - there) == []


def test_each_gate_that_is_named_is_a_rule() -> None:
    rules = {rule.id for table in load("demo").tables.values() for rule in table.all_rules}
    named = {name for _, row in ROWS for name in re.findall(r"(?:gate|case) `(\w+)`", row)}
    assert named - rules == {"agrees_with_core_balances"}  # of `reconciles`, which is no rule
