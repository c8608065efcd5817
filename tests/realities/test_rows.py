"""Rows that a branch got wrong: rejected alone, with a reason, and with what they said; everybody else goes on."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from sqlalchemy import select, text

from jobs import upkeep
from jobs.ledger import batches
from jobs.ledger.models import DirtyDate
from tests.realities.conftest import FILES, MONDAY, Small, file_of


def test_bad_rows_of_one_branch_are_parted_and_nobody_waits(small: Small) -> None:
    """A8, C13, H3, H5: a garbled remark, two unknown codes and an amount that is none; the other branch and the good row are released."""
    small.send(
        "b01",
        MONDAY,
        ("1", "in", "10.00", "工资"),
        ("2", "in", "11.00", "；ヂ"),
        ("3", "X9", "12.00", ""),
        ("4", "X9", "13.00", ""),
        ("5", "in", "14.00", ""),
    )
    small.send("b02", MONDAY, ("1", "in", "20.00", ""))
    first, second = small.play()
    assert (first.state, first.received_rows, first.accepted_rows, first.rejected_rows, first.duplicate_rows) == (
        "partly_loaded",
        5,
        2,
        3,
        0,
    )
    assert (first.received_money, first.accepted_money, first.rejected_money) == (60, 24, 36)
    assert second.state == "loaded"
    assert small.movements() == ["b01:2026-09-14:1 10.00 工资", "b01:2026-09-14:5 14.00", "b02:2026-09-14:1 20.00"]
    assert {(c.cause, c.affected_rows, c.entity) for c in small.cases()} == {
        ("remark_legible", 1, "b01"),
        ("kind_known", 2, "b01"),
    }
    (garbled,) = [c for c in small.cases() if c.cause == "remark_legible"]
    assert "Japanese syllables" in garbled.reason


def test_a_rejected_row_keeps_the_code_that_nobody_knew(small: Small) -> None:
    """C13: new codes can be counted and mapped, for the rows stay as they came."""
    small.send(
        "b01",
        MONDAY,
        ("1", "X9", "1.00", ""),
        ("2", "X9", "1.00", ""),
        ("3", "Y1", "1.00", ""),
        ("4", "in", "1.00", ""),
    )
    small.take()
    rejected = [(r["kind"], r["__reasons"], r["__line"]) for r in small.bronze() if r["__verdict"] == "rejected"]
    assert rejected == [("X9", ["kind_known"], 2), ("X9", ["kind_known"], 3), ("Y1", ["kind_known"], 4)]


def test_a_refused_file_leaves_the_other_branch_alone(small: Small) -> None:
    """B2 and H3: stated and counted in the reason, nothing of it published; sent again, it counts."""
    name = f"PAY_b01_{MONDAY:%Y%m%d}_1.csv"
    small.put("payments", "b01", MONDAY, name, file_of("b01", MONDAY, ("1", "in", "10.00", ""), count=2))
    small.send("b02", MONDAY, ("1", "in", "20.00", ""))
    bad, good = small.play()
    assert (bad.state, bad.cause, good.state) == ("refused", "trailer_count", "loaded")
    assert "states 2 records, the file holds 1" in bad.reason
    assert small.releases(MONDAY) == []
    small.send("b01", MONDAY, ("1", "in", "10.00", ""))
    small.play()
    assert small.cases() == []
    assert small.releases(MONDAY) == [("2026-09-14|v1", "complete")]
    assert small.movements() == ["b01:2026-09-14:1 10.00", "b02:2026-09-14:1 20.00"]


def test_small_files_are_put_together_and_no_row_is_lost(small: Small) -> None:
    """H6: six files of one branch's hours become one."""
    for seq in range(1, 7):
        small.send("b01", MONDAY, (str(seq), "in", "1.00", ""), seq=seq)
        small.take()
    before, rows = small.bank.lake.file_count("bronze.payments"), small.bronze()
    assert (before >= 6, len(rows)) == (True, 6)
    done = upkeep.tidy(small.name, "run")
    assert done["files_after"] < done["files_before"]
    assert small.bank.lake.file_count("bronze.payments") < before
    assert small.bronze() == rows


EVENING = """\
table: bronze.payments
version: 1.0.0
description: A payment with its instant.
grain: one payment
owner: branch accounting
steward: accounting
primaryKey: [branch_id, payment_no]
history: append
money: amount
businessDate: to_date(from_utc_timestamp(paid_at, '$zone') + interval 3 hours 30 minutes)
columns:
  branch_id:  [string!, {classification: C1/2}]
  payment_no: [string!, {classification: C1/2}]
  kind:       [string!, {classification: C1/2}]
  amount:     ["decimal(18,2)!", {unit: CNY, classification: C2/3}]
  paid_at:    [timestamp!, {parse: yyyyMMddHHmm, classification: C1/2, description: local time of the bank}]
  remark:     [string, {classification: C1/2}]
conforms:
  silver.movements:
    columns:
      movement_id: concat_ws(':', '$system', branch_id, payment_no)
      amount: amount
      remark: remark
      business_date: __business_date
"""


def test_a_business_day_opens_the_evening_before(new_bank: Callable[..., Small]) -> None:
    """D2: where the contract says so, 20:30 begins the next business day: 20:29 of Monday is Monday's, 20:30 is Tuesday's."""
    small = new_bank(bronze__payments=EVENING)
    paid = [("1", "202609142029"), ("2", "202609142030"), ("3", "202609151200"), ("4", "202609132040")]
    body = "".join(f"b01|{no}|in|1.00|{at}|\n" for no, at in paid)
    small.put(
        "payments", "b01", MONDAY, f"PAY_b01_{MONDAY:%Y%m%d}_1.csv", f"H|core|b01|20260914\n{body}T|4|4.00\n".encode()
    )
    small.take()
    assert {r["payment_no"]: str(r["__business_date"]) for r in small.bronze()} == {
        "1": "2026-09-14",
        "2": "2026-09-15",
        "3": "2026-09-15",
        "4": "2026-09-14",
    }


