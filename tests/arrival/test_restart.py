"""Killed anywhere, run twice at once, without database or disk: landing goes on from where it was, and nothing is taken
twice.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from infra.local import postgres as server
from jobs.arrival import intake as intake_module
from jobs.arrival.folder import Folder
from jobs.arrival.land import LandingStopped
from jobs.ledger import LedgerUnavailable, connect, deliveries
from jobs.privacy.seal import SealedWriter
from jobs.privacy.vault import Vault, VaultUnavailable
from jobs.settings import Settings, settings
from tests.arrival.conftest import DAY, Bank, movements
from tests.postgres import free_port

PROJECT = Path(__file__).resolve().parents[2]
NAME = f"CORE_b01_TXN_{DAY}_1.txt"
PERSON = f"H|+|core|+|b01|+|{DAY}|+|x\nb01|+|1|+|张三|+|991101199003071238|+|13900000001\nT|+|1|+|\n".encode("gb18030")
PROGRAM = """
import sys
from jobs.arrival.folder import Folder
from jobs.arrival.land import land
from jobs.ledger import connect
from tests.arrival.conftest import catalog_of
profile, inbox, run_id = sys.argv[1:]
for one in land(catalog_of(profile), connect(profile), Folder(inbox), run_id, settle_seconds=0):
    print(one.state, one.file_name)
