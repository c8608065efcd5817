"""Two sides of the same money. What agrees is there too, with nothing in `disagrees`."""

from jobs.quality.verdicts import judge
from tests.tables import contract, shown

SIDES = ("subject", "left_amount", "right_amount", "off_by", "disagrees")


def of(made, kind, *columns):
    return shown(made.where(f"kind = '{kind}'"), *(columns or SIDES))


ACCOUNT_DAYS = """
    silver.accounts
    account_id | opened_on
    kept       | 2020-01-01
    short      | 2020-01-01
    opened     | 2026-09-15
    unseen     | 2020-01-01
    silent     | 2020-01-01
    elsewhere  | 2020-01-01
    silver.account_balances
    account_id | branch_id | business_date | balance
    kept       | b1        | 2026-09-14   | 100.00
    kept       | b1        | 2026-09-15   | 90.00
    short      | b1        | 2026-09-14   | 100.00
    short      | b1        | 2026-09-15   | 105.00
    opened     | b1        | 2026-09-15   | 7.00
    unseen     | b1        | 2026-09-15   | 8.00
    silent     | b1        | 2026-09-14   | 5.00
    silent     | b1        | 2026-09-15   | 5.00
    elsewhere  | b2        | 2026-09-14   | 1.00
    elsewhere  | b2        | 2026-09-15   | 2.00
    silver.transactions
    transaction_id | account_id | direction | amount | status  | is_financial
    t1             | kept       | debit     | 30.00  | success | true
    t2             | kept       | credit    | 20.00  | success | true
    t3             | kept       | credit    | 99.00  | failed  | true
    t4             | kept       | credit    | 99.00  | success | false
    t5             | short      | credit    | 15.00  | success | true
    t6             | opened     | credit    | 7.00   | success | true
    t7             | unseen     | credit    | 8.00   | success | true
"""


def test_an_account_day_that_does_not_close_is_named_with_its_difference(run):
    """`short` lacks a debit of 10. Not tested: `unseen`, of which there is no opening balance; `silent`, where nothing moved; `elsewhere`, whose branch
    sent no movements at all."""
    made = run("silver.reconciliations", ACCOUNT_DAYS)
    assert of(made, "account_day") == [
        ("kept", "90.00", "90.00", "0.00", ""),
        ("opened", "7.00", "7.00", "0.00", ""),
        ("short", "115.00", "105.00", "10.00", "account_day"),
    ]


def test_an_account_in_foreign_currency_closes_in_its_own(run):
    """The rate went from 7 to 8, which moves nothing: `dollars` closes in USD, `lacks` does not, by a debit of 5 USD. `mixed` was moved in EUR too, at a rate that
    nobody tells; an account in CNY takes foreign money at the day's rate."""
    made = run(
        "silver.reconciliations",
        """
        silver.accounts
        account_id | opened_on
        dollars    | 2020-01-01
        lacks      | 2020-01-01
        mixed      | 2020-01-01
        at_home    | 2020-01-01
        silver.account_balances
        account_id | branch_id | business_date | currency | balance_original | balance
        dollars    | b1        | 2026-09-14    | USD      | 100.00           | 700.00
        dollars    | b1        | 2026-09-15    | USD      | 110.00           | 880.00
        lacks      | b1        | 2026-09-14    | USD      | 50.00            | 350.00
        lacks      | b1        | 2026-09-15    | USD      | 45.00            | 360.00
        mixed      | b1        | 2026-09-14    | USD      | 1.00             | 7.00
        mixed      | b1        | 2026-09-15    | USD      | 9.00             | 72.00
        at_home    | b1        | 2026-09-14    | CNY      | 0.00             | 0.00
        at_home    | b1        | 2026-09-15    | CNY      | 80.00            | 80.00
        silver.transactions
        transaction_id | account_id | direction | currency | amount_original | amount | status  | is_financial
        t1             | dollars    | credit    | USD      | 10.00           | 80.00  | success | true
        t2             | mixed      | credit    | USD      | 4.00            | 32.00  | success | true
        t3             | mixed      | credit    | EUR      | 3.00            | 27.00  | success | true
        t4             | at_home    | credit    | USD      | 10.00           | 80.00  | success | true
    """,
    )
    assert of(made, "account_day") == [
        ("at_home", "80.00", "80.00", "0.00", ""),
        ("dollars", "110.00", "110.00", "0.00", ""),
        ("lacks", "50.00", "45.00", "5.00", "account_day"),
    ]


def test_the_ledger_is_compared_with_the_accounts_that_are_published(run):
    """One account of subject 2012 was rejected: 3.00 of the ledger have no account. 3001 has none at all, and yesterday is not looked at."""
    made = run(
        "silver.reconciliations",
        """
        silver.gl_balances
        branch_id | subject_code | currency | business_date | closing
        b1        | 2011         | CNY      | 2026-09-15    | 30.00
        b1        | 2012         | CNY      | 2026-09-15    | 10.00
        b1        | 3001         | CNY      | 2026-09-15    | -40.00
        silver.account_balances
        account_id | branch_id | subject_code | business_date | balance
        a1         | b1        | 2011         | 2026-09-15    | 10.00
        a2         | b1        | 2011         | 2026-09-15    | 20.00
        a3         | b1        | 2012         | 2026-09-15    | 7.00
        a1         | b1        | 2011         | 2026-09-14    | 99.00
    """,
    )
    assert of(made, "gl_subject") == [
        ("b1|2011|CNY", "30.00", "30.00", "0.00", ""),
        ("b1|2012|CNY", "10.00", "7.00", "3.00", "gl_subject"),
    ]


