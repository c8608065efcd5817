"""A mistake in a contract: where it stands and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong in one file. `line` counts from 1."""

    file: Path
    line: int
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.found}. {self.remedy}"


class ContractError(Exception):
    """One or more mistakes; nothing was loaded."""

    def __init__(self, mistakes: list[Mistake]):
        self.mistakes = mistakes
        super().__init__("\n".join(str(m) for m in mistakes))
