"""What comes or goes wrong around a load: each gives one clear message that names the thing and the remedy, changes
nothing that was released, and the next run goes on from where it was.

A tiny bank with a released day; its branch b01 sends payments.
"""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from jobs import bank as banks
from jobs import load as loading
from jobs.bank import open_bank
from jobs.contracts import ContractError
from jobs.lake import DiskFull, SparkUnavailable
from jobs.ledger import LedgerUnavailable, deliveries, releases
from jobs.settings import Settings, settings
from tests.commands.conftest import Said, bank, ledgerlake, running
from tests.contracts.house import change
from tests.ledger.conftest import DAY, TinyBank
from tests.postgres import free_port, postgres, start_postgres, stop_postgres  # a server of its own, which it stops

__all__ = ["bank", "ledgerlake", "postgres", "running"]
Command = Callable[..., Said]
FIRST, SECOND = f"PAY_b01_{DAY:%Y%m%d}_1.csv", f"PAY_b01_{DAY:%Y%m%d}_2.csv"
GOOD = b"p1|D|1.00\np2|C|2.50\n"


@pytest.fixture
def tiny(running: TinyBank, spark_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyBank]:
    """What was released when the story began stands unchanged when it ends."""
    monkeypatch.setenv("LEDGERLAKE_SPARK_REMOTE", spark_url)
    settings.cache_clear()
    before = released(running)
    yield running
    assert released(running) == before


def released(tiny: TinyBank) -> list[Any]:
    with tiny.ledger.begin() as db:
        made = releases.listing(db)
        return [made, [releases.tables(db, one.release_id) for one in made]]


def send(content: bytes, name: str = FIRST, *, feed: str = "payments") -> Path:
    """A file and, after it, the signal that states its hash."""
    path = settings().bank("tiny") / "inbox" / feed / "b01" / str(DAY) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.with_name(f"{name}.ok").write_text(f"{name}|||{hashlib.sha256(content).hexdigest()}\n")
    return path


def land() -> list[str]:
    return loading.land("tiny", "run")


def load_all(keys: list[str]) -> dict[str, int]:
    """The tasks of these keys; all of them are of payments."""
    done: dict[str, int] = {}
    for feed, wave in (key.split("|") for key in keys):
        done |= loading.load("tiny", feed, wave, "run")
    return done


def arrived(tiny: TinyBank) -> dict[str, str]:
    """File name -> state of what came on the day."""
    with tiny.ledger.begin() as db:
        return {d.file_name: d.state for d in deliveries.find(db, business_date=DAY)}


def money(spark: Any) -> list[tuple[int, str]]:
    """Rows and money of each batch in bronze."""
    opened = open_bank("tiny")
    rows = opened.lake.read(spark, opened.catalog.bronze("payments")).where("__delivery_id <> '__canary'")
    found = rows.groupBy("__batch").agg({"*": "count", "amount": "sum"}).collect()
    return sorted((row[1], str(row[2])) for row in found)


def test_a_delivery_that_cannot_be_read(tiny: TinyBank, ledgerlake: Command, spark: Any) -> None:
    send("p1|D|1.00\np2|C|2.50\n".encode("utf-16"))
    send(GOOD, SECOND)
    keys = land()
    assert arrived(tiny) == {FIRST: "refused", SECOND: "verified"}
    told = ledgerlake("files", str(DAY), "--state", "refused", width=400)
    assert told.status == 1
    assert "payments" in told.out and "not utf-8" in told.out and "ask the sender for the file" in told.out
    assert load_all(keys) == {"loaded": 1}
    # The branch sends it again under its old name.
    send(b"p3|D|4.00\n")
    assert load_all(land()) == {"loaded": 1}
    assert money(spark) == [(1, "4.00"), (2, "3.50")]


def test_an_unknown_source(tiny: TinyBank, ledgerlake: Command) -> None:
    strange = send(GOOD, "SWIFT_b01.xml", feed="swift")
    # Written a minute ago: it could still be renamed by its sender.
    os.utime(strange, (time.time() - 60, time.time() - 60))
    send(GOOD)
    assert load_all(land()) == {"loaded": 1}
    told = ledgerlake("quarantine", width=400)
    assert "swift" in told.out and "expectations/sources" in told.out
    assert land() == []
    asked = ledgerlake("files", "--feed", "payment")
    assert (asked.status, asked.err) == (
        2,
        "There is no feed payment. Did you mean payments? Known: clicks, payments, rates, unknown.\n",
    )


def test_a_contract_with_an_error(tiny: TinyBank, ledgerlake: Command) -> None:
    path = send(GOOD)
    root = settings().expectations
    line = change(root, "bronze/payments.yaml", "unit: CNY", "unit: CNY, parse: implied(4)")
    fresh()
    with pytest.raises(ContractError, match=rf"bronze/payments.yaml:{line}: .*implied\(4\) gives more decimals"):
        land()
    told = ledgerlake("files")
    assert told.status == 1
    assert f"bronze/payments.yaml:{line}" in told.err and "imply at most 2" in told.err
    assert path.exists() and arrived(tiny) == {}
    change(root, "bronze/payments.yaml", ", parse: implied(4)", "")
    fresh()
    assert load_all(land()) == {"loaded": 1}


