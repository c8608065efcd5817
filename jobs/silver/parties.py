"""Golden parties: the best of what their source records say (customer_360 sections 2 and 3).

Survivorship: identity data of a valid number beat others, then the newest wins; other attributes take the newest; how a
party was won is frozen at its first record. A null never overwrites a value. An id whose records all moved elsewhere
stays, and says where they went.

History is told anew from the first date of the run, on every date on which a record or a link of the party changed.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.contracts.day import Day
from jobs.history import ending, holds


def transform(parties_source: DataFrame, party_links: DataFrame, day: Day) -> DataFrame:
    pieces = _pieces(parties_source, party_links)
    changes = _changes(pieces, day)
    members = changes.join(
        pieces.withColumnRenamed("party_id", "__party"),
        (F.col("party_id") == F.col("__party")) & holds(F.col("at"), F.col("from_date"), F.col("to_date")),
        how="left",
    )
    golden = members.groupBy("party_id", "at").agg(
        _newest("party_type").alias("party_type"),
        _verified("id_kind").alias("id_kind"),
        _verified("id_token").alias("id_token"),
        _verified("name_normal_token").alias("name_normal_token"),
        _verified("birth_date").alias("birth_date"),
        _verified("gender").alias("gender"),
        _newest("home_province_code").alias("home_province_code"),
        _first("branch_id").alias("home_branch_id"),
        _first("acquisition_source").alias("acquisition_source"),
        F.min("first_seen").alias("acquired_on"),
        F.coalesce(_newest("is_farmer"), F.lit(False)).alias("is_farmer"),
        F.count("customer_key").cast("int").alias("source_record_count"),
        F.coalesce(F.max("conflict_count"), F.lit(0)).alias("conflict_count"),
        F.array_sort(F.array_distinct(F.flatten(F.collect_list("sources")))).alias("sources"),
        F.max("received_at").alias("received_at"),
    )
    return _with_redirect(golden, pieces).select(
        "party_id",
        "party_type",
        "id_kind",
        "id_token",
        "name_normal_token",
        "birth_date",
        "gender",
        "home_province_code",
        "home_branch_id",
        "acquisition_source",
        "acquired_on",
        "is_farmer",
        "source_record_count",
        "conflict_count",
        "merged_into",
        F.col("at").alias("valid_from"),
        "sources",
        "received_at",
    )


def _pieces(parties_source: DataFrame, party_links: DataFrame) -> DataFrame:
    """What one record said while it belonged to one party: [from_date, to_date), to_date null = still."""
    links = party_links.select(
        F.col("customer_key").alias("__key"),
        "party_id",
        "conflict_count",
        F.col("valid_from").alias("link_from"),
        F.col("valid_to").alias("link_to"),
    )
    overlap = (F.col("valid_from") < ending(F.col("link_to"))) & (F.col("link_from") < ending(F.col("valid_to")))
    records = parties_source.withColumn("first_seen", F.min("valid_from").over(Window.partitionBy("customer_key")))
    return records.join(links, (F.col("customer_key") == F.col("__key")) & overlap, how="inner").select(
        "party_id",
        "customer_key",
        "party_keyed_id",
        "party_type",
        "id_kind",
        "id_token",
        "id_valid",
        "name_normal_token",
        "birth_date",
        "gender",
        "home_province_code",
        "branch_id",
        "acquisition_source",
        "is_farmer",
        "conflict_count",
        "first_seen",
        "valid_from",
        F.greatest("valid_from", "link_from").alias("from_date"),
        F.least("valid_to", "link_to").alias("to_date"),
        "sources",
        "received_at",
    )


def _changes(pieces: DataFrame, day: Day) -> DataFrame:
    """(party_id, at): the dates from the run's first on which something of a party changed."""
    first = F.lit(day.from_date)
    dates = F.array_compact(F.array("from_date", "to_date"))
    return (
        pieces.where(ending(F.col("to_date")) >= first)
        .select("party_id", F.explode(dates).alias("at"))
        .where(F.col("at") >= first)
        .distinct()
    )


def _with_redirect(golden: DataFrame, pieces: DataFrame) -> DataFrame:
    """A party without records is told where the record that gave it its id belongs now; never a chain, since it is
    looked up anew.
    """
    moved = pieces.where(F.col("party_keyed_id") != F.col("party_id")).select(
        F.col("party_keyed_id").alias("__id"), F.col("party_id").alias("merged_into"), "from_date", "to_date"
    )
    empty = (F.col("source_record_count") == 0) & (F.col("party_id") == F.col("__id"))
    return golden.join(moved, empty & holds(F.col("at"), F.col("from_date"), F.col("to_date")), how="left")


def _verified(column: str) -> Column:
    return _best(F.max, column, "id_valid", "valid_from", "customer_key")


def _newest(column: str) -> Column:
    return _best(F.max, column, "valid_from", "customer_key")


def _first(column: str) -> Column:
    return _best(F.min, column, "first_seen", "customer_key")


def _best(choose, column: str, *order: str) -> Column:  # type: ignore[no-untyped-def]
    """The column's value in the row that comes last (F.max) or first (F.min) by `order`, among rows that have one."""
    ranked = F.struct(*[F.col(c).alias(f"o{i}") for i, c in enumerate(order)], F.col(column).alias("value"))
    return choose(F.when(F.col(column).isNotNull(), ranked))["value"]
