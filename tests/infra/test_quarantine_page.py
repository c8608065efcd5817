"""The quarantine bench as a page inside Airflow: two people, a real API server, a real browser."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from jobs.ledger import batches, deliveries, fixes
from tests.infra.conftest import Website

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]
DAY = date(2026, 9, 15)


@pytest.fixture
def case(website: Website) -> int:
    """A branch's file whose trailer states a row too many."""
    with website.ledger.begin() as db:
        lane = {"feed": "core_transactions", "entity": "b03", "business_date": DAY}
        delivery = deliveries.claim(db, claim_key="c", seq=1, file_name="f", uri="u", run_id="r", **lane)
        assert delivery is not None
        batches.open_case(
            db, kind="file", table="bronze.core_transactions", cause="trailer_count", subject=delivery, reason="The trailer states 12 rows, 11 came.",
            affected_rows=11, money=Decimal("1234.50"), owner="branch accounting", run_id="r", delivery_id=delivery, **lane,
        )  # fmt: skip
        return int(batches.cases(db)[0].case_id)


def state(website: Website, case: int) -> tuple[str, list[str]]:
    with website.ledger.begin() as db:
        return fixes.get_case(db, case).state, [f.state for f in fixes.of_case(db, case)]


def test_one_proposes_and_another_approves(website: Website, case: int, screen: Any) -> None:
    website.log_in(screen, "steward", f"/ledgerlake/quarantine/{case}?bank=demo")
    screen.get_by_text("The trailer states 12 rows, 11 came.").wait_for()
    screen.get_by_text("Reject for good").click()
    screen.locator(f"form[action*='/{case}/reject'] input[name=reason]").fill("the branch closed the book by hand")
    screen.locator(f"form[action*='/{case}/reject'] button").click()
    screen.get_by_text("You proposed it: a second person approves it.").wait_for()
    assert state(website, case) == ("open", ["proposed"])
    assert screen.get_by_role("button", name="Approve").count() == 0
    # Not even by hand.
    own = website.client("steward").post(f"/ledgerlake/quarantine/{case}/approve/1?bank=demo", data={"note": ""})
    assert own.status_code == 409 and "nobody approves their own" in own.text
    assert state(website, case) == ("open", ["proposed"])
    admin = website.client("admin")
    assert "Waiting for a second person" in admin.get("/ledgerlake/quarantine?bank=demo").text
    done = admin.post(f"/ledgerlake/quarantine/{case}/approve/1?bank=demo", data={"note": "seen"})
    assert done.status_code == 303
    assert state(website, case) == ("closed", ["done"])
    screen.reload()
    screen.get_by_text("admin,").wait_for()
    assert "Nothing is in quarantine." in admin.get("/ledgerlake/quarantine?bank=demo").text
    assert "1,234.50" in admin.get("/ledgerlake/quarantine?bank=demo&closed=true").text


def test_a_viewer_sees_the_case_and_may_propose_nothing(website: Website, case: int) -> None:
    viewer = website.client("viewer")
    shown = viewer.get(f"/ledgerlake/quarantine/{case}?bank=demo")
    assert shown.status_code == 200 and "1,234.50" in shown.text and "Propose" not in shown.text
    refused = viewer.post(f"/ledgerlake/quarantine/{case}/reject?bank=demo", data={"reason": "r"})
    assert refused.status_code == 403 and state(website, case) == ("open", [])
    assert website.client().post(f"/ledgerlake/quarantine/{case}/reject", data={"reason": "r"}).status_code == 401


def test_what_is_not_possible_is_said_on_the_page(website: Website, case: int) -> None:
    admin = website.client("admin")
    told = admin.post(f"/ledgerlake/quarantine/{case}/accept?bank=demo", data={"reason": "r"})
    assert (
        told.status_code == 409
        and "accept is no fix for case 1 (trailer_count). Possible: resend, reject." in told.text
    )
    assert admin.get("/ledgerlake/quarantine/99?bank=demo").status_code == 404
    sly = admin.post(f"/ledgerlake/quarantine/{case}/resend?bank=demo", data={"reason": "<script>alert(1)</script>"})
    assert sly.status_code == 303
    assert "<script>" not in admin.get(f"/ledgerlake/quarantine/{case}?bank=demo").text


def test_it_stands_in_airflows_own_frame(website: Website, case: int, screen: Any) -> None:
    website.log_in(screen, "admin", "/plugin/ledgerlake_quarantine")
    frame = screen.frame_locator("iframe")
    frame.get_by_role("heading", name="Quarantine").wait_for()
    frame.get_by_role("link", name=f"case {case}").click()
    frame.get_by_text("The trailer states 12 rows, 11 came.").wait_for()
    frame.get_by_text("Ask b03 to send it again").click()
    frame.locator("form[action*='/resend'] input[name=reason]").fill("one row is missing")
    frame.locator("form[action*='/resend'] button").click()
    frame.get_by_text("the sender is asked to send it again").wait_for()
