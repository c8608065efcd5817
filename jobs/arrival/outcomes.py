"""What becomes of a delivery, written into the ledger: verified, ignored as a duplicate, or refused with a case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Row, text

from jobs.arrival.drift import proposed
from jobs.arrival.errors import Refused
from jobs.arrival.forbidden import ForbiddenColumn
from jobs.arrival.in_clear import IN_CLEAR
from jobs.arrival.inbox import Arrived, settled_key
from jobs.arrival.intake import Intake
from jobs.arrival.notes import as_note
from jobs.contracts.catalog import Catalog
from jobs.contracts.formats import Drift
from jobs.ledger import Ledger, batches, deliveries, fixes
from jobs.ledger.models import LIVE_STATES

log = structlog.get_logger()
COLUMN_ADDED = "column_added"  # kind of the alert, and first part of its key
# What is to be said of an earlier delivery of equal bytes, by its state.
STANDS = {
    "superseded": "which {by} replaced",
    "held": "which its gate holds",
    "loaded": "which counts",
    "partly_loaded": "which counts",
}
STEWARD = "data-engineering"  # owner of files that no source knows


@dataclass(frozen=True)
class Landed:
    """What became of one delivery in this run. `state` is `arriving` while the sender still writes."""

    delivery_id: str
    feed: str
    entity: str
    business_date: date
    state: str
    file_name: str
    rows: int | None = None
    money: Decimal | None = None
    cause: str | None = None
    reason: str | None = None


def landed_as(delivery: Row[Any], state: str, **found: Any) -> Landed:
    lane = {"feed": delivery.feed, "entity": delivery.entity, "business_date": delivery.business_date}
    return Landed(delivery_id=delivery.delivery_id, state=state, file_name=delivery.file_name, **lane, **found)


class Outcomes:
    """Each outcome is one transaction, written only while the delivery is still arriving: else None, another run was
    first. `arrived` is the file that was read, by whose bytes the delivery is known from then on.
    """

    def __init__(self, catalog: Catalog, ledger: Ledger, run_id: str):
        self.catalog, self.ledger, self.run_id = catalog, ledger, run_id

    def accept(self, delivery: Row[Any], arrived: Arrived, intake: Intake, raw: Path, rows: Path) -> Landed | None:
        """Verified, unless the same bytes came before. The hash is locked, so that of two equal files one is second."""
        with self.ledger.begin() as db:
            lock = text("select pg_advisory_xact_lock(hashtextextended(:h, 1))")
            db.execute(lock, {"h": f"{self.ledger.schema}.{intake.sha256}"})
            if not _is_arriving(db, delivery):
                return None
            deliveries.settle_claim(db, delivery.delivery_id, settled_key(arrived))
            deliveries.lock_lane(db, delivery)
            twin = self._twin(db, delivery, intake)
            if twin is not None and _lane(twin) == _lane(delivery):
                landed = self._duplicate(db, delivery, intake, twin)
            elif twin is not None:
                landed = self._refused(db, delivery, _came_elsewhere(twin), intake, raw)
            elif (above := deliveries.outranked_by(db, delivery)) is not None:
                landed = self._superseded(db, delivery, above, intake, raw)
            else:
                return self._verified(db, delivery, intake, raw, rows)
        # The ledger no longer counts on these files; should we die here, they are only of no use.
        rows.unlink(missing_ok=True)
        if landed.state == "ignored_duplicate":
            raw.unlink(missing_ok=True)
        return landed

    def refuse(
        self, delivery: Row[Any], arrived: Arrived | None, refusal: Refused, intake: Intake | None, raw: Path | None
    ) -> Landed | None:
        """Refused with a case. `arrived` is None of a file that is not there; `intake` and `raw` are what was read and kept, None where nothing may be kept."""
        with self.ledger.begin() as db:
            if not _is_arriving(db, delivery):
                return None
            if arrived is not None:
                deliveries.settle_claim(db, delivery.delivery_id, settled_key(arrived))
            deliveries.lock_lane(db, delivery)
            return self._refused(db, delivery, refusal, intake, raw)

    def unpacked(
        self, archive: Row[Any], arrived: Arrived, intake: Intake, raw: Path | None, states: Sequence[str]
    ) -> Landed | None:
        """The archive itself: loaded when each of its members came in, partly when one was refused, superseded with all of them. Its rows are its members'."""
        refused = states.count("refused")
        state = "partly_loaded" if refused else "loaded"
        apart = [f"{states.count(one)} of them {one}" for one in ("refused", "superseded") if one in states]
        reason = ", ".join([f"unpacked: {len(states)} members", *apart])
        with self.ledger.begin() as db:
            deliveries.lock_lane(db, archive)
            if not _is_arriving(db, archive):
                return None
            deliveries.settle_claim(db, archive.delivery_id, settled_key(arrived))
            values = {**_values(intake, raw), "received_rows": None, "received_money": None}
            deliveries.set_state(db, archive.delivery_id, state, self.run_id, reason=reason, **values)
            deliveries.supersede_emptied(db, archive.delivery_id, self.run_id)
            deliveries.supersede_emptied_below(db, archive, self.run_id)
            _close_cases_below(db, archive)
            settled = deliveries.get(db, archive.delivery_id)
        return landed_as(archive, settled.state, reason=settled.reason)

    def _verified(self, db: Connection, delivery: Row[Any], intake: Intake, raw: Path, rows: Path) -> Landed:
        note = as_note(intake.noted())
        values = {**_values(intake, raw), "rows_uri": str(rows), "verified_at": datetime.now(UTC)}
        deliveries.set_state(db, delivery.delivery_id, "verified", self.run_id, reason=note, **values)
        self._say_drift(db, delivery, intake)
        _close_cases_below(db, delivery)
        return landed_as(delivery, "verified", rows=intake.totals.rows, money=intake.totals.money, reason=note)

    def _say_drift(self, db: Connection, delivery: Row[Any], intake: Intake) -> None:
        """Once a feed and column: the file was taken though its columns are not those of the contract, or not what it says of them."""
        source = self.catalog.sources[delivery.feed]
        where = f"{delivery.file_name} of {delivery.entity} for {delivery.business_date} ({delivery.delivery_id})"
        for name in intake.extra:
            message = f"{delivery.feed} has a new column {name}, first in {where}. The file was taken and the column left out. Owner: {source.owner}."
            if getattr(source.format, "drift", Drift()).added == "evolve":
                message += f" To load it, add to expectations/bronze/{delivery.feed}.yaml: `{proposed(name)}`, then `ledgerlake contracts plan`."
            batches.alert(db, f"{COLUMN_ADDED}|{delivery.feed}|{name}", COLUMN_ADDED, message)
        for name in intake.lacking:
            message = f"{delivery.feed} came without the column {name}, first in {where}. The file was taken and the column is null. Owner: {source.owner}."
            batches.alert(db, f"column_lacking|{delivery.feed}|{name}", "column_lacking", message)
        for name, kind in intake.in_clear.items():
            message = (
                f"The column {name} of {delivery.feed} looks like {kind} in clear, first in {where}: its contract does not say that it names a person, so it is stored as it came. "
                f"Write `identifies: {kind}` in expectations/bronze/{delivery.feed}.yaml, and treat what was stored as an incident (docs/quarantine.md, An identifier that was stored in clear). Owner: {source.owner}."
            )
            batches.alert(db, f"{IN_CLEAR}|{delivery.feed}|{name}", IN_CLEAR, message)

    def _duplicate(self, db: Connection, delivery: Row[Any], intake: Intake, twin: Row[Any]) -> Landed:
        what = STANDS.get(twin.state, "which is being taken in")
        reason = f"The same bytes as {twin.delivery_id} ({twin.file_name}), {what.format(by=twin.superseded_by)}; nothing was loaded twice."
        if fixes.is_asked_again(db, twin.delivery_id):
            if not _may_replace(delivery, twin):
                reason += (
                    f" That file was asked for again: to take its place it has to come with its batch number {twin.seq}"
                )
                reason += f" and version {twin.version} or a higher one." if delivery.version < twin.version else "."
        elif twin.state != "superseded":
            reason += _how_to_ask(db, twin)
        if twin.seq == delivery.seq and twin.version < delivery.version:
            deliveries.raise_version(db, twin, delivery, self.run_id)
            reason += f" It is version {delivery.version} from now on."
        values = {**_values(intake, None), "cause": "same_bytes"}
        deliveries.set_state(db, delivery.delivery_id, "ignored_duplicate", self.run_id, reason=reason, **values)
        return landed_as(delivery, "ignored_duplicate", cause="same_bytes", reason=reason)

    def _refused(
        self, db: Connection, delivery: Row[Any], refusal: Refused, intake: Intake | None, raw: Path | None
    ) -> Landed:
        # Nobody asks for the right file where another counts. What nothing may be kept of is told all the same.
        if intake and raw and (above := deliveries.outranked_by(db, delivery)) is not None:
            return self._superseded(db, delivery, above, intake, raw, f"It would have been refused: {refusal.reason}")
        source = self.catalog.sources.get(delivery.feed)
        rows, money = (intake.totals.rows, intake.totals.money) if intake else (None, None)
        values = {**(_values(intake, raw) if intake else {}), "cause": refusal.cause}
        deliveries.set_state(db, delivery.delivery_id, "refused", self.run_id, reason=refusal.reason, **values)
        batches.open_case(
            db,
            kind="incident" if isinstance(refusal, ForbiddenColumn) else "file",
            table=f"bronze.{delivery.feed}",
            cause=refusal.cause,
            subject=delivery.delivery_id,
            reason=refusal.reason,
            affected_rows=rows or 0,
            money=money,
            owner=source.owner if source else STEWARD,
            run_id=self.run_id,
            feed=delivery.feed,
            entity=delivery.entity,
            business_date=delivery.business_date,
            delivery_id=delivery.delivery_id,
        )
        what = {"delivery": delivery.delivery_id, "file": delivery.file_name, "cause": refusal.cause}
        log.warning("delivery_refused", **what, reason=refusal.reason)
        return landed_as(delivery, "refused", rows=rows, money=money, cause=refusal.cause, reason=refusal.reason)

    def _superseded(
        self, db: Connection, delivery: Row[Any], above: Row[Any], intake: Intake, raw: Path, why: str | None = None
    ) -> Landed:
        reason = deliveries.supersede(db, delivery, above, self.run_id, why, **_values(intake, raw))
        return landed_as(delivery, "superseded", reason=reason)

    def _twin(self, db: Connection, delivery: Row[Any], intake: Intake) -> Row[Any] | None:
        """The earlier delivery of equal bytes that forbids this one: in the same lane unless it was asked for again, elsewhere of an
        increment.
        """
        if not intake.totals.rows:
            return None  # empty files look alike
        if self.catalog.sources[delivery.feed].pull:
            return None  # a slice is known by where it begins: a value that changes there and back brings equal bytes
        twins = [t for t in deliveries.same_bytes(db, intake.sha256, delivery.delivery_id) if t.feed == delivery.feed]
        if in_lane := [t for t in twins if _lane(t) == _lane(delivery)]:
            twin = max((t for t in in_lane if t.seq == delivery.seq), key=deliveries.rank, default=in_lane[-1])
            return None if self._is_answer(db, delivery, twin) or _is_back(delivery, twin) else twin
        if not twins:
            return None
        return twins[0] if self.catalog.sources[delivery.feed].kind in ("increment", "events", "correction") else None

    def _is_answer(self, db: Connection, delivery: Row[Any], twin: Row[Any]) -> bool:
        """The twin was asked for again and this is what the sender has: it takes the twin's place, which only its own batch number does, in no lower version, and only as the first answer."""
        if (
            not _may_replace(delivery, twin)
            or twin.state == "superseded"
            or not fixes.is_asked_again(db, twin.delivery_id)
        ):
            return False
        lane = {"feed": twin.feed, "business_date": twin.business_date, "entity": twin.entity}
        came = deliveries.find(db, **lane, states=["verified", "held", *LIVE_STATES])
        return not any(d.seq == twin.seq and deliveries.rank(d) > deliveries.rank(twin) for d in came)


