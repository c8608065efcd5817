"""Tables of the ledger. Money is numeric with 6 decimals, instants are timestamptz, ids are text where people read
them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Numeric,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Money = Numeric(28, 6)
Instant = DateTime(timezone=True)
# The one list of states of a delivery (docs: architecture, section 2).
DELIVERY_STATES = (
    "expected",
    "arriving",
    "held",
    "verified",
    "loaded",
    "partly_loaded",
    "refused",
    "superseded",
    "ignored_duplicate",
    "missing",
)
LIVE_STATES = ("loaded", "partly_loaded")
NOT_ACCEPTED = ("refused", "held")
REPLACED = ("superseded", "ignored_duplicate")  # no longer what answers its lane: something else does


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        Decimal: Money,
        dt.datetime: Instant,
        dt.date: Date,
        str: Text,
        int: BigInteger,
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
    }


class Clock(Base):
    """The bank's clock: one row. `bank_now` null means the real time."""

    __tablename__ = "clock"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, default=1)
    bank_now: Mapped[dt.datetime | None]
    set_at: Mapped[dt.datetime]


class Delivery(Base):
    """One file, member or slice that arrived. `claim_key` (where and which bytes) makes a claim unique."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("claim_key"),
        # The date first: coverage and roll-call ask for one day of all feeds.
        Index("deliveries_lane", "business_date", "feed", "entity"),
        Index("deliveries_sha256", "sha256"),
        Index("deliveries_state", "state"),
        Index("deliveries_load_batch", "load_batch"),
        Index("deliveries_superseded_by", "superseded_by"),
        Index("deliveries_part_of", "part_of"),
        Index("deliveries_not_accepted", "claimed_at", postgresql_where=text("state IN ('refused', 'held')")),
    )
    delivery_id: Mapped[str] = mapped_column(primary_key=True)
    feed: Mapped[str]
    entity: Mapped[str]
    business_date: Mapped[dt.date]
    seq: Mapped[int] = mapped_column(default=1)
    version: Mapped[int] = mapped_column(default=1, server_default=text("1"))  # of the same seq the highest counts
    file_name: Mapped[str]
    uri: Mapped[str]
    claim_key: Mapped[str]
    state: Mapped[str]
    cause: Mapped[str | None]
    reason: Mapped[str | None]
    size: Mapped[int | None]
    sha256: Mapped[str | None] = mapped_column(String(64))
    stated_rows: Mapped[int | None]
    stated_money: Mapped[Decimal | None]
    received_rows: Mapped[int | None]
    received_money: Mapped[Decimal | None]
    accepted_rows: Mapped[int | None]
    accepted_money: Mapped[Decimal | None]
    rejected_rows: Mapped[int | None]
    rejected_money: Mapped[Decimal | None]
    duplicate_rows: Mapped[int | None]
    duplicate_money: Mapped[Decimal | None]
    raw_uri: Mapped[str | None]
    rows_uri: Mapped[str | None]
    received_at: Mapped[dt.datetime]
    claimed_at: Mapped[dt.datetime]
    verified_at: Mapped[dt.datetime | None]
    loaded_at: Mapped[dt.datetime | None]
    run_id: Mapped[str]
    load_batch: Mapped[int | None]
    live_batch: Mapped[int | None]
    supersedes: Mapped[str | None]
    superseded_by: Mapped[str | None]
    part_of: Mapped[str | None]  # the archive that it is a member of
    encoding: Mapped[str | None]  # that its source declared when it was read
    characters: Mapped[int | None]  # of all its values, as decoded


class Pull(Base):
    """When a source that is pulled was last looked at."""

    __tablename__ = "pulls"
    feed: Mapped[str] = mapped_column(primary_key=True)
    asked_at: Mapped[dt.datetime]


class Slice(Base):
    """What one delivery of a pulled source holds: a table's rows, or a topic's records, from one position up to another.

    Where a slice begins is unique, so that of two runs one takes it; the next begins where it ends. `dropped_up_to`: what lies before this position was gone at the source before it
    was read, and `skipped_by` said that the slice goes on without it."""

    __tablename__ = "slices"
    __table_args__ = (
        UniqueConstraint("feed", "part", "begins"),
        UniqueConstraint("feed", "business_date", "seq"),
        Index("slices_waiting", "state"),
    )
    slice_id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    feed: Mapped[str]
    part: Mapped[str]
    begins: Mapped[str]
    ends: Mapped[str]
    business_date: Mapped[dt.date]
    seq: Mapped[int]
    state: Mapped[str]  # waiting, refused (its delivery was), done
    tries: Mapped[int] = mapped_column(default=1)
    taken_at: Mapped[dt.datetime]
    dropped_up_to: Mapped[str | None]
    skipped_by: Mapped[str | None]
    reason: Mapped[str | None]


class Posted(Base):
    """An event that a partner posted, sealed; empty when it was kept as long as raw files are. `event_key` is its id under the installation's key, `digest` that of its
    clear bytes."""

    __tablename__ = "posted_events"
    __table_args__ = (UniqueConstraint("feed", "event_key"), Index("posted_events_number", "feed", "number"))
    number: Mapped[int] = mapped_column(Identity(), primary_key=True)
    feed: Mapped[str]
    event_key: Mapped[str]
    digest: Mapped[str] = mapped_column(String(64))
    sealed: Mapped[bytes]
    received_at: Mapped[dt.datetime]


class DeliveryEvent(Base):
    """Each change of state of a delivery, never changed afterwards."""

    __tablename__ = "delivery_events"
    event_id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    delivery_id: Mapped[str] = mapped_column(ForeignKey("deliveries.delivery_id"), index=True)
    state: Mapped[str]
    note: Mapped[str | None]
    run_id: Mapped[str]
    at: Mapped[dt.datetime]


class DeliveryDate(Base):
    """The rows of one delivery by business date, as bronze judged them in one batch."""

    __tablename__ = "delivery_dates"
    delivery_id: Mapped[str] = mapped_column(ForeignKey("deliveries.delivery_id"), primary_key=True)
    batch_id: Mapped[int] = mapped_column(primary_key=True)
    business_date: Mapped[dt.date] = mapped_column(primary_key=True, index=True)
    accepted_rows: Mapped[int]
    accepted_money: Mapped[Decimal]
    rejected_rows: Mapped[int]
    rejected_money: Mapped[Decimal]
    duplicate_rows: Mapped[int]
    duplicate_money: Mapped[Decimal]


class DirtyDate(Base):
    """A business date whose live rows changed since its last build; a day run takes these away when it starts."""

    __tablename__ = "dirty_dates"
    dirty_id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    business_date: Mapped[dt.date] = mapped_column(index=True)
    delivery_id: Mapped[str]
    feed: Mapped[str]
    entity: Mapped[str]
    cause: Mapped[str]
    since: Mapped[dt.datetime]


class Unit(Base):
    """A branch that owes deliveries, with the dates between which it does (`valid_to` is the first on which it no longer does): the released branch
    history. `cut_off` ends its business day, HH:mm of the bank's zone; the source's own where it is null."""

    __tablename__ = "units"
    branch_id: Mapped[str] = mapped_column(primary_key=True)
    valid_from: Mapped[dt.date] = mapped_column(primary_key=True)
    valid_to: Mapped[dt.date | None]
    name: Mapped[str]
    province_code: Mapped[str | None]
    cut_off: Mapped[str | None]
    merged_into: Mapped[str | None]  # the branch that took its business over


class Sighting(Base):
    """What lies in the inbox and cannot be taken: a signal whose file is not there, or a file that nothing announced."""

    __tablename__ = "sightings"
    __table_args__ = (Index("sightings_date", "business_date"),)
    path: Mapped[str] = mapped_column(primary_key=True)  # in the inbox
    kind: Mapped[str]  # signal_without_file, file_without_signal
    feed: Mapped[str]
    entity: Mapped[str]
    business_date: Mapped[dt.date]
    since: Mapped[dt.datetime]


class Batch(Base):
    """One attempt to write one table for one subject (feed|wave, or dates|version). `batch_id` is the Delta
    transaction's version."""

    __tablename__ = "batches"
    __table_args__ = (
        Index("batches_subject", "subject", "table_name"),
        # Nearly all batches have ended: the few open ones of a table are found without them.
        Index("batches_open", "table_name", postgresql_where=text("state IN ('started', 'written')")),
    )
    batch_id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    table_name: Mapped[str]
    subject: Mapped[str]
    run_id: Mapped[str]
    state: Mapped[str]
    previous_version: Mapped[int | None]
    delta_version: Mapped[int | None]
    metrics: Mapped[dict[str, Any] | None]
    started_at: Mapped[dt.datetime]
    finished_at: Mapped[dt.datetime | None]


