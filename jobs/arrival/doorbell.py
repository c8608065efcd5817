"""Does something wait? Asked often, by the doorbell's trigger: no parser, no database, no Spark is loaded."""

from __future__ import annotations

from datetime import UTC, datetime

from jobs.arrival.errors import Refused
from jobs.arrival.inbox import Arrived, Inbox, InboxUnavailable, Signal
from jobs.arrival.naming import lane_of
from jobs.contracts.catalog import Catalog

# Seconds without a change after which a file counts as completely written. Only asked where nothing else tells:
# a file that no source knows, and one that ends too early or does not have the signalled hash.
SETTLE_SECONDS = 20.0


def waiting_count(catalog: Catalog, inbox: Inbox, settle_seconds: float = SETTLE_SECONDS) -> int:
    """Files that `land` would take up now: their signal is there, or their source needs none. None of an inbox that does not answer: roll-call says it."""
    try:
        there = inbox.look()
    except InboxUnavailable:
        return 0
    return sum(is_ready(catalog, arrived, settle_seconds) for arrived in there)


def is_ready(catalog: Catalog, arrived: Arrived, settle_seconds: float = SETTLE_SECONDS) -> bool:
    try:
        source = lane_of(catalog, arrived.path).source
    except Refused:
        return has_settled(arrived, settle_seconds)
    if source.files.signal == "none":
        return True
    if arrived.shares_its_signal:  # it stays for others: which bytes it speaks of must not change any more
        return arrived.announced_size == arrived.size or has_settled(arrived, settle_seconds)
    # One that says nothing may have been made this moment, and be written in the next.
    return arrived.signal is not None and (
        bool(arrived.signal.text.strip()) or has_settled(arrived.signal, settle_seconds)
    )


def has_settled(arrived: Arrived | Signal, settle_seconds: float) -> bool:
    """Real time, never the bank's: it is about a file being written on a disk."""
    return arrived.changed_at is None or (datetime.now(UTC) - arrived.changed_at).total_seconds() >= settle_seconds
