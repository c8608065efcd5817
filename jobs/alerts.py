"""Alerts go to people: posted to a chat's webhook, mailed, shown in Airflow. Each is told once on each channel, and its end once to those who were told;
what cannot be sent is tried again with the next roll-call.

All that is new goes as one message, so that a bad morning is one ring and not thirty.
"""

from __future__ import annotations

import json
import smtplib
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog

from jobs.ledger import Ledger, batches
from jobs.ledger.batches import News
from jobs.settings import settings

log = structlog.get_logger()
WAIT = 10.0  # seconds for an answer
MOST_LINES = 50  # of one message; how many more there are is said
LONGEST_TITLE = 120  # characters of a mail's subject


def send(ledger: Ledger) -> dict[str, int]:
    """Channel -> alerts told there. A channel that does not answer is logged, and holds nobody up."""
    told: dict[str, int] = {}
    for channel, tell in _channels():
        with ledger.begin() as db:
            new = batches.unsent(db, channel)
        if not new:
            continue
        try:
            tell(ledger.profile, new)
        except (OSError, smtplib.SMTPException) as error:
            log.warning(
                "alerts_not_sent",
                channel=channel,
                alerts=len(new),
                reason=str(error),
                remedy="It is tried again with the next roll-call.",
            )
            continue
        with ledger.begin() as db:
            batches.note_sent(db, channel, new)
        told[channel] = len(new)
    return told


def for_airflow(ledger: Ledger) -> list[dict[str, Any]]:
    """What Airflow was not told of yet; it is told now. The events of an asset carry it (dags/roll_call.py)."""
    with ledger.begin() as db:
        new = batches.unsent(db, "airflow")
        batches.note_sent(db, "airflow", new)
    return [_listed(one) for one in new]


def _listed(one: News) -> dict[str, Any]:
    return {
        "number": one.number, "key": one.alert_key, "kind": one.kind, "message": one.message, "at": one.at.isoformat(),
        "is_end": one.is_end,
    }  # fmt: skip


def _channels() -> Iterator[tuple[str, Callable[[str, Sequence[News]], None]]]:
    own = settings()
    if own.alert_webhook:
        yield "webhook", _post
    if own.alert_email and own.smtp:
        yield "email", _mail


def _post(bank: str, alerts: Sequence[News]) -> None:
    content = {"text": _text(bank, alerts), "bank": bank, "alerts": [_listed(one) for one in alerts]}
    request = urllib.request.Request(
        str(settings().alert_webhook),
        json.dumps(content, ensure_ascii=False).encode(),
        {"Content-Type": "application/json; charset=utf-8"},
    )
    with urllib.request.urlopen(request, timeout=WAIT):
        pass


def _mail(bank: str, alerts: Sequence[News]) -> None:
    own = settings()
    message = EmailMessage()
    message["Subject"] = _title(bank, alerts)
    message["From"], message["To"] = own.alert_sender, str(own.alert_email)
    message.set_content(_text(bank, alerts) + "\n")
    server = urlsplit(str(own.smtp))
    opened = smtplib.SMTP_SSL if server.scheme == "smtps" else smtplib.SMTP
    with opened(server.hostname or "", server.port or 0, timeout=WAIT) as smtp:
        if server.username:
            smtp.login(unquote(server.username), unquote(server.password or ""))
        smtp.send_message(message)


def _title(bank: str, alerts: Sequence[News]) -> str:
    """One line, and not longer than a subject is read: what it cuts off stands in the text."""
    if len(alerts) > 1:
        return f"{bank}: {len(alerts)} alerts"
    told = " ".join(f"{bank}: {alerts[0].message}".split())
    return told if len(told) <= LONGEST_TITLE else f"{told[: LONGEST_TITLE - 3]}..."


def _text(bank: str, alerts: Sequence[News]) -> str:
    """All that is new, each message whole, with the number by which `ledgerlake alerts` knows it."""
    if len(alerts) == 1:
        return f"{bank}: {_numbered(alerts[0])}"
    lines = [_title(bank, alerts), *(_numbered(one) for one in alerts[:MOST_LINES])]
    more = len(alerts) - MOST_LINES
    return "\n".join([*lines, *([f"and {more} more: `ledgerlake alerts`"] if more > 0 else ())])


def _numbered(one: News) -> str:
    return f"alert {one.number}: {one.message}"
