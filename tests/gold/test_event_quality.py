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


def test_each_class_of_lateness_ends_with_its_bound(run):
    """Received one minute, 5 minutes, an hour, 6 hours, 24 hours and 3 days after the event, and each a second later. An event from the future is in time."""
    made = run(
        "gold.event_quality",
        """
        silver.channel_events
        event_id | event_time          | received_at         | business_date
        e0       | 2026-09-15 01:00:00 | 2026-09-15 00:59:00 | 2026-09-15
        e1       | 2026-09-15 01:00:00 | 2026-09-15 01:01:00 | 2026-09-15
        e2       | 2026-09-15 01:00:00 | 2026-09-15 01:01:01 | 2026-09-15
        e3       | 2026-09-15 01:00:00 | 2026-09-15 01:05:00 | 2026-09-15
        e4       | 2026-09-15 01:00:00 | 2026-09-15 01:05:01 | 2026-09-15
        e5       | 2026-09-15 01:00:00 | 2026-09-15 02:00:00 | 2026-09-15
        e6       | 2026-09-15 01:00:00 | 2026-09-15 02:00:01 | 2026-09-15
        e7       | 2026-09-15 01:00:00 | 2026-09-15 07:00:00 | 2026-09-15
        e8       | 2026-09-15 01:00:00 | 2026-09-15 07:00:01 | 2026-09-15
        e9       | 2026-09-15 01:00:00 | 2026-09-16 01:00:00 | 2026-09-15
        f0       | 2026-09-15 01:00:00 | 2026-09-16 01:00:01 | 2026-09-15
        f1       | 2026-09-15 01:00:00 | 2026-09-18 01:00:00 | 2026-09-15
        f2       | 2026-09-15 01:00:00 | 2026-09-18 01:00:01 | 2026-09-15
    """,
    )
    minutes = ("within_minute_count", "within_5_minutes_count", "within_hour_count")
    assert shown(made, *minutes) == [("2", "2", "6")]
    later = ("within_6_hours_count", "within_day_count", "within_3_days_count", "later_count")
    assert shown(made, *later) == [("2", "4", "2", "3")]
