"""The slow part of customer 360: who a party is and what it holds, with history. Daily measures are in
gold.customer_360_daily.

History is told anew from the first date of the run, on every date on which the party or one of its accounts changed.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.contracts.day import Day
from jobs.history import ending, holds

OF_PARTY = [
    "party_type", "birth_date", "gender", "home_province_code", "home_branch_id", "acquisition_source", "acquired_on",
    "is_farmer", "source_record_count", "conflict_count", "merged_into",
]  # fmt: skip


def transform(parties: DataFrame, party_links: DataFrame, accounts: DataFrame, day: Day) -> DataFrame:
    held = _held(party_links, accounts)
    changes = _changes(parties, held, day)
    holdings = _holdings(changes, held)
    state = parties.select(F.col("party_id").alias("__party"), *OF_PARTY, "valid_from", "valid_to")
    known = changes.join(
        state,
        (F.col("party_id") == F.col("__party")) & holds(F.col("at"), F.col("valid_from"), F.col("valid_to")),
        how="inner",
    )
    none = F.lit(0)
    return known.join(holdings, on=["party_id", "at"], how="left").select(
        "party_id",
        *OF_PARTY,
        "acquisition_channel",
        F.coalesce("account_count", none).alias("account_count"),
        F.coalesce("product_count", none).alias("product_count"),
        F.coalesce("legal_entity_count", none).alias("legal_entity_count"),
        "holdings",
        F.col("at").alias("valid_from"),
    )


def _held(party_links: DataFrame, accounts: DataFrame) -> DataFrame:
    """What an account read while it belonged to a party: [from_date, to_date), to_date null = still."""
    links = party_links.select(
        F.col("customer_key").alias("__key"),
        "party_id",
        F.col("valid_from").alias("link_from"),
        F.col("valid_to").alias("link_to"),
    )
    overlap = (F.col("valid_from") < ending(F.col("link_to"))) & (F.col("link_from") < ending(F.col("valid_to")))
    return accounts.join(links, (F.col("customer_key") == F.col("__key")) & overlap, how="inner").select(
        "party_id",
        "account_id",
        "legal_entity_id",
        "business_line",
        "product_id",
        "product_kind",
        "open_channel",
        "opened_on",
        "closed_on",
        F.greatest("valid_from", "link_from").alias("from_date"),
        F.least("valid_to", "link_to").alias("to_date"),
    )


def _changes(parties: DataFrame, held: DataFrame, day: Day) -> DataFrame:
    """(party_id, at): the dates from the run's first on which the party or an account of it changed."""
    first = F.lit(day.from_date)
    of_party = parties.select("party_id", F.explode(F.array_compact(F.array("valid_from", "valid_to"))).alias("at"))
    of_account = held.select("party_id", F.explode(F.array_compact(F.array("from_date", "to_date"))).alias("at"))
    return of_party.unionByName(of_account).where(F.col("at") >= first).distinct()


def _holdings(changes: DataFrame, held: DataFrame) -> DataFrame:
    """Open accounts of each party on each date of change; the first account ever says through which channel the party
    came.
    """
    own = held.withColumnRenamed("party_id", "__party")
    on_date = changes.join(
        own,
        (F.col("party_id") == F.col("__party")) & holds(F.col("at"), F.col("from_date"), F.col("to_date")),
        how="inner",
    )
    is_open = F.col("closed_on").isNull() | (F.col("closed_on") > F.col("at"))
    kinds = on_date.groupBy("party_id", "at", "legal_entity_id", "business_line", "product_kind").agg(
        F.count_if(is_open).cast("int").alias("accounts"),
        F.min(F.when(is_open, F.col("opened_on"))).alias("first_opened_on"),
        F.collect_set(F.when(is_open, F.col("product_id"))).alias("products"),
        F.min(F.struct("opened_on", "account_id", "open_channel")).alias("first_account"),
    )
    some = F.col("accounts") > 0
    holding = F.struct("legal_entity_id", "business_line", "product_kind", "accounts", "first_opened_on")
    return kinds.groupBy("party_id", "at").agg(
        F.min("first_account")["open_channel"].alias("acquisition_channel"),
        F.sum("accounts").cast("int").alias("account_count"),
        F.size(F.array_distinct(F.flatten(F.collect_list("products")))).alias("product_count"),
        F.count_distinct(F.when(some, F.col("legal_entity_id"))).cast("int").alias("legal_entity_count"),
        F.array_sort(F.array_compact(F.collect_list(F.when(some, holding)))).alias("holdings"),
    )