class GateResult(Base):
    """What a gate said: Great Expectations' own result, and the outcome: pass, warn, hold or stop."""

    __tablename__ = "gate_results"
    __table_args__ = (UniqueConstraint("batch_id", "subject"),)
    gate_id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batches.batch_id"))
    table_name: Mapped[str] = mapped_column(index=True)
    subject: Mapped[str]
    outcome: Mapped[str]
    rules_run: Mapped[int]
    failed: Mapped[list[Any]]
    result: Mapped[dict[str, Any]]
    docs_path: Mapped[str | None]
    run_id: Mapped[str]
    evaluated_at: Mapped[dt.datetime]


class Balance(Base):
    """in = accepted + rejected + duplicate + superseded + erased + filtered + conformed, in rows and money, of one table and
    subject."""

    __tablename__ = "balances"
    __table_args__ = (UniqueConstraint("batch_id", "subject"),)
    balance_id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batches.batch_id"))
    table_name: Mapped[str] = mapped_column(index=True)
    subject: Mapped[str]
    received_rows: Mapped[int]
    received_money: Mapped[Decimal | None]
    parts: Mapped[dict[str, Any]]
    is_balanced: Mapped[bool] = mapped_column(Boolean)


class Case(Base):
    """Something went wrong for one cause in one lane: rows or a whole refused file."""

    __tablename__ = "cases"
    __table_args__ = (
        UniqueConstraint("table_name", "cause", "subject"),
        Index("cases_open", "case_id", postgresql_where=text("state = 'open'")),
        Index("cases_delivery", "delivery_id"),
    )
    case_id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    kind: Mapped[str]
    table_name: Mapped[str]
    cause: Mapped[str]
    subject: Mapped[str]
    feed: Mapped[str | None]
    entity: Mapped[str | None]
    business_date: Mapped[dt.date | None]
    delivery_id: Mapped[str | None]
    affected_rows: Mapped[int]
    money: Mapped[Decimal | None]
    reason: Mapped[str]
    state: Mapped[str]
    owner: Mapped[str]
    run_id: Mapped[str]
    opened_at: Mapped[dt.datetime]
    closed_at: Mapped[dt.datetime | None]


