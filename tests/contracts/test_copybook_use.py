"""What a source and a bronze contract ask of a copybook that it cannot give: told with file and line before a file comes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.arrival.cobol import Fields
from jobs.contracts import ContractError
from jobs.contracts.catalog import check
from jobs.contracts.copybook import parse_copybook
from jobs.contracts.copybook_use import never
from jobs.contracts.errors import Mistake
from tests.contracts.house import bronze, build, change

COPYBOOK = """\
       01  RECORD.
           05  KIND              PIC 9(2).
           05  HOW               PIC X.
           05  BODY.
               10  NUMBER        PIC X(4).
               10  OPENED        PIC 9(8).
               10  BALANCE       PIC S9(7)V999 COMP-3.
               10  STATE         PIC 9(2).
               10  NOTES OCCURS 2 TIMES PIC X(3).
           05  TAIL REDEFINES BODY.
               10  RECORDS       PIC 9(6).
"""
SOURCE = """\
feed: legacy
description: Accounts of the mainframe.
system: lega
owner: mainframe operations
sender: head_office
kind: snapshot
files: {pattern: "LEGA_{entity}_{date}.dat"}
format:
  kind: copybook
  copybook: legacy.cpy
  segment:
    field: kind
    groups:
      "01": body
      "99": tail
  choices:
    - field: how
      groups:
        A: notes
        B: state
synthetic: true
"""
CONTRACT = bronze(
    "legacy",
    "number:  [string!, {classification: C2/3}]",
    "opened:  [date!, {parse: yyyyMMdd, classification: C1/2}]",
    'balance: ["decimal(18,3)!", {classification: C2/3}]',
    'state:   [string, {enum: ["01", "02"], classification: C1/2}]',
    "notes:   [string, {classification: C1/2}]",
    grain="one account",
    key="number",
    owner="mainframe operations",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = build(tmp_path)
    (root / "sources/tiny/legacy.cpy").write_text(COPYBOOK, encoding="utf-8")
    (root / "sources/tiny/legacy.yaml").write_text(SOURCE, encoding="utf-8")
    (root / "bronze/legacy.yaml").write_text(CONTRACT, encoding="utf-8")
    check("tiny", root)
    return root


def only(root: Path) -> Mistake:
    with pytest.raises(ContractError) as error:
        check("tiny", root)
    [found] = error.value.mistakes
    return found


# What stands in the contract, what is put in its place, what is found, remedy.
TYPES = {
    "decimals in a whole number": ('"decimal(18,3)!"', '"bigint!"', "balance: balance shows 10 digits, 3 of them behind a point, zeros in front too, and no value of it is bigint", "Write decimal(10,3)"),
    "more decimals than there is room for": ('"decimal(18,3)!"', '"decimal(18,2)!"', "and decimal(18,2) has room for 2", "Write decimal(18,3)"),
    "decimals implied twice": ('"decimal(18,3)!", {', '"decimal(18,3)!", {parse: implied(3), ', "the copybook implies the point already", "Take implied(3) out"),
    "a date of another form": ("parse: yyyyMMdd", "parse: yyMMdd/1950", "opened: opened shows 8 digits, zeros in front too, which is never written yyMMdd/1950", "such as yyyyMMdd"),
    "a date without its form": ("parse: yyyyMMdd, ", "", "opened: opened shows 8 digits, zeros in front too, which is never written yyyy-MM-dd", "such as yyyyMMdd"),
    "a time": ("[date!, {parse: yyyyMMdd", "[timestamp!, {parse: yyyyMMddHHmmss", "which is never written yyyyMMddHHmmss", "such as yyyyMMdd"),
    "flags of other words": ('[string, {enum: ["01", "02"]', "[boolean, {parse: Y/N", "state: state shows 2 digits, zeros in front too, which is never Y nor N", "Write them as the field shows them"),
    "codes without their zero": ('enum: ["01", "02"]', 'enum: ["1", "2"]', "state: state shows 2 digits, zeros in front too, and none of its values is so: '1', '2'", "Write them as the field shows them"),
    "a table that is no text": ("notes:   [string", "notes:   [int", "notes: notes is a table, which arrives as JSON, and not as int", "Write string"),
}  # fmt: skip


@pytest.mark.parametrize("case", TYPES)
def test_a_type_that_no_value_is_of_is_told_with_its_line(root: Path, case: str) -> None:
    before, after, words, remedy = TYPES[case]
    line = change(root, "bronze/legacy.yaml", before, after)
    found = only(root)
    assert words in found.found
    assert remedy in found.remedy
    assert (found.file, found.line) == (root / "bronze/legacy.yaml", line)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"01": body', '"1": body', "kind is never '1': it shows 2 digits, zeros in front too"),
        ("        B: state", "        BB: state", "how is never 'BB': it shows at most 1 character, without blanks around them"),
    ],
)  # fmt: skip
def test_a_code_that_its_field_never_shows_is_told_with_its_line(
    root: Path, before: str, after: str, words: str
) -> None:
    line = change(root, "sources/tiny/legacy.yaml", before, after)
    found = only(root)
    assert found.found == words
    assert (found.file, found.line) == (root / "sources/tiny/legacy.yaml", line)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"decimal(18,3)!"', '"decimal(30,6)!"'),
        ('"decimal(18,3)!"', "string!"),
        ('[string, {enum: ["01", "02"]', "[int, {parse: 'null(00)'"),
        ('[string, {enum: ["01", "02"]', "[boolean, {parse: 01/00"),
        ('enum: ["01", "02"]', 'enum: ["1", "02"]'),
        ("[date!, {parse: yyyyMMdd, ", "[bigint!, {"),
        ("number:  [string!", "number:  [date!"),
    ],
)
def test_what_may_be_is_not_told(root: Path, before: str, after: str) -> None:
    change(root, "sources/tiny/legacy.cpy", "PIC X(4)", "PIC X(10)")
    change(root, "bronze/legacy.yaml", before, after)
    check("tiny", root)


PICTURES = ["X(3)", "9(3)", "S9(3)", "S9(2)V9", "V99", "VPP9", "9(2)PP", "S9(3) COMP-3", "9(3)V99 COMP-3", "9(4) COMP", "S9(3)V9 COMP", "V99 COMP", "S9(2) SIGN LEADING SEPARATE", "G(2)"]  # fmt: skip


@given(
    st.sampled_from(PICTURES),
    st.lists(st.binary(min_size=8, max_size=8), min_size=1, max_size=20),
    st.sampled_from(["any bytes", "digits", "packed digits"]),
)
def test_whatever_is_read_of_a_field_is_not_said_to_be_never(written: str, records: list[bytes], like: str) -> None:
    picture = parse_copybook(f"       01 R.\n          05 F PIC {written}.\n").root.children[0].picture
    assert picture is not None
    fields = [record[: picture.length] for record in records]
    if like == "digits":
        fields = [bytes(0xF0 + byte % 10 for byte in field) for field in fields]
    if like == "packed digits":
        fields = [bytes.fromhex("".join(str(byte % 100).rjust(2, "0") for byte in f)[:-1] + "d") for f in fields]
    table = np.frombuffer(b"".join(fields), np.uint8).reshape(-1, picture.length)
    values, wrong = Fields("ibm1388", Counter()).values(table, picture)
    for value, is_wrong in zip(values.to_pylist(), wrong, strict=True):
        assert is_wrong or value is None or not never(picture, value), (written, value)
