from tests.tables import shown


def test_an_event_belongs_to_the_local_date_of_its_time(run):
    made = run(
        "silver.channel_events",
        """
        incoming
        event_id | event_time          | is_final_step
        before   | 2026-09-15 15:59:59 | true
        after    | 2026-09-15 16:00:00 |
    """,
    )
    assert shown(made, "event_id", "business_date", "is_final_step") == [
        ("after", "2026-09-16", "false"),
        ("before", "2026-09-15", "true"),
    ]


def test_bots_and_anonymous_visitors_stay_flagged(run):
    made = run(
        "silver.channel_events",
        """
        incoming
        event_id | customer_key | is_bot | is_test_user
        e1       |              | false  | false
        e2       | c1           | true   | false
    """,
    )
    assert shown(made, "event_id", "customer_key", "is_bot") == [("e1", "", "false"), ("e2", "c1", "true")]
