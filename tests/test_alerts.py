"""Alerts are told to people once, on every channel, by real servers; what cannot be sent is tried again."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from jobs import alerts
from jobs.ledger import Ledger, batches
from jobs.settings import settings


class Chat:
    """A webhook that remembers what was posted; it may be out of order."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.status = 200
        chat = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if chat.status == 200:
                    chat.posted.append(json.loads(body))
                self.send_response(chat.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Post:
    """A mail server that speaks as much SMTP as it takes to receive a message."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        post = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 here\r\n")
                while line := self.rfile.readline():
                    if line.upper().startswith(b"DATA"):
                        self.wfile.write(b"354 go on\r\n")
                        content = b""
                        while (part := self.rfile.readline()) != b".\r\n":
                            content += part
                        post.mails.append(message_from_bytes(content, policy=policy.default))  # type: ignore[arg-type]
                    self.wfile.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 ok\r\n")

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def channels(installation: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Chat, Post]]:
    chat, post = Chat(), Post()
    monkeypatch.setenv("LEDGERLAKE_ALERT_WEBHOOK", f"http://127.0.0.1:{chat.server.server_port}/hook")
    monkeypatch.setenv("LEDGERLAKE_ALERT_EMAIL", "ops@bank.example, night@bank.example")
    monkeypatch.setenv("LEDGERLAKE_SMTP", f"smtp://127.0.0.1:{post.server.server_address[1]}")
    settings.cache_clear()
    yield chat, post
    for one in (chat.server, post.server):
        one.shutdown()
        one.server_close()


def raised(ledger: Ledger, *messages: str) -> None:
    with ledger.begin() as db:
        for message in messages:
            batches.alert(db, message, "missing", message)


def test_what_is_new_goes_as_one_message_and_once(
    channels: tuple[Chat, Post], new_ledger: Callable[[], Ledger]
) -> None:
    chat, post = channels
    ledger = new_ledger()
    raised(ledger, "b03 has not come", "总行 refused")
    assert alerts.send(ledger) == {"webhook": 2, "email": 2}
    assert alerts.send(ledger) == {}
    [posted] = chat.posted
    assert posted["text"] == f"{ledger.profile}: 2 alerts\nalert 1: b03 has not come\nalert 2: 总行 refused"
    assert [a["number"] for a in posted["alerts"]] == [1, 2]
    [mail] = post.mails
    assert (mail["Subject"], mail["To"]) == (f"{ledger.profile}: 2 alerts", "ops@bank.example, night@bank.example")
    assert "总行 refused" in mail.get_content()
    raised(ledger, "one more")
    assert alerts.send(ledger) == {"webhook": 1, "email": 1}
    assert chat.posted[-1]["text"] == f"{ledger.profile}: alert 3: one more"


def test_a_long_message_is_told_whole_below_a_short_subject(
    channels: tuple[Chat, Post], new_ledger: Callable[[], Ledger]
) -> None:
    chat, post = channels
    ledger = new_ledger()
    long = (
        "core_accounts of b04 for 2026-09-16 was refused: line 7\nhas one field too many"
        + ", and more" * 20
        + ". Owner: branch operations."
    )
    raised(ledger, long)
    assert alerts.send(ledger) == {"webhook": 1, "email": 1}
    assert chat.posted[0]["text"] == f"{ledger.profile}: alert 1: {long}"
    [mail] = post.mails
    assert mail.get_content().splitlines() == f"{ledger.profile}: alert 1: {long}".splitlines(), (
        "whose it is stands at its end"
    )
    assert len(mail["Subject"]) == 120 and mail["Subject"].endswith("...") and "line 7 has one" in mail["Subject"]


def test_a_channel_that_is_down_is_tried_again_and_holds_no_other_up(
    channels: tuple[Chat, Post], new_ledger: Callable[[], Ledger]
) -> None:
    chat, post = channels
    ledger = new_ledger()
    raised(ledger, "b03 has not come")
    chat.status = 503
    assert alerts.send(ledger) == {"email": 1}
    chat.status = 200
    assert alerts.send(ledger) == {"webhook": 1}
    assert (len(chat.posted), len(post.mails)) == (1, 1)


def test_nobody_is_told_of_what_is_closed_or_was_only_noted(
    channels: tuple[Chat, Post], new_ledger: Callable[[], Ledger]
) -> None:
    ledger = new_ledger()
    with ledger.begin() as db:
        batches.first_time(db, "ring|payments|7")
    assert alerts.send(ledger) == {}


def test_a_bad_morning_is_one_message_of_some_length(
    channels: tuple[Chat, Post], new_ledger: Callable[[], Ledger]
) -> None:
    chat, _ = channels
    ledger = new_ledger()
    raised(ledger, *(f"alert {n:03d}" for n in range(70)))
    alerts.send(ledger)
    lines = chat.posted[0]["text"].splitlines()
    assert (len(lines), lines[-1]) == (52, "and 20 more: `ledgerlake alerts`")
    assert len(chat.posted[0]["alerts"]) == 70


def test_without_channels_nothing_is_sent_and_nothing_fails(new_ledger: Callable[[], Ledger]) -> None:
    ledger = new_ledger()
    raised(ledger, "b03 has not come")
    assert alerts.send(ledger) == {}
