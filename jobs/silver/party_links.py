"""Which party each source record belongs to (customer_360 E6 rule D1, E9, E10).

Records of one party type with an equal valid identity number and an equal normalised name are one party. Nothing else
merges: a name alone, a phone, or a number that fails its check never does. The party takes the keyed id of its earliest
source record (tie: smallest key), so the result depends neither on the order of arrival nor on partitions, and days
that arrive out of order end with the same survivors.

History is told anew from the first date of the run: each group of records that share a number is looked at on every
date on which one of them changed.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.contracts.day import Day
from jobs.history import ending, holds


def transform(parties_source: DataFrame, day: Day) -> DataFrame:
    records = _records(parties_source)
    changes = _changes(records, day)
    on_date = changes.join(records.withColumnRenamed("group", "__group"), _same_group() & _valid(), how="inner")
    same_party = Window.partitionBy("group", "name", "at")
    same_number = Window.partitionBy("group", "at")
    eldest = F.min(F.struct("first_seen", "customer_key", "party_keyed_id")).over(same_party)
    return on_date.select(
        "customer_key",
        "source_system",
        "source_customer_id",
        eldest["party_keyed_id"].alias("party_id"),
        F.when(F.count("*").over(same_party) > 1, F.lit("D1")).otherwise(F.lit("single")).alias("rule"),
        F.lit(1).cast("decimal(9,6)").alias("score"),
        F.col("at").alias("linked_on"),
        (F.size(F.collect_set("name").over(same_number)) - 1).alias("conflict_count"),
        F.col("at").alias("valid_from"),
        "sources",
        "received_at",
    )


def _records(parties_source: DataFrame) -> DataFrame:
    """Source records with what they are compared by: a group (equal number) and a name within it. A record without a
    valid number stands alone.
    """
    comparable = F.col("id_valid") & F.col("id_token").isNotNull() & F.col("name_normal_token").isNotNull()
    alone = F.col("customer_key")
    return parties_source.select(
        "customer_key",
        "source_system",
        "source_customer_id",
        "party_keyed_id",
        "valid_from",
        "valid_to",
        "sources",
        "received_at",
        F.when(comparable, F.concat_ws("|", "party_type", "id_kind", "id_token")).otherwise(alone).alias("group"),
        F.when(comparable, F.col("name_normal_token")).otherwise(alone).alias("name"),
        F.min("valid_from").over(Window.partitionBy("customer_key")).alias("first_seen"),
    )


def _changes(records: DataFrame, day: Day) -> DataFrame:
    """(group, at): the dates from the run's first on which a record came into, changed in or left a group."""
    first = F.lit(day.from_date)
    dates = F.array_compact(F.array("valid_from", "valid_to"))
    return (
        records.where(ending(F.col("valid_to")) >= first)
        .select("group", F.explode(dates).alias("at"))
        .where(F.col("at") >= first)
        .distinct()
    )


def _same_group() -> Column:
    return F.col("group") == F.col("__group")


def _valid() -> Column:
    return holds(F.col("at"), F.col("valid_from"), F.col("valid_to"))