def test_a_transfer_whose_credit_is_absent_is_one_sided_and_a_payment_to_another_bank_is_not(run):
    made = run(
        "silver.reconciliations",
        """
        silver.accounts
        account_id | opened_on
        core:1     | 2020-01-01
        core:2     | 2020-01-01
        silver.transactions
        transaction_id | account_id | counterparty | direction | amount | status
        t1             | core:1     | 2            | debit     | 10.00  | success
        t2             | core:2     | 1            | credit    | 10.00  | success
        t3             | core:2     | 1            | debit     | 25.00  | success
        t4             | core:1     | 2            | debit     | 70.00  | failed
        t5             | core:1     | 999          | debit     | 3.00   | success
    """,
    )
    assert of(made, "internal_transfer") == [
        ("core:1>core:2", "10.00", "10.00", "0.00", ""),
        ("core:2>core:1", "25.00", "", "25.00", "internal_transfer"),
    ]


REVERSALS = """
    silver.transactions
    transaction_id | amount | status
    t1             | 10.00  | success
    t2             | 10.00  | success
    t3             | 10.00  | failed
    silver.sales
    sale_id | amount
    s1      | 50.00
    silver.reversals
    reversal_id | kind        | original_id | amount | original_business_date | business_date
    r1          | transaction | t1          | 4.00   | 2026-09-15             | 2026-09-15
    r2          | transaction | t1          | 6.00   | 2026-09-15             | 2026-10-02
    r3          | transaction | t2          | 12.00  | 2026-09-15             | 2026-09-16
    r4          | transaction | t3          | 10.00  | 2026-09-15             | 2026-09-17
    r5          | transaction | lost        | 5.00   | 2026-09-15             | 2026-09-18
    r6          | sale        | s1          | 50.00  | 2026-09-15             | 2026-09-20
"""


def test_a_reversal_without_original_is_told_since_it_was_booked(run):
    """t1 is taken back in two parts, of which one comes next month; t2 by more than it was; t3 failed, so that there is nothing to take back."""
    made = run("silver.reconciliations", REVERSALS)
    assert of(made, "reversal", *SIDES, "since", "business_date") == [
        ("lost", "5.00", "", "5.00", "reversal", "2026-09-18", "2026-09-15"),
        ("s1", "50.00", "50.00", "0.00", "", "2026-09-20", "2026-09-15"),
        ("t1", "10.00", "10.00", "0.00", "", "2026-09-15", "2026-09-15"),
        ("t2", "12.00", "10.00", "2.00", "reversal", "2026-09-16", "2026-09-15"),
        ("t3", "10.00", "", "10.00", "reversal", "2026-09-17", "2026-09-15"),
    ]


def test_orphans_are_quarantined_until_the_original_is_there(run):
    made = run("silver.reconciliations", REVERSALS)
    rules = [r for r in contract("silver.reconciliations").rules if r.id == "reversals_have_an_original"]

    def verdicts(frame):
        judged = judge(frame.selectExpr("*", "0L as __row_hash"), rules, within=[], order=["subject"])
        return dict(shown(judged.where("kind = 'reversal'"), "subject", "__verdict"))

    assert verdicts(made) == {
        "lost": "rejected",
        "s1": "accepted",
        "t1": "accepted",
        "t2": "rejected",
        "t3": "rejected",
    }
    found = REVERSALS.replace("t1             | 10.00  | success", "t1   | 10.00 | success\n    lost | 5.00 | success")
    assert verdicts(run("silver.reconciliations", found))["lost"] == "accepted"


def test_a_sale_and_its_registration_are_joined_by_the_sale_and_listed_on_either_side(run):
    made = run(
        "silver.reconciliations",
        """
        silver.sales
        sale_id   | account_id | amount | status
        sales:s1  | a1         | 100.00 | completed
        sales:s2  | a1         | 60.00  | completed
        sales:s3  | a1         | 70.00  | failed
        sales:s4  |            | 80.00  | completed
        sales:s5  | a1         | 90.00  | completed
        silver.transactions
        transaction_id | sale_id  | amount | is_financial
        t1             | sales:s1 | 100.00 | false
        t2             | sales:s5 | 89.00  | false
        t3             | sales:s6 | 10.00  | false
        t4             |          | 10.00  | true
    """,
    )
    assert of(made, "sale_posting") == [
        ("sales:s1", "100.00", "100.00", "0.00", ""),
        ("sales:s2", "60.00", "", "60.00", "sale_posting"),
        ("sales:s5", "90.00", "89.00", "1.00", "sale_posting"),
        ("sales:s6", "", "10.00", "10.00", "sale_posting"),
    ]
