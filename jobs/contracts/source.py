"""A source: who sends a feed, when it is owed, and how its files are read.
`expectations/sources/<profile>/<feed>.yaml`."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, model_validator

from jobs.contracts.base import Strict
from jobs.contracts.errors import Wrong
from jobs.contracts.files import Files
from jobs.contracts.formats import Format
from jobs.contracts.pulls import Pull
from jobs.contracts.schedule import Schedule


class Control(Strict):
    """Columns that are compared: with what the trailer or the signal states, and with what the file's name says."""

    sum: str | None = Field(None, description="column whose sum the trailer or the signal states")
    entity: str | None = Field(
        None,
        description="column in which each row says the entity of the file's name; of a branch's files `branch_id` where the contract has it",
    )
    business_date: str | None = Field(
        None,
        alias="businessDate",
        description="date column in which each row says the date of the file's name; of files that somebody owes `business_date` where the contract has it",
    )


class Source(Strict):
    """Who sends a feed, when, and how. A source that is pulled (`pull`) needs neither `files` nor `format`."""

    feed: str
    description: str
    system: str = Field(description="the source system's short name; first part of natural keys")
    owner: str
    legal_entity: str = Field("bank", alias="legalEntity")
    sender: Literal["branch", "head_office", "stream", "configuration"] = Field(
        description="who owes a lane a day: each branch, head office, nobody (a stream), or a change of configuration"
    )
    kind: Literal["increment", "changed", "snapshot", "events", "correction"] = Field(
        description="new rows; changed rows; all rows; events; or single rows that take the place of those of another feed (`corrects` of the contract)"
    )
    schedule: Schedule = Field(default_factory=Schedule)
    files: Files
    format: Format
    pull: Pull | None = Field(None, description="where it is fetched from, when nobody sends it")
    control: Control = Field(default_factory=Control)
    synthetic: bool = Field(False, description="the data are invented or de-identified")

    @model_validator(mode="after")
    def _somebody_owes(self) -> Source:
        wrong: list[tuple[tuple[str | int, ...], str, str]] = []
        if self.sender in ("stream", "configuration") and self.schedule.owed:
            wrong.append((("schedule", "owed"), f"a {self.sender} is owed by nobody", "Take out owed"))
        if self.schedule.entities and self.sender != "head_office":
            found = f"entities name who sends a feed in the place of head office, and the sender is {self.sender}"
            wrong.append((("schedule", "entities"), found, "Take them out, or write sender: head_office"))
        if self.schedule.quiet_for and self.sender != "stream":
            found = f"quietFor is for streams, which nobody owes, and the sender is {self.sender}"
            wrong.append(
                (
                    ("schedule", "quietFor"),
                    found,
                    "Take it out: people are told of what is owed and not here by its `due`",
                )
            )
        if wrong:
            raise Wrong(wrong)
        return self

    @model_validator(mode="before")
    @classmethod
    def _slices_are_json_lines(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("pull") is None:
            return data
        if "files" in data or "format" in data:
            raise ValueError("a source that is pulled says neither files nor format: its slices are JSON lines")
        if not re.fullmatch("[A-Za-z0-9]+", str(data.get("system"))):
            raise ValueError(
                "the system of a source that is pulled is part of its slices' names: letters and digits only"
            )
        return data | {
            "files": {"pattern": f"{data.get('feed')}_{{entity}}_{{date}}_{{seq}}.jsonl", "signal": "none"},
            "format": {"kind": "json_lines"},
        }

    def conforms_to_name(self, file_name: str) -> dict[str, Any] | None:
        match = self.files.regex().fullmatch(file_name)
        return match.groupdict() if match else None
