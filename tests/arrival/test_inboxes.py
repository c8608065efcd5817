"""Which inbox is which bank's: one that two banks look at would be emptied by whoever looks first."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.arrival.folder import Folder
from jobs.arrival.inbox import InboxUnavailable, Several, check_is_its_own, inbox_for
from jobs.commands.output import Bad
from jobs.commands.services import start_all
from jobs.settings import settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation that serves the banks demo and berka."""
    monkeypatch.setenv("LEDGERLAKE_HOME", str(tmp_path))
    for name in ("LEDGERLAKE_INBOX", "LEDGERLAKE_INBOX_DEMO", "LEDGERLAKE_INBOX_BERKA"):
        monkeypatch.delenv(name, raising=False)
    settings.cache_clear()
    return tmp_path


def test_an_inbox_holds_for_its_bank_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERLAKE_INBOX_DEMO", f"{home}/partners, {home}/branches")
    demo, berka = inbox_for("demo"), inbox_for("berka")
    assert isinstance(demo, Several) and isinstance(berka, Folder)
    assert settings().inboxes("demo") == [f"{home}/partners", f"{home}/branches"]
    assert berka.root == home / "banks" / "berka" / "inbox"


@pytest.mark.parametrize(
    ("demo", "berka"),
    [
        ("{home}/in", "{home}/in"),
        ("{home}/in", "{home}/other/../in/"),
        ("{home}/in", "{home}/in/berka"),
        ("{home}/own, {home}/in/demo", "{home}/in"),
        ("{home}/in", "{home}/banks/demo/inbox, {home}/in"),
        ("s3://files", "s3://files/berka"),
        ("s3://files/in/", "s3://files/in"),
        ("sftp://ann@host/in", "sftp://bob@HOST:22/in"),
        ("{home}/banks/berka/inbox", ""),
    ],
)
def test_two_banks_share_no_place(home: Path, monkeypatch: pytest.MonkeyPatch, demo: str, berka: str) -> None:
    monkeypatch.setenv("LEDGERLAKE_INBOX_DEMO", demo.format(home=home))
    monkeypatch.setenv("LEDGERLAKE_INBOX_BERKA", berka.format(home=home))
    for bank, other in (("demo", "berka"), ("berka", "demo")):
        with pytest.raises(InboxUnavailable, match=f"of the bank {bank} is the bank {other}'s too") as told:
            inbox_for(bank)
        assert "correct LEDGERLAKE_INBOX_" in str(told.value)


@pytest.mark.parametrize(
    ("demo", "berka"),
    [
        ("{home}/in", "{home}/in_berka"),
        ("s3://files/in", "s3://files/in2"),
        ("s3://files", "s3://files2"),
        ("sftp://ann@host/in", "sftp://ann@host:2222/in"),
        ("sftp://ann@host:none/in", ""),
    ],
)
def test_places_that_are_apart_are_taken(home: Path, monkeypatch: pytest.MonkeyPatch, demo: str, berka: str) -> None:
    monkeypatch.setenv("LEDGERLAKE_INBOX_DEMO", demo.format(home=home))
    monkeypatch.setenv("LEDGERLAKE_INBOX_BERKA", berka.format(home=home))
    check_is_its_own("demo")
    check_is_its_own("berka")


def test_one_inbox_for_all_banks_is_refused_before_anything_starts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERLAKE_INBOX", f"{home}/in")
    with pytest.raises(InboxUnavailable, match="set LEDGERLAKE_INBOX_DEMO in its place"):
        inbox_for("demo")
    with pytest.raises(Bad, match="LEDGERLAKE_INBOX would be the inbox of all banks"):
        start_all()
