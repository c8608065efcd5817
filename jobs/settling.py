"""What becomes of the deliveries of a batch that was written: each has a gate and a balance of its own, and goes live, or waits for a person, or stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row

from jobs.bank import Bank
from jobs.contracts import Rule, Table
from jobs.ledger import batches, days, deliveries, fixes
from jobs.quality.repairs import Repairs
from jobs.seams import seam

if TYPE_CHECKING:
    from jobs.quality.gate import Gate

NO_MONEY = Decimal(0)


@dataclass(frozen=True)
class Measured:
    """What a batch holds: delivery -> its metrics; delivery -> its counts by business date; delivery -> other dates whose figures it changes;
    delivery -> rule -> values that no list has."""

    by_delivery: dict[str, dict[str, Any]]
    by_date: dict[str, list[dict[str, Any]]]
    affects: dict[str, list[date]]
    unlisted: dict[str, dict[str, dict[str, Any]]]


def measure(bank: Bank, table: Table, rules: Sequence[Rule], batch_id: int) -> Measured:
    """What the batch holds, measured on its own files."""
    from jobs.quality import metrics, unlisted
    from jobs.quality.canaries import CANARY
    from jobs.quality.casting import MALFORMED

    written = bank.lake.written(table, batch_id)
    by_delivery = {
        m.pop("__delivery_id"): m for m in metrics.measure(written, table, rules, batch=batch_id, by=["__delivery_id"])
    }
    if any(found[MALFORMED] for delivery, found in by_delivery.items() if delivery != CANARY):
        for delivery, first in metrics.first_malformed(written, batch=batch_id).items():
            by_delivery[delivery][metrics.FIRST_MALFORMED] = first
    by_date: dict[str, list[dict[str, Any]]] = {}
    for counts in metrics.counted(written, table, batch=batch_id, by=["__delivery_id", "__business_date"]):
        by_date.setdefault(counts.pop("__delivery_id"), []).append(counts)
    values = unlisted.count(written, bank.catalog, table, by_delivery, batch=batch_id)
    return Measured(by_delivery, by_date, _affects(bank, table, written, batch_id), values)


def _affects(bank: Bank, table: Table, written: Sequence[str], batch_id: int) -> dict[str, list[date]]:
    """Delivery -> dates of other rows that its accepted rows of a batch speak of."""
    from jobs.quality.metrics import distinct

    if not table.affects:
        return {}
    return distinct(written, table.affects, batch=batch_id, by="__delivery_id", zone=bank.catalog.profile.zone)


def settle(
    bank: Bank, table: Table, rules: Sequence[Rule], batch_id: int, delivery: Row[Any], measured: Measured, decided: Repairs, run_id: str
) -> str:  # fmt: skip
    """Gate and balance of one delivery; it goes live, or waits for a person, or stops. Judged again because of a fix, it stays as it was where its gate
    does not pass."""
    from jobs.quality import data_docs, unlisted
    from jobs.quality.balance import Balance
    from jobs.quality.gate import evaluate
    from jobs.quality.metrics import nothing
    from jobs.quality.usual import is_told_in_usual, with_bounds

    found = measured.by_delivery.get(delivery.delivery_id) or nothing(table, list(rules))
    if is_told_in_usual(rules):
        with bank.ledger.begin() as db:
            rules = with_bounds(rules, deliveries.usual_rows(db, delivery))
    gate = evaluate(table, decided.rules_for(delivery.delivery_id, rules), found, subject=delivery.delivery_id)
    balance = Balance.from_metrics(
        found, received_rows=delivery.received_rows, received_money=delivery.received_money if table.money else None,
        corrected_money=_money_corrected(table, delivery, decided),
    )  # fmt: skip
    outcome, why = (gate.outcome, gate.sentence()) if balance.is_balanced else ("stop", balance.sentence())
    is_again = delivery.state != "verified"
    if is_again and (lost := _lost(bank, table, delivery, batch_id, decided)):
        outcome, why = "stop", lost
    # What is live has its page; judged again, it gets another.
    name = f"{delivery.delivery_id}_{batch_id}" if is_again else delivery.delivery_id
    docs = data_docs.render(gate, bank.docs / f"{name}_{table.name}.html", outcome, why)
    values = measured.unlisted.get(delivery.delivery_id, {})
    with bank.ledger.begin() as db:
        unlisted.keep_first_day(db, table, delivery, values)
        batches.record_gate(
            db, batch_id=batch_id, table=table.table, subject=delivery.delivery_id, outcome=outcome, rules_run=gate.rules_run,
            failed=unlisted.with_values(gate.failed, values), result=gate.result, docs_path=str(docs), run_id=run_id,
        )  # fmt: skip
        batches.record_balance(
            db, batch_id=batch_id, table=table.table, subject=delivery.delivery_id, **balance.as_record()
        )
    seam("before_live")
    totals: dict[str, Any] = {
        f"{part}_{unit}": found.get(f"{part}_{unit}") or (0 if unit == "rows" else NO_MONEY)
        for part in ("accepted", "rejected", "duplicate")
        for unit in ("rows", "money")
    }
    with bank.ledger.begin() as db:
        deliveries.lock_lane(db, delivery)
        current = deliveries.get(db, delivery.delivery_id)
        replayed = fixes.running(db, batch_id, delivery.delivery_id)
        if current.state != "verified" and not replayed:
            return current.state
        if (above := deliveries.outranked_by(db, current)) is not None:
            deliveries.supersede(db, current, above, run_id, live_batch=batch_id, **totals)
            return _overtaken(db, current, above, replayed)
        if replayed and outcome in ("stop", "hold"):
            for fix in replayed:
                fixes.end(db, fix, delivery.delivery_id, "failed", why)
            _open_file_case(bank, db, table, delivery, outcome, why, run_id)
            return current.state
        _open_cases(bank, db, table, gate, delivery, batch_id, run_id)
        if codes := _known_codes(bank, table, gate):
            fixes.again_for_codes(db, codes, delivery.delivery_id)
        batches.alert_rules(db, table=table.table, subject=delivery.delivery_id, failed=gate.failed)
        if outcome in ("stop", "hold"):
            state = "refused" if outcome == "stop" else "held"
            deliveries.set_state(db, delivery.delivery_id, state, run_id, reason=why, cause=f"gate_{outcome}", **totals)
            _open_file_case(bank, db, table, delivery, outcome, why, run_id)
            return state
        dates = [
            {"business_date": d["__business_date"]}
            | {
                f"{p}_{u}": d.get(f"{p}_{u}") or (0 if u == "rows" else NO_MONEY)
                for p in ("accepted", "rejected", "duplicate")
                for u in ("rows", "money")
            }
            for d in measured.by_date.get(delivery.delivery_id, [])
        ]
        is_read = bool(table.conforms)
        cause = days.REPAIRED if replayed or table.corrects else None
        deliveries.go_live(
            db, delivery.delivery_id, batch_id, run_id, dates=dates, totals=totals, is_read=is_read, cause=cause
        )
        for former in deliveries.replaced_by(db, delivery.delivery_id) + deliveries.refused_below(db, current):
            batches.close_cases(db, delivery_id=former, note=f"sent again as {delivery.delivery_id}")
        if replayed:
            _end_replays(db, table, gate, delivery, replayed)
        affected = [
            *measured.affects.get(delivery.delivery_id, []),
            *(_affected_before(bank, table, delivery) if replayed else ()),
        ]
        days.mark_changed(db, delivery, affected)
        return deliveries.get(db, delivery.delivery_id).state


def _overtaken(db: Connection, delivery: Row[Any], above: Row[Any], replayed: Sequence[int]) -> str:
    """Another delivery counts in its lane, whatever its gate says of this one: no day is told anew, and nobody is asked for anything."""
    for fix in replayed:
        fixes.end(db, fix, delivery.delivery_id, "overtaken", f"{above.delivery_id} counts")
    batches.close_cases(db, delivery_id=delivery.delivery_id, note=f"{above.delivery_id} counts")
    return "superseded"


def _money_corrected(table: Table, delivery: Row[Any], decided: Repairs) -> Decimal:
    """By how much corrections change the money that was received: what their amounts say, without what the lines said as they came."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from jobs.arrival.totals import sum_of

    new = {
        line: texts[table.money]
        for (of, line), texts in decided.texts.items()
        if of == delivery.delivery_id and table.money in texts
    }
    if not new or table.money is None:
        return NO_MONEY
    came = pq.read_table(delivery.rows_uri, columns=[table.money], filters=[("__line", "in", sorted(new))])[table.money]
    way = table.physical_columns[table.money].way
    return sum_of(pa.array(new.values(), pa.string()), way)[0] - sum_of(came.combine_chunks(), way)[0]


