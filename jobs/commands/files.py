"""files: every delivery that arrived, its state and its totals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

import typer
from sqlalchemy import Connection, Row, select

from jobs.arrival.naming import UNKNOWN
from jobs.arrival.notes import added_up
from jobs.bank import open_bank
from jobs.commands.output import Bad, BankOption, JsonOption, console, day_of, show, show_one
from jobs.contracts.errors import nearest
from jobs.ledger import batches, clock, deliveries, slices
from jobs.ledger.models import DeliveryEvent

COLUMNS = ["delivery_id", "feed", "entity", "business_date", "state", "received_rows", "accepted_rows", "rejected_rows", "duplicate_rows", "received_money"]  # fmt: skip
MOVE = ["received_money", "duplicate_rows", "accepted_rows", "rejected_rows", "received_rows"]
ONE = [
    "delivery_id", "file_name", "feed", "entity", "business_date", "version", "state", "reason", "received_rows", "accepted_rows", "rejected_rows",
    "duplicate_rows", "received_money", "size", "encoding", "characters", "supersedes", "superseded_by", "sha256",
]  # fmt: skip


NOTES_OF_DAYS = 30


def register(app: typer.Typer) -> None:
    app.command(
        epilog="Examples: ledgerlake files 2026-09-15 --state refused · ledgerlake files --delivery D0000042 · ledgerlake files --notes --feed core_transactions"
    )(files)


def files(
    bank: BankOption,
    day: Annotated[str | None, typer.Argument(help="Business date, for instance 2026-09-15.")] = None,
    feed: Annotated[str | None, typer.Option(help="Only this feed.")] = None,
    entity: Annotated[str | None, typer.Option(help="Only this branch or entity.")] = None,
    state: Annotated[list[str] | None, typer.Option(help="Only this state; may be repeated.")] = None,
    delivery: Annotated[str | None, typer.Option(help="One delivery, with its whole history.")] = None,
    fetch_again: Annotated[
        str | None,
        typer.Option(help="A refused delivery of a pulled source: its slice is fetched once more, as a new delivery."),
    ] = None,
    notes: Annotated[
        bool,
        typer.Option("--notes", help="What files were noted for though nothing was wrong with them, added up by feed."),
    ] = False,
    days: Annotated[
        int | None,
        typer.Option(min=1, help="With --notes: so many business dates up to the date; 30 up to today without one."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """The file ledger: what arrived, in which state it is, and why. Refused deliveries give exit status 1."""
    the_bank = open_bank(bank)
    if not notes and days is not None:
        raise Bad("--days belongs to --notes.", 2)
    if notes and (state or delivery or fetch_again):
        raise Bad("--notes adds up what all files say: with it go a date, --days, --feed and --entity.", 2)
    if feed and feed not in (known := [*the_bank.catalog.sources, UNKNOWN]):
        raise Bad(f"There is no feed {feed}. {nearest(feed, known)} Known: {', '.join(known)}.", 2)
    with the_bank.ledger.begin() as db:
        if notes:
            last = day_of(day) if day else the_bank.catalog.profile.today(clock.now(db))
            first = last - timedelta(days=(days or (1 if day else NOTES_OF_DAYS)) - 1)
            show(
                added_up(deliveries.noted(db, first, last, feed=feed, entity=entity)),
                ["count", "deliveries", "feed", "what", "last_day"],
                as_json=as_json,
                move=["last_day", "deliveries", "feed"],
                empty=f"No file was noted for anything from {first} to {last}.",
            )
            return
        if fetch_again:
            if not slices.take_again(db, fetch_again):
                raise Bad(
                    f"{fetch_again} is no refused delivery of a pulled source. `ledgerlake files --state refused` lists what was refused.",
                    2,
                )
            console.print(f"The slice of {fetch_again} is fetched again by the next landing.")
            return
        if delivery:
            events = db.execute(
                select(*DeliveryEvent.__table__.columns)
                .where(DeliveryEvent.delivery_id == delivery)
                .order_by(DeliveryEvent.event_id)
            ).all()
            if not events:
                raise Bad(f"There is no delivery {delivery}. `ledgerlake files` lists them.", 2)
            found = _with_why(db, [deliveries.get(db, delivery)])[0]
            if as_json:
                show([found], [], as_json=True)
            else:
                show_one(found, ONE)
            show(
                events,
                ["at", "state", "run_id"],
                as_json=as_json,
                clock=the_bank.catalog.profile.clock,
                move=["run_id"],
                below=lambda event: [event["note"]],
            )
            return
        rows = _with_why(
            db,
            deliveries.find(
                db, feed=feed, business_date=day_of(day) if day else None, entity=entity, states=state or ()
            ),
        )
    show(
        rows,
        COLUMNS,
        as_json=as_json,
        # The date that was asked for is known.
        move=[*(["business_date"] if day else []), *MOVE, *([] if day else ["business_date"])],
        below=lambda row: [row["reason"]],
        empty="No delivery answers to that.",
    )
    if any(row["state"] == "refused" for row in rows):
        raise typer.Exit(1)


def _with_why(db: Connection, rows: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    """Deliveries, those that wait for a load that fails with why."""
    failing = batches.failing_loads(db)
    return [
        row._asdict() | ({"reason": failing[row.feed]} if row.state == "verified" and row.feed in failing else {})
        for row in rows
    ]
