"""The command on a tiny bank whose ledger the tests fill."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from jobs import bank as banks
from jobs import cli
from jobs.commands import output
from jobs.contracts import load
from jobs.ledger import connect
from jobs.settings import settings
from tests.contracts.house import build
from tests.ledger.conftest import DAY, TinyBank, running
from tests.postgres import emptied

__all__ = ["running"]


@dataclass(frozen=True)
class Said:
    """What a command said, and the exit status that it gave."""

    status: int
    out: str
    err: str


@contextmanager
def bank_of(profile: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyBank]:
    """The bank that the command speaks of, with an empty ledger; it is the morning of its first live day."""
    monkeypatch.setenv("LEDGERLAKE_PROFILE", profile)
    caches = (settings, banks.open_bank, connect)
    for cached in caches:
        cached.cache_clear()
    made = TinyBank(emptied(connect(profile)), load(profile))
    made.clock(DAY, "08:00")
    try:
        yield made
    finally:
        made.ledger.engine.dispose()
        for cached in caches:
            cached.cache_clear()


@pytest.fixture
def bank(installation: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyBank]:
    """The tiny bank."""
    monkeypatch.setenv("LEDGERLAKE_EXPECTATIONS", str(build(installation / "expectations")))
    with bank_of("tiny", monkeypatch) as made:
        with made.ledger.begin() as db:
            db.execute(text("drop schema if exists tiny_mart, tiny_bi cascade"))  # it knows releases by their number
        yield made


@pytest.fixture
def ledgerlake(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs the command as a shell would, on a terminal of so many columns."""

    def run(*words: str, width: int = 140) -> Said:
        monkeypatch.setattr(sys, "argv", ["ledgerlake", *words])
        for console in (output.console, output.errors):
            monkeypatch.setattr(console, "_width", width)
        capsys.readouterr()
        try:
            cli.main()
            status: object = 0
        except SystemExit as ended:
            status = ended.code or 0
        told = capsys.readouterr()
        assert isinstance(status, int)
        return Said(status, told.out, told.err)

    return run
