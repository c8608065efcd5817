"""Attacks on the quarantine bench's page: what a form of one's own may post, and what the page shows of a fix."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from jobs.ledger import batches, deliveries, fixes
from tests.infra.conftest import Website
from tests.infra.test_quarantine_page import DAY, case, state

__all__ = ["case"]
pytestmark = [pytest.mark.services, pytest.mark.timeout(400)]
ACCOUNT = "6222020200998877"


def rows_case(website: Website) -> tuple[int, str]:
    """A case of rows of another file; returns its number and delivery."""
    with website.ledger.begin() as db:
        lane: dict[str, Any] = {"feed": "core_accounts", "entity": "b04", "business_date": DAY}
        delivery = deliveries.claim(db, claim_key="d", seq=1, file_name="g", uri="v", run_id="r", **lane)
        assert delivery is not None
        batches.open_case(
            db, kind="rows", table="bronze.core_accounts", cause="account_no_required", subject=delivery, reason="1 row breaks it.", affected_rows=1,
            money=Decimal(1), owner="o", run_id="r", delivery_id=delivery, **lane,
        )  # fmt: skip
        (number,) = [c.case_id for c in batches.cases(db) if c.subject == delivery]
    return int(number), delivery


def corrected(website: Website, number: int, delivery: str) -> int:
    with website.ledger.begin() as db:
        change = {"lines": {"1": {"account_no": ACCOUNT}}, "delivery": delivery, "table": "bronze.core_accounts"}
        return fixes.propose(db, number, fixes.CORRECT, change, "typed wrong", "steward")


def test_a_fix_is_approved_where_it_is_shown(website: Website, case: int) -> None:
    """The page of one case approves no fix of another, which whoever clicks has not seen."""
    number, _ = rows_case(website)
    with website.ledger.begin() as db:
        fix = fixes.propose(db, number, fixes.REJECT, {}, "a test", "steward")
    website.client("admin").post(f"/ledgerlake/quarantine/{case}/approve/{fix}?bank=demo", data={"note": ""})
    assert state(website, number) == ("open", ["proposed"])


def test_an_account_in_a_fix_is_masked_on_the_page(website: Website, case: int) -> None:
    number, delivery = rows_case(website)
    corrected(website, number, delivery)
    viewer = website.client("viewer")
    assert ACCOUNT not in viewer.get("/ledgerlake/quarantine?bank=demo").text
    assert ACCOUNT not in viewer.get(f"/ledgerlake/quarantine/{number}?bank=demo").text


def test_an_odd_form_is_an_error_of_whoever_posts_it(website: Website, case: int) -> None:
    admin = website.client("admin")
    where = f"/ledgerlake/quarantine/{case}"
    for act, form in (
        ("correct", {"__reason": "r"}),
        ("correct", {"__line": "x", "__delivery": "D", "__reason": "r"}),
        ("reject", {"reason": "a\x00b"}),
    ):
        assert admin.post(f"{where}/{act}?bank=demo", data=form).status_code < 500, (act, form)


def test_a_refused_act_does_not_load_itself_anew(website: Website, case: int) -> None:
    """While a fix is on its way the page loads itself anew, but not at an address that only takes posts, and not under the hands of who fills in a form."""
    number, delivery = rows_case(website)
    fix = corrected(website, number, delivery)
    with website.ledger.begin() as db:
        fixes.approve(db, fix, "admin", None, [delivery])
    admin, where = website.client("admin"), f"/ledgerlake/quarantine/{number}/decline/{fix}?bank=demo"
    refused = admin.post(where, data={"note": "no"})
    assert refused.status_code == 409 and 'http-equiv="refresh"' not in refused.text
    place = f"/ledgerlake/quarantine/{number}?bank=demo"
    assert 'http-equiv="refresh"' not in admin.get(place).text
    assert 'http-equiv="refresh"' in website.client("viewer").get(place).text
