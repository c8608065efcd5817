"""Mainframe records of several kinds: headers and trailers, parents and children."""

from __future__ import annotations

import pytest

from jobs.arrival.errors import Cut, Refused
from tests.arrival.copybooks import HOUSE, LOANS, columns, described, family, loan, read


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


def test_a_file_without_its_trailer_is_cut() -> None:
    with pytest.raises(Cut, match="ends after 2 records without its trailer record T"):
        read(HOUSE, family("H20260915", "CN001ANNA  "), LOANS)


def test_an_empty_file_lacks_its_header_with_or_without_a_trailer() -> None:
    for house in (HOUSE, HOUSE.model_copy(update={"trailer": None})):
        with pytest.raises(Refused, match=r"The file is empty\. Expected the header \(H\) as its first record"):
            read(house, b"", LOANS)


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


@pytest.mark.parametrize("filler", [b"\x40", b"\0", b"\x40\0\0"])
def test_a_record_that_is_filled_up_to_the_whole_area_is_read(filler: bytes) -> None:
    """COBOL writes the record area, which is as long as its longest segment (12 bytes here), and longer where the file says so."""
    plain = ["H20260915", "CN001ANNA  ", loan("001", "100.00"), "T00020010000"]
    raw = [r if isinstance(r, bytes) else r.encode("cp037") for r in plain]
    good, bad, reader = read(HOUSE, family(*(r + (filler * 20)[: 20 - len(r)] for r in raw)), LOANS)
    assert (good, bad) == read(HOUSE, family(*plain), LOANS)[:2]
    assert [g["principal"] for g in good] == [None, "00100.00"]
    assert (reader.header, reader.trailer["record_count"]) == ({"business_date": "20260915"}, "0002")


def test_what_stands_behind_a_segment_is_not_thrown_away() -> None:
    longer = "CN001ANNA   X".encode("cp037")
    _, bad, _ = read(HOUSE, family("H20260915", longer, "T00010000000"), LOANS)
    assert bad == [(2, "13 bytes instead of 11, and byte 13 is no filler (a blank or a NUL)")]
    with pytest.raises(Refused, match=r"no header \(H\): 10 bytes instead of 9, and byte 10 is no filler") as refusal:
        read(HOUSE, family("H20260915X", "T00000000000"), LOANS)
    assert refusal.value.cause == "no_header"
    with pytest.raises(Refused, match=r"no header \(H\): kind is '\?': no segment of that name"):
        read(HOUSE, family("?20260915", "T00000000000"), LOANS)
    with pytest.raises(Refused, match=r"no header \(H\)\. Expected it there; send the file again with it\.$"):
        read(HOUSE, family("CN001ANNA  ", "T00010000000"), LOANS)
