"""Arrival and bronze: what waits in the inbox becomes `rows`, and `rows` become judged rows of bronze, a gate a delivery.

One Spark pass takes all verified deliveries of a feed. Each delivery is judged by itself and goes live by itself: a bad one stops nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection, Row

from jobs.bank import Bank, as_decided, open_bank
from jobs.contracts import Catalog, Rule, Table
from jobs.contracts.model import DATE_IS, IN_REACH, TOO_EARLY, TOO_LATE, Reach
from jobs.lake import room, session
from jobs.lake.log import SchemaDiffers
from jobs.lake.tables import Stamp
from jobs.ledger import LedgerUnavailable, batches, clock, days, deciding, deliveries, fixes
from jobs.privacy.free_text import masked
from jobs.quality.repairs import Repairs
from jobs.seams import seam

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from jobs.arrival.land import Landed
    from jobs.quality.gate import Gate

log = structlog.get_logger()
NO_MONEY = Decimal(0)
# A feed that fails for longer than that is told: a server that starts again takes less.
PATIENCE = timedelta(seconds=100)
# Among whose equal values a uniqueness rule of bronze compares rows, and which of equal copies counts: the first by ORDER.
UNIQUE_WITHIN, ORDER = ["__delivery_id", "__business_date"], ["__line"]


@dataclass(frozen=True)
class Measured:
    """What a batch holds: delivery -> its metrics; delivery -> its counts by business date; delivery -> other dates whose figures it changes;
    delivery -> rule -> values that no list has."""

    by_delivery: dict[str, dict[str, Any]]
    by_date: dict[str, list[dict[str, Any]]]
    affects: dict[str, list[date]]
    unlisted: dict[str, dict[str, dict[str, Any]]]


def land(profile: str, run_id: str, progress: Callable[[Landed], None] | None = None) -> list[str]:
    """Claim, verify and decode all that waits. Returns `feed|wave` keys: a feed of which deliveries were verified, and the wave that will take them. Feeds that a day
    waits for come first: few are loaded at once."""
    from jobs.arrival.inbox import inbox_of
    from jobs.arrival.land import land as land_all

    bank = open_bank(profile)
    inbox = inbox_of(bank.catalog, lambda: bank.ledger)
    landed = land_all(bank.catalog, bank.ledger, inbox, run_id, progress=progress)
    if not landed:
        log.info("no_change", why="nothing lies in the inbox that was not taken before")
    with bank.ledger.begin() as db:
        feeds = sorted(
            {one.feed for one in landed if one.state == "verified"},
            key=lambda feed: (not _is_waited_for(bank.catalog, feed), feed),
        )
        return [f"{feed}|{deliveries.next_wave(db)}" for feed in feeds]


def _is_waited_for(catalog: Catalog, feed: str) -> bool:
    """Whether a business day waits for what came of a feed: its lanes are required, or tables are built from it (decision 0009)."""
    return catalog.sources[feed].schedule.required or bool(catalog.bronze(feed).conforms)


def load(profile: str, feed: str, wave: str, run_id: str) -> dict[str, int]:
    """Bronze and its gate for all verified deliveries of a feed, what an earlier run left unfinished included. Returns state -> deliveries.

    Raises LedgerUnavailable, SparkUnavailable or DiskFull with one clear message; the next run goes on with the same batch. People are told of a feed that fails for long,
    and at once of a table that is not as its contract says: no later try mends that.
    """
    bank = open_bank(profile)
    done: dict[str, int] = {}
    try:
        with room():
            for batch in _batches(bank, feed, wave, run_id):
                for state in _load_batch(bank, feed, batch, run_id):
                    done[state] = done.get(state, 0) + 1
    except LedgerUnavailable:
        raise
    except Exception as error:
        _say_failing(bank, feed, wave, error)
        raise
    with bank.ledger.begin() as db:
        batches.end_of_feed(db, batches.LOAD_FAILS, feed, f"{feed}: what waited is loaded.")
    if not done:
        log.info("no_change", feed=feed, why="all that was verified is loaded")
    return done


def _say_failing(bank: Bank, feed: str, wave: str, error: Exception) -> None:
    """Tell people, until it is loaded, that what was verified of a feed does not come into bronze."""
    with bank.ledger.begin() as db:
        begun = batches.unfinished(db, f"bronze.{feed}")
        since = batches.known_since(db, f"load_failed|{feed}|{begun[0].batch_id if begun else wave}")
        if not isinstance(error, SchemaDiffers) and since > datetime.now(UTC) - PATIENCE:
            return
        waiting = len(deliveries.find(db, feed=feed, states=["verified"]))
        told = (
            str(error)
            if isinstance(error, SchemaDiffers)
            else f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        )
        message = (
            f"{feed} is not loaded, {waiting} {'file waits' if waiting == 1 else 'files wait'}: {masked(told, bank.catalog.profile.today(clock.now(db)))} It is tried again by itself, "
            f"and nothing is lost. Owner: {bank.catalog.sources[feed].owner}."
        )
        batches.alert_of_feed(db, batches.LOAD_FAILS, feed, message)


def _batches(bank: Bank, feed: str, wave: str, run_id: str) -> list[Row[Any]]:
    """Unfinished batches of the feed, and a new one when verified deliveries wait, or such as a fix has judged again."""
    table = f"bronze.{feed}"
    with bank.ledger.begin() as db:
        unfinished = batches.unfinished(db, table)
        new = batches.start(db, table, f"{feed}|{wave}", run_id)
        if new.batch_id not in {b.batch_id for b in unfinished}:
            if _waits_for_corrected(bank, db, feed):
                batches.set_state(db, new.batch_id, "passed", metrics={"deliveries": 0})
            elif len(deliveries.take_verified(db, feed, new.batch_id)) + fixes.take(db, feed, new.batch_id):
                unfinished.append(new)
            else:
                batches.set_state(db, new.batch_id, "passed", metrics={"deliveries": 0})
        return unfinished


def _waits_for_corrected(bank: Bank, db: Connection, feed: str) -> bool:
    """What is corrected came with its correction and is not in bronze yet: roll-call rings for the correction again."""
    corrected = bank.catalog.bronze(feed).corrects
    return corrected is not None and bool(deliveries.find(db, feed=corrected.split(".")[1], states=["verified"]))


def _load_batch(bank: Bank, feed: str, batch: Row[Any], run_id: str) -> list[str]:
    bank = as_decided(bank)  # after the batch took its deliveries: a code that was given a meaning before that is known
    table = bank.catalog.bronze(feed)
    with bank.ledger.begin() as db:
        waiting = deliveries.of_batch(db, batch.batch_id)
        decided = Repairs.of(fixes.applied_to(db, [d.delivery_id for d in waiting], batch.batch_id))
    if not waiting:
        with bank.ledger.begin() as db:
            batches.set_state(db, batch.batch_id, "passed", metrics={"deliveries": 0})
        return []
    rules = bank.catalog.rules(table)
    stamp = Stamp(batch.batch_id, batch.subject, run_id)
    if batch.state == "started":
        with session(sum(d.received_rows or 0 for d in waiting)) as spark:
            bank.lake.create(table)
            bank.lake.append(_judged(spark, bank, table, rules, waiting, decided, stamp), table, stamp)
        seam("after_bronze_write")
        with bank.ledger.begin() as db:
            batches.set_state(db, batch.batch_id, "written", delta_version=bank.lake.version(table.table))
    measured = _measure(bank, table, rules, batch.batch_id)
    states = [_settle(bank, table, rules, batch.batch_id, row, measured, decided, run_id) for row in waiting]
    _finish(bank, table, batch, measured)
    return states


def _judged(
    spark: SparkSession,
    bank: Bank,
    table: Table,
    rules: Sequence[Rule],
    waiting: Sequence[Row[Any]],
    decided: Repairs,
    stamp: Stamp,
) -> DataFrame:
    """`rows` of these deliveries, typed and judged, in bronze's shape."""
    from pyspark.sql import functions as F

    from jobs.quality.canaries import CANARY
    from jobs.quality.casting import cast
    from jobs.quality.verdicts import judge, repeated, row_hash

    profile = bank.catalog.profile
    rows, kinds = _rows(
        spark, table, [d.rows_uri for d in waiting], {d.rows_uri for d in waiting if d.state != "verified"}
    )
    rows = decided.corrected(_with_canaries(spark, table, rules, rows, kinds), table.physical_columns)
    typed = cast(rows, table, zone=profile.zone)
    batch = dict.fromkeys([*(d.delivery_id for d in waiting), CANARY], stamp.batch_id)
    typed = typed.withColumn("__batch", _per_delivery(batch, "bigint"))
    own = _business_date(table, profile.zone)
    if own is not None and (reach := table.reach_of_dates) is not None:
        # A row whose date is out of reach is one of its delivery's day: it opens none of its own.
        typed = typed.withColumn(DATE_IS, _in_reach(own, reach))
        own = F.when(F.col(DATE_IS) == IN_REACH, own)
    day = F.coalesce(own, F.col("__lane_date")) if own is not None else F.col("__lane_date")
    # A canary belongs to no day: its date would widen the range by which files are passed over.
    dated = typed.withColumn("__business_date", F.when(F.col("__delivery_id") != CANARY, day))
    if table.corrects:
        from jobs.correction_feeds import with_original_found

        dated = with_original_found(dated, _originals(spark, bank, table, dated), table)
    hashed = decided.without_kept_out(dated.withColumn("__row_hash", row_hash(table.compared)), "__cast_errors")
    return judge(
        hashed, rules, within=UNIQUE_WITHIN, order=ORDER, already=F.col("__cast_errors"),
        suspects=None if decided.texts else repeated([d.rows_uri for d in waiting], table, rules), exempt=decided.exempt(),
    )  # fmt: skip


