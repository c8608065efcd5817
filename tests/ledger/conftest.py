"""A ledger of its own for each test, brought up by the migrations as in production, and a tiny bank that asks it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select, update

from infra.local.secrets import secret
from jobs.contracts import Catalog, load
from jobs.ledger import Ledger, batches, clock, days, deciding, deliveries, releases
from jobs.ledger.models import DayRun, DirtyDate
from jobs.settings import Settings
from tests.contracts.house import build
from tests.postgres import emptied

NUMBERS = itertools.count(1)
DAY = date(2026, 9, 15)
NEXT = DAY + timedelta(days=1)
V1, V2 = f"{DAY}|v1", f"{DAY}|v2"
HISTORY_END = date(2026, 9, 14)
LATE = date(2026, 10, 11)  # the month of DAY is closed (`closing`)
BRANCHES = ("b01", "b02")


def at(day: date, clock_time: str) -> datetime:
    """An instant of the tiny bank's zone, Asia/Shanghai (UTC+8)."""
    return datetime.fromisoformat(f"{day}T{clock_time}:00+08:00").astimezone(UTC)


@pytest.fixture(scope="session")
def migrated(postgres: Settings) -> Iterator[Ledger]:
    """One schema for all these tests: migrating takes longer than most of them."""
    password = secret(postgres, "postgres_ledgerlake")
    url = f"postgresql+psycopg://ledgerlake:{password}@127.0.0.1:{postgres.postgres_port}/ledgerlake"
    engine = create_engine(url, pool_size=5, connect_args={"options": "-csearch_path=shared_ledger"})
    made = Ledger("shared", engine)
    made.migrate()
    yield made
    engine.dispose()


@pytest.fixture
def ledger(migrated: Ledger) -> Ledger:
    return emptied(migrated)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return load("tiny", build(tmp_path / "expectations"))


