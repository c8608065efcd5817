"""Business processes, booked on the day they ended. Abandoned ones stay, for the funnel figures; the online share
leaves them out.
"""

from __future__ import annotations

from pyspark.sql import DataFrame


def transform(incoming: DataFrame) -> DataFrame:
    return incoming.select(
        "process_instance_id",
        "process_id",
        "customer_key",
        "business_line",
        "branch_id",
        "channel_origin",
        "submitted_at",
        "docs_complete_at",
        "decided_at",
        "ended_at",
        "outcome",
        "business_date",
        "sources",
        "received_at",
    )
