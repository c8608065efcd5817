"""Arrival, bronze and gate of 1,000,000 transactions, against plain Spark CSV -> Delta of the same file: the ratio of medians in one run.

12 columns, 15 written rules (5 row rules with quarantine, 2 uniqueness, 8 table rules), no identifying columns. Needs the local services
PostgreSQL and Spark. The second day is the same file with 10 % of its rows corrected, sent again: it must be judged and take the first one's place.
"""

from __future__ import annotations

import random
import shutil
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import yaml
from sqlalchemy import text

DAY = date(2026, 9, 15)
COLUMNS = {
    "transaction_id": "string!", "account_no": "string!", "customer_no": "string!", "branch_id": "string!", "channel": "string!",
    "direction": "string!", "amount": "decimal(18,2)!", "currency": "string!", "status": "string!", "event_time": "timestamp!",
    "business_date": "date!", "remark": "string",
}  # fmt: skip
PLAIN = (
    "transaction_id string, account_no string, customer_no string, branch_id string, channel string, direction string, amount decimal(18,2), "
    "currency string, status string, event_time timestamp, business_date date, remark string"
)
QUARANTINE = [
    {
        "id": "amount_positive",
        "onFail": "quarantine",
        "expect_column_values_to_be_between": {"column": "amount", "min_value": 0, "strict_min": True},
    },
    {
        "id": "known_channel",
        "onFail": "quarantine",
        "expect_column_values_to_be_in_set": {"column": "channel", "value_set": ["01", "ATM", "WY", "SJ", "XCX"]},
    },
    {
        "id": "known_direction",
        "onFail": "quarantine",
        "expect_column_values_to_be_in_set": {"column": "direction", "value_set": ["J", "D"]},
    },
    {
        "id": "account_form",
        "onFail": "quarantine",
        "expect_column_values_to_match_regex": {"column": "account_no", "regex": r"^\d{19}$"},
    },
    {
        "id": "currency_form",
        "onFail": "quarantine",
        "expect_column_value_lengths_to_equal": {"column": "currency", "value": 3},
    },
    {"id": "one_row_each", "onFail": "quarantine", "expect_column_values_to_be_unique": {"column": "transaction_id"}},
    {
        "id": "one_booking_each",
        "onFail": "quarantine",
        "expect_compound_columns_to_be_unique": {"column_list": ["account_no", "transaction_id"]},
    },
]
TABLE = [
    {"id": "rows", "onFail": "stop", "expect_table_row_count_to_be_between": {"min_value": 1}},
    {"id": "sum", "onFail": "warn", "expect_column_sum_to_be_between": {"column": "amount", "min_value": 0}},
    {
        "id": "mean",
        "onFail": "warn",
        "expect_column_mean_to_be_between": {"column": "amount", "min_value": 1, "max_value": 100000},
    },
    {"id": "least", "onFail": "warn", "expect_column_min_to_be_between": {"column": "amount", "min_value": 0}},
    {"id": "most", "onFail": "hold", "expect_column_max_to_be_between": {"column": "amount", "max_value": 1000000}},
    {
        "id": "first_date",
        "onFail": "warn",
        "expect_column_min_to_be_between": {"column": "business_date", "min_value": "2026-01-01"},
    },
    {
        "id": "remarks",
        "onFail": "warn",
        "expect_column_proportion_of_non_null_values_to_be_between": {"column": "remark", "min_value": 0.1},
    },
    {
        "id": "branches",
        "onFail": "warn",
        "expect_column_unique_value_count_to_be_between": {"column": "branch_id", "min_value": 1, "max_value": 1000},
    },
]