@dataclass
class TinyBank:
    """Two branches, a head office and a stream: payments (b01, b02), rates (HO), clicks (app). The clock stands where
    the test puts it."""

    ledger: Ledger
    catalog: Catalog

    def clock(self, day: date, clock_time: str) -> None:
        with self.ledger.begin() as db:
            clock.set_now(db, at(day, clock_time))

    def claim(
        self, feed: str, entity: str, day: date, *, seq: int = 1, version: int = 1, name: str | None = None
    ) -> str:
        file = name or f"{feed}_{entity}_{day}_{seq}_{next(NUMBERS)}"
        with self.ledger.begin() as db:
            delivery = deliveries.claim(
                db,
                claim_key=file,
                feed=feed,
                entity=entity,
                business_date=day,
                seq=seq,
                version=version,
                file_name=file,
                uri=f"inbox/{file}",
                run_id="r",
            )
            assert delivery is not None
            deliveries.set_state(db, delivery, "verified", "r")
        return delivery

    def goes_live(self, delivery: str, *dates: date, rejected: int = 0) -> None:
        with self.ledger.begin() as db:
            row = deliveries.get(db, delivery)
            batch = batches.start(db, f"bronze.{row.feed}", f"{row.feed}|{delivery}", "r")
            parts = [part(d) for d in dates or (row.business_date,)]
            deliveries.go_live(db, delivery, batch.batch_id, "r", dates=parts, totals={"rejected_rows": rejected})

    def arrives(self, feed: str, entity: str, day: date, *dates: date, seq: int = 1, version: int = 1) -> str:
        """A delivery that is claimed and goes live, with rows of `dates` (of its own date when none are given)."""
        delivery = self.claim(feed, entity, day, seq=seq, version=version)
        self.goes_live(delivery, *dates)
        return delivery

    def whole_day(self, day: date = DAY) -> list[str]:
        return [self.arrives("payments", b, day) for b in BRANCHES] + [self.arrives("rates", "HO", day)]

    def all_but_b02(self) -> None:
        """All that DAY is owed but the payments of b02."""
        self.arrives("payments", "b01", DAY)
        self.arrives("rates", "HO", DAY)

    def told_without_b02(self) -> None:
        """DAY is told at its close_by, provisional, without the payments of b02."""
        self.all_but_b02()
        self.clock(DAY, "23:50")
        assert self.decide() == [V1]
        self.release(V1)

    def take_on(self) -> str:
        """History of three days, taken on and released, with its two branches. Returns the run's key."""
        self.clock(HISTORY_END, "23:00")
        history = [date(2026, 9, 12), date(2026, 9, 13), HISTORY_END]
        for feed in ("payments", "rates"):
            self.arrives(feed, days.TAKE_ON, HISTORY_END, *history)
        [key] = self.decide()
        self.release(key)
        with self.ledger.begin() as db:
            days.replace_units(db, [unit(b) for b in BRANCHES])
        return key

    def decide(self) -> list[str]:
        with self.ledger.begin() as db:
            return deciding.decide(db, self.catalog)

    def start(self, key: str) -> Any:
        with self.ledger.begin() as db:
            return days.start(db, self.catalog, key, "run")

    def release(self, key: str) -> int:
        self.start(key)
        with self.ledger.begin() as db:
            return releases.release(db, days.get(db, key), {"gold.daily": (1, None)}, "run")

    def ends(self, key: str, state: str, reason: str | None = None) -> None:
        self.start(key)
        with self.ledger.begin() as db:
            days.finish(db, key, state, reason)

    def stops(self, key: str, table: str = "silver.payments") -> None:
        """The gate of a table says stop, and what the run wrote is taken back."""
        with self.ledger.begin() as db:
            batch = batches.start(db, table, key, "run")
            batches.record_gate(
                db, batch_id=batch.batch_id, table=table, subject=key, outcome="stop", rules_run=1, failed=[], result={}, docs_path=None, run_id="run"
            )  # fmt: skip
            batches.set_state(db, batch.batch_id, "restored")
        self.ends(key, "stopped", f"the gate of {table} said stop. Received 3 rows; written 2 rows: off by -1 rows.")
        with self.ledger.begin() as db:
            batches.alert(db, f"day|{key}", batches.DAY_STOPPED, f"{key} stopped")

    def run(self, key: str) -> Any:
        with self.ledger.begin() as db:
            return days.get(db, key)

    def delivery(self, delivery: str) -> Any:
        with self.ledger.begin() as db:
            return deliveries.get(db, delivery)

    def dirty(self) -> list[tuple[date, str]]:
        """(business date, cause) of all marks."""
        with self.ledger.begin() as db:
            rows = db.execute(select(DirtyDate.business_date, DirtyDate.cause).order_by(DirtyDate.dirty_id))
            return [(row.business_date, row.cause) for row in rows]


def part(day: date, rows: int = 1) -> dict[str, Any]:
    money = {f"{p}_money": Decimal(0) for p in ("accepted", "rejected", "duplicate")}
    return {"business_date": day, "accepted_rows": rows, "rejected_rows": 0, "duplicate_rows": 0, **money}


def unit(branch: str) -> dict[str, Any]:
    return {
        "branch_id": branch,
        "valid_from": date(2020, 1, 1),
        "valid_to": None,
        "name": branch,
        "province_code": "11",
    }


@pytest.fixture
def bank(ledger: Ledger, catalog: Catalog) -> TinyBank:
    made = TinyBank(ledger, catalog)
    made.clock(DAY, "08:00")
    return made


@pytest.fixture
def running(bank: TinyBank) -> TinyBank:
    """The tiny bank with its history taken on; it is the morning of its first live day."""
    bank.take_on()
    bank.clock(DAY, "08:00")
    return bank


@pytest.fixture
def closing(running: TinyBank) -> TinyBank:
    """Its months close ten days after their end."""
    profile = running.catalog.profile.model_copy(update={"month_closes_after": 10})
    return replace(running, catalog=replace(running.catalog, profile=profile))


def released(bank: TinyBank, day: date = DAY) -> None:
    bank.whole_day(day)
    for key in bank.decide():
        bank.release(key)


def minutes_later(bank: TinyBank) -> None:
    """As if each failed run had ended five minutes ago."""
    with bank.ledger.begin() as db:
        db.execute(
            update(DayRun).where(DayRun.state == "failed").values(finished_at=datetime.now(UTC) - timedelta(minutes=5))
        )
