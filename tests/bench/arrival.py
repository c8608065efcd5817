"""How fast a file becomes `rows`: `python -m tests.bench.arrival [rows]`. Prints seconds and ratios of one run; nothing
is asserted.

No vault and no ledger take part: a UTF-8 file of movements without identifying columns, as in the benchmark of the
whole road.
"""

from __future__ import annotations

import hashlib
import io
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from jobs.arrival.intake import take_in
from jobs.arrival.naming import Lane
from jobs.arrival.rows import Of
from jobs.contracts.model import Table
from jobs.contracts.source import Source
from jobs.privacy.keys import load_keys
from jobs.privacy.seal import SealedWriter

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


def a_file(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("H|core|b01|20260915|20260915180000\n")
        for i in range(rows):
            file.write(
                f"b01|J{i:09d}|{i % 4}|62150{i * 7919 % 10**12:014d}|C{i * 31 % 10**8:08d}|0{i % 8}|{'JD'[i % 2]}"
                f"|{i % 99991 / 100 + 1:.2f}|CNY|2026091509{i % 3600 // 60:02d}{i % 60:02d}|20260915|转账{i % 1000}\n"
            )
        total = sum(i % 99991 + 100 for i in range(rows))
        file.write(f"T|{rows}|{total // 100}.{total % 100:02d}\n")


def contract() -> tuple[Lane, Table]:
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
                "separator": "|",
                "trailer": {"tag": "T", "fields": ["record_count", "amount_sum"]},
                "header": {"tag": "H", "fields": ["system", "entity", "business_date", "created_at"]},
            },
        }
    )
    return Lane(source, "b01", date(2026, 9, 15), 1), table


def timed(what: Callable[[], Any]) -> tuple[float, float]:
    """Best of three: seconds by the clock, and seconds of processor (the fair figure on a busy machine)."""
    times = []
    for _ in range(3):
        start, cpu = time.perf_counter(), time.process_time()
        what()
        times.append((time.perf_counter() - start, time.process_time() - cpu))
    return min(times)


def main(rows: int = 1_000_000) -> None:
    with tempfile.TemporaryDirectory(prefix="ledgerlake_bench_") as folder:
        home = Path(folder)
        path = home / "file.txt"
        a_file(path, rows)
        content = path.read_bytes()
        keys = load_keys(home / "keys.json")
        lane, table = contract()

        def hashed() -> None:
            hashlib.sha256(content).digest()

        def sealed() -> None:
            with SealedWriter(home / "raw", keys) as seal:
                for start in range(0, len(content), 8 << 20):
                    seal.write(content[start : start + (8 << 20)])

        def floor() -> None:
            """pyarrow alone: parse to text and write Parquet, nothing checked."""
            read = csv.open_csv(
                io.BytesIO(content),
                csv.ReadOptions(column_names=COLUMNS, use_threads=False, block_size=8 << 20),
                csv.ParseOptions(delimiter="|", invalid_row_handler=lambda _: "skip"),
                csv.ConvertOptions(column_types={c: pa.string() for c in COLUMNS}),
            )
            with pq.ParquetWriter(home / "floor", read.schema, write_statistics=False, use_dictionary=False) as writer:
                for batch in read:
                    writer.write_batch(batch)

        def arrival() -> None:
            with path.open("rb", buffering=0) as stream:
                intake = take_in(
                    stream,
                    lane=lane,
                    table=table,
                    of=Of("D1", lane.entity, datetime.now(UTC), lane.business_date),
                    raw=home / "raw",
                    rows=home / "rows",
                    keys=keys,
                    vault=None,  # type: ignore[arg-type]
                    keep=lambda found: found.refusal,
                )
            assert intake.refusal is None and intake.totals.rows == rows, intake

        steps = {"hash": hashed, "seal": sealed, "floor: pyarrow, CSV to Parquet": floor, "arrival": arrival}
        seconds = {name: timed(step) for name, step in steps.items()}
        print(f"{rows:,} rows, {len(content) / 1e6:.0f} MB; rows file {(home / 'rows').stat().st_size / 1e6:.0f} MB")
        floor_cpu = seconds["floor: pyarrow, CSV to Parquet"][1]
        for name, (taken, cpu) in seconds.items():
            print(f"{name:32} {taken:6.2f} s   {cpu:6.2f} s of processor   {cpu / floor_cpu:5.2f} x floor")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
