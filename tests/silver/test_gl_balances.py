from jobs.quality.verdicts import judge
from tests.tables import contract, shown

STORY = """
    incoming
    legal_entity_id | branch_id | subject_code | currency | balance_date | opening | debit_turnover | credit_turnover | closing
    bank            | b1        | 20110101     | CNY      | 2026-09-15   | 100.00  | 30.00          | 50.00           | 120.00
    bank            | b1        | 30010101     | CNY      | 2026-09-15   | -100.00 | 50.00          | 30.00           | -120.00
    bank            | b2        | 20110101     | CNY      | 2026-09-15   | 100.00  | 30.00          | 50.00           | 120.01
"""


def test_a_line_that_does_not_roll_forward_is_rejected_and_no_other(run):
    made = run("silver.gl_balances", STORY)
    assert shown(made, "branch_id", "subject_code", "unexplained", "business_date") == [
        ("b1", "20110101", "0.00", "2026-09-15"),
        ("b1", "30010101", "0.00", "2026-09-15"),
        ("b2", "20110101", "0.01", "2026-09-15"),
    ]
    rules = [r for r in contract("silver.gl_balances").all_rules if r.id == "rolls_forward"]
    judged = judge(made.selectExpr("*", "0L as __row_hash"), rules, within=["business_date"], order=["sources"])
    assert shown(judged.where("size(__reasons) > 0"), "branch_id", "__verdict") == [("b2", "rejected")]


def test_a_line_that_is_too_far_off_for_an_amount_is_rejected_and_ends_no_run(run):
    most = "9999999999999999.99"
    garbage = f"bank | b3 | 20110101 | CNY | 2026-09-15 | {most} | 0.00 | 0.00 | -{most}"
    made = run("silver.gl_balances", f"{STORY}{garbage}\n")
    rules = [r for r in contract("silver.gl_balances").all_rules if r.id in ("rolls_forward", "unexplained_required")]
    judged = judge(made.selectExpr("*", "0L as __row_hash"), rules, within=["business_date"], order=["sources"])
    told = judged.selectExpr("branch_id", "__verdict", "concat_ws(',', __reasons) as reasons").where("reasons <> ''")
    assert shown(told, "branch_id", "__verdict", "reasons") == [
        ("b2", "rejected", "rolls_forward"),
        ("b3", "rejected", "unexplained_required"),
    ]
