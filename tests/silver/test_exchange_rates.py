from tests.tables import shown


def test_a_rate_holds_from_its_date(run):
    made = run(
        "silver.exchange_rates",
        """
        incoming
        currency | rate_date  | rate
        USD      | 2026-09-15 | 7.12345678
    """,
    )
    assert shown(made, "currency", "rate", "valid_from") == [("USD", "7.12345678", "2026-09-15")]
