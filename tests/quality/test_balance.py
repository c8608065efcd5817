"""What came in is somewhere, to the row and the cent."""

from __future__ import annotations

from decimal import Decimal

import pytest

from jobs.quality.balance import Balance

ALL_THERE = {
    "accepted_rows": 7, "accepted_money": Decimal("70.00"), "rejected_rows": 2, "rejected_money": Decimal("-1.50"),
    "duplicate_rows": 1, "duplicate_money": Decimal("10.00"), "filtered_rows": 0, "filtered_money": 0,
}  # fmt: skip


def test_all_accounted_for():
    balance = Balance.from_metrics(ALL_THERE, received_rows=10, received_money=Decimal("78.50"))
    assert balance.is_balanced
    assert "all accounted for" in balance.sentence()


@pytest.mark.parametrize(
    ("changed", "off"),
    [
        ({"accepted_rows": 6}, "off by -1 rows."),
        ({"duplicate_rows": 2}, "off by +1 rows."),
        ({"accepted_money": Decimal("69.99")}, "off by -0.01 of money."),
        ({"rejected_money": None}, "off by +1.50 of money."),
        ({"rejected_rows": 1, "rejected_money": Decimal(0)}, "off by -1 rows and +1.50 of money."),
        ({"filtered_rows": 3}, "off by +3 rows."),
        ({"filtered:is_person": [1, "5.00"]}, "off by +1 rows and +5.00 of money."),
    ],
)
def test_each_way_to_lose_or_double_is_told(changed, off):
    balance = Balance.from_metrics(ALL_THERE | changed, received_rows=10, received_money=Decimal("78.50"))
    assert not balance.is_balanced
    assert off in balance.sentence()
    assert balance.as_record()["is_balanced"] is False


def test_nothing_received_but_something_written():
    assert not Balance.from_metrics(ALL_THERE, received_rows=None, received_money=None).is_balanced
    assert not Balance.from_metrics({}, received_rows=1, received_money=None).is_balanced
    assert Balance.from_metrics({}, received_rows=0, received_money=Decimal(0)).is_balanced


def test_money_that_the_table_does_not_follow_is_not_compared():
    assert Balance.from_metrics(ALL_THERE, received_rows=10, received_money=None).is_balanced


def test_merged_rows_are_counted_by_their_sources():
    metrics = {"accepted_rows": 4, "accepted_in": 9, "rejected_in": 1}
    assert Balance.from_metrics(metrics, received_rows=10, received_money=None, by_sources=True).is_balanced
    assert not Balance.from_metrics(metrics, received_rows=10, received_money=None).is_balanced


def test_rows_kept_out_by_name_stand_in_the_record():
    kept_out = ALL_THERE | {"filtered:is_person": [2, "3.00"]}
    balance = Balance.from_metrics(kept_out, received_rows=12, received_money=Decimal("81.50"))
    assert balance.is_balanced
    assert balance.as_record()["parts"]["filtered:is_person"] == {"rows": 2, "money": "3.00"}


def test_a_value_that_only_a_rejected_row_spoils_does_not_fail_the_load(tmp_path):
    """Which other dates a delivery changes is asked of accepted rows; what a rejected one says need not be a date."""
    import pyarrow as pa

    from jobs.quality.metrics import distinct
    from tests.quality.tools import written

    judged = pa.table(
        {
            "__delivery_id": ["d1", "d1", "d2"],
            "reverses": ["2026-09-14:1:1", "garbage", None],
            "__verdict": ["accepted", "rejected", "accepted"],
        }
    )
    found = distinct(
        written(tmp_path, judged), "cast(split_part(reverses, ':', 1) as date)", batch=1, by="__delivery_id"
    )
    assert {d: [str(day) for day in days] for d, days in found.items()} == {"d1": ["2026-09-14"]}


def test_a_date_before_all_history_is_no_day_that_is_told_anew(tmp_path):
    import pyarrow as pa

    from jobs.quality.metrics import distinct
    from tests.quality.tools import written

    judged = pa.table({"__delivery_id": ["d1", "d1"], "said": ["0000-01-01", "2026-09-14"], "__verdict": ["accepted"] * 2})  # fmt: skip
    found = distinct(written(tmp_path, judged), "cast(said as date)", batch=1, by="__delivery_id")
    assert {d: [str(day) for day in days] for d, days in found.items()} == {"d1": ["2026-09-14"]}
