"""Records of mainframes: what a copybook says of the bytes, against bytes written by hand, by an encoder of its own, and by another reader."""

from __future__ import annotations

import io
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.arrival.encodings import encode
from jobs.arrival.errors import Cut, Refused
from jobs.arrival.formats.copybook import Reader
from jobs.contracts.copybook import CopybookError, parse_copybook
from jobs.contracts.model import Column
from jobs.contracts.source import CopybookFile
from tests.data import shared_data

ACCOUNT = """
      * An account of the old mainframe.
       01  ACCOUNT.
           05  ACCOUNT-NO            PIC X(10).
           05  HOLDER                PIC X(20).
           05  BALANCE               PIC S9(7)V99 COMP-3.
           05  OPENED                PIC 9(8).
           05  OVERDRAFT             PIC S9(5)V99.
           05  BRANCH                PIC S9(4) COMP.
           05  FILLER                PIC X(2).
"""


def columns(*names: str, **renamed: str) -> dict[str, Column]:
    wanted = {name: name for name in names} | renamed
    return {
        n: Column.model_validate({"type": "string", "classification": "C1/2", "from": f}) for n, f in wanted.items()
    }


def described(copybook: str, **options: Any) -> CopybookFile:
    return CopybookFile.model_validate({"kind": "copybook", "copybook": "x.cpy", **options}).described_by(copybook)


def read(
    fmt: CopybookFile, content: bytes, wanted: dict[str, Column]
) -> tuple[list[dict[str, Any]], list[tuple[int, str]], Reader]:
    """(good records with their `line`, line and reason of malformed ones, the reader)."""
    reader = Reader(io.BytesIO(content), fmt, wanted)
    good: list[dict[str, Any]] = []
    bad: list[tuple[int, str]] = []
    for rows in reader:
        values = zip(*(rows.columns[name].to_pylist() for name in wanted), strict=True)
        good += [
            {"line": n, **dict(zip(wanted, v, strict=True))}
            for n, v in zip(rows.lines.to_pylist(), values, strict=True)
        ]
        bad += [(m.line, m.why) for m in rows.malformed]
    return good, bad, reader


# --- an encoder that knows nothing of the reader ----------------------------------------------------------------------