def _originals(spark: SparkSession, bank: Bank, table: Table, corrections: DataFrame) -> DataFrame | None:
    """What counts now of the corrected table, of the dates that the corrections speak of; None where nothing does."""
    corrected = bank.catalog.tables[str(table.corrects)]
    dates = {row[0] for row in corrections.select("__business_date").distinct().collect()} - {None}
    if not dates:
        return None
    with bank.ledger.begin() as db:
        parts = deliveries.live_parts(db, [corrected.name], min(dates), max(dates))
    parts = [part for part in parts if part.business_date in dates]
    return bank.lake.of_parts(spark, corrected, parts) if parts else None


def _rows(
    spark: SparkSession, table: Table, uris: Sequence[str], again: Collection[str] = ()
) -> tuple[DataFrame, dict[str, str]]:
    """What arrival wrote, and its columns with their types. Files of today's contract are read by its columns: Spark would run a job to look for them. One that was written under another
    contract keeps its own, so that a column that it lacks is an error and no null; but `again`, files of deliveries that were judged before, have null in a column that came later.
    """
    import pyarrow.parquet as pq
    from pyspark.sql import functions as F

    from jobs.arrival.rows import spark_schema

    schema = spark_schema(table)
    names = {uri: pq.read_schema(uri).names for uri in uris}
    former = [uri for uri in uris if names[uri] != list(schema)]
    if set(former) - set(again):
        rows = spark.read.parquet(*uris)
        return rows, dict(rows.dtypes)
    current = [uri for uri in uris if uri not in former]
    frames = [spark.read.schema(_ddl(schema)).parquet(*current)] if current else []
    for uri in former:
        had = {name: schema[name] for name in names[uri] if name in schema}
        later = {name: F.lit(None).cast(kind) for name, kind in schema.items() if name not in had}
        frames.append(spark.read.schema(_ddl(had)).parquet(uri).withColumns(later).select(*schema))
    return reduce(lambda a, b: a.unionByName(b), frames), schema


