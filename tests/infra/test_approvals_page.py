"""Days of closed months on the quarantine page: one asks, another approves, others look."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from jobs.contracts import load
from jobs.ledger import approvals, days
from tests.infra.conftest import Website
from tests.ledger.conftest import TinyBank

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]
DAY, CLOSED = date(2026, 9, 15), date(2026, 10, 11)
PAGE = "/ledgerlake/quarantine?bank=demo"


@pytest.fixture
def request_1(website: Website) -> int:
    """The steward wants a day of September told anew, which is closed."""
    TinyBank(website.ledger, load("demo")).clock(CLOSED, "08:00")
    with website.ledger.begin() as db:
        return int(approvals.ask(db, DAY, approvals.RESTATE, "repaired: b03 typed twice", "steward").approval_id)


def asked_for(website: Website) -> list[tuple[str, str | None]]:
    with website.ledger.begin() as db:
        return [(run.run_key, run.approved_by) for run in days.pending(db)]


def test_one_asks_and_another_approves(website: Website, request_1: int, screen: Any) -> None:
    website.log_in(screen, "steward", PAGE)
    screen.get_by_text("You asked for it: a second person approves it.").wait_for()
    assert screen.get_by_role("button", name="Approve").count() == 0
    own = website.client("steward").post(f"/ledgerlake/approvals/{request_1}/approve?bank=demo", data={"note": ""})
    assert own.status_code == 409 and "nobody approves their own" in own.text
    assert asked_for(website) == []
    admin = website.client("admin")
    assert "repaired: b03 typed twice" in admin.get(PAGE).text
    done = admin.post(f"/ledgerlake/approvals/{request_1}/approve?bank=demo", data={"note": "seen"})
    assert done.status_code == 303
    assert asked_for(website) == [(f"{DAY}|v1", "admin")]
    decided = admin.get(PAGE).text
    assert (f"built as {DAY}|v1" in decided, "admin, 2026-10-11 08:00: seen" in decided, ">Approve<" in decided) == (
        True,
        True,
        False,
    )


def test_a_viewer_sees_it_and_decides_nothing(website: Website, request_1: int) -> None:
    viewer = website.client("viewer")
    shown = viewer.get(PAGE).text
    assert "repaired: b03 typed twice" in shown and "Approve" not in shown and "Decline" not in shown
    for act in ("approve", "decline"):
        where = f"/ledgerlake/approvals/{request_1}/{act}?bank=demo"
        assert viewer.post(where, data={"note": "x"}).status_code == 403
        assert website.client().post(where, data={"note": "x"}).status_code == 401
    assert asked_for(website) == []


def test_it_is_declined_with_a_word_why(website: Website, request_1: int) -> None:
    admin = website.client("admin")
    without = admin.post(f"/ledgerlake/approvals/{request_1}/decline?bank=demo", data={"note": ""})
    assert without.status_code == 409 and "Say why" in without.text
    assert admin.post(f"/ledgerlake/approvals/{request_1}/decline?bank=demo", data={"note": "October"}).status_code == 303  # fmt: skip
    again = admin.post(f"/ledgerlake/approvals/{request_1}/approve?bank=demo", data={"note": ""})
    assert again.status_code == 409 and "is declined (by admin)" in again.text
    assert asked_for(website) == []


def test_the_board_says_that_a_month_is_closed(website: Website) -> None:
    bank, viewer = TinyBank(website.ledger, load("demo")), website.client("viewer")
    for today, is_closed in ((date(2026, 10, 10), False), (CLOSED, True)):
        bank.clock(today, "08:00")
        shown = viewer.get(f"/ledgerlake/board?bank=demo&day={DAY}").text
        assert (f"Month closed since {CLOSED}: changes need approval." in shown) == is_closed
