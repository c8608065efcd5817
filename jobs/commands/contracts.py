"""contracts check, export, import, plan, drift, apply."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from jobs.bank import open_bank
from jobs.commands.output import Bad, BankOption, console
from jobs.contracts import ContractError, load, profiles
from jobs.contracts.catalog import check as check_all
from jobs.contracts.errors import Mistake
from jobs.ledger import batches
from jobs.settings import settings

app = typer.Typer(
    no_args_is_help=True, help="Contracts: check them, exchange them as ODCS, bring changes to live tables."
)


@app.command(epilog="Example: ledgerlake contracts check")
def check(bank: Annotated[str | None, typer.Option("--bank", "-b", help="Only this bank.")] = None) -> None:
    """Check every contract, source, KPI and reference list. Each mistake is named with file, line and remedy. A calendar that ends within a month (by the real date) and a live table that waits for `contracts apply` are told too, and are no mistakes."""
    told: list[Mistake] = []
    ending: list[str] = []
    if not (banks := [bank] if bank else profiles()):
        raise Bad(
            f"There is no bank in {settings().expectations}: nothing was checked. Expected profiles/<bank>.yaml there; LEDGERLAKE_EXPECTATIONS names the folder."
        )
    for profile in banks:
        try:
            catalog = check_all(profile)
        except ContractError as error:
            for mistake in error.mistakes:
                if mistake not in told:  # banks share contracts
                    console.print(str(mistake), style="red", markup=False, highlight=False, soft_wrap=True)
                told.append(mistake)
        else:
            console.print(
                f"{profile}: {len(catalog.tables)} tables, {len(catalog.sources)} sources, {len(catalog.kpis)} KPIs, no mistake."
            )
            for end in catalog.ending_calendars(catalog.profile.today(datetime.now(UTC))):
                if end.told not in ending:
                    console.print(end.told, style="yellow", highlight=False, markup=False, soft_wrap=True)
                ending.append(end.told)
            _say_unapplied(profile)
    if told:
        raise typer.Exit(1)


def _say_unapplied(profile: str) -> None:
    """Contracts that are right, and live tables that do not follow them yet: nothing can be written there."""
    if not (settings().bank(profile) / "lake").is_dir():
        return
    from jobs import schema_change

    if waiting := sorted({change.table for change in schema_change.blocking(open_bank(profile))}):
        console.print(
            f"{profile}: the live tables {', '.join(waiting)} are not as their contracts say, and what comes for them waits. "
            "`ledgerlake contracts plan` lists the differences, `ledgerlake contracts apply` brings the tables to their contracts.",
            style="yellow", highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip


@app.command(epilog="Example: ledgerlake contracts schema")
def schema() -> None:
    """Write the JSON Schemas that editors use (named in line 1 of each contract)."""
    from jobs.contracts.schemas import write_schemas

    for path in write_schemas(settings().expectations):
        console.print(str(path), markup=False, soft_wrap=True)


@app.command(epilog="Example: ledgerlake contracts export silver.transactions --to odcs/")
def export(
    bank: BankOption,
    table: Annotated[str | None, typer.Argument(help="One table; all when left out.")] = None,
    to: Annotated[Path, typer.Option(help="Folder for the ODCS files.")] = Path("odcs"),
) -> None:
    """Write contracts as ODCS (Open Data Contract Standard), each checked against the standard's own JSON Schema."""
    from jobs.contracts import odcs

    for path in odcs.export(load(bank), to, [table] if table else None):
        console.print(str(path), markup=False, soft_wrap=True)


@app.command("import", epilog="Example: ledgerlake contracts import partner.odcs.yaml --layer bronze")
def import_(
    file: Annotated[Path, typer.Argument(help="An ODCS file.")],
    layer: Annotated[str, typer.Option(help="bronze, silver or gold.")] = "bronze",
) -> None:
    """Turn an ODCS file into our compact form, printed for you to review and save."""
    from jobs.contracts import odcs

    print(odcs.import_(file, layer))


@app.command(epilog="Example: ledgerlake contracts plan")
def plan(bank: BankOption, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """What the contracts would change in live tables: added, widened, renamed or narrowed columns, and the tables and KPIs they touch."""
    from jobs import schema_change

    changes = schema_change.plan(open_bank(bank))
    if as_json:
        print(json.dumps([c.as_dict() for c in changes], ensure_ascii=False))
    else:
        for change in changes:
            console.print(str(change), markup=False, highlight=False, soft_wrap=True)
        if not changes:
            console.print("Live tables are as their contracts say.")


@app.command(epilog="Example: ledgerlake contracts drift")
def drift(bank: BankOption, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Columns that files have and their contracts do not: the lines that would add them. Check type, name and class, add them yourself, then `contracts plan`."""
    from jobs.arrival.drift import proposed
    from jobs.arrival.outcomes import COLUMN_ADDED

    the_bank = open_bank(bank)
    with the_bank.ledger.begin() as db:
        alerts = batches.alerts(db, kind=COLUMN_ADDED)
    held_back: dict[str, list[str]] = {}
    for alert in alerts:
        _, feed, name = alert.alert_key.split("|", 2)
        known = the_bank.catalog.tables.get(f"bronze.{feed}")
        if known and name not in {column.source or own for own, column in known.columns.items()}:
            held_back.setdefault(feed, []).append(name)
    if as_json:
        print(json.dumps({feed: [proposed(n) for n in names] for feed, names in held_back.items()}, ensure_ascii=False))
        return
    for feed, names in held_back.items():
        console.print(f"expectations/bronze/{feed}.yaml, under columns:", soft_wrap=True)
        for name in names:
            console.print(f"  {proposed(name)}", markup=False, highlight=False, soft_wrap=True)
    if not held_back:
        console.print("No file has a column that its contract does not have.")


@app.command(epilog="Example: ledgerlake contracts apply --yes")
def apply(bank: BankOption, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Bring live tables to their contracts: add and widen in place; what needs a rebuild is refused with the way to do it."""
    from jobs import schema_change

    the_bank = open_bank(bank)
    changes = schema_change.plan(the_bank)
    for change in changes:
        console.print(str(change), markup=False, highlight=False, soft_wrap=True)
    if not changes:
        console.print("Nothing to do.")
        return
    if not yes and not typer.confirm("Apply?"):
        raise Bad("Nothing was changed.")
    refused = False
    for line in schema_change.apply(the_bank, changes):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
        refused |= line.startswith("Not done")
    if refused:
        raise typer.Exit(1)
