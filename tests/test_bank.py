"""A bank at hand: its contracts are those of its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import bank as banks
from jobs.settings import settings
from tests.contracts.house import build, change


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = build(tmp_path / "expectations")
    monkeypatch.setenv("LEDGERLAKE_EXPECTATIONS", str(root))
    settings.cache_clear()
    banks.open_bank.cache_clear()
    yield root
    settings.cache_clear()
    banks.open_bank.cache_clear()


def test_a_page_knows_a_code_that_came_into_its_list_since_the_server_started(house: Path) -> None:
    at_start = banks.open_bank("tiny")
    change(house, "reference/directions.yaml", "C: credit", "C: credit, X: credit")
    known = [opened.catalog.references["directions"].map for opened in (at_start, banks.current_bank("tiny"))]
    assert ["X" in codes for codes in known] == [False, True]
    assert banks.current_bank("tiny").ledger is at_start.ledger