def _lost(bank: Bank, table: Table, delivery: Row[Any], batch_id: int, decided: Repairs) -> str | None:
    """What is wrong when rows that count are rejected now and no fix speaks of them: a correction gave another row their key, for instance."""
    import duckdb

    from jobs.quality.metrics import parquet

    if delivery.live_batch is None or delivery.live_batch == batch_id:
        return None
    files = sorted({*bank.lake.written(table, delivery.live_batch), *bank.lake.written(table, batch_id)})
    spoken_of = {line for of, line in decided.texts if of == delivery.delivery_id}
    with duckdb.connect() as engine:
        rows = f"{parquet(files)} where __delivery_id = $delivery and __batch = "
        found = engine.execute(
            f"select __line, __reasons from {rows} $new and __verdict = 'rejected' and __line in "
            f"(select __line from {rows} $live and __verdict <> 'rejected') order by 1",
            {"delivery": delivery.delivery_id, "new": batch_id, "live": delivery.live_batch},
        ).fetchall()
    lost = [(line, reasons) for line, reasons in found if line not in spoken_of]
    if not lost:
        return None
    (line, reasons), number = lost[0], len(lost)
    return (
        f"{number} row{'s' if number > 1 else ''} of {delivery.delivery_id} that count would be rejected with this fix (line {line}: {', '.join(reasons)}). "
        "Nothing was changed; correct the fix, or what it collides with, too."
    )


