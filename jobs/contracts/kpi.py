"""A KPI's definition, `expectations/kpis/<id>.yaml`: numerators and denominators over a declared base."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import Field, model_validator

from jobs.contracts.model import Strict


class Measure(Strict):
    """SQL over one row of the base. The value is SUM(numerator) / SUM(denominator); a count has denominator null.

    A non-additive measure counts parties: its base has one row a party, so that the sums are distinct counts.
    """

    numerator: str
    denominator: str | None = None


class Target(Strict):
    value: float
    valid_from: date | None = Field(None, alias="validFrom")


class Kpi(Strict):
    id: str
    name: str
    title: dict[Literal["en", "zh"], str]
    definition: dict[Literal["en", "zh"], str]
    version: str
    effective_from: date = Field(alias="effectiveFrom")
    base: str = Field(description="a base declared in jobs/kpi/bases.py")
    periods: list[Literal["day", "mtd", "month"]]
    grains: list[list[str]] = Field(
        default_factory=lambda: list[list[str]]([[]]), description="sets of base columns; [] is the total"
    )
    measures: dict[str, Measure]
    headline: str = Field(description="the measure a report shows first")
    unit: Literal["ratio", "count", "amount"] = "ratio"
    additivity: Literal["A", "S", "N"]
    direction: Literal["higher", "lower", "band", "neutral"]
    guards: list[str] = Field(default_factory=list)
    target: Target | None = None
    feeds: list[str] = Field(description="feeds whose coverage stands behind the value")
    owner: str
    tags: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _has_headline(self) -> Kpi:
        if self.headline not in self.measures:
            raise ValueError(f"the headline {self.headline} is none of the measures {', '.join(self.measures)}")
        return self

    def as_row(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)
