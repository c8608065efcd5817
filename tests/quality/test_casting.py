"""Text becomes what it says or is called unreadable; nothing is guessed and no cent is rounded."""

from __future__ import annotations

import random
import re
from decimal import Decimal

import pytest
from pyspark.sql import functions as F

from jobs.quality.casting import MALFORMED, cast, unreadable
from tests.quality.tools import ZONE, rows_of, table_of

BAD = "unreadable"
# type, parse -> text -> what it is (timestamps in UTC)
FORMS = {
    ("string", None): {" as it came ": " as it came ", "": "", "0012": "0012"},
    ("string", "null(0,n/a)"): {"0": None, "n/a": None, "00": "00"},
    ("int", None): {"7": "7", "-7": "-7", " 7 ": "7", "": None, "7.0": BAD, "7e2": BAD, "2147483648": BAD, "seven": BAD, "7\n": BAD},
    ("bigint", None): {"2147483648": "2147483648", "9223372036854775808": BAD},
    ("boolean", None): {"true": "true", "false": "false", "TRUE": BAD, "1": BAD},
    ("boolean", "Y/N"): {"Y": "true", "N": "false", "": None, "y": BAD, "true": BAD},
    ("decimal(6,2)", None): {"12.30": "12.30", "12": "12.00", "-0.05": "-0.05", "9999.99": "9999.99", "10000": BAD, "1.005": BAD, "1e2": BAD,
                             "1,000.00": BAD, "5-": BAD, ".5": "0.50", ".": BAD, "-": BAD, "NaN": BAD, "0000012.30": "12.30", "1\n": BAD},
    ("decimal(6,2)", "trailing_minus"): {"12.50-": "-12.50", "12.50": "12.50", "-12.50": "-12.50", "12.505-": BAD, "-": BAD, "1-2": BAD, "-5-": BAD, "12.50+": "12.50", "+": BAD, "+5+": BAD, "5+-": BAD},
    ("decimal(6,2)", "implied(2)"): {"1234": "12.34", "5": "0.05", "-5": "-0.05", "000000001234": "12.34", "12.34": BAD, "1000000": BAD, "": None},
    ("decimal(6,2)", "implied(2) trailing_minus"): {"1234-": "-12.34", "5": "0.05", "1234+": "12.34"},
    ("decimal(6,2)", "thousands"): {"1,234.50": "1234.50", "12": "12.00", "1,23.50": BAD, "12,345.67": BAD},
    ("date", None): {"2026-02-28": "2026-02-28", "2026-02-29": BAD, "2024-02-29": "2024-02-29", "20260228": BAD, "2026-2-8": BAD, "": None, "2026-02-28\n": BAD},
    ("date", "yyyyMMdd"): {"20260228": "2026-02-28", "20260230": BAD, "20261301": BAD, "2026-02-28": BAD, "2026022": BAD},
    ("date", "dd.MM.yyyy"): {"28.02.2026": "2026-02-28", "02.28.2026": BAD, "28-02-2026": BAD},
    ("date", "yyMMdd/1950"): {"930101": "1993-01-01", "500101": "1950-01-01", "491231": "2049-12-31", "000229": "2000-02-29", "010229": BAD},
    ("date", "yyyyMMdd null(00000000,99991231)"): {"00000000": None, "99991231": None, "20260228": "2026-02-28"},
    ("timestamp", None): {"2026-09-15T02:00:00Z": "2026-09-15 02:00:00", "2026-09-15T10:00:00+08:00": "2026-09-15 02:00:00",
                          "2026-09-15T10:00:00+0800": "2026-09-15 02:00:00", "2026-09-15 10:00:00": "2026-09-15 02:00:00", "2026-09-15": BAD,
                          "2026-09-31T10:00:00Z": BAD, "2026-09-15T25:00:00Z": BAD, "2026-09-15T02:00:00Z\n": BAD},
    ("timestamp", "yyyyMMddHHmmss"): {"20260915070000": "2026-09-14 23:00:00", "20260915240000": BAD, "20260230070000": BAD, "20260915": BAD},
    ("timestamp", "yyyy-MM-dd HH:mm:ss"): {"2026-09-15 07:00:00": "2026-09-14 23:00:00", "2026-09-15T07:00:00": BAD},
    ("timestamp", "epoch_ms"): {"0": "1970-01-01 00:00:00", "1789437600000": "2026-09-15 02:00:00", "17e8": BAD, "999999999999999": BAD},
    ("timestamp", "epoch_s"): {"1789437600": "2026-09-15 02:00:00"},
}  # fmt: skip


