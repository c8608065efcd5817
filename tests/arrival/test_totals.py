"""Sums are exact, in whatever way amounts are written; what is no amount is counted."""

from __future__ import annotations

from decimal import Decimal
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.arrival import totals
from jobs.arrival.errors import Refused
from jobs.arrival.totals import PLAIN, Stated, Totals, compare, stated_in_signal, stated_in_trailer, sum_of
from jobs.contracts.column import Column
from jobs.contracts.formats import Record
from jobs.contracts.parse import way


@pytest.mark.parametrize(
    ("values", "parse", "total", "unread"),
    [
        (["0.1", "0.2", None], None, "0.30", 0),
        (["1250", "-50"], "implied(2)", "12.00", 0),
        (["123.45-", "0.45"], "trailing_minus", "-123.00", 0),
        (["1234-", "66", "5.5"], "implied(2) trailing_minus", "-11.68", 1),
        (["0001234-", "0000066+", "5+-", "+5+"], "implied(2) trailing_minus", "-11.68", 2),
        (["1,234.50+", "0.50-"], "thousands trailing_minus", "1234.00", 0),
        (["12.50+"], None, "0.00", 1),
        (["1,234.50-", "0.50", "1,23"], "thousands trailing_minus", "-1234.00", 1),
        (["99999999", " 1.00 ", "", " "], "null(99999999)", "1.00", 0),
        (["1.00", "abc", "NaN", "1e400", "1_000", "１２", "1\t"], None, "1.00", 6),
        (["1.00", "9" * 30, "0.0000001"], None, "1.00", 2),
        (["0.000001"], None, "0.000001", 0),
        ([], None, "0.00", 0),
    ],
)
def test_sums(values: list[str | None], parse: str | None, total: str, unread: int) -> None:
    found = sum_of(pa.array(values, pa.string()), way("decimal(18,2)", parse))
    assert found == (Decimal(total), unread)
    assert str(found[0]) in (total, "0.000001", "1E-6")


@given(st.lists(st.decimals(-(10**17), 10**17, places=2, allow_nan=False, allow_infinity=False), max_size=50))
@settings(deadline=None)
def test_any_sum_is_that_of_decimals(amounts: list[Decimal]) -> None:
    assert sum_of(pa.array([f"{a:f}" for a in amounts], pa.string()), PLAIN) == (sum(amounts, Decimal(0)), 0)


@given(
    st.lists(st.text("+-.0123456789", max_size=22) | st.none(), max_size=5)
    | st.lists(st.from_regex(r"[+.-]?[0-9]{0,3}[+.-]?[0-9]{2}", fullmatch=True), max_size=5),
    st.sampled_from([None, "implied(2)"]),
)
@example(["1.00", ".-5", "-.50"], None)
@example([".1.", "55"], None)
@example(["1..0", "5"], None)
@example(["+1.00", "-2.50"], None)
@example(["99999999999999.99"] * 9, None)
@example(["999999999999999.99"] * 20, None)
@example(["1.0000000"], None)
@example(["."], None)
@example(["-", "12"], "implied(2)")
@example(["0" * 20 + "1"], None)
@settings(deadline=None)
def test_amounts_that_are_certain_at_a_glance_are_those_that_are_looked_at_one_by_one(
    texts: list[str | None], parse: str | None
) -> None:
    values, written = pa.array(texts, pa.string()), way("decimal(18,2)", parse)
    with patch.object(totals, "_sum_at_a_glance", lambda *_: None):
        one_by_one = sum_of(values, written)
    assert sum_of(values, written) == one_by_one


def test_amounts_of_part_of_an_array_are_those_of_the_part() -> None:
    assert sum_of(pa.array(["abc", "1.00", "2.00", "x"])[1:3], PLAIN) == (Decimal("3.00"), 0)


def test_signals() -> None:
    digest = "ab" * 32
    batch = f"other.txt|9||\n a.txt |2|3.50|{digest.upper()}\n"
    assert stated_in_signal(batch, "a.txt") == Stated(2, Decimal("3.50"), digest)
    assert stated_in_signal("a.txt", "a.txt") == Stated()
    for text, said in (
        ("b.txt|1||", "it names b.txt"),
        ("", "it names none"),
        ("a.txt|||xyz", "no SHA-256"),
        ("a.txt|-1||", "record count"),
    ):
        with pytest.raises(Refused, match=said):
            stated_in_signal(text, "a.txt")


def test_a_sum_proves_nothing_while_amounts_of_rows_cannot_be_read() -> None:
    totals = Totals(rows=2, money=Decimal("1.00"), without_money=1)
    compare(totals, Stated(2, Decimal("3.00")), "trailer")
    with pytest.raises(Refused, match="states 3 records, the file holds 2"):
        compare(totals, Stated(3, Decimal("3.00")), "trailer")


def test_a_stated_sum_may_be_written_as_the_amounts_are() -> None:
    column = Column.model_validate({"type": "decimal(18,2)", "classification": "C1/2", "parse": "trailing_minus"})
    assert stated_in_trailer({"amount_sum": "515.00-"}, column).money == Decimal("-515.00")
    assert stated_in_trailer({"amount_sum": "-515.00"}, column).money == Decimal("-515.00")
    with pytest.raises(Refused, match=r"states the sum '515\.00-'"):
        stated_in_trailer({"amount_sum": "515.00-"})


@pytest.mark.parametrize(
    ("written", "parse", "money"),
    [
        ("000001250", "implied(2)", "12.50"),
        ("1250-", "implied(2) trailing_minus", "-12.50"),
        ("00125}", "zoned implied(2)", "-12.50"),
        ("1,250.00", "thousands", "1250.00"),
    ],
)
def test_a_stated_sum_is_written_as_the_source_says(written: str, parse: str, money: str) -> None:
    """B5: a sender of fen states fen, and of nothing else than what was declared."""
    record = Record.model_validate({"tag": "T", "fields": ["amount_sum"], "parse": parse})
    assert stated_in_trailer({"amount_sum": written}, None, record.sum_way).money == Decimal(money)
    if "implied" in parse:
        with pytest.raises(Refused, match=r"states the sum '12\.50'\. Expected digits without a point"):
            stated_in_trailer({"amount_sum": "12.50"}, None, record.sum_way)


@given(st.text("a.txt|0123456789+-.,\n \ufeff\0xé", max_size=60) | st.text(max_size=30))
@settings(deadline=None)
def test_a_signal_of_any_text_is_read_or_refused(written: str) -> None:
    for text in (written, f"a.txt|{written}"):
        try:
            stated = stated_in_signal(text, "a.txt")
        except Refused as refusal:
            assert refusal.cause == "signal_unreadable"
        else:
            assert stated.rows is None or stated.rows >= 0
