"""When a feed of a source is owed, and how long a stream may be silent."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, field_validator, model_validator

from jobs.contracts.base import Strict, clock_time


class Schedule(Strict):
    """When a lane is owed. Times are the bank's local time; `day: 1` means on the day after the business date."""

    calendar: str = "every_day"
    cut_off: str = Field("17:30", alias="cutOff")
    due: str = "22:00"
    day: int = Field(0, ge=0, le=5)
    working_day: int | None = Field(
        None,
        alias="workingDay",
        ge=1,
        le=20,
        description="owed once a month: on so manieth working day of it by the calendar",
    )
    batches: int = Field(
        1, ge=1, le=99, description="files a day, numbered from 1 on; the lane is here when all of these numbers are"
    )
    entities: list[str] = Field(
        default_factory=list, description="who owes it, where head office is not the one that sends it"
    )
    required: bool = Field(True, description="a business day waits for it (streams never hold a day open)")
    owed: bool | None = Field(
        None,
        description="people are told when it is not here by its due time; as `required` says, when nothing is said",
    )
    quiet_for: str | None = Field(
        None,
        alias="quietFor",
        pattern=r"^[1-9]\d{0,2}[mhd]$",
        description="streams: how long nothing may come before people are told, in minutes (m), hours (h) or days (d): 30m, 1h",
    )
    active_hours: str | None = Field(
        None,
        alias="activeHours",
        description='streams: the hours in which silence counts, local time, on the days of the calendar: "08:00-22:00"; always, when nothing is said',
    )

    @field_validator("cut_off", "due")
    @classmethod
    def _clock(cls, value: str) -> str:
        return clock_time(value)

    @field_validator("active_hours")
    @classmethod
    def _from_until(cls, value: str | None) -> str | None:
        begins, _, ends = (value or "00:00-23:59").partition("-")
        if clock_time(begins) >= clock_time(ends):
            raise ValueError(f'{value} are no hours of one day, such as "08:00-22:00"')
        return value

    @property
    def silence(self) -> timedelta | None:
        """How long a stream may be silent; None where nobody asks."""
        units = {"m": "minutes", "h": "hours", "d": "days"}
        return timedelta(**{units[self.quiet_for[-1]]: int(self.quiet_for[:-1])}) if self.quiet_for else None

    @property
    def hours(self) -> tuple[str, str] | None:
        """The first and the last minute in which silence counts, HH:mm; None where it always does."""
        begins, _, ends = (self.active_hours or "").partition("-")
        return (begins, ends) if ends else None

    @model_validator(mode="after")
    def _can_be_kept(self) -> Schedule:
        if self.active_hours and not self.quiet_for:
            raise ValueError(
                "activeHours are those in which silence counts: say with quietFor how long it may be, such as 1h"
            )
        if self.required and self.owed is False:
            raise ValueError("a business day waits for what is required, so somebody owes it: take out owed: false")
        if self.day == 0 and self.due < self.cut_off:
            raise ValueError(
                f"due {self.due} is before the cut-off {self.cut_off}: of the day after the business date write day: 1"
            )
        if self.required and self.working_day is not None:
            raise ValueError("what comes once a month holds no business day open: write required: false")
        return self

    @property
    def is_owed(self) -> bool:
        return self.required if self.owed is None else self.owed