def _is_arriving(db: Connection, delivery: Row[Any]) -> bool:
    """Nobody else settled it; the row stays locked until the transaction ends."""
    query = text("select state from deliveries where delivery_id = :d for update")
    return db.execute(query, {"d": delivery.delivery_id}).scalar_one() == "arriving"


def _may_replace(delivery: Row[Any], twin: Row[Any]) -> bool:
    return bool(twin.seq == delivery.seq and twin.version <= delivery.version)


def _is_back(delivery: Row[Any], twin: Row[Any]) -> bool:
    """A higher version takes back what replaced the twin."""
    return bool(twin.state == "superseded" and twin.seq == delivery.seq and twin.version < delivery.version)


def _how_to_ask(db: Connection, twin: Row[Any]) -> str:
    """What somebody does who sent the same bytes as an answer: they are one only where they were asked for. Nothing where nothing is to be answered."""
    if still := batches.open_cases_of(db, twin.delivery_id):
        number = still[0].case_id
        return (
            f" If they are the answer to case {number}: `ledgerlake quarantine fix {number} --resend --reason ...` asks for them, and once a second person has approved it they are read "
            "anew when they come again."
        )
    if (rejected := fixes.rejected(db, twin.delivery_id)) is not None:
        return (
            f" What stays out of it was rejected for good (case {rejected.case_id}, approved by {rejected.decided_by}: {rejected.reason}). If that was a mistake, ask the sender for a file that "
            "differs: with a correction in it, or with its rows in another order."
        )
    return ""


def _close_cases_below(db: Connection, delivery: Row[Any]) -> None:
    """A good file settles the cases of refused ones in the place of which it came."""
    for refused in deliveries.refused_below(db, delivery):
        batches.close_cases(db, delivery_id=refused, note=f"sent again as {delivery.delivery_id}")


def _lane(delivery: Row[Any]) -> tuple[str, str, date]:
    return delivery.feed, delivery.entity, delivery.business_date


def _values(intake: Intake, raw: Path | None) -> dict[str, Any]:
    return {
        "sha256": intake.sha256,
        "size": intake.size,
        "stated_rows": intake.stated.rows,
        "stated_money": intake.stated.money,
        "received_rows": intake.totals.rows,
        "received_money": intake.totals.money,
        "encoding": intake.encoding,
        "characters": intake.characters,
        "raw_uri": str(raw) if raw else None,
    }


def _came_elsewhere(twin: Row[Any]) -> Refused:
    return Refused(
        "same_bytes_elsewhere",
        f"The same bytes came as {twin.delivery_id} ({twin.file_name}) for {twin.entity} on {twin.business_date}. "
        "Expected new rows for each branch and day of an increment; ask the sender for the right file.",
    )
