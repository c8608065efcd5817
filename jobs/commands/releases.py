"""releases, rollback, restate: which version of which day is visible, how to go back, and how to have it built again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from typing import Annotated, Any

import typer
from sqlalchemy import Row

from jobs import rollcall
from jobs.bank import Bank, open_bank
from jobs.commands import quarantine, watch
from jobs.commands.output import Bad, BankOption, Clock, JsonOption, console, day_of, plain, show
from jobs.ledger import approvals, days, deciding
from jobs.ledger import releases as ledger_releases


def register(app: typer.Typer) -> None:
    app.command(epilog="Examples: ledgerlake releases 2026-09-15 · ledgerlake releases --waiting")(releases)
    app.command(epilog="Example: ledgerlake rollback 2026-09-15 --reason 'branch b03 sent test data'")(rollback)
    app.command(epilog="Example: ledgerlake restate 2026-09-15 --reason 'code map core_channels corrected'")(restate)


NO_CHANGE = "no change: tables and figures say what they said before"


class Cause(StrEnum):
    """Why a day is restated; one of jobs.ledger.days.ASKED_CAUSES."""

    repaired = "repaired"
    definition = "definition"
    identity = "identity"
    erased = "erased"


def releases(
    bank: BankOption,
    day: Annotated[str | None, typer.Argument(help="Only this business date.")] = None,
    waiting: Annotated[
        bool,
        typer.Option("--waiting", help="Only days that something came for and that are not told (anew) yet, and why."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Releases, newest first: version, kind, cause, coverage, report; and the days that are still to be told, or told anew, with what they wait for."""
    the_bank = open_bank(bank)
    with the_bank.ledger.begin() as db:
        wait = [w for w in deciding.waiting(db, the_bank.catalog) if day is None or w.business_date == day_of(day)]
        under_way = [run for run in days.open_runs(db) if day is None or run.from_date <= day_of(day) <= run.to_date]
        rows = ledger_releases.listing(db, day=day_of(day) if day else None)
        since = days.closed_since(db, the_bank.catalog, day_of(day)) if day else None
    if since and not as_json:
        console.print(
            f"{day_of(day or ''):%B %Y} is closed since {since}: its days are told anew with approval only.",
            style="bold",
        )
    if waiting:
        _show_waiting(wait, the_bank.catalog.profile.clock, under_way, as_json=as_json)
        return
    shown = rows if as_json else [{**r._mapping, "lanes": f"{r.received_units}/{r.expected_units}"} for r in rows]
    show(
        shown,
        ["release_id", "run_key", "kind", "lanes", "released_at", "cause", "mart_published_at"],
        as_json=as_json,
        clock=the_bank.catalog.profile.clock,
        move=["mart_published_at", "cause", "released_at"],
        below=lambda row: [
            row["is_no_change"] and NO_CHANGE,
            row["approved_by"] and f"approved by {row['approved_by']}",
            row["report_path"],
        ],
        empty="Nothing was released yet.",
    )
    if wait and not as_json:
        console.print("\nTo be told:", style="bold")
        _show_waiting(wait, the_bank.catalog.profile.clock, [], as_json=False)


def _show_waiting(
    wait: Sequence[deciding.Waiting], clock: Clock, under_way: Sequence[Row[Any]], *, as_json: bool
) -> None:
    """`under_way`: runs that are being built or asked for; what they take waits no more, and is not told yet."""
    if as_json:
        show(wait, [], as_json=True)
        return
    shown = [vars(w) | {"feeds": ", ".join(w.feeds), "causes": ", ".join(w.causes)} for w in wait]
    columns = ["business_date", "deliveries", "causes", "since", "feeds"]
    for run in under_way:
        state = "is being built" if run.state == "running" else "is asked for, and begins soon"
        console.print(f"{run.run_key} {state} ({run.cause}).", highlight=False, markup=False, soft_wrap=True)
    show(
        shown, columns, as_json=False, clock=clock, move=["feeds", "since"], below=lambda row: [f"waits for: {row['why']}"], empty="No other day waits to be told." if under_way else "No day waits to be told."
    )  # fmt: skip


def rollback(
    bank: BankOption,
    day: Annotated[str, typer.Argument(help="The business date to take back.")],
    reason: Annotated[str, typer.Option(help="Why; it is written into the new release.")],
) -> None:
    """Write a day's former rows back, as a new release. No table is ever pointed backwards: versions only grow. Of a closed month: asks for it, and a second person
    approves (`ledgerlake approvals`)."""
    the_bank = open_bank(bank)
    if (asked := _asked_for(the_bank, day_of(day), approvals.ROLLBACK, reason)) is not None:
        _say_asked(asked)
        return
    with the_bank.ledger.begin() as db:
        run_key = days.request_rollback(db, the_bank.catalog, day_of(day), reason)
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
    day: Annotated[str, typer.Argument(help="A business date that was released, or whose first run was stopped.")],
    reason: Annotated[str, typer.Option(help="Why; it is written into the new release and the report.")],
    cause: Annotated[
        Cause, typer.Option(help="Rows repaired, a definition changed, customers merged or split, or data erased.")
    ] = Cause.repaired,
    as_json: JsonOption = False,
) -> None:
    """Have a released day built again under its next version, from all that is live when the run begins. Asking twice asks once; exit status 1 when
    there is nothing to build again, or a run of the day is under way. A day that was not released yet, because its run was stopped, keeps that run's cause. A day of a closed month waits for a second person (`ledgerlake approvals`)."""
    wanted, the_bank = day_of(day), open_bank(bank)
    with the_bank.ledger.begin() as db:
        run = days.open_run(db, wanted, wanted)
        is_released = days.newest_release(db, wanted) is not None
        ended = next(iter(deciding.not_told(db, wanted)), None)
        if not is_released and run is None and ended is None:
            raise Bad(
                f"{wanted} was never released. It is built by itself when all its lanes are live, or at its close_by: "
                f"`ledgerlake lanes {wanted}` shows what it waits for."
            )
        if run is not None and run.state == "running":
            raise Bad(
                f"{run.run_key} is being built. What it takes was chosen when it began: ask again when it is released "
                f"(`ledgerlake releases {wanted}`)."
            )
    if (
        run is None
        and is_released
        and (asked := _asked_for(the_bank, wanted, approvals.RESTATE, f"{cause}: {reason}")) is not None
    ):
        if as_json:
            print(json.dumps(plain(dict(asked._mapping))))
        else:
            _say_asked(asked)
        return
    with the_bank.ledger.begin() as db:
        if run is None:
            run_key = (
                days.request_again(db, the_bank.catalog, wanted, f"{cause}: {reason}")
                if is_released or ended is None
                else deciding.try_again(db, ended)
            )
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


def _asked_for(bank: Bank, day: date, act: str, reason: str) -> Row[Any] | None:
    """What now waits for a second person, of a released day of a closed month; None of any other day, which needs nobody."""
    with bank.ledger.begin() as db:
        if days.closed_since(db, bank.catalog, day) is None:
            return None
        return approvals.ask(db, day, act, reason, quarantine.me())


def _say_asked(asked: Row[Any]) -> None:
    console.print(
        f"{asked.business_date:%B %Y} is closed: request {asked.approval_id} ({asked.act} {asked.business_date}, by {asked.asked_by}) waits for a second person, "
        f"who approves it: ledgerlake approvals approve {asked.approval_id}. What is released stays as it is until then.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