def packed(amount: Decimal, digits: int, scale: int) -> bytes:
    shown = str(abs(int(amount.scaleb(scale)))).rjust(digits, "0") + ("D" if amount < 0 else "C")
    return bytes.fromhex(shown.rjust(2 * (digits // 2 + 1), "0"))


def zoned(amount: Decimal, digits: int, scale: int) -> bytes:
    shown = str(abs(int(amount.scaleb(scale)))).rjust(digits, "0")
    return bytes([0xF0 + int(d) for d in shown[:-1]] + [(0xD0 if amount < 0 else 0xC0) + int(shown[-1])])


def account(number: str, holder: str, balance: str, opened: str, overdraft: str, branch: int) -> bytes:
    return (
        number.ljust(10).encode("cp037")
        + encode(holder, "ibm1388").ljust(20, b"\x40")
        + packed(Decimal(balance), 9, 2)
        + opened.encode("cp037")
        + zoned(Decimal(overdraft), 7, 2)
        + branch.to_bytes(2, "big", signed=True)
        + b"\0\0"
    )


NAMES = ("account_no", "holder", "balance", "opened", "overdraft", "branch")
LEDGER = described(ACCOUNT, encoding="ibm1388")


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


money = st.decimals(Decimal("-99999.99"), Decimal("99999.99"), places=2, allow_nan=False)


@given(
    st.lists(
        st.tuples(
            st.text("AC0123456789", min_size=1, max_size=10),
            st.text("张三李四工商银行AB ", max_size=8).map(str.strip).filter(lambda n: len(encode(n, "ibm1388")) <= 20),
            money,
            st.dates().map(lambda d: f"{d:%Y%m%d}".rjust(8, "0")),
            money,
            st.integers(-9999, 9999),
        ),
        max_size=8,
    ),
    st.integers(1, 200),
    st.sampled_from(["fixed", "rdw", "bdw"]),
)
def test_what_was_written_is_read_back(accounts: list[tuple[Any, ...]], block: int, records: str) -> None:
    written = [account(n, h, str(b), o, str(v), r) for n, h, b, o, v, r in accounts]
    if records == "fixed":
        content = b"".join(written)
    else:
        content = b"".join((len(w) + 4).to_bytes(2, "big") + b"\0\0" + w for w in written)
        if records == "bdw" and content:
            content = (len(content) + 4).to_bytes(2, "big") + b"\0\0" + content
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jobs.arrival.formats.copybook.BLOCK", block)
        good, bad, _ = read(described(ACCOUNT, encoding="ibm1388", records=records), content, columns(*NAMES))
    assert bad == []
    found = [
        (
            g["account_no"],
            g["holder"] or "",
            Decimal(g["balance"]),
            g["opened"],
            Decimal(g["overdraft"]),
            int(g["branch"]),
        )
        for g in good
    ]
    assert found == accounts
    assert [g["line"] for g in good] == list(range(1, len(accounts) + 1))


@given(st.binary(max_size=300), st.sampled_from(["fixed", "rdw", "bdw"]))
def test_random_bytes_never_crash_it(content: bytes, records: str) -> None:
    try:
        good, bad, _ = read(described(ACCOUNT, encoding="ibm1388", records=records), content, columns(*NAMES))
    except Refused as refusal:
        assert refusal.cause in ("record_length", "truncated")
    else:
        assert sorted([g["line"] for g in good] + [line for line, _ in bad]) == list(range(1, len(good) + len(bad) + 1))


# --- what is wrong is named -------------------------------------------------------------------------------------------


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


def test_lengths_that_do_not_add_up_are_an_error_of_the_file() -> None:
    fmt = described(ACCOUNT, encoding="ibm1388", records="rdw")
    one = account("A1", "X", "1.00", "20260915", "0", 1)
    word = (len(one) + 4).to_bytes(2, "big") + b"\0\0"
    with pytest.raises(Cut, match="ends in record 2, which begins at byte 58: 30 bytes are left"):
        read(fmt, word + one + word + one[:26], columns(*NAMES))
    with pytest.raises(Refused, match="record 2 at byte 58 has no possible length: its descriptor word is 00 01 00 00"):
        read(fmt, word + one + b"\0\1\0\0" + one, columns(*NAMES))
    with pytest.raises(Cut, match="50 bytes are left"):
        read(LEDGER, one + one[:50], columns(*NAMES))


def test_a_record_that_is_not_as_long_as_its_kind_is_named() -> None:
    fmt = described(ACCOUNT, encoding="ibm1388", records="rdw")
    short = account("A1", "X", "1.00", "20260915", "0", 1)[:40]
    _, bad, _ = read(fmt, (44).to_bytes(2, "big") + b"\0\0" + short, columns(*NAMES))
    assert bad == [(1, "40 bytes instead of 54")]


# --- segments, tables, ends -------------------------------------------------------------------------------------------

FAMILY = """
       01  RECORD.
           05  KIND              PIC X.
           05  HEAD.
               10  DAY           PIC 9(8).
           05  CUSTOMER REDEFINES HEAD.
               10  NUMBER        PIC X(4).
               10  NAME          PIC X(6).
           05  LOAN REDEFINES HEAD.
               10  LOAN-NO       PIC X(3).
               10  PRINCIPAL     PIC 9(5)V99 COMP-3.
           05  TAIL REDEFINES HEAD.
               10  RECORDS       PIC 9(4).
               10  TOTAL         PIC 9(5)V99.
"""


def family(*records: str | bytes) -> bytes:
    raw = [r if isinstance(r, bytes) else r.encode("cp037") for r in records]
    return b"".join((len(r) + 4).to_bytes(2, "big") + b"\0\0" + r for r in raw)


def loan(number: str, principal: str) -> bytes:
    return f"L{number}".encode("cp037") + packed(Decimal(principal), 7, 2)


HOUSE = described(
    FAMILY,
    records="rdw",
    segment={
        "field": "kind",
        "groups": {"H": "head", "C": "customer", "L": "loan", "T": "tail"},
        "carry": ["customer"],
    },
    header={"segment": "H", "fields": {"business_date": "day"}},
    trailer={"segment": "T", "fields": {"record_count": "records", "amount_sum": "total"}},
)
LOANS = columns("kind", "number", "name", "loan_no", "principal")


def test_children_carry_what_their_parent_said() -> None:
    content = family(
        "H20260915",
        "CN001ANNA  ",
        loan("001", "100.00"),
        loan("002", "50.25"),
        "CN002BORIS ",
        loan("003", "7.00"),
        "T00050015725",
    )
    good, bad, reader = read(HOUSE, content, LOANS)
    assert bad == []
    assert [(g["line"], g["kind"], g["number"], g["name"], g["loan_no"], g["principal"]) for g in good] == [
        (2, "C", "N001", "ANNA", None, None),
        (3, "L", "N001", "ANNA", "001", "00100.00"),
        (4, "L", "N001", "ANNA", "002", "00050.25"),
        (5, "C", "N002", "BORIS", None, None),
        (6, "L", "N002", "BORIS", "003", "00007.00"),
    ]
    assert reader.header == {"business_date": "20260915"}
    assert reader.trailer == {"record_count": "0005", "amount_sum": "00157.25"}


def test_no_child_is_given_to_the_parent_before_an_unreadable_one() -> None:
    broken = b"\xc3" + "N002".encode("cp037") + b"\x41\x00\x41\x00\x41\x41"  # NULs inside the name
    content = family(
        "H20260915", "CN001ANNA  ", broken, loan("003", "7.00"), "?what", loan("004", "8.00"), "T00040001500"
    )
    good, bad, _ = read(HOUSE, content, LOANS)
    assert [(g["line"], g["number"], g["loan_no"]) for g in good] == [
        (2, "N001", None),
        (4, None, "003"),
        (6, None, "004"),
    ]
    assert [line for line, _ in bad] == [3, 5]
    assert bad[1][1] == "kind is '?': no segment of that name is declared"


def test_a_file_without_its_trailer_is_cut() -> None:
    with pytest.raises(Cut, match="ends after 2 records without its trailer record T"):
        read(HOUSE, family("H20260915", "CN001ANNA  "), LOANS)


ORDERS = """
       01  ORDERS.
           05  CUSTOMER          PIC X(3).
           05  ITEMS             PIC 9(2).
           05  ITEM OCCURS 0 TO 3 TIMES DEPENDING ON ITEMS.
               10  SKU           PIC X(2).
               10  PRICE         PIC 9(3)V9.
           05  CITY              PIC X(4).
"""
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


def test_a_digit_that_the_picture_has_no_place_for_is_not_dropped() -> None:
    _, bad, _ = read(
        described("       01 R.\n          05 F PIC S9(4) COMP-3.\n"), bytes.fromhex("12345c"), columns("f")
    )
    assert [line for line, _ in bad] == [1]


def test_headers_and_trailers_stand_where_they_belong_and_say_something() -> None:
    customer, end = "CN001ANNA  ", "T00010000000"
    for records, cause in (
        ((customer, end), "no_header"),
        ((customer, "H20260915", end), "no_header"),
        (("H20260915", end, customer), "no_trailer"),
        (("H20260915", customer, end, end), "no_trailer"),
        (("H20260915", customer, "TXXXX0000000"), "trailer_unreadable"),
        (("H20260915", customer, "T    0000000"), "trailer_unreadable"),
        (("H2026AB15", customer, end), "header_unreadable"),
    ):
        for size in (8 << 20, 7):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("jobs.arrival.formats.copybook.BLOCK", size)
                with pytest.raises(Refused) as refusal:
                    read(HOUSE, family(*records), LOANS)
            assert refusal.value.cause == cause, (records, size, refusal.value.reason)


def test_a_new_family_begins_with_nothing_of_the_old_one() -> None:
    copybook = """
       01 R.
          05 KIND PIC X.
          05 C.
             10 CO PIC X(3).
          05 A REDEFINES C.
             10 AC PIC X(3).
          05 M REDEFINES C.
             10 MV PIC X(3).
    """
    fmt = described(copybook, segment={"field": "kind", "groups": {"C": "c", "A": "a", "M": "m"}, "carry": ["c", "a"]})
    content = "Cco1Aac1Mmv1Cco2Mmv2".encode("cp037")
    good, _, _ = read(fmt, content, columns("co", "ac", "mv"))
    assert [(g["co"], g["ac"], g["mv"]) for g in good] == [
        ("co1", None, None),
        ("co1", "ac1", None),
        ("co1", "ac1", "mv1"),
        ("co2", None, None),
        ("co2", None, "mv2"),
    ]


def test_a_way_that_nobody_declared_rejects_its_record() -> None:
    copybook = (
        "       01 R.\n          05 HOW PIC X.\n          05 T PIC X(3).\n          05 N REDEFINES T PIC 9(5) COMP-3.\n"
    )
    fmt = described(copybook, choices=[{"field": "how", "groups": {"T": "t", "N": "n"}}])
    good, bad, _ = read(fmt, "X777Tabc".encode("cp037"), columns("t", "n"))
    assert [g["t"] for g in good] == ["abc"]
    assert bad == [(1, "t: how is 'X': expected one of T, N, each declared under choices")]


def test_a_field_behind_its_record_is_an_error_of_the_record() -> None:
    copybook = "       01 R.\n          05 KIND PIC X.\n          05 A PIC X(2).\n          05 B REDEFINES A.\n             10 F PIC X(2).\n             10 BIG PIC 9(9) COMP.\n"
    fmt = described(copybook, records="rdw", segment={"field": "kind", "groups": {"A": "a"}})
    _, bad, _ = read(fmt, family("Axy"), columns("big"))
    assert bad == [(1, "3 bytes instead of 7")]


def test_skipped_bytes_are_no_records_however_they_come() -> None:
    fmt = described("       01 R.\n          05 F PIC X(2).\n", skipStart=8, skipEnd=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jobs.arrival.formats.copybook.BLOCK", 3)
        good, _, _ = read(fmt, "JUNKJUNKaabbEE".encode("cp037"), columns("f"))
    assert [g["f"] for g in good] == ["aa", "bb"]


# --- copybooks that cannot be read ------------------------------------------------------------------------------------


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
    ],
)
def test_what_cannot_be_read_of_a_copybook_is_told_with_its_line(entry: str, told: str) -> None:
    with pytest.raises(CopybookError, match=told):
        parse_copybook(f"       01 R.\n          {entry}\n")


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


# --- the records that another reader made of real files ---------------------------------------------------------------

FIELDS = ("currency", "signature", "company_name", "company_id", "wealth_qfy", "amount")
WRAPPED = {"order": "little", "at": 2, "countsItself": False}


def real(name: str) -> Path:
    return shared_data("ebcdic_cobrix") / name


def book(name: str, **options: Any) -> CopybookFile:
    return described(real(name).read_text("utf-8"), **options)


def expected(name: str) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=Decimal) for line in real(name).read_text("utf-8").splitlines()]


