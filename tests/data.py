"""Data that lie beside the project and are not ours to ship: tests that use them skip where they are absent."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_data(folder: str) -> Path:
    """The folder of one data set. Skips the test where it is not."""
    if not (SHARED / folder).is_dir():
        pytest.skip(f"the data set {folder} is not beside the project")
    return SHARED / folder
