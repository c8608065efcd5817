"""One bank at hand: its contracts, its ledger, its lake."""

from __future__ import annotations

from dataclasses import dataclass, replace
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


def as_decided(bank: Bank) -> Bank:
    """The bank with the codes that were given a meaning at the quarantine bench, beside those of its reference lists."""
    from jobs.ledger import fixes

    with bank.ledger.begin() as db:
        codes = fixes.codes(db)
    return replace(bank, catalog=bank.catalog.with_codes(codes)) if codes else bank


@cache
def open_bank(profile: str) -> Bank:
    """Reads the contracts; connects to nothing yet."""
    return Bank(profile, load(profile), connect(profile), Lake(settings().bank(profile) / "lake"))


def current_bank(profile: str) -> Bank:
    """The same by the contracts as their files are now: for a process that outlives a change of them (the pages' server)."""
    return replace(open_bank(profile), catalog=load(profile))
