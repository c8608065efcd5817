"""The bank's system for customer relations: a PostgreSQL database of its own, from which the platform fetches.

Complaints come by change capture, deletions too; contacts of campaigns by a watermark that the database's own clock gives
(`expectations/sources/demo/complaints.yaml`, `campaign_contacts.yaml`). All that is written here is written once, however often a day is played.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from itertools import groupby
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from jobs.demo_bank.activity import CHANNEL_MIX, rng_of
from jobs.demo_bank.population import Population

COMPLAINTS, CONTACTS = "complaints", "campaign_contacts"
SLOT, PUBLICATION = "demo_complaints", "demo_crm"
CATEGORIES = ("service", "charges", "sales", "channels", "lending", "personal_data")
RESPONSES = ("interested", "declined", "no_answer")
# Days that a complaint may take, and those within which it is to be resolved; days after which a customer answers.
LONGEST, TERM, ANSWERS = 9, 7, (1, 2)
ONE_DAY = timedelta(days=1)
TABLES = (
    "create schema if not exists crm",
    "create table if not exists crm.complaints (complaint_id text primary key, customer_no text not null, branch_id text not null, category text not null, "
    "received_at timestamp not null, due_at timestamp not null, resolved_at timestamp, duplicate_of text, is_withdrawn boolean not null default false)",
    "alter table crm.complaints replica identity full",
    "create table if not exists crm.campaign_contacts (contact_id text primary key, campaign_id text not null, customer_no text not null, channel text not null, "
    "contacted_at timestamp not null, response text, changed_at timestamptz not null default clock_timestamp())",
)


class Change(NamedTuple):
    """One statement, and the table whose row it writes."""

    feed: str
    statement: str
    values: tuple[Any, ...]


class Complaint(NamedTuple):
    """Times are the bank's. `resolved_at` is when it will be resolved, if it is not withdrawn."""

    complaint_id: str
    customer_no: str
    branch_id: str
    category: str
    received_at: datetime
    due_at: datetime
    resolved_at: datetime
    duplicate_of: str | None
    is_withdrawn: bool


class Contact(NamedTuple):
    """A customer is told of a campaign; `response` is what comes of it on `answered_on`."""

    contact_id: str
    campaign_id: str
    customer_no: str
    channel: str
    contacted_at: datetime
    response: str
    answered_on: date


# --- what is true of a day ------------------------------------------------------------------------------------------------


def complaint_id(day: date, number: int) -> str:
    return f"C{day:%y%m%d}{number:04d}"


def complaints(people: Population, day: date) -> Sequence[Complaint]:
    """Those received on a day. Some are told a second time, and some are withdrawn."""
    rng = rng_of(people.seed, "complaints", day)
    made: list[Complaint] = []
    for number in range(people.scale.complaints):
        who = people.records[rng.randrange(people.base_records)]
        at = datetime.combine(day, time(8)) + timedelta(seconds=rng.randrange(30_000))
        takes = timedelta(days=rng.randrange(LONGEST + 1), seconds=rng.randrange(3_600, 6_000))
        again = made[-1].complaint_id if made and rng.random() < 0.1 else None
        category, is_withdrawn = rng.choice(CATEGORIES), rng.random() < 0.05
        made.append(
            Complaint(
                complaint_id(day, number), who.customer_no, who.branch_id, category, at, at + timedelta(days=TERM), at + takes, again, is_withdrawn
            )
        )  # fmt: skip
    return made


def contacts(people: Population, day: date) -> Sequence[Contact]:
    rng = rng_of(people.seed, "contacts", day)
    made = []
    for number in range(people.scale.contacts):
        who = people.records[rng.randrange(people.base_records)]
        channels, weights = CHANNEL_MIX[who.habit]
        at = datetime.combine(day, time(9)) + timedelta(seconds=rng.randrange(28_000))
        made.append(
            Contact(
                f"K{day:%y%m%d}{number:04d}", f"CP{rng.randrange(9):02d}", who.customer_no, rng.choices(channels, weights=weights)[0], at,
                rng.choice(RESPONSES), day + timedelta(days=rng.choice(ANSWERS)),
            )
        )  # fmt: skip
    return made


def changes(people: Population, day: date) -> list[Change]:
    """What the system's tables are told on a day: what is new, and what became of earlier rows."""
    since = [day - n * ONE_DAY for n in range(LONGEST + 1) if day - n * ONE_DAY >= people.first]
    resolved = [c for at in since for c in complaints(people, at) if c.resolved_at.date() == day and not c.is_withdrawn]
    answered = [c for at in since[: max(ANSWERS) + 1] for c in contacts(people, at) if c.answered_on == day]
    return [
        *map(_received, complaints(people, day)),
        *map(_resolved, resolved),
        *(contacted(c.contact_id, c.campaign_id, c.customer_no, c.channel, c.contacted_at) for c in contacts(people, day)),
        *map(_answered, answered),
    ]  # fmt: skip


