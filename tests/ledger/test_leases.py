"""One writer at a time, and a writer that lost its lease finds out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from jobs.ledger import Ledger, leases
from jobs.ledger.models import Lease


def acquire(ledger: Ledger, holder: str) -> int | None:
    with ledger.begin() as db:
        return leases.acquire(db, "writer", holder, 60)


def check(ledger: Ledger, holder: str, token: int | None) -> None:
    assert token is not None
    with ledger.begin() as db:
        leases.check(db, "writer", holder, token)


def expires(ledger: Ledger) -> None:
    """As if the holder had died a while ago."""
    with ledger.begin() as db:
        db.execute(update(Lease).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))


def test_while_one_holds_it_no_other_gets_it(ledger: Ledger) -> None:
    token = acquire(ledger, "a")
    assert acquire(ledger, "b") is None
    check(ledger, "a", token)


def test_the_holder_renews_it_under_the_same_token(ledger: Ledger) -> None:
    token = acquire(ledger, "a")
    with ledger.begin() as db:
        db.execute(update(Lease).values(expires_at=datetime.now(UTC) + timedelta(seconds=1)))
    assert acquire(ledger, "a") == token
    with ledger.begin() as db:
        left = db.execute(Lease.__table__.select()).one().expires_at - datetime.now(UTC)
    assert left > timedelta(seconds=50)


def test_after_expiry_another_takes_over_and_the_first_is_fenced_off(ledger: Ledger) -> None:
    first = acquire(ledger, "a")
    expires(ledger)
    second = acquire(ledger, "b")
    assert second is not None
    assert second > (first or 0)
    with pytest.raises(leases.LeaseLost, match=r"a no longer holds the lease writer \(now: b\)"):
        check(ledger, "a", first)
    check(ledger, "b", second)


def test_a_holder_that_comes_back_after_a_successor_has_an_old_token(ledger: Ledger) -> None:
    first = acquire(ledger, "a")
    expires(ledger)
    acquire(ledger, "b")
    with ledger.begin() as db:
        leases.release(db, "writer", "b")
    assert acquire(ledger, "a") != first
    with pytest.raises(leases.LeaseLost):
        check(ledger, "a", first)


def test_given_back_it_is_free_at_once_and_the_next_token_is_higher(ledger: Ledger) -> None:
    first = acquire(ledger, "a")
    with ledger.begin() as db:
        leases.release(db, "writer", "a")
    with pytest.raises(leases.LeaseLost):
        check(ledger, "a", first)
    second = acquire(ledger, "b")
    assert second is not None
    assert second > (first or 0)


def test_only_the_holder_gives_it_back(ledger: Ledger) -> None:
    token = acquire(ledger, "a")
    with ledger.begin() as db:
        leases.release(db, "writer", "b")
    check(ledger, "a", token)


def test_two_that_ask_at_once_one_gets_it(ledger: Ledger, both: Callable[..., list[Any]]) -> None:
    tokens = both(lambda: acquire(ledger, "a"), lambda: acquire(ledger, "b"))
    assert sorted(tokens, key=str) == [1, None]


def test_a_lease_that_nobody_ever_had_is_not_held(ledger: Ledger) -> None:
    with pytest.raises(leases.LeaseLost, match="now: nobody"), ledger.begin() as db:
        leases.check(db, "server", "a", 1)
