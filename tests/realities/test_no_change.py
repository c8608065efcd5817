"""H2: a day that is told anew and says what it said before is marked `no change`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable
from structlog.testing import capture_logs

from jobs.ledger import days
from tests.commands.conftest import Said, ledgerlake
from tests.realities.conftest import MONDAY, Payment, Small, file_of

__all__ = ["ledgerlake"]

Command = Callable[..., Said]
FIRST: list[Payment] = [("1", "in", "10.00", "工资"), ("2", "out", "3.00", "")]


@pytest.fixture
def released(small: Small) -> Small:
    small.send("b01", MONDAY, *FIRST)
    small.send("b02", MONDAY, ("1", "in", "20.00", ""))
    small.play()
    assert small.releases(MONDAY) == [(f"{MONDAY}|v1", "complete")]
    return small


def send_reversed(small: Small) -> None:
    """The first rows of b01 again, in another order."""
    name = f"PAY_b01_{MONDAY:%Y%m%d}_1.csv"
    small.put("payments", "b01", MONDAY, name, file_of("b01", MONDAY, *reversed(FIRST)))


def restate(small: Small) -> None:
    with small.ledger.begin() as db:
        key = days.request_again(db, small.bank.catalog, MONDAY, "repaired: looked at twice")
    small.build(key)


def marked(ledgerlake: Command) -> list[tuple[str, bool]]:
    """Run and whether it changed nothing, oldest first."""
    said = [
        json.loads(line) for line in ledgerlake("releases", str(MONDAY), "--bank", "small", "--json").out.splitlines()
    ]
    return [(row["run_key"].split("|")[1], row["is_no_change"]) for row in reversed(said)]


def test_a_day_that_is_built_again_from_the_same_rows_says_no_change(released: Small, ledgerlake: Command) -> None:
    """Asked for by a person; then a branch sends its rows again in another order: another file with the same rows, which takes the place of the first."""
    restate(released)
    send_reversed(released)
    released.play()
    assert [d.state for d in released.deliveries()] == ["superseded", "loaded", "loaded"]
    assert marked(ledgerlake) == [("v1", False), ("v2", True), ("v3", True)]
    out = ledgerlake("releases", str(MONDAY), "--bank", "small").out
    assert out.count("no change: tables and figures say what they said before") == 2
    board = ledgerlake("lanes", str(MONDAY), "--bank", "small").out
    assert "restated v3, no change" in " ".join(board.split())


@pytest.mark.parametrize(
    "second",
    [
        [("1", "in", "10.01", "工资"), ("2", "out", "3.00", "")],
        [("1", "in", "10.00", "工资"), ("2", "out", "3.00", "水费")],
        [("1", "in", "10.00", "工资"), ("2", "X9", "3.00", "")],
        [*FIRST, ("3", "in", "0.00", "")],
    ],
    ids=["an amount", "a remark", "a row is rejected", "a row more"],
)
def test_whatever_is_told_otherwise_is_a_change(released: Small, ledgerlake: Command, second: list[Payment]) -> None:
    released.send("b01", MONDAY, *second)
    released.play()
    assert marked(ledgerlake) == [("v1", False), ("v2", False)]
    assert "no change" not in ledgerlake("releases", str(MONDAY), "--bank", "small").out
    assert "no change" not in ledgerlake("lanes", str(MONDAY), "--bank", "small").out


def test_a_comparison_that_fails_holds_no_release_back(released: Small, ledgerlake: Command) -> None:
    """Files of the version before are gone when the rows are compared: the release has no mark, and the log says why. The next one is compared again."""
    before = files(released)
    send_reversed(released)
    released.take()
    [key] = released.asked()
    with capture_logs() as said:
        released.build(key, before_release=lambda: [file.unlink() for file in before - files(released)])
    assert marked(ledgerlake) == [("v1", False), ("v2", False)]
    [told] = [line for line in said if line["event"] == "not_compared"]
    assert (told["log_level"], told["run"]) == ("warning", key)
    assert "FileNotFoundError" in told["why"] and "movements" in told["why"]
    restate(released)
    assert marked(ledgerlake)[2:] == [("v3", True)]


def files(small: Small) -> set[Path]:
    """Those that hold silver.movements as it stands."""
    return {Path(file) for file in DeltaTable(small.bank.lake.path("silver.movements")).file_uris()}


def test_landing_and_loading_say_so_when_all_is_done_already(released: Small) -> None:
    with capture_logs() as said:
        released.take()
        released.load("payments")
    assert [(line["event"], line.get("feed")) for line in said] == [("no_change", None), ("no_change", "payments")]
