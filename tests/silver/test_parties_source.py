from tests.tables import shown


def test_a_missing_number_is_not_a_valid_one(run):
    made = run(
        "silver.parties_source",
        """
        incoming
        customer_key | id_token | id_valid | gender | acquisition_source | is_farmer | changed_on
        c1           | x        | true     | f      | partner            | true      | 2026-09-15
        c2           |          |          |        |                    |           | 2026-09-14
    """,
    )
    assert shown(made, "customer_key", "id_valid", "gender", "acquisition_source", "is_farmer", "valid_from") == [
        ("c1", "true", "F", "partner", "true", "2026-09-15"),
        ("c2", "false", "", "own", "false", "2026-09-14"),
    ]
