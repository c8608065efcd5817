"""What partners post, over real HTTP: signed, small enough, each event once; then a delivery like any other."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
import uvicorn
from sqlalchemy import text

from infra.airflow import webhooks
from jobs.arrival.inbox import Several
from jobs.arrival.slices import Slices, take_due
from jobs.contracts.source import Source
from jobs.ledger import batches, clock, posted
from tests.arrival.conftest import PLAIN, Bank, bronze

SECRET = "what both know"
COLUMNS = {
    "event_id": ["string!", PLAIN],
    "phone": ["string", {"classification": "C2/3", "identifies": "phone"}],
    "amount": ["decimal(18,2)", PLAIN],
}


class Partner:
    """Posts to the bank's endpoint, a real HTTP server."""

    def __init__(self, bank: Bank, url: str):
        self.bank, self.url, self.client = bank, url, httpx.Client(timeout=20)

    def post(
        self, event: Any, *, feed: str = "calls", signature: str | None = None, secret: str = SECRET
    ) -> httpx.Response:
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        signed = signature or "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return self.client.post(
            f"{self.url}/webhooks/{self.bank.ledger.profile}/{feed}", content=body, headers={"X-Signature": signed}
        )

    def fetched(self) -> list[list[str]]:
        take_due(self.bank.catalog, self.bank.ledger)
        return [[r["event_id"] for r in self.bank.rows(one)] for one in self.bank.land() if one.state == "verified"]

    def alerts(self) -> list[str]:
        with self.bank.ledger.begin() as db:
            return [a.message for a in batches.alerts(db)]


