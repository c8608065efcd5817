"""A small bank with one feed of each format, and a sender who writes its files as a branch would."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Row

from jobs.arrival.folder import Folder
from jobs.arrival.land import Landed, land
from jobs.contracts.catalog import Catalog
from jobs.contracts.model import Table
from jobs.contracts.profile import Profile
from jobs.contracts.source import Source
from jobs.ledger import Ledger, batches, deliveries
from jobs.privacy.keys import Keys, load_keys

DAY = "20260915"
WORDS = {
    "version": "1.0.0",
    "description": "d",
    "grain": "one row",
    "owner": "o",
    "steward": "s",
    "history": "append",
}
HEADER = {"tag": "H", "fields": ["system", "entity", "business_date", "created_at"]}
TRAILER = {"tag": "T", "fields": ["record_count", "amount_sum"]}
PLAIN = {"classification": "C1/2"}


def bronze(feed: str, key: list[str], columns: dict[str, list[Any]], **rest: Any) -> Table:
    return Table.model_validate({"table": f"bronze.{feed}", "primaryKey": key, "columns": columns, **WORDS, **rest})


def source(feed: str, pattern: str, fmt: dict[str, Any], **rest: Any) -> Source:
    words = {
        "description": "d",
        "system": "core",
        "owner": "payments",
        "sender": "branch",
        "kind": "increment",
        "synthetic": True,
    }
    signal = rest.pop("signal", "ok")
    return Source.model_validate(
        {"feed": feed, "files": {"pattern": pattern, "signal": signal}, "format": fmt, **words, **rest}
    )


MOVEMENTS = {
    "branch_id": ["string!", PLAIN],
    "journal_no": ["string!", PLAIN],
    "business_date": ["date!", {**PLAIN, "parse": "yyyyMMdd"}],
    "amount": ["decimal(18,2)!", PLAIN],
    "remark": ["string", PLAIN],
}
TABLES = [
    bronze("movements", ["journal_no"], MOVEMENTS, money="amount"),
    bronze(
        "customers",
        ["customer_no"],
        {
            "branch_id": ["string!", PLAIN],
            "customer_no": ["string!", {**PLAIN, "identifies": "source_key"}],
            "name": ["string", {"classification": "C2/3", "identifies": "name", "derive": ["normal_token"]}],
            "id_number": [
                "string",
                {"classification": "C2/4", "identifies": "id_number", "derive": ["birth_date", "gender", "kind"]},
            ],
            "phone": ["string", {"classification": "C2/3", "identifies": "phone", "derive": ["last4"]}],
        },
    ),
    bronze(
        "balances",
        ["account_no"],
        {
            "account_no": ["string!", {**PLAIN, "width": 6}],
            "name": ["string", {**PLAIN, "width": 8}],
            "balance": ["decimal(18,2)!", {**PLAIN, "width": 10, "parse": "implied(2)"}],
        },
        money="balance",
    ),
    bronze(
        "events",
        ["event_id"],
        {
            "event_id": ["string!", PLAIN],
            "amount": ["decimal(18,2)", {**PLAIN, "from": "payload.amount"}],
            "clicks": ["bigint", {**PLAIN, "from": "payload.clicks"}],
        },
    ),
    bronze("loans", ["loan_id"], {"loan_id": ["string!", PLAIN], "principal": ["decimal(18,2)!", PLAIN]}),
    bronze(
        "tickets",
        ["ticket_no"],
        {"ticket_no": ["string!", PLAIN], "service": ["string", PLAIN], "note": ["string", PLAIN]},
    ),
]
DELIMITED = {"kind": "delimited", "encoding": "gb18030", "header": HEADER, "trailer": TRAILER}
SOURCES = [
    source(
        "movements", "CORE_{entity}_TXN_{date}_{seq}.txt", {**DELIMITED, "separator": "|"}, control={"sum": "amount"}
    ),
    source("customers", "CORE_{entity}_CUS_{date}_{seq}.txt", {**DELIMITED, "separator": "|+|"}, kind="changed"),
    source(
        "balances",
        "CORE_{entity}_BAL_{date}_{seq}.dat",
        {"kind": "fixed_width", "encoding": "gb18030", "header": HEADER, "trailer": TRAILER},
        kind="snapshot",
        control={"sum": "balance"},
    ),
    source(
        "events",
        "APP_{entity}_EVT_{date}_{seq}.jsonl.gz",
        {"kind": "json_lines", "compression": "gzip"},
        kind="events",
        sender="stream",
        system="app",
        signal="none",
    ),
    source(
        "loans", "LOAN_{entity}_CON_{date}_{seq}.parquet", {"kind": "parquet"}, sender="head_office", kind="changed"
    ),
    source(
        "tickets",
        "QUE_{entity}_TIC_{date}_{seq}.csv",
        {"kind": "delimited", "separator": ",", "quote": '"', "columnLine": True, "encoding": "utf-8-sig"},
    ),
]


def catalog_of(profile: str, tables: list[Table] = TABLES, sources: list[Source] = SOURCES) -> Catalog:
    bank = Profile.model_validate(
        {
            "profile": profile,
            "title": {"en": "Bank", "zh": "银行"},
            "zone": "Asia/Shanghai",
            "currency": "CNY",
            "calendar": "every_day",
        }
    )
    return Catalog(bank, {t.table: t for t in tables}, {s.feed: s for s in sources}, {}, {})


@dataclass
class Bank:
    """One bank as its sender and its operator see it."""

    catalog: Catalog
    ledger: Ledger
    inbox: Folder
    home: Path
    keys: Keys

    def send(
        self, feed: str, content: bytes, name: str, *, entity: str = "b01", signal: str | None = "", day: str = DAY
    ) -> Path:
        """Writes a file, and its signal last. `signal` "" means a right one; None means none."""
        folder = self.inbox.root / feed / entity / f"{day[:4]}-{day[4:6]}-{day[6:]}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        path.write_bytes(content)
        if signal is not None:
            self.signal(path, signal or f"{name}|||{hashlib.sha256(content).hexdigest()}")
        return path

    def signal(self, path: Path, text: str) -> None:
        path.with_name(f"{path.name}.ok").write_text(text + "\n")

    def land(self, run_id: str = "run-1", **how: Any) -> list[Landed]:
        return land(self.catalog, self.ledger, self.inbox, run_id, **{"settle_seconds": 0.0, **how})

    def delivery(self, landed: Landed) -> Row[Any]:
        with self.ledger.begin() as db:
            return deliveries.get(db, landed.delivery_id)

    def rows(self, landed: Landed) -> list[dict[str, Any]]:
        return pq.read_table(self.delivery(landed).rows_uri).to_pylist()

    def cases(self) -> list[Row[Any]]:
        with self.ledger.begin() as db:
            return batches.cases(db)

    def waiting(self) -> list[str]:
        return sorted(p.name for p in self.inbox.root.rglob("*") if p.is_file())

    def stored(self) -> list[str]:
        """Names of all files kept under raw and rows."""
        kept = [self.home / "raw", self.home / "rows"]
        return sorted(p.name for folder in kept for p in folder.rglob("*") if p.is_file())

    def with_source(self, feed: str, **changes: Any) -> Bank:
        sources = {**self.catalog.sources, feed: self.catalog.sources[feed].model_copy(update=changes)}
        return replace(self, catalog=replace(self.catalog, sources=sources))


@pytest.fixture
def bank(installation: Path, new_ledger: Callable[[], Ledger]) -> Iterator[Bank]:
    ledger = new_ledger()
    home = installation / "banks" / ledger.profile
    yield Bank(catalog_of(ledger.profile), ledger, Folder(home / "inbox"), home, load_keys())


def movements(
    *rows: tuple[str, str, str],
    branch: str = "b01",
    day: str = DAY,
    count: int | None = None,
    total: str | None = None,
    header_branch: str | None = None,
    encoding: str = "gb18030",
) -> bytes:
    """A branch's file of movements: (journal_no, amount, remark) each; `count` and `total` override the trailer's true
    figures.
    """
    body = [f"{branch}|{journal}|{day}|{amount}|{remark}" for journal, amount, remark in rows]
    amount_sum = total or f"{sum((Decimal(a) for _, a, _ in rows), Decimal(0)):.2f}"
    lines = [
        f"H|core|{header_branch or branch}|{day}|{day}180000",
        *body,
        f"T|{len(rows) if count is None else count}|{amount_sum}",
    ]
    return "".join(line + "\n" for line in lines).encode(encoding)


def gz(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)
