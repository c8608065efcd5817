from pyspark.sql import functions as F

from jobs.contracts import load
from jobs.quality.one_row import reasons
from tests.quality.tools import ZONE
from tests.tables import shown

MOVEMENTS = load("demo").tables["bronze.core_transactions"]


def test_a_reversal_is_booked_on_its_own_day_and_changes_that_of_its_original(run):
    made = run(
        "silver.reversals",
        """
        incoming
        original_id | kind        | amount | business_date | booked_on
        t1          | transaction | 10.00  | 2026-09-14    | 2026-09-15
        s1          | sale        | 99.00  | 2026-08-30    | 2026-09-15
    """,
    )
    assert shown(made, "original_id", "kind", "business_date", "original_business_date", "amount") == [
        ("s1", "sale", "2026-09-15", "2026-08-30", "99.00"),
        ("t1", "transaction", "2026-09-15", "2026-09-14", "10.00"),
    ]


def test_a_reversal_that_names_a_day_that_is_none_is_turned_away_and_ends_no_run(spark):
    """Year and month are looked at when the row comes; of the 30th of February no original has the date, and silver wants one."""
    named = [("2026-13-14:7:1",), ("0000-01-01:7:1",), ("2026-02-30:7:1",), ("2026-02-28:7:1",)]
    said = [reasons(MOVEMENTS, MOVEMENTS.rules, {"reverses": text}, ZONE) for (text,) in named]
    assert said == [["reverses_form"], ["reverses_form"], [], []]
    given = MOVEMENTS.conforms["silver.reversals"].columns["business_date"]
    made = spark.createDataFrame([named[0], *named[2:]], "reverses string").select(
        "reverses", F.expr(given).alias("of_day")
    )
    assert [(row["reverses"], str(row["of_day"])) for row in made.collect()] == [
        ("2026-13-14:7:1", "None"), ("2026-02-30:7:1", "None"), ("2026-02-28:7:1", "2026-02-28"),
    ]  # fmt: skip
    assert "original_business_date_required" in {rule.id for rule in load("demo").tables["silver.reversals"].all_rules}
