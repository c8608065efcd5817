from tests.tables import shown


def test_a_channel_may_change_what_it_counts_as(run):
    made = run(
        "silver.ref_channels",
        """
        incoming
        channel | is_online | is_off_counter | changed_on
        phone   | false     | true           | 2020-01-01
        phone   | true      | true           | 2026-10-01
    """,
    )
    assert shown(made, "channel", "is_online", "valid_from") == [
        ("phone", "false", "2020-01-01"),
        ("phone", "true", "2026-10-01"),
    ]
