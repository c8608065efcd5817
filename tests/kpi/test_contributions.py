"""gold.kpi_contributions: who stands behind a figure."""

from __future__ import annotations

from tests.tables import Tables, day_of, kpi_definitions, shown


def test_a_unit_that_adds_nothing_is_left_out(spark):
    """K2 counts active parties and buyers; a party with 99.99 and no purchase is neither."""
    made = Tables(
        spark,
        """
        silver.account_balances
        account_id | customer_key | balance | business_date
        a1         | c1           | 100.00  | 2026-09-15
        a2         | c2           | 99.99   | 2026-09-15
    """,
    ).run("gold.kpi_contributions", day=day_of("2026-09-15", kpis=[kpi_definitions()["K2"]]))
    assert shown(made, "kpi_id", "unit_table", "unit_id", "business_date") == [
        ("K2", "silver.parties", "c1", "2026-09-15")
    ]


def test_a_merge_changes_the_parties_behind_a_window_not_its_days(spark):
    days = """
        gold.party_days
        customer_key | business_date | transaction_count | online_transaction_count | sale_count | online_sale_count
        c1           | 2026-09-01    | 1                 | 1                        | 1          | 1
        c2           | 2026-09-02    | 1                 | 1                        | 1          | 1
    """
    merged = """
        silver.party_links
        customer_key | party_id | valid_from
        c1           | c1       | 2026-09-01
        c2           | c1       | 2026-09-10
    """
    day = day_of("2026-09-15", kpis=[kpi_definitions()["K2"]])
    assert shown(Tables(spark, days).run("gold.kpi_contributions", day=day), "unit_id") == [("c1",), ("c2",)]
    assert shown(Tables(spark, days + merged).run("gold.kpi_contributions", day=day), "unit_id") == [("c1",)]


def test_without_definitions_there_are_no_contributions(spark):
    assert Tables(spark).run("gold.kpi_contributions", day=day_of(kpis=[])).count() == 0
