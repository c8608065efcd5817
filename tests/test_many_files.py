"""Many files at once: all of them are in bronze, none twice, none left behind."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from jobs import load as loading
from jobs.bank import open_bank
from jobs.ledger import deliveries
from jobs.settings import settings
from tests.commands.conftest import bank, ledgerlake, running
from tests.ledger.conftest import DAY, TinyBank

__all__ = ["bank", "ledgerlake", "running"]
BRANCHES, BATCHES, ROWS = 50, 10, 20


@pytest.fixture
def tiny(running: TinyBank, spark_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyBank]:
    monkeypatch.setenv("LEDGERLAKE_SPARK_REMOTE", spark_url)
    settings.cache_clear()
    yield running


def drop() -> None:
    """500 files of 20 payments of 1.00 each, the signals last."""
    waiting = []
    for branch in range(BRANCHES):
        folder = settings().bank("tiny") / "inbox" / "payments" / f"b{branch:02d}" / str(DAY)
        folder.mkdir(parents=True, exist_ok=True)
        for seq in range(1, BATCHES + 1):
            content = "".join(f"p{branch:02d}-{seq}-{row}|D|1.00\n" for row in range(ROWS)).encode()
            name = f"PAY_b{branch:02d}_{DAY:%Y%m%d}_{seq}.csv"
            (folder / name).write_bytes(content)
            waiting.append((folder / f"{name}.ok", f"{name}|{ROWS}||{hashlib.sha256(content).hexdigest()}\n"))
    for path, signal in waiting:
        path.write_text(signal)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_five_hundred_files_at_once(tiny: TinyBank, spark: Any) -> None:
    """Two landings and two loads run side by side while the files are still being dropped."""
    failed: list[BaseException] = []
    dropped = threading.Event()

    def again(work: Any) -> None:
        try:
            last = False
            while not last:
                last = dropped.is_set()
                work()
        except BaseException as error:
            failed.append(error)

    def load(n: int) -> None:
        with tiny.ledger.begin() as db:
            wave = str(deliveries.next_wave(db))
        loading.load("tiny", "payments", wave, f"load-{n}")

    landing = [threading.Thread(target=again, args=(lambda n=n: loading.land("tiny", f"land-{n}"),)) for n in (1, 2)]
    for thread in landing:
        thread.start()
    drop()
    dropped.set()
    for thread in landing:
        thread.join()
    assert failed == []
    taking = [threading.Thread(target=again, args=(lambda n=n: load(n),)) for n in (1, 2)]
    for thread in taking:
        thread.start()
    for thread in taking:
        thread.join()
    assert failed == []
    with tiny.ledger.begin() as db:
        arrived = deliveries.find(db, feed="payments", business_date=DAY)
        parts = deliveries.live_parts(db, ["payments"], DAY, DAY)
    assert {d.state for d in arrived} == {"loaded"}
    assert len(arrived) == len({(d.entity, d.seq) for d in arrived}) == BRANCHES * BATCHES
    opened = open_bank("tiny")
    rows = opened.lake.of_parts(spark, opened.catalog.bronze("payments"), parts)
    every = opened.lake.read(spark, opened.catalog.bronze("payments")).where("__delivery_id <> '__canary'")
    number = BRANCHES * BATCHES * ROWS
    assert every.count() == rows.count() == rows.select("payment_no").distinct().count() == number
    assert sum(row["amount"] for row in rows.select("amount").collect()) == Decimal(number)
    assert [p.name for p in (settings().bank("tiny") / "inbox").rglob("*.csv")] == []
