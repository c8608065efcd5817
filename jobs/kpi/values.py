"""Figures: `gold.kpi_values`, the plain sums of `gold.kpi_contributions` by definition, grain and period.

Numerator and denominator are summed and stored, the value is their quotient (R1); a denominator of 0 gives no value
(R3). Periods:

- `day`: the contributions of one business date;
- `mtd`: month to date. Additive figures add the stored days of the month to the run's own; others have one row a party,
  or a balance, as of the date, and are never summed over time (R2);
- `month`: the month to date on the month's last day.

Each statement of a figure is a row of its own (R10): `restatement_no` counts them, the newest is the one that holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from jobs.contracts.day import Day, is_month_end
from jobs.contracts.kpi import Kpi
from jobs.kpi.bases import BASES, GRAINS

SUM, VALUE = "decimal(28,6)", "decimal(18,6)"
CELL = ["kpi_id", "measure", *GRAINS]
GRAIN_FIELDS = ", ".join(f"{c}:string" for c in GRAINS)


def transform(kpi_contributions: DataFrame, previous: DataFrame, day: Day) -> DataFrame:
    spark = kpi_contributions.sparkSession
    stated = previous.where(
        F.col("as_of_date").between(F.lit(_first_of_month(day)), F.lit(max([day.to_date, *day.as_of])))
    )
    partials = _fresh(kpi_contributions, day).unionByName(_earlier(stated, day))
    periods = F.broadcast(_periods(spark, day))
    figures = (
        partials.join(periods, on=["kpi_id", "business_date"], how="inner")
        .groupBy(*CELL, "period_kind", "period", "as_of_date", "definition_version", "expected_units", "received_units")
        .agg(F.sum("numerator").cast(SUM).alias("numerator"), F.sum("denominator").cast(SUM).alias("denominator"))
    )
    statements = stated.groupBy("kpi_id", "period_kind", "as_of_date").agg(F.max("restatement_no").alias("last_no"))
    numbered = figures.join(F.broadcast(statements), on=["kpi_id", "period_kind", "as_of_date"], how="left")
    counts = _is_count(day)
    number = F.coalesce(F.col("last_no") + 1, F.lit(0)).cast("int")
    return numbered.select(
        F.lit(day.release_key).alias("release_id"),
        "kpi_id",
        "definition_version",
        "period_kind",
        "period",
        "as_of_date",
        *GRAINS,
        "measure",
        "numerator",
        F.when(~counts, F.col("denominator")).alias("denominator"),
        F.when(counts, F.col("numerator").cast(VALUE))
        .otherwise(quotient(F.col("numerator"), F.col("denominator")))
        .alias("value"),
        "expected_units",
        "received_units",
        (F.col("received_units") < F.col("expected_units")).alias("is_provisional"),
        number.alias("restatement_no"),
        F.when(number > 0, F.lit(day.cause)).alias("restatement_reason"),
        F.lit(day.run_id).alias("run_id"),
    )


def quotient(numerator: Column, denominator: Column) -> Column:
    """numerator / denominator to six decimals, half-even and exact; null for a denominator of 0.

    Counted in whole millionths: dividing decimals would round twice, once to the engine's scale and once to six
    decimals.
    """
    n = (F.abs(numerator) * 1_000_000).cast("decimal(28,0)") * 1_000_000
    d = F.nullif((F.abs(denominator) * 1_000_000).cast("decimal(28,0)"), F.lit(0))
    whole, rest = F.call_function("div", n.cast("decimal(38,0)"), d), n.cast("decimal(38,0)") % d
    rounds_up = (rest * 2 > d) | ((rest * 2 == d) & (whole % 2 == 1))
    millionths = whole + F.when(rounds_up, F.lit(1)).otherwise(F.lit(0))
    is_negative = (numerator < 0) != (denominator < 0)
    return (
        F.when(is_negative, -millionths).otherwise(millionths).cast("decimal(18,0)") * F.lit(Decimal("0.000001"))
    ).cast(VALUE)


def _fresh(kpi_contributions: DataFrame, day: Day) -> DataFrame:
    """Cells of the run's own dates: kpi, measure, grain, business_date, numerator, denominator. Totals are there even
    when nothing happened.
    """
    rows = (
        kpi_contributions.where(F.col("release_id") == F.lit(day.release_key))
        .select("kpi_id", "business_date", *GRAINS, F.explode("measures").alias("m"))
        .groupBy("kpi_id", "business_date", *GRAINS, F.col("m.measure").alias("measure"))
        .agg(F.sum("m.numerator").alias("numerator"), F.sum("m.denominator").alias("denominator"))
        .withColumn("is_there", F.lit(True))
    )
    cells = rows.unionByName(_zeros(kpi_contributions.sparkSession, day)).withColumn("cell", F.explode(_cells(day)))
    return cells.groupBy("kpi_id", "measure", "business_date", *[F.col(f"cell.{c}").alias(c) for c in GRAINS]).agg(
        F.sum("numerator").cast(SUM).alias("numerator"), F.sum("denominator").cast(SUM).alias("denominator")
    )


def _cells(day: Day) -> Column:
    """The grains that a row counts in: each set of columns that its definition names, the others null. A zero row
    counts in the total only.
    """
    listed = F.lit(None).cast(f"array<struct<{GRAIN_FIELDS}>>")
    for kpi in day.kpis:
        listed = F.when(F.col("kpi_id") == kpi.id, F.array(*[_cell(grain) for grain in kpi.grains])).otherwise(listed)
    return F.when(F.col("is_there"), listed).otherwise(F.array(_cell([])))


def _cell(grain: list[str]) -> Column:
    return F.struct(*[(F.col(c) if c in grain else F.lit(None).cast("string")).alias(c) for c in GRAINS])


def _zeros(spark: SparkSession, day: Day) -> DataFrame:
    """A row of 0 for each measure and told date, so that a day without any sale says n/a and not nothing."""
    rows = [
        (kpi.id, told, *[None] * len(GRAINS), measure)
        for kpi in day.kpis
        for told in _told(kpi, day)
        for measure in kpi.measures
    ]
    grains = ", ".join(f"{c} string" for c in GRAINS)
    zero = F.lit(0).cast(SUM)
    return spark.createDataFrame(rows, f"kpi_id string, business_date date, {grains}, measure string").withColumns(
        {"numerator": zero, "denominator": zero, "is_there": F.lit(False)}
    )


def _told(kpi: Kpi, day: Day) -> list[date]:
    return day.as_of if BASES[kpi.base].told == "as_of" else day.dates


def _earlier(stated: DataFrame, day: Day) -> DataFrame:
    """Stored days of the as-of months outside the run, each in its newest statement: what additive month-to-date
    figures add to.
    """
    newest = F.max("restatement_no").over(Window.partitionBy("kpi_id", "as_of_date"))
    outside = ~F.col("as_of_date").between(F.lit(day.from_date), F.lit(day.to_date))
    return (
        stated.where((F.col("period_kind") == "day") & outside)
        .withColumn("newest", newest)
        .where(F.col("restatement_no") == F.col("newest"))
        .select(
            "kpi_id",
            "measure",
            F.col("as_of_date").alias("business_date"),
            *GRAINS,
            "numerator",
            F.coalesce("denominator", F.lit(0)).cast(SUM).alias("denominator"),
        )
    )


def _periods(spark: SparkSession, day: Day) -> DataFrame:
    """Which periods a business date counts in, per definition, with the coverage behind each figure."""
    rows = []
    for kpi in day.kpis:
        for business_date, kind, period, as_of, first in _of_kpi(kpi, day):
            expected, received = day.units(kpi.feeds, first, as_of)
            rows.append((kpi.id, business_date, kind, period, as_of, kpi.version, expected, received))
    return spark.createDataFrame(
        rows,
        "kpi_id string, business_date date, period_kind string, period string, as_of_date date, "
        "definition_version string, expected_units int, received_units int",
    )


def _of_kpi(kpi: Kpi, day: Day) -> Iterator[tuple[date, str, str, date, date]]:
    """(business date, kind, period, as of, first date of the period)"""
    if "day" in kpi.periods:
        for told in day.dates:
            yield told, "day", f"{told}", told, told
    for as_of in day.as_of:
        first = as_of.replace(day=1)
        if kpi.additivity == "A":
            counted = [first + timedelta(days=n) for n in range((as_of - first).days + 1)]
        else:
            counted = [d for d in _told(kpi, day) if d == as_of]
        for kind in ("mtd", "month"):
            if kind in kpi.periods and (kind == "mtd" or is_month_end(as_of)):
                for business_date in counted:
                    yield business_date, kind, f"{as_of:%Y-%m}", as_of, first


def _first_of_month(day: Day) -> date:
    return min([day.from_date, *day.as_of]).replace(day=1)


def _is_count(day: Day) -> Column:
    counts = [
        f"{kpi.id}|{name}" for kpi in day.kpis for name, measure in kpi.measures.items() if measure.denominator is None
    ]
    return F.concat_ws("|", "kpi_id", "measure").isin(counts) if counts else F.lit(False)