def fresh() -> None:
    """As in a process that has read no contract yet."""
    banks.open_bank.cache_clear()


@pytest.mark.parametrize("when", ["before", "after the write"])
def test_a_database_that_is_down(
    tiny: TinyBank, postgres: Settings, ledgerlake: Command, spark: Any, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    send(GOOD)
    keys = land()
    if when == "before":
        stop_postgres(postgres)
    else:
        monkeypatch.setattr(loading, "seam", lambda name: stop_postgres(postgres))
    try:
        with pytest.raises(LedgerUnavailable, match=rf"127.0.0.1:{postgres.postgres_port}.*`ledgerlake up`"):
            load_all(keys)
        told = ledgerlake("files")
        assert told.status == 3
        assert "ledgerlake up" in told.err and "Traceback" not in told.err
    finally:
        start_postgres(postgres)
    monkeypatch.setattr(loading, "seam", lambda name: None)
    assert load_all(keys) == {"loaded": 1}
    assert money(spark) == [(2, "3.50")]


@pytest.mark.parametrize("room", ["none", "for the table"])
def test_a_full_disk(tiny: TinyBank, spark: Any, room: str) -> None:
    """A disk of its own for the lake, so small that the load finds no room; then it is made larger."""
    lake = Path(open_bank("tiny").lake.root)
    if room == "for the table":
        send(GOOD)
        assert load_all(land()) == {"loaded": 1}
        lake.rename(lake.with_name("aside"))
    lake.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(lake)], check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        if room == "for the table":
            subprocess.run(["cp", "-a", f"{lake.with_name('aside')}/.", str(lake)], check=True)
        with suppress(OSError):
            (lake / "something_large").write_bytes(bytes(2 << 20))
        send(b"p3|D|4.00\n", SECOND)
        keys = land()
        with pytest.raises(DiskFull, match=rf"The disk is full.*Make room on the disk of {settings().home}"):
            load_all(keys)
        assert arrived(tiny)[SECOND] == "verified"
        (lake / "something_large").unlink()
        assert load_all(keys) == {"loaded": 1}
        assert money(spark)[0] == (1, "4.00")
        assert statistics() == "__batch,__business_date"
    finally:
        subprocess.run(["umount", "-l", str(lake)], check=True)


def statistics() -> str:
    """A property that only a table has which was made from its contract."""
    from deltalake import DeltaTable

    table = DeltaTable(open_bank("tiny").lake.path("bronze.payments"))
    return str(table.metadata().configuration["delta.dataSkippingStatsColumns"])


def test_a_spark_server_that_is_not_there(
    tiny: TinyBank, spark_url: str, spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(GOOD)
    keys = land()
    nowhere = f"sc://127.0.0.1:{free_port()}"
    monkeypatch.setenv("LEDGERLAKE_SPARK_REMOTE", nowhere)
    settings.cache_clear()
    with pytest.raises(SparkUnavailable, match=f"does not answer at {nowhere}.*`ledgerlake up` starts it"):
        load_all(keys)
    monkeypatch.setenv("LEDGERLAKE_SPARK_REMOTE", spark_url)
    settings.cache_clear()
    assert load_all(keys) == {"loaded": 1}
    assert money(spark) == [(2, "3.50")]


@pytest.mark.parametrize("end", ["dead", "restarted"])
def test_a_spark_server_that_dies_at_work(
    tiny: TinyBank, spark_url: str, spark: Any, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """Dead: nobody listens any more. Restarted: a server that knows nothing of the session."""
    send(GOOD)
    keys = land()
    line = Line(spark_url)
    judged = loading._judged

    def dies(session: Any, *rest: Any) -> Any:
        rows = judged(session, *rest)
        line.cut() if end == "dead" else session.client.release_session()
        return rows

    monkeypatch.setattr(import_module("jobs.lake.session"), "RETRIES", 2)
    monkeypatch.setattr(loading, "_judged", dies)
    monkeypatch.setenv("LEDGERLAKE_SPARK_REMOTE", line.url)
    settings.cache_clear()
    with pytest.raises(SparkUnavailable, match=r"it ended while a step was at work.*`ledgerlake up` starts it"):
        load_all(keys)
    line.cut()
    monkeypatch.setattr(loading, "_judged", judged)
    monkeypatch.setenv("LEDGERLAKE_SPARK_REMOTE", spark_url)
    settings.cache_clear()
    assert load_all(keys) == {"loaded": 1}
    assert money(spark) == [(2, "3.50")]


class Line:
    """A line to the Spark server that can be cut."""

    def __init__(self, spark_url: str):
        to = urlsplit(spark_url)
        self._to, self._open = (to.hostname, to.port), [socket.create_server(("127.0.0.1", 0))]
        self.url = f"sc://127.0.0.1:{self._open[0].getsockname()[1]}"
        threading.Thread(target=self._answer, daemon=True).start()

    def cut(self) -> None:
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _answer(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._open[0].accept()
                far = socket.create_connection(self._to)
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
