from tests.tables import shown


def test_an_account_reads_so_from_the_day_it_changed(run):
    made = run(
        "silver.accounts",
        """
        incoming
        account_id | status | closed_on  | changed_on
        a1         | open   |            | 2026-09-01
        a1         | closed | 2026-09-15 | 2026-09-15
    """,
    )
    assert shown(made, "account_id", "status", "closed_on", "valid_from") == [
        ("a1", "closed", "2026-09-15", "2026-09-15"),
        ("a1", "open", "", "2026-09-01"),
    ]
