"""Killed anywhere, run twice at once, a server taken away: the day ends as the undisturbed one did.

One history is taken on, and the next day's files lie in the inbox. Each story plays that day on a copy of this state (a
database made from a template, a folder copied), with its own disturbance; then every table's rows, the deliveries, the
releases, the mart and the report are compared with those of the undisturbed copy. "Identical" is the design's word:
equal multisets of rows over contract columns, without machinery (batch, delivery) and tokens (drawn at random).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest
from sqlalchemy import select, text

from infra.local import postgres, services
from jobs.bank import Bank
from jobs.commands import demo
from jobs.contracts import Table
from jobs.demo_bank import DemoBank
from jobs.ledger import deliveries
from jobs.ledger.models import LIVE_STATES, DeliveryDate
from jobs.seams import SEAMS
from jobs.serving.mart import mart_tables, schemas
from jobs.settings import Settings
from tests.whole_day.driven import Driven, environment, first_bank, own_servers

pytestmark = [pytest.mark.services, pytest.mark.long, pytest.mark.timeout(1800)]


@dataclass
class Base:
    """The history, taken on, and the servers that all copies share."""

    home: Path
    servers: Settings

    def copy(self, name: str) -> Driven:
        home = self.home.parent / name
        shutil.copytree(self.home, home)
        with postgres.connect(self.servers) as db:
            db.autocommit = True
            # By copied files and a checkpoint. By the write-ahead log alone, a copied sequence that is used and then crashes goes back to where it
            # stood when it was copied.
            db.execute(f'create database "{name}" template ledgerlake strategy file_copy owner ledgerlake')
        return Driven(home, environment(self.servers, home, name))

    def kill(self, service: str) -> None:
        """As by `kill -9`; the supervisor starts it again."""
        pid = self.seen(service).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    def seen(self, service: str) -> services.ServiceStatus:
        (found,) = [entry for entry in services.status(self.servers) if entry.name == service]
        return found


@pytest.fixture(scope="module")
def base() -> Iterator[Base]:
    """The history is taken on; the next day's files lie in the inbox, and the clock stands after the last due time."""
    with own_servers("ledgerlake_once_") as (folder, servers):
        first, sender = first_bank(folder, servers), DemoBank(seed=7, scale="XS")
        bank = first.take_on(sender)
        for file in sender.day_files(sender.first_live_day):
            file.write(bank.home / "inbox")
        demo.set_clock(bank, bank.catalog.profile.local(sender.first_live_day, demo.CLOSED))
        bank.ledger.engine.dispose()
        yield Base(first.home, servers)


@pytest.fixture(scope="module")
def undisturbed(base: Base) -> dict[str, Any]:
    copy = base.copy("undisturbed")
    copy.play()
    return outcome(copy.bank())


def outcome(bank: Bank) -> dict[str, Any]:
    """All that a day leaves behind, comparable."""
    with bank.ledger.begin() as db:
        rows = deliveries.find(db)
        parts = db.execute(select(DeliveryDate.batch_id, DeliveryDate.delivery_id).distinct())
        live_now = {d.delivery_id for d in rows if d.state in LIVE_STATES}
        live = {(part.batch_id, part.delivery_id) for part in parts if part.delivery_id in live_now}
        told: dict[str, Any] = {
            "deliveries": Counter(
                (d.feed, d.entity, d.business_date, d.state, d.received_rows, d.accepted_rows, d.rejected_rows, d.accepted_money) for d in rows
            ),
            "releases": Counter(db.execute(text("select run_key, kind, cause from releases")).tuples()),
            "open batches": Counter(db.execute(text("select table_name from batches where state in ('started', 'written')")).scalars()),
            "unbalanced": Counter(db.execute(text("select table_name from balances where not is_balanced")).scalars()),
            "leases": db.execute(text("select count(*) from leases where expires_at > now()")).scalar_one(),
            "reports": Counter(_figures(Path(p)) for p in db.execute(text("select report_path from releases")).scalars()),
        }  # fmt: skip
        raw = db.connection.driver_connection
        for address, table in mart_tables(bank.catalog).items():
            columns = ", ".join(f'"{c}"::text' for c in table.columns if not c.endswith("_token"))
            query = f'select {columns} from {schemas(bank.profile)[0]}."{table.name}"'
            told[f"mart {address}"] = Counter(raw.execute(query))  # type: ignore[union-attr]
    bank.ledger.engine.dispose()
    for table in bank.catalog.tables.values():
        if bank.lake.exists(table.table):
            told[table.table] = _rows(bank, table, live)
    return told


def _compared(table: Table) -> list[str]:
    return [c for c in table.physical_columns if not c.endswith("_token")]


