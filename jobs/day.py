"""A business day from its start to its release: what happens around the building of its tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection, Row

from jobs import reconcile
from jobs.bank import Bank, open_bank
from jobs.build import Run, open_run
from jobs.lease import WRITER, WriterBusy, give_back, hold_writer
from jobs.ledger import batches, days, leases, releases
from jobs.seams import seam

if TYPE_CHECKING:
    import pyarrow

log = structlog.get_logger()


def begin(profile: str, run_key: str, run_id: str) -> str:
    """Take the writer's lease, take back what a dead or stopped run left in the tables, and fix what this run builds from. Returns the run's state. A run that was released
    and is not shown (it was cleared as a whole) is running again: its tables and its release answer that they are done, and it is published."""
    bank = open_bank(profile)
    run = open_run(bank, run_key, run_id)
    hold_writer(bank, run, wait=60)
    with bank.ledger.begin() as db:
        left = releases.unreleased(db, but=run_key)
    _take_back(bank, left)
    with bank.ledger.begin() as db:
        begun = days.start(
            db, bank.catalog, run_key, run_id, keep_out=lambda parts: _disagreeing(bank, db, parts, run_key, run_id)
        )
        return "running" if begun.state == "released" and releases.not_shown(db, run_key) else str(begun.state)


def _disagreeing(bank: Bank, db: Connection, parts: Sequence[Row[Any]], run_key: str, run_id: str) -> set[days.Lane]:
    """The lanes of branch-days that two feeds tell differently: they are not built from."""
    return reconcile.report(db, bank.catalog, reconcile.compare(bank.catalog, bank.lake, parts), run_key, run_id)


def _take_back(bank: Bank, left: Sequence[Row[Any]]) -> None:
    """Put each table back to where it stood before an unreleased run wrote it, newest write first. Only the holder of the lease may do this."""
    written = [
        b for b in left if b.previous_version is not None and bank.lake.committed(b.table_name, b.batch_id) is not None
    ]
    for batch in written:
        bank.lake.restore(batch.table_name, batch.previous_version)
    with bank.ledger.begin() as db:
        for batch in left:
            batches.set_state(db, batch.batch_id, "restored")


def release(profile: str, run_key: str, run_id: str) -> int:
    """All gates passed: make the run's tables visible at once. One transaction, under the lease; twice is once. Returns the release's number."""
    bank = open_bank(profile)
    run = open_run(bank, run_key, run_id)
    token = hold_writer(bank, run)
    seam("before_release")
    branches = _branch_history(bank)
    with bank.ledger.begin() as db:
        made, written = releases.get(db, run_key), releases.written_by(db, run_key)
    says_the_same = made is None and _says_the_same(bank, run, written)
    with bank.ledger.begin() as db:
        leases.check(db, WRITER, run_key, token)
        written = releases.written_by(db, run_key)
        _must_be_whole(bank, run_key, written)
        former = releases.newest(db)
        tables: dict[str, tuple[int, int | None]] = {}
        if former is not None:
            tables = {
                name: (row.delta_version, row.batch_id) for name, row in releases.tables(db, former.release_id).items()
            }
        tables |= {name: (b.delta_version, b.batch_id) for name, b in written.items() if b.delta_version is not None}
        release_id = releases.release(db, run.row, tables, run_id, is_no_change=says_the_same)
        built = [name for name, b in written.items() if not (b.metrics or {}).get("unchanged")]
        batches.close_told_anew(db, tables=built, dates=(run.first, run.last), run_key=run_key)
        if branches:
            days.replace_units(db, branches)
    seam("after_release")
    return release_id


def _says_the_same(bank: Bank, run: Run, written: dict[str, Row[Any]]) -> bool:
    """Whether the run says what was told before: a note beside its release. Where the comparison fails, the release goes out without it, and the log says why."""
    from jobs.no_change import is_no_change

    try:
        return is_no_change(bank, run, written)
    except Exception as error:  # whatever it is: all gates passed, and no reader waits for a note
        log.warning("not_compared", run=run.key, why=f"{type(error).__name__}: {error}", exc_info=True)
        return False


def _must_be_whole(bank: Bank, run_key: str, written: dict[str, Any]) -> None:
    wanted = {t.table for t in bank.catalog.build_order()}
    open_tables = sorted(name for name in wanted if name not in written or written[name].state != "passed")
    if open_tables:
        raise RuntimeError(
            f"Run {run_key} is not whole: {', '.join(open_tables)} did not pass their gates. Nothing was released."
        )


def _branch_history(bank: Bank) -> list[dict[str, Any]]:
    """Branches with the dates between which they owe deliveries, from silver.branches as it is about to be released."""
    if not bank.lake.exists("silver.branches"):
        return []
    columns = [
        "branch_id",
        "branch_name",
        "province_code",
        "opened_on",
        "closed_on",
        "cut_off_at",
        "merged_into_branch_id",
        "valid_from",
        "is_current",
        "outlet_type",
        "__verdict",
    ]
    rows = bank.lake.dataset("silver.branches").to_table(columns=columns).to_pylist()
    accepted = [r for r in rows if r["__verdict"] == "accepted" and r["outlet_type"] != "head_office"]
    return [unit for _, told in groupby(sorted(accepted, key=_by_branch), lambda r: r["branch_id"]) for unit in branch_units(list(told))]  # fmt: skip


def _by_branch(row: dict[str, Any]) -> tuple[str, date]:
    return row["branch_id"], row["valid_from"]


def branch_units(told: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was told of one branch, oldest first, as spans in which it owes its files by one cut-off. When it was opened and closed, its name and what it was
    merged into are as they are told now; what is told first holds from its opening on. None of a branch that nobody tells of any more."""
    current = next((row for row in told if row["is_current"]), None)
    if current is None:
        return []
    opened, closed = current["opened_on"], current["closed_on"]
    cut_offs: dict[date, str | None] = {}
    for n, row in enumerate(told):
        start = max(row["valid_from"], opened) if n else opened
        is_while_open = n == 0 or closed is None or start < closed
        if is_while_open and (not cut_offs or row["cut_off_at"] != [*cut_offs.values()][-1]):
            cut_offs[start] = row["cut_off_at"]
    return [
        {
            "branch_id": current["branch_id"],
            "valid_from": start,
            "valid_to": end,
            "name": current["branch_name"] or current["branch_id"],
            "province_code": current["province_code"],
            "cut_off": cut_off,
            "merged_into": current["merged_into_branch_id"],
        }
        for (start, cut_off), end in zip(cut_offs.items(), [*list(cut_offs)[1:], closed], strict=True)
    ]


