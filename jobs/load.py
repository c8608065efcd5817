"""Arrival and bronze: what waits in the inbox becomes `rows`, and `rows` become judged rows of bronze, a gate a delivery.

One Spark pass takes all verified deliveries of a feed. Each delivery is judged by itself and goes live by itself (jobs/settling.py): a bad one stops nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection, Row

from jobs import settling
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

log = structlog.get_logger()
# A feed that fails for longer than that is told: a server that starts again takes less.
PATIENCE = timedelta(seconds=100)
# Among whose equal values a uniqueness rule of bronze compares rows, and which of equal copies counts: the first by ORDER.
UNIQUE_WITHIN, ORDER = ["__delivery_id", "__business_date"], ["__line"]


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
            _must_fit(bank.catalog.bronze(feed), {d.rows_uri: _names(d.rows_uri) for d in _waiting(bank, feed)})
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
    """Unfinished batches of the feed, and a new one when verified deliveries wait, or such as a fix has judged again. Those that were taken in under another contract are in none."""
    table = f"bronze.{feed}"
    others = {d.delivery_id for d in _waiting(bank, feed) if not _fits(bank.catalog.bronze(feed), _names(d.rows_uri))}
    with bank.ledger.begin() as db:
        unfinished = batches.unfinished(db, table)
        new = batches.start(db, table, f"{feed}|{wave}", run_id)
        if new.batch_id not in {b.batch_id for b in unfinished}:
            if _waits_for_corrected(bank, db, feed):
                batches.set_state(db, new.batch_id, "passed", metrics={"deliveries": 0})
            elif len(deliveries.take_verified(db, feed, new.batch_id, without=others)) + fixes.take(
                db, feed, new.batch_id
            ):
                unfinished.append(new)
            else:
                batches.set_state(db, new.batch_id, "passed", metrics={"deliveries": 0})
        return unfinished


def _waiting(bank: Bank, feed: str) -> list[Row[Any]]:
    """Verified deliveries of the feed that no batch has."""
    with bank.ledger.begin() as db:
        return [d for d in deliveries.find(db, feed=feed, states=["verified"]) if d.load_batch is None]


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
    measured = settling.measure(bank, table, rules, batch.batch_id)
    states = [settling.settle(bank, table, rules, batch.batch_id, row, measured, decided, run_id) for row in waiting]
    settling.finish(bank, table, batch, measured)
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
    """What arrival wrote, and its columns with their types. Files are read by the contract's columns: Spark would run a job to look for them. `again`, files of deliveries that were judged
    before, have null in a column that came later.

    Raises SchemaDiffers for others that were taken in under another contract.
    """
    from pyspark.sql import functions as F

    from jobs.arrival.rows import spark_schema

    schema = spark_schema(table)
    named = {uri: _names(uri) for uri in uris}
    _must_fit(table, {uri: names for uri, names in named.items() if uri not in again})
    former = {uri: names for uri, names in named.items() if names != list(schema)}
    current = [uri for uri in uris if uri not in former]
    frames = [spark.read.schema(_ddl(schema)).parquet(*current)] if current else []
    for uri, names in former.items():
        had = {name: schema[name] for name in names if name in schema}
        later = {name: F.lit(None).cast(kind) for name, kind in schema.items() if name not in had}
        frames.append(spark.read.schema(_ddl(had)).parquet(uri).withColumns(later).select(*schema))
    return reduce(lambda a, b: a.unionByName(b), frames), schema


def _names(uri: str) -> list[str]:
    """Columns of a file of rows."""
    import pyarrow.parquet as pq

    return list(pq.read_schema(uri).names)


def _fits(table: Table, names: Collection[str]) -> bool:
    """A file of rows with these columns was written under this contract: none is missing, and none would be dropped."""
    from jobs.arrival.rows import spark_schema

    return set(names) == set(spark_schema(table))


def _must_fit(table: Table, named: Mapping[str, Collection[str]]) -> None:
    """Raises SchemaDiffers for files of rows, each with its columns, that were written under another contract. What their senders' files have in a column that came since, nobody can tell from them; and a column
    that was taken out is not dropped from what was promised to be kept."""
    from jobs.arrival.rows import spark_schema

    if not (others := [names for names in named.values() if not _fits(table, names)]):
        return
    now, then = set(spark_schema(table)), {name for names in others for name in names}
    came = {name for names in others for name in now.difference(names)}
    parts = [f"lack {', '.join(sorted(came))}"] * bool(came) + [f"have {', '.join(sorted(then - now))}"] * bool(
        then - now
    )
    raise SchemaDiffers(
        f"{len(others)} of them {'was' if len(others) == 1 else 'were'} taken in under another contract of {table.table}; their rows {' and '.join(parts)}. Put the contract back as it "
        f"was, without `ledgerlake contracts apply`, and the next load takes them (`ledgerlake files --feed {table.name} --state verified` shows none any more); then change it again."
    )


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


def ready_days(profile: str) -> list[str]:
    """Ask the ledger which days are ready or must be restated; keys of the runs that were asked for just now. A key whose ring is lost is rung again
    by roll-call."""
    bank = open_bank(profile)
    with bank.ledger.begin() as db:
        return deciding.decide(db, bank.catalog)
