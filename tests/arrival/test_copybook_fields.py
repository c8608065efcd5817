"""Fields of mainframe records: what a picture says of the bytes, against bytes written by hand."""

from __future__ import annotations

import pytest

from jobs.contracts.column import Column
from tests.arrival.copybooks import LEDGER, NAMES, account, columns, described, family, read


def test_a_record_by_hand() -> None:
    raw = bytes.fromhex(
        "c1c3f0f0f0f0f1404040"  # AC00001 and blanks
        "0e5b6554fc0f" + "40" * 14 +  # shift-out, two double bytes, shift-in: 张三
        "123456789d"  # -1234567.89, the sign is the last half byte
        "f2f0f2f6f0f9f1f5"  # 20260915
        "f0f0f1f2f3f4c5"  # 123.45, the sign is the zone of the last digit
        "ffd6"  # -42
        "0000"
    )  # fmt: skip
    good, bad, _ = read(LEDGER, raw, columns(*NAMES))
    assert bad == []
    assert good == [
        {
            "line": 1,
            "account_no": "AC00001",
            "holder": "张三",
            "balance": "-1234567.89",
            "opened": "20260915",
            "overdraft": "00123.45",
            "branch": "-0042",
        }
    ]


@pytest.mark.parametrize(
    ("picture", "raw", "shown"),
    [
        ("S9(3)V9 SIGN LEADING SEPARATE", "60f1f2f3f4", "-123.4"),
        ("S9(3) SIGN TRAILING SEPARATE", "f1f2f34e", "123"),
        ("S9(3) SIGN LEADING", "d1f2f3", "-123"),
        ("VPP99", "f1f2", "0.0012"),
        ("PP99", "f1f2", "0.0012"),
        ("9(2)PP", "f1f2", "1200"),
        ("V99", "f0f5", "0.05"),
        ("9(4) COMP-5", "fffe", "65534"),
        ("S9(9) BINARY", "fffffffe", "-000000002"),
        ("9(4)V99 COMP-3", "0012345f", "0123.45"),
        ("9(3)", "404040", None),
        ("9(3)", "f3f300", "033"),
        ("S9(3)", "40f1d2", "-012"),
        ("ZZ9.99", "4040f14bf5f0", "1.50"),
        ("G(2)", "5b6554fc", "张三"),
        ("G(4)", "5b6554fc40404040", "张三"),
        ("X(8)", "0e5b6554fc40400f", "张三"),
        ("G(2)", "40404040", None),
        ("X(4)", "00c1c200", "AB"),
    ],
)
def test_pictures(picture: str, raw: str, shown: str | None) -> None:
    good, bad, _ = read(
        described(f"       01 R.\n          05 F PIC {picture}.\n", encoding="ibm1388"),
        bytes.fromhex(raw),
        columns("f"),
    )
    assert (good, bad) == ([{"line": 1, "f": shown}], [])


def test_a_bad_sign_is_an_error_of_its_record() -> None:
    first, second = account("A1", "X", "1.00", "20260915", "0", 1), account("A2", "Y", "2.00", "20260915", "0", 1)
    broken = first[:34] + bytes([first[34] & 0xF0 | 0x03]) + first[35:]
    good, bad, _ = read(LEDGER, broken + second, columns(*NAMES))
    assert [g["account_no"] for g in good] == ["A2"]
    assert bad == [
        (
            1,
            "balance: balance (bytes 31 to 35) is 00 00 00 10 03: expected a packed decimal with its sign in the last half byte (9 digits, signed)",
        )
    ]


def test_a_digit_that_the_picture_has_no_place_for_is_not_dropped() -> None:
    _, bad, _ = read(
        described("       01 R.\n          05 F PIC S9(4) COMP-3.\n"), bytes.fromhex("12345c"), columns("f")
    )
    assert [line for line, _ in bad] == [1]


def test_a_field_behind_its_record_is_an_error_of_the_record() -> None:
    copybook = "       01 R.\n          05 KIND PIC X.\n          05 A PIC X(2).\n          05 B REDEFINES A.\n             10 F PIC X(2).\n             10 BIG PIC 9(9) COMP.\n"
    fmt = described(copybook, records="rdw", segment={"field": "kind", "groups": {"A": "a"}})
    _, bad, _ = read(fmt, family("Axy"), columns("big"))
    assert bad == [(1, "3 bytes instead of 7")]


def test_what_names_a_person_is_not_shown_where_it_cannot_be_read() -> None:
    """The reason of a rejected row is read by people, and kept in the lake: no byte of a text, and no digit of an identity number."""
    copybook = (
        "       01 R.\n          05 HOLDER PIC X(4).\n          05 ID-NO PIC 9(4).\n          05 KIND PIC 9(2).\n"
    )
    asked = {name: Column(type="string", classification="C2/3") for name in ("holder", "kind")}
    asked["id_no"] = Column(type="string", classification="C2/4", identifies="id_number")
    good = "d1c1d5d5f1f2f3f4f0f1"
    spoilt = [good.replace("d1c1d5d5", "d1c100d5"), good.replace("f1f2f3f4", "f1f2f37b"), good.replace("f0f1", "f07b")]
    _, bad, _ = read(described(copybook), bytes.fromhex("".join(spoilt)), asked)
    assert [why for _, why in bad] == [
        "holder: holder (bytes 1 to 4) cannot be read: not cp037, or with a NUL inside",
        "id_no: id_no (bytes 5 to 8) cannot be read: expected digits (4 digits)",
        "kind: kind (bytes 9 to 10) is f0 7b: expected digits (2 digits)",
    ]
