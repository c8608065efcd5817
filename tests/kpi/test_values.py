"""Periods, grains, restatements, rounding: what gold.kpi_values makes of contributions."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from jobs.kpi.values import quotient
from tests.tables import Tables, day_of, held, kpi_definitions, literal_frame, shown

K1, K5, K34 = (kpi_definitions()[k] for k in ("K1", "K5", "K34"))
TOTAL = "coalesce(legal_entity_id, business_line, province_code, branch_id) is null"
SALES = """
    silver.branches
    branch_id | province_code | valid_from | valid_to
    b1        | 11            | 2026-01-01 | 2026-09-16
    b1        | 44            | 2026-09-16 |
    b2        | 37            | 2026-01-01 |
    silver.sales
    sale_id | channel_complete | amount | branch_id | business_line | business_date
    s1      | mobile           | 100    | b1        | fund          | 2026-09-14
    s2      | counter          | 300    | b1        | fund          | 2026-09-14
    s3      | web              | 200    | b2        | insurance     | 2026-09-15
    s4      | counter          | 100    | b1        | fund          | 2026-09-16
"""


def values(tables, day):
    tables.run("gold.kpi_contributions", day=day)
    return held(tables.run("gold.kpi_values", day=day))


def kept(tables, made):
    """The statement joins those made before: the next run's `previous`."""
    frame = held(made.withColumns({"sources": F.lit(None), "received_at": F.lit(None)}))
    before = tables.frames.get("previous")
    tables.frames["previous"] = frame if before is None else held(before.select(frame.columns).unionByName(frame))


def total(made, kind, measure="count_share"):
    rows = made.where(f"period_kind = '{kind}' and measure = '{measure}' and {TOTAL}")
    return shown(rows, "as_of_date", "numerator", "denominator", "value", "restatement_no")


def test_days_of_a_take_on_are_told_each_and_month_to_date_once(spark):
    made = values(Tables(spark, SALES), day_of("2026-09-14", "2026-09-16", kpis=[K1]))
    one = "1.000000"
    assert total(made, "day") == [
        ("2026-09-14", one, "2.000000", "0.500000", "0"),
        ("2026-09-15", one, one, one, "0"),
        ("2026-09-16", "0.000000", one, "0.000000", "0"),
    ]
    assert total(made, "mtd") == [("2026-09-16", "2.000000", "4.000000", "0.500000", "0")]
    assert total(made, "month") == []


def test_month_to_date_adds_the_stored_days_to_the_day_of_the_run(spark):
    tables = Tables(spark, SALES)
    for at in ("2026-09-14", "2026-09-15", "2026-09-16"):
        made = values(tables, day_of(at, kpis=[K1]))
        kept(tables, made)
    assert total(made, "mtd") == [("2026-09-16", "2.000000", "4.000000", "0.500000", "0")]
    assert total(made, "mtd", "amount_share") == [("2026-09-16", "300.000000", "700.000000", "0.428571", "0")]


def test_an_older_day_built_again_restates_itself_and_the_newest_month_to_date(spark):
    tables = Tables(spark, SALES)
    for at in ("2026-09-14", "2026-09-15", "2026-09-16"):
        kept(tables, values(tables, day_of(at, kpis=[K1])))
    tables.add("""
        silver.reversals
        kind | original_id | original_business_date | business_date | amount
        sale | s2          | 2026-09-14             | 2026-09-16    | 300
    """)
    again = day_of(
        "2026-09-14",
        kpis=[K1],
        as_of=[date(2026, 9, 14), date(2026, 9, 16)],
        version=2,
        cause="reversal",
        release_key="2026-09-14|v2",
    )
    made = values(tables, again)
    assert total(made, "day") == [("2026-09-14", "1.000000", "1.000000", "1.000000", "1")]
    assert total(made, "mtd") == [
        ("2026-09-14", "1.000000", "1.000000", "1.000000", "1"),
        ("2026-09-16", "2.000000", "3.000000", "0.666667", "1"),
    ]
    assert {row.restatement_reason for row in made.select("restatement_reason").distinct().collect()} == {"reversal"}


def test_a_cell_that_a_restatement_emptied_does_not_live_on_in_the_month(spark):
    tables = Tables(spark, SALES)
    kept(tables, values(tables, day_of("2026-09-15", kpis=[K1])))
    tables.add("""
        silver.reversals
        kind | original_id | original_business_date | business_date | amount
        sale | s3          | 2026-09-15             | 2026-09-16    | 200
    """)
    kept(tables, values(tables, day_of("2026-09-15", kpis=[K1], version=2, cause="reversal")))
    made = values(tables, day_of("2026-09-16", kpis=[K1]))
    assert total(made, "mtd") == [("2026-09-16", "0.000000", "1.000000", "0.000000", "0")]
    assert shown(made.where("period_kind = 'mtd' and branch_id = 'b2'"), "measure") == []


