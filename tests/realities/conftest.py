"""A small bank of two branches and one feed, with real files, a real ledger, Spark and Delta: what arrives is played on to its releases, without Airflow."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row

from jobs import bank as banks
from jobs import build, day, load
from jobs.contracts import load as contracts
from jobs.ledger import Ledger, batches, clock, connect, days, deliveries, releases
from jobs.settings import settings
from tests.postgres import emptied

RUN = "tests/realities"
MONDAY, TUESDAY, WEDNESDAY = date(2026, 9, 14), date(2026, 9, 15), date(2026, 9, 16)
FILES = {
    "profiles/small.yaml": """\
profile: small
title: {en: Small Bank, zh: 小银行}
zone: Asia/Shanghai
currency: CNY
calendar: every_day
closeBy: "23:50"
""",
    "sources/small/payments.yaml": """\
feed: payments
description: Payments of one branch.
system: core
owner: branch accounting
sender: branch
kind: increment
files: {pattern: "PAY_{entity}_{date}_{seq}.csv"}
format:
  kind: delimited
  separator: "|"
  header: {tag: H, fields: [system, entity, business_date]}
  trailer: {tag: T, fields: [record_count, amount_sum]}
control: {sum: amount}
synthetic: true
""",
    "bronze/payments.yaml": """\
table: bronze.payments
version: 1.0.0
description: A payment as the branch sent it.
grain: one payment
owner: branch accounting
steward: accounting
primaryKey: [branch_id, payment_no]
history: append
money: amount
columns:
  branch_id:     [string!, {classification: C1/2}]
  payment_no:    [string!, {classification: C1/2}]
  kind:          [string!, {enum: [in, out], classification: C1/2}]
  amount:        ["decimal(18,2)!", {unit: CNY, classification: C2/3}]
  business_date: [date!, {parse: yyyyMMdd, classification: C1/2}]
  remark:        [string, {text: chinese, classification: C1/2}]
conforms:
  silver.movements:
    columns:
      movement_id: concat_ws(':', '$system', branch_id, cast(business_date as string), payment_no)
      amount: amount
      remark: remark
      business_date: business_date
""",
    "silver/movements.yaml": """\
table: silver.movements
version: 1.0.0
description: Movements of every source.
grain: one movement
owner: payments
steward: accounting
madeBy: tests.realities.movements
reads: [incoming]
primaryKey: [movement_id]
history: fact
money: amount
incoming:
  movement_id:   [string!, {classification: C1/2}]
  amount:        ["decimal(18,2)!", {classification: C2/3}]
  remark:        [string, {classification: C1/2}]
  business_date: [date!, {classification: C1/2}]
columns:
  movement_id:   [string!, {classification: C1/2}]
  amount:        ["decimal(18,2)!", {classification: C2/3}]
  remark:        [string, {classification: C1/2}]
  business_date: [date!, {classification: C1/2}]
""",
}
Payment = tuple[str, ...]  # payment_no, kind, amount, remark


def file_of(branch: str, of: date, *payments: Payment, count: int | None = None) -> bytes:
    """A branch's file of a day, its trailer right unless `count` says otherwise."""
    body = [f"{branch}|{no}|{kind}|{amount}|{of:%Y%m%d}|{remark}" for no, kind, amount, remark in payments]
    total = sum((Decimal(amount) for _, _, amount, _ in payments), Decimal(0))
    lines = [f"H|core|{branch}|{of:%Y%m%d}", *body, f"T|{len(payments) if count is None else count}|{total:.2f}"]
    return "".join(line + "\n" for line in lines).encode()


