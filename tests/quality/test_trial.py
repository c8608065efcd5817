"""What a gate would have said of past days: the rows are few enough to count by hand, and the judge is production's own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from jobs.contracts import Rule
from jobs.quality.trial import Subject, Trial, tried
from jobs.quality.verdicts import row_hash
from tests.quality.tools import rule, table_of
from tests.tables import literal_frame

MONDAY, TUESDAY = date(2026, 9, 14), date(2026, 9, 15)
COLUMNS = {"id": "int", "branch_id": "string", "amount": "decimal(9,2)", "channel": "string"}
THINGS = table_of(COLUMNS, money="amount")
MACHINERY = {
    "__day": "date", "__subject": "string", "__branch": "string", "__line": "bigint", "__raw": "map<string,string>",
}  # fmt: skip
# Two branches on Monday, one on Tuesday; D4 came without a row.
SUBJECTS = [
    Subject(MONDAY, "D1", "b01"),
    Subject(MONDAY, "D2", "b02"),
    Subject(TUESDAY, "D3", "b01"),
    Subject(TUESDAY, "D4", "b02"),
]
ROWS = [
    ("D1", 1, "b01", "10.00", "web"),
    ("D1", 2, "b01", "20.00", "web"),
    ("D2", 1, "b02", "30.00", "web"),
    ("D2", 2, "b02", "999.50", "fax"),
    ("D2", 2, "b02", "999.50", "fax"),
    ("D3", 1, "b01", "700.25", "fax"),
]
Try = Callable[..., dict[str, Trial]]


@pytest.fixture
def on_trial(spark: Any, tmp_path: Path) -> Try:
    """Subject -> what the rule would have said of it."""

    def run(one: Rule, subjects: list[Subject] = SUBJECTS) -> dict[str, Trial]:
        day_of = {s.name: s.day for s in SUBJECTS}
        rows = [
            {"__subject": d, "__day": day_of[d], "__branch": b, "__line": n, "id": i, "branch_id": b, "amount": a, "channel": c}
            for n, (d, i, b, a, c) in enumerate(ROWS, 1)
        ]  # fmt: skip
        frame = literal_frame(spark, rows, COLUMNS | MACHINERY).withColumn("__row_hash", row_hash(list(COLUMNS)))
        found = tried(frame, THINGS, [one], subjects, tmp_path / one.id, within=[], order=["__line"])
        assert {t.rule for t in found} <= {one.id}
        return {t.subject.name: t for t in found}

    return run


def small(on_fail: str, **more: Any) -> Rule:
    return rule("small", on_fail, "expect_column_values_to_be_between", column="amount", max_value=500, **more)


def told(found: dict[str, Trial]) -> dict[str, tuple[str, int, Decimal | None, tuple[str, ...]]]:
    return {name: (t.outcome, t.rows, t.money, t.branches) for name, t in found.items()}


def test_rows_that_would_have_been_quarantined_with_their_money_and_branch(on_trial: Try) -> None:
    assert told(on_trial(small("quarantine"))) == {
        "D1": ("pass", 0, None, ()),
        "D2": ("quarantine", 2, Decimal("1999.00"), ("b02",)),
        "D3": ("quarantine", 1, Decimal("700.25"), ("b01",)),
        "D4": ("pass", 0, None, ()),
    }


def test_a_delivery_that_would_have_been_held_is_kept_back_whole(on_trial: Try) -> None:
    found = on_trial(small("hold", mostly=0.5))
    assert told(found) == {
        "D1": ("pass", 0, None, ()),
        "D2": ("hold", 3, Decimal("2029.00"), ("b02",)),
        "D3": ("hold", 1, Decimal("700.25"), ("b01",)),
        "D4": ("pass", 0, None, ()),
    }
    assert "A person decides" in found["D2"].sentence


def test_a_warning_keeps_nothing_back(on_trial: Try) -> None:
    assert told(on_trial(small("warn")))["D2"] == ("warn", 2, None, ("b02",))


def test_a_second_copy_is_taken_out_and_the_first_one_stays(on_trial: Try) -> None:
    found = on_trial(rule("once", "quarantine", "expect_column_values_to_be_unique", column="id"))
    assert told(found)["D2"] == ("quarantine", 1, Decimal("999.50"), ("b02",))
    assert {t.outcome for name, t in found.items() if name != "D2"} == {"pass"}


def test_a_delivery_without_rows_is_judged_too(on_trial: Try) -> None:
    found = on_trial(rule("some", "stop", "expect_table_row_count_to_be_between", min_value=1))
    assert told(found) == {
        "D1": ("pass", 0, None, ()),
        "D2": ("pass", 0, None, ()),
        "D3": ("pass", 0, None, ()),
        "D4": ("stop", 0, Decimal(0), ("b02",)),
    }


def test_of_history_that_was_taken_on_a_rule_about_a_whole_delivery_is_not_asked(on_trial: Try) -> None:
    history = [Subject(s.day, s.name, s.branch, is_whole=s.name != "D2") for s in SUBJECTS]
    assert "D2" not in on_trial(rule("some", "stop", "expect_table_row_count_to_be_between", min_value=5), history)
    assert on_trial(small("quarantine"), history)["D2"].rows == 2
