from tests.tables import shown


def test_new_hours_hold_from_the_day_they_were_set(run):
    made = run(
        "silver.branches",
        """
        incoming
        branch_id | opens_at | closes_at | changed_on
        b1        | 09:00    | 17:00     | 2026-09-01
        b1        | 08:30    | 17:00     | 2026-09-15
    """,
    )
    assert shown(made, "branch_id", "opens_at", "valid_from") == [
        ("b1", "08:30", "2026-09-15"),
        ("b1", "09:00", "2026-09-01"),
    ]