def as_they_show(value: Any) -> Any:
    """Their reader shows control characters as blanks, and nothing as an empty text."""
    if isinstance(value, dict):
        return {k.lower(): as_they_show(v) for k, v in value.items()}
    if isinstance(value, list):
        return [as_they_show(v) for v in value]
    if isinstance(value, str) or value is None:
        return "".join(" " if c < " " else c for c in value or "").strip()
    return Decimal(str(value))


@pytest.mark.parametrize(
    ("copybook", "data", "records", "options", "number"),
    [
        ("data__test3_copybook.cob", "test3_data__TRAN2.AUG31.DATA.dat", "expected__test3.txt", {}, 1000),
        (
            "data__test13a_file_header_footer.cob",
            "test13a_data__TRAN2.JUN24.DATA.dat",
            "expected__test13a.txt",
            {"skipStart": 10, "skipEnd": 12},
            50,
        ),
    ],
)
def test_real_records_of_one_length(
    copybook: str, data: str, records: str, options: dict[str, Any], number: int
) -> None:
    good, bad, _ = read(book(copybook, **options), real(data).read_bytes(), columns(*FIELDS))
    assert (len(good), bad) == (number, [])
    numbers = ("wealth_qfy", "amount")
    ours = [tuple(Decimal(g[name]) if name in numbers else g[name] or "" for name in FIELDS) for g in good]
    theirs = [tuple(as_they_show(record)[name] for name in FIELDS) for record in expected(records)]
    # Theirs are not in the order of the file; of the larger one they kept the first.
    assert not Counter(theirs) - Counter(ours)


