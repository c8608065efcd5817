from tests.tables import shown


def test_a_reversal_is_booked_on_its_own_day_and_changes_that_of_its_original(run):
    made = run(
        "silver.reversals",
        """
        incoming
        original_id | kind        | amount | business_date | booked_on
        t1          | transaction | 10.00  | 2026-09-14    | 2026-09-15
        s1          | sale        | 99.00  | 2026-08-30    | 2026-09-15
    """,
    )
    assert shown(made, "original_id", "kind", "business_date", "original_business_date", "amount") == [
        ("s1", "sale", "2026-09-15", "2026-08-30", "99.00"),
        ("t1", "transaction", "2026-09-15", "2026-09-14", "10.00"),
    ]