def _rows(bank: Bank, table: Table, live: set[tuple[int, str]]) -> Counter[Any]:
    """Row hash -> how often; bronze's live rows, and what passed or was kept back in silver and gold."""
    columns = [f'"{c}"' for c in _compared(table)]
    columns += {"scd2": ["valid_from", "valid_to", "is_current"]}.get(table.history or "", [])
    columns += ["__verdict", "__reasons"]
    with duckdb.connect() as engine:
        engine.register("t", bank.lake.dataset(table.table))
        where = ""
        if table.layer == "bronze":
            engine.execute("create table live (batch bigint, delivery varchar)")
            engine.executemany("insert into live values (?, ?)", sorted(live))
            where = "semi join live on __batch = batch and __delivery_id = delivery"
        row = f"md5({{{', '.join(f'{n}: {c}' for n, c in ((f'c{i}', c) for i, c in enumerate(columns)))}}}::varchar)"
        return Counter(dict(engine.execute(f"select {row}, count(*) from t {where} group by 1").fetchall()))


def _figures(report: Path) -> str:
    """The figures of a report, without the moment at which it was written."""
    told = json.loads(report.with_suffix(".json").read_text(encoding="utf-8"))
    return json.dumps(told["kpis"], sort_keys=True)


def assert_identical(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


# Who dies, and what comes after it, is known then.
IN_ORDER = {"LEDGERLAKE_DRIVE_AT_ONCE": "1"}


@pytest.mark.parametrize("places", [SEAMS[::2], SEAMS[1::2]], ids=",".join)
def test_killed_at_its_seams_a_day_ends_the_same_way(
    base: Base, undisturbed: dict[str, Any], places: tuple[str, ...]
) -> None:
    """At each of four seams, one after the other, a process dies, and the next attempt goes on."""
    copy = base.copy(places[0])
    marker = copy.home / "fired"
    said = copy.play(LEDGERLAKE_KILL_AT=",".join(places), LEDGERLAKE_KILL_MARKER=str(marker), **IN_ORDER)
    unseen = [place for place in places if not marker.with_name(f"fired.{place}").exists()]
    assert unseen == [], "nobody died there: the seam is not on the road"
    assert said.count(f"exit -{signal.SIGKILL.value}") == len(places)
    assert_identical(outcome(copy.bank()), undisturbed)


def test_two_copies_of_every_step_side_by_side(base: Base, undisturbed: dict[str, Any]) -> None:
    copy = base.copy("twins")
    copy.play(LEDGERLAKE_DRIVE_COPIES="2")
    assert_identical(outcome(copy.bank()), undisturbed)


MOMENTS = ("load core_customers", "judge silver.parties_source", "judge gold.party_days")


def _at_each(copy: Driven, moments: Sequence[str], port: int, act: Callable[[], None]) -> list[str]:
    """Play the day; each time that the next of these steps has ended and the step behind it is connected to `port`, act. What was printed after each act."""
    process = copy.start(**IN_ORDER)
    said, left = [""], list(moments)
    assert process.stdout is not None
    for line in process.stdout:
        said[-1] += line
        if left and left[0] in line:
            del left[0]
            _wait_for_connection(process.pid, port)
            time.sleep(0.4)  # it is in the middle of its work
            act()
            said.append("")
    assert process.wait(timeout=60) == 0, "".join(said)[-6000:]
    assert left == [], "".join(said)[-3000:]
    return said[1:]


def _wait_for_connection(pid: int, port: int) -> None:
    """Until a child of the process is connected. A step that is not, yet, waits until the server is back and notices nothing."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for child in psutil.Process(pid).children():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if any(
                    c.raddr and c.raddr.port == port and c.status == psutil.CONN_ESTABLISHED
                    for c in child.net_connections()
                ):
                    return
        time.sleep(0.02)
    raise AssertionError(f"no step connected to port {port}")


@pytest.mark.parametrize("service", ["spark", "postgres"])
def test_a_server_is_killed_again_and_again(base: Base, undisturbed: dict[str, Any], service: str) -> None:
    """In the middle of a load, of a judged table and of a table that is built from history."""
    copy = base.copy(f"{service}_killed")
    restarts = base.seen(service).restarts
    port = {"spark": base.servers.spark_port, "postgres": base.servers.postgres_port}[service]
    said = _at_each(copy, MOMENTS, port, lambda: base.kill(service))
    assert base.seen(service).restarts == restarts + len(MOMENTS)
    # PostgreSQL is back before a step that holds no connection at that moment looks for it.
    assert service == "postgres" or all("exit 1" in part for part in said), "a step noticed nothing"
    assert_identical(outcome(copy.bank()), undisturbed)