def _ddl(schema: Mapping[str, str]) -> str:
    return ", ".join(f"`{name}` {kind}" for name, kind in schema.items())


def _with_canaries(
    spark: SparkSession, table: Table, rules: Sequence[Rule], rows: DataFrame, kinds: Mapping[str, str]
) -> DataFrame:
    """Known-bad rows ride along, under a delivery of their own that never goes live: one accepted means that a rule is blind."""
    from jobs.quality.canaries import CANARY, canary_rows

    known_bad = canary_rows(table, list(rules))
    if not known_bad:
        return rows
    lines = [{**row, "__delivery_id": CANARY, "__line": n} for n, row in enumerate(known_bad, 1)]
    columns = [name for name in kinds if name != "__sealed"]
    schema = ", ".join(f"`{name}` {kinds[name]}" for name in columns)
    birds = spark.createDataFrame([tuple(line.get(name) for name in columns) for line in lines], schema)
    birds = birds.coalesce(1)  # one small file beside the rows', not one a core
    return rows.drop("__sealed").unionByName(birds)


def _per_delivery(values: Mapping[str, Any], kind: str) -> Column:
    """A constant of each row's delivery.

    Looked up, for one delivery too: a number or a date of its own in the query would be one in the code that Spark makes of it, which
    would have to be compiled anew for each delivery.
    """
    from pyspark.sql import functions as F

    pairs = [part for delivery, value in values.items() for part in (F.lit(delivery), F.lit(value).cast(kind))]
    return F.try_element_at(F.create_map(*pairs), F.col("__delivery_id"))


