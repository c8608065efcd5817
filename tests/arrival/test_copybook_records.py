"""Mainframe records parted: lengths, blocks, what is skipped; and whatever was written is read back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.arrival.encodings import encode
from jobs.arrival.errors import Cut, Refused
from tests.arrival.copybooks import (
    ACCOUNT,
    HOUSE,
    LEDGER,
    LOANS,
    NAMES,
    account,
    columns,
    described,
    family,
    loan,
    read,
)

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


def test_a_copybook_whose_record_is_too_long_says_which_length_would_fit() -> None:
    """54 bytes a record: of a copybook that has a byte more, ten of them are nine records and 45 bytes."""
    longer = described(
        ACCOUNT.replace("FILLER                PIC X(2)", "FILLER                PIC X(3)"), encoding="ibm1388"
    )
    whole = b"".join(account(f"A{n}", "X", "1.00", "20260915", "0", 1) for n in range(10))
    with pytest.raises(
        Cut,
        match=r"45 bytes are left of it\. Expected whole records of 55 bytes \(the 540 bytes of the file would be whole records of 45 or 54 or 60 bytes\); correct the copybook",
    ):
        read(longer, whole, columns(*NAMES))
    ends = longer.model_copy(update={"skip_start": 3, "skip_end": 2})
    with pytest.raises(
        Cut, match=r"45 bytes are left of it\..* \(the 540 bytes of the file would be whole records of 45 or 54 or 60"
    ):
        read(ends, b"abc" + whole + b"de", columns(*NAMES))
    with pytest.raises(Cut, match=r"53 bytes are left of it\. Expected whole records of 54 bytes; correct"):
        read(LEDGER, whole + whole[:53], columns(*NAMES))


def test_a_record_that_is_not_as_long_as_its_kind_is_named() -> None:
    fmt = described(ACCOUNT, encoding="ibm1388", records="rdw")
    short = account("A1", "X", "1.00", "20260915", "0", 1)[:40]
    _, bad, _ = read(fmt, (44).to_bytes(2, "big") + b"\0\0" + short, columns(*NAMES))
    assert bad == [(1, "40 bytes instead of 54")]


def test_skipped_bytes_are_no_records_however_they_come() -> None:
    fmt = described("       01 R.\n          05 F PIC X(2).\n", skipStart=8, skipEnd=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jobs.arrival.formats.copybook.BLOCK", 3)
        good, _, _ = read(fmt, "JUNKJUNKaabbEE".encode("cp037"), columns("f"))
    assert [g["f"] for g in good] == ["aa", "bb"]


def test_blocks_end_anywhere() -> None:
    content = family("H20260915", "CN001ANNA  ", loan("001", "100.00"), loan("002", "50.25"), "T00030015025")
    whole, _, _ = read(HOUSE, content, LOANS)
    for size in (1, 2, 5, 17, 40):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("jobs.arrival.formats.copybook.BLOCK", size)
            assert read(HOUSE, content, LOANS)[0] == whole
