"""The arrival board in Airflow, on one evening of the demo bank, with a real API server and a real browser."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from jobs import rollcall
from jobs.contracts import load
from jobs.ledger import batches, days, deliveries, sightings
from jobs.ledger.models import Delivery
from tests.infra.conftest import Website
from tests.ledger.conftest import TinyBank, unit

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

DAY = date(2026, 9, 15)
NAMES = {
    "b01": "北京朝阳支行",
    "b02": "北京通州支行",
    "b03": "保定支行",
    "b04": "唐山支行",
    "b05": "太原支行",
    "b06": "大同支行",
}
FEEDS = ("core_accounts", "core_balances", "core_customers", "core_gl", "core_transactions")


@pytest.fixture
def evening(website: Website) -> Website:
    """22:42. b01 is complete, b02 came 20 minutes late with its accounts, b03's accounts were refused and its customers are held, of b04 there is a signal without
    its file, b05 (cut-off 19:00) has until 23:30, b06 was merged into b05."""
    bank = TinyBank(website.ledger, load("demo"))
    with bank.ledger.begin() as db:
        units = [{**unit(b), "name": name, "cut_off": None, "merged_into": None} for b, name in NAMES.items()]
        units[4] |= {"cut_off": "19:00"}
        units[5] |= {"valid_to": date(2026, 9, 10), "merged_into": "b05"}
        days.replace_units(db, units)
    bank.clock(DAY, "20:00")
    for feed in FEEDS:
        bank.arrives(feed, "b01", DAY)
    for feed in FEEDS[1:]:
        bank.arrives(feed, "b02", DAY)
    refused = bank.claim("core_accounts", "b03", DAY, name="CORE_b03_ACCT_20260915_1.txt")
    held = bank.claim("core_customers", "b03", DAY)
    bank.goes_live(bank.claim("core_transactions", "b03", DAY), rejected=2)
    with bank.ledger.begin() as db:
        deliveries.set_state(db, refused, "refused", "r", reason="The trailer states 812 records, the file has 811.")
        deliveries.set_state(db, held, "held", "r", reason="60 % fewer rows than on Tuesdays.")
        path = "core_accounts/b04/2026-09-15/CORE_b04_ACCT_20260915_1.txt"
        sightings.replace(db, [{"path": path, "kind": sightings.SIGNAL_WITHOUT_FILE, "feed": "core_accounts", "entity": "b04", "business_date": DAY}])  # fmt: skip
    bank.clock(DAY, "22:20")
    bank.arrives("core_accounts", "b02", DAY)
    for feed in ("core_branches", "core_hours", "core_products", "core_rates"):
        bank.arrives(feed, "HO", DAY)
    bank.arrives("app_events", "app", DAY)
    bank.clock(DAY, "22:42")
    with bank.ledger.begin() as db:
        rollcall.say(db, bank.catalog, [DAY])
    return website


def text_of(screen: Any, row: str) -> list[str]:
    """The cells of a branch, as a person reads them."""
    return [cell.strip() for cell in screen.locator(f"tr:has(th:has-text('{row}')) td").all_inner_texts()]


def test_a_viewer_reads_the_evening_off_the_board(evening: Website, screen: Any, tmp_path: Path) -> None:
    evening.log_in(screen, "viewer", f"/ledgerlake/board?day={DAY}")
    screen.screenshot(path=tmp_path / "board.png", full_page=True)
    head = screen.locator("thead th").all_inner_texts()
    rows = {name: dict(zip(head[1:], text_of(screen, name), strict=True)) for name in NAMES}
    assert set(rows["b01"].values()) == {"✓ loaded"}
    assert rows["b02"]["core_accounts"] == "✓ late +20 min"
    assert rows["b03"] == {
        "core_accounts": "✗ refused +42 min", "core_balances": "· expected", "core_customers": "! held", "core_gl": "· expected", "core_transactions": "✓− partly loaded",
    }  # fmt: skip
    assert (rows["b04"]["core_accounts"], rows["b04"]["core_balances"]) == ("? missing +42 min", "· expected")
    assert set(rows["b05"].values()) == {"· expected"}, "its day ends at 19:00"
    assert set(rows["b06"].values()) == {"– closed"}
    shown = screen.inner_text("main")
    assert "15 of 31 lanes live" in shown, "five files each of five branches, six of head office"
    assert "core_accounts b03, b04, b05" in shown
    assert "working day" in shown and "open" in shown
    assert "app_events app ✓ loaded" in " ".join(shown.split())


def test_a_cell_opens_into_all_that_is_known_of_its_lane(evening: Website, screen: Any, tmp_path: Path) -> None:
    evening.log_in(screen, "viewer", f"/ledgerlake/board?day={DAY}")
    screen.locator("tr:has(th:has-text('b03')) a", has_text="refused").click()
    screen.screenshot(path=tmp_path / "lane.png", full_page=True)
    card = " ".join(screen.inner_text("#lane").split())
    for piece in (
        "core_accounts of b03", "保定支行", "due 2026-09-15 22:00", "cut-off (feed's) 2026-09-15 17:30", "late so far 42 minutes",
        "owner branch operations", "CORE_b03_ACCT_20260915_1.txt", "The trailer states 812 records, the file has 811.",
    ):  # fmt: skip
        assert piece in card, piece
    assert "signal without file, since 2026-09-15 20:00" in screen.locator("tr:has(th:has-text('b04')) a").first.get_attribute("title")  # fmt: skip
    assert "merged into b05" in screen.locator("tr:has(th:has-text('b06')) a").first.get_attribute("title")


def test_alerts_stand_below_and_days_beside_each_other(evening: Website, screen: Any, tmp_path: Path) -> None:
    screen.emulate_media(color_scheme="dark")
    evening.log_in(screen, "viewer", "/plugin/ledgerlake_board")
    frame = screen.frame_locator("iframe")
    frame.locator("input[name=days]").fill("2")
    frame.get_by_role("button", name="Show").click()
    frame.locator("section h2", has_text=str(DAY - timedelta(days=1))).wait_for()
    screen.screenshot(path=tmp_path / "two_days.png")
    listed = frame.locator(".alerts li").all_inner_texts()
    assert any("core_accounts of b04 (唐山支行) for 2026-09-15 was due at 2026-09-15 22:00 and has not come" in one for one in listed)  # fmt: skip
    assert len([one for one in listed if "b03" in one]) == 2, "one refused, one held"


def test_an_open_alert_has_its_number_and_how_a_person_closes_it(evening: Website) -> None:
    with evening.ledger.begin() as db:
        batches.alert(db, "rule|bronze.core_rates|fee_known|D9", "rule", "D9: fee must be known.")
        told = {one.kind: one.number for one in batches.alerts(db)}
        newest = batches.alerts(db)[-1].number
    shown = evening.client("viewer").get(f"/ledgerlake/board?day={DAY}").text
    listed = shown.partition("Open alerts")[2].partition("</ul>")[0].split("<li>")[1:]
    assert f'<span class="num">{newest}</span>' in listed[0], "the newest first, as in the terminal"
    (rule,) = [one for one in listed if "fee must be known" in one]
    assert f'ledgerlake alerts close {told["rule"]} --reason "..."' in rule
    assert not any("alerts close" in one for one in listed if one is not rule), "the others end by themselves"


@pytest.mark.parametrize("query", ["day=yesterday", "days=0", "days=9999", "day=2026-02-30"])
def test_nonsense_is_refused_in_words(website: Website, query: str) -> None:
    said = website.client("viewer").get(f"/ledgerlake/board?{query}")
    assert said.status_code == 422
    name, value = query.split("=")
    assert f"The address is not understood. {name} &#39;{value}&#39;:" in said.text


def test_what_senders_wrote_is_shown_as_text(website: Website) -> None:
    bank = TinyBank(website.ledger, load("demo"))
    bank.clock(DAY, "20:00")
    delivery = bank.claim("core_rates", "HO", DAY, name="<script>alert(1)</script>.txt")
    with bank.ledger.begin() as db:
        db.execute(
            update(Delivery).where(Delivery.delivery_id == delivery).values(state="refused", reason="<b>bold</b>")
        )
    shown = website.client("viewer").get(f"/ledgerlake/board?day={DAY}&feed=core_rates&entity=HO").text
    assert "&lt;script&gt;alert(1)" in shown and "<script" not in shown and "<b>bold" not in shown


def test_a_day_that_a_gate_stopped_says_so_and_what_to_do(website: Website) -> None:
    bank = TinyBank(website.ledger, load("demo"))
    bank.clock(DAY, "20:00")
    bank.arrives("core_rates", "HO", DAY)
    with bank.ledger.begin() as db:
        key = days.request(db, DAY, DAY, "complete", days.Coverage((), ()))
    bank.stops(key, "silver.sales")
    shown = website.client("viewer").get(f"/ledgerlake/board?day={DAY}").text
    assert "<b>open, v1 stopped</b>" in shown
    assert f'<p class="notice">{key} stopped: the gate of silver.sales said stop.' in shown
    assert f"`ledgerlake restate {DAY} --reason ...`" in shown
