"""The scorecard of faults: of each fault that was injected, whether its control caught it; and what was stopped though nothing was wrong with it.

What was injected is told by a list that the sender keeps (`faults.json` in the bank's home), away from the ledger and the lake. Whether it was caught is
found by looking there: deliveries, cases, gates, alerts, releases, rows. A control that does not exist yet is said to be so.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
from sqlalchemy import Connection, Row, select

from jobs.bank import Bank
from jobs.contracts.pulls import PostgresTable
from jobs.demo_bank.faults import KINDS, NOT_BUILT, Caught, Proof
from jobs.ledger import batches, days, deliveries, releases
from jobs.ledger.models import LIVE_STATES, Alert, DeliveryEvent, GateResult

CAUGHT, MISSED, OPEN, AWAY = "caught", "not caught", "control not built yet", "not injected"
# Causes of a release that tells a day anew because of something that came later.
ANEW = ("late", "late_event", "resend", "reversal")
STOPPED = ("refused", "held")


@dataclass(frozen=True)
class Finding:
    """One fault on the days of the list. `rows` and `money` (in the reporting currency) are what would have counted wrongly without the control; of a fault
    that was not caught, what does.
    """

    fault: str
    name: str
    control: str
    expected: str
    verdict: str
    rows: int
    money: Decimal
    where: str
    found: str


@dataclass(frozen=True)
class FalseAlarm:
    """Something that was stopped, turned away or told to people where nothing had been injected."""

    what: str
    where: str
    reason: str


@dataclass(frozen=True)
class Scorecard:
    days: list[date]
    findings: list[Finding]
    false_alarms: list[FalseAlarm]

    @property
    def is_good(self) -> bool:
        """Each injected fault was caught, and nothing else was."""
        return not self.false_alarms and all(f.verdict != MISSED for f in self.findings)

    def count(self, verdict: str) -> int:
        return sum(f.verdict == verdict for f in self.findings)

    @property
    def saved(self) -> tuple[int, Decimal]:
        """Rows and money of all that was caught."""
        caught = [f for f in self.findings if f.verdict == CAUGHT]
        return sum(f.rows for f in caught), sum((f.money for f in caught), Decimal(0))


# --- what was injected ----------------------------------------------------------------------------------------------------


def list_of(bank: Bank) -> Path:
    return bank.home / "faults.json"


def note_day(bank: Bank, day: date, injected: Sequence[Caught]) -> None:
    """Write down what is injected on a day; clean days count too. A day that is told again replaces what was written."""
    known = {d: entries for d, entries in _read(bank).items() if d != day}
    known[day] = list(injected)
    told = {d.isoformat(): [_plain(c) for c in known[d]] for d in sorted(known)}
    path = list_of(bank)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(told, ensure_ascii=False, indent=1), encoding="utf-8")
    draft.replace(path)


def note_seen(bank: Bank, fault: str, day: date, seen: str) -> None:
    """Write down what a fault of processes was seen to do (a process that died)."""
    entries = [c._replace(causes=(seen,)) if c.fault == fault else c for c in _read(bank)[day]]
    note_day(bank, day, entries)


def _read(bank: Bank) -> dict[date, list[Caught]]:
    path = list_of(bank)
    if not path.exists():
        return {}
    told = json.loads(path.read_text(encoding="utf-8"))
    return {date.fromisoformat(day): [_caught(entry) for entry in entries] for day, entries in told.items()}


def _plain(caught: Caught) -> dict[str, Any]:
    dates = {"business_date": caught.business_date.isoformat()}
    restates = {"restates": caught.restates.isoformat()} if caught.restates else {}
    return {**caught._asdict(), **dates, "proofs": [list(p) for p in caught.proofs], **restates}


def _caught(entry: dict[str, Any]) -> Caught:
    restates = entry["restates"]
    return Caught(
        **{
            **entry,
            "causes": tuple(entry["causes"]),
            "business_date": date.fromisoformat(entry["business_date"]),
            "proofs": tuple(Proof(*p) for p in entry["proofs"]),
            "restates": date.fromisoformat(restates) if restates else None,
        }
    )


# --- what was found -------------------------------------------------------------------------------------------------------


def scorecard(bank: Bank) -> Scorecard:
    """All days of the list, looked up in the ledger and in the lake."""
    noted = _read(bank)
    injected: dict[str, list[Caught]] = defaultdict(list)
    for entries in noted.values():
        for caught in entries:
            injected[caught.fault].append(caught)
    with bank.ledger.begin() as db:
        look = _Look(bank, db, noted)
        findings = [look.finding(fault, injected.get(fault, [])) for fault in KINDS]
        return Scorecard(sorted(noted), findings, list(look.false_alarms()))


class _Look:
    def __init__(self, bank: Bank, db: Connection, noted: dict[date, list[Caught]]):
        self.bank, self.db, self.noted = bank, db, noted
        self.entries = [caught for entries in noted.values() for caught in entries]

    # --- what is asked several times ---

    @cached_property
    def cases(self) -> list[Row[Any]]:
        return batches.cases(self.db, state=None)

    @cached_property
    def gates(self) -> list[Row[Any]]:
        query = select(GateResult.table_name, GateResult.subject, GateResult.outcome, GateResult.failed)
        return list(self.db.execute(query.where(GateResult.outcome != "pass").order_by(GateResult.gate_id)))

    @cached_property
    def alerts(self) -> list[Row[Any]]:
        return list(self.db.execute(select(*Alert.__table__.columns).where(Alert.kind != "once")))

    def lane(self, caught: Caught) -> list[Row[Any]]:
        return deliveries.find(self.db, feed=caught.feed, entity=caught.entity, business_date=caught.business_date)

    # --- one fault ---

    def finding(self, fault: str, injected: Sequence[Caught]) -> Finding:
        kind = KINDS[fault]
        said = (fault, kind.name, kind.control, kind.outcome)
        if kind.outcome == NOT_BUILT:
            return Finding(*said[:3], "", OPEN, 0, Decimal(0), "", "")
        if not injected:
            return Finding(*said, AWAY, 0, Decimal(0), "", "not asked for on these days")
        answers = [(caught, *self._answer(caught)) for caught in injected]
        missed = [(caught, found) for caught, is_caught, found in answers if not is_caught]
        told = missed or [(caught, found) for caught, _, found in answers]
        return Finding(
            *said, MISSED if missed else CAUGHT, sum(c.rows for c, *_ in answers), Decimal(sum(c.fen for c, *_ in answers)).scaleb(-2),
            ", ".join(_place(c) for c, _ in told[:3]) + (f" and {len(told) - 3} more" if len(told) > 3 else ""),
            "; ".join(dict.fromkeys(found for _, found in told[:3])),
        )  # fmt: skip

    def _answer(self, caught: Caught) -> tuple[bool, str]:
        """(was it caught, what was found)."""
        answer = getattr(self, f"_{caught.outcome}")
        is_caught, found = answer(caught)
        wrong = [told for proof in caught.proofs if (told := self._disproved(caught, proof))]
        held = ["the lake holds what was sent"] if caught.proofs and not wrong else []
        return (is_caught and not wrong), "; ".join([found, *wrong, *held])

    def _refused(self, caught: Caught) -> tuple[bool, str]:
        lane = self.lane(caught)
        for d in lane:
            if d.state == "refused" and d.cause in caught.causes:
                has_case = any(case.delivery_id == d.delivery_id for case in self.cases)
                return has_case, f"{d.delivery_id} refused: {d.cause}" + ("" if has_case else ", without a case")
        return False, _states(lane)

    def _held(self, caught: Caught) -> tuple[bool, str]:
        lane = self.lane(caught)
        for d in lane:
            rules = self._broken(d.delivery_id)
            if d.state == "held" and rules & set(caught.causes):
                return True, f"{d.delivery_id} held: {', '.join(sorted(rules & set(caught.causes)))}"
        return False, _states(lane)

    def _missing(self, caught: Caught) -> tuple[bool, str]:
        live = [d for d in self.lane(caught) if d.state in LIVE_STATES]
        key = f"missing|{caught.feed}|{caught.entity}|{caught.business_date}"
        said = any(alert.alert_key == key for alert in self.alerts)
        return said and not live, "missing, and said so" if said else f"{_states(live)}; no alert"

    def _kept_out(self, caught: Caught) -> tuple[bool, str]:
        """The branch's day was told to a person, and the newest release of the day is without it."""
        said = [
            case
            for case in self.cases
            if (case.feed, case.entity, case.business_date) == (caught.feed, caught.entity, caught.business_date)
            and case.cause in caught.causes
        ]
        made = next(iter(releases.listing(self.db, day=caught.business_date)), None)
        lane = f"{caught.feed}|{caught.entity}|{caught.business_date}"
        if said and made is not None and lane in made.missing:
            return True, f"{made.run_key} is without {lane}: {said[0].cause}, {said[0].money or 0:,.2f} apart"
        return False, f"{_states(self.lane(caught))}; " + ("a case, and released" if said else "no case")

    def _superseded(self, caught: Caught) -> tuple[bool, str]:
        lane = self.lane(caught)
        for d in lane:
            by = next((other for other in lane if other.delivery_id == d.superseded_by), None)
            if d.state == "superseded" and by is not None and by.state in LIVE_STATES:
                return True, f"{d.delivery_id} superseded by {by.delivery_id}"
        return False, _states(lane)

    def _ignored_duplicate(self, caught: Caught) -> tuple[bool, str]:
        lane = self.lane(caught)
        same = [d for d in lane if d.state == "ignored_duplicate" and d.cause in caught.causes]
        return bool(same), f"{same[0].delivery_id} ignored: {same[0].cause}" if same else _states(lane)

    def _rejected(self, caught: Caught) -> tuple[bool, str]:
        rows = sum(case.affected_rows for case in self._cases_of(caught))
        if rows:
            causes = sorted({case.cause for case in self._cases_of(caught)})
            return rows >= caught.rows, f"{rows} of {caught.rows} rows rejected: {', '.join(causes)}"
        return False, _states(self.lane(caught))

    def _cases_of(self, caught: Caught) -> list[Row[Any]]:
        """Those of the lane's rows, and those of the day's tables: each version of a day opens its own, and the newest counts."""
        lane = {d.delivery_id for d in self.lane(caught)}
        rows = [case for case in self.cases if case.kind == "rows" and case.cause in caught.causes]
        of_day = [case for case in rows if case.feed is None and case.business_date == caught.business_date]
        newest = {(case.table_name, case.cause): case for case in sorted(of_day, key=lambda case: case.case_id)}
        return [case for case in rows if case.delivery_id in lane] + list(newest.values())

    def _duplicate(self, caught: Caught) -> tuple[bool, str]:
        rows = sum(d.duplicate_rows or 0 for d in self.lane(caught))
        return rows >= caught.rows, f"{rows} rows counted once"

    def _accepted(self, caught: Caught) -> tuple[bool, str]:
        # A member's lane is that of its own feed.
        lane = [d for d in self.lane(caught) if d.state not in ("superseded", "ignored_duplicate")]
        live = [d for d in lane if d.state in LIVE_STATES]
        return bool(live) and len(live) == len(lane), _states(lane)

    def _unreachable(self, caught: Caught) -> tuple[bool, str]:
        """Somebody was told that the source does not answer, and afterwards all came. What nobody fetched is no proof's row."""
        key = f"source_down|{caught.feed}|{caught.business_date}"
        if not any(alert.alert_key == key for alert in self.alerts):
            return False, f"{_states(self.lane(caught))}; no alert"
        came, found = self._accepted(caught)
        return came, f"said to be down; {found}"

    def _noted(self, caught: Caught) -> tuple[bool, str]:
        lane = self.lane(caught)
        for d in lane:
            if d.state in LIVE_STATES and any(cause in (self._note(d) or "") for cause in caught.causes):
                return True, f"{d.delivery_id} {d.state}: {self._note(d)}"
        return False, _states(lane)

    def _note(self, delivery: Row[Any]) -> str | None:
        """What was said of a delivery when it was verified."""
        query = select(DeliveryEvent.note).where(
            DeliveryEvent.delivery_id == delivery.delivery_id, DeliveryEvent.state == "verified"
        )
        return self.db.execute(query.order_by(DeliveryEvent.event_id.desc()).limit(1)).scalar_one_or_none()

    def _warned(self, caught: Caught) -> tuple[bool, str]:
        lane = self.lane(caught)
        subjects = {d.delivery_id for d in lane}
        for gate in self.gates:
            rules = {failed["rule"] for failed in gate.failed} & set(caught.causes)
            if rules and (gate.subject in subjects or gate.subject.startswith(str(caught.business_date))):
                return True, f"the gate of {gate.table_name} said {gate.outcome}: {', '.join(sorted(rules))}"
        return False, f"{_states(lane)}; no gate said anything"

    def _broken(self, subject: str) -> set[str]:
        return {failed["rule"] for gate in self.gates if gate.subject == subject for failed in gate.failed}

    def _restated(self, caught: Caught) -> tuple[bool, str]:
        assert caught.restates is not None
        for made in releases.listing(self.db, day=caught.restates):
            if made.cause in ANEW:
                return True, f"{made.run_key} released: {made.cause}"
        for delivery in self.lane(caught):
            if any(
                alert.alert_key == f"closed_month|{caught.restates}|{delivery.delivery_id}" for alert in self.alerts
            ):
                return True, f"{caught.restates} waits for approval, for its month is closed"
        return False, f"{caught.restates} was not told anew; {_states(self.lane(caught))}"

    def _expected(self, caught: Caught) -> tuple[bool, str]:
        """Feeds that go by the official calendar owe that day, and have come; movements within opening hours are within them."""
        day, catalog = caught.business_date, self.bank.catalog
        by_calendar = [
            lane
            for lane in days.owed_lanes(self.db, catalog, day)
            if catalog.sources[lane.feed].schedule.calendar == catalog.profile.calendar
        ]
        absent = [
            lane
            for lane in by_calendar
            if not deliveries.find(self.db, feed=lane.feed, entity=lane.entity, business_date=day, states=LIVE_STATES)
        ]
        within = self._rows_where("silver.transactions", f"business_date = date '{day}' and not is_out_of_hours")
        owed = ", ".join(map(str, by_calendar)) or "nothing"
        found = f"{day:%A}: by the calendar {owed} owed" + (f", not here {', '.join(map(str, absent))}" if absent else "")  # fmt: skip
        return bool(by_calendar) and not absent and within > 0, f"{found}; {within} movements within opening hours"  # fmt: skip

    def _unchanged(self, caught: Caught) -> tuple[bool, str]:
        """Each file was claimed once, and of each delivery that counts the lake holds just the rows that the ledger counted."""
        live = [
            d
            for d in deliveries.find(self.db, business_date=caught.business_date, states=LIVE_STATES)
            if d.live_batch is not None
        ]
        keys = [d.claim_key for d in live]
        wrong = ["a file was claimed twice"] if len(set(keys)) != len(keys) else []
        by_feed: dict[str, list[Row[Any]]] = defaultdict(list)
        for d in live:
            by_feed[d.feed].append(d)
        for feed, those in by_feed.items():
            held = dict(self._rows_of(feed, those))
            wrong += [
                f"{d.delivery_id}: {held.get(d.delivery_id, 0)} rows in the lake, {d.received_rows} received"
                for d in those
                if held.get(d.delivery_id, 0) != d.received_rows
            ]
        if not caught.causes:
            wrong.append("nobody saw it happen")
        said = f"{', '.join(caught.causes)}; {len(live)} deliveries, each row once"
        return not wrong, "; ".join(wrong) or said

    def _rows_of(self, feed: str, those: Sequence[Row[Any]]) -> Iterable[tuple[str, int]]:
        with duckdb.connect() as engine:
            engine.register("t", self.bank.lake.dataset(f"bronze.{feed}"))
            live = ", ".join(f"('{d.delivery_id}', {d.live_batch})" for d in those)
            query = f"select __delivery_id, count(*) from t where (__delivery_id, __batch) in ({live}) group by 1"
            return engine.execute(query).fetchall()

    def _disproved(self, caught: Caught, proof: Proof) -> str | None:
        """What the lake holds instead of what it should."""
        if not self.bank.lake.exists(proof.table):
            return f"{proof.table} does not exist"
        where = proof.where
        if proof.table.startswith("bronze."):
            live = [f"'{d.delivery_id}'" for d in self.lane(caught) if d.state in LIVE_STATES]
            where += f" and __delivery_id in ({', '.join(live) or 'null'})"
        rows = self._rows_where(proof.table, where)
        return None if rows == proof.rows else f"{rows} rows of {proof.table} where {proof.where}, not {proof.rows}"

    def _rows_where(self, table: str, where: str) -> int:
        """Accepted rows; none of a table that is not there."""
        if not self.bank.lake.exists(table):
            return 0
        with duckdb.connect() as engine:
            engine.register("t", self.bank.lake.dataset(table))
            [(rows,)] = engine.execute(
                f"select count(*) from ({self._counted(table)} from t where __verdict = 'accepted' and {where})"
            ).fetchall()
        return int(rows)

    def _counted(self, table: str) -> str:
        """Rows by one; of what is fetched by a watermark equal ones once, for the overlap of two looks is read twice."""
        source = self.bank.catalog.sources.get(table.removeprefix("bronze."))
        is_read_twice = source is not None and isinstance(source.pull, PostgresTable)
        return (
            f"select distinct {', '.join(self.bank.catalog.tables[table].physical_columns)}"
            if is_read_twice
            else "select 1"
        )

    # --- what was caught though nothing was wrong with it ---

    def false_alarms(self) -> Iterable[FalseAlarm]:
        for day in sorted(self.noted):
            arrived = deliveries.find(self.db, business_date=day)
            for d in arrived:
                if d.state in STOPPED and not self._injected(d, ("refused", "held")):
                    yield FalseAlarm(d.state, f"{d.feed} of {d.entity} for {day}", d.reason or "")
            yield from self._rejected_rows({d.delivery_id: d for d in arrived})
            yield from self._gates({d.delivery_id: d for d in arrived}, day)
        first = min(self.noted, default=None)
        for alert in self.alerts:
            if first is not None and not self._explained(alert, first):
                yield FalseAlarm(f"alert {alert.kind}", alert.alert_key, alert.message)

    def _at(self, feed: str | None, entity: str | None, day: date) -> list[Caught]:
        return [c for c in self.noted.get(day, []) if (c.feed, c.entity) == (feed, entity)]

    def _injected(self, d: Row[Any], outcomes: Sequence[str]) -> bool:
        return any(c.outcome in outcomes for c in self._at(d.feed, d.entity, d.business_date))

    def _rejected_rows(self, arrived: dict[str, Row[Any]]) -> Iterable[FalseAlarm]:
        for case in self.cases:
            d = arrived.get(case.delivery_id or "")
            if case.kind != "rows" or d is None:
                continue
            wanted = sum(c.rows for c in self._at(d.feed, d.entity, d.business_date) if case.cause in c.causes)
            if case.affected_rows > wanted:
                extra = case.affected_rows - wanted
                yield FalseAlarm(f"{extra} rows rejected", f"{d.feed} of {d.entity} for {d.business_date}", case.reason)

    def _gates(self, arrived: dict[str, Row[Any]], day: date) -> Iterable[FalseAlarm]:
        """Warnings where the day's lane is clean; of tables built from all lanes, where nothing was injected up to that day."""
        is_clean = not any(entries for noted, entries in self.noted.items() if noted <= day)
        for gate in self.gates:
            d = arrived.get(gate.subject)
            of_clean_day = is_clean and gate.subject.startswith(str(day))
            if (d is not None and not self._at(d.feed, d.entity, day)) or of_clean_day:
                said = " ".join(failed["sentence"] for failed in gate.failed if failed["on_fail"] != "quarantine")
                where = f"{d.feed} of {d.entity} for {day}" if d is not None else f"{gate.table_name} for {day}"
                yield FalseAlarm(f"gate {gate.outcome}", where, said)

    def _explained(self, alert: Row[Any], first: date) -> bool:
        """An alert about a lane where something was injected, or about a time before the list begins."""
        said = f"{alert.alert_key} {alert.message}"
        if alert.kind == "source_down":
            shut = [c for c in self.entries if c.outcome == "unreachable"]
            return alert.raised_at.date() < first or any(
                alert.alert_key == f"source_down|{c.feed}|{c.business_date}" for c in shut
            )
        for c in self.entries:
            lane = [d.delivery_id for d in self.lane(c)] if c.feed else []
            if c.feed and (f"|{c.entity}|{c.business_date}" in said or any(d in said for d in lane)):
                return True
            if c.feed and any(cause in said for cause in c.causes) and str(c.business_date) in said:
                return True
        return alert.raised_at.date() < first


def _place(caught: Caught) -> str:
    return f"{caught.feed}|{caught.entity}|{caught.business_date}" if caught.feed else f"{caught.business_date}"


MOST_TOLD = 3


def _states(lane: Sequence[Row[Any]]) -> str:
    """Each delivery with its state; of many, how many are in which."""
    if len(lane) > MOST_TOLD:
        return ", ".join(f"{number} {state}" for state, number in Counter(d.state for d in lane).items())
    return (
        ", ".join(f"{d.delivery_id} {d.state}" + (f" ({d.cause})" if d.cause else "") for d in lane) or "nothing came"
    )


__all__ = ["FalseAlarm", "Finding", "Scorecard", "list_of", "note_day", "note_seen", "scorecard"]
