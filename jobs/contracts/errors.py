"""A mistake in a contract: where it stands and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong in one file. `line` counts from 1; 0 of a folder, or where no line says it."""

    file: Path
    line: int
    found: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else str(self.file)
        return f"{where}: {self.found}. {self.remedy}"


class ContractError(Exception):
    """One or more mistakes; nothing was loaded."""

    def __init__(self, mistakes: list[Mistake]):
        self.mistakes = mistakes
        super().__init__("\n".join(str(m) for m in mistakes))


class Wrong(ValueError):
    """Mistakes that a model finds in itself: (place within the model, what was found, remedy)."""

    def __init__(self, found: list[tuple[tuple[str | int, ...], str, str]]):
        self.found = found
        super().__init__("; ".join(f"{what}. {remedy}" for _, what, remedy in found))


def nearest(name: str, known: Iterable[str]) -> str:
    """A remedy for a misspelt name: one sentence."""
    near = get_close_matches(name, list(known), n=1)
    return f"Did you mean {near[0]}?" if near else "Correct the name or declare it."