def _affected_before(bank: Bank, table: Table, delivery: Row[Any]) -> list[date]:
    """Dates of other rows that those of the delivery spoke of as it was live."""
    if not table.affects or delivery.live_batch is None:
        return []
    written = bank.lake.written(table, delivery.live_batch)
    return _affects(bank, table, written, delivery.live_batch).get(delivery.delivery_id, [])


def _end_replays(db: Any, table: Table, gate: Gate, delivery: Row[Any], replayed: Sequence[int]) -> None:
    """The fixes are applied: cases of which nothing is left are closed; of the others it is known what is left."""
    left = {failed["rule"] for failed in gate.failed if failed["on_fail"] == "quarantine" and failed["unexpected"]}
    note = f"fixed by {', '.join(f'fix {fix}' for fix in replayed)}"
    batches.close_cases(db, delivery_id=delivery.delivery_id, note=note, but=left)
    for fix in replayed:
        fixes.end(db, fix, delivery.delivery_id, "done")


def _open_cases(bank: Bank, db: Any, table: Table, gate: Gate, delivery: Row[Any], batch_id: int, run_id: str) -> None:
    """One case a cause: the rows that a quarantine rule caught in this delivery."""
    for failed in gate.failed:
        if failed["on_fail"] == "quarantine" and failed["unexpected"]:
            batches.open_case(
                db, kind="rows", table=table.table, cause=failed["rule"], subject=delivery.delivery_id, reason=failed["sentence"],
                affected_rows=failed["unexpected"], money=failed.get("money"), owner=bank.catalog.sources[delivery.feed].owner, run_id=run_id,
                feed=delivery.feed, entity=delivery.entity, business_date=delivery.business_date, delivery_id=delivery.delivery_id,
            )  # fmt: skip


def _open_file_case(bank: Bank, db: Any, table: Table, delivery: Row[Any], outcome: str, why: str, run_id: str) -> None:
    """The case of a file that its gate holds or stops, or does not let live again with a fix."""
    batches.open_case(
        db, kind="file", table=table.table, cause=f"gate_{outcome}", subject=delivery.delivery_id, reason=why,
        affected_rows=delivery.received_rows or 0, money=delivery.received_money, owner=bank.catalog.sources[delivery.feed].owner,
        run_id=run_id, feed=delivery.feed, entity=delivery.entity, business_date=delivery.business_date, delivery_id=delivery.delivery_id,
    )  # fmt: skip


def _known_codes(bank: Bank, table: Table, gate: Gate) -> dict[str, set[str]]:
    """Reference list -> the codes that it knew, for the rules that caught rows here by a list."""
    named = {rule.id: rule.reference for rule in table.all_rules if rule.reference}
    caught = {named[failed["rule"]] for failed in gate.failed if failed["unexpected"] and failed["rule"] in named}
    return {name: set(map(str, bank.catalog.references[name].allowed())) for name in caught}


def finish(bank: Bank, table: Table, batch: Row[Any], measured: Measured) -> None:
    """The batch is done; a canary that was accepted raises an alarm."""
    from jobs.quality.canaries import CANARY

    metrics = measured.by_delivery
    alive = (metrics.get(CANARY) or {}).get("accepted_rows") or 0
    with bank.ledger.begin() as db:
        batches.set_state(db, batch.batch_id, "passed", metrics={"deliveries": len(metrics) - (CANARY in metrics)})
        if alive:
            message = f"{alive} known-bad row(s) passed the gate of {table.table}: a rule is blind. See `ledgerlake gates {table.table}`."
            batches.alert(db, f"canary|{table.table}|{table.version}", "canary", message)
