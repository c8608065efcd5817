"""Named places between two steps where a process may die: each is a point from which a second run must go on.

A test names one or several (with commas) in `LEDGERLAKE_KILL_AT`; whatever process comes there first ends as by SIGKILL, once a place (a marker file beside
`LEDGERLAKE_KILL_MARKER` remembers that it fired).
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

SEAMS = (
    "after_claim",  # the delivery is claimed, no byte is read
    "after_rows",  # `rows` is written, the ledger does not know yet
    "after_bronze_write",  # Delta has the batch, the ledger does not know yet
    "before_live",  # the gate passed, the delivery is not live yet
    "after_table_write",  # a silver or gold table is written, its gate not judged
    "before_release",  # all gates passed, nothing is visible yet
    "after_release",  # released, the mart is not published
    "before_report",  # the mart is published, the report is not written
)


def seam(name: str) -> None:
    """Does nothing, unless a test asked the process to die here."""
    if name not in os.environ.get("LEDGERLAKE_KILL_AT", "").split(","):
        return
    fired = Path(f"{os.environ['LEDGERLAKE_KILL_MARKER']}.{name}")
    try:
        fired.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
