"""demo: a bank in a box. It only drops files into the inbox, writes into the bank's own system and drives the bank's clock; everything else is done by Airflow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Protocol, cast

import typer

from infra.local import demo_crm
from jobs import load, scorecard
from jobs.bank import Bank, open_bank
from jobs.commands import watch
from jobs.commands.faults import show_scorecard
from jobs.commands.output import Bad, console
from jobs.commands.services import start_all
from jobs.demo_bank.crm import Office, is_past
from jobs.demo_bank.faults import KINDS
from jobs.ledger import clock, days, deliveries
from jobs.settings import settings

# Where the clock stands when a day's files begin to come, and when all that will come has come.
OPENING, CLOSED = "17:30", "20:30"
ALL = "all"
# Where the process of F74 dies: the lake has its rows, the ledger does not know yet.
DIES_AT = "after_bronze_write"
TAKE_IN = "demo/take_in"  # the run's name
# Faults of the system that is fetched from, and how long after a look its tables are looked at again.
AT_THE_OFFICE, BETWEEN_LOOKS = {"F76", "F77", "F78"}, timedelta(minutes=61)


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

    @property
    def way(self) -> str:
        """Whole, or its signal before the file, or bit by bit."""
        ...

    @property
    def comes(self) -> int:
        """Days after its business date on which it is sent."""
        ...

    def write(self, inbox: Path) -> Any: ...

    def begin(self, inbox: Path) -> None:
        """What is seen first of a file that does not come whole."""
        ...

    def finish(self, inbox: Path) -> None:
        """The rest of it."""
        ...


class Sender(Protocol):
    """A bank that sends: its history at once, then day by day."""

    @property
    def history_end(self) -> date: ...

    def take_on(self, inbox: Path) -> Sequence[Any]: ...

    def day_files(self, day: date, faults: Sequence[str] = ()) -> Iterator[Sent]: ...


class Faulty(Sender, Protocol):
    """A bank that can commit faults."""

    def plan(self, day: date, faults: Sequence[str]) -> Any: ...

    def spread(self, first: date) -> Mapping[date, Sequence[str]]:
        """All faults that it can commit, by the day on which it commits them."""
        ...


class Fetched(Sender, Protocol):
    """A bank with a system of its own that is fetched from."""

    def at_the_office(self, day: date, faults: Sequence[str] = ()) -> tuple[list[Any], list[Any]]:
        """What is written there on a day: what a fault has looked at first, and the rest."""
        ...

    def office_history(self) -> Iterator[Any]: ...


class Stage(Protocol):
    """Whatever takes in what was dropped, and builds the days: Airflow, or a test in its place."""

    def until_quiet(self, bank: Bank) -> None:
        """Nothing that arrived is on its way any more."""
        ...

    def until_looked(self, bank: Bank, feed: str, entity: str, day: date) -> None:
        """A file of this lane that is not whole yet was looked at."""
        ...

    def until_reported(self, bank: Bank, day: date) -> Any:
        """The day is released and reported; its release's row."""
        ...

    def until_at_rest(self, bank: Bank) -> None:
        """No day is asked for or under way."""
        ...

    def until_fetched(self, bank: Bank, feed: str, is_past: Callable[[str], bool]) -> None:
        """A slice of this feed whose end is past a position, and all before it, are in bronze."""
        ...

    def until_said(self, bank: Bank, alert_key: str) -> None:
        """This alert was raised."""
        ...


class Airflow:
    """The real stage: it works by itself, we only wait."""

    def until_quiet(self, bank: Bank) -> None:
        watch.until_quiet(bank)

    def until_looked(self, bank: Bank, feed: str, entity: str, day: date) -> None:
        watch.until_looked(bank, feed, entity, day)

    def until_reported(self, bank: Bank, day: date) -> Any:
        return watch.until_reported(bank, watch.until_released(bank, day, day))

    def until_at_rest(self, bank: Bank) -> None:
        watch.until_at_rest(bank)

    def until_fetched(self, bank: Bank, feed: str, is_past: Callable[[str], bool]) -> None:
        watch.until_fetched(bank, feed, is_past)

    def until_said(self, bank: Bank, alert_key: str) -> None:
        watch.until_said(bank, alert_key)


def register(app: typer.Typer) -> None:
    app.command(
        epilog="Examples: ledgerlake demo · ledgerlake demo --faults F11,F30 · ledgerlake demo --faults all · ledgerlake demo --bank berka --data ../shared/data/berka --days 30"
    )(demo)


