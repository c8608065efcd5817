"""Which sale, movement, account, process, loan or party stands behind each figure: `gold.kpi_contributions`, of which
`gold.kpi_values` is the sum.

One scan a base: all definitions over a base are read off the same rows. A unit that adds nothing to any measure is left
out.
"""

from __future__ import annotations

import inspect
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.contracts.day import Day
from jobs.contracts.kpi import Kpi
from jobs.history import valid_on
from jobs.kpi.bases import BASES, GRAINS

READS = {
    "gold.party_days": "12 months",
    "silver.process_steps": "90 days",
    "silver.reversals": "original_business_date",
}
AMOUNT = "decimal(28,6)"


def transform(
    transactions: DataFrame, sales: DataFrame, reversals: DataFrame, process_instances: DataFrame,
    process_steps: DataFrame, accounts: DataFrame, loans: DataFrame, account_balances: DataFrame,
    party_days: DataFrame, party_links: DataFrame, branches: DataFrame, ref_channels: DataFrame, day: Day,
) -> DataFrame:  # fmt: skip
    in_run = F.col("business_date").between(F.lit(day.from_date), F.lit(day.to_date))
    tables: dict[str, DataFrame | Day] = {
        "transactions": transactions.where(in_run),
        "sales": sales.where(in_run),
        "reversals": reversals,
        "process_instances": process_instances.where(in_run),
        "process_steps": process_steps,
        "accounts": accounts,
        "loans": loans.where(in_run),
        "account_balances": account_balances,
        "party_days": party_days,
        "party_links": party_links,
        "ref_channels": ref_channels,
        "day": day,
    }
    used = sorted({kpi.base for kpi in day.kpis})
    parts = [_contributions(_rows(base, tables), [k for k in day.kpis if k.base == base]) for base in used]
    if not parts:
        return _none(transactions)
    return _placed(reduce(DataFrame.unionByName, parts), branches, day)


def _rows(base: str, tables: dict[str, DataFrame | Day]) -> DataFrame:
    if base not in BASES:
        raise ValueError(f"KPI base {base} is not declared in jobs/kpi/bases.py; declared: {', '.join(BASES)}")
    function = BASES[base].rows
    return function(**{name: tables[name] for name in inspect.signature(function).parameters})


def _contributions(rows: DataFrame, kpis: list[Kpi]) -> DataFrame:
    """One row a unit and definition, where the unit adds something."""
    figures = F.explode(F.array(*[_figure(kpi) for kpi in kpis])).alias("figure")
    adds = F.exists("figure.measures", lambda m: (m["numerator"] != 0) | (m["denominator"] != 0))
    unit = ["unit_table", "unit_id", "business_date", "legal_entity_id", "business_line", "branch_id", "sources"]
    return rows.select(*unit, figures).where(adds)


def _placed(units: DataFrame, branches: DataFrame, day: Day) -> DataFrame:
    """Units with the province (and, where they do not say, the legal entity) of their branch on their own date (R8)."""
    own = units.withColumnRenamed("legal_entity_id", "own_entity")
    of_branch = ["province_code", "legal_entity_id"]
    placed = valid_on(own, branches, key="branch_id", at="business_date", take=of_branch, small=True)
    placed = placed.withColumn("legal_entity_id", F.coalesce("own_entity", "legal_entity_id"))
    # What belongs to no branch has no grain; what does and is not known is said to be unknown, not lost in the total.
    grains = [F.when(F.col("branch_id").isNotNull(), F.coalesce(c, F.lit("unknown"))).alias(c) for c in GRAINS]
    return placed.select(
        F.lit(day.release_key).alias("release_id"),
        "figure.kpi_id",
        "business_date",
        *grains,
        "unit_table",
        "unit_id",
        "figure.measures",
        "sources",
    )


def _figure(kpi: Kpi) -> Column:
    """What one row of the base adds to each measure of a definition; a count adds nothing to a denominator."""
    measures = [
        F.struct(
            F.lit(name).alias("measure"),
            _number(measure.numerator).alias("numerator"),
            _number(measure.denominator or "0").alias("denominator"),
        )
        for name, measure in kpi.measures.items()
    ]
    return F.struct(F.lit(kpi.id).alias("kpi_id"), F.array(*measures).alias("measures"))


def _number(sql: str) -> Column:
    return F.coalesce(F.expr(sql).cast(AMOUNT), F.lit(0).cast(AMOUNT))


def _none(any_frame: DataFrame) -> DataFrame:
    """No definitions, no contributions; of the right shape."""
    grains = ", ".join(f"{c} string" for c in GRAINS)
    measures = f"measures array<struct<measure:string,numerator:{AMOUNT},denominator:{AMOUNT}>>"
    names = f"release_id string, kpi_id string, business_date date, {grains}, unit_table string, unit_id string"
    return any_frame.sparkSession.createDataFrame([], f"{names}, {measures}")
