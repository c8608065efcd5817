"""releases, rollback, restate: which version of which day is visible, how to go back, and how to have it built again."""

from __future__ import annotations

import getpass
import json
from enum import StrEnum
from typing import Annotated

import typer

from jobs import rollcall
from jobs.bank import open_bank
from jobs.commands import watch
from jobs.commands.output import Bad, BankOption, JsonOption, console, day_of, show
from jobs.ledger import days
from jobs.ledger import releases as ledger_releases


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: ledgerlake releases 2026-09-15")(releases)
    app.command(epilog="Example: ledgerlake rollback 2026-09-15 --reason 'branch b03 sent test data'")(rollback)
    app.command(epilog="Example: ledgerlake restate 2026-09-15 --reason 'code map core_channels corrected'")(restate)


Approved = Annotated[
    str | None, typer.Option(help="Who approved it, not who asks: needed for a day of a closed month.")
]


def _second(approved_by: str | None) -> str | None:
    """Raises Bad when people approve what they ask for themselves."""
    if approved_by and approved_by.strip().casefold() == getpass.getuser().casefold():
        raise Bad(f"{approved_by} asks for it, and cannot approve it too: name the second person.", 2)
    return approved_by


class Cause(StrEnum):
    """Why a day is restated; one of jobs.ledger.days.ASKED_CAUSES."""

    repaired = "repaired"
    definition = "definition"
    identity = "identity"
    erased = "erased"


def releases(
    bank: BankOption,
    day: Annotated[str | None, typer.Argument(help="Only releases of this business date.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Releases, newest first: version, kind, cause, coverage, report."""
    the_bank = open_bank(bank)
    with the_bank.ledger.begin() as db:
        rows = ledger_releases.listing(db, day=day_of(day) if day else None)
        since = days.closed_since(db, the_bank.catalog, day_of(day)) if day else None
    if since and not as_json:
        console.print(
            f"{day_of(day or ''):%B %Y} is closed since {since}: its days are told anew with approval only.",
            style="bold",
        )
    shown = rows if as_json else [{**r._mapping, "lanes": f"{r.received_units}/{r.expected_units}"} for r in rows]
    show(
        shown,
        ["release_id", "run_key", "kind", "lanes", "released_at", "cause", "mart_published_at"],
        as_json=as_json,
        move=["mart_published_at", "cause", "released_at"],
        below=lambda row: [row["approved_by"] and f"approved by {row['approved_by']}", row["report_path"]],
        empty="Nothing was released yet.",
    )


def rollback(
    bank: BankOption,
    day: Annotated[str, typer.Argument(help="The business date to take back.")],
    reason: Annotated[str, typer.Option(help="Why; it is written into the new release.")],
    approved_by: Approved = None,
) -> None:
    """Write a day's former rows back, as a new release. No table is ever pointed backwards: versions only grow."""
    the_bank = open_bank(bank)
    with the_bank.ledger.begin() as db:
        run_key = days.request_rollback(db, the_bank.catalog, day_of(day), reason, _second(approved_by))
        if run_key is not None:
            rollcall.expect(db, run_key)
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


def restate(
    bank: BankOption,
    day: Annotated[str, typer.Argument(help="A business date that was released.")],
    reason: Annotated[str, typer.Option(help="Why; it is written into the new release and the report.")],
    cause: Annotated[
        Cause, typer.Option(help="Rows repaired, a definition changed, customers merged or split, or data erased.")
    ] = Cause.repaired,
    approved_by: Approved = None,
    as_json: JsonOption = False,
) -> None:
    """Have a released day built again under its next version, from all that is live when the run begins. Asking twice asks once; exit status 1 when
    there is nothing to build again, or a run of the day is under way."""
    wanted, the_bank = day_of(day), open_bank(bank)
    with the_bank.ledger.begin() as db:
        if days.newest_release(db, wanted) is None:
            raise Bad(
                f"{wanted} was never released. It is built by itself when all its lanes are live, or at its close_by: "
                f"`ledgerlake lanes {wanted}` shows what it waits for."
            )
        run = days.open_run(db, wanted, wanted)
        if run is not None and run.state == "running":
            raise Bad(
                f"{run.run_key} is being built. What it takes was chosen when it began: ask again when it is released "
                f"(`ledgerlake releases {wanted}`)."
            )
        if run is None:
            run_key = days.request_again(db, the_bank.catalog, wanted, f"{cause}: {reason}", _second(approved_by))
            rollcall.expect(db, run_key)
            run = days.get(db, run_key)
    seconds = int(rollcall.BEGINS_WITHIN.total_seconds())
    if as_json:
        print(json.dumps({"run_key": run.run_key, "cause": run.cause, "begins_within_seconds": seconds}))
        return
    console.print(
        f"{run.run_key} is asked for ({run.cause}). It begins within {seconds} s: roll-call rings for it. What is released stays as it is until then; "
        f"`ledgerlake releases {wanted}` shows when it is there.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