@dataclass
class Small:
    """The small bank as its branches and its operator see it."""

    name: str
    home: Path
    ledger: Ledger

    @property
    def bank(self) -> banks.Bank:
        return banks.open_bank(self.name)

    def clock(self, of: date, hour: int = 20) -> None:
        with self.ledger.begin() as db:
            clock.set_now(db, datetime(of.year, of.month, of.day, hour - 8, tzinfo=UTC))

    def send(self, branch: str, of: date, *payments: Payment, seq: int = 1) -> None:
        self.put("payments", branch, of, f"PAY_{branch}_{of:%Y%m%d}_{seq}.csv", file_of(branch, of, *payments))

    def put(self, feed: str, branch: str, of: date, name: str, content: bytes) -> None:
        folder = self.home / "inbox" / feed / branch / str(of)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        (folder / f"{name}.ok").write_text(f"{name}|||{hashlib.sha256(content).hexdigest()}\n")

    def take(self) -> list[Row[Any]]:
        """Land and load all that waits; the deliveries in the order of their arrival."""
        for key in load.land(self.name, RUN):
            feed, wave = key.split("|")
            load.load(self.name, feed, wave, RUN)
        return self.deliveries()

    def land(self) -> list[Row[Any]]:
        """Take in all that waits, and load nothing."""
        load.land(self.name, RUN)
        return self.deliveries()

    def load(self, feed: str) -> None:
        """What of a feed waits verified, as when roll-call rings for it."""
        with self.ledger.begin() as db:
            wave = deliveries.next_wave(db)
        load.load(self.name, feed, str(wave), RUN)

    def deliveries(self) -> list[Row[Any]]:
        with self.ledger.begin() as db:
            return deliveries.find(db)

    def play(self) -> list[Row[Any]]:
        """The same, and every day that is ready or must be told anew is built and released."""
        found = self.take()
        while keys := self.asked():
            for key in keys:
                self.build(key)
        return found

    def asked(self) -> list[str]:
        return load.ready_days(self.name)

    def build(self, key: str, before_release: Callable[[], object] = lambda: None) -> None:
        assert day.begin(self.name, key, RUN) == "running"
        for table in self.bank.catalog.build_order():
            build.build(self.name, key, table.table, RUN)
            build.judge_table(self.name, key, table.table, RUN)
        before_release()
        day.release(self.name, key, RUN)
        assert day.settle(self.name, key, RUN) == "released"

    def releases(self, of: date) -> list[tuple[str, str]]:
        """(run, cause), oldest first."""
        with self.ledger.begin() as db:
            return [(r.run_key, r.cause) for r in reversed(releases.listing(db, day=of))]

    def cases(self, state: str | None = "open") -> list[Row[Any]]:
        with self.ledger.begin() as db:
            return batches.cases(db, state=state)

    def movements(self) -> list[str]:
        """What is visible in silver.movements, a row a line: number, amount, remark, date."""
        rows = self.bank.lake.dataset("silver.movements").to_table().to_pylist()
        return sorted(
            f"{r['movement_id'].removeprefix('core:')} {r['amount']} {r['remark'] or ''}".rstrip()
            for r in rows
            if r["__verdict"] == "accepted"
        )

    def bronze(self, feed: str = "payments") -> list[dict[str, Any]]:
        """All rows of a bronze table that are of a delivery, canaries left out."""
        rows = self.bank.lake.dataset(f"bronze.{feed}").to_table().to_pylist()
        return sorted(
            (r for r in rows if r["__delivery_id"] != "__canary"), key=lambda r: (r["__delivery_id"], r["__line"])
        )


def write(root: Path, name: str, files: dict[str, str]) -> Path:
    for path, content in files.items():
        where = root / path.replace("small", name)
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(content.replace("profile: small", f"profile: {name}"), encoding="utf-8")
    return root


@pytest.fixture
def new_bank(installation: Path, spark_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes small banks, each with its home, lake and ledger; `files` are put in place of, or beside, the usual ones."""
    monkeypatch.setenv("LEDGERLAKE_SPARK_REMOTE", spark_url)
    monkeypatch.setenv("LEDGERLAKE_EXPECTATIONS", str(installation / "expectations"))
    caches = (settings, banks.open_bank, connect)
    for cached in caches:
        cached.cache_clear()
    made: list[Ledger] = []

    def new(name: str = "small", **files: str) -> Small:
        changed = {f"{path.replace('__', '/')}.yaml": content for path, content in files.items()}
        write(installation / "expectations", name, FILES | changed)
        ledger = emptied(connect(name))
        with ledger.begin() as db:
            branches = [
                {"branch_id": b, "valid_from": date(2020, 1, 1), "valid_to": None, "name": b, "province_code": "11"}
                for b in ("b01", "b02")
            ]
            days.replace_units(db, branches)
        made.append(ledger)
        assert contracts(name).build_order()
        small = Small(name, settings().bank(name), ledger)
        small.clock(MONDAY)
        return small

    yield new
    for ledger in made:
        ledger.engine.dispose()
    for cached in caches:
        cached.cache_clear()


@pytest.fixture
def small(new_bank: Any) -> Small:
    return new_bank()
