"""C15: a file of single corrected rows, applied by key and version. Only the dates of those rows are told anew, and what was sent first stays in bronze."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from jobs.contracts import ContractError, load
from tests.contracts.house import corrections
from tests.realities.conftest import FILES, MONDAY, TUESDAY, WEDNESDAY, Small, write

SOURCE = """\
feed: corrections
description: Single payments as they should have been sent.
system: core
owner: branch accounting
sender: branch
kind: correction
schedule: {required: false}
files: {pattern: "COR_{entity}_{date}_{seq}.csv"}
format:
  kind: delimited
  separator: "|"
  header: {tag: H, fields: [system, entity, business_date]}
  trailer: {tag: T, fields: [record_count, amount_sum]}
control: {sum: amount}
synthetic: true
"""
CONTRACT = corrections("branch_id, payment_no")
Correction = tuple[date, str, str, str, int]  # business date, payment_no, amount, remark, version


@pytest.fixture
def small(new_bank: Callable[..., Small]) -> Small:
    made = new_bank(sources__small__corrections=SOURCE, bronze__corrections=CONTRACT)
    for branch, amount in (("b01", "10.00"), ("b02", "20.00")):
        made.send(branch, MONDAY, ("1", "in", amount, "工资"), ("2", "in", "5.00", ""))
    made.play()
    made.clock(TUESDAY)
    for branch in ("b01", "b02"):
        made.send(branch, TUESDAY, ("1", "in", "30.00", ""))
    made.play()
    made.clock(WEDNESDAY, 9)
    return made


def correct(small: Small, branch: str, *rows: Correction, seq: int = 1) -> None:
    body = [f"{branch}|{no}|in|{amount}|{of:%Y%m%d}|{remark}|{version}" for of, no, amount, remark, version in rows]
    total = sum((Decimal(amount) for _, _, amount, _, _ in rows), Decimal(0))
    lines = [f"H|core|{branch}|{WEDNESDAY:%Y%m%d}", *body, f"T|{len(rows)}|{total:.2f}"]
    small.put(
        "corrections",
        branch,
        WEDNESDAY,
        f"COR_{branch}_{WEDNESDAY:%Y%m%d}_{seq}.csv",
        "".join(f"{line}\n" for line in lines).encode(),
    )


def monday_of_b01(small: Small) -> list[str]:
    return [line.removeprefix(f"b01:{MONDAY}:") for line in small.movements() if line.startswith(f"b01:{MONDAY}")]


def test_the_corrected_row_takes_the_place_of_the_first_and_its_day_alone_is_told_anew(small: Small) -> None:
    correct(small, "b01", (MONDAY, "1", "12.00", "奖金", 1))
    *_, correction = small.play()
    assert (correction.state, correction.accepted_rows) == ("loaded", 1)
    assert monday_of_b01(small) == ["1 12.00 奖金", "2 5.00"]
    assert small.releases(MONDAY)[-1] == ("2026-09-14|v2", "repaired")
    assert len(small.releases(TUESDAY)) == 1
    assert [
        (r["payment_no"], r["amount"])
        for r in small.bronze()
        if (r["branch_id"], r["__business_date"]) == ("b01", MONDAY)
    ] == [("1", Decimal("10.00")), ("2", Decimal("5.00"))]
    (applied,) = small.bronze("corrections")
    assert (applied["original_found"], applied["__verdict"], applied["amount"]) == ("yes", "accepted", Decimal("12.00"))


def test_of_two_corrections_the_higher_version_counts_whatever_came_last(small: Small) -> None:
    correct(small, "b01", (MONDAY, "1", "14.00", "", 2))
    small.play()
    correct(small, "b01", (MONDAY, "1", "13.00", "", 1), seq=2)
    small.play()
    assert monday_of_b01(small) == ["1 14.00", "2 5.00"]


def test_a_correction_of_a_row_that_nobody_sent_is_rejected(small: Small) -> None:
    correct(small, "b01", (MONDAY, "1", "12.00", "", 1), (MONDAY, "9", "99.00", "", 1), (TUESDAY, "2", "1.00", "", 1))
    *_, correction = small.play()
    assert (correction.state, correction.accepted_rows, correction.rejected_rows) == ("partly_loaded", 1, 2)
    (case,) = small.cases()
    assert (case.cause, case.affected_rows) == ("original_known", 2)
    assert "must stand in bronze.payments" in case.reason
    assert monday_of_b01(small) == ["1 12.00", "2 5.00"]


def test_the_rules_of_the_corrected_table_hold_for_corrections(small: Small) -> None:
    correct(small, "b01", (MONDAY, "1", "12.00", "；ヂ", 1))
    small.play()
    assert [case.cause for case in small.cases()] == ["remark_legible"]
    assert monday_of_b01(small) == ["1 10.00 工资", "2 5.00"]


def test_a_whole_file_that_is_sent_after_a_correction_is_the_newer_word(small: Small) -> None:
    correct(small, "b01", (MONDAY, "1", "12.00", "", 1))
    small.play()
    small.clock(WEDNESDAY, 10)
    small.send("b01", MONDAY, ("1", "in", "11.00", ""), ("2", "in", "5.00", ""))
    small.play()
    assert monday_of_b01(small) == ["1 11.00", "2 5.00"]
    small.clock(WEDNESDAY, 11)
    small.send("b01", MONDAY, ("2", "in", "5.00", ""))
    small.play()
    assert monday_of_b01(small) == ["2 5.00"]


def test_a_correction_that_comes_with_its_original_waits_for_it(small: Small) -> None:
    small.send("b01", WEDNESDAY, ("1", "in", "40.00", ""))
    correct(small, "b01", (WEDNESDAY, "1", "41.00", "", 1))
    small.take()
    assert {d.state for d in small.take()} == {"loaded", "verified"}
    small.load("corrections")
    assert {d.state for d in small.take()} == {"loaded"}
    assert small.cases() == []


@pytest.mark.parametrize(
    ("file", "before", "after", "found"),
    [
        ("sources/small/corrections.yaml", "kind: correction", "kind: increment", "is of kind increment, and bronze.corrections corrects bronze.payments"),
        ("sources/small/corrections.yaml", "schedule: {required: false}\n", "", "is a correction, which nobody owes"),
        ("sources/small/corrections.yaml", "system: core", "system: card", "of the system card, what it corrects of core"),
        ("bronze/corrections.yaml", "bronze.payments", "bronze.payment", "corrects bronze.payment, which is no bronze table"),
        ("bronze/corrections.yaml", "correction_version: [int!", "correction_version: [string!", "has no correction_version"),
    ],
)  # fmt: skip
def test_a_declaration_that_does_not_fit_is_named(
    tmp_path: Path, file: str, before: str, after: str, found: str
) -> None:
    files = FILES | {"sources/small/corrections.yaml": SOURCE, "bronze/corrections.yaml": CONTRACT}
    assert "bronze.corrections" in load("small", write(tmp_path / "good", "small", files)).tables
    assert before in files[file]
    with pytest.raises(ContractError, match=found):
        load("small", write(tmp_path / "bad", "small", files | {file: files[file].replace(before, after)}))
