"""demo: a bank in a box. It only drops files into the inbox and drives the bank's clock; everything else is done by Airflow."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from jobs.bank import Bank, open_bank
from jobs.commands import watch
from jobs.commands.output import Bad, console
from jobs.commands.services import start_all
from jobs.ledger import clock, days

# Where the clock stands when a day's files begin to come, and when all that will come has come.
OPENING, CLOSED = "17:30", "20:30"


class Sent(Protocol):
    """One file that a sender is about to drop."""

    @property
    def feed(self) -> str: ...

    @property
    def entity(self) -> str: ...

    @property
    def replaces(self) -> str | None:
        """Name of the file that this one corrects or repeats."""
        ...

    def write(self, inbox: Path) -> Any: ...


class Sender(Protocol):
    """A bank that sends: its history at once, then day by day."""

    @property
    def history_end(self) -> date: ...

    def take_on(self, inbox: Path) -> Sequence[Any]: ...

    def day_files(self, day: date, faults: Sequence[str] = ()) -> Iterator[Sent]: ...


def register(app: typer.Typer) -> None:
    app.command(
        epilog="Examples: ledgerlake demo · ledgerlake demo --faults F11,F30 · ledgerlake demo --bank berka --data ../shared/data/berka --days 30"
    )(demo)


def demo(
    bank: Annotated[
        str, typer.Option("--bank", "-b", help="demo (invented), or berka (the Czech bank of PKDD'99; needs --data).")
    ] = "demo",
    data: Annotated[Path | None, typer.Option(help="Folder of the real bank's files.")] = None,
    number: Annotated[int, typer.Option("--days", help="How many business days, one after the other.")] = 1,
    scale: Annotated[str, typer.Option(help="Size of the invented bank: S or M.")] = "S",
    seed: Annotated[int, typer.Option(help="Seed of the invented bank; the same seed gives the same bytes.")] = 7,
    faults: Annotated[str, typer.Option(help="Faults to inject, by number, for instance F11,F30.")] = "",
) -> None:
    """Run the next business day (the first time: take on the history, then the first day) and show how it goes, until it is released.

    The services are started if need be, and stay up.
    """
    began = time.monotonic()
    sender = sender_for(bank, data, scale, seed)
    start_all()
    the_bank = open_bank(bank)
    take_on_if_new(the_bank, sender)
    wanted = tuple(f.strip() for f in faults.split(",") if f.strip())
    made: Any = None
    for _ in range(number):
        made = run_day(the_bank, sender, next_day(the_bank), wanted)
    console.print(f"Done in {time.monotonic() - began:.0f} s.")
    farewell(the_bank, made)


def sender_for(bank: str, data: Path | None, scale: str, seed: int) -> Sender:
    if bank == "demo":
        from jobs.demo_bank import DemoBank

        return DemoBank(seed=seed, scale=scale)
    if bank == "berka":
        from jobs.demo_bank.berka import Berka

        if data is None or not (data / "account.asc").exists():
            raise Bad(
                f"The bank berka needs its data: --data with the folder that holds account.asc, trans_*.asc and so on (found none at {data}).",
                2,
            )
        return Berka(data)
    raise Bad(f"There is no demonstration of a bank called {bank}. Known: demo, berka.", 2)


def take_on_if_new(bank: Bank, sender: Sender) -> None:
    """Years of history at once, one delivery a feed; does nothing when a day was released already."""
    with bank.ledger.begin() as db:
        if days.last_released_day(db) is not None:
            return
        clock.set_now(db, bank.catalog.profile.local(sender.history_end, "23:00"))
    console.print(f"Taking on the history up to {sender.history_end} ...")
    began = time.monotonic()
    sender.take_on(inbox_folder(bank))
    run_key = watch.until_history(bank, sender.history_end)
    watch.until_reported(bank, run_key)
    console.print(f"History released as {run_key} after {time.monotonic() - began:.0f} s.")


def next_day(bank: Bank) -> date:
    with bank.ledger.begin() as db:
        last = days.last_released_day(db)
    if last is None:
        raise Bad("Nothing was released yet: the history is to be taken on first.")
    return last + timedelta(days=1)


def run_day(bank: Bank, sender: Sender, day: date, faults: tuple[str, ...] = ()) -> Any:
    """Drop one day's files, drive the clock past its end, and wait for release, mart and report. Returns the release's row."""
    set_clock(bank, bank.catalog.profile.local(day, OPENING))
    began = time.monotonic()
    sent = 0
    for item in sender.day_files(day, faults):
        if item.replaces:
            # A correction bears the name of the file that it corrects: it comes when that one has been taken in.
            watch.until_quiet(bank)
        item.write(inbox_folder(bank))
        sent += 1
    dropped = time.monotonic()
    console.print(f"{day}: {sent} files dropped in {dropped - began:.1f} s.")
    set_clock(bank, bank.catalog.profile.local(day, CLOSED))
    if faults:
        watch.until_quiet(bank)
        profile = bank.catalog.profile
        set_clock(bank, profile.local(day, profile.close_by, profile.close_by_day) + timedelta(minutes=1))
    run_key = watch.until_released(bank, day, day)
    made = watch.until_reported(bank, run_key)
    console.print(
        f"{day} released as {run_key} ({made.kind}), report written: {time.monotonic() - dropped:.1f} s after the last file."
    )
    return made


def set_clock(bank: Bank, at: datetime) -> None:
    with bank.ledger.begin() as db:
        clock.set_now(db, at)


def inbox_folder(bank: Bank) -> Path:
    return bank.home / "inbox"


def farewell(bank: Bank, made: Any) -> None:
    """Figures, report, and where to go on."""
    import json

    from infra.local.airflow import logins
    from jobs.serving import bi
    from jobs.serving.terminal import kpi_table
    from jobs.settings import settings

    data = json.loads(Path(made.report_path).with_suffix(".json").read_text(encoding="utf-8"))
    console.print(kpi_table(data, width=console.width))
    user, password = next(iter(logins(settings()).items()))
    console.print(f"Report   {made.report_path}", highlight=False, soft_wrap=True)
    console.print(
        f"Airflow  {settings().airflow_url}   user {user}, password {password}", highlight=False, soft_wrap=True
    )
    login = bi.bi_login(bank.ledger, f"{bank.profile}_manager", "group", None, settings().home / "secrets")
    console.print(f"BI       {login.psql}", highlight=False, soft_wrap=True)
    console.print(
        "Again    `ledgerlake demo` takes the next day; `ledgerlake down` stops the services.", highlight=False
    )
