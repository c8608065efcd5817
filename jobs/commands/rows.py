"""rows: rows of a table of the lake, as they were last released, and where each came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any

import sqlglot
import typer
from sqlalchemy import Row
from sqlglot import exp
from sqlglot.errors import SqlglotError

from jobs.bank import Bank, open_bank
from jobs.commands.output import Bad, BankOption, JsonOption, console, day_of, show
from jobs.contracts import Table
from jobs.contracts.errors import nearest
from jobs.lake.released import files_of
from jobs.lake.tables import HISTORY, business_date_column
from jobs.ledger import batches, days, deliveries, releases
from jobs.serving.mart_schema import HIDDEN, LONG, TAIL, masked

# What arrival keeps of what identifies a person and tells nobody who it is.
HARMLESS = ("_valid", "_last4", "_garbled")
MOST = 10_000
SOURCES_SHOWN = 5


def register(app: typer.Typer) -> None:
    app.command(
        epilog="Examples: ledgerlake rows silver.branches · ledgerlake rows silver.transactions --date 2026-09-15 --where 'amount > 20000' --explain"
    )(rows)


def rows(
    bank: BankOption,
    table: Annotated[str, typer.Argument(help="The table, for instance silver.transactions.")],
    day: Annotated[
        str | None, typer.Option("--date", help="Business date; the newest released one when left out. Of a table with history: as it was on that date.")
    ] = None,
    where: Annotated[str | None, typer.Option(help="Only rows of which this is true: SQL over columns that are not masked.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="So many rows.")] = 20,
    explain: Annotated[bool, typer.Option("--explain", help="Where each row came from: delivery, file and line, and the run that made it.")] = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Rows of a table as of the last release (bronze: of the deliveries that count now), in the order of its key. What names a person or an account is masked as in the mart: of a text its end, of a date its year."""
    the_bank = open_bank(bank)
    if table not in (known := the_bank.catalog.tables):
        raise Bad(f"There is no table {table}. {nearest(table, list(known))} Known: {', '.join(known)}.", 2)
    of = known[table]
    condition = _condition(of, where) if where else None
    with the_bank.ledger.begin() as db:
        made = releases.newest(db)
        wanted = day_of(day) if day else days.last_released_day(db)
    if wanted is None or (made is None and of.layer != "bronze"):
        raise Bad(
            f"Nothing was released yet: {table} has no rows to show. `ledgerlake releases --waiting` says what is waited for."
        )
    found = (
        _bronze(the_bank, of, wanted, condition, limit + 1)
        if of.layer == "bronze"
        else _released(the_bank, of, made, wanted, condition, limit + 1)
    )
    shown = [_row(of, row) for row in found[:limit]]
    if explain:
        told = _sources(the_bank, of, found[:limit])
        shown = [row | {"from": of_row} for row, of_row in zip(shown, told, strict=True)]
    columns = (
        [*of.primary_key, *(name for name in shown[0] if name not in of.primary_key and name != "from")]
        if shown
        else []
    )
    show(
        shown,
        columns,
        as_json=as_json,
        clock=the_bank.catalog.profile.clock,
        move=[name for name in reversed(columns) if name not in of.primary_key],
        below=lambda row: [_said(one) for one in row.get("from", [])],
        empty=f"{table} has no such row on {wanted}.",
    )
    if len(found) > limit and not as_json:
        console.print(f"There are more: --limit (up to {MOST:,}), or --where.", style="dim")


# --- which rows -------------------------------------------------------------------------------------------------------


def _condition(table: Table, where: str) -> str:
    """The condition, when it is one on a row alone and speaks of nothing that is masked. Raises Bad."""
    try:
        parsed = sqlglot.parse_one(where, read="duckdb")
    except SqlglotError as error:
        said = getattr(error, "errors", None) or [{"description": str(error).splitlines()[0]}]
        raise Bad(
            f"--where {where!r} is no SQL condition ({said[0]['description']}). Write for instance \"amount > 100 and currency = 'CNY'\".",
            2,
        ) from error
    if not isinstance(parsed, exp.Condition) or parsed.find(exp.Query, exp.Subquery):
        raise Bad(
            f"--where {where!r} is no condition on a row alone: it looks into no other table. Write for instance \"amount > 100 and currency = 'CNY'\".",
            2,
        )
    for name in sorted({column.name for column in parsed.find_all(exp.Column)}):
        if name not in table.physical_columns:
            raise Bad(f"{table.table} has no column {name}. {nearest(name, list(table.physical_columns))}", 2)
        if _is_masked(table, name):
            raise Bad(
                f"{name} of {table.table} is masked: a condition on it would tell what it is. Look for the row by another column.",
                2,
            )
    return parsed.sql("duckdb")


def _released(bank: Bank, table: Table, made: Row[Any] | None, day: date, where: str | None, limit: int) -> list[dict[str, Any]]:  # fmt: skip
    """Rows of a silver or gold table in the version that the newest release names."""
    assert made is not None
    with bank.ledger.begin() as db:
        of_release = releases.tables(db, made.release_id).get(table.table)
    if of_release is None:
        raise Bad(f"{table.table} is in no release yet: nothing that arrived is built into it.")
    at, within = "__verdict = 'accepted'", {}
    if table.history == "scd2":
        at += " and valid_from <= $day and coalesce(valid_to > $day, true)"
    elif name := _dated(table):
        at += f' and "{name}" = $day'
        within = {name: (day, day)}
    columns = [*table.physical_columns, *(HISTORY if table.history == "scd2" else {}), "sources", "batch"]
    return _query(bank, table, of_release.delta_version, within, at, where, columns, {"day": day}, limit)


