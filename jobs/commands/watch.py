"""Live progress of a business day, read from the ledger: which branch has delivered, which table is built, which gate passed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.text import Text
from sqlalchemy import Connection

from jobs.bank import Bank
from jobs.commands.lanes import board
from jobs.commands.output import Bad, console
from jobs.ledger import batches, days, deliveries, fixes, lanes, releases, slices
from jobs.ledger.lanes import BAD_WORDS, LaneStatus

# A day takes well under a minute; a take-on of history some minutes. Longer than this, something hangs and a person should look.
PATIENCE = 900.0


@contextmanager
def live() -> Iterator[Any]:
    """A live picture on a terminal; plain lines elsewhere (a log is no place for cursor movements)."""
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4, transient=False) as picture:
            yield picture
    else:
        yield None


def until_released(bank: Bank, first: date, last: date, *, after: int = 0, patience: float = PATIENCE) -> str:
    """Show progress until a run of these dates with a version above `after` is released; its key. Raises Bad when it stops."""
    began, said = time.monotonic(), set[str]()
    with live() as picture:
        while time.monotonic() - began < patience:
            with bank.ledger.begin() as db:
                run = next(
                    (r for r in days.runs(db, 20) if (r.from_date, r.to_date) == (first, last) and r.version > after),
                    None,
                )
                status = lanes.of_day(db, bank.catalog, last) if first == last else []
                written = releases.written_by(db, run.run_key) if run else {}
            _show(bank, picture, status, run, written, said, time.monotonic() - began)
            if run is not None and run.state == "released":
                return run.run_key
            if run is not None and run.state == "stopped":
                raise Bad(f"Business day {run.run_key} stopped: {run.reason}. See `ledgerlake gates --outcome stop`.")
            time.sleep(0.3)
    raise Bad(
        f"{last} was not released within {patience:.0f} s. `ledgerlake status` and `ledgerlake lanes {last}` show what it waits for."
    )


def until_history(bank: Bank, last: date) -> str:
    """Wait for the release of a take-on that ends with `last`; its key."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        with bank.ledger.begin() as db:
            run = next(
                (
                    r
                    for r in days.runs(db, 20)
                    if r.to_date == last and r.state in (*days.OPEN_STATES, "released", "stopped")
                ),
                None,
            )
        if run is not None:
            return until_released(bank, run.from_date, last)
        with bank.ledger.begin() as db:
            refused = deliveries.find(db, states=["refused", "held"])
        if refused:
            raise Bad(
                f"The history cannot be taken on: {refused[0].file_name} is {refused[0].state}: {refused[0].reason}"
            )
        time.sleep(0.3)
    raise Bad(
        f"The history up to {last} was not asked for within {PATIENCE:.0f} s. `ledgerlake files` shows what has come."
    )


def until_quiet(bank: Bank, seconds: float = 5.0) -> None:
    """Wait until nothing that arrived is on its way to bronze any more, for some seconds."""
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < seconds:
        with bank.ledger.begin() as db:
            if _on_the_way(db):
                quiet_since = time.monotonic()
        time.sleep(0.3)


def _on_the_way(db: Connection) -> bool:
    """Something arrived, or was taken at a source, and is not in bronze yet."""
    return bool(deliveries.find(db, states=["arriving", "verified"]) or slices.waiting(db))


def until_looked(bank: Bank, feed: str, entity: str, day: date, patience: float = 60.0) -> None:
    """Wait until a file of this lane was claimed: somebody has seen that it is not whole."""
    began = time.monotonic()
    while time.monotonic() - began < patience:
        with bank.ledger.begin() as db:
            if deliveries.find(db, feed=feed, entity=entity, business_date=day):
                return
        time.sleep(0.2)


def until_fetched(bank: Bank, feed: str, is_past: Callable[[str], bool], patience: float = PATIENCE) -> None:
    """Wait until a source that is fetched was looked at up to a position (`is_past` of the end of a slice), and what was found is in bronze. Raises Bad when it is not."""
    began = time.monotonic()
    while time.monotonic() - began < patience:
        with bank.ledger.begin() as db:
            on_the_way = slices.waiting(db, feed) or deliveries.find(db, feed=feed, states=["arriving", "verified"])
            if not on_the_way and any(map(is_past, slices.ends(db, feed).values())):
                return
        time.sleep(0.3)
    raise Bad(
        f"{feed} was not fetched within {patience:.0f} s. `ledgerlake status` and the runs of roll_call in Airflow show why."
    )


