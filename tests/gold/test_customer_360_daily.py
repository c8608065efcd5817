from tests.tables import day_of, shown

COLUMNS = [
    "customer_key", "business_date", "transaction_count", "online_transaction_count", "counter_transaction_count",
    "transaction_amount", "sale_count", "online_sale_count", "digital_event_count",
]  # fmt: skip
DAYS = f"""
    gold.party_days
    {" | ".join(COLUMNS)}
"""


def test_windows_balance_and_stage_of_a_party(run):
    made = run(
        "gold.customer_360_daily",
        DAYS
        + """
        c1 | 2026-09-10 | 2 | 2 | 0 | 70.00 | 1 | 1 | 5
        c1 | 2026-06-17 | 1 | 1 | 0 | 9.00  | 0 | 0 | 0
        c1 | 2026-06-18 | 1 | 1 | 0 | 8.00  | 0 | 0 | 0
        c1 | 2025-09-15 | 1 | 0 | 1 | 5.00  | 1 | 0 | 0
        c1 | 2025-09-16 | 1 | 0 | 1 | 5.00  | 1 | 0 | 0
        c1 | 2026-08-31 | 0 | 0 | 0 | 0.00  | 0 | 0 | 9
        silver.account_balances
        account_id | customer_key | balance | business_date
        a1         | c1           | 60.00   | 2026-09-15
        a2         | c1           | 1.00    | 2026-09-15
        a1         | c1           | 99.00   | 2026-09-14
        silver.parties
        party_id | home_province_code | home_branch_id
        c1       | 11                 | b1
    """,
        day=day_of("2026-09-15"),
    )
    assert shown(made, "party_id", "business_date", "balance", "home_province_code") == [
        ("c1", "2026-09-15", "61.00", "11"),
    ]
    # 17 June is 90 days before 15 September and lies outside (d - 90, d].
    assert shown(made, "recency_days", "frequency_90d", "monetary_90d", "migration_stage") == [
        ("5", "3", "78.00", "digital_only"),
    ]
    # 15 September of last year lies outside (d - 12 months, d], August outside the month to date.
    assert shown(
        made, "transaction_count_12m", "sale_count_12m", "online_sale_count_12m", "digital_event_count_mtd"
    ) == [
        ("5", "2", "1", "5"),
    ]


def test_two_records_of_one_party_are_one_row_and_their_balances_add_up(run):
    made = run(
        "gold.customer_360_daily",
        """
        silver.party_links
        customer_key | party_id | valid_from | valid_to
        c1           | c1       | 2026-01-01 |
        c2           | c2       | 2026-01-01 | 2026-09-15
        c2           | c1       | 2026-09-15 |
        silver.account_balances
        account_id | customer_key | balance | business_date
        a1         | c1           | 60.00   | 2026-09-15
        a2         | c2           | 40.00   | 2026-09-15
    """,
        day=day_of("2026-09-15"),
    )
    assert shown(made, "party_id", "balance", "is_active") == [("c1", "100.00", "true")]


def test_a_party_is_active_by_a_transaction_or_by_the_floor(run):
    made = run(
        "gold.customer_360_daily",
        DAYS
        + """
        c1 | 2026-09-15 | 1 | 0 | 1 | 1.00 | 0 | 0 | 0
        c2 | 2026-09-15 | 0 | 0 | 0 | 0.00 | 1 | 1 | 0
        silver.account_balances
        account_id | customer_key | balance | business_date
        a3         | c3           | 100.00  | 2026-09-15
        a4         | c4           | 99.99   | 2026-09-15
    """,
        day=day_of("2026-09-15"),
    )
    assert shown(made, "party_id", "is_active", "migration_stage") == [
        ("c1", "true", "counter_only"), ("c2", "false", ""), ("c3", "true", ""), ("c4", "false", ""),
    ]  # fmt: skip
