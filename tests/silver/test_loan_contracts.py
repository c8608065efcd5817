from tests.tables import shown


def test_a_contract_that_does_not_say_so_is_not_inclusive_lending(run):
    made = run(
        "silver.loan_contracts",
        """
        incoming
        loan_id | customer_key | principal | annual_rate | is_inclusive_nfra | is_inclusive_pboc | changed_on
        l1      | c1           | 1000.00   | 0.05        | true              |                   | 2026-09-15
    """,
    )
    assert shown(made, "loan_id", "principal", "is_inclusive_nfra", "is_inclusive_pboc", "valid_from") == [
        ("l1", "1000.00", "true", "false", "2026-09-15")
    ]