def publish(profile: str, run_key: str, run_id: str) -> None:
    """Bring the released rows to the PostgreSQL mart, in one transaction."""
    from jobs.serving import mart

    bank = open_bank(profile)
    with bank.ledger.begin() as db:
        made = releases.get(db, run_key)
    if made is None:
        raise RuntimeError(f"Run {run_key} was not released: nothing to publish")
    with bank.ledger.begin() as db:
        released = releases.tables(db, made.release_id)
    # A bank without a feed for a table has nothing to show there.
    frames = {
        t.table: _visible(bank, t.table, made)
        for t in bank.catalog.build_order()
        if t.mart is not None and t.table in released
    }
    mart.publish(bank.ledger, bank.catalog, made.release_id, frames, run_id)


def _visible(bank: Bank, table_name: str, made: Any) -> pyarrow.Table:
    """The rows of a table that a release makes visible: of its dates (facts), of its own key (appended figures), or as they stand (history)."""
    import pyarrow.compute as pc

    from jobs.lake.tables import business_date_column

    table = bank.catalog.tables[table_name]
    with bank.ledger.begin() as db:
        version = releases.tables(db, made.release_id)[table_name].delta_version
    columns = list(table.physical_columns)
    extra = ["valid_from", "valid_to", "is_current"] if table.history == "scd2" else []
    where, within = pc.field("__verdict") == "accepted", {}
    if table.history == "scd2":
        where = where & pc.field("is_current")
    elif table.history == "append":
        where, within = where & (pc.field("release_id") == made.run_key), {"release_id": (made.run_key, made.run_key)}
    else:
        column = business_date_column(table)
        where = where & (pc.field(column) >= made.from_date) & (pc.field(column) <= made.to_date)
        within = {column: (made.from_date, made.to_date)}
    return bank.lake.dataset(table_name, version, within).to_table(columns=[*columns, *extra], filter=where)