def until_said(bank: Bank, alert_key: str, patience: float = 180.0) -> None:
    """Wait until an alert was raised. Raises Bad when it is not."""
    began = time.monotonic()
    while time.monotonic() - began < patience:
        with bank.ledger.begin() as db:
            if any(alert.alert_key == alert_key for alert in batches.alerts(db)):
                return
        time.sleep(0.3)
    raise Bad(f"Nobody was told {alert_key} within {patience:.0f} s: see the runs of roll_call in Airflow.")


def until_at_rest(bank: Bank, seconds: float = 8.0, patience: float = PATIENCE) -> None:
    """Wait until no delivery is on its way or judged again and no day is asked for or under way, for some seconds."""
    began = quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < seconds:
        with bank.ledger.begin() as db:
            busy = _on_the_way(db) or fixes.replaying(db) or [r for r in days.runs(db) if r.state in days.OPEN_STATES]
        if busy:
            quiet_since = time.monotonic()
        if time.monotonic() - began > patience:
            raise Bad(
                f"Still at work after {patience:.0f} s. `ledgerlake status` and `ledgerlake files` show what it waits for."
            )
        time.sleep(0.5)


def until_settled(bank: Bank, run_key: str) -> str:
    first, last, version = days.parse_key(run_key)
    until_released(bank, first, last, after=version - 1)
    with bank.ledger.begin() as db:
        return days.get(db, run_key).state


def until_reported(bank: Bank, run_key: str, patience: float = 120.0) -> Any:
    """Wait for mart and report of a release; the release's row."""
    began = time.monotonic()
    while time.monotonic() - began < patience:
        with bank.ledger.begin() as db:
            made = releases.get(db, run_key)
        if made is not None and made.report_path:
            return made
        time.sleep(0.2)
    raise Bad(
        f"{run_key} was released, but its report is not written after {patience:.0f} s: see the tasks `publish` and `report` in Airflow."
    )


def _show(
    bank: Bank,
    picture: Any,
    status: list[LaneStatus],
    run: Any,
    written: dict[str, Any],
    said: set[str],
    seconds: float,
) -> None:
    if picture is None:
        for line in _news(status, run, written):
            if line not in said:
                said.add(line)
                console.print(f"{seconds:6.1f} s  {line}", highlight=False, soft_wrap=True)
        return
    stages = Text()
    for layer in ("silver", "gold"):
        stages.append(f"{layer}: ", style="bold")
        for table in bank.catalog.build_order():
            if table.layer == layer:
                batch = written.get(table.table)
                mark, style = {
                    None: ("·", "dim"),
                    "started": ("…", "cyan"),
                    "written": ("w", "cyan"),
                    "passed": ("✓", "green"),
                }.get(batch.state if batch else None, ("✗", "red"))
                stages.append(f"{mark} {table.name}  ", style=style)
        stages.append("\n")
    head = f"{run.run_key}: {run.state}" if run else "waiting for the branches"
    picture.update(
        Group(board([lane for lane in status if lane.is_owed], f"{head}   {seconds:.0f} s"), stages)
        if status
        else Group(Text(f"{head}   {seconds:.0f} s", style="bold"), stages)
    )


def _news(status: list[LaneStatus], run: Any, written: dict[str, Any]) -> Iterator[str]:
    for lane in status:
        if lane.is_owed and (lane.state or lane.word == "missing"):
            told = lane.word if lane.word in BAD_WORDS or lane.state is None else lane.state
            yield f"{lane.feed} of {lane.entity}: {told}" + (f" ({lane.reason})" if lane.reason else "")
    if run is not None:
        yield f"business day {run.run_key}: {run.state} ({run.received_units} of {run.expected_units} lanes)"
    for name, batch in written.items():
        if batch.state in ("passed", "stopped"):
            yield f"{name}: gate {batch.state}"
