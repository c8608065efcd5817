"""A page a gate, readable without a network, in which no value of any row stands."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from jobs.quality.data_docs import index, render
from jobs.quality.gate import evaluate
from tests.quality.tools import measured, rule, table_of

SECRET = "6222020200112233445"
THINGS = table_of({"account": "string", "amount": "decimal(9,2)"})
RULES = [
    rule("account_form", "quarantine", "expect_column_values_to_match_regex", column="account", regex="^b"),
    rule("account_given", "warn", "expect_column_values_to_not_be_null", column="account"),
    rule("no_more", "stop", "expect_table_row_count_to_be_between", max_value=0),
]


@pytest.fixture
def gate(tmp_path):
    names = pa.list_(pa.string())
    judged = pa.table(
        {
            "account": [SECRET, "b1"], "amount": pa.array([None, 1], pa.decimal128(9, 2)), "__verdict": ["rejected", "accepted"],
            "__reasons": pa.array([["account_form"], []], names), "__warnings": pa.array([[], []], names),
        }
    )  # fmt: skip
    return evaluate(THINGS, RULES, measured(tmp_path / "lake", judged, THINGS, RULES), subject="d1")


def test_the_page_says_what_failed(gate, tmp_path):
    page = render(gate, tmp_path / "docs" / "d1.html").read_text()
    assert "bronze.things: stop" in page
    assert "account_form" in page and "no_more" in page
    assert not list((tmp_path / "docs").glob("*.tmp"))


def test_nothing_is_fetched_from_elsewhere(gate, tmp_path):
    page = render(gate, tmp_path / "d1.html").read_text()
    assert (
        re.findall(
            r"""(?:src|href)\s*=\s*["']?(?:https?:)?//[^"'> ]*|url\(["']?(?:https?:)?//|@import|<script|<link""", page
        )
        == []
    )
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page


def test_no_value_of_a_row_stands_in_it(gate, tmp_path):
    assert SECRET not in render(gate, tmp_path / "d1.html").read_text()
    assert SECRET not in str(gate)


def test_the_index_lists_the_newest_first(gate, tmp_path):
    pages = [render(gate, tmp_path / f"d{n}.html") for n in (1, 2)]
    entries = [
        (datetime(2026, 9, 15, n, tzinfo=UTC), "bronze.things", f"<d{n}>", "stop", page)
        for n, page in enumerate(pages, 1)
    ]
    page = index(tmp_path, entries).read_text()
    assert page.index("&lt;d2&gt;") < page.index("&lt;d1&gt;")
    assert "href='d2.html'" in page