@pytest.fixture(scope="module")
def read(spark):
    """All forms in one query: column -> what each of its texts became, reasons told as BAD."""
    columns = {f"c{i}": [kind, {"parse": parse} if parse else {}] for i, (kind, parse) in enumerate(FORMS)}
    table = table_of(columns)
    texts = [list(each) for each in FORMS.values()]
    rows = [
        {f"c{i}": each[n] if n < len(each) else None for i, each in enumerate(texts)}
        for n in range(max(map(len, texts)))
    ]
    typed = cast(rows_of(spark, table, rows), table, zone=ZONE)
    found = (
        typed.orderBy("__line").select(*[F.col(c).cast("string") for c in columns], "__cast_errors", "__raw").collect()
    )
    return {
        form: [BAD if unreadable(f"c{i}") in row["__cast_errors"] else row[f"c{i}"] for row in found[: len(FORMS[form])]]
        for i, form in enumerate(FORMS)
    }, found, texts  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form[0]} {form[1] or ''}".strip())
def test_each_way_to_write_a_value_is_read_exactly_or_not_at_all(read, form):
    assert dict(zip(FORMS[form], read[0][form], strict=True)) == FORMS[form]


def test_text_that_could_not_be_read_is_kept_beside_its_row(read):
    _, found, texts = read
    for n, row in enumerate(found):
        unread = {
            f"c{i}": each[n].strip(" ")
            for i, each in enumerate(texts)
            if n < len(each) and unreadable(f"c{i}") in row["__cast_errors"]
        }
        assert (row["__raw"] or {}) == unread


def test_a_line_that_could_not_be_split_says_why(spark):
    table = table_of({"a": "int"})
    good, bad = (
        cast(rows_of(spark, table, [{"a": "1"}, {"__malformed": "3 fields, 2 expected"}]), table, zone=ZONE)
        .orderBy("__line")
        .collect()
    )
    assert (good["__cast_errors"], good["__raw"]) == ([], None)
    assert (bad["__cast_errors"], bad["__raw"]) == ([MALFORMED], {"__malformed": "3 fields, 2 expected"})


def test_decimals_agree_with_plain_python(spark):
    """500 texts of digits, points, signs and blanks: equal to Python's Decimal where that fits decimal(9,3), unreadable where not."""
    chance = random.Random(3)
    texts = [
        "".join(chance.choices("0123456789.-+ ", weights=[3] * 10 + [4, 1, 1, 1], k=chance.randint(1, 11)))
        for _ in range(500)
    ]
    table = table_of({"a": "decimal(9,3)"})
    found = (
        cast(rows_of(spark, table, [{"a": t} for t in texts]), table, zone=ZONE)
        .orderBy("__line")
        .select("a", F.size("__cast_errors"))
        .collect()
    )
    assert {t: (a, n) for t, (a, n) in zip(texts, found, strict=True)} == {t: _decimal(t) for t in texts}


def _decimal(text: str) -> tuple[Decimal | None, int]:
    text = text.strip(" ")
    if not text:
        return None, 0
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", text):
        return None, 1
    value, decimals = Decimal(text), len(text.partition(".")[2])
    return (value, 0) if decimals <= 3 and abs(value) < 10**6 else (None, 1)
