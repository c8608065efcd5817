"""What the contracts would change in live tables, and bringing those tables to their contracts.

A column is added in place. A wider type is put in place by rewriting the table in one commit: Delta's own type
widening is a table feature that the mart's and the report's reader (delta-rs) does not know. Whatever loses values (a
narrower or other type) is never done to a live table."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from jobs.bank import Bank
from jobs.contracts import Catalog, Table
from jobs.lake import session
from jobs.lake.log import columns
from jobs.lake.tables import STATISTICS, judged_table, statistics_of, types_of
from jobs.lease import WRITER
from jobs.ledger import batches, leases, releases

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import SparkSession

# Longer than the rewrite of a large table; given back when done.
LEASE_SECONDS = 3600
HOLDER = "contracts apply"
DECIMAL = re.compile(r"^decimal\((\d+),(\d+)\)$")


class NotNow(Exception):
    """Tables are being written, or a run left them half written: nothing was changed."""


@dataclass(frozen=True)
class Change:
    """One difference between a live table and its contract. kind: added, widened, removed, retyped or statistics.

    `before` and `after` are types (or, for statistics, lists of columns); null where there is none. `in_place`: apply
    does it."""

    kind: str
    table: str
    column: str | None
    before: str | None
    after: str | None
    in_place: bool
    tables: tuple[str, ...] = ()
    kpis: tuple[str, ...] = ()
    is_tokened: bool = False  # a removed column of which the contract says now that it names a person

    @property
    def is_refused(self) -> bool:
        """The contract asks for what is never done to a live table. A column that it no longer has asks for nothing."""
        return not self.in_place and self.kind != "removed"

    def __str__(self) -> str:
        what = {
            "added": f"add {self.after}; rows of earlier builds hold null",
            "widened": f"widen {self.before} to {self.after} (the table is rewritten once)",
            "removed": f"the contract no longer has it ({self.before})"
            if not self.is_tokened
            else f"the contract has tokens in place of it ({self.before})",
            "retyped": f"{self.before} cannot become {self.after} without loss",
            "statistics": f"keep statistics of {self.after} (now: {self.before or 'the default'})",
        }[self.kind]
        reach = (
            f" Reaches {', '.join(self.tables)}" + (f"; KPIs {', '.join(self.kpis)}" if self.kpis else "") + "."
            if self.tables
            else ""
        )
        return f"{self.name}: {what}.{reach}" + ("" if self.in_place else f" Not in place: {self.remedy}")

    @property
    def name(self) -> str:
        return f"{self.table}.{self.column}" if self.column else self.table

    @property
    def remedy(self) -> str:
        """What to do instead of a change that is not made in place."""
        if self.is_tokened:
            return (
                "the column stays, and rows written from now on hold null in it. What was stored before stays in it as it came: "
                "docs/quarantine.md says what to do (An identifier that was stored in clear)."
            )
        if self.kind == "removed":
            return (
                "the column stays, and rows written from now on hold null in it. "
                "If it was renamed, nothing more is to be done: the new name is "
                "filled from now on, and in older days when they are built again."
            )
        if self.table.startswith("bronze."):
            return (
                f"give it a new name in the contract, with `from: {self.column}` for the file's field; "
                "the new column is added in place and the old one kept."
            )
        return (
            "give it a new name in the contract; the new column is added in place, "
            "filled from now on, and in older days when they are built again."
        )

    def as_dict(self) -> dict[str, Any]:
        """For machines: the fields, with `from` and `to`, and `affected` = {tables, kpis}."""
        values = asdict(self)
        return {
            "kind": self.kind,
            "table": self.table,
            "column": self.column,
            "from": values["before"],
            "to": values["after"],
            "in_place": self.in_place,
            "affected": {"tables": list(self.tables), "kpis": list(self.kpis)},
            "remedy": None if self.in_place else self.remedy,
        }


def plan(bank: Bank) -> list[Change]:
    """Every difference between the live tables and their contracts, in the order of the layers. A table that was
    never written has none."""
    from deltalake import DeltaTable

    changes: list[Change] = []
    for one in bank.catalog.tables.values():
        for table in (one, judged_table(one)):
            if bank.lake.exists(table.table):
                live = DeltaTable(bank.lake.path(table.table), without_files=True)
                changes += _differences(bank.catalog, table, one, live)
    return changes


def blocking(bank: Bank) -> list[Change]:
    """Differences that keep a live table from being written, until they are applied or taken back."""
    return [change for change in plan(bank) if change.kind in ("added", "widened", "retyped")]


def _differences(catalog: Catalog, table: Table, declared: Table, live: DeltaTable) -> Iterator[Change]:
    """`table`: the declared one, or that of its judged states."""
    have = columns(live)
    want = types_of(table)
    tables, kpis = affected(catalog, declared.table)
    for name, kind in want.items():
        if name not in have:
            yield Change("added", table.table, name, None, kind, True, tables, kpis)
        elif have[name] != kind:
            wider = is_wider(have[name], kind)
            yield Change("widened" if wider else "retyped", table.table, name, have[name], kind, wider, tables, kpis)
    for name, kind in have.items():
        if name not in want:
            is_tokened = name in declared.columns and bool(declared.columns[name].identifies)
            yield Change("removed", table.table, name, kind, None, False, tables, kpis, is_tokened)
    kept, wanted = live.metadata().configuration.get(STATISTICS), ",".join(statistics_of(table))
    if kept != wanted:
        yield Change("statistics", table.table, None, kept, wanted, True)


def is_wider(before: str, after: str) -> bool:
    """Whether every value of one type is one of the other: int in bigint, a decimal in one of more digits and the
    same scale."""
    if (before, after) == ("int", "bigint"):
        return True
    old, new = DECIMAL.match(before), DECIMAL.match(after)
    return bool(old and new) and old[2] == new[2] and int(new[1]) > int(old[1])  # type: ignore[index]


def affected(catalog: Catalog, address: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tables that read a table, directly or through others, and the KPIs whose base stands on one of all these."""
    reached: list[str] = []
    todo = [address]
    while todo:
        here = todo.pop(0)
        readers = [t.table for t in catalog.tables.values() if here in t.reads] + list(catalog.tables[here].conforms)
        for reader in readers:
            if reader not in reached and reader != address:
                reached.append(reader)
                todo.append(reader)
    names = {name.split(".")[1] for name in (address, *reached)}
    kpis = [kpi.id for kpi in catalog.kpis.values() if names & _stands_on(kpi.base)]
    return tuple(reached), tuple(kpis)


