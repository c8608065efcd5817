"""Landing: every file that waits becomes a delivery, and every delivery is verified, refused, ignored or left to its
sender.

Safe when run twice at once, and from wherever a run died: a claim is a unique row of the ledger, one process at a time
works on a delivery (a lock that dies with its connection), files appear whole under their final names, and the inbox is
emptied only of what the ledger has settled.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import structlog
from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import OperationalError

from jobs.arrival import packed, reach
from jobs.arrival.doorbell import SETTLE_SECONDS, is_ready
from jobs.arrival.errors import Refused
from jobs.arrival.forbidden import C3_COLUMN
from jobs.arrival.inbox import (
    SIGNAL_BYTES,
    Arrived,
    Gone,
    Inbox,
    InboxUnavailable,
    Signal,
    Unreadable,
    Unremovable,
    claim_key,
    is_signal,
    named_in,
    settled_key,
    unreachable,
)
from jobs.arrival.intake import CLEAR, Intake, keep_unread, not_for_us, opened_copy, take_in
from jobs.arrival.naming import UNKNOWN, Lane, lane_of
from jobs.arrival.outcomes import Landed, Outcomes, landed_as
from jobs.arrival.pulls import SourceDown
from jobs.arrival.rows import Of
from jobs.arrival.slices import say_down
from jobs.arrival.whole_file import StillWriting, wrong_with
from jobs.contracts.catalog import Catalog
from jobs.contracts.formats import ArchiveFile
from jobs.ledger import Ledger, batches, clock, deliveries
from jobs.privacy.keys import Keys, load_keys
from jobs.privacy.pgp import NotForUs
from jobs.privacy.vault import Vault
from jobs.seams import seam
from jobs.settings import settings

log = structlog.get_logger()
VANISHED = "vanished"
DEFECTS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError, RecursionError)
Opened = Callable[[Arrived], AbstractContextManager[BinaryIO]]
NOBODY = "-"  # entity of a file whose name says none


class LandingStopped(Exception):
    """Something around the files failed (disk, database). Nothing is half done; the next run goes on."""


def land(
    catalog: Catalog,
    ledger: Ledger,
    inbox: Inbox,
    run_id: str,
    *,
    progress: Callable[[Landed], None] | None = None,
    settle_seconds: float = SETTLE_SECONDS,
    keys: Keys | None = None,
    vault: Vault | None = None,
) -> list[Landed]:
    """Takes up all that waits in the inbox and finishes what a dead run began. Returns what it settled, in the order of
    the files' paths.

    Raises LedgerUnavailable, VaultUnavailable, InboxUnavailable, KeysUnavailable or LandingStopped with one clear
    message.
    """
    keys = keys or load_keys()
    landed: list[Landed] = []
    with vault or Vault(catalog.profile.profile, keys) as the_vault:
        landing = _Landing(catalog, ledger, inbox, run_id, settle_seconds, keys, the_vault)
        try:
            for one in landing.all():
                landed.append(one)
                if progress:
                    progress(one)
        except OSError as error:
            raise LandingStopped(_disk_message(error)) from error
        except OperationalError as error:
            raise LandingStopped(
                f"The ledger's database went away while landing: {error.orig}. Nothing is half done; start it "
                "(`ledgerlake up`) and land again."
            ) from error
    return landed


class _Landing:
    def __init__(
        self,
        catalog: Catalog,
        ledger: Ledger,
        inbox: Inbox,
        run_id: str,
        settle_seconds: float,
        keys: Keys,
        vault: Vault,
    ):
        self.catalog, self.ledger, self.inbox, self.run_id = catalog, ledger, inbox, run_id
        self.settle_seconds, self.keys, self.vault = settle_seconds, keys, vault
        self.outcomes = Outcomes(catalog, ledger, run_id)
        self.home = settings().bank(catalog.profile.profile)
        self.lying_there: set[str] = set()  # uri of each file that lies in the inbox

    def all(self) -> Iterator[Landed]:
        yield from self._all()
        with self.ledger.begin() as db:
            reach.end_settled(db, None if unreachable(self.inbox) else self.lying_there)

    def _all(self) -> Iterator[Landed]:
        with self.ledger.begin() as db:
            begun = {row.delivery_id: row for row in deliveries.find(db, states=["arriving"])}
        there = self._look()
        claimed = self._claim([a for a in there if is_ready(self.catalog, a, self.settle_seconds)])
        self._acknowledge()
        if unreachable(self.inbox):
            begun = {}  # what was begun may lie where we cannot look
        seam("after_claim")
        if not claimed and not begun:
            return
        with self.ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as locks:
            for arrived, delivery_id in claimed:
                begun.pop(delivery_id, None)
                with self._lock(locks, delivery_id) as mine:
                    if mine:
                        yield from self._settle(arrived, delivery_id, locks)
            for delivery_id, row in begun.items():
                # A member lies where its archive lies: it is settled with it, or gone with it.
                if row.part_of and row.part_of not in begun:
                    continue
                with self._lock(locks, delivery_id) as mine:
                    landed = self._vanished(delivery_id, row) if mine else None
                if landed:
                    yield landed

    def _look(self) -> list[Arrived]:
        """All that lies in the inbox. People are told what cannot be seen of it, and what can again."""
        try:
            found = self.inbox.waiting()
        except InboxUnavailable as away:
            with self.ledger.begin() as db:
                reach.say_unreachable(db, away.unreachable)
            raise
        with self.ledger.begin() as db:
            reach.say_unreachable(db, unreachable(self.inbox))
        self.lying_there = {arrived.uri for arrived in found}
        return found

    def _acknowledge(self) -> None:
        """What was claimed is read all the same: a notification that stays only rings again."""
        failed: dict[str, str] = {}
        try:
            self.inbox.acknowledge()
        except InboxUnavailable as error:
            failed = error.unreachable
        with self.ledger.begin() as db:
            reach.say_not_acknowledged(db, failed)

    # --- claims -------------------------------------------------------------------------------------------------------

    def _claim(self, waiting: list[Arrived], archive: Row[Any] | None = None) -> list[tuple[Arrived, str]]:
        """Each file with its delivery, new or claimed before. One transaction; sorted by path, so two runs do not block
        each other for ever. `archive`: that they are members of; a member whose name says no version has the archive's.
        """
        claimed: list[tuple[Arrived, str]] = []
        version = archive.version if archive else 1
        with self.ledger.begin() as db:
            today = self.catalog.profile.today(clock.now(db))
            known = deliveries.by_claim(db, [key for a in waiting for key in (settled_key(a), claim_key(a))])
            for arrived in waiting:
                key = claim_key(arrived)
                before = known.get(settled_key(arrived)) or known.get(key)
                if before is not None and _goes_on(before, arrived):
                    claimed.append((arrived, before.delivery_id))
                    continue
                if before is not None:
                    deliveries.free_claim(db, before)
                lane = self._lane(arrived)
                new = deliveries.claim(
                    db,
                    claim_key=key,
                    feed=lane.feed if lane else UNKNOWN,
                    entity=lane.entity if lane else NOBODY,
                    business_date=lane.business_date if lane else today,
                    seq=lane.seq if lane else 1,
                    version=lane.version if lane and lane.version is not None else version,
                    file_name=arrived.name,
                    uri=arrived.uri,
                    run_id=self.run_id,
                    part_of=archive.delivery_id if archive else None,
                )
                # None: another run claimed it at the same moment, and may have settled it in the next.
                theirs = None if new else deliveries.by_claim(db, [key]).get(key)
                if found := new or (theirs and theirs.delivery_id):
                    claimed.append((arrived, found))
        return claimed

    def _lane(self, arrived: Arrived) -> Lane | None:
        return self._lane_of(arrived.path)

    def _lane_of(self, path: str) -> Lane | None:
        try:
            return lane_of(self.catalog, path)
        except Refused:
            return None

    @contextmanager
    def _lock(self, locks: Connection, delivery_id: str) -> Iterator[bool]:
        """Does this process work on the delivery? The lock ends with its connection, also by SIGKILL.

        Should the connection be lost while the process lives, the outcome is written only if nobody else settled it.
        """
        key = {"k": f"{self.ledger.schema}.{delivery_id}"}
        mine = locks.execute(text("select pg_try_advisory_lock(hashtextextended(:k, 0))"), key).scalar_one()
        try:
            yield mine
        finally:
            if mine:
                locks.execute(text("select pg_advisory_unlock(hashtextextended(:k, 0))"), key)

    # --- one delivery -------------------------------------------------------------------------------------------------

    def _settle(self, arrived: Arrived, delivery_id: str, locks: Connection) -> Iterator[Landed]:
        with self.ledger.begin() as db:
            delivery = deliveries.get(db, delivery_id)
        if (delivery.state, delivery.cause) == ("refused", VANISHED):
            self._welcome_back(delivery)
        elif delivery.state != "arriving":
            if delivery.claim_key == settled_key(arrived):
                self._remove(arrived, delivery)  # the run that settled it died before it emptied the inbox
            return  # else its sender wrote again after it was claimed: that is claimed at the next look
        self._sweep_drafts(delivery)
        lane = self._lane(arrived)
        try:
            if lane is not None and isinstance(lane.source.format, ArchiveFile):
                yield from self._unpack(arrived, delivery, lane, lane.source.format, locks)
            elif landed := self._take(arrived, delivery, self.inbox.open):
                yield landed
        except Unreadable as unreadable:
            self._sweep_kept(delivery)
            yield self._not_read(delivery, str(unreadable))
            return
        except Gone as gone:
            self._sweep_kept(delivery)
            log.info("file_changed_while_landing", delivery=delivery_id, what=str(gone))
            return
        except SourceDown as down:
            self._sweep_kept(delivery)
            say_down(self.ledger, self.catalog.sources[delivery.feed], str(down))
            yield landed_as(delivery, "arriving", reason=str(down))
            return
        except DEFECTS as error:
            # A mistake of ours, or of a library, in one delivery must not stop the others.
            self._sweep_kept(delivery)
            yield self._defect(delivery, error)
            return
        except StillWriting:
            self._sweep_kept(delivery)
            why = "The file is still being written; it is read again when it is whole."
            yield landed_as(delivery, "arriving", reason=why)
            return
        self._remove(arrived, delivery)

    def _remove(self, arrived: Arrived, delivery: Row[Any]) -> None:
        try:
            self.inbox.remove(arrived, keep_signal=self._is_awaited(arrived))
        except Unremovable as stays:
            with self.ledger.begin() as db:
                reach.say_not_removed(db, delivery.delivery_id, stays)
        else:
            self.lying_there.discard(arrived.uri)

    def _is_awaited(self, arrived: Arrived) -> bool:
        """Whether its signal speaks of a file that is still to come: one of a lane that waits for signals, which was not taken by this signal, nor came in an archive.

        A file that was claimed and is away counts as to come: an inbox out of reach for a while looked empty.
        """
        if (told := arrived.signal) is None or not arrived.shares_its_signal:
            return False
        own = self._lane(arrived)
        is_archive = own is not None and isinstance(own.source.format, ArchiveFile)
        with self.ledger.begin() as db:
            for path in named_in(told):
                lane = None if path == arrived.path else self._lane_of(path)
                if lane is None or lane.source.files.signal == "none":
                    continue
                if is_archive and not isinstance(lane.source.format, ArchiveFile):
                    continue  # one of its members
                known = deliveries.find(db, feed=lane.feed, entity=lane.entity, business_date=lane.business_date)
                name = path.rpartition("/")[2]
                if not any(
                    (
                        row.claim_key.startswith(f"{path}|{told.version}|")
                        and row.state != "arriving"
                        and row.cause != VANISHED
                    )
                    or (row.part_of is not None and row.file_name == name)
                    for row in known
                ):
                    return True
        return False

    def _defect(self, delivery: Row[Any], error: Exception) -> Landed:
        why = f"{type(error).__name__}: {error}"
        log.exception("delivery_not_read", delivery=delivery.delivery_id, file=delivery.file_name)
        message = (
            f"{delivery.feed} of {delivery.entity} for {delivery.business_date} ({delivery.file_name}, {delivery.delivery_id}) could not be read for a mistake of "
            f"ours: {why[:300]}. The file waits and is tried again; tell whoever looks after Ledgerlake."
        )
        return self._not_read(delivery, message)

    def _not_read(self, delivery: Row[Any], message: str) -> Landed:
        with self.ledger.begin() as db:
            reach.say_not_read(db, delivery.delivery_id, message)
        return landed_as(delivery, "arriving", reason=message)

    def _take(self, arrived: Arrived, delivery: Row[Any], opened: Opened) -> Landed | None:
        """`opened` gives the bytes of the file, from wherever they come."""
        raw, rows = self._path("raw", delivery, "sealed"), self._path("rows", delivery, "parquet")
        try:
            lane = lane_of(self.catalog, arrived.path)
        except Refused as unknown:
            with opened(arrived) as stream:
                return self.outcomes.refuse(delivery, arrived, unknown, keep_unread(stream, raw, self.keys), raw)
        if isinstance(lane.source.format, ArchiveFile):
            with opened(arrived) as stream:
                return self.outcomes.refuse(
                    delivery, arrived, _nested(arrived), keep_unread(stream, raw, self.keys), raw
                )
        try:
            self._check_environment(lane)
            with opened(arrived) as stream:
                intake = take_in(
                    stream,
                    lane=lane,
                    table=self.catalog.bronze(lane.feed),
                    of=Of(delivery.delivery_id, delivery.entity, delivery.received_at, delivery.business_date),
                    raw=raw,
                    rows=rows,
                    keys=self.keys,
                    vault=self.vault,
                    keep=lambda found: wrong_with(found, arrived, self.settle_seconds),
                )
        except Refused as refusal:
            # Refused before anything was kept: forbidden columns, real data in a test installation.
            raw.unlink(missing_ok=True)
            return self.outcomes.refuse(delivery, arrived, refusal, None, None)
        if intake.refusal:
            return self.outcomes.refuse(delivery, arrived, intake.refusal, intake, raw)
        seam("after_rows")
        return self.outcomes.accept(delivery, arrived, intake, raw, rows)

    def _check_environment(self, lane: Lane) -> None:
        if self.catalog.profile.environment == "test" and not lane.source.synthetic:
            raise Refused(
                "real_data_in_test",
                f"The bank {self.catalog.profile.profile} is a test environment and the feed {lane.feed} is not marked "
                "synthetic. "
                "Expected invented or de-identified data there (rule CL-6); mark the source `synthetic: true` if they "
                "are.",
            )

    def _vanished(self, delivery_id: str, row: Row[Any]) -> Landed | None:
        with self.ledger.begin() as db:
            if deliveries.get(db, delivery_id).state != "arriving":
                return None
        self._sweep_drafts(row)
        gone = Refused(
            VANISHED,
            f"The file {row.uri} was claimed, but left the inbox or was written again before it was read. "
            "Expected it to stay until it is settled; if no newer one came, ask the sender for it again.",
        )
        return self.outcomes.refuse(row, None, gone, None, None)

    def _welcome_back(self, delivery: Row[Any]) -> None:
        """An inbox out of reach for a while looked empty: its files are taken as if they had never been gone."""
        with self.ledger.begin() as db:
            back = "the file is in the inbox again"
            deliveries.set_state(db, delivery.delivery_id, "arriving", self.run_id, reason=back, cause=None)
            batches.close_cases(db, delivery_id=delivery.delivery_id, note=back)

    # --- archives -----------------------------------------------------------------------------------------------------

    def _unpack(
        self, arrived: Arrived, archive: Row[Any], lane: Lane, fmt: ArchiveFile, locks: Connection
    ) -> Iterator[Landed]:
        """Each member is a delivery, settled one after another; the archive is settled last, so that a run that dies in between is
        followed by one that goes on with the members that are left.
        """
        raw = self._path("raw", archive, "sealed")
        try:
            self._check_environment(lane)
        except Refused as refusal:
            if landed_archive := self.outcomes.refuse(archive, arrived, refusal, None, None):
                yield landed_archive
            return
        with self.inbox.open(arrived) as stream:
            intake = keep_unread(stream, raw, self.keys)
        # A signal may speak of the members only.
        announced = (
            arrived if arrived.signal and _speaks_of(arrived.signal, arrived.name) else replace(arrived, signal=None)
        )
        states: list[str] = []
        refused: Refused | None = None
        try:
            intake.ends_itself = True
            with opened_copy(raw, lane, self.keys) as copy:
                found = packed.members(copy, fmt)
                signals = _signals_inside(copy, fmt, found) + ([arrived.signal] if arrived.signal else [])
                intake.totals.rows = sum(not is_signal(member.name) for member in found)
                if wrong := wrong_with(intake, announced, self.settle_seconds):
                    raise wrong
                for member, content in packed.each(copy, fmt):
                    if is_signal(member.name):
                        continue
                    for landed in self._member(_inside(arrived, intake, member, signals), content, archive, locks):
                        states.append(landed.state)
                        yield landed
        except (Refused, NotForUs) as error:
            refused = not_for_us(error) if isinstance(error, NotForUs) else error
            intake.refusal = refused
            try:
                wrong_with(intake, announced, self.settle_seconds)  # still being written?
            except StillWriting:
                raw.unlink(missing_ok=True)
                raise
        # Of a forbidden column nothing is kept, not even sealed; the ledger knows of members that a run before this one refused.
        kept = None if self._holds_forbidden(archive) else raw
        if kept is None:
            raw.unlink(missing_ok=True)
        if refused is not None:
            landed_archive = self.outcomes.refuse(archive, arrived, refused, intake, kept)
        else:
            landed_archive = self.outcomes.unpacked(archive, arrived, intake, kept, states)
        if landed_archive:
            yield landed_archive

    def _holds_forbidden(self, archive: Row[Any]) -> bool:
        with self.ledger.begin() as db:
            return any(m.cause == C3_COLUMN for m in deliveries.members(db, archive.delivery_id))

    def _member(self, inner: Arrived, content: BinaryIO, archive: Row[Any], locks: Connection) -> Iterator[Landed]:
        [(_, delivery_id)] = self._claim([inner], archive)
        with self._lock(locks, delivery_id):  # ours with the archive's: nobody else reads this archive
            with self.ledger.begin() as db:
                delivery = deliveries.get(db, delivery_id)
            if (delivery.state, delivery.cause) == ("refused", VANISHED):
                self._welcome_back(delivery)
            elif delivery.state != "arriving":
                yield landed_as(delivery, delivery.state)  # settled by a run that died before the last member
                return
            self._sweep_drafts(delivery)
            landed = self._take(inner, delivery, lambda _: nullcontext(content))
        if landed:
            yield landed

    # --- places -------------------------------------------------------------------------------------------------------

    def _path(self, kind: str, delivery: Row[Any], ending: str) -> Path:
        return self.home / kind / delivery.feed / f"{delivery.delivery_id}.{ending}"

    def _sweep_kept(self, delivery: Row[Any]) -> None:
        """What was kept of a file that is to be read again."""
        self._path("raw", delivery, "sealed").unlink(missing_ok=True)
        self._path("rows", delivery, "parquet").unlink(missing_ok=True)

    def _sweep_drafts(self, delivery: Row[Any]) -> None:
        """Drafts of a run that died on this delivery: we hold its lock, so nobody writes them any more."""
        for kind, pattern in (("raw", ".{}.*.part"), ("rows", ".{}.*.part"), ("raw", f"{{}}.{CLEAR}.*")):
            for draft in (self.home / kind / delivery.feed).glob(pattern.format(delivery.delivery_id)):
                draft.unlink(missing_ok=True)


def _goes_on(delivery: Row[Any], arrived: Arrived) -> bool:
    """Whether the file is what was claimed before: it is still to be read, or just these bytes were settled."""
    is_open = delivery.state == "arriving" or delivery.cause == VANISHED
    return is_open or delivery.claim_key == settled_key(arrived)


def _nested(arrived: Arrived) -> Refused:
    return Refused(
        "nested_archive",
        f"{arrived.name} is an archive inside an archive. Expected the files themselves; ask the sender to pack them once.",
    )


def _inside(arrived: Arrived, intake: Intake, member: packed.Member, signals: list[Signal]) -> Arrived:
    """A member as if it lay in the inbox. What its signal says is in that of the archive or in one beside it in the archive. Its version is that of the archive's bytes: a
    corrected archive may say the same of another member.
    """
    name = member.name.rsplit("/", 1)[-1]
    said = next((s for s in signals if _speaks_of(s, name)), None)
    signal = Signal(said.text, intake.sha256) if said else None
    return Arrived(
        f"{arrived.path}!/{member.name}", f"{arrived.uri}!/{member.name}", member.size, intake.sha256, None, signal
    )


def _speaks_of(signal: Signal, name: str) -> bool:
    return any(line.split("|")[0].strip() == name for line in signal.text.lstrip("\ufeff").splitlines())


def _signals_inside(copy: BinaryIO, fmt: ArchiveFile, found: list[packed.Member]) -> list[Signal]:
    if not any(is_signal(member.name) for member in found):
        return []
    return [
        Signal(content.read(SIGNAL_BYTES).decode("utf-8", errors="replace"), member.name)
        for member, content in packed.each(copy, fmt)
        if is_signal(member.name)
    ]


def _disk_message(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full{where}. Nothing is half done, the files wait in the inbox: make room and land again."
    why = error.strerror or error
    return f"Landing cannot read or write{where}: {why}. Nothing is half done: correct that and land again."
