from tests.tables import day_of, shown

DAY = day_of("2026-09-15")


def test_a_day_of_one_customer(run):
    made = run(
        "gold.party_days",
        """
        silver.transactions
        transaction_id | customer_key | channel      | amount | business_date
        t1             | c1           | mobile       | 10.00  | 2026-09-15
        t2             | c1           | self_service | 20.00  | 2026-09-15
        t3             | c1           | counter      | 30.00  | 2026-09-15
        t4             | c2           | mobile       | 40.00  | 2026-09-15
        silver.sales
        sale_id | customer_key | channel_origin | channel_complete | amount | business_date | is_customer_initiated
        s1      | c1           | mobile         | mobile           | 100.00 | 2026-09-15    | true
        s2      | c1           | mobile         | counter          | 200.00 | 2026-09-15    | true
        s3      | c1           |                | web              | 300.00 | 2026-09-15    | false
        silver.channel_events
        event_id | customer_key | business_date | channel
        e1       | c1           | 2026-09-15    | mobile
        e2       | c1           | 2026-09-15    | self_service
        e3       |              | 2026-09-15    | mobile
    """,
        day=DAY,
    )
    assert shown(made, "customer_key", "transaction_count", "online_transaction_count", "off_counter_transaction_count",
                 "counter_transaction_count", "transaction_amount", "online_transaction_amount") == [
        ("c1", "3", "1", "2", "1", "60.00", "10.00"),
        ("c2", "1", "1", "1", "0", "40.00", "40.00"),
    ]  # fmt: skip
    assert shown(
        made,
        "customer_key",
        "sale_count",
        "online_sale_count",
        "sale_amount",
        "online_sale_amount",
        "digital_event_count",
    ) == [
        ("c1", "3", "1", "600.00", "100.00", "1"),
        ("c2", "0", "0", "0.00", "0.00", "0"),
    ]


def test_a_reversal_nets_on_the_day_of_its_original_whenever_it_was_booked(run):
    made = run(
        "gold.party_days",
        """
        silver.transactions
        transaction_id | customer_key | amount | business_date | reverses_transaction_id
        whole          | c1           | 10.00  | 2026-09-15    |
        part           | c1           | 50.00  | 2026-09-15    |
        r              | c1           | 10.00  | 2026-09-15    | whole
        silver.reversals
        kind        | original_id | amount | original_business_date | business_date
        transaction | whole       | 10.00  | 2026-09-15             | 2026-09-15
        transaction | part        | 20.00  | 2026-09-15             | 2026-10-02
        transaction | part        | 5.00   | 2026-09-15             | 2026-10-03
        sale        | part        | 25.00  | 2026-09-15             | 2026-10-03
    """,
        day=DAY,
    )
    assert shown(made, "customer_key", "transaction_count", "transaction_amount") == [("c1", "1", "25.00")]


def test_a_reversal_of_foreign_money_nets_at_the_rate_of_the_original(run):
    made = run(
        "gold.party_days",
        """
        silver.transactions
        transaction_id | customer_key | amount | amount_original | currency | business_date
        whole          | c1           | 71.00  | 10.00           | USD      | 2026-09-15
        part           | c2           | 71.00  | 10.00           | USD      | 2026-09-15
        silver.reversals
        kind        | original_id | amount | original_business_date
        transaction | whole       | 10.00  | 2026-09-15
        transaction | part        | 4.00   | 2026-09-15
    """,
        day=DAY,
    )
    assert shown(made, "customer_key", "transaction_count", "transaction_amount") == [("c2", "1", "42.60")]


def test_what_is_not_customer_activity_makes_no_row(run):
    made = run(
        "gold.party_days",
        """
        silver.transactions
        transaction_id | customer_key | status  | initiator | is_financial | business_date
        failed         | c1           | failed  | customer  | true         | 2026-09-15
        interest       | c2           | success | system    | true         | 2026-09-15
        enquiry        | c3           | success | customer  | false        | 2026-09-15
        other_day      | c4           | success | customer  | true         | 2026-09-16
        silver.channel_events
        event_id | customer_key | is_bot | is_test_user | is_staff | is_meaningful | business_date
        bot      | c5           | true   | false        | false    | true          | 2026-09-15
        test     | c6           | false  | true         | false    | true          | 2026-09-15
        push     | c7           | false  | false        | false    | false         | 2026-09-15
        staff    | c8           | false  | false        | true     | true          | 2026-09-15
    """,
        day=DAY,
    )
    assert made.count() == 0


def test_a_channel_counts_as_what_it_was_on_the_day(run):
    made = run(
        "gold.party_days",
        """
        silver.ref_channels
        channel | is_online | is_off_counter | valid_from | valid_to
        phone   | false     | true           | 2020-01-01 | 2026-09-15
        phone   | true      | true           | 2026-09-15 |
        silver.transactions
        transaction_id | customer_key | channel | business_date
        t1             | c1           | phone   | 2026-09-14
        t2             | c1           | phone   | 2026-09-15
    """,
        day=day_of("2026-09-14", "2026-09-15"),
    )
    assert shown(made, "business_date", "online_transaction_count") == [("2026-09-14", "0"), ("2026-09-15", "1")]
