"""Bounds that are told in what is usual: a day with far fewer or far more rows than usual is noticed, an ordinary one is not."""

from __future__ import annotations

import pytest

from jobs.contracts import Rule
from jobs.quality.gate import evaluate
from jobs.quality.usual import is_told_in_usual, with_bounds
from tests.quality.tools import rule, table_of

THINGS = table_of({"id": "int"})
USUAL = rule(
    "usual_volume", "warn", "expect_table_row_count_to_be_between",
    min_value="0.5 * usual_rows", max_value="2 * usual_rows",
)  # fmt: skip


def outcome(rows: int, usual_rows: float | None) -> str:
    counts = {"accepted_rows": rows, "rejected_rows": 0, "duplicate_rows": 0}
    return evaluate(THINGS, with_bounds([USUAL], usual_rows), counts, subject="D0000001").outcome


@pytest.mark.parametrize(("rows", "said"), [(40, "warn"), (50, "pass"), (100, "pass"), (200, "pass"), (201, "warn")])
def test_half_to_double_of_the_usual_is_usual(rows: int, said: str) -> None:
    assert outcome(rows, 100.0) == said


@pytest.mark.parametrize("usual_rows", [None, 29.0])
def test_where_nothing_is_usual_yet_or_too_little_any_number_will_do(usual_rows: float | None) -> None:
    assert outcome(0, usual_rows) == outcome(1_000, usual_rows) == "pass"


def test_the_sentence_names_the_number() -> None:
    [failed] = evaluate(
        THINGS, with_bounds([USUAL], 100.0), {"accepted_rows": 40, "rejected_rows": 0, "duplicate_rows": 0}, subject="D0000001"
    ).failed  # fmt: skip
    assert "there must be at least 50 and at most 200 rows; found 40" in failed["sentence"]


def test_a_gate_that_knows_of_nothing_usual_lets_such_a_bound_hold() -> None:
    counts = {"accepted_rows": 1, "rejected_rows": 0, "duplicate_rows": 0}
    assert evaluate(THINGS, [USUAL], counts, subject="D0000001").outcome == "pass"


def test_plain_bounds_stay_as_they_are() -> None:
    plain = rule("some", "warn", "expect_table_row_count_to_be_between", min_value=1)
    assert with_bounds([plain], 100.0) == [plain]
    assert not is_told_in_usual([plain])
    assert is_told_in_usual([plain, USUAL])


def test_a_bound_that_nobody_understands_is_refused() -> None:
    with pytest.raises(ValueError, match=r"write it as 0.5 \* usual_rows"):
        Rule.model_validate(
            {"id": "odd", "onFail": "warn", "expect_table_row_count_to_be_between": {"min_value": "half of it"}}
        )
