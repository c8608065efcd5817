"""One bank at hand: its contracts, its ledger, its lake."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jobs.contracts import Catalog, load
from jobs.lake import Lake
from jobs.ledger import Ledger, connect
from jobs.settings import settings


@dataclass(frozen=True)
class Bank:
    profile: str
    catalog: Catalog
    ledger: Ledger
    lake: Lake

    @property
    def home(self) -> Path:
        return settings().bank(self.profile)

    @property
    def reports(self) -> Path:
        return self.home / "reports"

    @property
    def docs(self) -> Path:
        return self.home / "data_docs"


@cache
def open_bank(profile: str) -> Bank:
    """Reads the contracts; connects to nothing yet."""
    return Bank(profile, load(profile), connect(profile), Lake(settings().bank(profile) / "lake"))
