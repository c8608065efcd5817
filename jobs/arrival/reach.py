"""What of an inbox can be seen, read and emptied: people are told once where that fails, and once that it is over."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import structlog
from sqlalchemy import Connection

from jobs.arrival.inbox import Unremovable
from jobs.ledger import batches, deliveries

log = structlog.get_logger()
# Kinds of alerts. The key of the first and the last is the kind, the place and when it was told, that of the others the kind and the delivery,
# and the how-manieth time it is told, parted by `|`.
INBOX_UNAVAILABLE, NOT_READ, NOT_REMOVED = "inbox_unavailable", "not_read", "not_removed"
NOT_ACKNOWLEDGED = "not_acknowledged"
TOLD_AT = re.compile(r"\|\d{4}-\d\d-\d\d(\|\d\d)?$")


def say_unreachable(db: Connection, unreachable: Mapping[str, str]) -> None:
    """Tell of each place (place -> message) that the look just now could not see, unless people know; end the alerts of those that it saw. Why a place cannot be seen may be told
    otherwise at each look: that is the same outage. A second one is told again, within an hour once.
    """
    known = {TOLD_AT.sub("", key.partition("|")[2]): key for key in _open(db, INBOX_UNAVAILABLE)}
    for where, message in unreachable.items():
        log.warning(INBOX_UNAVAILABLE, reason=message)
        if where not in known:
            batches.alert_anew(db, f"{INBOX_UNAVAILABLE}|{where}", INBOX_UNAVAILABLE, message)
    for where, key in known.items():
        if not any(where == away or where.startswith(f"{away}/") for away in unreachable):
            batches.end_alert(db, key, f"The inbox {where} can be read again.")


def say_not_acknowledged(db: Connection, failed: Mapping[str, str]) -> None:
    """Tell of each inbox (place -> message) whose notifications could not be taken away just now, unless people know; end the alerts of the others."""
    known = {TOLD_AT.sub("", key.partition("|")[2]): key for key in _open(db, NOT_ACKNOWLEDGED)}
    for where, why in failed.items():
        log.warning(NOT_ACKNOWLEDGED, reason=why)
        if where not in known:
            message = f"Files are taken in, but the notifications of the inbox {where} cannot be taken from its queue, and ring again: {why} The queue asks for sqs:DeleteMessage."
            batches.alert_anew(db, f"{NOT_ACKNOWLEDGED}|{where}", NOT_ACKNOWLEDGED, message)
    for where, key in known.items():
        if where not in failed:
            batches.end_alert(db, key, f"The notifications of the inbox {where} can be taken away again.")


def say_not_read(db: Connection, delivery_id: str, message: str) -> None:
    batches.alert_again(db, f"{NOT_READ}|{delivery_id}", NOT_READ, message)


def say_not_removed(db: Connection, delivery_id: str, stays: Unremovable) -> None:
    log.warning(NOT_REMOVED, delivery=delivery_id, reason=str(stays))
    batches.alert_again(db, f"{NOT_REMOVED}|{delivery_id}", NOT_REMOVED, str(stays))


def end_settled(db: Connection, lying_there: Collection[str] | None) -> None:
    """End the alerts of files that could not be read or taken away, and now are. `lying_there`: uri of each file in the inbox; None where not all of it could be seen."""
    for key in _open(db, NOT_READ):
        delivery = deliveries.get(db, key.split("|")[1])
        if delivery.state != "arriving":
            end = "left the inbox before it was read" if delivery.cause == "vanished" else "was read"
            batches.end_alert(db, key, f"The file {delivery.uri} ({delivery.delivery_id}) {end}.")
    for key in _open(db, NOT_REMOVED) if lying_there is not None else ():
        delivery = deliveries.get(db, key.split("|")[1])
        if delivery.uri not in (lying_there or ()):
            batches.end_alert(db, key, f"The file {delivery.uri} ({delivery.delivery_id}) is no longer in the inbox.")


def _open(db: Connection, kind: str) -> list[str]:
    return [alert.alert_key for alert in batches.alerts(db, kind=kind)]
