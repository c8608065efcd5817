"""Mainframe records whose places move or are read in several ways: OCCURS DEPENDING ON, REDEFINES."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from jobs.arrival.errors import Refused
from tests.arrival.copybooks import ORDERS, columns, described, family, packed, read

ORDER_COLUMNS = columns("customer", "city", second="item[2].price", all="item")


@pytest.mark.parametrize("variable", [True, False])
def test_tables_of_the_length_that_a_field_says(variable: bool) -> None:
    room = "" if variable else "      "
    content = f"AAA02X10015Y20025{room}ROMEBBB00{room * 3}OSLO".encode("cp037")
    good, bad, _ = read(described(ORDERS, variableTables=variable), content, ORDER_COLUMNS)
    assert bad == []
    assert [(g["customer"], g["city"], g["second"], json.loads(g["all"])) for g in good] == [
        ("AAA", "ROME", "002.5", [{"sku": "X1", "price": 1.5}, {"sku": "Y2", "price": 2.5}]),
        ("BBB", "OSLO", None, []),
    ]


def test_two_tables_of_one_name_are_two() -> None:
    copybook = """
       01 R.
          05 KIND PIC X.
          05 A.
             10 A-CNT PIC 9.
             10 ITEM OCCURS 0 TO 3 DEPENDING ON A-CNT PIC X(2).
          05 B REDEFINES A.
             10 B-CNT PIC 9.
             10 ITEM OCCURS 0 TO 3 DEPENDING ON B-CNT PIC X(2).
    """
    fmt = described(
        copybook, records="rdw", variableTables=True, segment={"field": "kind", "groups": {"A": "a", "B": "b"}}
    )
    good, bad, _ = read(fmt, family("A2xxyy", "B1zz"), columns(a="a.item", b="b.item"))
    assert bad == []
    assert [(g["a"], g["b"]) for g in good] == [('["xx","yy"]', None), (None, '["zz"]')]


@pytest.mark.parametrize(("content", "told"), [("2ab5cdefg1x0", "cnt .* is f5"), ("2abZ1x", "cnt .* is e9")])
def test_a_counter_that_cannot_be_moves_no_value_into_another_record(content: str, told: str) -> None:
    copybook = "       01 R.\n          05 CNT PIC 9.\n          05 ITEM OCCURS 0 TO 3 DEPENDING ON CNT PIC X.\n"
    with pytest.raises(Refused, match=told):
        read(described(copybook, variableTables=True), content.encode("cp037"), columns("item"))
    _, bad, _ = read(described(copybook, variableTables=True, records="rdw"), family("2ab", "9xyz"), columns("item"))
    assert [(line, "item holds 0 to 3" in why) for line, why in bad] == [(2, True)]


def test_one_place_read_in_two_ways() -> None:
    copybook = """
       01 R.
          05 HOW PIC X.
          05 AS-TEXT PIC X(3).
          05 AS-NUMBER REDEFINES AS-TEXT PIC 9(5) COMP-3.
    """
    fmt = described(copybook, choices=[{"field": "how", "groups": {"T": "as_text", "N": "as_number"}}])
    content = "Tabc".encode("cp037") + "N".encode("cp037") + packed(Decimal(123), 5, 0)
    good, bad, _ = read(fmt, content, columns("as_text", "as_number"))
    assert bad == []
    assert [(g["as_text"], g["as_number"]) for g in good] == [("abc", None), (None, "00123")]


def test_a_way_that_nobody_declared_rejects_its_record() -> None:
    copybook = (
        "       01 R.\n          05 HOW PIC X.\n          05 T PIC X(3).\n          05 N REDEFINES T PIC 9(5) COMP-3.\n"
    )
    fmt = described(copybook, choices=[{"field": "how", "groups": {"T": "t", "N": "n"}}])
    good, bad, _ = read(fmt, "X777Tabc".encode("cp037"), columns("t", "n"))
    assert [g["t"] for g in good] == ["abc"]
    assert bad == [(1, "t: how is 'X': expected one of T, N, each declared under choices")]


CALLS = """
       01 CALL.
          05 WHO PIC X(2).
          05 BODY.
             10 PHONES.
                15 HOW PIC X.
                15 PHONE OCCURS 2 TIMES PIC 9(3).
             10 LETTER REDEFINES PHONES.
                15 HOW-IT-CAME PIC X.
                15 CITY PIC X(4).
                15 PAGES PIC 9(2).
"""


@pytest.mark.parametrize(("phones", "letter"), [("phones", "letter"), ("phone", "letter"), ("phones", "city")])
def test_of_two_ways_the_one_that_was_not_chosen_is_null(phones: str, letter: str) -> None:
    """A field, an element, a table and a group alike, and inside of the JSON of a group around them: never a list or an object of nulls."""
    fmt = described(CALLS, choices=[{"field": "how", "groups": {"P": phones, "L": letter}}])
    wanted = columns("phone", "city", "body", second="phone[2]")
    wanted |= {} if phones == "phone" else columns("phones")
    wanted |= {} if letter == "city" else columns("letter", "pages")
    good, bad, _ = read(fmt, "AAP111022BBLROME07".encode("cp037"), wanted)
    assert bad == []
    called, written = good
    assert (called["phone"], called["second"], called["city"]) == ("[111,22]", "022", None)
    assert (written["phone"], written["second"], written["city"]) == (None, None, "ROME")
    if "phones" in wanted:
        assert (called["phones"], written["phones"]) == ('{"how":"P","phone":[111,22]}', None)
    if "letter" in wanted:
        assert (called["letter"], called["pages"]) == (None, None)
        assert (written["letter"], written["pages"]) == ('{"how_it_came":"L","city":"ROME","pages":7}', "07")
        table = "null" if phones == "phones" else '{"how":"L","phone":null}'
        assert written["body"] == f'{{"phones":{table},"letter":{written["letter"]}}}'
        assert called["body"] == '{"phones":{"how":"P","phone":[111,22]},"letter":null}'


def test_the_other_way_is_not_read_even_where_it_could_not_be() -> None:
    """The phone numbers of a letter are no digits: that is no mistake. Those of a call are one."""
    fmt = described(CALLS, choices=[{"field": "how", "groups": {"P": "phones", "L": "letter"}}])
    good, bad, _ = read(fmt, "BBLROME07AAPROMA22".encode("cp037"), columns("who", "phones"))
    assert [(g["who"], g["phones"]) for g in good] == [("BB", None)]
    assert [(line, why[:26]) for line, why in bad] == [(2, "phones: phone (bytes 4 to ")]
