"""One page over the gates' results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from jobs.bank import open_bank
from tests.commands.conftest import Said
from tests.commands.test_tables import HISTORY, full
from tests.ledger.conftest import TinyBank

__all__ = ["full"]


def test_one_page_lists_the_results_and_leads_to_theirs(full: TinyBank, ledgerlake: Callable[..., Said]) -> None:
    page = open_bank("tiny").docs / "index.html"
    assert not page.exists()
    said = ledgerlake("gates", "--docs")
    assert said.status == 1  # a stop is among them
    assert said.out.endswith(f"All of these: {page}\n")
    told = Path(page).read_text(encoding="utf-8")
    assert "<td>gold.customer_360_daily</td>" in told and "<td>stop</td>" in told and HISTORY in told
    assert f"href='{HISTORY.replace('|', '%7C')}_customer_360_daily.html'" in told


def test_with_json_the_output_stays_json(full: TinyBank, ledgerlake: Callable[..., Said]) -> None:
    said = ledgerlake("gates", "--docs", "--json")
    assert [json.loads(line)["table_name"] for line in said.out.splitlines()] == ["gold.customer_360_daily"]
    assert said.err == f"All of these: {open_bank('tiny').docs / 'index.html'}\n"
