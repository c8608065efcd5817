"""The demo bank's own system: what its tables are told, once however often a day is played; and how it is fetched, shut and read again, from a real PostgreSQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
from psycopg import conninfo

from infra.local import demo_crm
from infra.local import postgres as server
from jobs.arrival.doorbell import waiting_count
from jobs.arrival.inbox import Several
from jobs.arrival.land import land
from jobs.arrival.slices import Slices, take_due
from jobs.contracts import load
from jobs.demo_bank import DemoBank, crm
from jobs.demo_bank.faults.tables import LATE, TIE
from jobs.ledger import Ledger, batches, clock, deliveries, slices
from jobs.settings import Settings

ONE_DAY = timedelta(days=1)
NOON = datetime(2026, 9, 15, 4, tzinfo=UTC)


# --- what is told ---------------------------------------------------------------------------------------------------------


def test_the_same_seed_tells_the_same_and_another_seed_others(small_bank: DemoBank) -> None:
    day = small_bank.first_live_day
    again, other = DemoBank(seed=1, scale="XS"), DemoBank(seed=2, scale="XS")
    assert again.at_the_office(day) == small_bank.at_the_office(day) != other.at_the_office(day)


def test_a_complaint_is_told_once_and_resolved_once_at_its_time(small_bank: DemoBank) -> None:
    people, first = small_bank.people, small_bank.first
    days = [first + n * ONE_DAY for n in range(20)]
    told = {day: [c for c in crm.changes(people, day) if c.feed == crm.COMPLAINTS] for day in days}
    received = Counter(c.values[0] for day in days for c in told[day] if c.statement.startswith("insert"))
    resolved = {c.values[1]: (day, c.values[0]) for day in days for c in told[day] if c.statement.startswith("update")}
    assert set(received.values()) == {1} and len(received) == 20 * small_bank.scale.complaints
    true = {c.complaint_id: c for day in days for c in crm.complaints(people, day)}
    assert resolved == {
        c.complaint_id: (c.resolved_at.date(), c.resolved_at)
        for c in true.values()
        if not c.is_withdrawn and c.resolved_at.date() <= days[-1]
    }
    assert all(c.received_at < c.resolved_at for c in true.values())


def test_all_of_a_contact_is_in_the_contract(small_bank: DemoBank) -> None:
    catalog = load("demo")
    channels = set(map(str, catalog.references["core_channels"].allowed()))
    contacts = crm.contacts(small_bank.people, small_bank.first_live_day)
    assert {c.channel for c in contacts} <= channels
    assert set(crm.RESPONSES) == set(catalog.bronze(crm.CONTACTS).columns["response"].enum or ())
    assert set(crm.CATEGORIES) == set(catalog.bronze(crm.COMPLAINTS).columns["category"].enum or ())


# --- how it is fetched ----------------------------------------------------------------------------------------------------


class Fetching:
    """The system, and a bank that fetches from it. Its clock goes on by an hour with each look."""

    def __init__(self, address: str, ledger: Ledger, sender: DemoBank):
        catalog = load("demo")
        self.catalog = replace(catalog, profile=catalog.profile.model_copy(update={"profile": ledger.profile}))
        self.ledger, self.sender, self.office = ledger, sender, crm.Office(address)
        self.day, self.at = sender.first_live_day, NOON

    def look(self) -> int:
        self.at += timedelta(hours=1)
        with self.ledger.begin() as db:
            clock.set_now(db, self.at)
        return take_due(self.catalog, self.ledger)

    def came(self) -> dict[str, list[dict[str, Any]]]:
        """Feed -> rows of the slices that waited."""
        landed = land(self.catalog, self.ledger, Several(Slices(self.catalog, self.ledger)), "run", settle_seconds=0.0)  # type: ignore[arg-type]
        assert {one.state for one in landed} <= {"verified"}, [one.reason for one in landed]
        rows: dict[str, list[dict[str, Any]]] = {}
        with self.ledger.begin() as db:
            for one in landed:
                uri = deliveries.get(db, one.delivery_id).rows_uri
                rows.setdefault(one.feed, []).extend(pq.read_table(uri).to_pylist())
        return rows

    def fetched(self) -> dict[str, list[dict[str, Any]]]:
        self.look()
        return self.came()

    def ends(self, feed: str) -> list[str]:
        with self.ledger.begin() as db:
            return list(slices.ends(db, feed).values())

    def alerts(self) -> list[str]:
        with self.ledger.begin() as db:
            return [a.alert_key for a in batches.alerts(db)]


@pytest.fixture
def own(postgres: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of the system in the tests' server, made as `ledgerlake up` makes it."""
    demo_crm.create(postgres)
    address = demo_crm.own_address(postgres)
    monkeypatch.setenv(demo_crm.VARIABLE, address)
    yield address
    with psycopg.connect(address, autocommit=True) as db:
        db.execute("select pg_drop_replication_slot(%s)", (crm.SLOT,))
    with server.connect(postgres) as db:
        db.execute("drop database demo_crm with (force)")


@pytest.fixture
def fetching(own: str, new_ledger: Callable[[], Ledger], small_bank: DemoBank) -> Fetching:
    return Fetching(own, new_ledger(), small_bank)


def rows_in(address: str, table: str) -> int:
    with psycopg.connect(address) as db:
        found = db.execute(f"select count(*) from crm.{table}").fetchone()  # type: ignore[arg-type]
    assert found is not None
    return int(found[0])


