"""The general ledger by branch, subject and currency. That it agrees with the accounts is found out before a day is built
(`reconciles` of the feed's contract); here each line must roll forward: closing = opening - debit + credit. What is too far off for an amount is null, which
the contract turns away too.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def transform(incoming: DataFrame) -> DataFrame:
    rolled = F.col("opening") - F.col("debit_turnover") + F.col("credit_turnover")
    return incoming.select(
        "legal_entity_id",
        "branch_id",
        "subject_code",
        "currency",
        "balance_date",
        "opening",
        "debit_turnover",
        "credit_turnover",
        "closing",
        (F.col("closing") - rolled).try_cast("decimal(18,2)").alias("unexplained"),
        F.col("balance_date").alias("business_date"),
        "sources",
        "received_at",
    )
