"""Airflow's part without Airflow: `python -m tests.whole_day.drive PROFILE [bronze | DATE]`.

Calls the functions that the DAGs' tasks call, in the DAGs' order, each in a forked process of its own as Airflow does, two at once where they do not
need each other, and again when that process died. For tests that kill processes at named places, run two copies of every step side by
side, or take a server away: there a real Airflow would only add minutes of waiting.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from functools import partial
from multiprocessing import connection
from typing import Any

ATTEMPTS = 5
# So many steps at once; one after the other where a test counts on their order.
AT_ONCE = int(os.environ.get("LEDGERLAKE_DRIVE_AT_ONCE", "2"))
COPIES = int(os.environ.get("LEDGERLAKE_DRIVE_COPIES", "1"))
RUN = "drive/tests"
PRELOADED = ("great_expectations", "pyspark.sql.connect.session", "pandas", "pyarrow.dataset", "duckdb", "sqlalchemy.orm", "psycopg")  # fmt: skip
fork = multiprocessing.get_context("fork")


def step(name: str, work: Callable[[], Any]) -> Any:
    """What a task gave back, after as many attempts as it took; with COPIES, all attempts are made that many at once, until all end well."""
    for attempt in range(1, ATTEMPTS + 1):
        began = time.monotonic()
        answers = [_start(work) for _ in range(COPIES)]
        ended = [_end(*answer) for answer in answers]
        good = [answer for status, answer in ended if status == 0]
        told = " ".join(f"exit {status}" for status, _ in ended if status != 0)
        print(f"{time.monotonic() - began:6.2f} s  {name} {told}", flush=True)
        if len(good) == COPIES:
            return good[0]
        time.sleep(min(3 * attempt, 10))
    raise SystemExit(f"{name} failed {ATTEMPTS} times; its error is above.")


def side_by_side(work: Mapping[str, Callable[[], Any]], needs: Mapping[str, Collection[str]] | None = None) -> None:
    """Steps, each begun when those that it needs are done; `work` is in an order in which they could be done one after the other."""
    if AT_ONCE == 1 or COPIES > 1:
        for name, one in work.items():
            step(name, one)
        return
    left, running, done, failed = dict(work), dict[Any, tuple[str, Any, float]](), set[str](), Counter[str]()
    while left or running:
        for name in [n for n in left if done >= set((needs or {}).get(n, ()))][: AT_ONCE - len(running)]:
            process, receiver = _start(left.pop(name))
            running[receiver] = (name, process, time.monotonic())
        for receiver in connection.wait(list(running)):
            name, process, began = running.pop(receiver)
            status, _ = _end(process, receiver)
            print(f"{time.monotonic() - began:6.2f} s  {name} {f'exit {status}' if status else ''}", flush=True)
            if status == 0:
                done.add(name)
                continue
            failed[name] += 1
            if failed[name] == ATTEMPTS:
                raise SystemExit(f"{name} failed {ATTEMPTS} times; its error is above.")
            left[name] = work[name]
            time.sleep(min(3 * failed[name], 10))


def _start(work: Callable[[], Any]) -> tuple[Any, Any]:
    receiver, sender = fork.Pipe(duplex=False)

    def run() -> None:
        try:
            sender.send(json.loads(json.dumps(work(), default=str)))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    process = fork.Process(target=run)
    process.start()
    sender.close()
    return process, receiver


def _end(process: Any, receiver: Any) -> tuple[int, Any]:
    try:
        answer = receiver.recv()
    except EOFError:
        answer = None
    process.join()
    return process.exitcode, answer


def drive(profile: str, only: str = "") -> None:
    """All that waits in the inbox, on to the reports; what an earlier drive left unfinished, too. `only`: no further than bronze, or no other day than this one."""
    from jobs import load

    while True:
        step("land", lambda: load.land(profile, RUN))
        feeds = step("feeds", lambda: _verified(profile))
        side_by_side({f"load {feed}": partial(load.load, profile, feed, wave, RUN) for feed, wave in feeds})
        if not feeds:
            break
    if only == "bronze":
        return
    asked = set[str]()
    while wanted := [
        key for key in [*step("ready_days", lambda: load.ready_days(profile)), *step("open", lambda: _open(profile))]
        if key not in asked and key.startswith(only)
    ]:  # fmt: skip
        asked.add(wanted[0])
        business_day(profile, wanted[0])


def business_day(profile: str, key: str) -> None:
    """The tasks of one run of business_day."""
    from jobs import build, day

    if step(f"begin {key}", lambda: day.begin(profile, key, RUN)) != "running":
        return
    work: dict[str, Callable[[], Any]] = {}
    needs: dict[str, list[str]] = {}
    for table, reads in step("tables", lambda: _tables(profile)).items():
        work[f"build {table}"] = partial(build.build, profile, key, table, RUN)
        work[f"judge {table}"] = partial(build.judge_table, profile, key, table, RUN)
        needs |= {f"build {table}": [f"judge {read}" for read in reads], f"judge {table}": [f"build {table}"]}
    side_by_side(work, needs)
    step("release", lambda: day.release(profile, key, RUN))
    step("publish", lambda: day.publish(profile, key, RUN))
    step("report", lambda: day.report(profile, key, RUN))
    step("settle", lambda: day.settle(profile, key, RUN))


def _tables(profile: str) -> dict[str, list[str]]:
    """Table -> those that are built before it, in an order in which they can be built."""
    from jobs.bank import open_bank

    order = open_bank(profile).catalog.build_order()
    built = {table.table for table in order}
    return {table.table: [read for read in table.reads if read in built] for table in order}


def _verified(profile: str) -> list[tuple[str, str]]:
    from jobs.bank import open_bank
    from jobs.ledger import deliveries

    with open_bank(profile).ledger.begin() as db:
        feeds = sorted({d.feed for d in deliveries.find(db, states=["verified"])})
        return [(feed, str(deliveries.next_wave(db))) for feed in feeds]


def _open(profile: str) -> list[str]:
    from jobs.bank import open_bank
    from jobs.ledger import days

    with open_bank(profile).ledger.begin() as db:
        return [run.run_key for run in days.runs(db) if run.state in days.OPEN_STATES]


if __name__ == "__main__":
    for module in PRELOADED:
        importlib.import_module(module)
    drive(*sys.argv[1:])