"""


def start(bank: Bank, run_id: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, bank.ledger.profile, str(bank.inbox.root), run_id]
    return subprocess.Popen(
        command,
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("place", ["after_claim", "after_rows"])
def test_killed_at_a_seam_the_next_run_ends_the_same_way(bank: Bank, tmp_path: Path, place: str) -> None:
    bank.send("movements", movements(("1", "1.00", "")), NAME)
    bank.send("customers", PERSON, f"CORE_b01_CUS_{DAY}_1.txt")
    marker = tmp_path / "fired"
    killed = start(bank, "killed", LEDGERLAKE_KILL_AT=place, LEDGERLAKE_KILL_MARKER=str(marker))
    _, errors = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL, errors
    with bank.ledger.begin() as db:
        assert deliveries.counts(db) == {"arriving": 2}
    landed = bank.land("next")
    assert [(one.feed, one.state) for one in landed] == [("customers", "verified"), ("movements", "verified")]
    assert bank.waiting() == []
    assert len(bank.stored()) == 4
    assert {bank.delivery(one).run_id for one in landed} == {"killed"}  # one delivery each: the claim stood


def test_killed_between_the_ledger_and_the_inbox(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bank.send("movements", movements(("1", "1.00", "")), NAME)
    monkeypatch.setattr(Folder, "remove", lambda self, arrived, keep_signal: None)
    assert [one.state for one in bank.land("dies")] == ["verified"]
    monkeypatch.undo()
    assert path.exists()
    assert bank.land("next") == []
    assert bank.waiting() == []


def test_drafts_of_a_dead_run_are_swept(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    bank.send("movements", movements(("1", "1.00", "")), NAME)
    # Dies like a killed process: no clean-up runs.
    monkeypatch.setattr(SealedWriter, "discard", lambda self: None)
    monkeypatch.setattr(intake_module.RowsWriter, "discard", lambda self: None)
    monkeypatch.setattr(intake_module.RowsWriter, "write", lambda self, rows: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        bank.land("dies")
    assert [name.endswith(".part") for name in bank.stored()] == [True, True]
    monkeypatch.undo()
    (landed,) = bank.land("next")
    assert bank.stored() == [f"{landed.delivery_id}.parquet", f"{landed.delivery_id}.sealed"]


def test_two_landings_at_once_take_each_file_once(bank: Bank) -> None:
    for i in range(12):
        bank.send(
            "movements",
            movements(*((f"{i}{j}", "1.00", "x" * 2000) for j in range(200))),
            f"CORE_b01_TXN_{DAY}_{i}.txt",
        )
        bank.send("customers", PERSON.replace(b"b01|+|1|+", f"b01|+|{i}|+".encode()), f"CORE_b01_CUS_{DAY}_{i}.txt")
    both = [start(bank, name) for name in ("one", "two")]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    lines = [line for out, _ in said for line in out.splitlines()]
    assert len(lines) == len(set(lines)) == 24
    assert {line.split()[0] for line in lines} == {"verified"}
    with bank.ledger.begin() as db:
        assert deliveries.counts(db) == {"verified": 24}
        tokens = db.execute(text("select count(*) from deliveries where rows_uri is not null")).scalar_one()
    assert tokens == 24
    assert len(bank.stored()) == 48
    assert bank.waiting() == []


def test_a_claimed_file_that_left_the_inbox_is_said(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bank.send("movements", movements(("1", "1.00", "")), NAME)
    path.write_bytes(path.read_bytes()[:30])
    (arriving,) = bank.land(settle_seconds=60)
    assert arriving.state == "arriving"
    path.unlink()
    (gone,) = bank.land()
    assert (gone.delivery_id, gone.state, gone.cause) == (arriving.delivery_id, "refused", "vanished")
    assert len(bank.cases()) == 1


def test_an_inbox_that_was_unreachable_for_a_while_loses_nothing(bank: Bank) -> None:
    path = bank.send("movements", movements(("1", "1.00", "")), NAME)
    content = path.read_bytes()
    path.write_bytes(content[:30])
    (arriving,) = bank.land(settle_seconds=60)
    away = bank.inbox.root.rename(bank.inbox.root.with_name("unmounted"))
    assert [one.cause for one in bank.land()] == ["vanished"]
    bank.inbox.root.rmdir()
    away.rename(bank.inbox.root)
    path.write_bytes(content)
    (landed,) = bank.land()
    assert (landed.delivery_id, landed.state) == (arriving.delivery_id, "verified")
    assert bank.cases() == []


def test_a_file_written_again_while_it_is_read_is_taken_the_next_time(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bank.send("movements", movements(("1", "1.00", "")), NAME)
    listed = bank.inbox.waiting()
    bank.send("movements", movements(("1", "2.00", "")), NAME)
    monkeypatch.setattr(Folder, "waiting", lambda self: listed)
    assert bank.land("old listing") == []
    monkeypatch.undo()
    assert path.exists()
    assert [str(one.money) for one in bank.land("next") if one.state == "verified"] == ["2.00"]


@pytest.mark.parametrize(
    ("writer", "write"),
    [(intake_module.RowsWriter, "write"), (pq.ParquetWriter, "write_batch"), (SealedWriter, "write")],
    ids=["rows", "last rows", "raw"],
)
def test_a_full_disk_is_one_clear_message_and_nothing_is_half_done(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, writer: type, write: str
) -> None:
    bank.send("movements", movements(("1", "1.00", "")), NAME)

    def no_space(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/lake/rows")

    monkeypatch.setattr(writer, write, no_space)
    with pytest.raises(LandingStopped, match=r"The disk is full \(/lake/rows\).*make room and land again"):
        bank.land("full")
    assert bank.stored() == []
    assert NAME in bank.waiting()
    monkeypatch.undo()
    assert [one.state for one in bank.land("roomy")] == ["verified"]


def test_without_its_database_landing_says_so_and_leaves_the_inbox(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    bank.send("customers", PERSON, f"CORE_b01_CUS_{DAY}_1.txt")
    nowhere = Vault("bank", bank.keys, f"postgresql+psycopg://ledgerlake:x@127.0.0.1:{free_port()}/ledgerlake")
    with pytest.raises(VaultUnavailable, match="deliveries wait in the inbox"):
        bank.land("no vault", vault=nowhere)
    assert bank.stored() == []
    assert len(bank.waiting()) == 2
    running = settings().ledger_url()
    monkeypatch.setenv(
        "LEDGERLAKE_DATABASE_URL", f"postgresql+psycopg://ledgerlake:x@127.0.0.1:{free_port()}/ledgerlake"
    )
    settings.cache_clear()
    connect.cache_clear()
    dead = replace(bank, ledger=connect(bank.ledger.profile))
    with pytest.raises(LedgerUnavailable, match="ledgerlake up"):
        dead.land("no ledger")
    monkeypatch.setenv("LEDGERLAKE_DATABASE_URL", running)
    settings.cache_clear()
    assert [one.state for one in bank.land("next")] == ["verified"]


def test_postgres_restarted_in_the_middle(bank: Bank, postgres: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed connections while a file is read: one message, and the next run finishes the delivery."""
    bank.send("movements", movements(("1", "1.00", "")), NAME)
    bank.send("movements", movements(("1", "2.00", ""), branch="b02"), f"CORE_b02_TXN_{DAY}_1.txt", entity="b02")
    write = intake_module.RowsWriter.write

    def cut_off(self: Any, rows: Any) -> None:
        with server.connect(postgres) as db:
            db.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'ledgerlake'")
        write(self, rows)

    monkeypatch.setattr(intake_module.RowsWriter, "write", cut_off)
    with pytest.raises(LandingStopped, match="went away while landing"):
        bank.land("cut off")
    monkeypatch.undo()
    assert {one.state for one in bank.land("next")} == {"verified"}
    with bank.ledger.begin() as db:
        assert deliveries.counts(db) == {"verified": 2}
