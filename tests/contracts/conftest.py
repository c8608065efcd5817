"""The tiny bank's `expectations/`, a folder of its own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.house import build


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return build(tmp_path)
