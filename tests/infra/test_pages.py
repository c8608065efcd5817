"""Pages inside Airflow: for those who may see the bank's DAGs, and for nobody else. With a real API server and a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException

from tests.infra.conftest import Website

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]


def test_without_a_login_a_person_is_asked_for_it_and_a_program_is_refused(website: Website) -> None:
    asked = website.client().get("/ledgerlake/board?bank=demo")
    assert asked.status_code == 303
    assert asked.headers["location"] == "/auth/login?next=%2Fledgerlake%2Fboard%3Fbank%3Ddemo"
    refused = website.client().get("/ledgerlake/board", headers={"Accept": "*/*"})
    assert (refused.status_code, refused.text) == (401, "Not authenticated\n")


def test_a_token_that_is_none_opens_nothing(website: Website) -> None:
    client = website.client()
    client.cookies.set("_token", "made.up.token")
    assert client.get("/ledgerlake/board", headers={"Accept": "*/*"}).status_code in (401, 403)


def test_a_viewer_looks_and_an_admin_may_act(website: Website) -> None:
    looked = website.client("viewer").get("/ledgerlake/board")
    assert looked.status_code == 200
    assert "viewer (looks only)" in looked.text
    assert "(looks only)" not in website.client("admin").get("/ledgerlake/board").text


def test_a_page_runs_no_script_and_stands_in_no_foreign_frame(website: Website) -> None:
    looked = website.client("viewer").get("/ledgerlake/board")
    assert "<script" not in looked.text
    policy = looked.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'self'" in policy


def test_a_bank_that_is_none_is_said(website: Website) -> None:
    looked = website.client("viewer").get("/ledgerlake/board?bank=atlantis")
    assert looked.status_code == 404
    assert "There is no bank atlantis here." in looked.text


def test_webhooks_are_answered_beside_the_pages(website: Website) -> None:
    """Partners have no login: their posts are signed."""
    assert website.client().post("/ledgerlake/webhooks/atlantis/calls", content=b"{}").text == "no bank atlantis here\n"


def test_airflow_shows_the_board_in_its_menu_and_in_its_frame(website: Website, screen: Any) -> None:
    website.log_in(screen, "viewer", "/")
    screen.get_by_role("button", name="Browse").click()
    screen.get_by_role("menuitem", name="Arrival board").click()
    frame = screen.frame_locator("iframe")
    frame.get_by_role("heading", name="Arrival board").wait_for()
    assert "/plugin/ledgerlake_board" in screen.url
    entries = website.client("viewer").get("/api/v2/plugins").json()["plugins"]
    [views] = [p["external_views"] for p in entries if p["name"] == "ledgerlake"]
    assert [v["name"] for v in views] == ["Arrival board", "Quarantine"]


def test_who_only_looks_may_not_act(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))  # read when Airflow is imported
    from infra.airflow.pages import Visitor, acting

    admin, viewer = Visitor("admin", "demo", ("demo",), True), Visitor("viewer", "demo", ("demo",), False)
    assert acting(admin) is admin
    with pytest.raises(HTTPException, match="viewer may look, and not act"):
        acting(viewer)