def write_contracts(root: Path, expectations: Path) -> None:
    """A bank with one feed, beside nothing else."""
    for folder in ("bronze", "silver", "gold", "kpis", "reference/calendars", "profiles", "sources/bench"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    shutil.copy(
        expectations / "reference" / "calendars" / "cn_bank.csv", root / "reference" / "calendars" / "cn_bank.csv"
    )
    profile = {
        "profile": "bench",
        "title": {"en": "Bench", "zh": "基准"},
        "zone": "Asia/Shanghai",
        "currency": "CNY",
        "calendar": "cn_bank",
    }
    source = {
        "feed": "bench_transactions", "description": "One large file.", "system": "bench", "owner": "bench", "sender": "head_office",
        "kind": "increment", "files": {"pattern": "BENCH_{entity}_TXN_{date}_{seq}.csv", "signal": "none"},
        "format": {"kind": "delimited", "encoding": "utf-8", "separator": ",", "columnLine": True}, "synthetic": True,
    }  # fmt: skip
    table = {
        "table": "bronze.bench_transactions", "version": "1.0.0", "description": "One large file.", "grain": "one movement", "owner": "bench",
        "steward": "bench", "primaryKey": ["transaction_id"], "history": "append", "money": "amount",
        "columns": {n: [t, {"classification": "C1/2"} | ({"parse": "yyyy-MM-dd HH:mm:ss"} if n == "event_time" else {})] for n, t in COLUMNS.items()},
        "rules": QUARANTINE + TABLE,
    }  # fmt: skip
    for path, content in (
        ("profiles/bench.yaml", profile),
        ("sources/bench/bench_transactions.yaml", source),
        ("bronze/bench_transactions.yaml", table),
    ):
        (root / path).write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")


def write_file(path: Path, rows: int, corrected: float, seed: int = 1) -> None:
    """The same rows each time but for the `corrected` share, whose amounts differ by a cent."""
    rng, other = random.Random(seed), random.Random(seed + 1)
    channels, remarks = ["01", "ATM", "WY", "SJ", "XCX"], ["salary", "rent", "groceries", "transfer to a friend", ""]
    with path.open("w", encoding="utf-8", newline="") as out:
        out.write(",".join(COLUMNS) + "\n")
        for n in range(rows):
            account, cents = rng.randrange(10**6), rng.randrange(1, 500_000)
            cents += other.random() < corrected
            out.write(
                f"T{n:012d},{6200000000000000000 + account},C{account // 2:09d},b{account % 60:02d},{channels[n % 5]},{'JD'[n % 2]},"
                f"{cents // 100}.{cents % 100:02d},CNY,success,2026-09-15 {n % 24:02d}:{n % 60:02d}:{n % 59:02d},2026-09-15,{remarks[n % 5]}\n"
            )


def medians_of(times: int, *steps: Callable[[int], float]) -> list[float]:
    """By turns, so that a machine that grows slower or faster meanwhile does so for all of them."""
    taken = [[step(n) for step in steps] for n in range(times)]
    return [statistics.median(of_step) for of_step in zip(*taken, strict=True)]


def main(rows: int = 1_000_000, times: int = 5) -> None:
    """Prints the table of seconds and the two ratios."""
    import os
    import tempfile

    from infra.local import services
    from jobs.settings import PROJECT, settings

    root = Path(tempfile.mkdtemp(prefix="bench-contracts-"))
    write_contracts(root, PROJECT / "expectations")
    os.environ["LEDGERLAKE_EXPECTATIONS"] = str(root)
    settings.cache_clear()
    services.up(["postgres", "spark"])
    home = settings().bank("bench")
    shutil.rmtree(home, ignore_errors=True)
    first, second = root / "first.csv", root / "second.csv"
    write_file(first, rows, 0.0)
    write_file(second, rows, 0.1)
    print(f"{rows:,} rows, {first.stat().st_size / 1e6:.0f} MB, 12 columns, {len(QUARANTINE) + len(TABLE)} rules")
    from jobs.bank import open_bank

    bank = open_bank("bench")
    with bank.ledger.begin() as db:
        db.execute(text("drop schema if exists bench_ledger cascade"))
    bank.ledger.migrate()
    plain_load(first, home, 99)  # warms the server
    gated_load(bank, first, 99)
    parts: list[tuple[float, float]] = []
    plain, gated, again = medians_of(
        times,
        lambda n: plain_load(first, home, n),
        lambda n: gated_load(bank, first, n, parts),
        lambda n: gated_load(bank, second, n),
    )
    arrival = statistics.median(p[0] for p in parts)
    print(f"plain CSV -> Delta                      {plain:6.2f} s")
    print(
        f"arrival + bronze + gate                 {gated:6.2f} s   (arrival {arrival:.2f} s, bronze and gate {gated - arrival:.2f} s)"
    )
    print(f"second day, 10 % corrected              {again:6.2f} s")
    print(f"gated : plain                           {gated / plain:6.2f}     (at most 1.6; aim 1.15)")
    print(f"second : first                          {again / gated:6.2f}     (at most 1.6)")
    shutil.rmtree(root)


def plain_load(file: Path, home: Path, n: int) -> float:
    from jobs.lake import session

    target = home / f"plain_{n}"
    shutil.rmtree(target, ignore_errors=True)
    with session() as spark:
        began = time.perf_counter()
        spark.read.schema(PLAIN).option("header", True).csv(str(file)).write.format("delta").mode("append").save(
            str(target)
        )
        return time.perf_counter() - began


def gated_load(bank, file: Path, n: int, parts: list[tuple[float, float]] | None = None) -> float:  # type: ignore[no-untyped-def]
    """Drop the file as a delivery of a day of its own (the second one of a day replaces the first) and take it to a live delivery."""
    from jobs import load
    from jobs.ledger import deliveries

    day = date(2026, 9, 15)
    lane = bank.home / "inbox" / "bench_transactions" / "HO" / f"{day}"
    lane.mkdir(parents=True, exist_ok=True)
    seq = sum(1 for _ in bank.home.glob("lake/bronze/bench_transactions/_delta_log/*.json")) + 1
    target = lane / f"BENCH_HO_TXN_{day:%Y%m%d}_{seq}.csv"
    with file.open("rb") as source, target.open("wb") as copy:
        # A comment line of another length makes the bytes of each delivery differ; equal bytes would rightly be ignored.
        shutil.copyfileobj(source, copy)
        copy.write(
            f"T9{n:03d}{seq:08d},6200000000000000000,C000000000,b00,01,J,1.00,CNY,success,2026-09-15 00:00:00,2026-09-15,\n".encode()
        )
    began = time.perf_counter()
    load.land("bench", "bench/land")
    landed = time.perf_counter()
    done = load.load("bench", "bench_transactions", f"w{seq}", "bench/load")
    ended = time.perf_counter()
    with bank.ledger.begin() as db:
        live = deliveries.counts(db)
    if not done or set(done) - {"loaded", "partly_loaded"}:
        raise SystemExit(f"The delivery did not go live: {done}, {live}")
    if parts is not None:
        parts.append((landed - began, ended - landed))
    return ended - began


if __name__ == "__main__":
    main()
