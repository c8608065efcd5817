"""What was agreed for each loan. A contract that does not say whether it is inclusive lending is not."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def transform(incoming: DataFrame) -> DataFrame:
    return incoming.select(
        "loan_id",
        "customer_key",
        "branch_id",
        "legal_entity_id",
        "annual_rate",
        "industry_code",
        "purpose_code",
        F.coalesce("is_inclusive_nfra", F.lit(False)).alias("is_inclusive_nfra"),
        F.coalesce("is_inclusive_pboc", F.lit(False)).alias("is_inclusive_pboc"),
        "signed_on",
        "principal",
        F.col("changed_on").alias("valid_from"),
        "sources",
        "received_at",
    )
