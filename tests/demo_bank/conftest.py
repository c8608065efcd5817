from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.demo_bank import DemoBank
from jobs.settings import settings


@pytest.fixture(scope="session")
def small_bank() -> DemoBank:
    """The smallest bank, shared by tests that only look at it."""
    return DemoBank(seed=1, scale="XS")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own for the bank's PGP key, which senders encrypt for."""
    monkeypatch.setenv("LEDGERLAKE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LEDGERLAKE_PGP_KEY_FILE", raising=False)
    settings.cache_clear()
    yield tmp_path / "home"
    settings.cache_clear()


# The PKDD'99 data set is not ours to ship.
BERKA = Path(os.environ.get("LEDGERLAKE_BERKA") or Path(__file__).resolve().parents[3] / "shared" / "data" / "berka")


@pytest.fixture(scope="session")
def berka_folder() -> Path:
    if not (BERKA / "account.asc").is_file():
        pytest.skip(f"the Berka data set is not in {BERKA}; name its folder in LEDGERLAKE_BERKA")
    return BERKA
