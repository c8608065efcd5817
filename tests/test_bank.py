"""A bank at hand: its contracts are those of its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import bank as banks
from jobs.ledger import connect
from jobs.settings import settings
from tests.contracts.house import build, change


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = build(tmp_path / "expectations")
    monkeypatch.setenv("LEDGERLAKE_EXPECTATIONS", str(root))
    monkeypatch.setenv("LEDGERLAKE_DATABASE_URL", "postgresql://nobody@localhost:1/none")  # nothing connects to it
    caches = (settings, banks.open_bank, connect)
    for cached in caches:
        cached.cache_clear()
    yield root
    for cached in caches:
        cached.cache_clear()


def test_a_page_knows_a_code_that_came_into_its_list_since_the_server_started(house: Path) -> None:
    at_start = banks.open_bank("tiny")
    change(house, "reference/directions.yaml", "C: credit", "C: credit, X: credit")
    known = [opened.catalog.references["directions"].map for opened in (at_start, banks.current_bank("tiny"))]
    assert ["X" in codes for codes in known] == [False, True]
    assert banks.current_bank("tiny").ledger is at_start.ledger
