"""Rows that replace single rows of another feed: which original each has, and which of the rows of one key counts.

A row is known by the corrected table's primary key and its business date. Of the corrections of a row the one of the highest version counts, of equal versions
the one received last; a whole file that was sent after a correction is the sender's newer word, and the correction counts no more. Nothing is taken away: what
does not count is kept out of silver under a name, and the balance counts it there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.contracts import Table
from jobs.contracts.model import CORRECTION_VERSION, FOUND, NOT_FOUND, ORIGINAL_FOUND
from jobs.quality.canaries import CANARY

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

REPLACED = "__replaced"  # the name under which a row is kept out; null where it counts
CORRECTED, WITHOUT_ORIGINAL = "corrected", "correction_without_original"
DATE = "__business_date"


def with_original_found(corrections: DataFrame, originals: DataFrame | None, table: Table) -> DataFrame:
    """Typed rows of a correction, told whether the row that they correct is there. A canary says what it says."""
    from pyspark.sql import functions as F

    keys = _keys(table)
    if originals is None:
        known = corrections.withColumn("__known", F.lit(None).cast("boolean"))
    else:
        there = originals.select(*keys).distinct().withColumn("__known", F.lit(True))
        known = corrections.join(there, keys, "left")
    found = F.when(F.col("__delivery_id") == CANARY, F.col(ORIGINAL_FOUND)).otherwise(
        F.when(F.col("__known"), FOUND).otherwise(NOT_FOUND)
    )
    return known.withColumn(ORIGINAL_FOUND, found).drop("__known")


def settled(originals: DataFrame | None, corrections: DataFrame, table: Table) -> tuple[DataFrame | None, DataFrame]:
    """Accepted rows of bronze of the same dates, each with REPLACED. `table`: that of the corrections."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    keys = _keys(table)
    if originals is None:
        return None, corrections.withColumn(REPLACED, F.lit(WITHOUT_ORIGINAL))
    touched = originals.join(F.broadcast(corrections.select(*keys).distinct()), keys, "left_semi")
    received = touched.groupBy(*keys).agg(F.max("__received_at").alias("__original_at"))
    newest = Window.partitionBy(*keys).orderBy(
        F.desc("__newer"),
        F.desc(CORRECTION_VERSION),
        F.desc("__received_at"),
        F.desc("__delivery_id"),
        F.desc("__line"),
    )
    ranked = (
        corrections.join(received, keys, "left")
        .withColumn("__newer", F.col("__received_at") >= F.col("__original_at"))
        .withColumn("__counts", F.col("__newer") & (F.row_number().over(newest) == 1))
    )
    why = F.when(F.col("__original_at").isNull(), WITHOUT_ORIGINAL).when(~F.col("__counts"), CORRECTED)
    judged = ranked.withColumn(REPLACED, why).drop("__original_at", "__newer", "__counts")
    counting = judged.where(F.col(REPLACED).isNull()).select(*keys).withColumn("__hit", F.lit(True))
    kept = originals.join(F.broadcast(counting), keys, "left")
    return kept.withColumn(REPLACED, F.when(F.col("__hit"), CORRECTED)).drop("__hit"), judged


def _keys(table: Table) -> list[str]:
    """Columns by which a correction and its original are one row."""
    own = [name for name in table.primary_key if name not in (CORRECTION_VERSION, "business_date")]
    return [*own, DATE]
