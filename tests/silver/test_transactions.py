from tests.tables import day_of, shown


def test_a_reversal_is_linked_to_its_original_and_names_its_day(run):
    made = run(
        "silver.transactions",
        """
        incoming
        transaction_id         | direction | amount | business_date | reverses_transaction_id
        core:b1:2026-11-20:7:1 | debit     | 10.00  | 2026-11-20    |
        core:b1:2026-11-21:9:1 | credit    | 10.00  | 2026-11-21    | core:b1:2026-11-20:7:1
    """,
    )
    assert shown(made, "transaction_id", "reverses_transaction_id", "reverses_business_date") == [
        ("core:b1:2026-11-20:7:1", "", ""),
        ("core:b1:2026-11-21:9:1", "core:b1:2026-11-20:7:1", "2026-11-20"),
    ]


def test_foreign_money_is_converted_at_the_rate_of_its_day_half_even(run):
    made = run(
        "silver.transactions",
        """
        silver.exchange_rates
        currency | rate       | valid_from | valid_to
        USD      | 7.10000000 | 2026-09-01 | 2026-09-15
        USD      | 7.25000000 | 2026-09-15 |
        incoming
        transaction_id | amount | amount_original | currency | business_date
        t1             | 10.00  | 10.00           | CNY      | 2026-09-15
        t2             | 0.50   | 0.50            | USD      | 2026-09-14
        t3             | 0.10   | 0.10            | USD      | 2026-09-15
        t4             | 0.50   | 0.50            | USD      | 2026-08-31
        t5             | 5.00   | 5.00            | XXX      | 2026-09-15
    """,
    )
    assert shown(made, "transaction_id", "amount", "amount_original", "currency") == [
        ("t1", "10.00", "10.00", "CNY"),
        ("t2", "3.55", "0.50", "USD"),  # 3.55
        ("t3", "0.72", "0.10", "USD"),  # 0.725 -> the even cent
        ("t4", "", "0.50", "USD"),  # no rate yet: no amount, so the row is rejected
        ("t5", "", "5.00", "XXX"),
    ]


def test_out_of_hours_follows_the_calendar_and_the_branch_not_the_weekday(run):
    made = run(
        "silver.transactions",
        """
        silver.branches
        branch_id | opens_at | closes_at | valid_from | valid_to
        b1        | 09:00    | 17:00     | 2026-01-01 | 2026-09-16
        b1        | 12:00    | 17:00     | 2026-09-16 |
        silver.calendar
        calendar_date | is_working_day | is_holiday | is_makeup_day
        2026-09-15    | true           | false      | false
        2026-09-16    | true           | false      | false
        2026-09-20    | true           | false      | true
        2026-09-26    | false          | true       | false
        incoming
        transaction_id | branch_id | event_time          | business_date
        night          | b1        | 2026-09-15 15:10:00 | 2026-09-15
        morning        | b1        | 2026-09-15 02:00:00 | 2026-09-15
        makeup_sunday  | b1        | 2026-09-20 04:00:00 | 2026-09-20
        holiday        | b1        | 2026-09-26 02:00:00 | 2026-09-26
        later_opening  | b1        | 2026-09-16 03:00:00 | 2026-09-16
        unknown_branch | b9        | 2026-09-15 02:00:00 | 2026-09-15
    """,
    )
    assert shown(made, "transaction_id", "is_out_of_hours") == [
        ("holiday", "true"),
        ("later_opening", "true"),  # 11:00 local, opens at 12:00 since that day
        ("makeup_sunday", "false"),
        ("morning", "false"),  # 10:00 local
        ("night", "true"),  # 23:10 local
        ("unknown_branch", ""),
    ]


def test_another_bank_another_zone_and_currency(run):
    made = run(
        "silver.transactions",
        """
        silver.branches
        branch_id | opens_at | closes_at
        b1        | 09:00    | 17:00
        silver.calendar
        calendar_date | is_working_day | is_holiday | is_makeup_day
        1993-07-01    | true           | false      | false
        incoming
        transaction_id | currency | amount | event_time          | business_date
        t1             | CZK      | 700.00 | 1993-07-01 07:00:00 | 1993-07-01
    """,
        day=day_of("1993-07-01", zone="Europe/Prague", currency="CZK"),
    )
    assert shown(made, "amount", "is_out_of_hours") == [("700.00", "false")]


def test_rows_in_are_rows_out_even_where_nothing_is_known_of_them(run):
    made = run(
        "silver.transactions",
        """
        incoming
        transaction_id | branch_id | currency | amount
        t1             | nowhere   | CNY      | 1.00
        t1             | nowhere   | CNY      | 1.00
        t2             | nowhere   | ZZZ      | 1.00
    """,
    )
    assert made.count() == 3


def test_four_times_are_kept_and_a_movement_across_midnight_counts_once_on_its_business_date(run):
    """Begun 23:59 on the 14th, posted 00:01 on the 15th, told on the 16th; its business date is the 15th."""
    made = run(
        "silver.transactions",
        """
        incoming
        transaction_id | event_time          | business_date | posting_date | received_at
        midnight       | 2026-09-14 15:59:00 | 2026-09-15    | 2026-09-15   | 2026-09-16 01:00:00
        evening        | 2026-09-14 12:40:00 | 2026-09-15    | 2026-09-14   | 2026-09-15 01:00:00
    """,
    )
    times = ("event_time", "business_date", "posting_date", "received_at")
    assert shown(made, "transaction_id", *times) == [
        ("evening", "2026-09-14 12:40:00", "2026-09-15", "2026-09-14", "2026-09-15 01:00:00"),
        ("midnight", "2026-09-14 15:59:00", "2026-09-15", "2026-09-15", "2026-09-16 01:00:00"),
    ]
