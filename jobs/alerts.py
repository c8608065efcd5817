"""Alerts go to people: posted to a chat's webhook, mailed. Each is told once on each channel; what cannot be sent is tried again with the next roll-call.

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
from sqlalchemy import Row

from jobs.ledger import Ledger, batches
from jobs.settings import settings

log = structlog.get_logger()
WAIT = 10.0  # seconds for an answer
MOST_LINES = 50  # of one message; how many more there are is said


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
            batches.note_sent(db, channel, [alert.alert_key for alert in new])
        told[channel] = len(new)
    return told


def _channels() -> Iterator[tuple[str, Callable[[str, Sequence[Row[Any]]], None]]]:
    own = settings()
    if own.alert_webhook:
        yield "webhook", _post
    if own.alert_email and own.smtp:
        yield "email", _mail


def _post(bank: str, alerts: Sequence[Row[Any]]) -> None:
    listed = [
        {"key": a.alert_key, "kind": a.kind, "message": a.message, "raised_at": a.raised_at.isoformat()} for a in alerts
    ]
    content = {"text": _text(bank, alerts), "bank": bank, "alerts": listed}
    request = urllib.request.Request(
        str(settings().alert_webhook),
        json.dumps(content, ensure_ascii=False).encode(),
        {"Content-Type": "application/json; charset=utf-8"},
    )
    with urllib.request.urlopen(request, timeout=WAIT):
        pass


def _mail(bank: str, alerts: Sequence[Row[Any]]) -> None:
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


def _title(bank: str, alerts: Sequence[Row[Any]]) -> str:
    return f"{bank}: {alerts[0].message}"[:120] if len(alerts) == 1 else f"{bank}: {len(alerts)} alerts"


def _text(bank: str, alerts: Sequence[Row[Any]]) -> str:
    lines = [f"{a.message}" for a in alerts[:MOST_LINES]]
    more = len(alerts) - len(lines)
    return "\n".join(
        [
            _title(bank, alerts),
            *(lines if len(alerts) > 1 else ()),
            *([f"and {more} more: `ledgerlake lanes`"] if more else ()),
        ]
    )