def _dated(table: Table) -> str | None:
    """The column by which a day's rows are found, of a table that has one."""
    if table.history == "append":
        return "as_of_date" if "as_of_date" in table.columns else None
    return business_date_column(table)


def _bronze(bank: Bank, table: Table, day: date, where: str | None, limit: int) -> list[dict[str, Any]]:
    """Accepted rows of a date, of the deliveries that count now."""
    with bank.ledger.begin() as db:
        parts = deliveries.live_parts(db, [table.name], day, day)
    if not parts:
        return []
    numbers = [part.batch_id for part in parts]
    within: dict[str, tuple[Any, Any]] = {"__batch": (min(numbers), max(numbers)), "__business_date": (day, day)}
    at = "__verdict = 'accepted' and __business_date = $day and list_contains($parts, concat(__batch, '/', __delivery_id))"
    columns = [*table.physical_columns, "__delivery_id", "__line", "__batch"]
    given = {"day": day, "parts": sorted({f"{part.batch_id}/{part.delivery_id}" for part in parts})}
    return _query(bank, table, None, within, at, where, columns, given, limit)


def _query(
    bank: Bank, table: Table, version: int | None, within: dict[str, tuple[Any, Any]], at: str, where: str | None, columns: Sequence[str],
    given: Mapping[str, Any], limit: int,
) -> list[dict[str, Any]]:  # fmt: skip
    import duckdb

    lake_table = files_of(bank.ledger, bank.lake, table.table, version, within)
    there = [name for name in columns if name in lake_table.schema.names]
    order = [name for name in (*table.primary_key, "__delivery_id", "__line") if name in there]
    listed, by = (", ".join(f'"{name}"' for name in names) for names in (there, order))
    condition = f" and coalesce(({where}), false)" if where else ""
    sql = f"select {listed} from lake_table where {at}{condition} order by {by} limit {int(limit)}"
    with duckdb.connect() as engine:
        engine.execute("set timezone = 'UTC'")
        engine.register("lake_table", lake_table)
        # The condition is a person's: it reads no file and changes no setting.
        engine.execute("set enable_external_access = false")
        engine.execute("set lock_configuration = true")
        try:
            found = engine.execute(sql, dict(given)).fetchall()
        except duckdb.Error as error:
            raise Bad(f"The rows of {table.table} cannot be read so: {str(error).splitlines()[0]}", 2) from error
    return [dict(zip(there, row, strict=True)) for row in found]


# --- what is shown of them --------------------------------------------------------------------------------------------


def _is_masked(table: Table, name: str) -> bool:
    """What is made of what identifies a person; and what the mart masks, or would mask if it were there."""
    column = table.physical_columns[name]
    if name not in table.columns and not name.endswith(HARMLESS) and any(
        declared.identifies and name in declared.physical(own) for own, declared in table.columns.items()
    ):  # fmt: skip
        return True
    is_nested = column.type.startswith(("array", "struct", "map"))
    return (
        masked(table, name, column)
        or column.classification.startswith("C3")
        or (is_nested and column.classification.startswith("C2"))
    )


def _row(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    names = [name for name in row if name in table.physical_columns or (table.history == "scd2" and name in HISTORY)]
    return {name: _shown(table, name, row[name]) for name in names}


def _shown(table: Table, name: str, value: Any) -> Any:
    if value is None or name not in table.physical_columns or not _is_masked(table, name):
        return value
    if name in table.columns and isinstance(value, date):
        return str(value.year)
    return HIDDEN + value[-TAIL:] if name in table.columns and isinstance(value, str) and len(value) > LONG else HIDDEN


def _sources(bank: Bank, table: Table, found: Sequence[Mapping[str, Any]]) -> list[list[dict[str, Any]]]:
    """Of each row the lines that it was made of, and the run that made it."""
    listed: list[list[dict[str, Any]]] = []
    with bank.ledger.begin() as db:
        runs: dict[int, str] = {}
        files: dict[str, Any] = {}
        for row in found:
            batch = row.get("batch", row.get("__batch"))
            if batch is not None and batch not in runs:
                runs[batch] = batches.get(db, batch).subject
            lines = (
                [(row["__delivery_id"], row["__line"])] if table.layer == "bronze"
                else [(one["delivery_id"], one["line"]) for one in row.get("sources") or []]
            )  # fmt: skip
            told: list[dict[str, Any]] = []
            for delivery_id, line in lines[:SOURCES_SHOWN]:
                if delivery_id not in files:
                    files[delivery_id] = deliveries.get(db, delivery_id)
                of = files[delivery_id]
                told.append(
                    {
                        "delivery_id": delivery_id,
                        "line": line,
                        "feed": of.feed,
                        "entity": of.entity,
                        "file_name": of.file_name,
                    }
                )
            if more := len(lines) - SOURCES_SHOWN:
                told += [{"more_lines": more}] if more > 0 else []
            if not lines or table.layer != "bronze":
                told.append(
                    {"run": runs.get(batch) if batch is not None else None, "reads": [] if lines else list(table.reads)}
                )
            listed.append(told)
    return listed


def _said(one: Mapping[str, Any]) -> str:
    if "line" in one:
        return f"from line {one['line']} of {one['file_name']} ({one['delivery_id']}: {one['feed']} of {one['entity']})"
    if "more_lines" in one:
        return f"and {one['more_lines']} lines more"
    return f"made by run {one['run']}" + (f" of {', '.join(one['reads'])}" if one["reads"] else "")