def report(profile: str, run_key: str, run_id: str) -> Path:
    """Write the KPI report of the release; what is written is told to the ledger. Returns the HTML file."""
    from jobs.serving import report as kpi_report

    bank = open_bank(profile)
    with bank.ledger.begin() as db:
        made = releases.get(db, run_key)
    if made is None:
        raise RuntimeError(f"Run {run_key} was not released: nothing to report")
    seam("before_report")
    path = kpi_report.write(
        bank.ledger, bank.catalog, made, _visible(bank, releases.FIGURES, made).to_pylist(), bank.reports
    )
    with bank.ledger.begin() as db:
        releases.set_report(db, made.release_id, str(path))
    return path


def settle(profile: str, run_key: str, run_id: str) -> str:
    """The run ends, well or not: a run that was not released is taken back and said to be stopped; the lease is given back. Returns the state."""
    bank = open_bank(profile)
    with bank.ledger.begin() as db:
        run = days.get(db, run_key)
        gates = [b for b in releases.written_by(db, run_key).values() if b.state in ("stopped", "held")]
    if run.state in days.OPEN_STATES:
        try:
            hold_writer(bank, open_run(bank, run_key, run_id))
        except WriterBusy:
            # Its lease ran out and a successor took over, which has put the tables back itself.
            pass
        else:
            with bank.ledger.begin() as db:
                own = releases.unreleased(db, but="", only=run_key)
            _take_back(bank, own)
        with bank.ledger.begin() as db:
            reason = _said_stop(db, run_key) if gates else "a step failed; its log says why."
            days.finish(db, run_key, "stopped" if gates else "failed", reason)
            message = f"Business day {run_key} {'stopped' if gates else 'failed'}: {reason} What was released before is unchanged."
            batches.alert(db, f"day|{run_key}", batches.DAY_STOPPED, message)
    give_back(bank, run_key)
    with bank.ledger.begin() as db:
        return days.get(db, run_key).state


def not_shown(profile: str, run_key: str) -> str | None:
    """What a released run has not shown to anybody, and what to do: people are told once. None when all that it released is shown."""
    bank = open_bank(profile)
    with bank.ledger.begin() as db:
        lacking = releases.not_shown(db, run_key)
        if not lacking:
            return None
        message = (
            f"Business day {run_key} is released, but without {' and '.join(lacking)}: a step after the release failed; its log says why. "
            "Readers see what was shown before. Clear the failed task of that run in Airflow, and those after it: done twice it is done once."
        )
        batches.alert(db, f"{batches.NOT_SHOWN}|{run_key}", batches.NOT_SHOWN, message)
    return message


def _said_stop(db: Connection, run_key: str) -> str:
    """Which gates stopped a run, and why."""
    from jobs.quality.balance import Balance
    from jobs.quality.gate import said_of

    gates = batches.stopped_by(db, run_key)
    kept = batches.balances(db, {gate.batch_id for gate in gates})
    told = []
    for gate in gates:
        balance = kept.get((gate.batch_id, gate.subject))
        is_off = balance is not None and not balance.is_balanced
        why = Balance.of_record(balance).sentence() if is_off else said_of(gate.failed)
        told.append(f"the gate of {gate.table_name} said {gate.outcome}. {why}")
    return " ".join(told)
