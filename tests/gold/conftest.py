from __future__ import annotations

import pytest

from tests.tables import Tables


@pytest.fixture
def run(spark):
    """`run(address, text)`: the rows that a table's transform makes of a text table."""
    return Tables(spark).run
