"""Arrival, Spark and DuckDB read the same amount of money from the same text, in every way that a contract may name."""

from __future__ import annotations

from itertools import chain, combinations

import duckdb
import pyarrow as pa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from jobs.arrival.totals import sum_of
from jobs.quality.casting import cast, unreadable
from jobs.quality.metrics import amount_of
from tests.quality.tools import ZONE, rows_of, table_of

WORDS = ("implied(2)", "trailing_minus", "thousands", "null(0,99.00)")
WAYS = [" ".join(ways) for ways in chain.from_iterable(combinations(WORDS, n) for n in range(len(WORDS) + 1))]
# Of few digits, where much is too large or has too many decimals; and of as many as an amount may have.
KINDS = [("decimal(6,2)", way) for way in WAYS] + [("decimal(24,6)", way) for way in ("", "implied(2)")]
COLUMNS = {f"c{n}": [kind, {"parse": way} if way else {}] for n, (kind, way) in enumerate(KINDS)}

SIGN = st.sampled_from(["", "-", "+"])
DIGITS = st.text("0123456789", max_size=21)
PLAIN = st.builds("{}{}{}{}".format, SIGN, DIGITS, st.sampled_from(["", "."]), st.text("0123456789", max_size=8))
GROUPED = st.builds("{}{:,}{}".format, SIGN, st.integers(0, 10**19), st.sampled_from(["", ".", ".5", ".50", ".505"]))
ODD = st.sampled_from(
    ["", " ", "0", "99.00", "1e3", "1_000", "１２", "NaN", "inf", "\t1", "1\n", "--1", "+-1", "0" * 50]
)
MARKED = st.builds("{}{}{}{}".format, st.sampled_from(["", " "]), PLAIN | GROUPED, st.sampled_from(["", "-", "--"]), st.sampled_from(["", " "]))  # fmt: skip
TEXTS = st.lists(MARKED | ODD | st.text("0123456789.,+- ", max_size=9), min_size=150, max_size=150)


# Many texts in one query: Spark answers slowly, but in bulk. A failure is told as it was found: to look for a shorter one
# would take hours.
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(texts=TEXTS)
def test_the_three_engines_agree(spark: SparkSession, texts: list[str]) -> None:
    table = table_of(COLUMNS)
    rows = cast(rows_of(spark, table, [dict.fromkeys(COLUMNS, text) for text in texts]), table, zone=ZONE)
    found = rows.orderBy("__line").drop("__delivery_id", "__line").toArrow().to_pylist()
    differ = []
    with duckdb.connect() as engine:
        for name, column in table.columns.items():
            unread = [unreadable(name) in row["__cast_errors"] for row in found]
            kept = [dict(row["__raw"])[name] if was_not else None for row, was_not in zip(found, unread, strict=True)]
            said = f"select {amount_of('t', column.way)} from (select unnest($1::varchar[]) as t)"
            amounts = [one for (one,) in engine.execute(said, [kept]).fetchall()]
            for text, row, was_not, amount in zip(texts, found, unread, amounts, strict=True):
                counted = amount if was_not else row[name] or 0
                came = sum_of(pa.array([text]), column.way)
                if came != ((0, 1) if counted is None else (counted, 0)):
                    differ.append((column.type, column.parse, text, came, counted))
    assert not differ