def test_a_row_whose_date_is_out_of_reach_opens_no_day_of_its_own(new_bank: Callable[..., Small]) -> None:
    """G3: seconds read as milliseconds lie in 1970, and a clock may run years ahead. A history that is taken on goes back as far as it likes."""
    small = new_bank(bronze__payments=EVENING.replace("businessDate:", "reach: {back: 3, ahead: 1}\nbusinessDate:"))
    paid = {"old": "197001210000", "four": "202609101200", "three": "202609111200", "today": "202609141200", "next": "202609151200", "far": "203609141200"}  # fmt: skip
    for entity in ("b01", "TAKEON"):  # a take-on of the same day
        body = "".join(f"b01|{no}|in|1.00|{at}|\n" for no, at in paid.items())
        content = f"H|core|{entity}|20260914\n{body}T|6|6.00\n".encode()
        small.put("payments", entity, MONDAY, f"PAY_{entity}_{MONDAY:%Y%m%d}_1.csv", content)
    small.take()
    told = {(r["__entity"], r["payment_no"]): (r["__verdict"], r["business_date_is"]) for r in small.bronze()}
    assert {no: told["b01", no] for no in paid} == {
        "old": ("rejected", "too_early"),
        "four": ("rejected", "too_early"),
        "three": ("accepted", "in_reach"),
        "today": ("accepted", "in_reach"),
        "next": ("accepted", "in_reach"),
        "far": ("rejected", "too_late"),
    }
    assert {no: told["TAKEON", no][0] for no in paid} == dict.fromkeys(paid, "accepted") | {"far": "rejected"}
    with small.bank.ledger.begin() as db:
        cases = {c.entity: c for c in batches.cases(db)}
        waiting = {str(row.business_date) for row in db.execute(select(DirtyDate.business_date))}
    assert (cases["b01"].cause, cases["b01"].affected_rows) == ("business_date_in_reach", 3)
    assert "at most 3 days before that of its delivery and 1 after it" in cases["b01"].reason
    # Of the take-on, all but that of the far one.
    assert waiting == {"1970-01-21", "2026-09-10", "2026-09-11", "2026-09-14", "2026-09-15"}


def test_a_value_that_does_not_cast_in_silver_rejects_its_row_and_no_other(new_bank: Callable[..., Small]) -> None:
    """C13: silver wants a date of the remark, and one remark is none. `ledgerlake contracts check` asks for the `try_cast`; with a plain cast the day of the whole bank ends."""
    bronze, silver = FILES["bronze/payments.yaml"], FILES["silver/movements.yaml"]
    needed = silver.replace("  remark:        [string,", "  remark:        [string!,")

    def sent(name: str, cast: str) -> Small:
        conformed = bronze.replace("remark: remark", f"remark: cast({cast}(remark as date) as string)")
        bank = new_bank(name, bronze__payments=conformed, silver__movements=needed)
        bank.send("b01", MONDAY, ("1", "in", "10.00", "2026-09-14"), ("2", "in", "11.00", "soon"))
        bank.send("b02", MONDAY, ("1", "in", "20.00", "2026-09-15"))
        return bank

    small = sent("small", "try_cast")
    assert [d.state for d in small.play()] == ["loaded", "loaded"]
    assert small.movements() == ["b01:2026-09-14:1 10.00 2026-09-14", "b02:2026-09-14:1 20.00 2026-09-15"]
    assert small.releases(MONDAY) == [("2026-09-14|v1", "complete")]
    [case] = small.cases()
    assert (case.table_name, case.cause, case.affected_rows) == ("silver.movements", "remark_required", 1)
    strict = sent("strict", "cast")
    strict.take()
    with pytest.raises(Exception, match="CAST_INVALID_INPUT"):
        strict.play()
    assert strict.releases(MONDAY) == []


def test_a_reader_of_the_lake_counts_what_came_as_the_docs_say(small: Small) -> None:
    """docs/lake.md: accepted rows of live batches. b01's first file was sent again with one row more; the canaries and an unknown kind are not among them."""
    small.send("b01", MONDAY, ("1", "in", "10.00", ""))
    small.take()
    small.send("b01", MONDAY, ("1", "in", "10.00", ""), ("2", "in", "5.00", ""), seq=1)
    small.send("b02", MONDAY, ("1", "in", "20.00", ""), ("2", "nobody knows", "1.00", ""))
    small.take()
    with small.ledger.begin() as db:
        live = {
            (row.delivery_id, row.live_batch)
            for row in db.execute(
                text(
                    "select delivery_id, live_batch from deliveries where feed = 'payments' and state in ('loaded', 'partly_loaded')"
                )
            )
        }
    rows = small.bank.lake.dataset("bronze.payments").to_table().to_pylist()
    counting = [r for r in rows if r["__verdict"] == "accepted" and (r["__delivery_id"], r["__batch"]) in live]
    assert sorted(r["amount"] for r in counting) == [Decimal(amount) for amount in ("5.00", "10.00", "20.00")]
    assert len(rows) > len(counting) + 2, "canaries and rows that do not count stand beside them"
    assert {r["__verdict"] for r in rows if r["__delivery_id"] == "__canary"} == {"rejected"}
