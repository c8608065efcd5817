"""Kafka to bronze: records a second that come from a topic through arrival, bronze and its gate, phone numbers made tokens on the way.

Needs the local services PostgreSQL and Spark, and the broker's jars (`make test` fetches them). `python -m tests.bench topic`.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import yaml
from sqlalchemy import text

from tests.bench import gated_load
from tests.kafka import Broker, running_broker

RECORDS, TIMES = 200_000, 4
PLAIN = {"classification": "C1/2"}
COLUMNS = {
    "event_id": ["string!", PLAIN],
    "event": ["string!", {**PLAIN, "enum": ["login", "query", "transfer", "pay"]}],
    "phone": ["string", {"classification": "C2/3", "identifies": "phone"}],
    "device": ["string", PLAIN],
    "amount": ["decimal(18,2)", {**PLAIN, "from": "payload.amount"}],
    "at": ["bigint!", PLAIN],
}


def write_contracts(root: Path, expectations: Path) -> None:
    """A bank with one topic."""
    gated_load.write_contracts(root, expectations)
    source = {
        "feed": "bench_events", "description": "A topic.", "system": "bench", "owner": "bench", "sender": "stream", "kind": "events",
        "pull": {"kind": "kafka_topic", "connection": "bench", "topic": "bench", "most": RECORDS}, "synthetic": True,
    }  # fmt: skip
    table = {
        "table": "bronze.bench_events", "version": "1.0.0", "description": "An event.", "grain": "one event", "owner": "bench", "steward": "bench",
        "primaryKey": ["event_id"], "history": "append", "columns": COLUMNS,
    }  # fmt: skip
    for path, content in (("sources/bench/bench_events.yaml", source), ("bronze/bench_events.yaml", table)):
        (root / path).write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")


def send(broker: Broker, first: int) -> None:
    events = ("login", "query", "transfer", "pay")
    broker.send(
        "bench",
        *(
            json.dumps({
                "event_id": f"e{n:012d}", "event": events[n % 4], "phone": f"138{n * 7919 % 10**8:08d}", "device": f"d{n % 5000}",
                "payload": {"amount": f"{n % 10_000 / 100:.2f}", "page": "home", "version": 3}, "at": 1_789_000_000_000 + n,
            }).encode()
            for n in range(first, first + RECORDS)
        ),
    )  # fmt: skip


def main() -> None:
    from infra.local import services
    from jobs import load
    from jobs.settings import PROJECT, settings

    with tempfile.TemporaryDirectory(prefix="bench-topic-") as folder, running_broker() as broker:
        root = Path(folder)
        write_contracts(root, PROJECT / "expectations")
        os.environ |= {"LEDGERLAKE_EXPECTATIONS": folder, "LEDGERLAKE_SOURCE_BENCH": broker.address}
        settings.cache_clear()
        services.up(["postgres", "spark"])
        shutil.rmtree(settings().bank("bench"), ignore_errors=True)
        from jobs.arrival.slices import take_due
        from jobs.bank import open_bank

        bank = open_bank("bench")
        with bank.ledger.begin() as db:
            db.execute(text("drop schema if exists bench_ledger cascade"))
            db.execute(text("drop schema if exists bench_vault cascade"))
        bank.ledger.migrate()
        broker.topic("bench")
        parts: list[tuple[float, float]] = []
        for n in range(TIMES):
            send(broker, n * RECORDS)
            began = time.perf_counter()
            assert take_due(bank.catalog, bank.ledger) == 1
            load.land("bench", "bench/land")
            landed = time.perf_counter()
            done = load.load("bench", "bench_events", f"w{n}", "bench/load")
            assert done == {"loaded": 1}, done
            parts.append((landed - began, time.perf_counter() - landed))
        arrival, bronze = (statistics.median(part) for part in zip(*parts[1:], strict=True))
        print(
            f"{RECORDS:,} records of a topic a slice: arrival {arrival:.1f} s, bronze and gate {bronze:.1f} s: {RECORDS / (arrival + bronze):,.0f} records a second"
        )


if __name__ == "__main__":
    main()
