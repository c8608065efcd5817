"""Customer records as their systems keep them. A missing identity number is not a valid one; a record that names no
source was won by the bank itself.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def transform(incoming: DataFrame) -> DataFrame:
    return incoming.select(
        "customer_key",
        "source_system",
        "source_customer_id",
        "party_keyed_id",
        "party_type",
        "id_kind",
        "id_token",
        F.coalesce("id_valid", F.lit(False)).alias("id_valid"),
        "name_token",
        "name_normal_token",
        "phone_token",
        "phone_valid",
        "birth_date",
        F.upper("gender").alias("gender"),
        "home_province_code",
        "branch_id",
        F.coalesce("acquisition_source", F.lit("own")).alias("acquisition_source"),
        F.coalesce("is_farmer", F.lit(False)).alias("is_farmer"),
        F.col("changed_on").alias("valid_from"),
        "sources",
        "received_at",
    )
