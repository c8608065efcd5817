from tests.tables import day_of, shown

PARTY = """
    silver.parties
    party_id | acquired_on | valid_from
    c1       | 2026-09-01  | 2026-09-01
    silver.party_links
    customer_key | party_id | valid_from
    c1           | c1       | 2026-09-01
    c2           | c1       | 2026-09-10
"""


def test_holdings_follow_accounts_opened_and_closed_by_any_record_of_the_party(run):
    made = run(
        "gold.customer_360",
        PARTY
        + """
        silver.accounts
        account_id | customer_key | product_id | open_channel | opened_on  | closed_on  | valid_from | valid_to
        a1         | c1           | p1         | counter      | 2026-09-01 |            | 2026-09-01 | 2026-09-20
        a1         | c1           | p1         | counter      | 2026-09-01 | 2026-09-20 | 2026-09-20 |
        a3         | c1           | p1         | mobile       | 2026-09-20 |            | 2026-09-20 |
        silver.accounts
        account_id | customer_key | product_id | open_channel | opened_on  | legal_entity_id | valid_from
        a2         | c2           | p2         | mobile       | 2026-09-05 | life            | 2026-09-05
    """,
        day=day_of("2026-09-01", "2026-09-30"),
    )
    assert shown(made, "valid_from", "account_count", "product_count", "legal_entity_count", "acquisition_channel") == [
        ("2026-09-01", "1", "1", "1", "counter"),
        ("2026-09-10", "2", "2", "2", "counter"),  # c2 joined the party and brought its policy
        ("2026-09-20", "2", "2", "2", "counter"),  # a1 closed, a3 opened
    ]


def test_a_party_without_accounts_is_there(run):
    made = run("gold.customer_360", PARTY, day=day_of("2026-09-01"))
    assert shown(made, "party_id", "valid_from", "account_count", "holdings") == [("c1", "2026-09-01", "0", "")]


def test_only_what_changed_since_the_first_date_of_the_run_is_told(run):
    made = run(
        "gold.customer_360",
        PARTY
        + """
        silver.accounts
        account_id | customer_key | opened_on  | valid_from
        a1         | c1           | 2026-09-01 | 2026-09-01
    """,
        day=day_of("2026-09-15"),
    )
    assert made.count() == 0
