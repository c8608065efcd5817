from tests.tables import shown


def test_a_balance_belongs_to_the_holder_of_its_date(run):
    made = run(
        "silver.account_balances",
        """
        silver.accounts
        account_id | customer_key | valid_from | valid_to
        a1         | c1           | 2026-01-01 | 2026-09-10
        a1         | c2           | 2026-09-10 |
        incoming
        account_id | balance_date | balance_original | currency
        a1         | 2026-09-09   | 5.00             | CNY
        a1         | 2026-09-10   | 6.00             | CNY
        a1         | 2025-12-31   | 4.00             | CNY
    """,
    )
    assert shown(made, "balance_date", "customer_key", "balance", "business_date") == [
        ("2025-12-31", "c1", "4.00", "2025-12-31"),  # before its first known state: that state
        ("2026-09-09", "c1", "5.00", "2026-09-09"),
        ("2026-09-10", "c2", "6.00", "2026-09-10"),
    ]


def test_money_on_an_account_that_nobody_registered_stays_and_has_no_holder(run):
    made = run(
        "silver.account_balances",
        """
        incoming
        account_id | balance_date | balance_original | currency
        lost       | 2026-09-09   | 5.00             | CNY
    """,
    )
    assert shown(made, "account_id", "customer_key", "balance") == [("lost", "", "5.00")]


def test_a_foreign_balance_keeps_what_it_was(run):
    made = run(
        "silver.account_balances",
        """
        silver.accounts
        account_id | customer_key
        a1         | c1
        silver.exchange_rates
        currency | rate
        EUR      | 8.00000000
        incoming
        account_id | balance_date | balance_original | currency
        a1         | 2026-09-09   | 5.00             | EUR
    """,
    )
    assert shown(made, "balance", "balance_original", "currency") == [("40.00", "5.00", "EUR")]
