from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.demo_bank import DemoBank


@pytest.fixture(scope="session")
def small_bank() -> DemoBank:
    """The smallest bank, shared by tests that only look at it."""
    return DemoBank(seed=1, scale="XS")


@pytest.fixture(scope="session")
def berka_folder() -> Path:
    """The folder of the PKDD'99 data set. It is not ours to ship."""
    told = os.environ.get("LEDGERLAKE_BERKA")
    folder = Path(told) if told else Path(__file__).resolve().parents[3] / "shared" / "data" / "berka"
    if not (folder / "account.asc").is_file():
        pytest.skip(f"the Berka data set is not in {folder}; name its folder in LEDGERLAKE_BERKA")
    return folder