def test_lines_add_up_to_the_total_and_a_branch_counts_where_it_was_on_the_day(spark):
    made = values(Tables(spark, SALES), day_of("2026-09-14", "2026-09-16", kpis=[K1])).where(
        "period_kind = 'mtd' and measure = 'amount_share'"
    )
    assert shown(made.where("business_line is not null"), "business_line", "numerator", "denominator") == [
        ("fund", "100.000000", "500.000000"),
        ("insurance", "200.000000", "200.000000"),
    ]
    assert shown(made.where("branch_id is not null"), "province_code", "branch_id", "denominator") == [
        ("11", "b1", "400.000000"),
        ("37", "b2", "200.000000"),
        ("44", "b1", "100.000000"),
    ]


def test_every_figure_is_the_sum_of_its_contributions(spark):
    tables = Tables(spark, SALES)
    made = values(tables, day_of("2026-09-14", "2026-09-16", kpis=[K1]))
    rows = tables.frames["gold.kpi_contributions"].collect()
    assert sorted((row.unit_table, row.unit_id) for row in rows) == [("silver.sales", f"s{i}") for i in (1, 2, 3, 4)]
    by_hand = sum(m.numerator for row in rows for m in row.measures if m.measure == "amount_share")
    assert total(made, "mtd", "amount_share")[0][1] == f"{by_hand:.6f}"
    assert all(row.sources for row in rows), "each names the delivered lines behind it"


def test_a_balance_is_never_summed_over_days(spark):
    tables = Tables(
        spark,
        """
        silver.loans
        loan_id | balance | five_class | as_of_date
        l1      | 90.00   | normal     | 2026-09-29
        l1      | 80.00   | normal     | 2026-09-30
        l2      | 20.00   | loss       | 2026-09-30
    """,
    )
    made = values(tables, day_of("2026-09-29", "2026-09-30", kpis=[K34]))
    last = ("2026-09-30", "20.000000", "100.000000", "0.200000", "0")
    assert total(made, "day", "ratio") == [("2026-09-29", "0.000000", "90.000000", "0.000000", "0"), last]
    assert total(made, "mtd", "ratio") == [last]
    assert total(made, "month", "ratio") == [last]


def test_a_missing_lane_makes_the_figures_behind_it_provisional(spark):
    today = {"online_sales": (6, 5), "loan_daily": (1, 1), "loan_contracts": (1, 1)}
    before = {date(2026, 9, 14): {"online_sales": (6, 6)}, date(2026, 8, 31): {"online_sales": (6, 0)}}
    day = day_of("2026-09-15", kpis=[K1, K34], coverage=today, earlier=before)
    made = values(Tables(spark, SALES), day)
    grand = made.where(TOTAL).select("kpi_id", "period_kind", "expected_units", "received_units", "is_provisional")
    assert shown(grand.distinct(), *grand.columns) == [
        ("K1", "day", "6", "5", "true"),
        ("K1", "mtd", "12", "11", "true"),
        ("K34", "day", "2", "2", "false"),
        ("K34", "mtd", "2", "2", "false"),
    ]


def test_a_month_without_any_sale_says_no_value_and_keeps_its_sums(spark):
    made = values(Tables(spark), day_of("2026-09-15", kpis=[K1, K5]))
    assert total(made, "day") == [("2026-09-15", "0.000000", "0.000000", "", "0")]
    assert total(made, "mtd", "mau") == [("2026-09-15", "0.000000", "", "0.000000", "0")]


@settings(max_examples=5, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**20), st.integers(1, 10**15)), min_size=60, max_size=60))
def test_quotients_are_exact_and_half_even(spark, pairs):
    ties = [(1, 2_000_000), (3, 2_000_000), (5, 2_000_000), (1, 3), (2, 3), (0, 7), (1, 8_000_000)]
    wanted = [(n, d) for n, d in [*pairs, *ties] if Fraction(n, d) < 10**11]
    rows = [
        {"i": str(i), "n": f"{Decimal(n) / 100:f}", "d": f"{Decimal(d) / 100:f}"} for i, (n, d) in enumerate(wanted)
    ]
    frame = literal_frame(spark, rows, {"i": "int", "n": "decimal(28,6)", "d": "decimal(28,6)"})
    found = {row.i: row.q for row in frame.select("i", quotient(F.col("n"), F.col("d")).alias("q")).collect()}
    for i, (n, d) in enumerate(wanted):
        exact = Fraction(n * 10**6, d)
        floor, rest = divmod(exact.numerator, exact.denominator)
        half = Fraction(rest, exact.denominator)
        assert int(found[i] * 10**6) == floor + (half > Fraction(1, 2) or (half == Fraction(1, 2) and floor % 2 == 1))
