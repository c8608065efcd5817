"""G8: values that a list of spellings does not have. Their rows count, and people see which they are, since when, and the line that would add them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from jobs import bank as banks
from tests.commands.conftest import Said, ledgerlake
from tests.realities.conftest import FILES, MONDAY, TUESDAY, Small

__all__ = ["ledgerlake"]

KINDS = """\
reference: kinds
version: 1.0.0
description: How branches write in and out.
map: {in: in, out: out, outgoing: out}
"""
WARNS = FILES["bronze/payments.yaml"].replace("[string!, {enum: [in, out], classification: C1/2}]", "[string!, {classification: C1/2}]").replace(
    "conforms:\n",
    "rules:\n  - {id: kind_listed, onFail: warn, expect_column_values_to_be_in_set: {column: kind, value_set: $kinds}}\nconforms:\n",
).replace("      remark: remark\n", "      remark: coalesce(map_code(kinds, lower(trim(kind))), 'unknown')\n")  # fmt: skip
Command = Callable[..., Said]


@pytest.fixture
def warned(new_bank: Callable[..., Small]) -> Small:
    """On Monday two branches send kinds that are not listed; one of them comes again on Tuesday. `OUT` is listed: only its case differs."""
    small = new_bank(reference__kinds=KINDS, bronze__payments=WARNS)
    small.send("b01", MONDAY, ("1", "outgoin", "1.00", ""), ("2", "OUT", "1.00", ""), ("3", "giro", "1.00", ""))
    small.send("b02", MONDAY, ("1", "Giro ", "1.00", ""), ("2", "GIRO", "1.00", ""))
    small.take()
    small.clock(TUESDAY)
    small.send("b01", TUESDAY, ("1", "giro", "1.00", ""), ("2", "in", "1.00", ""))
    small.take()
    return small


def test_values_that_no_list_has_are_listed_the_most_frequent_first(warned: Small, ledgerlake: Command) -> None:
    assert [d.state for d in warned.deliveries()] == ["loaded"] * 3
    said = ledgerlake("gates", "values", "--bank", "small", "--json")
    told = [json.loads(line) for line in said.out.splitlines()]
    assert [(v["value"], v["rows"], v["deliveries"], v["first_day"], v["last_day"], v["line"]) for v in told] == [
        ("giro", 4, 3, "2026-09-14", "2026-09-15", "  giro: giro"),
        ("outgoin", 1, 1, "2026-09-14", "2026-09-14", "  outgoin: out"),
    ]
    [today] = ledgerlake("gates", "values", str(TUESDAY), "--days", "1", "--bank", "small", "--json").out.splitlines()
    assert (json.loads(today)["rows"], json.loads(today)["first_day"]) == (1, "2026-09-14")


def test_the_lines_to_add_stand_below_and_a_value_that_was_added_is_gone(warned: Small, ledgerlake: Command) -> None:
    out = ledgerlake("gates", "values", "--bank", "small").out
    assert out.endswith("\nexpectations/reference/kinds.yaml\n  giro: giro\n  outgoin: out\n")
    listed = KINDS.replace("outgoing: out", "outgoing: out, giro: out, outgoin: out")
    (banks.settings().expectations / "reference" / "kinds.yaml").write_text(listed, encoding="utf-8")
    banks.open_bank.cache_clear()
    assert ledgerlake("gates", "values", "--bank", "small").out.strip() == (
        "No value without a place in its list came in 30 days up to 2026-09-15."
    )


def test_the_result_of_the_gate_names_them(warned: Small, ledgerlake: Command) -> None:
    told = ledgerlake("gates", "bronze.payments", "--bank", "small", width=400).out
    assert "Not listed: giro 1, outgoin 1." in told
    assert "Not listed: giro 2." in told
