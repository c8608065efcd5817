"""What the sender of a file that no source knows is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.arrival.errors import Refused
from jobs.arrival.naming import lane_of
from jobs.contracts.catalog import load
from jobs.contracts.files import Files


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


def test_a_name_of_two_sources_is_not_guessed() -> None:
    catalog = load("demo")
    whole = catalog.sources["core_gl"].model_copy(
        update={"files": Files.model_validate({"pattern": "CORE_{entity}_{any}_{date}_{seq}.txt"})}
    )
    both = replace(catalog, sources={**catalog.sources, "core_gl": whole})
    name = "CORE_b01_CUST_20260915_1.txt"
    with pytest.raises(
        Refused, match=f"The name {name} is one of core_.* and of core_.*Expected a name of one source"
    ) as refused:
        lane_of(both, f"b01/{name}")
    assert refused.value.cause == "ambiguous_name"
    assert "core_gl (CORE_{entity}_{any}_{date}_{seq}.txt)" in str(refused.value)
    # The folder says whose it is.
    assert lane_of(both, f"core_gl/b01/2026-09-15/{name}").feed == "core_gl"
    assert lane_of(catalog, f"core_gl/b01/2026-09-15/{name}").feed != "core_gl", "a name of one source needs no folder"
