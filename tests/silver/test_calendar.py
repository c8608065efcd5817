from tests.tables import shown


def test_a_working_sunday_is_a_working_day(run):
    made = run(
        "silver.calendar",
        """
        incoming
        calendar_date | is_working_day | is_holiday | is_makeup_day | changed_on
        2026-09-20    | true           | false      | true          | 2025-11-01
    """,
    )
    assert shown(made, "calendar_date", "is_working_day", "is_makeup_day", "valid_from") == [
        ("2026-09-20", "true", "true", "2025-11-01")
    ]
