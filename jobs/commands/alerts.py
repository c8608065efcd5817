"""alerts: what people were told and should look at, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from jobs.bank import open_bank
from jobs.commands.output import Bad, BankOption, JsonOption, console, show
from jobs.commands.quarantine import me
from jobs.ledger import batches

OPEN = ["number", "raised_at", "kind", "alert_key"]


def register(app: typer.Typer) -> None:
    group = typer.Typer(invoke_without_command=True, no_args_is_help=False)
    group.callback(epilog="Examples: ledgerlake alerts · ledgerlake alerts --all --last 20 --json")(alerts)
    group.command(epilog="Example: ledgerlake alerts close 12 --reason 'the partner has posted it under a new id'")(
        close
    )
    app.add_typer(group, name="alerts")


def alerts(
    context: typer.Context,
    bank: BankOption,
    every: Annotated[bool, typer.Option("--all", help="Those too that ended, and how.")] = False,
    last: Annotated[int, typer.Option(min=1, help="How many of all, the newest.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Alerts that are open, newest first: lanes that are missing, files that were refused or held, sources that do not answer, days that were stopped, releases that are not in the mart, contracts that change money unsaid. All by the bank's clock; a demo's stands still and moves with `ledgerlake demo` only. Open ones among them give exit status 1.

    Most end by themselves. Of the others a person says that they were looked at (close).
    """
    if context.invoked_subcommand:
        return
    the_bank = open_bank(bank)
    with the_bank.ledger.begin() as db:
        found = batches.alerts_told(db, last) if every else batches.alerts(db)[::-1]
    show(
        found, [*OPEN, "closed_at"] if every else OPEN, as_json=as_json, clock=the_bank.catalog.profile.clock, move=["alert_key", "closed_at"], below=_told,
        empty="Nobody was told of anything yet." if every else "No alert is open.",
    )  # fmt: skip
    if any(row.closed_at is None for row in found):
        raise typer.Exit(1)


def close(
    number: Annotated[int, typer.Argument(metavar="ALERT", help="Number of the alert.")],
    bank: BankOption,
    reason: Annotated[str, typer.Option(help="What was found or done; those who were told of the alert read it.")],
) -> None:
    """Close an alert that only a person can judge; who closed it, when and why is kept. One that ends by itself is not closed while its cause stands."""
    if not reason.strip():
        raise Bad("Say with --reason what was found or done.", 2)
    with open_bank(bank).ledger.begin() as db:
        found = batches.alert_of(db, number)
        if found is None:
            raise Bad(f"There is no alert {number}. `ledgerlake alerts` lists those that are open.", 2)
        if found.closed_at is None and (when := batches.ENDS_BY_ITSELF.get(found.kind)):
            raise Bad(f"Alert {number} ({found.kind}) stays open: it ends by itself when {when}. {found.message}")
        if not batches.close_by_hand(db, number, me(), reason.strip()):
            raise Bad(f"Alert {number} has ended already. `ledgerlake alerts --all` shows how.")
    console.print(f"Alert {number} is closed by {me()}.", highlight=False)


def _told(row: Mapping[str, Any]) -> list[str]:
    return [text for text in (row["message"], row["end"] and f"ended: {row['end']}") if text]
