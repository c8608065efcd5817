"""How the small bank's silver.movements is made: as it comes."""

from __future__ import annotations

from pyspark.sql import DataFrame


def transform(incoming: DataFrame) -> DataFrame:
    return incoming.select("movement_id", "amount", "remark", "business_date", "sources", "received_at")
