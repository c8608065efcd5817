"""A page a gate, readable without a network, in which no value of any row stands."""

from __future__ import annotations

import re

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
    page = render(gate, tmp_path / "docs" / "d1.html", gate.outcome, gate.sentence()).read_text()
    assert "bronze.things: stop" in page
    assert "account_form" in page and "no_more" in page
    assert "__none__" not in page and "Data asset: None" not in re.sub(r"<[^>]+>", "", page)
    assert not list((tmp_path / "docs").glob("*.tmp"))


def said(tmp_path, *rules, reasons=(), warnings=(), outcome=None, why=""):
    """The heading of the page of one row, its status line, and what stands beside each of the rules."""
    names = pa.list_(pa.string())
    verdict = "rejected" if reasons else "accepted"
    judged = pa.table(
        {
            "account": ["x"], "amount": pa.array([1], pa.decimal128(9, 2)), "__verdict": [verdict],
            "__reasons": pa.array([list(reasons)], names), "__warnings": pa.array([list(warnings)], names),
        }
    )  # fmt: skip
    gate = evaluate(THINGS, rules, measured(tmp_path / "lake", judged, THINGS, rules), subject="d1")
    page = render(gate, tmp_path / "d1.html", outcome or gate.outcome, why or gate.sentence()).read_text()
    body = page[page.index("<body") :]

    def words(part):
        signs = re.sub(r"<i class=\"fas (\S+) [^>]*>", r" \1 ", part)
        return " ".join(re.sub(r"<[^>]+>", " ", signs).split())

    (head,) = re.findall(r"bronze\.things: (.*?) d1, \d rules", words(body))
    (status,) = re.findall(r"Status: (.*?) Statistics", words(body))
    beside = re.findall(r'<td id="section-[2-9]-content-block-2-cell-\d+-1".*?</td>', body, re.S)
    return head, status, [words(cell) for cell in beside]


def test_a_warning_is_shown_as_a_warning_and_the_gate_passed(tmp_path):
    head, status, rules = said(tmp_path, RULES[0], RULES[1], warnings=["account_given"])
    assert head == "warn Passed with warnings: it goes on."
    assert status == "fa-exclamation-triangle Passed with warnings: it goes on."
    assert rules == ["fa-check-circle", "fa-exclamation-triangle warning"]


def test_rows_that_were_kept_aside_stop_nothing(tmp_path):
    head, status, rules = said(tmp_path, RULES[0], reasons=["account_form"])
    assert head == "pass Passed: it goes on, without the rows that were kept aside."
    assert status == "fa-check-circle Passed: it goes on, without the rows that were kept aside."
    assert rules == ["fa-exclamation-triangle rows kept aside"]


@pytest.mark.parametrize(("on_fail", "words"), [("hold", "Held: a person decides whether it goes on."), ("stop", "Stopped: nothing of it goes on.")])  # fmt: skip
def test_what_was_held_or_stopped_failed(tmp_path, on_fail, words):
    head, status, rules = said(tmp_path, rule("no_more", on_fail, "expect_table_row_count_to_be_between", max_value=0))
    assert (head, status) == (f"{on_fail} {words}", f"fa-times {words}")
    assert rules == [f"fa-times {words.split(':')[0].lower()}"]


def test_all_promises_kept_is_a_pass(tmp_path):
    head, status, rules = said(tmp_path, RULES[0])
    assert (head, status) == ("pass Passed: it goes on.", "fa-check-circle Passed: it goes on.")
    assert rules == ["fa-check-circle"]


def test_what_its_balance_stopped_is_no_pass(tmp_path):
    """All rules hold and a row is missing: the page of the gate says what became of the delivery, and why."""
    head, status, _ = said(tmp_path, RULES[0], outcome="stop", why="1 row of 2 is missing.")
    assert head == "stop Stopped: nothing of it goes on. 1 row of 2 is missing."
    assert status == "fa-times Stopped: nothing of it goes on."


def test_nothing_is_fetched_from_elsewhere(gate, tmp_path):
    page = render(gate, tmp_path / "d1.html", gate.outcome, gate.sentence()).read_text()
    assert (
        re.findall(
            r"""(?:src|href)\s*=\s*["']?(?:https?:)?//[^"'> ]*|url\(["']?(?:https?:)?//|@import|<script|<link""", page
        )
        == []
    )
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page


def test_no_value_of_a_row_stands_in_it(gate, tmp_path):
    assert SECRET not in render(gate, tmp_path / "d1.html", gate.outcome, gate.sentence()).read_text()
    assert SECRET not in str(gate)


def test_the_index_lists_the_newest_first(gate, tmp_path):
    pages = [render(gate, tmp_path / f"d{n}.html", gate.outcome, gate.sentence()) for n in (1, 2)]
    entries = [(f"2026-09-15 0{n}:00", "bronze.things", f"<d{n}>", "stop", page) for n, page in enumerate(pages, 1)]
    page = index(tmp_path, entries).read_text()
    assert page.index("&lt;d2&gt;") < page.index("&lt;d1&gt;")
    assert "href='d2.html'" in page
