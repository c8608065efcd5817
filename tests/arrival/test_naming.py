"""What the sender of a file that no source knows is told."""

from __future__ import annotations

import pytest

from jobs.arrival.errors import Refused
from jobs.arrival.naming import lane_of
from jobs.contracts.catalog import load


def told(path: str) -> str:
    with pytest.raises(Refused) as refused:
        lane_of(load("demo"), path)
    return str(refused.value)


def test_the_names_that_are_most_like_it_are_expected() -> None:
    message = told("b01/CORE_b01_TX_20260915_1.txt")
    assert "Expected a name like CORE_{entity}_TXN_{date}_{seq}.txt.gz, " in message
    assert message.count("{date}") == 3, "three, not each that the bank has"
    assert "complaints_{entity}" not in told("crm/complaints_b01_20260915_1.json"), (
        "nobody sends a file of a source that is fetched"
    )


def test_in_the_folder_of_a_source_its_own_name_alone_is_expected() -> None:
    assert "Expected a name like CORE_{entity}_GL_{date}_{seq}.txt; rename" in told("core_gl/b01/ledger.txt")
