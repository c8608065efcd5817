"""up, down, status: the local services."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer

from infra.local import demo_crm, services
from infra.local.airflow import USERS
from infra.local.airflow import logins as airflow_logins
from jobs.arrival.inbox import InboxUnavailable, check_is_its_own
from jobs.commands.output import Bad, JsonOption, console, plain, show
from jobs.contracts import profiles, served
from jobs.ledger import connect
from jobs.settings import settings


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: ledgerlake up")(up)
    app.command(epilog="Example: ledgerlake down")(down)
    app.command(epilog="Examples: ledgerlake status --usage · ledgerlake status --logins")(status)


def up(
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only this service and what it needs; may be repeated.")
    ] = None,
) -> None:
    """Start the local services (PostgreSQL, Spark Connect, Airflow) and wait until all are healthy. Harmless when they are up."""
    if only:
        services.up(only, progress=said)
        _say_other_settings()
    else:
        start_all()


def start_all(owner: int | None = None) -> None:
    """Everything up and healthy: the database first, then the banks' ledgers brought to their newest version and the demo bank's own system, then the rest.

    `owner`: a process with whose end the services end too.
    """
    began = time.monotonic()
    for profile in served():
        try:
            check_is_its_own(profile)
        except InboxUnavailable as error:
            raise Bad(str(error)) from error
    services.up(["postgres"], progress=said, owner=owner)
    for profile in profiles():
        connect(profile).migrate()
        settings().bank(profile).joinpath("inbox").mkdir(parents=True, exist_ok=True)
    if demo_crm.PROFILE in served():
        demo_crm.create(settings())
    services.up(progress=said, owner=owner)
    console.print(f"All services healthy after {time.monotonic() - began:.1f} s.")
    _say_other_settings()


def _say_other_settings() -> None:
    """Settings are read when the services start: what was set since is not in force."""
    if other := services.settings_not_in_force():
        running = ", ".join(entry.name for entry in services.status() if entry.pid is not None)
        console.print(
            f"Not in force: {', '.join(other)}. The services ran already ({running}) and were started with other values, or without them. To have those of this shell: "
            "`ledgerlake down`, then `ledgerlake up`; nothing that arrived is lost meanwhile.",
            style="yellow", highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip


def said(entry: services.ServiceStatus) -> None:
    console.print(f"  {entry.name:<22} {entry.state:<10} {entry.detail}", highlight=False)


def down() -> None:
    """Stop all services cleanly."""
    console.print("Stopped." if services.down() else "Nothing was running.")


def status(
    as_json: JsonOption = False,
    usage: Annotated[bool, typer.Option("--usage", help="Memory and CPU of each service.")] = False,
    logins: Annotated[
        bool, typer.Option("--logins", help="Who may log in to Airflow and its pages, with the passwords.")
    ] = False,
) -> None:
    """State of each service, its port and its log. Exit status 1 when one that should run does not."""
    if logins:
        show([{"user": user, "role": USERS[user], "password": word} for user, word in airflow_logins(settings()).items()], ["user", "role", "password"],
             as_json=as_json, empty="Nobody can log in yet: `ledgerlake up` makes the logins.")  # fmt: skip
        return
    entries = services.status()
    used = {u.name: u for u in services.usage()} if usage else {}
    if as_json:
        for entry in entries:
            print(json.dumps(plain(vars(entry))))
    else:
        for entry in entries:
            more = (
                f"  {used[entry.name].pss / 2**20:8.0f} MiB  {used[entry.name].cpu_seconds:8.1f} CPU s"
                if entry.name in used
                else ""
            )
            console.print(
                f"{entry.name:<22} {entry.state:<10} {entry.port or '':<6}{more}  {entry.log}  {entry.detail}",
                highlight=False,
                soft_wrap=True,
            )
        if used:
            console.print(f"{'all':<22} {'':<17}{sum(u.pss for u in used.values()) / 2**20:8.0f} MiB", highlight=False)
    if any(entry.state in ("failed", "unhealthy") for entry in entries):
        raise Bad("A service is not well: see its log; `ledgerlake up` starts it again.")
