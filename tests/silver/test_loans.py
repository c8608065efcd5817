from tests.tables import shown


def test_a_loan_takes_the_terms_of_its_contract_on_that_date(run):
    made = run(
        "silver.loans",
        """
        silver.loan_contracts
        loan_id | customer_key | annual_rate | is_inclusive_nfra | valid_from | valid_to
        l1      | c1           | 0.060000    | true              | 2026-01-01 | 2026-09-01
        l1      | c1           | 0.050000    | true              | 2026-09-01 |
        incoming
        loan_id | as_of_date | balance | five_class | days_past_due
        l1      | 2026-08-31 | 100.00  | normal     | 0
        l1      | 2026-09-01 | 90.00   | normal     | 0
        l2      | 2026-09-01 | 10.00   | loss       | 400
    """,
    )
    assert shown(made, "loan_id", "business_date", "customer_key", "annual_rate", "is_inclusive_nfra", "balance") == [
        ("l1", "2026-08-31", "c1", "0.060000", "true", "100.00"),
        ("l1", "2026-09-01", "c1", "0.050000", "true", "90.00"),
        ("l2", "2026-09-01", "", "", "", "10.00"),  # no contract: no customer, so the row is rejected
    ]