class Fix(Base):
    """What a person proposes to do about a case, and what a second person said of it: proposed, then approved (its deliveries are judged again) and done,
    or declined, withdrawn, overtaken (the sender was faster)."""

    __tablename__ = "fixes"
    __table_args__ = (
        CheckConstraint(
            "state not in ('approved', 'done') or coalesce(decided_by <> proposed_by, false)", name="four_eyes"
        ),
        Index("fixes_case", "case_id"),
    )
    fix_id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.case_id"))
    kind: Mapped[str]
    change: Mapped[dict[str, Any]]
    reason: Mapped[str]
    state: Mapped[str]
    proposed_by: Mapped[str]
    proposed_at: Mapped[dt.datetime]
    decided_by: Mapped[str | None]
    decided_at: Mapped[dt.datetime | None]
    turn: Mapped[int | None]  # the order in which fixes were approved: the bank's clock may stand still
    note: Mapped[str | None]


class Replay(Base):
    """One delivery that is judged again because of a fix: waiting, running (in a batch), done, failed (its gate said no; what was live stays),
    overtaken (replaced by another delivery meanwhile)."""

    __tablename__ = "replays"
    __table_args__ = (
        Index("replays_delivery", "delivery_id"),
        Index("replays_open", "state", postgresql_where=text("state IN ('waiting', 'running')")),
    )
    fix_id: Mapped[int] = mapped_column(ForeignKey("fixes.fix_id"), primary_key=True)
    delivery_id: Mapped[str] = mapped_column(ForeignKey("deliveries.delivery_id"), primary_key=True)
    state: Mapped[str]
    batch_id: Mapped[int | None]
    reason: Mapped[str | None]
    ended_at: Mapped[dt.datetime | None]


class Code(Base):
    """A code that was given a meaning at the bench, beside those of its reference list (`meaning` null: of a list without meanings)."""

    __tablename__ = "codes"
    reference: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    meaning: Mapped[str | None]
    fix_id: Mapped[int] = mapped_column(ForeignKey("fixes.fix_id"))


