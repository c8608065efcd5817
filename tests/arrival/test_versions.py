"""C6: what is sent again with a version in its name. Of one feed, branch, date and batch number the highest version counts, whatever came last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from jobs.arrival.errors import Refused
from jobs.arrival.folder import Folder
from jobs.arrival.land import Landed
from jobs.arrival.naming import lane_of
from jobs.contracts.files import Files
from jobs.ledger import batches, deliveries, fixes
from tests.arrival.conftest import DAY, Bank, movements

A, B, C = (movements(("1", amount, "")) for amount in ("10.00", "20.00", "30.00"))


def named(version: int | None, seq: int = 1) -> str:
    return f"CORE_b01_TXN_{DAY}_{seq}{f'_v{version}' if version is not None else ''}.txt"


@pytest.fixture
def versioned(bank: Bank) -> Bank:
    """The bank, whose branches may say in a name which version of their movements it is."""
    return bank.with_source("movements", files=Files(pattern="CORE_{entity}_TXN_{date}_{seq}[_v{version}].txt"))


def comes(bank: Bank, content: bytes, version: int | None, seq: int = 1) -> Landed:
    """A file is sent and taken in; when it is verified, its gate passes."""
    bank.send("movements", content, named(version, seq))
    (landed,) = bank.land()
    if landed.state == "verified":
        goes_live(bank, landed)
    return landed


def goes_live(bank: Bank, landed: Landed) -> None:
    batch = int(landed.delivery_id.removeprefix("D"))
    with bank.ledger.begin() as db:
        deliveries.go_live(db, landed.delivery_id, batch, "run-1", dates=[], totals={"accepted_rows": 1})


def states(bank: Bank) -> list[tuple[int, str]]:
    """Version and state of all deliveries, in the order of their arrival."""
    with bank.ledger.begin() as db:
        return [(d.version, d.state) for d in deliveries.find(db)]


class TestNames:
    def lane(self, bank: Bank, name: str) -> tuple[int, int | None]:
        found = lane_of(bank.catalog, f"movements/b01/2026-09-15/{name}")
        return found.seq, found.version

    def test_a_name_says_its_version_or_none(self, versioned: Bank) -> None:
        assert self.lane(versioned, named(12)) == (1, 12)
        assert self.lane(versioned, named(0, seq=3)) == (3, 0)
        assert self.lane(versioned, named(None)) == (1, None)

    def test_a_version_that_must_be_there_makes_another_name_unknown(self, bank: Bank) -> None:
        strict = bank.with_source("movements", files=Files(pattern="CORE_{entity}_TXN_{date}_{seq}_v{version}.txt"))
        assert self.lane(strict, named(2)) == (1, 2)
        with pytest.raises(Refused, match="No source knows"):
            self.lane(strict, named(None))

    def test_without_a_version_in_its_pattern_a_name_with_one_is_unknown(self, bank: Bank) -> None:
        with pytest.raises(Refused, match="No source knows"):
            self.lane(bank, named(2))

    @pytest.mark.parametrize(
        ("pattern", "message"),
        [
            ("P_{entity}_{seq}.csv", "needs {date} and may have"),
            ("P_{date}_{revision}.csv", "needs {date} and may have"),
            ("P_{date}_{version}_{version}.csv", "each of them once"),
            ("P_{date}[_v{version}.csv", "square brackets stand round a part with"),
            ("P[_{date}].csv", "square brackets stand round a part with"),
            ("P_{date}[_x].csv", "square brackets stand round a part with"),
            ("P_{date}[_{seq}[_{version}]].csv", "square brackets stand round a part with"),
            ("P_{date}_{seq}{version}.csv", "nothing parts {seq} from {version}"),
            ("P_{date}_{entity}[v{version}].csv", "nothing parts {entity} from {version}"),
            ("P_{date}_{any}.{any}.csv", "each of them once"),
            ("P_{any}{date}.csv", "nothing parts {any} from {date}"),
            ("P_{date}_{entity}[_v{version}]{seq}.csv", "nothing parts {version} from {seq}"),
            ("P_{date}_{entity}[_v{version}_]{seq}.csv", "nothing parts {entity} from {seq}"),
        ],
    )
    def test_a_pattern_that_cannot_be_read_in_one_way_is_a_mistake(self, pattern: str, message: str) -> None:
        with pytest.raises(ValidationError, match=message):
            Files(pattern=pattern)

    @pytest.mark.parametrize(
        ("pattern", "name", "found"),
        [
            ("P_{entity}_{date}_{any}.csv", "P_b01_20260915_180312.csv", (None, None)),
            ("P_{entity}_{date}_{any}_{seq}.csv", "P_b01_20260915_6f1c-22_9b_2.csv", ("2", None)),
            ("P_{any}_{entity}_{date}[_v{version}].csv", "P_20260101_11_b01_20260915_v3.csv", (None, "3")),
            ("P_{entity}_{date}_{any}[_v{version}].csv", "P_b01_20260915_x_v7.csv", (None, "7")),
            ("P_{entity}_{date}_{any}[_v{version}].csv", "P_b01_20260915_.csv", (None, None)),
        ],
    )
    def test_a_part_that_varies_says_nothing(self, pattern: str, name: str, found: tuple[str | None, ...]) -> None:
        said = Files(pattern=pattern).regex().fullmatch(name)
        assert said is not None
        named = said.groupdict()
        assert (named["entity"], named["date"]) == ("b01", "20260915")
        assert (named.get("seq"), named.get("version")) == found

    def test_what_may_be_missing_is_a_number(self) -> None:
        regex = Files(pattern="P_{date}_{entity}[_{seq}][.v{version}].csv").regex()
        found = [regex.fullmatch(f"P_20260915_b01{rest}.csv") for rest in ("", "_2", ".v3", "_2.v3", "_2v3")]
        assert [m and (m["entity"], m["seq"], m["version"]) for m in found] == [
            ("b01", None, None), ("b01", "2", None), ("b01", None, "3"), ("b01", "2", "3"), None,
        ]  # fmt: skip


def test_a_name_without_a_version_is_the_first_and_a_higher_one_takes_its_place(versioned: Bank) -> None:
    comes(versioned, A, None)
    comes(versioned, B, 2)
    assert states(versioned) == [(1, "superseded"), (2, "loaded")]


def test_a_lower_version_that_comes_late_is_superseded_at_once(versioned: Bank) -> None:
    second, first = comes(versioned, B, 2), comes(versioned, A, 1)
    assert (first.state, first.reason) == (
        "superseded",
        f"version 1, and version 2 counts: {second.delivery_id} ({named(2)})",
    )
    late = versioned.delivery(first)
    assert (late.superseded_by, late.received_rows, late.rows_uri) == (second.delivery_id, 1, None)
    assert versioned.delivery(second).state == "loaded"
    # Its bytes are kept, sealed; of rows only those that count.
    kept = [f"{first.delivery_id}.sealed", f"{second.delivery_id}.parquet", f"{second.delivery_id}.sealed"]
    assert versioned.stored() == sorted(kept)
    assert (versioned.cases(), versioned.waiting(), versioned.land()) == ([], [], [])


def test_a_lower_version_with_a_fault_asks_nobody_for_another(versioned: Bank) -> None:
    second = comes(versioned, B, 2)
    bad = comes(versioned, movements(("1", "10.00", ""), count=7), 1)
    assert (bad.state, versioned.cases()) == ("superseded", [])
    assert f"version 2 counts: {second.delivery_id}" in str(bad.reason)
    assert "It would have been refused: " in str(bad.reason)


def test_a_refused_version_is_owed_until_one_at_least_as_high_comes(versioned: Bank) -> None:
    """Version 2 is refused: version 1, which comes late, counts meanwhile and does not settle it."""
    bad = comes(versioned, movements(("1", "20.00", ""), count=7), 2)
    first = comes(versioned, A, 1)
    assert (bad.state, first.state) == ("refused", "verified")
    assert [case.delivery_id for case in versioned.cases()] == [bad.delivery_id]
    comes(versioned, B, 2)
    assert states(versioned) == [(2, "refused"), (1, "superseded"), (2, "loaded")]
    assert versioned.cases() == []


def test_until_the_higher_one_counts_the_lower_one_goes_on(versioned: Bank) -> None:
    """Both are taken in by one landing: should the gate stop version 2, version 1 is there."""
    versioned.send("movements", B, named(2))
    versioned.send("movements", A, named(1))
    first, second = versioned.land()
    assert [one.state for one in (first, second)] == ["verified", "verified"]
    goes_live(versioned, second)
    goes_live(versioned, first)
    assert states(versioned) == [(1, "superseded"), (2, "loaded")]


def test_the_same_bytes_in_a_higher_version_keep_lower_ones_out(versioned: Bank) -> None:
    """Version 3 brings the bytes of version 1 again: nothing is loaded twice, and version 2 comes too late."""
    first = comes(versioned, A, 1)
    again = comes(versioned, A, 3)
    assert (again.state, again.reason) == (
        "ignored_duplicate",
        f"The same bytes as {first.delivery_id} ({named(1)}), which counts; nothing was loaded twice. It is version 3 from now on.",
    )
    second = comes(versioned, B, 2)
    assert second.reason == f"version 2, and version 3 counts: {first.delivery_id} ({named(1)})"
    assert states(versioned) == [(3, "loaded"), (3, "ignored_duplicate"), (2, "superseded")]


def test_a_higher_version_may_take_a_correction_back(versioned: Bank) -> None:
    """A, then B in its place; version 3 is A again, which the same bytes in version 1 are not."""
    for content, version in ((A, 1), (B, 2), (A, 1), (A, 3)):
        comes(versioned, content, version)
    assert states(versioned) == [(1, "superseded"), (2, "superseded"), (1, "ignored_duplicate"), (3, "loaded")]
    with versioned.ledger.begin() as db:
        first, second, again, _ = deliveries.find(db)
    assert (
        again.reason
        == f"The same bytes as {first.delivery_id} ({named(1)}), which {second.delivery_id} replaced; nothing was loaded twice."
    )


def test_the_same_bytes_in_two_versions_at_once_are_loaded_once(
    versioned: Bank, both: Callable[..., list[Any]]
) -> None:
    for version in (1, 2, 3):
        versioned.send("movements", A, named(version))
    both(lambda: versioned.land("run-1"), lambda: versioned.land("run-2"))
    found = states(versioned)
    assert [state for _, state in found].count("verified") == 1
    assert (3, "verified") in found


def test_a_lower_version_is_superseded_once_by_two_landings_at_once(
    versioned: Bank, both: Callable[..., list[Any]]
) -> None:
    comes(versioned, B, 2)
    versioned.send("movements", A, named(1))
    both(lambda: versioned.land("run-1"), lambda: versioned.land("run-2"))
    assert states(versioned) == [(2, "loaded"), (1, "superseded")]
    assert versioned.waiting() == []


def test_killed_before_it_left_the_inbox_a_lower_version_is_superseded_once(
    versioned: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    comes(versioned, B, 2)
    versioned.send("movements", A, named(1))
    monkeypatch.setattr(Folder, "remove", lambda self, arrived, keep_signal: None)
    assert [one.state for one in versioned.land("dies")] == ["superseded"]
    monkeypatch.undo()
    assert versioned.land("next") == []
    assert (states(versioned), versioned.waiting()) == ([(2, "loaded"), (1, "superseded")], [])


def test_what_was_asked_for_again_is_answered_by_no_lower_version(versioned: Bank) -> None:
    """Version 2 counts with a row that was rejected, and two people ask for the file again: the same bytes are an answer under its own version."""
    second = comes(versioned, B, 2)
    with versioned.ledger.begin() as db:
        batches.open_case(
            db, kind="rows", table="bronze.movements", cause="amount_positive", subject=second.delivery_id, reason="1 row", affected_rows=1, owner="o", run_id="r",
            delivery_id=second.delivery_id,
        )  # fmt: skip
        (case,) = batches.cases(db)
        fix = fixes.propose(db, case.case_id, fixes.RESEND, {}, "half a line", "anna")
        fixes.approve(db, fix, "ben", None, [])
    first = comes(versioned, B, 1)
    assert first.state == "ignored_duplicate"
    assert "it has to come with its batch number 1 and version 2 or a higher one." in str(first.reason)
    comes(versioned, B, 2)
    assert states(versioned) == [(2, "superseded"), (1, "ignored_duplicate"), (2, "loaded")]


@pytest.mark.parametrize("count", [1, 7], ids=["right", "wrong trailer"])
def test_a_lower_version_that_comes_while_the_higher_one_goes_live_waits_for_it(
    versioned: Bank, after_it_waited: Callable[[Any, Callable[[], list[Landed]]], Any], count: int
) -> None:
    """Else it would be refused with a case that nobody closes."""
    versioned.send("movements", B, named(2))
    (second,) = versioned.land()
    versioned.send("movements", movements(("1", "10.00", ""), count=count), named(1))
    with versioned.ledger.begin() as db:
        deliveries.go_live(db, second.delivery_id, 900, "run-1", dates=[], totals={})
        coming = after_it_waited(db, versioned.land)
    assert [one.state for one in coming.result(60)] == ["superseded"]
    assert versioned.cases() == []