def test_it_is_made_once_and_opened_where_somebody_left_it_shut(own: str, postgres: Settings) -> None:
    office = crm.Office(own)
    office.happens(crm.changes(DemoBank(seed=1, scale="XS").people, date(2026, 9, 1)))
    before = rows_in(own, crm.CONTACTS)
    with server.connect(postgres) as db:
        db.execute("alter database demo_crm with allow_connections false")  # whoever shut it died
    with pytest.raises(crm.OfficeShut, match=r"not currently accepting connections.*`ledgerlake up`"):
        office.happens([])
    demo_crm.create(postgres)
    assert rows_in(own, crm.CONTACTS) == before
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(conninfo.make_conninfo(own, dbname="ledgerlake"))  # nor is the ledger open to it


def test_a_slice_that_was_taken_rings_until_it_was_landed(fetching: Fetching) -> None:
    """The doorbell of `landing` sees it at its next look: it does not wait for the next hour."""
    inbox = Several(Slices(fetching.catalog, fetching.ledger, now=iter(range(0, 100, 10)).__next__))  # type: ignore[arg-type]
    fetching.office.happens(crm.changes(fetching.sender.people, fetching.day))
    assert waiting_count(fetching.catalog, inbox) == 0
    assert (fetching.look(), waiting_count(fetching.catalog, inbox)) == (2, 2)
    assert set(fetching.came()) == {crm.COMPLAINTS, crm.CONTACTS}
    assert waiting_count(fetching.catalog, inbox) == 0


def test_a_day_that_is_played_twice_is_written_once(fetching: Fetching, own: str) -> None:
    fetching.office.happens(fetching.sender.office_history())
    _, changes = fetching.sender.at_the_office(fetching.day)
    assert set(fetching.office.happens(changes)) == {crm.COMPLAINTS, crm.CONTACTS}
    days = fetching.sender.scale.history_days + 1
    tables = {feed: rows_in(own, feed) for feed in (crm.COMPLAINTS, crm.CONTACTS)}
    assert tables == {crm.COMPLAINTS: 4 * days, crm.CONTACTS: 20 * days}
    first = fetching.fetched()
    assert len({r["complaint_id"] for r in first[crm.COMPLAINTS]}) == 4 * days
    assert len(first[crm.CONTACTS]) == 20 * days
    assert fetching.office.happens([*fetching.sender.office_history(), *changes]) == {}  # no row of either
    assert fetching.fetched() == {}


def test_while_nobody_gets_in_nothing_moves_and_afterwards_all_is_there_once(fetching: Fetching) -> None:
    """F76."""
    fetching.office.happens(crm.changes(fetching.sender.people, fetching.day - ONE_DAY))
    fetching.fetched()
    before = [fetching.ends(feed) for feed in (crm.COMPLAINTS, crm.CONTACTS)]
    _, changes = fetching.sender.at_the_office(fetching.day, ["F76"])
    with fetching.office.unreachable(changes) as written:
        assert (fetching.look(), fetching.came()) == (0, {})
    assert sorted(fetching.alerts()) == [f"source_down|{f}|2026-09-15" for f in (crm.CONTACTS, crm.COMPLAINTS)]
    assert [fetching.ends(feed) for feed in (crm.COMPLAINTS, crm.CONTACTS)] == before
    came = fetching.fetched()
    new = [r["complaint_id"] for r in came[crm.COMPLAINTS] if r["op"] == "I"]
    assert sorted(new) == [crm.complaint_id(fetching.day, n) for n in range(4)]
    assert Counter(r["contact_id"] for r in came[crm.CONTACTS] if r["contact_id"].startswith("K260915")).total() == 20
    assert all(crm.is_past(feed, *fetching.ends(feed), position) for feed, position in written.items())
    assert not any(crm.is_past(feed, *ends, written[feed]) for feed, ends in zip(written, before, strict=True))


def test_a_row_that_is_taken_out_is_told(fetching: Fetching, own: str) -> None:
    """F77."""
    fetching.office.happens(crm.changes(fetching.sender.people, fetching.day - ONE_DAY))
    fetching.fetched()
    _, changes = fetching.sender.at_the_office(fetching.day, ["F77"])
    fetching.office.happens(changes)
    told = [r["complaint_id"] for r in fetching.fetched()[crm.COMPLAINTS] if r["op"] == "D"]
    assert told == [crm.complaint_id(fetching.day - ONE_DAY, 0)]
    fetching.office.happens(changes)  # the day is played again
    assert fetching.fetched() == {}
    assert rows_in(own, crm.COMPLAINTS) == 4 + 4 - 1


def test_rows_of_one_moment_that_are_written_after_it_was_looked_at_are_not_lost(fetching: Fetching) -> None:
    """F78."""
    before, changes = fetching.sender.at_the_office(fetching.day, ["F78"])
    fetching.office.happens(before)
    first = fetching.fetched()[crm.CONTACTS]
    assert len(first) == TIE - LATE
    fetching.office.happens(changes)
    second = [r for r in fetching.fetched()[crm.CONTACTS] if r["contact_id"].startswith("T")]
    assert len({r["contact_id"] for r in second}) == len(second) == TIE
    assert len({r["changed_at"] for r in first + second}) == 1
