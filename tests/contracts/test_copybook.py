"""What is read of a copybook, and what is refused with its line."""

from __future__ import annotations

import pytest

from jobs.contracts.copybook import CopybookError, parse_copybook
from tests.arrival.copybooks import FAMILY, ORDERS

NEXT = "\n          "


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("05 A PIC Q(3).", "line 2: A: PIC Q\\(3\\) is not read"),
        ("05 A PIC X(3) SYNC.", "A is SYNCHRONIZED"),
        ("66 A RENAMES B.", "level 66 is not read"),
        ("05 A REDEFINES B PIC X.", "a redefines b, which is not before it"),
        ("05 A OCCURS 3 DEPENDING ON N PIC X.", "a depends on n, which is no field"),
        ("05 A COMP-1.", "A is a floating-point number"),
        ("05 A USAGE COMP-2.", "A is a floating-point number"),
        ("05 A COMP-X PIC 9.", "A: COMP-X is not read"),
        ("05 A COMP-3.\n             10 B PIC 9(3).", "A is a group with a USAGE or a SIGN of its own"),
        ("05 A PIC 9P9.", "A P stands at one end"),
        ("05 A PIC X.\n       01 S.\n          05 B PIC X.", "s is a second record"),
        ("05 A.", "a has neither PICTURE nor fields"),
        ("05 A PIC 9(40).", "Numbers have 1 to 38 digits"),
        ("05 A PIC X", "does not end with a point"),
        ("A PIC X.", "A is no level number"),
        ("05 A OCCURS 3 INDEXED BY IX SYNC PIC X.", "A is SYNCHRONIZED"),
        ("05 A PIC S9(9),99 COMP-3.", "line 2: A: PIC S9\\(9\\),99 of a USAGE that such a picture does not have"),
        ("05 A PIC X(10) COMP-3.", "A: PIC X\\(10\\) of a USAGE"),
        ("05 A PIC ZZ9.99 BINARY.", "A: PIC ZZ9.99 of a USAGE"),
        ("05 A PIC X(4) NATIONAL.", "A: PIC X\\(4\\) of a USAGE"),
        ("05 A PIC 9(4) USAGE NATIONAL.", "A: PIC 9\\(4\\) of a USAGE"),
        ("05 A PIC G(4) COMP.", "A: PIC G\\(4\\) of a USAGE"),
        ("05 A OCCURS 3 TO 0 PIC X.", "A OCCURS 3 TO 0: it has no element, or its numbers"),
        ("05 A OCCURS 1 TO 5 PIC X.", "a OCCURS 1 TO 5, and no field says how often"),
        ("05 A OCCURS 0 TIMES PIC X.", "A OCCURS 0: it has no element, or its numbers"),
        (
            f"05 A OCCURS 3 DEPENDING ON N PIC X.{NEXT}05 N PIC 9.",
            "a depends on n \\(line 3\\), which stands behind it",
        ),
        (f"05 A OCCURS 3 DEPENDING ON N.{NEXT}   10 N PIC 9.", "a depends on n \\(line 3\\), which stands behind it"),
        (f"05 N PIC X.{NEXT}05 A OCCURS 3 DEPENDING ON N PIC X.", "n \\(line 2\\), which is no whole number"),
        (f"05 N PIC 9V9.{NEXT}05 A OCCURS 3 DEPENDING ON N PIC X.", "which is no whole number"),
        (f"05 N.{NEXT}   10 M PIC 9.{NEXT}05 A OCCURS 3 DEPENDING ON N PIC X.", "which is no whole number"),
        (f"05 N PIC 9 OCCURS 2.{NEXT}05 A OCCURS 3 DEPENDING ON N PIC X.", "which is an element of a table"),
        (
            f"05 N PIC 9.{NEXT}05 G.{NEXT}   10 N PIC 9.{NEXT}05 A OCCURS 3 DEPENDING ON N PIC X.",
            "a name that 2 fields have",
        ),
        (f"05 N PIC 9.{NEXT}05 A DEPENDING ON N PIC X.", "and does not say how often it OCCURS"),
    ],
)
def test_what_cannot_be_read_of_a_copybook_is_told_with_its_line(entry: str, told: str) -> None:
    with pytest.raises(CopybookError, match=told):
        parse_copybook(f"       01 R.\n          {entry}\n")


def test_usages_that_pictures_have_are_read() -> None:
    written = "05 A PIC G(2) DISPLAY-1.\n05 B PIC N(2) NATIONAL.\n05 C PIC ZZ9.99 DISPLAY.\n05 D PIC 9(2) COMP-3.\n05 E PIC N(2).\n05 F OCCURS 0 TO 3 DEPENDING ON D PIC X.\n"
    assert parse_copybook(written).layout().length == 4 + 4 + 6 + 2 + 4 + 3


def test_addresses() -> None:
    book = parse_copybook(FAMILY)
    assert book.find("customer.name") == (("customer", None), ("name", None))
    with pytest.raises(ValueError, match=r"the copybook has no nme\. Did you mean name"):
        book.find("nme")
    with pytest.raises(ValueError, match=r"say which element: item\[1\].sku"):
        parse_copybook(ORDERS).find("sku")


def test_free_lines_and_old_ones_are_the_same_copybook() -> None:
    free = "01 R.\n05 A PIC X(3). *> a comment\n05 B PIC 9(2).\n"
    old = "000100 01 R.                                                            CHANGE01\n000200     05 A PIC X(3).\n      * note\n000300     05 B PIC 9(2).\n"
    assert parse_copybook(free).layout().length == parse_copybook(old).layout().length == 5


def test_how_a_table_is_searched_and_listed_says_nothing_of_its_bytes() -> None:
    written = """       01 R.
           EJECT
          05 N PIC 9.
          05 T OCCURS 1 TO 3 TIMES DEPENDING ON N
             ASCENDING KEY IS K, L DESCENDING KEY M
             INDEXED BY IX JX.
             10 K PIC X.
             10 L PIC X.
           SKIP2
             10 M PIC X.
          05 F OCCURS 2 INDEXED IX2 PIC X.
"""
    plain = parse_copybook(written)
    assert (plain.layout().length, plain.addresses) == (1 + 3 * 3 + 2, ["f", "k", "l", "m", "n", "t"])
