"""The records that another reader made of real mainframe files."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from jobs.contracts.formats import CopybookFile
from tests.arrival.copybooks import columns, described, read
from tests.data import shared_data

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
