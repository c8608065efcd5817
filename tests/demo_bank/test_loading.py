"""The package of the agent in Hong Kong on its whole way into bronze: decrypted, unpacked, decoded, judged."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from jobs import bank as banks
from jobs import load
from jobs.demo_bank import DemoBank, hong_kong
from jobs.ledger import clock, connect, deliveries
from jobs.settings import settings
from tests.postgres import emptied

RUN = "tests/demo_bank"


@pytest.fixture
def bank(installation: Path, spark_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[banks.Bank]:
    """The demo bank's platform: its contracts, an empty ledger, an empty lake."""
    monkeypatch.setenv("LEDGERLAKE_SPARK_REMOTE", spark_url)
    caches = (settings, banks.open_bank, connect)
    for cached in caches:
        cached.cache_clear()
    opened = banks.open_bank("demo")
    emptied(opened.ledger)
    yield opened
    opened.ledger.engine.dispose()
    for cached in caches:
        cached.cache_clear()


def test_feeds_that_a_day_waits_for_are_loaded_first(bank: banks.Bank, small_bank: DemoBank) -> None:
    """The agent's package goes behind the head office's loans, whatever the letters say."""
    day = small_bank.first_live_day
    with bank.ledger.begin() as db:
        clock.set_now(db, bank.catalog.profile.local(day, "23:00"))
    for sent in small_bank.day_files(day):
        if sent.feed in ("hk_package", "loan_contracts", "loan_daily", "market_rates"):
            sent.write(bank.home / "inbox")
    feeds = [key.partition("|")[0] for key in load.land("demo", RUN)]
    assert feeds == ["loan_contracts", "loan_daily", "hk_deposits", "hk_ledger", "hk_quotes", "market_rates"]


def test_the_agents_package_is_in_bronze_with_the_rows_and_sums_that_were_told(
    bank: banks.Bank, small_bank: DemoBank
) -> None:
    day = small_bank.day(small_bank.first_live_day)
    with bank.ledger.begin() as db:
        clock.set_now(db, bank.catalog.profile.local(day.date, "23:00"))
    [package] = [sent for sent in small_bank.day_files(day.date) if sent.feed == "hk_package"]
    package.write(bank.home / "inbox")
    for key in load.land("demo", RUN):
        feed, wave = key.split("|")
        assert load.load("demo", feed, wave, RUN) == {"loaded": 1}
    with bank.ledger.begin() as db:
        found = {d.feed: (d.state, d.accepted_rows, d.accepted_money) for d in deliveries.find(db)}
    told = {member.feed: (member.rows, member.money) for member in package.members}
    assert {feed: found[feed] for feed in told} == {
        feed: ("loaded", rows, Decimal(cents or 0) / 100) for feed, (rows, cents) in told.items()
    }
    assert found["hk_package"][0] == "loaded"

    deposits = {row["receipt_no"]: row for row in rows_of(bank, "hk_deposits")}
    for told_one in hong_kong.deposits(small_bank.people, day, "HK"):
        row = deposits.pop(told_one.receipt_no)
        assert (row["product"], row["remark"] or "", row["amount"]) == (
            told_one.product,
            told_one.remark,
            Decimal(told_one.cents) / 100,
        )
    assert deposits == {}
    ledger = rows_of(bank, "hk_ledger")
    assert all(row["debit"] - row["credit"] == row["net"] for row in ledger) and sum(r["net"] for r in ledger) == 0
    assert {row["business_date"] for row in (*ledger, *rows_of(bank, "hk_quotes"))} == {day.date}


def rows_of(bank: banks.Bank, feed: str) -> list[dict[str, Any]]:
    """Accepted rows of a bronze table, canaries left out."""
    rows = bank.lake.dataset(f"bronze.{feed}").to_table().to_pylist()
    return [r for r in rows if r["__delivery_id"] != "__canary" and r["__verdict"] == "accepted"]
