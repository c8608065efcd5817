"""What the released branch history says of who owes files when, and by which cut-off (C14, D4)."""

from __future__ import annotations

from datetime import date
from typing import Any

from jobs.day import branch_units

OPENED = date(2020, 1, 1)


def told(*versions: tuple[str, str], closed_on: date | None = None, **now: Any) -> list[tuple[Any, ...]]:
    """Versions (told on, cut-off) of one branch -> spans (from, to, cut-off, merged into). What is true now is told by the last one only."""
    rows = [
        {
            "branch_id": "b01", "branch_name": "一支行", "province_code": "11", "opened_on": OPENED, "closed_on": None, "merged_into_branch_id": None,
            "valid_from": date.fromisoformat(day), "cut_off_at": cut_off, "is_current": False,
        }
        for day, cut_off in versions
    ]  # fmt: skip
    rows[-1] |= {"is_current": True, "closed_on": closed_on, **now}
    return [
        (str(u["valid_from"]), str(u["valid_to"] or ""), u["cut_off"], u["merged_into"]) for u in branch_units(rows)
    ]


def test_a_branch_owes_from_its_opening_on_though_it_was_told_later() -> None:
    assert told(("2026-09-01", "17:30")) == [("2020-01-01", "", "17:30", None)]


def test_a_new_cut_off_holds_from_the_day_it_was_told_and_the_old_one_before() -> None:
    assert told(("2026-09-01", "17:30"), ("2026-09-10", "17:30"), ("2026-09-15", "19:00")) == [
        ("2020-01-01", "2026-09-15", "17:30", None),
        ("2026-09-15", "", "19:00", None),
    ]


def test_a_closed_branch_owes_nothing_from_that_day_on_whenever_it_was_told() -> None:
    ends = date(2026, 9, 12)
    assert told(("2026-09-01", "17:30"), ("2026-09-20", "19:00"), closed_on=ends, merged_into_branch_id="b02") == [
        ("2020-01-01", "2026-09-12", "17:30", "b02")
    ]
    assert told(("2026-09-01", "17:30"), ("2026-09-10", "19:00"), closed_on=ends) == [
        ("2020-01-01", "2026-09-10", "17:30", None),
        ("2026-09-10", "2026-09-12", "19:00", None),
    ]


def test_a_branch_that_nobody_tells_of_any_more_owes_nothing() -> None:
    assert told(("2026-09-01", "17:30"), is_current=False) == []
