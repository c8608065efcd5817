"""releases, rollback: which version of which day is visible, and how to go back."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.bank import open_bank
from jobs.commands import watch
from jobs.commands.output import Bad, BankOption, JsonOption, console, day_of, show
from jobs.ledger import days
from jobs.ledger import releases as ledger_releases


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: ledgerlake releases 2026-09-15")(releases)
    app.command(epilog="Example: ledgerlake rollback 2026-09-15 --reason 'branch b03 sent test data'")(rollback)


def releases(
    bank: BankOption,
    day: Annotated[str | None, typer.Argument(help="Only releases of this business date.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Releases, newest first: version, kind, cause, coverage, report."""
    the_bank = open_bank(bank)
    with the_bank.ledger.begin() as db:
        rows = ledger_releases.listing(db, day=day_of(day) if day else None)
    columns = [
        "release_id",
        "run_key",
        "kind",
        "cause",
        "received_units",
        "expected_units",
        "released_at",
        "mart_published_at",
        "report_path",
    ]
    show(rows, columns, as_json=as_json, empty="Nothing was released yet.")


def rollback(
    bank: BankOption,
    day: Annotated[str, typer.Argument(help="The business date to take back.")],
    reason: Annotated[str, typer.Option(help="Why; it is written into the new release.")],
) -> None:
    """Write a day's former rows back, as a new release. No table is ever pointed backwards: versions only grow."""
    the_bank = open_bank(bank)
    with the_bank.ledger.begin() as db:
        run_key = days.request_rollback(db, the_bank.catalog, day_of(day), reason)
    if run_key is None:
        raise Bad(
            f"{day} has no release before its newest one: there is nothing to go back to. See `ledgerlake releases {day}`."
        )
    state = watch.until_settled(the_bank, run_key)
    if state != "released":
        raise Bad(
            f"{run_key} is {state}: see `ledgerlake gates` and the run in Airflow. What was released is unchanged."
        )
    console.print(f"{day} stands again as before; released as {run_key}.")
