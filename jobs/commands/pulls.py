"""pulls: sources that are fetched, up to where each was read, and what one dropped before that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from jobs.arrival.pulls import SourceDown
from jobs.arrival.slices import DOWN, skip_dropped
from jobs.bank import open_bank
from jobs.commands.output import Bad, BankOption, JsonOption, console, show
from jobs.commands.quarantine import me
from jobs.contracts.errors import nearest
from jobs.ledger import batches, slices

COLUMNS = ["feed", "kind", "part", "taken_up_to", "waiting", "refused", "asked_at"]


def register(app: typer.Typer) -> None:
    group = typer.Typer(invoke_without_command=True, no_args_is_help=False)
    group.callback(epilog="Examples: ledgerlake pulls · ledgerlake pulls --feed app_events --json")(pulls)
    group.command(
        epilog="Example: ledgerlake pulls skip app_events --reason 'retention was three days; the channel team sends them again as a file'"
    )(skip)
    app.add_typer(group, name="pulls")


def pulls(
    context: typer.Context,
    bank: BankOption,
    feed: Annotated[str | None, typer.Option(help="Only this feed.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Sources that are fetched (topics, tables, changes, webhooks): when each was last looked at, up to which position it was taken, slices that wait or were refused, and what a source
    dropped before it was read. One that does not answer gives exit status 1.
    """
    if context.invoked_subcommand:
        return
    the_bank = open_bank(bank)
    known = {name: source for name, source in the_bank.catalog.sources.items() if source.pull}
    if feed and feed not in known:
        raise Bad(_unknown(feed, list(known)), 2)
    rows: list[dict[str, Any]] = []
    is_down = False
    with the_bank.ledger.begin() as db:
        for name in [feed] if feed else known:
            down = " ".join(alert.message for alert in batches.open_of(db, DOWN, name)) or None
            is_down |= down is not None
            states = Counter((row.part, row.state) for row in slices.unsettled(db, name))
            skipped = [row._asdict() for row in slices.skipped(db, name)]
            parts: list[tuple[str | None, str | None]] = [*sorted(slices.ends(db, name).items())]
            for part, position in parts or [(None, None)]:
                rows.append(
                    {
                        "feed": name,
                        "kind": known[name].pull.kind,  # type: ignore[union-attr]
                        "part": part,
                        "taken_up_to": position,
                        "waiting": states[part, slices.WAITING],
                        "refused": states[part, slices.REFUSED],
                        "asked_at": slices.asked_at(db, name),
                        "skipped": [
                            {key: row[key] for key in ("begins", "dropped_up_to", "skipped_by", "reason")}
                            for row in skipped
                            if row["part"] == part
                        ],
                        "down": down,
                    }
                )
    show(
        rows, COLUMNS, as_json=as_json, clock=the_bank.catalog.profile.clock, move=["asked_at", "kind", "taken_up_to"], below=_below,
        empty="No source of this bank is fetched: none says `pull`.",
    )  # fmt: skip
    if is_down:
        raise typer.Exit(1)


def skip(
    feed: Annotated[str, typer.Argument(help="Feed of a topic that dropped records before they were read.")],
    bank: BankOption,
    reason: Annotated[
        str, typer.Option(help="Why it goes on without them; kept, and read by whoever looks at the figures later.")
    ],
) -> None:
    """Go on without records that a topic dropped before they were read. They are looked for once more; only what is gone is skipped, and who said so and why is kept (`ledgerlake pulls`)."""
    if not reason.strip() or "\x00" in reason:
        raise Bad("Say with --reason, in plain text, why it goes on without them.", 2)
    the_bank = open_bank(bank)
    source = the_bank.catalog.sources.get(feed)
    if source is None or source.pull is None:
        raise Bad(_unknown(feed, [name for name, one in the_bank.catalog.sources.items() if one.pull]), 2)
    if source.pull.kind != "kafka_topic":
        raise Bad(
            f"{feed} is no topic: of a {source.pull.kind} nothing can be skipped. Its alert says what to do (`ledgerlake alerts`).",
            2,
        )
    try:
        gone = skip_dropped(the_bank.catalog, the_bank.ledger, source, me(), reason.strip())
    except SourceDown as down:
        raise Bad(str(down)) from down
    if not gone:
        raise Bad(f"{feed}: the topic holds all that was not read yet. Nothing was skipped.")
    for part, begins, up_to, _ in gone:
        console.print(
            f"{feed}: offsets {begins} to {int(up_to) - 1} of partition {part} are skipped.",
            highlight=False,
            soft_wrap=True,
        )
    console.print("The next roll-call goes on behind them.", highlight=False)


def _unknown(feed: str, known: list[str]) -> str:
    if not known:
        return "No source of this bank is fetched: none says `pull`."
    return f"There is no feed {feed} that is fetched. {nearest(feed, known)} Known: {', '.join(known)}."


def _below(row: Mapping[str, Any]) -> list[str]:
    skipped = [
        f"dropped before it was read: {one['begins']} to {int(one['dropped_up_to']) - 1}; skipped by {one['skipped_by']}: {one['reason']}"
        for one in row["skipped"]
    ]
    return [*skipped, *([row["down"]] if row["down"] else [])]