def demo(
    bank: Annotated[
        str, typer.Option("--bank", "-b", help="demo (invented), or berka (the Czech bank of PKDD'99; needs --data).")
    ] = "demo",
    data: Annotated[Path | None, typer.Option(help="Folder of the real bank's files.")] = None,
    number: Annotated[int, typer.Option("--days", help="How many business days, one after the other.")] = 1,
    scale: Annotated[str, typer.Option(help="Size of the invented bank: S or M.")] = "S",
    seed: Annotated[
        int,
        typer.Option(
            help="Seed of the invented bank; the same seed gives the same bytes (of an encrypted file: inside)."
        ),
    ] = 7,
    faults: Annotated[
        str,
        typer.Option(
            help="Faults to inject, by number, for instance F11,F30; or all of the catalogue, over as many days as they need."
        ),
    ] = "",
) -> None:
    """Run the next business day (the first time: take on the history, then the first day) and show how it goes, until it is released.

    The services are started if need be, and stay up.
    """
    began = time.monotonic()
    sender = sender_for(bank, data, scale, seed)
    start_all()
    the_bank = open_bank(bank)
    take_on_if_new(the_bank, sender)
    first = next_day(the_bank)
    plan = _days_with_faults(sender, first, number, tuple(f.strip() for f in faults.split(",") if f.strip()))
    if len(plan) > 1:
        console.print(f"{len(plan)} business days, {first} to {max(plan)}, one after the other.")
    play = Play(the_bank, sender)
    made: Any = None
    for n, (day, wanted) in enumerate(plan.items(), start=1):
        if len(plan) > 1:
            console.print(f"Day {n} of {len(plan)}: {day}" + (f", with {', '.join(wanted)}" if wanted else ""))
        made = play.day(day, wanted)
    for day, sent in play.later:
        console.print(f"{sent.feed} of {sent.entity} would come on {day}: run more days (--days) to see it.")
    console.print(f"Done in {time.monotonic() - began:.0f} s.")
    farewell(the_bank, made)
    if faults:
        play.rest()
        card = scorecard.scorecard(the_bank)
        show_scorecard(card)
        if not card.is_good:
            raise typer.Exit(1)


def _days_with_faults(
    sender: Sender, first: date, number: int, faults: tuple[str, ...]
) -> Mapping[date, Sequence[str]]:
    """Day -> its faults."""
    if ALL not in faults:
        return {first + timedelta(days=n): faults for n in range(number)}
    if faults != (ALL,) or not hasattr(sender, "spread"):
        raise Bad("`--faults all` stands alone, and is for the invented bank.", 2)
    spread: Mapping[date, Sequence[str]] = sender.spread(first)
    return spread


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
    tell_office_history(sender)
    sender.take_on(inbox_folder(bank))
    run_key = watch.until_history(bank, sender.history_end)
    watch.until_reported(bank, run_key)
    console.print(f"History released as {run_key} after {time.monotonic() - began:.0f} s.")


def tell_office_history(sender: Sender) -> None:
    """What stands in the bank's own system when its first day begins; nothing where it has none."""
    office = office_of(sender)
    if office is not None:
        office.happens(cast(Fetched, sender).office_history())


def office_of(sender: Sender) -> Office | None:
    """Those who write into the system that is fetched from; None where the bank has none."""
    if not hasattr(sender, "at_the_office"):
        return None
    return Office(demo_crm.address(settings()))


def next_day(bank: Bank) -> date:
    with bank.ledger.begin() as db:
        last = days.last_released_day(db)
    if last is None:
        raise Bad("Nothing was released yet: the history is to be taken on first.")
    return last + timedelta(days=1)


def run_day(bank: Bank, sender: Sender, day: date, faults: tuple[str, ...] = ()) -> Any:
    """One day by itself; its release's row."""
    return Play(bank, sender).day(day, faults)


