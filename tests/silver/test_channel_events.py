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


def test_a_visitor_is_stitched_to_the_login_that_follows_and_to_no_second_one(run):
    """One device, one session: a look, a login, a look, another customer's login. And a session in which nobody logs in."""
    made = run(
        "silver.channel_events",
        """
        incoming
        event_id | device_token | session_id | customer_key | event_time
        before   | d1           | s1         |              | 2026-09-15 01:00:00
        login    | d1           | s1         | c1           | 2026-09-15 01:01:00
        between  | d1           | s1         |              | 2026-09-15 01:02:00
        second   | d1           | s1         | c2           | 2026-09-15 01:03:00
        stranger | d1           | s2         |              | 2026-09-15 01:00:00
        device2  | d2           | s1         |              | 2026-09-15 01:00:00
        nameless |              |            |              | 2026-09-15 01:00:00
    """,
    )
    assert shown(made, "event_id", "customer_key", "is_stitched") == [
        ("before", "c1", "true"),
        ("between", "", "false"),
        ("device2", "", "false"),
        ("login", "c1", "false"),
        ("nameless", "", "false"),
        ("second", "c2", "false"),
        ("stranger", "", "false"),
    ]


def test_a_login_of_a_later_day_is_stitched_back_within_seven_days(run):
    made = run(
        "silver.channel_events",
        """
        previous
        event_id | device_token | session_id | customer_key | event_time          | business_date | is_stitched
        l1       | d1           | s1         | c1           | 2026-09-16 01:00:00 | 2026-09-16    | false
        l2       | d1           | s2         | c1           | 2026-09-22 02:00:01 | 2026-09-22    | false
        l3       | d1           | s3         | c1           | 2026-09-16 01:00:00 | 2026-09-16    | true
        incoming
        event_id | device_token | session_id | event_time
        next_day | d1           | s1         | 2026-09-15 02:00:00
        too_long | d1           | s2         | 2026-09-15 02:00:00
        guessed  | d1           | s3         | 2026-09-15 02:00:00
    """,
    )
    assert shown(made, "event_id", "customer_key", "is_stitched", "business_date") == [
        ("guessed", "", "false", "2026-09-15"),
        ("next_day", "c1", "true", "2026-09-15"),
        ("too_long", "", "false", "2026-09-15"),
    ]


def test_a_session_of_more_events_a_minute_than_a_person_makes_is_a_bot(run):
    """101 in one minute and one an hour later; a person's 100. Copies of one event are one."""
    rows = [f"b{n} | robot | 2026-09-15 01:00:{n % 60:02d}" for n in range(101)] + [
        "b101 | robot | 2026-09-15 02:00:00"
    ]
    rows += [f"p{n} | person | 2026-09-15 01:00:{n % 60:02d}" for n in range(100)] + [
        "p0 | person | 2026-09-15 01:00:00"
    ]
    text = "incoming\nevent_id | session_id | event_time\n" + "\n".join(rows)
    made = run("silver.channel_events", text)
    counts = {
        (r["session_id"], r["is_bot"]): r["count"] for r in made.groupBy("session_id", "is_bot").count().collect()
    }
    assert counts == {("robot", True): 102, ("person", False): 101}


def test_a_device_whose_clock_is_five_minutes_ahead_is_flagged(run):
    made = run(
        "silver.channel_events",
        """
        incoming
        event_id | event_time          | device_time         | clock_skew_seconds | received_at
        a_day    | 2026-09-15 01:00:00 | 2026-09-16 01:00:00 | 86400              | 2026-09-15 02:00:00
        behind   | 2026-09-15 01:00:00 | 2026-09-14 01:00:00 | -86400             | 2026-09-15 02:00:00
        edge     | 2026-09-15 01:00:00 | 2026-09-15 01:05:00 | 300                | 2026-09-15 02:00:00
        untold   | 2026-09-15 01:00:00 | 2026-09-15 01:00:00 |                    | 2026-09-15 00:50:00
    """,
    )
    assert shown(made, "event_id", "is_clock_wrong", "device_time", "business_date") == [
        ("a_day", "true", "2026-09-16 01:00:00", "2026-09-15"),
        ("behind", "false", "2026-09-14 01:00:00", "2026-09-15"),
        ("edge", "false", "2026-09-15 01:05:00", "2026-09-15"),
        ("untold", "true", "2026-09-15 01:00:00", "2026-09-15"),
    ]
