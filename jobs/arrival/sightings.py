"""What lies in the inbox and cannot be taken: a signal whose file is not there (the sender was too fast), a file that no signal announced.

Roll-call looks, so that the board can say it; neither is read before it is whole (C1, C2).
"""

from __future__ import annotations

from typing import Any

from jobs.arrival.errors import Refused
from jobs.arrival.inbox import Arrived, Inbox
from jobs.arrival.naming import lane_of
from jobs.contracts.catalog import Catalog
from jobs.ledger.sightings import FILE_WITHOUT_SIGNAL, SIGNAL_WITHOUT_FILE


def sightings(catalog: Catalog, inbox: Inbox, waiting: list[Arrived] | None = None) -> list[dict[str, Any]]:
    """One for each such file of a lane that its name tells. `waiting`: what the inbox was just seen to hold; None: look. Raises InboxUnavailable."""
    waiting = inbox.look() if waiting is None else waiting
    unannounced = [a.path for a in waiting if a.signal is None]
    found = [_sighting(catalog, path, FILE_WITHOUT_SIGNAL) for path in unannounced]
    found += [_sighting(catalog, path, SIGNAL_WITHOUT_FILE) for path in inbox.signals_alone]
    return [one for one in found if one is not None]


def _sighting(catalog: Catalog, path: str, kind: str) -> dict[str, Any] | None:
    """None for what is read without a signal, and for what no source knows: landing refuses that."""
    try:
        lane = lane_of(catalog, path)
    except Refused:
        return None
    if lane.source.files.signal == "none":
        return None
    return {
        "path": path, "kind": kind, "feed": lane.feed, "entity": lane.entity, "business_date": lane.business_date,
    }  # fmt: skip
