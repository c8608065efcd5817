"""Business days by Airflow on the invented bank: seconds from the last file to the report and where they go, the cost of the last day against the
third, and what the services take at rest.

`python -m tests.bench days [DAYS] [SCALE]`; 3 days of scale S when nothing is said. The ratio of the 30th day to the 3rd needs 30.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from infra.local import services
from infra.local.secrets import secret
from jobs.bank import open_bank
from jobs.commands import demo, watch
from jobs.demo_bank import DemoBank
from jobs.settings import settings
from tests.whole_day.live import everything

REST_SECONDS = 60


class Task(NamedTuple):
    """One task of Airflow that ran, of the main bank or of another."""

    dag: str
    name: str
    key: str | None
    began: datetime
    ended: datetime


def main(number: int = 3, scale: str = "S") -> None:
    with everything():
        bank, sender = open_bank("demo"), DemoBank(seed=7, scale=scale)
        demo.take_on_if_new(bank, sender)
        taken = []
        for n in range(1, number + 1):
            watch.until_at_rest(bank)
            before = cpu()
            began = datetime.now().astimezone()
            made = demo.run_day(bank, sender, demo.next_day(bank))
            taken.append(told(n, began, made.run_key, before))
        if number > 3:
            print(
                f"day {number} : day 3                        {taken[-1] / taken[2]:6.2f}     (the 30th: at most 1.15)"
            )
        watch.until_at_rest(bank)
        at_rest()


def told(n: int, began: datetime, run_key: str, before: float) -> float:
    """Prints where the seconds of one day went; returns those from the first file to the report."""
    tasks = ended(began, run_key)
    report = next(t for t in tasks if t.name == "report" and t.key == run_key)
    ours = [t for t in tasks if t.began < report.ended]
    total = (report.ended - began).total_seconds()
    built = {
        layer: [t for t in ours if t.key == run_key and t.name.startswith(f"{layer}.")] for layer in ("silver", "gold")
    }
    arrival = [t for t in ours if t.dag in ("landing", "load")]
    last = [t for t in ours if t.key == run_key and t.name in ("release", "publish", "report")]
    print(
        f"day {n}: first file to report             {total:6.1f} s   (at most 45; {cpu() - before:.0f} s of processor time)"
    )
    for name, part in (("arrival and bronze", arrival), *built.items(), ("release, mart, report", last)):
        begin, end = min(t.began for t in part), max(t.ended for t in part)
        print(
            f"  {name:24} {(begin - began).total_seconds():6.1f} to {(end - began).total_seconds():6.1f} s, tasks of {busy(part):6.1f} s"
        )
    print(
        f"  no task at work          {total - covered(ours, began, report.ended):6.1f} s (Airflow between tasks)",
        flush=True,
    )
    return total


def ended(began: datetime, run_key: str) -> list[Task]:
    """Tasks that ended after `began`. The report is there a moment before Airflow has noted that its task ended."""
    for _ in range(300):
        tasks = [t for t in run() if t.ended > began]
        if any(t.name == "report" and t.key == run_key for t in tasks):
            return tasks
        time.sleep(0.1)
    raise TimeoutError(f"Airflow does not say that the report of {run_key} ended")


def run() -> list[Task]:
    own = settings()
    url = f"postgresql://airflow:{secret(own, 'postgres_airflow')}@127.0.0.1:{own.postgres_port}/airflow"
    with psycopg.connect(url) as db:
        rows = db.execute(
            "select t.dag_id, t.task_id, r.partition_key, t.start_date, t.end_date from task_instance t "
            "join dag_run r using (dag_id, run_id) where t.end_date is not null and t.start_date is not null"
        )
        return [Task(*row) for row in rows]


def busy(tasks: Iterable[Task]) -> float:
    return sum((t.ended - t.began).total_seconds() for t in tasks)


def covered(tasks: Sequence[Task], begin: datetime, end: datetime) -> float:
    """Seconds between `begin` and `end` in which at least one task ran."""
    seconds, at = 0.0, begin
    for t in sorted(tasks, key=lambda t: t.began):
        start, stop = max(t.began, at), min(t.ended, end)
        if stop > start:
            seconds += (stop - start).total_seconds()
            at = stop
    return seconds


def cpu() -> float:
    """Processor seconds of this machine so far, idle ones left out."""
    fields = Path("/proc/stat").read_text("ascii").splitlines()[0].split()[1:]
    busy_fields = [int(field) for n, field in enumerate(fields[:7]) if n not in (3, 4)]  # idle, waiting for a disk
    return sum(busy_fields) / os.sysconf("SC_CLK_TCK")


def at_rest() -> None:
    before, began = cpu(), time.monotonic()
    time.sleep(REST_SECONDS)
    cores = (cpu() - before) / (time.monotonic() - began)
    used: Any = services.usage()
    for one in used:
        print(f"  {one.name:24} {one.pss / 2**20:6.0f} MiB")
    print(f"at rest: memory (PSS)                   {sum(u.pss for u in used) / 2**30:6.2f} GiB (under 3)")
    # Of the whole machine: a task's process that ends takes what it used with it.
    print(f"at rest: processor                      {cores:6.2f} cores (under 0.5)")


if __name__ == "__main__":
    main(*(int(a) if a.isdigit() else a for a in sys.argv[1:]))  # type: ignore[arg-type]