def _business_date(table: Table, zone: str) -> Column | None:
    from pyspark.sql import functions as F

    if table.business_date:
        return F.expr(table.business_date.replace("$zone", zone)).cast("date")
    return F.col("business_date") if "business_date" in table.columns else None


def _in_reach(own: Column, reach: Reach) -> Column:
    """Whether a row's own date lies near enough to its delivery's; without one, it has the delivery's. A canary says what it says."""
    from pyspark.sql import functions as F

    from jobs.quality.canaries import CANARY

    days_after = F.coalesce(F.datediff(own, F.col("__lane_date")), F.lit(0))
    is_history = F.col("__entity") == days.TAKE_ON
    said = F.when(days_after > reach.ahead, TOO_LATE).when((days_after < -reach.back) & ~is_history, TOO_EARLY)
    return F.when(F.col("__delivery_id") == CANARY, F.col(DATE_IS)).otherwise(said.otherwise(IN_REACH))


def _measure(bank: Bank, table: Table, rules: Sequence[Rule], batch_id: int) -> Measured:
    """What the batch holds, measured on its own files."""
    from jobs.quality import unlisted
    from jobs.quality.canaries import CANARY
    from jobs.quality.casting import MALFORMED
    from jobs.quality.metrics import FIRST_MALFORMED, counted, first_malformed, measure

    written = bank.lake.written(table, batch_id)
    by_delivery = {
        m.pop("__delivery_id"): m for m in measure(written, table, rules, batch=batch_id, by=["__delivery_id"])
    }
    if any(found[MALFORMED] for delivery, found in by_delivery.items() if delivery != CANARY):
        for delivery, first in first_malformed(written, batch=batch_id).items():
            by_delivery[delivery][FIRST_MALFORMED] = first
    by_date: dict[str, list[dict[str, Any]]] = {}
    for counts in counted(written, table, batch=batch_id, by=["__delivery_id", "__business_date"]):
        by_date.setdefault(counts.pop("__delivery_id"), []).append(counts)
    values = unlisted.count(written, bank.catalog, table, by_delivery, batch=batch_id)
    return Measured(by_delivery, by_date, _affects(bank, table, written, batch_id), values)


def _affects(bank: Bank, table: Table, written: Sequence[str], batch_id: int) -> dict[str, list[date]]:
    """Delivery -> dates of other rows that its accepted rows of a batch speak of."""
    from jobs.quality.metrics import distinct

    if not table.affects:
        return {}
    return distinct(written, table.affects, batch=batch_id, by="__delivery_id", zone=bank.catalog.profile.zone)


def _settle(
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


def _finish(bank: Bank, table: Table, batch: Row[Any], measured: Measured) -> None:
    """The batch is done; a canary that was accepted raises an alarm."""
    from jobs.quality.canaries import CANARY

    metrics = measured.by_delivery
    alive = (metrics.get(CANARY) or {}).get("accepted_rows") or 0
    with bank.ledger.begin() as db:
        batches.set_state(db, batch.batch_id, "passed", metrics={"deliveries": len(metrics) - (CANARY in metrics)})
        if alive:
            message = f"{alive} known-bad row(s) passed the gate of {table.table}: a rule is blind. See `ledgerlake gates {table.table}`."
            batches.alert(db, f"canary|{table.table}|{table.version}", "canary", message)


def ready_days(profile: str) -> list[str]:
    """Ask the ledger which days are ready or must be restated; keys of the runs that were asked for just now. A key whose ring is lost is rung again
    by roll-call."""
    bank = open_bank(profile)
    with bank.ledger.begin() as db:
        return deciding.decide(db, bank.catalog)
