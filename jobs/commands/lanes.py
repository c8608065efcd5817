"""lanes: the arrival board, feed x branch, of one business day."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from jobs import rollcall
from jobs.bank import open_bank
from jobs.commands.output import BankOption, JsonOption, console, day_of, show
from jobs.ledger import clock, days

MARKS = {
    "expected": "[dim]·[/]", "arriving": "[cyan]…[/]", "verified": "[cyan]v[/]", "loaded": "[green]✓[/]", "partly_loaded": "[yellow]✓−[/]",
    "held": "[magenta]held[/]", "refused": "[red]refused[/]", "missing": "[red]missing[/]",
}  # fmt: skip


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: ledgerlake lanes 2026-09-15")(lanes)


def lanes(
    bank: BankOption,
    day: Annotated[str | None, typer.Argument(help="Business date; the newest when left out.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The board: which branch has sent which feed. Missing or refused lanes give exit status 1."""
    the_bank = open_bank(bank)
    with the_bank.ledger.begin() as db:
        wanted = day_of(day) if day else (days.last_released_day(db) or clock.now(db).date())
        status = rollcall.lanes(db, the_bank, wanted)
    if as_json:
        show(status, [], as_json=True)
    else:
        console.print(board(status, f"{wanted}"))
    if any(lane.state in ("missing", "refused") for lane in status):
        raise typer.Exit(1)


def board(status: list[rollcall.LaneStatus], title: str) -> Table:
    """Feeds down, branches across."""
    entities = sorted({lane.entity for lane in status})
    cell = {(lane.feed, lane.entity): lane.state for lane in status}
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("feed")
    for entity in entities:
        table.add_column(entity, justify="center")
    for feed in dict.fromkeys(lane.feed for lane in status):
        table.add_row(feed, *[MARKS.get(cell.get((feed, e), ""), "") for e in entities])
    return table
