"""Two feeds that tell the same money twice must agree before a branch-day is built: the general ledger and the sum of the accounts (E4).

A contract says so in `reconciles`. Compared is what a run is about to build from, by the files of bronze and without Spark. A branch-day that does
not agree is kept out of the run, other branches go on; whoever resends has the day told anew, and it is compared again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
from sqlalchemy import Connection, Row

from jobs.contracts import Catalog, Table
from jobs.contracts.model import Reconciles
from jobs.ledger import batches, days, deliveries
from jobs.ledger.days import Lane

if TYPE_CHECKING:
    from jobs.lake import Lake

MOST_TOLD = 5
SUM = "decimal(38, 2)"


@dataclass(frozen=True)
class Break:
    """One thing of which two feeds tell different money. A side that tells nothing is None."""

    business_date: date
    branch: str
    what: str
    left: Decimal | None
    right: Decimal | None

    @property
    def difference(self) -> Decimal:
        return (self.left or Decimal(0)) - (self.right or Decimal(0))


@dataclass(frozen=True)
class Compared:
    """What the comparison of two tables found: the branch-days that both tell, and the breaks among them. `one_sided`: what would be a break of branch-days
    that only one side tells, if the other has come and is empty; rows do not say whether it has. `chosen`: the deliveries that were read."""

    table: Table
    other: str
    rule: Reconciles
    branch_days: frozenset[tuple[str, date]]
    breaks: tuple[Break, ...]
    one_sided: tuple[Break, ...] = ()
    chosen: frozenset[str] = frozenset()

    def with_empty(self, came: Collection[tuple[str, date]]) -> Compared:
        """The same with the branch-days of which both sides have come, whether or not there is a row in them."""
        more = tuple(b for b in self.one_sided if (b.branch, b.business_date) in came)
        return replace(self, branch_days=self.branch_days | frozenset(came), breaks=self.breaks + more)

    def broken(self) -> dict[tuple[str, date], list[Break]]:
        found: dict[tuple[str, date], list[Break]] = {}
        for one in self.breaks:
            found.setdefault((one.branch, one.business_date), []).append(one)
        return found

    def lanes(self) -> set[Lane]:
        """What must not be built from."""
        return {Lane(feed, branch, day) for branch, day in self.broken() for feed in self.rule.blocks}


def compare(catalog: Catalog, lake: Lake, parts: Sequence[Row[Any]]) -> list[Compared]:
    """Every `reconciles` of the bank over live parts (delivery_id, feed, entity, batch_id, business_date) of deliveries. A branch-day that one side
    does not tell is compared when it is reported, if that side has come all the same: an empty file is no part of anything.
    """
    return [
        _compare(catalog, lake, table, other, rule, parts)
        for table in catalog.layer("bronze")
        for other, rule in table.reconciles.items()
        if other in catalog.tables
    ]


def _compare(
    catalog: Catalog, lake: Lake, table: Table, other: str, rule: Reconciles, parts: Sequence[Row[Any]]
) -> Compared:
    left = [p for p in parts if p.feed == table.name]
    right = [p for p in parts if p.feed == catalog.tables[other].name]
    if not left and not right:
        return Compared(table, other, rule, frozenset(), ())
    keys = ", ".join(map(_quoted, rule.keys))
    with duckdb.connect() as engine:
        sides = (("l", "r", table.table, left, rule.left), ("r", "l", other, right, rule.right))
        for side, told_by, name, chosen, column in sorted(sides, key=lambda side: not side[3]):
            if not chosen:
                engine.execute(f"create table {side} as from {told_by} limit 0")
                continue
            dates = [p.business_date for p in chosen]
            within = {"__business_date": (min(dates), max(dates))}
            engine.register(f"{side}_rows", lake.dataset(name, within=within))
            engine.execute(f"create table {side}_parts (delivery varchar, batch bigint, day date)")
            engine.executemany(
                f"insert into {side}_parts values (?, ?, ?)",
                sorted({(p.delivery_id, p.batch_id, p.business_date) for p in chosen}),
            )
            # Which of the rows are compared with what is told on the other side, is for the left side to say.
            told = f"coalesce(bool_or({_quoted(rule.only)}), false)" if rule.only and side == "l" else "true"
            engine.execute(
                f"create table {side} as select __business_date as day, {keys}, sum({_quoted(column)})::{SUM} as money, {told} as counts "
                f"from {side}_rows join {side}_parts p on __delivery_id = p.delivery and __batch = p.batch and __business_date = p.day "
                f"where __verdict = 'accepted' group by all"
            )
        branch = _quoted(rule.branch)
        both = f"(select day, {branch} from l intersect select day, {branch} from r)"
        compared = engine.execute(f"select {branch}, day from {both}").fetchall()
        found = engine.execute(
            f"select day, {branch}, {keys}, l.money, r.money from l full join r using (day, {keys}) "
            "where coalesce(l.counts, true) and abs(coalesce(l.money, 0) - coalesce(r.money, 0)) > $tolerance order by all",
            {"tolerance": rule.tolerance},
        ).fetchall()
    named = [
        Break(day, at, ", ".join(str(v) for k, v in zip(rule.keys, values, strict=False) if k != rule.branch), *values[-2:])
        for day, at, *values in found
    ]  # fmt: skip
    both_tell = frozenset(compared)
    breaks = tuple(b for b in named if (b.branch, b.business_date) in both_tell)
    one_sided = tuple(b for b in named if (b.branch, b.business_date) not in both_tell)
    chosen_ids = frozenset(p.delivery_id for p in (*left, *right))
    return Compared(table, other, rule, both_tell, breaks, one_sided, chosen_ids)


def report(db: Connection, catalog: Catalog, compared: Sequence[Compared], run_key: str, run_id: str) -> set[Lane]:
    """Open a case and raise an alert for each branch-day that does not agree, close the cases of those that do by now. Returns the lanes that the run
    must leave out. Within a take-on, which is one delivery for all branches, a break is told and nothing is left out.
    """
    blocked: set[Lane] = set()
    for rows in compared:
        found = rows.with_empty(_both_came(db, catalog, rows, run_key))
        broken = found.broken()
        for branch, day in sorted(found.branch_days):
            subject, cause = f"{branch}|{day}", batches.agrees_with(found.other)
            breaks = broken.get((branch, day))
            if not breaks:
                batches.close_case(
                    db, table=found.table.table, cause=cause, subject=subject, note=f"agrees in {run_key}"
                )
                continue
            reason = sentence(found, branch, day, breaks)
            batches.open_case(
                db, kind="rows", table=found.table.table, cause=cause, subject=subject, reason=reason, affected_rows=len(breaks),
                money=sum((abs(b.difference) for b in breaks), Decimal(0)), owner=catalog.sources[found.table.name].owner, run_id=run_id,
                feed=found.table.name, entity=branch, business_date=day,
            )  # fmt: skip
            batches.alert(db, f"break|{found.table.table}|{subject}|{run_key}", "break", reason)
        blocked |= found.lanes()
    return blocked


def _both_came(db: Connection, catalog: Catalog, found: Compared, run_key: str) -> set[tuple[str, date]]:
    """Branch-days of the run of which both sides are here, empty files too. A take-on is of no branch."""
    first, last, _ = days.parse_key(run_key)
    left, right = (
        {
            (row.entity, row.business_date)
            for row in _here(db, feed, found.chosen, first, last)
            if row.entity != days.TAKE_ON
        }
        for feed in (found.table.name, catalog.tables[found.other].name)
    )
    return left & right


def _here(db: Connection, feed: str, chosen: Collection[str], first: date, last: date) -> list[Row[Any]]:
    """Live deliveries of a feed; without what went live with rows since the choice was made: the next run reads it."""
    live = deliveries.live_between(db, feed, first, last)
    since = {part.delivery_id for part in deliveries.live_parts(db, [feed], first, last)}.difference(chosen)
    return [row for row in live if row.delivery_id not in since]


def sentence(found: Compared, branch: str, day: date, breaks: Sequence[Break]) -> str:
    """What differs, by how much, and what to do."""
    told = "; ".join(
        f"{b.what}: {found.rule.left} {_said(b.left)}, sum of {found.rule.right} {_said(b.right)}, difference {b.difference:,.2f}"
        for b in sorted(breaks, key=lambda b: -abs(b.difference))[:MOST_TOLD]
    )
    more = f" and {len(breaks) - MOST_TOLD} more" if len(breaks) > MOST_TOLD else ""
    return (
        f"{branch} {day}: {found.table.table} and {found.other} differ in {len(breaks)} of {', '.join(found.rule.keys)} ({told}{more}). Expected a difference "
        f"of at most {found.rule.tolerance}. The branch's {', '.join(found.rule.blocks)} of that day are not published; ask {branch} for the one that is wrong: "
        "the day is told anew when it comes."
    )


def _said(money: Decimal | None) -> str:
    return "nothing" if money is None else f"{money:,.2f}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
