"""Canaries: known-bad rows made from a contract, one broken rule each, which ride along with every load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.contracts import Rule, Table

CANARY = "__canary"


def canary_rows(table: Table, rules: Sequence[Rule]) -> list[dict[str, str | None]]:
    """Rows of text, each of which must be rejected: every column empty but the one that breaks its rule. Rules whose breach cannot be
    written as one value (uniqueness, pairs) have none."""
    rows: list[dict[str, str | None]] = []
    columns = list(table.physical_columns)
    for rule in rules:
        if rule.on_fail != "quarantine" or rule.is_unique or "column" not in rule.kwargs:
            continue
        bad = _bad(rule.expectation, rule.kwargs)
        if bad is not NOT_WRITABLE:
            rows.append({c: None for c in columns} | {rule.kwargs["column"]: bad})
    return rows


NOT_WRITABLE: Any = object()


def _bad(expectation: str, kwargs: dict[str, Any]) -> Any:
    """A value that breaks the rule."""
    if expectation == "expect_column_values_to_not_be_null":
        return None
    if expectation == "expect_column_values_to_be_in_set":
        return "~canary~"
    return NOT_WRITABLE
