"""Whether a day that was told anew says what it said before: the same rows in every table, the same figures. Rows are compared by the columns of their
contract, not by where they came from: a file with the same rows under another name changes nothing.

Only rows of the run's own dates are read, and of tables that it wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import duckdb
from sqlalchemy import Row

from jobs.bank import Bank
from jobs.build import Run
from jobs.contracts import Table
from jobs.lake.tables import business_date_column
from jobs.ledger import days, releases
from jobs.quality.metrics import quoted

# What is told of a figure; that it is another statement, of another run, is no change.
STATEMENT, NUMBER = ("kpi_id", "period_kind", "as_of_date"), "restatement_no"
OF_THE_RUN = ("release_id", "run_id", NUMBER, "restatement_reason")
# What the figures are the sum of is told anew with each release, under its key: it follows from the tables, which are compared.
CONTRIBUTIONS = "gold.kpi_contributions"


def is_no_change(bank: Bank, run: Run, written: Mapping[str, Row[Any]]) -> bool:
    """True where all dates of the run were released before and all that it wrote is as it was. `written`: its batches by table. False of a day that was
    never told, and where fewer or more lanes stand behind it.
    """
    with bank.ledger.begin() as db:
        made = [days.newest_release(db, day) for day in days.days_between(run.first, run.last)]
    if any(one is None or _lanes(one) != _lanes(run.row) for one in made):
        return False
    return all(
        _stays(bank, run, bank.catalog.tables[name], batch)
        for name, batch in written.items()
        if batch.delta_version is not None and name != CONTRIBUTIONS
    )


def _lanes(row: Row[Any]) -> tuple[int, int, list[str]]:
    return row.expected_units, row.received_units, sorted(row.missing)


def _stays(bank: Bank, run: Run, table: Table, batch: Row[Any]) -> bool:
    if table.history == "scd2":
        return (
            bank.lake.committed(table.table, batch.batch_id) is None
        )  # states that tell the history that stands are no commit
    if table.table == releases.FIGURES:
        return _says_the_same_figures(bank, run, table, batch.delta_version)
    if table.history == "append":
        return False  # nobody knows which of its rows took the place of which
    before, after = (_content(bank, table, version, run.first, run.last) for version in (batch.previous_version, batch.delta_version))  # fmt: skip
    return before == after


def _content(bank: Bank, table: Table, version: int | None, first: date, last: date) -> tuple[Any, ...]:
    """Number of accepted rows of some dates, and a sum of their contents in which their order does not count."""
    if version is None:
        return (0, None)
    day = business_date_column(table)
    columns = ", ".join(map(quoted, table.physical_columns))
    with duckdb.connect() as engine:
        engine.execute("set timezone = 'UTC'")
        engine.register("rows", bank.lake.dataset(table.table, version, {day: (first, last)}))
        found = engine.execute(
            f"select count(*), sum(hash({columns})::hugeint) from rows where __verdict = 'accepted' and {quoted(day)} between $first and $last",
            {"first": first, "last": last},
        )
        return found.fetchall()[0]


def _says_the_same_figures(bank: Bank, run: Run, table: Table, version: int) -> bool:
    """Each figure as in the statement before it."""
    told = ", ".join(quoted(name) for name in table.physical_columns if name not in OF_THE_RUN)
    statement = ", ".join(map(quoted, STATEMENT))
    with duckdb.connect() as engine:
        files = bank.lake.dataset(table.table, version, {"release_id": (run.key, run.key)})
        engine.register("of_the_run", files)
        spans = engine.execute(
            "select min(as_of_date), max(as_of_date) from of_the_run where release_id = $run", {"run": run.key}
        ).fetchall()
        first, last = spans[0]
        if first is None:
            return True
        engine.register("every", bank.lake.dataset(table.table, version, {"as_of_date": (first, last)}))
        engine.execute(
            f"""
            create table mine as select * from every where release_id = '{run.key}' and __verdict = 'accepted';
            create table former as select * from every semi join mine using ({statement})
                where release_id <> '{run.key}' and __verdict = 'accepted'
                qualify {NUMBER} = max({NUMBER}) over (partition by {statement});
            """
        )
        differ = engine.execute(
            f"select count(*) from ((select {told} from mine except all select {told} from former) "
            f"union all (select {told} from former except all select {told} from mine))"
        ).fetchall()
        return bool(differ[0][0] == 0)
