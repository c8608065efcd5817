"""What a fix changed: the restatements that have it, and their figures."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from jobs import quarantine as bench
from jobs.bank import open_bank
from jobs.ledger import batches, days, deliveries, fixes
from jobs.quarantine import outcome
from tests.ledger.conftest import DAY, HISTORY_END, TinyBank, part
from tests.quarantine.conftest import TWO_WRONG, approved, case_of, load, send


def test_both_of_two_fixes_show_the_restatement_that_has_them(tiny: TinyBank) -> None:
    send(*TWO_WRONG)
    tiny.clock(DAY + timedelta(days=1), "06:00")
    (key,) = tiny.decide()
    tiny.release(key)
    first = approved(case_of("amount_unreadable"), {2: {"amount": "2.00"}})
    load()
    second = approved(case_of("amount_positive"), {3: {"amount": "3.00"}})
    load()
    (again,) = tiny.decide()
    assert tiny.run(again).cause == days.REPAIRED
    tiny.release(again)
    with tiny.ledger.begin() as db:
        found = [[r.run_key for r in bench.restatements(db, fixes.get(db, fix))] for fix in (first, second)]
    assert found == [[again], [again]]


def test_a_fix_shows_its_restatement_and_no_first_release(tiny: TinyBank) -> None:
    """The first fix was there before the day was ever told, and changed no figure; the second one has it told anew."""
    send(*TWO_WRONG)
    first = approved(case_of("amount_unreadable"), {2: {"amount": "2.00"}})
    load()
    tiny.clock(DAY + timedelta(days=1), "06:00")
    (key,) = tiny.decide()
    tiny.release(key)
    second = approved(case_of("amount_positive"), {3: {"amount": "3.00"}})
    load()
    (again,) = tiny.decide()
    tiny.release(again)
    with tiny.ledger.begin() as db:
        found = [[r.run_key for r in bench.restatements(db, fixes.get(db, fix))] for fix in (first, second)]
    assert found == [[], [again]]


def test_a_repair_of_a_take_on_restates_its_day_and_not_all_history(running: TinyBank) -> None:
    """One row of 12 September is mended in a delivery that was taken on with three days."""
    with running.ledger.begin() as db:
        (delivery,) = deliveries.find(db, feed="payments", entity=days.TAKE_ON)
        batch = batches.start(db, "bronze.payments", "payments|again", "r").batch_id
        parts = [part(d) for d in (date(2026, 9, 12), date(2026, 9, 13), HISTORY_END)]
        deliveries.go_live(db, delivery.delivery_id, batch, "r", dates=parts, totals={}, cause=days.REPAIRED)
    keys = running.decide()
    assert {running.run(key).cause for key in keys} == {days.REPAIRED}


def statement(run_key: str, number: int, cells: dict[str | None, str]) -> list[dict[str, Any]]:
    """One statement of a KPI: branch (None: the bank) -> value."""
    fixed = {
        "release_id": run_key,
        "kpi_id": "K1",
        "period_kind": "day",
        "as_of_date": DAY,
        "measure": "amount",
        "restatement_no": number,
    }
    nulls = dict.fromkeys(("legal_entity_id", "business_line", "province_code"))
    return [
        {**fixed, **nulls, "branch_id": branch, "value": Decimal(v), "numerator": Decimal(v), "__verdict": "accepted"} for branch, v in cells.items()
    ]  # fmt: skip


def test_a_figure_that_is_gone_is_among_what_a_fix_changed(tiny: TinyBank) -> None:
    """The only payment of b02 was b01's: after its correction there is no figure of b02 any more."""
    opened, (first, second) = open_bank("tiny"), (f"{DAY}|v1", f"{DAY}|v2")
    rows = statement(first, 0, {None: "10", "b01": "7", "b02": "3"}) + statement(second, 1, {None: "10", "b01": "10"})
    kept = {
        name: pa.string()
        for name in (
            "release_id",
            "kpi_id",
            "period_kind",
            "legal_entity_id",
            "business_line",
            "province_code",
            "branch_id",
            "measure",
            "__verdict",
        )
    }
    kinds = kept | {
        "as_of_date": pa.date32(),
        "restatement_no": pa.int32(),
        "value": pa.decimal128(28, 6),
        "numerator": pa.decimal128(28, 6),
    }
    write_deltalake(opened.lake.path("gold.kpi_values"), pa.Table.from_pylist(rows, pa.schema(list(kinds.items()))))
    release: Any = SimpleNamespace(run_key=second)
    changed = {e.grain: (e.before, e.after) for e in outcome._changed(opened, release)}
    assert changed == {"b01": (Decimal(7), Decimal(10)), "b02": (Decimal(3), None)}
