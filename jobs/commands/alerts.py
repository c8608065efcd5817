"""alerts: what people were told and should look at, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from jobs.bank import open_bank
from jobs.commands.output import BankOption, JsonOption, show
from jobs.ledger import batches

OPEN = ["raised_at", "kind", "alert_key"]


def register(app: typer.Typer) -> None:
    app.command(epilog="Examples: ledgerlake alerts · ledgerlake alerts --all --last 20 --json")(alerts)


def alerts(
    bank: BankOption,
    every: Annotated[bool, typer.Option("--all", help="Those too that ended, and how.")] = False,
    last: Annotated[int, typer.Option(min=1, help="How many of all, the newest.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Alerts that are open, newest first: lanes that are missing, files that were refused or held, sources that do not answer, days that were stopped, releases that are not in the mart, contracts that change money unsaid. All by the bank's clock; a demo's stands still and moves with `ledgerlake demo` only. Open ones among them give exit status 1."""
    the_bank = open_bank(bank)
    with the_bank.ledger.begin() as db:
        found = batches.alerts_told(db, last) if every else batches.alerts(db)[::-1]
    show(
        found, [*OPEN, "closed_at"] if every else OPEN, as_json=as_json, clock=the_bank.catalog.profile.clock, move=["alert_key", "closed_at"], below=_told,
        empty="Nobody was told of anything yet." if every else "No alert is open.",
    )  # fmt: skip
    if any(row.closed_at is None for row in found):
        raise typer.Exit(1)


def _told(row: Mapping[str, Any]) -> list[str]:
    return [text for text in (row["message"], row["end"] and f"ended: {row['end']}") if text]
