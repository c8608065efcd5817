"""lanes: the arrival board, branch x feed, of one business day or several; one lane with all that became of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from jobs.bank import open_bank
from jobs.commands.output import Bad, BankOption, JsonOption, console, day_of, show
from jobs.contracts import Catalog
from jobs.contracts.errors import nearest
from jobs.ledger import batches, clock, silence
from jobs.ledger import lanes as roll_call
from jobs.ledger.lanes import BAD_WORDS, DayBoard, LaneStatus, minutes

# What stands on the board, and what stands there when words find no room: by roll-call's word and, of what is here, by its delivery's state.
MARKS = {
    "expected": ("[dim]·[/]", "[dim]·[/]"), "arriving": ("[cyan]…[/]", "[cyan]…[/]"), "verified": ("[cyan]v[/]", "[cyan]v[/]"),
    "loaded": ("[green]✓[/]", "[green]✓[/]"), "partly_loaded": ("[yellow]✓−[/]", "[yellow]✓−[/]"), "late": ("[yellow]late ✓[/]", "[yellow]l[/]"),
    "held": ("[magenta]held[/]", "[magenta]h[/]"), "kept_out": ("[magenta]kept out[/]", "[magenta]o[/]"), "refused": ("[red]refused[/]", "[red]✗[/]"), "missing": ("[red]missing[/]", "[red]?[/]"),
    "closed": ("[dim]closed[/]", "[dim]–[/]"), "silent": ("[red]silent[/]", "[red]z[/]"),
}  # fmt: skip
GAP = 2  # columns between two branches


def register(app: typer.Typer) -> None:
    app.command(
        epilog="Examples: ledgerlake lanes 2026-09-15 · ledgerlake lanes --days 7 --feed core_accounts · "
        "ledgerlake lanes 2026-09-15 --feed core_accounts --entity b03"
    )(lanes)


def lanes(
    bank: BankOption,
    day: Annotated[
        str | None,
        typer.Argument(help="Business date; the newest of which something has come when left out."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=31, help="So many days up to the date.")] = 1,
    feed: Annotated[str | None, typer.Option(help="Only this feed, also when nobody owes it.")] = None,
    entity: Annotated[
        str | None, typer.Option(help="Only this branch or entity. With --feed: the lane, with all that became of it.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """The board: which branch has sent which feed, what is late, held, refused, missing, or closed today. All by the bank's clock; a demo's stands still and moves with `ledgerlake demo` only. Missing or refused lanes, and streams that are silent for longer than is normal, give exit status 1."""
    the_bank = open_bank(bank)
    if feed and feed not in (known := list(the_bank.catalog.sources)):
        raise Bad(f"There is no feed {feed}. {nearest(feed, known)} Known: {', '.join(known)}.", 2)
    with the_bank.ledger.begin() as db:
        last = day_of(day) if day else roll_call.newest_day(db, the_bank.catalog)
        boards = roll_call.boards(db, the_bank.catalog, last, days)
        chosen = {b.day: [lane for lane in b.lanes if _is_asked_for(lane, feed, entity)] for b in boards}
        events = roll_call.history(db, feed, entity, last) if feed and entity and days == 1 else None
        silent = [stream for stream in silence.streams(db, the_bank.catalog) if stream.is_silent]
        failing = batches.failing_loads(db)
        ending = the_bank.catalog.ending_calendars(the_bank.catalog.profile.today(clock.now(db)))
    every = [lane for one in chosen.values() for lane in one]
    if entity and not every:
        raise Bad(f"{entity} has no lane{' of ' + feed if feed else ''} on these days. `ledgerlake lanes {last}` shows all.", 2)  # fmt: skip
    if as_json:
        show(every, [], as_json=True)
        show(events or [], [], as_json=True)
    elif events is not None:
        _show_lane(the_bank.catalog, every[0])
        show(events, ["at", "delivery_id", "state", "file_name"], as_json=False, clock=the_bank.catalog.profile.clock, move=["file_name"], below=lambda event: [event["note"]], empty="Nothing has come.")  # fmt: skip
    else:
        for one in boards:
            status = chosen[one.day]
            console.print(board(status, _title(one), lacking=[lane for lane in one.not_live if lane in status]))
            if one.not_told:
                console.print(one.not_told, style="red", highlight=False, markup=False, soft_wrap=True)
        shown = {lane.feed for lane in every if lane.word == "silent"}
        for stream in silent:
            if stream.feed not in shown and feed in (None, stream.feed):
                console.print(
                    f"{stream.feed} is silent: {stream.told(the_bank.catalog)}.",
                    style="red",
                    highlight=False,
                    markup=False,
                    soft_wrap=True,
                )
        for one_feed, why in failing.items():
            if feed in (None, one_feed):
                console.print(why, style="red", highlight=False, markup=False, soft_wrap=True)
        for end in ending:
            console.print(end.told, style="yellow", highlight=False, markup=False, soft_wrap=True)
    if any(lane.word in BAD_WORDS for lane in every):
        raise typer.Exit(1)


def _is_asked_for(lane: LaneStatus, feed: str | None, entity: str | None) -> bool:
    if feed not in (None, lane.feed) or entity not in (None, lane.entity):
        return False
    # What nobody owes is shown where a person should look at it, or asks for it.
    return (
        lane.is_owed
        or lane.word in ("closed", "refused", "held", "kept_out", "silent")
        or feed is not None
        or entity is not None
    )


def _title(one: DayBoard) -> str:
    coverage = f", {one.coverage} lanes live" if one.required else ""
    return f"{one.day} {one.day:%A}, {one.calendar}: {one.standing}{coverage}"


def _show_lane(catalog: Catalog, lane: LaneStatus) -> None:
    """All that is known of one lane, a line each."""
    clock = catalog.profile.clock
    late = f"{minutes(lane.minutes_late)}{'' if lane.state and lane.word != 'refused' else ' so far'}"
    facts = {
        "lane": lane.key,
        "branch": lane.name,
        "word": lane.word,
        "state": lane.state,
        "reason": lane.reason,
        "cut-off": f"{clock(lane.cut_off)} ({lane.cut_off_of}'s)" if lane.cut_off else None,
        "due": clock(lane.due) if lane.due else None,
        "late": late if lane.minutes_late else None,
        "owner": lane.owner,
    }
    width = max(map(len, facts))
    for name, value in facts.items():
        if value:
            console.print(Text(f"{name.ljust(width)}  {value}"), soft_wrap=True)


def mark(lane: LaneStatus | None, short: int = 0) -> str:
    """What stands on the board for a lane, in words or (1) in short."""
    if lane is None:
        return ""
    is_known_by_state = lane.word == "arrived" or (lane.word == "expected" and lane.state == "arriving")
    return MARKS[lane.state if is_known_by_state and lane.state else lane.word][short]


def board(
    status: list[LaneStatus], title: str, width: int | None = None, lacking: list[LaneStatus] | None = None
) -> Group:
    """Feeds down, branches across. Where the width (None: the terminal's) has no room for words, a mark stands for each state, and below what it
    means; where it has no room for all branches, the board goes on below. `lacking`: the lanes that are to be named."""
    width = width or console.width
    feeds = list(dict.fromkeys(lane.feed for lane in status))
    cells = {(lane.feed, lane.entity): lane for lane in status}
    entities = sorted({lane.entity for lane in status})
    first = max(map(len, (*feeds, "feed")))

    def widths(short: int) -> dict[str, int]:
        """Entity -> columns that it takes, with words (0) or marks (1)."""
        texts = {e: [mark(cells.get((f, e)), short) for f in feeds] for e in entities}
        return {e: GAP + max(len(e), *(Text.from_markup(cell).cell_len for cell in texts[e])) for e in entities}

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
    for block in blocks if feeds else []:
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column("feed", no_wrap=True)
        for entity in block:
            table.add_column(entity, justify="center", no_wrap=True)
        for feed in feeds:
            if any((feed, e) in cells for e in block):
                table.add_row(feed, *[Text.from_markup(mark(cells.get((feed, e)), short)) for e in block])
        parts.append(table)
    if short:
        shown = {mark(lane, short) for lane in status}
        seen = [f"{marks[1]} {word}" for word, marks in MARKS.items() if marks[0] != marks[1] and marks[1] in shown]
        parts.append(Text.from_markup("  ".join(seen)))
    for feed, missing in _by_feed(lacking or []).items():
        parts.append(Text(f"lacking {feed}: {', '.join(missing)}", style="dim"))
    return Group(*parts)


def _by_feed(status: list[LaneStatus]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for lane in status:
        found.setdefault(lane.feed, []).append(lane.entity)
    return found
