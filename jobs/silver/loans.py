"""Day-end loan balances and classes, with what the contract says of the loan on that date. A loan without a contract
is rejected.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.history import valid_on

OF_CONTRACT = [
    "customer_key", "branch_id", "legal_entity_id", "annual_rate", "industry_code", "purpose_code", "is_inclusive_nfra",
    "is_inclusive_pboc",
]  # fmt: skip


def transform(incoming: DataFrame, loan_contracts: DataFrame) -> DataFrame:
    return valid_on(incoming, loan_contracts, key="loan_id", at="as_of_date", take=OF_CONTRACT).select(
        "loan_id",
        "customer_key",
        "branch_id",
        "legal_entity_id",
        "as_of_date",
        "balance",
        "annual_rate",
        "five_class",
        "days_past_due",
        "industry_code",
        "purpose_code",
        "is_inclusive_nfra",
        "is_inclusive_pboc",
        F.col("as_of_date").alias("business_date"),
        "sources",
        "received_at",
    )
