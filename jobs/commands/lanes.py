"""lanes: the arrival board, feed x branch, of one business day."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from jobs import rollcall
from jobs.bank import open_bank
from jobs.commands.output import BankOption, JsonOption, console, day_of, show
from jobs.ledger import clock, days

# State -> what stands on the board, and what stands there when words find no room.
MARKS = {
    "expected": ("[dim]·[/]", "[dim]·[/]"), "arriving": ("[cyan]…[/]", "[cyan]…[/]"), "verified": ("[cyan]v[/]", "[cyan]v[/]"),
    "loaded": ("[green]✓[/]", "[green]✓[/]"), "partly_loaded": ("[yellow]✓−[/]", "[yellow]✓−[/]"), "held": ("[magenta]held[/]", "[magenta]h[/]"),
    "refused": ("[red]refused[/]", "[red]✗[/]"), "missing": ("[red]missing[/]", "[red]?[/]"),
}  # fmt: skip
GAP = 2  # columns between two branches


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


def board(status: list[rollcall.LaneStatus], title: str, width: int | None = None) -> Group:
    """Feeds down, branches across. Where the width (None: the terminal's) has no room for words, a mark stands for each state, and below what it
    means; where it has no room for all branches, the board goes on below."""
    width = width or console.width
    feeds = list(dict.fromkeys(lane.feed for lane in status))
    states = {(lane.feed, lane.entity): lane.state for lane in status}
    entities = sorted({lane.entity for lane in status})
    first = max(map(len, (*feeds, "feed")))

    def widths(short: int) -> dict[str, int]:
        """Entity -> columns that it takes, with words (0) or marks (1)."""
        cells = {e: [MARKS.get(states.get((f, e), ""), ("", ""))[short] for f in feeds] for e in entities}
        return {e: GAP + max(len(e), *(Text.from_markup(cell).cell_len for cell in cells[e])) for e in entities}

    short = int(first + sum(widths(0).values()) > width)
    blocks: list[list[str]] = [[]]
    room = width - first
    for entity, taken in widths(short).items():
        if blocks[-1] and taken > room:
            blocks.append([])
            room = width - first
        blocks[-1].append(entity)
        room -= taken
    parts: list[Any] = [Text(title, style="italic")]
    for block in blocks:
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column("feed", no_wrap=True)
        for entity in block:
            table.add_column(entity, justify="center", no_wrap=True)
        for feed in feeds:
            if any((feed, e) in states for e in block):
                table.add_row(feed, *[MARKS.get(states.get((feed, e), ""), ("", ""))[short] for e in block])
        parts.append(table)
    if short:
        seen = [
            f"{mark[1]} {state}" for state, mark in MARKS.items() if mark[0] != mark[1] and state in states.values()
        ]
        parts.append(Text.from_markup("  ".join(seen)))
    return Group(*parts)