def _stands_on(base: str) -> set[str]:
    """Names of the tables that a KPI's base reads: the parameters of its function."""
    from jobs.kpi.bases import BASES

    return set(inspect.signature(BASES[base].rows).parameters) if base in BASES else set()


def apply(bank: Bank, changes: Sequence[Change], spark: SparkSession | None = None) -> Iterator[str]:
    """Make the changes that can be made in place, one commit each; a line for every change, also for those that are
    not made, and one that adds them up.

    Raises NotNow, before anything is changed, when a run writes or has left something unreleased.
    """
    wanted = [change for change in changes if change.in_place]
    with ExitStack() as stack:
        if wanted:
            _alone(bank, wanted, stack)
            spark = spark or stack.enter_context(session())
        for change in changes:
            if not change.in_place:
                yield f"{'Not done' if change.is_refused else 'Left as it is'}. {change}"
                continue
            assert spark is not None
            with bank.lake.alone(change.table):
                _make(spark, bank.lake.path(change.table), change)
            yield f"Done. {change.name}: {change.kind}, now {change.after}."
    to_do = [change.name for change in changes if change.is_refused or change.is_tokened]
    if len(changes) > 1:
        left = f" Left to a person: {', '.join(to_do)}." if to_do else " Nothing is left to do."
        yield f"{len(wanted)} of {len(changes)} changes were made.{left}"


def _is_written(db: Connection, table: str) -> bool:
    """A load is between its write and its gate. One that has not written goes on with the new columns: it may even wait for them."""
    return any(batch.state == "written" for batch in batches.unfinished(db, table))


def _alone(bank: Bank, changes: Sequence[Change], stack: ExitStack) -> None:
    """Hold the writer's lease, with nothing half done: a run that was not released would put a table back to before
    the change."""
    with bank.ledger.begin() as db:
        if leases.acquire(db, WRITER, HOLDER, LEASE_SECONDS) is None:
            raise NotNow(
                "A business day is being written. Nothing was changed; "
                "run this again when it is released (`ledgerlake releases` shows it)."
            )
    stack.callback(_give_back, bank)
    with bank.ledger.begin() as db:
        left = releases.unreleased(db, but="")
        loading = sorted(
            {change.table for change in changes if change.table.startswith("bronze.") and _is_written(db, change.table)}
        )
    if left:
        runs = ", ".join(sorted({batch.subject for batch in left}))
        raise NotNow(
            f"Run {runs} was begun and not released. Nothing was changed; "
            "let it end first (`ledgerlake releases`, `ledgerlake gates`)."
        )
    if loading:
        raise NotNow(
            f"{', '.join(loading)} is being loaded. Nothing was changed; "
            "run this again when that has ended (`ledgerlake files`)."
        )


def _give_back(bank: Bank) -> None:
    with bank.ledger.begin() as db:
        leases.release(db, WRITER, HOLDER)


def _make(spark: SparkSession, path: str, change: Change) -> None:
    if change.kind == "added":
        spark.sql(f"ALTER TABLE delta.`{path}` ADD COLUMNS (`{change.column}` {change.after})")
    elif change.kind == "statistics":
        spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('{STATISTICS}' = '{change.after}')")
    else:
        _rewrite(spark, path, change)


def _rewrite(spark: SparkSession, path: str, change: Change) -> None:
    """The whole table with one column in its wider type, as one commit.

    Loads wait for the table's lock meanwhile. Should rows have been committed all the same between the reading and the writing (by a
    client that this project does not know), they would be missing from what is written: then the commit is taken back."""
    from deltalake import DeltaTable
    from pyspark.sql import functions as F

    before = DeltaTable(path, without_files=True).version()
    rows = spark.read.format("delta").option("versionAsOf", before).load(path)
    wider = rows.withColumn(str(change.column), F.col(f"`{change.column}`").cast(str(change.after)))
    metadata = json.dumps(
        {"schema_change": f"{change.table}.{change.column}", "from": change.before, "to": change.after, "read": before}
    )
    wider.write.format("delta").mode("overwrite").option("overwriteSchema", "true").option(
        "userMetadata", metadata
    ).save(path)
    history = DeltaTable(path, without_files=True).history(50)
    own = next(int(commit["version"]) for commit in history if commit.get("userMetadata") == metadata)
    if own == before + 1:
        return
    newest = int(history[0]["version"])
    if newest != own:
        raise RuntimeError(
            f"{change.table} was written before and after it was widened (versions {before + 1} to {newest}). "
            f"Rows of the versions up to {own - 1} are "
            f"missing in it: load them again, or restore version {own - 1} and load what came after {own} again."
        )
    spark.sql(f"RESTORE TABLE delta.`{path}` TO VERSION AS OF {own - 1}")
    raise NotNow(
        f"{change.table} was written while it was being widened; the change was taken back. "
        "Run this again when nothing is loaded."
    )
