"""How fast a file becomes `rows`, against a plain copy of it with its SHA-256, in UTF-8 and in GB18030, and how much memory a file of 2 GB takes against one of
100 MB: `python -m tests.bench.arrival [rows]`. Prints seconds and ratios of one run; nothing is asserted.

No vault and no ledger take part: a file of movements without identifying columns, as in the benchmark of the whole road. Encryption of the raw bytes does.
"""

from __future__ import annotations

import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from jobs.arrival.intake import take_in
from jobs.arrival.naming import Lane
from jobs.arrival.rows import Of
from jobs.contracts.model import Table
from jobs.contracts.source import Source
from jobs.privacy.keys import load_keys

COLUMNS = [
    "branch_id",
    "journal_no",
    "line_no",
    "account_no",
    "customer_no",
    "channel",
    "direction",
    "amount",
    "currency",
    "event_time",
    "business_date",
    "remark",
]


LARGE, SMALL = 2 << 30, 100 << 20  # bytes


def a_file(path: Path, rows: int, encoding: str = "utf-8") -> None:
    with path.open("w", encoding=encoding) as file:
        file.write("H|core|b01|20260915|20260915180000\n")
        for i in range(rows):
            file.write(
                f"b01|J{i:09d}|{i % 4}|62150{i * 7919 % 10**12:014d}|C{i * 31 % 10**8:08d}|0{i % 8}|{'JD'[i % 2]}"
                f"|{i % 99991 / 100 + 1:.2f}|CNY|2026091509{i % 3600 // 60:02d}{i % 60:02d}|20260915|转账{i % 1000}\n"
            )
        total = sum(i % 99991 + 100 for i in range(rows))
        file.write(f"T|{rows}|{total // 100}.{total % 100:02d}\n")


def contract(encoding: str = "utf-8") -> tuple[Lane, Table]:
    plain = {"classification": "C1/2"}
    columns = {name: ["string!", plain] for name in COLUMNS} | {"amount": ["decimal(18,2)!", plain]}
    words = {"version": "1.0.0", "description": "d", "grain": "g", "owner": "o", "steward": "s", "history": "append"}
    table = Table.model_validate(
        {"table": "bronze.movements", "primaryKey": ["journal_no"], "columns": columns, **words}
    )
    source = Source.model_validate(
        {
            "feed": "movements",
            "description": "d",
            "system": "core",
            "owner": "o",
            "sender": "branch",
            "kind": "increment",
            "files": {"pattern": "CORE_{entity}_TXN_{date}_{seq}.txt"},
            "control": {"sum": "amount"},
            "format": {
                "kind": "delimited",
                "encoding": encoding,
                "separator": "|",
                "trailer": {"tag": "T", "fields": ["record_count", "amount_sum"]},
                "header": {"tag": "H", "fields": ["system", "entity", "business_date", "created_at"]},
            },
        }
    )
    return Lane(source, "b01", date(2026, 9, 15), 1), table


def read(path: Path, home: Path, encoding: str) -> int:
    """Takes a file in as a delivery; returns its rows."""
    lane, table = contract(encoding)
    with path.open("rb", buffering=0) as stream:
        intake = take_in(
            stream,
            lane=lane,
            table=table,
            of=Of("D1", lane.entity, datetime.now(UTC), lane.business_date),
            raw=home / "raw",
            rows=home / "rows",
            keys=load_keys(home / "keys.json"),
            vault=None,  # type: ignore[arg-type]
            keep=lambda found: found.refusal,
        )
    assert intake.refusal is None, intake
    return intake.totals.rows


def copied(path: Path, target: Path) -> None:
    """A plain copy, with the SHA-256 of what is copied."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as source, target.open("wb", buffering=0) as copy:
        while block := source.read(8 << 20):
            digest.update(block)
            copy.write(block)


def main(rows: int = 1_000_000) -> None:
    with tempfile.TemporaryDirectory(prefix="ledgerlake_bench_") as folder:
        home = Path(folder)
        for encoding, part in (("utf-8", 6), ("gb18030", 10)):
            path = home / "file.txt"
            a_file(path, rows, encoding)
            size = path.stat().st_size / 1e6
            read(path, home, encoding)  # imports
            copy, arrival = [], []
            for _ in range(3):
                copy.append(timed(lambda path=path: copied(path, home / "copy")))
                arrival.append(timed(lambda path=path, encoding=encoding: read(path, home, encoding)))
            plain, ours = min(copy), min(arrival)
            print(
                f"{encoding:8} {rows:,} rows, {size:.0f} MB: copy with SHA-256 {plain[0]:5.2f} s, arrival {ours[0]:5.2f} s ({size / ours[0]:.0f} MB/s, "
                f"{ours[1]:.2f} s of processor): 1/{ours[0] / plain[0]:.1f} of its speed (at least 1/{part})"
            )
        memory(home)


def memory(home: Path) -> None:
    """Most memory that a process holds which takes in a file, by the file's size."""
    path, block = home / "large.txt", home / "block.txt"
    a_file(block, 1_000_000)
    header, *body, _ = block.read_bytes().splitlines(keepends=True)
    million = b"".join(body)
    for size in (SMALL, LARGE):
        times = max(size // len(million), 1)
        total = times * sum(i % 99991 + 100 for i in range(1_000_000))
        with path.open("wb") as file:
            file.write(header)
            for _ in range(times):
                file.write(million)
            file.write(f"T|{times * 1_000_000}|{total // 100}.{total % 100:02d}\n".encode())
        began = time.perf_counter()
        child = subprocess.run(
            [sys.executable, "-c", "import sys; from tests.bench import arrival; arrival.alone(*sys.argv[1:])", path, home],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        print(
            f"memory: {path.stat().st_size / 1e6:6.0f} MB, {times},000,000 rows in {time.perf_counter() - began:5.1f} s: at most {int(child.stdout) / 1024:.0f} MiB"
        )
        path.unlink()


def alone(path: str, home: str) -> None:
    read(Path(path), Path(home), "utf-8")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def timed(what: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock, and seconds of processor."""
    start, cpu = time.perf_counter(), time.process_time()
    what()
    return time.perf_counter() - start, time.process_time() - cpu


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
