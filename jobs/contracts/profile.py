"""A bank's profile and its reference lists: `expectations/profiles/<name>.yaml`,
`expectations/reference/<name>.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from jobs.contracts.base import InBoth, Strict, clock_time


class Profile(Strict):
    """A bank: its zone, reporting currency, calendar and closing time."""

    profile: str
    title: InBoth
    zone: str
    currency: str
    calendar: str
    close_by: str = Field(
        "23:50", alias="closeBy", description="local time at which a day is processed with what is there"
    )
    close_by_day: int = Field(0, alias="closeByDay", ge=0, le=5)
    month_closes_after: int | None = Field(
        None,
        alias="monthClosesAfter",
        ge=1,
        le=60,
        description="days after its end in which a month is still adjusted; then its released days are told anew with approval only. Never closed when empty",
    )
    balance_floor: str = Field("100", alias="balanceFloor", description="active party: at least this total balance")
    environment: Literal["test", "production"] = Field(
        "test", description="`test` refuses feeds not marked synthetic or de-identified (rule CL-6)"
    )

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{value} is not a time zone such as Asia/Shanghai") from error
        return value

    @field_validator("close_by")
    @classmethod
    def _clock(cls, value: str) -> str:
        return clock_time(value)

    @field_validator("balance_floor")
    @classmethod
    def _amount(cls, value: str) -> str:
        try:
            Decimal(value)
        except InvalidOperation as error:
            raise ValueError(f"{value} is not an amount such as 100.00") from error
        return value

    def closes(self, day: date) -> date | None:
        """The date from whose beginning on the month of a day is closed; None where months never are."""
        if self.month_closes_after is None:
            return None
        first_of_next = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
        return first_of_next + timedelta(days=self.month_closes_after)

    def local(self, day: date, at: str, plus_days: int = 0) -> datetime:
        """The instant of a local time of day on a bank day."""
        return datetime.combine(day + timedelta(days=plus_days), time.fromisoformat(at), ZoneInfo(self.zone))

    def clock(self, at: datetime) -> str:
        """An instant as the bank's own clock shows it: `2026-09-15 22:00`."""
        return f"{at.astimezone(ZoneInfo(self.zone)):%Y-%m-%d %H:%M}"

    def today(self, at: datetime) -> date:
        return at.astimezone(ZoneInfo(self.zone)).date()


class Reference(Strict):
    """A list of values or a code map, versioned: `expectations/reference/<name>.yaml`."""

    reference: str
    version: str
    description: str
    values: list[Any] = Field(default_factory=list)
    map: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of(self) -> Reference:
        if bool(self.values) == bool(self.map):
            raise ValueError("a reference list has either values or a map")
        return self

    def with_codes(self, codes: Mapping[str, str | None]) -> Reference:
        """The same with further codes and their meanings; what stands here already stays."""
        if self.map:
            return self.model_copy(update={"map": {c: m for c, m in codes.items() if m is not None} | self.map})
        return self.model_copy(update={"values": [*self.values, *(c for c in codes if c not in self.values)]})

    def allowed(self) -> list[Any]:
        return list(self.values) or list(self.map)
