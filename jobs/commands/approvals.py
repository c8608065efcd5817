"""approvals: days of closed months that somebody wants told anew or taken back, and what a second person says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from jobs import rollcall
from jobs.bank import open_bank
from jobs.commands import quarantine
from jobs.commands.output import BankOption, JsonOption, console, show
from jobs.ledger import approvals as asked_for

WAITING = ["approval_id", "act", "business_date", "asked_by", "asked_at"]
DECIDED = [*WAITING, "state", "decided_by", "decided_at"]
NumberArgument = Annotated[int, typer.Argument(metavar="REQUEST", help="Number of the request.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(invoke_without_command=True, no_args_is_help=False)
    group.callback(epilog="Examples: ledgerlake approvals · ledgerlake approvals --decided --json")(approvals)
    group.command(epilog="Example: ledgerlake approvals approve 3 --note 'agreed with accounting'")(approve)
    group.command(epilog="Example: ledgerlake approvals decline 3 --note 'goes into the next month'")(decline)
    app.add_typer(group, name="approvals")


def approvals(
    context: typer.Context, bank: BankOption, decided: Annotated[bool, typer.Option("--decided", help="What was decided, the newest 50.")] = False, as_json: JsonOption = False
) -> None:  # fmt: skip
    """Days of closed months that wait for a second person: who wants them told anew (`restate`) or taken back (`rollback`), and why. Some give exit status 1."""
    if context.invoked_subcommand:
        return
    the_bank = open_bank(bank)
    clock = the_bank.catalog.profile.clock
    with the_bank.ledger.begin() as db:
        found = asked_for.decided(db) if decided else asked_for.waiting(db)
    if decided:
        show(
            found, DECIDED, as_json=as_json, clock=clock, move=["asked_at", "decided_at"], below=_decision, empty="Nothing was decided yet.",
        )  # fmt: skip
        return
    show(
        found, WAITING, as_json=as_json, clock=clock, move=["asked_at"], below=lambda row: [row["reason"]], empty="No day waits for a second person.",
    )  # fmt: skip
    if found:
        raise typer.Exit(1)


def _decision(row: Mapping[str, Any]) -> list[str]:
    said = [row["reason"], row["note"], f"built as {row['run_key']}" if row["run_key"] else None]
    return [text for text in said if text]


def approve(
    number: NumberArgument, bank: BankOption, note: Annotated[str | None, typer.Option(help="What the approver has to say.")] = None
) -> None:  # fmt: skip
    """Approve what a colleague asked for; the day is then built like any other. Nobody approves their own."""
    the_bank = open_bank(bank)
    with the_bank.ledger.begin() as db:
        done = asked_for.approve(db, the_bank.catalog, number, quarantine.me(), note)
        rollcall.expect(db, done.run_key)
    console.print(
        f"Request {number} is approved by {done.decided_by}: {done.run_key} begins within {int(rollcall.BEGINS_WITHIN.total_seconds())} s. "
        f"`ledgerlake releases {done.business_date}` shows when it is there.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def decline(
    number: NumberArgument, bank: BankOption, note: Annotated[str, typer.Option(help="Why not; whoever asked for it reads it.")] = ""
) -> None:  # fmt: skip
    """Decline what a colleague asked for, or take back your own. The day stays as it is."""
    with open_bank(bank).ledger.begin() as db:
        done = asked_for.decline(db, number, quarantine.me(), note)
    console.print(f"Request {number} is {done.state}. {done.business_date} stays as it is released.", highlight=False)