@dataclass
class Play:
    """Business days, one after another: their files are dropped as their senders would, and the clock is driven. `later`: files that are late, and the day on
    which they come.
    """

    bank: Bank
    sender: Sender
    stage: Stage = field(default_factory=Airflow)
    later: list[tuple[date, Sent]] = field(default_factory=list)

    def day(self, day: date, faults: Sequence[str] = ()) -> Any:
        """Drop one day's files, drive the clock past its end, and wait for release, mart and report. Returns the release's row."""
        bank, profile = self.bank, self.bank.catalog.profile
        set_clock(bank, profile.local(day, OPENING))
        began = time.monotonic()
        if hasattr(self.sender, "plan"):
            scorecard.note_day(bank, day, self.sender.plan(day, faults).caught)
        written = self._at_the_office(day, faults)
        sent = self._drop(day, faults)
        if "F74" in faults:
            self._die_and_go_on(day)
        if "F75" in faults:
            self._twins(day)
        late = [one for on, one in self.later if on == day]
        if late:
            self.stage.until_quiet(bank)
            for one in late:
                one.write(inbox_folder(bank))
            self.later = [(on, one) for on, one in self.later if on != day]
        dropped = time.monotonic()
        console.print(f"{day}: {sent + len(late)} files dropped in {dropped - began:.1f} s.")
        set_clock(bank, max(profile.local(day, CLOSED), self._next_look()))
        if AT_THE_OFFICE & set(faults):
            self._until_fetched(written)
        # What is not complete, or owes nothing because nobody works, begins at its close_by.
        if faults or not bank.catalog.is_business_day(day):
            self.stage.until_quiet(bank)
            set_clock(bank, profile.local(day, profile.close_by, profile.close_by_day) + timedelta(minutes=1))
        made = self.stage.until_reported(bank, day)
        console.print(
            f"{day} released as {made.run_key} ({made.kind}), report written: {time.monotonic() - dropped:.1f} s after the last file."
        )
        return made

    def _at_the_office(self, day: date, faults: Sequence[str]) -> Mapping[str, str]:
        """The day in the system that is fetched from. Returns, by feed, the position that its last change stands before."""
        office = office_of(self.sender)
        if office is None:
            return {}
        before, changes = cast(Fetched, self.sender).at_the_office(day, faults)
        if before:
            written = office.happens(before)
            set_clock(self.bank, self._next_look())
            self._until_fetched(written)
        if "F76" not in faults:
            return office.happens(changes)
        with office.unreachable(changes) as written:
            set_clock(self.bank, self._next_look())
            for feed in KINDS["F76"].feeds:
                self.stage.until_said(self.bank, f"source_down|{feed}|{day}")
        return written

    def _until_fetched(self, positions: Mapping[str, str]) -> None:
        for feed, position in positions.items():
            self.stage.until_fetched(self.bank, feed, partial(is_past, feed, position=position))

    def _next_look(self) -> datetime:
        """When a table that was just looked at is looked at again."""
        with self.bank.ledger.begin() as db:
            return clock.now(db) + BETWEEN_LOOKS

    def rest(self) -> None:
        """Days that later ones changed are told anew, too."""
        self.stage.until_at_rest(self.bank)

    def _drop(self, day: date, faults: Sequence[str]) -> int:
        """Files of the day, in the order of their sending. A repeat or a correction, and the rest of a file that did not come whole, follow when what came
        before was looked at.
        """
        inbox = inbox_folder(self.bank)
        files = list(self.sender.day_files(day, faults))
        self.later += [(day + timedelta(days=item.comes), item) for item in files if item.comes]
        now = [item for item in files if not item.comes]
        in_parts = [item for item in now if item.way != "whole"]
        for item in now:
            if item.way == "whole" and not item.replaces:
                item.write(inbox)
        for item in in_parts:
            item.begin(inbox)
        for item in in_parts:
            if item.way == "growing":  # a signal without a file shows nowhere: it lies there meanwhile
                self.stage.until_looked(self.bank, item.feed, item.entity, day)
        for item in in_parts:
            item.finish(inbox)
        again = [item for item in now if item.replaces]
        if again:
            # A correction bears the name of the file that it corrects: it comes when that one has been taken in.
            self.stage.until_quiet(self.bank)
        for item in again:
            item.write(inbox)
        return len(now)

    def _twins(self, day: date) -> None:
        """F75: two processes take the day's files from the inbox to bronze at the same time, beside whoever else does."""
        ended = [process.wait() for process in [_take_in(self.bank), _take_in(self.bank)]]
        scorecard.note_seen(self.bank, "F75", day, f"two processes side by side (exit {ended[0]} and {ended[1]})")

    def _die_and_go_on(self, day: date) -> None:
        """F74: a process dies in the middle of what it writes; another one goes on."""
        marker = self.bank.home / f"died_{day}"
        died = _take_in(self.bank, LEDGERLAKE_KILL_AT=DIES_AT, LEDGERLAKE_KILL_MARKER=str(marker)).wait()
        went_on = _take_in(self.bank).wait()
        if died == -signal.SIGKILL:
            seen = f"killed at {DIES_AT}, the next process went on (exit {went_on})"
            scorecard.note_seen(self.bank, "F74", day, seen)
        marker.with_name(f"{marker.name}.{DIES_AT}").unlink(missing_ok=True)


def take_in(profile: str) -> None:
    """What waits, from the inbox to bronze, as the tasks of Airflow do; what a process that died left behind, too."""
    load.land(profile, TAKE_IN)
    with open_bank(profile).ledger.begin() as db:
        feeds = sorted({d.feed for d in deliveries.find(db, states=["verified"])})
        waves = {feed: deliveries.next_wave(db) for feed in feeds}
    for feed, wave in waves.items():
        load.load(profile, feed, str(wave), TAKE_IN)


def _take_in(bank: Bank, **more: str) -> subprocess.Popen[bytes]:
    """The same in a process of its own."""
    program = f"from jobs.commands.demo import take_in; take_in({bank.profile!r})"
    where = demo_crm.environment(settings())
    return subprocess.Popen([sys.executable, "-c", program], env={**os.environ, **where, **more})


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

    data = json.loads(Path(made.report_path).with_suffix(".json").read_text(encoding="utf-8"))
    console.print(kpi_table(data, width=console.width))
    user, password = next(iter(logins(settings()).items()))
    console.print(f"Report   {made.report_path}", highlight=False, soft_wrap=True)
    console.print(
        f"Airflow  {settings().airflow_url}   user {user}, password {password}   (others: ledgerlake status --logins)", highlight=False, soft_wrap=True
    )  # fmt: skip
    login = bi.bi_login(bank.ledger, f"{bank.profile}_manager", "group", None, settings().home / "secrets")
    console.print(f"BI       {login.psql}", highlight=False, soft_wrap=True)
    console.print(
        "Again    `ledgerlake demo` takes the next day; `ledgerlake down` stops the services.", highlight=False
    )
