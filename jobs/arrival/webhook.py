"""What partners post: is it from them, small enough, an event, and not yet here? Kept sealed, it waits for its slice like a topic's records.

A request is signed: `X-Signature: sha256=<HMAC-SHA256 of the body, in hexadecimal>` under the secret that both know. A partner that had no answer posts again: the same event twice
is once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import date
from typing import Any, NamedTuple

from jobs.arrival.forbidden import ForbiddenColumn, check_names
from jobs.arrival.formats.json_lines import DEEPEST, is_deep
from jobs.arrival.pulls import SourceDown, address
from jobs.contracts.catalog import Catalog
from jobs.contracts.model import Table
from jobs.contracts.pulls import Webhook
from jobs.contracts.source import Source
from jobs.ledger import Ledger, batches, clock, posted
from jobs.privacy.free_text import masked
from jobs.privacy.keys import Keys
from jobs.privacy.seal import seal_bytes

LONGEST_ID = 200


class Answer(NamedTuple):
    """HTTP status, and what the partner is told."""

    status: int
    told: str


def limit(catalog: Catalog, feed: str) -> int | None:
    """The most bytes that a request to this feed may have; None where there is no such feed."""
    source = catalog.sources.get(feed)
    return source.pull.most_bytes if source and isinstance(source.pull, Webhook) else None


def receive(catalog: Catalog, ledger: Ledger, keys: Keys, feed: str, body: bytes, signature: str | None) -> Answer:
    """202 kept, now or before; 401 not signed by the partner, 404 no such feed, 409 the id belongs to another event, 413 too large, 422 no event, or one that must not
    be stored, 503 not ready. Only 202 means that the event is safe.
    """
    source = catalog.sources.get(feed)
    if source is None or not isinstance(source.pull, Webhook):
        return Answer(404, f"no feed {feed} is posted here")
    if len(body) > source.pull.most_bytes:
        return Answer(413, f"more than {source.pull.most_bytes} bytes")
    try:
        secret = address(source.pull.connection)
    except SourceDown:
        return Answer(503, "not ready: post again later")
    expected = hmac.digest(secret.encode(), body, "sha256").hex()
    if not hmac.compare_digest((signature or "").removeprefix("sha256=").lower().encode(), expected.encode()):
        return Answer(401, "the signature is not that of the body under our secret: X-Signature: sha256=<hexadecimal>")
    try:
        event_id = _event_id(body, source.pull.event_id)
    except ForbiddenColumn as forbidden:
        _incident(ledger, source, forbidden)
        return Answer(422, "it holds a key that must never be stored; nothing was kept")
    except ValueError as error:
        return Answer(422, str(error))
    digest = hashlib.sha256(body).hexdigest()
    with ledger.begin() as db:
        # The id may say who somebody is: only a keyed form of it is kept.
        number, stands = posted.keep(db, feed, keys.party_id(feed, event_id), digest, seal_bytes(body, keys))
        if stands != digest:
            named = _shown(event_id, catalog.bronze(feed), source.pull.event_id, catalog.profile.today(clock.now(db)))
            message = (
                f"{feed}: the event {named or f'number {number}'} was posted again under its id with other content, which was refused; the first one stands. Ask the partner which is right: "
                f"another event needs an id of its own. `ledgerlake alerts close` when that is settled. Owner: {source.owner}."
            )
            batches.alert(db, f"event_id_reused|{feed}|{number}", "event_id_reused", message)
            return Answer(409, "another event was posted under this id")
    return Answer(202, "kept")


def _shown(event_id: str, table: Table, key: str, as_of: date) -> str | None:
    """The id as people are told it, identifiers in it masked; None where the contract says that it names a person."""
    column = next((c for name, c in table.columns.items() if (c.source or name) == key), None)
    return None if column and (column.identifies or column.free_text) else masked(event_id, as_of)


def _event_id(body: bytes, key: str) -> str:
    """Raises ValueError with what is wrong, ForbiddenColumn for a key that must not be stored."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from error
    if is_deep(text):
        raise ValueError(f"nested more than {DEEPEST} levels deep")
    try:
        event = json.loads(text, object_pairs_hook=_once_each)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error}") from error
    if not isinstance(event, dict):
        raise ValueError("not a JSON object")
    found = event.get(key)
    if not isinstance(found, str | int) or isinstance(found, bool) or not 0 < len(str(found)) <= LONGEST_ID:
        raise ValueError(f"no {key}, a text of at most {LONGEST_ID} characters")
    if not str(found).isprintable():
        raise ValueError(f"{key} holds what is no character")
    return str(found)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    check_names(names, "a posted event")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"the key {twice[0][:LONGEST_ID]!r} stands twice in one object")
    return dict(pairs)


def _incident(ledger: Ledger, source: Source, forbidden: ForbiddenColumn) -> None:
    with ledger.begin() as db:
        day = clock.now(db).date()
        batches.alert(
            db,
            f"c3_column|{source.feed}|{day}",
            "incident",
            f"{source.feed}: {forbidden.reason} Owner: {source.owner}.",
        )
