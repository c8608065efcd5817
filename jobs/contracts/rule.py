"""A rule of a contract: one promise about rows or the whole table, and what becomes of them when it is broken."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, model_validator

from jobs.contracts.base import NAME, Strict
from jobs.contracts.expectations import BETWEEN, BOUNDS, KNOWN, ON_FAIL, REQUIRED, ROW, UNIQUE, USUAL, allowed
from jobs.contracts.java_regex import unreadable


class Rule(Strict):
    """One promise. `expectation` and `kwargs` are Great Expectations' own."""

    id: str
    on_fail: str = Field(alias="onFail")
    expectation: str
    kwargs: dict[str, Any]
    description: str = ""
    alert: bool = Field(False, description="people are told at once when it is broken")

    @model_validator(mode="before")
    @classmethod
    def _one_expectation(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "expectation" in data:
            return data
        names = [k for k in data if k.startswith("expect_")]
        if len(names) != 1:
            raise ValueError("a rule has exactly one expect_... key")
        rest = {k: v for k, v in data.items() if k != names[0]}
        return {**rest, "expectation": names[0], "kwargs": {} if data[names[0]] is None else data[names[0]]}

    @model_validator(mode="after")
    def _allowed(self) -> Rule:
        if self.expectation not in KNOWN:
            raise ValueError(f"unknown expectation {self.expectation}; known: {', '.join(sorted(KNOWN))}")
        if self.on_fail not in ON_FAIL:
            raise ValueError(f"onFail {self.on_fail} is not one of {', '.join(sorted(ON_FAIL))}")
        if self.on_fail == "quarantine" and not self.judges_rows:
            raise ValueError(
                f"{self.expectation} speaks of the whole table and cannot quarantine rows; use hold, stop or warn"
            )
        if not NAME.match(self.id):
            raise ValueError(f"rule id {self.id} is not snake_case")
        self._check_kwargs()
        return self

    def _check_kwargs(self) -> None:
        """A misspelt or missing kwarg would leave the rule blind."""
        given = set(self.kwargs)
        for unknown in sorted(given - allowed(self.expectation)):
            raise ValueError(
                f"{self.expectation} takes no {unknown}; it takes {', '.join(sorted(allowed(self.expectation)))}"
            )
        for missing in sorted(REQUIRED[self.expectation] - given):
            raise ValueError(f"{self.expectation} needs {missing}")
        if self.expectation in BETWEEN and all(self.kwargs.get(bound) is None for bound in BOUNDS):
            raise ValueError(f"{self.expectation} needs min_value or max_value: without a bound it checks nothing")
        if self.expectation == "expect_table_row_count_to_be_between":
            for bound in sorted(BOUNDS):
                told = self.kwargs.get(bound)
                if isinstance(told, str) and not re.fullmatch(USUAL, told):
                    raise ValueError(
                        f"{bound} {told!r} is neither a number nor a share of what is usual; write it as 0.5 * usual_rows"
                    )
        if "regex" in self.kwargs:
            self._check_regex(self.kwargs["regex"])
        if self.on_fail == "quarantine" and "mostly" in self.kwargs:
            raise ValueError(
                "mostly tolerates bad rows and quarantine takes each one out: use hold, stop or warn with mostly"
            )
        value_set = self.kwargs.get("value_set", [])
        if not isinstance(value_set, list) and not str(value_set).startswith("$"):
            raise ValueError(
                f"value_set {value_set} is neither a list of values nor the name of a reference list; "
                f"write ${value_set} or [{value_set}]"
            )

    def _check_regex(self, regex: Any) -> None:
        """One that Spark cannot read would end the run."""
        if not isinstance(regex, str):
            raise ValueError(f"regex {regex!r} is no text; put it into quotes")
        if why := unreadable(regex):
            raise ValueError(f"regex {regex} cannot be read at its character {why[0]}: {why[1]}")

    @property
    def reference(self) -> str | None:
        """The reference list that its values are told by, as it is written in a contract; None where they stand in the rule."""
        named = self.kwargs.get("value_set")
        return named[1:] if isinstance(named, str) and named.startswith("$") else None

    @property
    def judges_rows(self) -> bool:
        return self.expectation in ROW or self.expectation in UNIQUE

    @property
    def is_unique(self) -> bool:
        return self.expectation in UNIQUE

    @property
    def columns(self) -> list[str]:
        """The columns the rule reads, in the order its kwargs name them."""
        one = [self.kwargs[k] for k in ("column", "column_A", "column_B") if k in self.kwargs]
        return one or list(self.kwargs.get("column_list", []))