class DayRun(Base):
    """One build of one or more business days, key `from..to|vN` (or `date|vN`): requested, running, stopped, held,
    released."""

    __tablename__ = "day_runs"
    # The last date first: runs that touch a recent day are the newest ones.
    __table_args__ = (Index("day_runs_dates", "to_date", "from_date"), Index("day_runs_state", "state"))
    run_key: Mapped[str] = mapped_column(primary_key=True)
    from_date: Mapped[dt.date]
    to_date: Mapped[dt.date]
    version: Mapped[int]
    cause: Mapped[str]
    state: Mapped[str]
    expected_units: Mapped[int]
    received_units: Mapped[int]
    coverage: Mapped[dict[str, Any]]
    missing: Mapped[list[Any]]
    deliveries: Mapped[list[Any] | None]
    run_id: Mapped[str | None]
    requested_at: Mapped[dt.datetime]
    started_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]
    reason: Mapped[str | None]
    approved_by: Mapped[str | None]  # who let a day of a closed month be told anew


class Approval(Base):
    """A day of a closed month that somebody wants told anew (`act`: restate) or taken back (rollback): waiting, approved (then `run_key` is its run), declined or
    withdrawn."""

    __tablename__ = "approvals"
    __table_args__ = (
        CheckConstraint("state <> 'approved' or coalesce(decided_by <> asked_by, false)", name="four_eyes"),
        Index("approvals_waiting", "business_date", "act", unique=True, postgresql_where=text("state = 'waiting'")),
    )
    approval_id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    business_date: Mapped[dt.date]
    act: Mapped[str]
    reason: Mapped[str]
    state: Mapped[str]
    asked_by: Mapped[str]
    asked_at: Mapped[dt.datetime]
    decided_by: Mapped[str | None]
    decided_at: Mapped[dt.datetime | None]
    note: Mapped[str | None]
    run_key: Mapped[str | None] = mapped_column(ForeignKey("day_runs.run_key"))


class Release(Base):
    """The moment when a version of a day became visible, in all tables at once. `is_no_change`: tables and figures say what they said before."""

    __tablename__ = "releases"
    __table_args__ = (UniqueConstraint("run_key"), Index("releases_dates", "to_date", "from_date"))
    release_id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    run_key: Mapped[str] = mapped_column(ForeignKey("day_runs.run_key"))
    from_date: Mapped[dt.date]
    to_date: Mapped[dt.date]
    version: Mapped[int]
    kind: Mapped[str]
    cause: Mapped[str]
    expected_units: Mapped[int]
    received_units: Mapped[int]
    missing: Mapped[list[Any]]
    run_id: Mapped[str]
    released_at: Mapped[dt.datetime]
    mart_published_at: Mapped[dt.datetime | None]
    report_path: Mapped[str | None]
    is_no_change: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))


class ReleaseTable(Base):
    """Which Delta version of a table, and which business dates in it, a release made visible."""

    __tablename__ = "release_tables"
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.release_id"), primary_key=True)
    table_name: Mapped[str] = mapped_column(primary_key=True)
    delta_version: Mapped[int]
    batch_id: Mapped[int | None]
    from_date: Mapped[dt.date]
    to_date: Mapped[dt.date]


class Lease(Base):
    """Who may write now. `token` grows with each grant: a holder whose token is not the newest has lost it
    (fencing)."""

    __tablename__ = "leases"
    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    token: Mapped[int]
    expires_at: Mapped[dt.datetime]


class AlertSent(Base):
    """An alert was told on one channel (webhook, e-mail, airflow), or its end was (`is_end`)."""

    __tablename__ = "alerts_sent"
    alert_key: Mapped[str] = mapped_column(ForeignKey("alerts.alert_key"), primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    is_end: Mapped[bool] = mapped_column(Boolean, primary_key=True, default=False, server_default=text("false"))
    sent_at: Mapped[dt.datetime]


class Alert(Base):
    """Something a person should know, said once: `alert_key` is unique. `end`: how it came to an end, said once too, to those who were told;
    `closed_by`: the person who closed it. `number`: none of what was only noted."""

    __tablename__ = "alerts"
    # Nearly all alerts are closed, and most were never told to anybody.
    __table_args__ = (
        Index("alerts_open", "raised_at", postgresql_where=text("closed_at IS NULL")),
        Index("alerts_ended", "closed_at", postgresql_where=text('"end" IS NOT NULL')),
        UniqueConstraint("number", name="alerts_number"),
    )
    alert_key: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    message: Mapped[str]
    raised_at: Mapped[dt.datetime]
    closed_at: Mapped[dt.datetime | None]
    end: Mapped[str | None]
    number: Mapped[int | None]
    closed_by: Mapped[str | None]