def test_real_records_with_a_table() -> None:
    whole = {"id": "id", "company": "company", "metadata": "metadata"}
    good, bad, _ = read(
        book("data__test1_copybook.cob"), real("test1_data__example.bin").read_bytes(), columns(**whole)
    )
    theirs = expected("expected__test1.txt")
    assert (len(good), bad) == (len(theirs), [])
    for found, wanted in zip(good, theirs, strict=True):
        shown = {"id": int(found["id"])} | {k: json.loads(found[k]) for k in ("company", "metadata")}
        assert as_they_show(shown) == as_they_show(wanted)


def test_real_segments_of_a_hierarchy() -> None:
    names = ["company", "dept", "employee", "office", "customer", "contact", "contract"]
    segment = {"field": "segment_id", "groups": {str(n): name for n, name in enumerate(names, 1)}}
    fmt = book("data__test17_hierarchical.cob", records="rdw", lengths=WRAPPED, segment=segment)
    good, bad, _ = read(fmt, real("test17__HIERARCHICAL.DATA.RDW.dat").read_bytes(), columns("segment_id", *names))
    assert (len(good), bad) == (951, [])
    for found, wanted in zip(good, expected("expected__test17a.txt"), strict=False):
        theirs = {k: v for k, v in as_they_show(wanted).items() if k in names}
        assert {k: as_they_show(json.loads(found[k])) for k in names if found[k]} == theirs
        assert int(found["segment_id"]) == wanted["SEGMENT_ID"]