def _received(c: Complaint) -> Change:
    statement = (
        "insert into crm.complaints (complaint_id, customer_no, branch_id, category, received_at, due_at, duplicate_of, is_withdrawn) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing"
    )
    return Change(COMPLAINTS, statement, (*c[:6], c.duplicate_of, c.is_withdrawn))


def _resolved(c: Complaint) -> Change:
    statement = "update crm.complaints set resolved_at = %s where complaint_id = %s and resolved_at is null"
    return Change(COMPLAINTS, statement, (c.resolved_at, c.complaint_id))


def deleted(complaint: str) -> Change:
    return Change(COMPLAINTS, "delete from crm.complaints where complaint_id = %s", (complaint,))


def contacted(
    contact_id: str, campaign_id: str, customer_no: str, channel: str, at: datetime, changed_at: str = "clock_timestamp()"
) -> Change:  # fmt: skip
    """`changed_at`: an SQL expression of the watermark."""
    statement = (
        "insert into crm.campaign_contacts (contact_id, campaign_id, customer_no, channel, contacted_at, changed_at) "
        f"values (%s, %s, %s, %s, %s, {changed_at}) on conflict do nothing"
    )
    return Change(CONTACTS, statement, (contact_id, campaign_id, customer_no, channel, at))


def _answered(c: Contact) -> Change:
    statement = "update crm.campaign_contacts set response = %s, changed_at = clock_timestamp() where contact_id = %s and response is null"
    return Change(CONTACTS, statement, (c.response, c.contact_id))


# --- the database ---------------------------------------------------------------------------------------------------------


def set_up(address: str) -> None:
    """Tables, publication and replication slot, as the owner of a source makes them; harmless when they are there."""
    with psycopg.connect(address, autocommit=True) as db:
        for statement in TABLES:
            db.execute(statement)
        if not db.execute("select 1 from pg_publication where pubname = %s", (PUBLICATION,)).fetchone():
            db.execute(sql.SQL("create publication {} for table crm.complaints").format(sql.Identifier(PUBLICATION)))
        if not db.execute("select 1 from pg_replication_slots where slot_name = %s", (SLOT,)).fetchone():
            db.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", (SLOT,))


class OfficeShut(RuntimeError):
    """The system cannot be written to. The message says why and what to do."""


class Office:
    """Those who work with the system: they write into its tables, and may shut it. What goes wrong raises OfficeShut."""

    def __init__(self, address: str):
        self._address = address

    def happens(self, changes: Iterable[Change]) -> dict[str, str]:
        """All of it in one transaction. Returns, by feed of which a row was written, a position that a slice must be past to hold it (see `is_past`)."""
        with self._inside() as db:
            return _write(db, changes)

    @contextmanager
    def unreachable(self, changes: Iterable[Change]) -> Iterator[dict[str, str]]:
        """Nobody else gets in, and whoever is in is sent out, while these changes are written."""
        with self._inside() as inside:
            name = inside.info.dbname
            self._let_in(name, False)
            try:
                others = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> %s"
                inside.execute(others, (name, inside.info.backend_pid))
                yield _write(inside, changes)
            finally:
                self._let_in(name, True)

    @contextmanager
    def _inside(self, **other: str) -> Iterator[psycopg.Connection[Any]]:
        try:
            with psycopg.connect(self._address, autocommit=True, connect_timeout=10, **other) as db:  # type: ignore[arg-type]
                yield db
        except psycopg.Error as error:
            raise OfficeShut(
                f"The demo bank's own system cannot be written to: {' '.join(str(error).split())}. Start the services (`ledgerlake up`), or correct LEDGERLAKE_SOURCE_DEMO_CRM."
            ) from error

    def _let_in(self, name: str, allowed: bool) -> None:
        with self._inside(dbname="postgres") as beside:
            statement = sql.SQL("alter database {} with allow_connections {}")
            beside.execute(statement.format(sql.Identifier(name), sql.Literal(allowed)))


def _write(db: psycopg.Connection[Any], changes: Iterable[Change]) -> dict[str, str]:
    """The positions are read before the commit: a look that comes in between sees nothing of it and ends before them."""
    written = set()
    with db.transaction():
        for (feed, statement), those in groupby(changes, key=lambda change: (change.feed, change.statement)):
            with db.cursor() as cursor:
                cursor.executemany(statement, [change.values for change in those])
                if cursor.rowcount:
                    written.add(feed)
        found = db.execute("select pg_current_wal_insert_lsn()::text, clock_timestamp()::text").fetchone()
    assert found is not None
    return {feed: at for feed, at in zip((COMPLAINTS, CONTACTS), found, strict=True) if feed in written}


def is_past(feed: str, ends: str, position: str) -> bool:
    """Whether a slice that ends here holds what was written at the position."""
    if feed == COMPLAINTS:
        return _log_position(ends) > _log_position(position)
    return datetime.fromisoformat(ends) > datetime.fromisoformat(position)


def _log_position(text: str) -> tuple[int, int]:
    high, _, low = text.partition("/")
    return int(high, 16), int(low, 16)
