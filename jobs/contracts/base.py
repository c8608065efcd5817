"""What all contracts share: strict models, names, times of day, texts in both languages."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

NAME = re.compile(r"^[a-z][a-z0-9_]*$")
CLOCK = re.compile(r"^([01]\d|2[0-3]):[0-5]\d$")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def clock_time(value: str) -> str:
    """Raises ValueError unless it is a time of day."""
    if not CLOCK.match(value):
        raise ValueError(f"{value} is not a time of day such as 22:30")
    return value


def _in_both(texts: dict[str, str]) -> dict[str, str]:
    for missing in sorted({"en", "zh"} - set(texts)):
        raise ValueError(f"there is no text for {missing}; people read it in English (en) and in Chinese (zh)")
    return texts


# What people read: a text for each language of the reports.
InBoth = Annotated[dict[Literal["en", "zh"], str], AfterValidator(_in_both)]