@pytest.fixture
def partner(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Iterator[Partner]:
    source = Source.model_validate(
        {
            "feed": "calls",
            "description": "d",
            "system": "par",
            "owner": "open banking",
            "sender": "stream",
            "kind": "events",
            "synthetic": True,
            "pull": {"kind": "webhook", "connection": "partner", "eventId": "event_id", "mostBytes": 2000},
        }
    )
    tables = {**bank.catalog.tables, "bronze.calls": bronze("calls", ["event_id"], COLUMNS)}
    catalog = replace(bank.catalog, tables=tables, sources={**bank.catalog.sources, "calls": source})
    monkeypatch.setenv("LEDGERLAKE_SOURCE_PARTNER", SECRET)
    monkeypatch.setattr(webhooks, "load", lambda profile: catalog)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(webhooks.app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    inbox = Several(bank.inbox, Slices(catalog, bank.ledger))
    yield Partner(replace(bank, catalog=catalog, inbox=inbox), f"http://127.0.0.1:{port}")  # type: ignore[arg-type]
    server.should_exit = True
    thread.join(timeout=10)


def test_an_event_that_is_posted_becomes_a_row(partner: Partner) -> None:
    assert partner.post({"event_id": "e1", "phone": "13800138000", "amount": 12.5}).status_code == 202
    take_due(partner.bank.catalog, partner.bank.ledger)
    [landed] = partner.bank.land()
    [row] = partner.bank.rows(landed)
    assert (row["event_id"], row["amount"]) == ("e1", "12.5")
    assert row["phone_token"] and "phone" not in row


def test_the_same_event_again_is_once_whenever_it_comes(partner: Partner) -> None:
    event = {"event_id": "e1", "amount": 1}
    assert [partner.post(event).status_code for _ in range(3)] == [202, 202, 202]
    assert partner.fetched() == [["e1"]]
    assert partner.post(event).status_code == 202  # its answer was lost: it is safe, long since
    assert partner.fetched() == []


def test_an_id_that_is_used_for_another_event_is_refused_and_said(partner: Partner) -> None:
    """F48."""
    partner.post({"event_id": "e1", "amount": 1})
    answer = partner.post({"event_id": "e1", "amount": 2})
    assert (answer.status_code, answer.text) == (409, "another event was posted under this id\n")
    assert "calls: the event e1 was posted again under its id with other content" in partner.alerts()[0]
    assert partner.fetched() == [["e1"]]


@pytest.mark.parametrize("signature", ["sha256=" + "0" * 64, "sha256=", "nonsense"])
def test_what_the_partner_did_not_sign_is_not_looked_at(partner: Partner, signature: str) -> None:
    assert partner.post({"event_id": "e1"}, signature=signature).status_code == 401
    assert partner.post({"event_id": "e1"}, secret="another").status_code == 401
    assert partner.fetched() == []


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"no json", 422, "no JSON"),
        (b"[1]", 422, "not a JSON object"),
        (b'{"id":1}', 422, "no event_id"),
        (b'{"event_id":""}', 422, "no event_id"),
        (b'{"event_id":null}', 422, "no event_id"),
        (b"[" * 1900, 422, "nested more than 64 levels deep"),
        (b'{"event_id":"e1","x":' + b"[" * 70 + b"]" * 70 + b"}", 422, "nested more than 64 levels deep"),
        (b'{"event_id":"e1","a":1,"a":2}', 422, "the key 'a' stands twice"),
        (b'{"event_id":"e1","card":{"cvv2":"123"},"card":1}', 422, "must never be stored"),
        ('{"event_id":"e1"}'.encode("utf-16"), 422, "not UTF-8 at byte"),
        (b'{"event_id":"a\\u0000b"}', 422, "what is no character"),
        (b'{"event_id":"e1","x":"' + b"x" * 2000 + b'"}', 413, "more than 2000 bytes"),
        (b'{"event_id":"e1","card":{"cvv2":"123"}}', 422, "must never be stored"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_event_is_refused_with_a_reason(partner: Partner, body: bytes, status: int, told: str) -> None:
    answer = partner.post(body)
    assert (answer.status_code, told in answer.text) == (status, True), answer.text
    assert partner.fetched() == []
    assert ("c3_column" in told or "never be stored" in told) == bool(partner.alerts())


def test_the_id_of_an_event_stands_nowhere_in_the_clear(partner: Partner) -> None:
    for amount in (1, 2):
        partner.post({"event_id": "13800138000", "amount": amount})
    with partner.bank.ledger.begin() as db:
        kept = [tuple(row) for row in db.execute(text("select feed, event_key, digest from posted_events"))]
    assert len(kept) == 1 and "13800138000" not in str(kept) + str(partner.alerts())
    assert "the event <phone> was posted again" in partner.alerts()[0]


def test_what_was_posted_is_emptied_when_it_was_kept_long_enough(partner: Partner) -> None:
    partner.post({"event_id": "e1"})
    with partner.bank.ledger.begin() as db:
        later = clock.now(db) + timedelta(days=31)
        assert posted.forget(db, later) == 0  # not yet in a slice
    assert partner.fetched() == [["e1"]]
    with partner.bank.ledger.begin() as db:
        assert (posted.forget(db, later), posted.forget(db, later)) == (1, 0)
    assert partner.post({"event_id": "e1"}).status_code == 202
    assert partner.fetched() == []


def test_feeds_and_secrets_that_are_not_there(partner: Partner, monkeypatch: pytest.MonkeyPatch) -> None:
    assert partner.post({"event_id": "e1"}, feed="movements").status_code == 404
    assert partner.post({"event_id": "e1"}, feed="nothing").status_code == 404
    monkeypatch.delenv("LEDGERLAKE_SOURCE_PARTNER")
    assert partner.post({"event_id": "e1"}).status_code == 503


def test_a_secret_that_is_not_set_is_told_until_it_is_and_what_was_kept_is_taken_all_the_same(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert partner.post({"event_id": "e1"}).status_code == 202
    monkeypatch.delenv("LEDGERLAKE_SOURCE_PARTNER")
    assert partner.post({"event_id": "e2"}).status_code == 503
    assert partner.fetched() == [["e1"]]
    assert partner.fetched() == []
    [told] = partner.alerts()
    assert told.startswith("calls: what partners post is turned away (503)")
    assert "Set LEDGERLAKE_SOURCE_PARTNER for the services and start them again" in told
    monkeypatch.setenv("LEDGERLAKE_SOURCE_PARTNER", SECRET)
    assert partner.post({"event_id": "e2"}).status_code == 202
    assert partner.fetched() == [["e2"]]
    assert partner.fetched() == []
    assert partner.alerts() == []


def test_many_at_once_are_all_there_once_and_no_slice_passes_one_over(partner: Partner) -> None:
    found: list[str] = []
    with ThreadPoolExecutor(8) as pool:
        posting = [pool.submit(partner.post, {"event_id": f"e{n % 120}"}) for n in range(160)]
        while not all(one.done() for one in posting):
            found += [i for one in partner.fetched() for i in one]
    assert {one.result().status_code for one in posting} == {202}
    found += [i for one in partner.fetched() for i in one]
    assert sorted(found) == sorted(f"e{n}" for n in range(120))


def test_a_body_that_is_too_long_is_not_read_to_its_end(partner: Partner, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: Any) -> None:
        raise AssertionError("it was taken whole")

    monkeypatch.setattr("jobs.arrival.webhook.receive", read)
    assert partner.post(b"x" * 100_000).status_code == 413


def test_airflow_serves_it() -> None:
    from airflow.plugins_manager import AirflowPlugin

    from infra.airflow.plugins.ledgerlake import Ledgerlake

    assert issubclass(Ledgerlake, AirflowPlugin)
    [served] = Ledgerlake.fastapi_apps
    assert served["url_prefix"] == "/ledgerlake"
    assert webhooks.app in [getattr(route, "app", None) for route in served["app"].routes]
