"""A KPI's definition, `expectations/kpis/<id>.yaml`: numerators and denominators over a declared base."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Literal

from pydantic import Field, PrivateAttr, model_validator

from jobs.contracts.base import InBoth, Strict


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
    title: InBoth
    definition: InBoth
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
    tables: list[str] = Field(
        description="silver tables that stand behind the value: the coverage of their feeds is its own"
    )
    owner: str
    tags: list[str] = Field(default_factory=list)
    _feeds: list[str] = PrivateAttr(default_factory=list)

    @property
    def feeds(self) -> list[str]:
        """The bank's feeds that conform to the KPI's tables."""
        return self._feeds

    def of_feeds(self, feeds: Iterable[str]) -> Kpi:
        made = self.model_copy()
        made._feeds = sorted(feeds)
        return made

    @model_validator(mode="after")
    def _has_headline(self) -> Kpi:
        if self.headline not in self.measures:
            raise ValueError(f"the headline {self.headline} is none of the measures {', '.join(self.measures)}")
        return self
