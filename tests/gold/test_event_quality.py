from tests.tables import shown


def test_events_are_counted_by_version_with_their_lateness_and_skew(run):
    """An hour is 3,600 seconds: on time is up to it. A later day's events, which a restatement reads too, are not this day's. Version 7.2 has a clock that is a day ahead and one that is a minute behind."""
    made = run(
        "gold.event_quality",
        """
        silver.channel_events
        event_id | app_version | schema_version | customer_key | is_stitched | is_bot | is_staff | is_clock_wrong | clock_skew_seconds | event_time          | received_at         | business_date
        e1       | 7.2         | 3              | c1           | false       | false  | false    | true           | 86400              | 2026-09-15 01:00:00 | 2026-09-15 02:00:00 | 2026-09-15
        e2       | 7.2         | 3              | c1           | true        | false  | true     | false          | -60                | 2026-09-15 01:00:00 | 2026-09-15 02:00:01 | 2026-09-15
        e3       | 7.2         | 3              |              | false       | true   | false    | false          | 0                  | 2026-09-15 01:00:00 | 2026-09-16 01:00:01 | 2026-09-15
        e4       |             |                | c2           | false       | false  | false    | false          |                    | 2026-09-15 01:00:00 | 2026-09-15 01:00:00 | 2026-09-15
        e5       | 7.2         | 3              | c1           | false       | false  | false    | false          | 0                  | 2026-09-16 01:00:00 | 2026-09-16 02:00:00 | 2026-09-16
    """,
    )
    who = (
        "event_count",
        "known_event_count",
        "stitched_event_count",
        "anonymous_event_count",
        "bot_event_count",
        "staff_event_count",
    )
    assert shown(made, "app_version", *who) == [
        ("7.2", "3", "1", "1", "1", "1", "1"),
        ("unknown", "1", "1", "0", "0", "0", "0"),
    ]
    when = ("within_hour_count", "within_day_count", "later_count", "wrong_clock_count", "largest_skew_seconds")
    assert shown(made, "app_version", *when) == [
        ("7.2", "1", "1", "1", "1", "86400"),
        ("unknown", "1", "0", "0", "0", ""),
    ]
