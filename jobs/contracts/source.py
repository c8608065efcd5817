"""A source: who sends a feed, when it is owed, and how its files are read.
`expectations/sources/<profile>/<feed>.yaml`."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from jobs.contracts.model import Strict, clock_time


class Schedule(Strict):
    """When a lane is owed. Times are the bank's local time; `day: 1` means on the day after the business date."""

    calendar: str = "every_day"
    cut_off: str = Field("17:30", alias="cutOff")
    due: str = "22:00"
    day: int = Field(0, ge=0, le=5)
    required: bool = Field(True, description="a business day waits for it (streams never hold a day open)")

    @field_validator("cut_off", "due")
    @classmethod
    def _clock(cls, value: str) -> str:
        return clock_time(value)


class Files(Strict):
    """Names of the files. Placeholders: {entity}, {date} (YYYYMMDD, the business date), {seq} (batch number),
    {version}."""

    pattern: str
    signal: Literal["ok", "none"] = Field("ok", description="`ok`: read only what a `.ok` file announces")

    def regex(self) -> re.Pattern[str]:
        """File name -> entity, date, seq (the last two are digits)."""
        groups = {"entity": r"(?P<entity>[A-Za-z0-9]+)", "date": r"(?P<date>\d{8})", "seq": r"(?P<seq>\d{1,6})"}
        parts = re.split(r"\{(\w+)\}", self.pattern)
        return re.compile("".join(groups[p] if i % 2 else re.escape(p) for i, p in enumerate(parts)))

    def name(self, *, entity: str, business_date: date, seq: int) -> str:
        return self.pattern.format(entity=entity, date=f"{business_date:%Y%m%d}", seq=seq)

    @field_validator("pattern")
    @classmethod
    def _placeholders(cls, value: str) -> str:
        found = set(re.findall(r"\{(\w+)\}", value))
        if not {"date"} <= found or found - {"entity", "date", "seq"}:
            raise ValueError(f"pattern {value} needs {{date}} and may have {{entity}} and {{seq}}")
        return value


class Record(Strict):
    """A header or trailer line: its tag and the fields after it, by position.

    Known fields are checked: `system`, `entity`, `business_date` against the file's name; `record_count`,
    `amount_sum` against the body."""

    tag: str
    fields: list[str]


class Delimited(Strict):
    kind: Literal["delimited"]
    encoding: str = "utf-8"
    separator: str = ","
    quote: str | None = None
    compression: Literal["gzip"] | None = None
    header: Record | None = None
    trailer: Record | None = None
    column_line: bool = Field(False, alias="columnLine", description="the first line names the columns")


class FixedWidth(Strict):
    """Widths stand in the bronze contract (`width`), in bytes of the original encoding."""

    kind: Literal["fixed_width"]
    encoding: str = "utf-8"
    compression: Literal["gzip"] | None = None
    header: Record | None = None
    trailer: Record | None = None
    record_separator: str = Field("|", alias="recordSeparator", description="separator inside header and trailer lines")


class JsonLines(Strict):
    kind: Literal["json_lines"]
    encoding: str = "utf-8"
    compression: Literal["gzip"] | None = None


class ParquetFile(Strict):
    kind: Literal["parquet"]


Format = Annotated[Delimited | FixedWidth | JsonLines | ParquetFile, Field(discriminator="kind")]


class Source(Strict):
    """Who sends a feed, when, and how."""

    feed: str
    description: str
    system: str = Field(description="the source system's short name; first part of natural keys")
    owner: str
    legal_entity: str = Field("bank", alias="legalEntity")
    sender: Literal["branch", "head_office", "stream", "configuration"] = Field(
        description="who owes a lane a day: each branch, head office, nobody (a stream), or a change of configuration"
    )
    kind: Literal["increment", "changed", "snapshot", "events"]
    schedule: Schedule = Field(default_factory=Schedule)
    files: Files
    format: Format
    control: dict[Literal["sum"], str] = Field(default_factory=dict, description="column whose sum the trailer states")
    synthetic: bool = Field(False, description="the data are invented or de-identified")

    def conforms_to_name(self, file_name: str) -> dict[str, Any] | None:
        match = self.files.regex().fullmatch(file_name)
        return match.groupdict() if match else None