def test_real_ascii_records_of_two_kinds() -> None:
    fmt = book(
        "data__test4_copybook.cob",
        encoding="ascii",
        records="rdw",
        lengths=WRAPPED,
        segment={
            "field": "segment_id",
            "groups": {"C": "static_details", "P": "contacts"},
            "carry": ["static_details"],
        },
        choices=[{"field": "taxpayer_type", "groups": {"A": "taxpayer_str", "N": "taxpayer_num"}}],
    )
    wanted = columns(
        "segment_id", "company_id", "company_name", "taxpayer_type", "taxpayer_str", "taxpayer_num", "phone_number"
    )
    good, bad, _ = read(fmt, real("test4_data__COMP.DETAILS.SEP30.DATA.dat").read_bytes(), wanted)
    assert (len(good), bad) == (1000, [])
    assert all((g["taxpayer_str"] is None) == (g["taxpayer_type"] == "N") for g in good)
    assert all(g["company_name"] and g["phone_number"] for g in good if g["segment_id"] == "P")


def test_blocks_end_anywhere() -> None:
    content = family("H20260915", "CN001ANNA  ", loan("001", "100.00"), loan("002", "50.25"), "T00030015025")
    whole, _, _ = read(HOUSE, content, LOANS)
    for size in (1, 2, 5, 17, 40):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("jobs.arrival.formats.copybook.BLOCK", size)
            assert read(HOUSE, content, LOANS)[0] == whole
