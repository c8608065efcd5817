"""The writer's lease: one run of a business day at a time may write silver and gold."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from jobs.ledger import leases

if TYPE_CHECKING:
    from jobs.bank import Bank

WRITER = "writer"
# Longer than any single table takes; a run that died is waited for at most this long.
SECONDS = 120


class WriterBusy(Exception):
    """Another run of a business day is writing; this one goes on when it has ended or its lease ran out."""


def hold_writer(bank: Bank, run: Any, wait: float = 0) -> int:
    """Take or renew the lease for a run; its fencing token. Raises WriterBusy when another run still holds it after `wait` seconds."""
    give_up = time.monotonic() + wait
    while True:
        with bank.ledger.begin() as db:
            token = leases.acquire(db, WRITER, run.key, SECONDS)
        if token is not None:
            return token
        if time.monotonic() >= give_up:
            raise WriterBusy(
                f"Run {run.key} waits: another business day is being written. It goes on by itself when that run ends."
            )
        time.sleep(0.5)


def give_back(bank: Bank, run_key: str) -> None:
    with bank.ledger.begin() as db:
        leases.release(db, WRITER, run_key)
