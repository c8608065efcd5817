"""Bounds of a rule that are told in what is usual: `min_value: 0.5 * usual_rows`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jobs.contracts import Rule
from jobs.contracts.expectations import BOUNDS, USUAL

FEW = 30  # rows: of so small a lane a share tells nothing


def with_bounds(rules: Sequence[Rule], usual_rows: float | None) -> list[Rule]:
    """The rules with numbers in the place of such bounds. Where nothing is usual yet, or too little, they hold whatever comes."""
    is_known = usual_rows is not None and usual_rows >= FEW
    return [_with_bounds(rule, usual_rows if is_known else None) for rule in rules]


def is_told_in_usual(rules: Sequence[Rule]) -> bool:
    return any(isinstance(rule.kwargs.get(bound), str) for rule in rules for bound in BOUNDS if _is_count(rule))


def _is_count(rule: Rule) -> bool:
    return rule.expectation == "expect_table_row_count_to_be_between"


def _with_bounds(rule: Rule, usual_rows: float | None) -> Rule:
    told = {b: rule.kwargs[b] for b in BOUNDS if isinstance(rule.kwargs.get(b), str)} if _is_count(rule) else {}
    if not told:
        return rule
    kwargs = {name: value for name, value in rule.kwargs.items() if name not in told}
    for bound, text in told.items():
        share = re.fullmatch(USUAL, text)
        if share and usual_rows is not None:
            kwargs[bound] = round(float(share[1]) * usual_rows)
    if not kwargs.keys() & BOUNDS:
        kwargs["min_value"] = 0
    return rule.model_copy(update={"kwargs": kwargs})
