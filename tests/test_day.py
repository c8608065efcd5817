"""How a run of a day that is not released ends; and what the released branch history says of who owes files when, and by which cut-off (C14, D4)."""

# ruff: noqa: F811 - fixtures are imported by name
from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from jobs import day, rollcall
from jobs.day import branch_units
from jobs.ledger import batches, days, releases
from jobs.quality.balance import Balance
from tests.commands.conftest import bank, running  # noqa: F401
from tests.ledger.conftest import TinyBank

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


OFF = Balance(3, Decimal("30.00"), {"accepted": (2, Decimal("20.00"))})
EVEN = Balance(3, Decimal("30.00"), {"accepted": (3, Decimal("30.00"))})
BROKEN = [
    {"on_fail": "quarantine", "sentence": "1 of 3 rows: currency must be given."},
    {"on_fail": "warn", "sentence": "Fewer rows than usual."},
    {"on_fail": "stop", "sentence": "The sum of amount must be 0."},
]


@pytest.mark.parametrize(
    ("balance", "failed", "why"),
    [
        (OFF, [], OFF.sentence()),
        (EVEN, BROKEN, "The sum of amount must be 0. Fewer rows than usual."),
        (None, BROKEN, "The sum of amount must be 0. Fewer rows than usual."),
    ],
)
def test_a_day_that_a_gate_stopped_says_which_and_why(
    running: TinyBank, balance: Balance | None, failed: list[dict[str, Any]], why: str
) -> None:
    """Two tables were built; the second one's gate said stop, and the third was not begun."""
    running.whole_day()
    [key] = running.decide()
    running.start(key)
    for table, outcome in (("silver.branches", "pass"), ("silver.payments", "stop")):
        with running.ledger.begin() as db:
            batch = batches.start(db, table, key, "run").batch_id
            broken = failed if outcome == "stop" else []
            batches.record_gate(
                db, batch_id=batch, table=table, subject=key, outcome=outcome, rules_run=3, failed=broken, result={}, docs_path=None, run_id="run"
            )  # fmt: skip
            if balance is not None:
                kept = balance if outcome == "stop" else EVEN
                batches.record_balance(db, batch_id=batch, table=table, subject=key, **kept.as_record())
            batches.set_state(db, batch, "stopped" if outcome == "stop" else "passed")
    assert day.settle("tiny", key, "run") == "stopped"
    said = f"the gate of silver.payments said stop. {why}"
    assert running.run(key).reason == said
    with running.ledger.begin() as db:
        [alert] = batches.alerts(db, kind="day_stopped")
        assert {b.state for b in releases.written_by(db, key).values()} == {"restored"}
    assert alert.message == f"Business day {key} stopped: {said} What was released before is unchanged."


def test_a_day_that_failed_without_a_gate_says_so(running: TinyBank) -> None:
    running.whole_day()
    [key] = running.decide()
    running.start(key)
    assert day.settle("tiny", key, "run") == "failed"
    with running.ledger.begin() as db:
        [alert] = batches.alerts(db, kind="day_stopped")
    assert alert.message == (
        f"Business day {key} failed: a step failed; its log says why. What was released before is unchanged."
    )


def made(bank: TinyBank) -> str:
    """A whole day comes and is released, with figures to report."""
    bank.whole_day()
    [key] = bank.decide()
    bank.start(key)
    with bank.ledger.begin() as db:
        tables = {"gold.daily": (1, None), releases.FIGURES: (1, None)}
        releases.release(db, days.get(db, key), tables, "run")
    return key


def test_a_release_that_is_not_shown_is_told_once_until_it_is(running: TinyBank) -> None:
    """The report cannot be written (there are no figures in the lake), nor was the mart reached; then the mart is there, and later the report."""
    key = made(running)
    assert day.settle("tiny", key, "run") == "released"
    said = day.not_shown("tiny", key)
    assert said is not None
    assert said.startswith(f"Business day {key} is released, but without the mart and its report: ")
    assert not_shown_alerts(running) == [said]
    day.publish("tiny", key, "run")
    day.publish("tiny", key, "cleared by hand")
    with pytest.raises(KeyError, match=releases.FIGURES):
        day.report("tiny", key, "run")
    assert day.settle("tiny", key, "run") == "released"
    assert str(day.not_shown("tiny", key)).startswith(f"Business day {key} is released, but without its report: ")
    assert not_shown_alerts(running) == [said], "told once"
    with running.ledger.begin() as db:
        releases.set_report(db, releases.get(db, key).release_id, "report.html")  # type: ignore[union-attr]
    assert (day.not_shown("tiny", key), not_shown_alerts(running)) == (None, [])
    with running.ledger.begin() as db:
        ended = [a.end for a in batches.alerts_told(db, 9) if a.kind == batches.NOT_SHOWN]
    assert ended == [f"Business day {key}: {key} is shown, in the mart and its report."]


def test_a_bank_without_figures_owes_no_report(running: TinyBank) -> None:
    running.whole_day()
    [key] = running.decide()
    running.release(key)
    day.publish("tiny", key, "run")
    assert (day.not_shown("tiny", key), not_shown_alerts(running)) == (None, [])


def test_a_cleared_run_goes_on_to_be_shown_and_a_shown_one_does_not(running: TinyBank) -> None:
    key = made(running)
    assert day.begin("tiny", key, "cleared by hand") == "running"
    day.publish("tiny", key, "run")
    with running.ledger.begin() as db:
        releases.set_report(db, releases.get(db, key).release_id, "report.html")  # type: ignore[union-attr]
    assert day.begin("tiny", key, "rung twice") == "released"


def not_shown_alerts(bank: TinyBank) -> list[str]:
    """Open ones, after roll-call came by."""
    with bank.ledger.begin() as db:
        rollcall.end_shown(db)
        return [a.message for a in batches.alerts(db, kind=batches.NOT_SHOWN)]
