"""Tables with history: which state was valid on a date.

A state holds from `valid_from` (inclusive) to `valid_to` (exclusive, null = still). Per key the states neither overlap
nor leave gaps.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

FIRST_DAY, LAST_DAY = "0001-01-01", "9999-12-31"


def ending(valid_to: Column) -> Column:
    """The exclusive end of a state as a date that compares, open ends included."""
    return F.coalesce(valid_to, F.lit(LAST_DAY).cast("date"))


def holds(at: Column, valid_from: Column, valid_to: Column) -> Column:
    """The state is valid on the date `at`."""
    return (at >= valid_from) & (at < ending(valid_to))


def valid_on(
    rows: DataFrame,
    states: DataFrame,
    *,
    key: str,
    at: str,
    take: Sequence[str],
    first_counts_before: bool = True,
    small: bool = False,
) -> DataFrame:
    """`rows` with the columns `take` of the state of `key` that was valid on the date in column `at`; null where none
    was. No row is lost.

    `first_counts_before`: a key's first known state stands for all dates before it too, since a bank's history begins
    somewhere. `small`: the states fit in every worker's memory and are sent there.
    """
    state = states.select(
        F.col(key).alias("__key"), "valid_from", "valid_to", *[F.col(c).alias(f"__{c}") for c in take]
    )
    if small:
        # One partition: neither the window below nor the broadcast then needs a shuffle.
        state = state.coalesce(1)
    if first_counts_before:
        first = F.min("valid_from").over(Window.partitionBy("__key"))
        state = state.withColumn(
            "valid_from",
            F.when(F.col("valid_from") == first, F.lit(FIRST_DAY).cast("date")).otherwise(F.col("valid_from")),
        )
    state = state.withColumnsRenamed({"valid_from": "__from", "valid_to": "__to"})
    return (
        rows.drop(*take)
        .join(
            F.broadcast(state) if small else state,
            (F.col(key) == F.col("__key")) & holds(F.col(at), F.col("__from"), F.col("__to")),
            how="left",
        )
        .drop("__key", "__from", "__to")
        .withColumnsRenamed({f"__{c}": c for c in take})
    )


def known_by(states: DataFrame, at: Column) -> DataFrame:
    """The states valid on one date."""
    return states.where(holds(at, F.col("valid_from"), F.col("valid_to")))
