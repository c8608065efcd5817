from tests.tables import shown


def test_a_sale_keeps_both_channels_and_its_reversal_is_a_row_of_its_own(run):
    made = run(
        "silver.sales",
        """
        incoming
        sale_id | channel_origin | channel_complete | amount | reverses_sale_id | reverses_business_date | business_date
        s1      | mobile         | counter          | 300    |                  |                        | 2026-09-04
        s2      |                | counter          | 300    | s1               | 2026-09-04             | 2026-09-05
    """,
    )
    assert shown(
        made, "sale_id", "channel_origin", "channel_complete", "amount", "reverses_sale_id", "reverses_business_date"
    ) == [
        ("s1", "mobile", "counter", "300.00", "", ""),
        ("s2", "", "counter", "300.00", "s1", "2026-09-04"),
    ]


def test_an_amount_in_another_currency_is_told_in_both(run):
    made = run(
        "silver.sales",
        """
        silver.exchange_rates
        currency | rate
        USD      | 7.00000000
        incoming
        sale_id | amount | amount_original | currency
        s1      | 100.00 | 100.00          | CNY
        s2      | 100.00 | 100.00          | USD
    """,
    )
    assert shown(made, "sale_id", "amount", "amount_original") == [
        ("s1", "100.00", "100.00"),
        ("s2", "700.00", "100.00"),
    ]


def test_a_sale_needs_a_warning_unless_its_source_says_no(run):
    made = run(
        "silver.sales",
        """
        incoming
        sale_id | needs_warning
        s1      |
        s2      | false
    """,
    )
    assert shown(made, "sale_id", "needs_warning") == [("s1", "true"), ("s2", "false")]
