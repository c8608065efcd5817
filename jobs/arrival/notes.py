"""The note of a delivery: what somebody should know of the file though nothing is wrong with it, as one text in its history, and those texts added up again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

BETWEEN = "; "
HELD_BACK = "columns the contract does not have were held back"
TIMES = re.compile(r"(.*): ([1-9]\d*)", re.DOTALL)


@dataclass(frozen=True)
class Noted:
    """One thing that deliveries of a feed were noted for: how often in all, in how many of them, on which business dates first and last."""

    feed: str
    what: str
    count: int
    deliveries: int
    first_day: date
    last_day: date


def times(what: str, number: int) -> str:
    """A thing that was found so many times."""
    return f"{what}: {number}" if number > 1 else what


def as_note(parts: Sequence[str]) -> str | None:
    """One text; None where there is nothing to be said. A name that the sender chose cannot part it."""
    return BETWEEN.join(part.replace(BETWEEN, ", ") for part in parts) or None


def counted(note: str) -> Counter[str]:
    """What a note says -> how often."""
    found: Counter[str] = Counter()
    for part in note.split(BETWEEN):
        said = None if part.startswith(HELD_BACK) else TIMES.fullmatch(part)
        found[said[1] if said else part] += int(said[2]) if said else 1
    return found


def added_up(noted: Iterable[Any]) -> list[Noted]:
    """`noted`: feed, business_date and note of each delivery. The most frequent first."""
    found: dict[tuple[str, str], list[tuple[int, date]]] = {}
    for row in noted:
        for what, count in counted(row.note).items():
            found.setdefault((row.feed, what), []).append((count, row.business_date))
    every = [
        Noted(feed, what, sum(n for n, _ in of), len(of), min(day for _, day in of), max(day for _, day in of))
        for (feed, what), of in found.items()
    ]
    return sorted(every, key=lambda one: (-one.count, one.feed, one.what))
