"""The answer key against a hand example, and against the files themselves read by another engine."""

from __future__ import annotations

import gzip
import json
import tarfile
from datetime import date, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.demo_bank import AnswerKey, DemoBank, answer_key
from jobs.demo_bank.sums import Activity, DayFigures, Grain, Sum, figure

ONLINE, GRAIN = ("WY", "SJ", "XCX", "KJ"), Grain("bank", "savings", "11", "b01")


def test_a_ratio_is_half_even_and_has_no_value_over_nothing() -> None:
    assert figure(1, 3)["value"] == Decimal("0.333333")
    assert figure(5, 2_000_000)["value"] == Decimal("0.000002")
    assert figure(3, 0) == {"numerator": Decimal(3), "denominator": Decimal(0), "value": None}
    assert figure(3, None)["value"] == 3


def test_a_full_reversal_takes_the_original_out_and_a_partial_one_only_its_money() -> None:
    """Three movements: counter 500, machine 100 (half taken back), mobile 400 (all taken back)."""
    day = DayFigures()
    for key, fen, channel in (("t1", 50_000, "01"), ("t2", 10_000, "ATM"), ("t3", 40_000, "SJ")):
        move = Activity(fen, GRAIN, "c1", channel in ONLINE, channel != "01", channel)
        day.open_moves["b01", key] = move
        day.count_move(move, fen, 1)
    day.reverse_move(("b01", "t2"), 5_000)
    day.reverse_move(("b01", "t3"), 40_000)
    day.reverse_move(("b01", "not there"), 1)
    assert day.sums["K4", "count_share"].told()["total"] == figure(1, 2)
    amounts = day.sums["K4", "amount_share"].told(100)["branch_id=b01"]
    assert (amounts["numerator"], amounts["denominator"]) == (50, 550)
    assert day.moves["c1"] == {"all": 2, "online": 0, "counter": 1}


def test_a_cell_whose_rows_all_went_is_not_told() -> None:
    total = Sum()
    total.add(["total", "branch_id=b01"], 1, 1)
    total.add(["total", "branch_id=b01"], -1, -1, -1)
    assert total.told() == {"total": figure(0, 0)}


def _rows_of(inbox: Path, feed: str) -> list[list[str]]:
    """Body lines of all delimited files of a feed, read without any of the project's readers."""
    rows = []
    for path in sorted((inbox / feed).rglob("*")):
        if path.is_file() and path.suffix != ".ok":
            raw = path.read_bytes()
            text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("gb18030")
            separator = "\x1b" if feed == "core_transactions" else "|+|"
            rows += [line.split(separator) for line in text.splitlines()[1:-1]]
    return rows


def _json_of(inbox: Path, feed: str) -> list[dict[str, Any]]:
    files = sorted((inbox / feed).rglob("*.jsonl"))
    return [json.loads(line, parse_float=Decimal) for f in files for line in f.read_text(encoding="utf-8").splitlines()]


def test_figures_agree_with_the_files_read_by_another_engine(tmp_path: Path, home: Path) -> None:
    """K1, K4, K34 and K5 of the first live day and its month, in SQL over nothing but the sent files."""
    bank = DemoBank(seed=5, scale="XS")
    day = bank.first_live_day
    bank.take_on(tmp_path)
    bank.send_day(tmp_path, day)
    key = AnswerKey(bank).of(day)
    db = duckdb.connect()
    names = ["branch_id", "journal", "line", "account", "customer", "business_line", "code", "channel", "origin"]
    names += ["initiator", "operator", "financial", "direction", "amount", "currency", "status", "at", "business_date"]
    names += ["posting_date", "reverses", "after", "counterparty", "remark", "sale_id"]
    rows = _rows_of(tmp_path, "core_transactions")
    moves = pa.table({n: pa.array([r[i] for r in rows]) for i, n in enumerate(names)})
    told = [path.read_bytes() for path in (tmp_path / "core_rates").rglob("*.txt")]
    for path in (tmp_path / "core_params").rglob("*.tar.gz"):
        with tarfile.open(path) as archive:
            told += [archive.extractfile(e).read() for e in archive if "_RATE_" in e.name]  # type: ignore[union-attr]
    rates = {
        (r[0], r[1]): r[2]
        for raw in told
        for r in (line.split("|@|") for line in raw.decode("gb18030").splitlines()[:-1])
    }
    rate = pa.table(
        {"currency": [c for c, _ in rates], "business_date": [d for _, d in rates], "rate": list(rates.values())}
    )
    db.register("moves", moves)
    db.register("rate", rate)
    by_day = db.execute(
        """
        with m as (
            select moves.*, cast(amount as decimal(18,2)) as fen, strptime(business_date, '%Y%m%d')::date as d
            from moves),
        undone as (
            select branch_id, reverses, sum(fen) as fen from m where status = '0' and reverses <> '' group by all),
        valid as (
            select m.*, round_even(m.fen::decimal(28,2) * coalesce(cast(r.rate as decimal(10,8)), 1), 2)
                        - coalesce(u.fen, 0) as net
            from m left join rate r on r.currency = m.currency and r.business_date = m.business_date
            left join undone u on u.branch_id = m.branch_id
                and u.reverses = strftime(m.d, '%Y-%m-%d') || ':' || journal || ':' || line
            where status = '0' and initiator = 'C' and financial = 'Y' and m.reverses = '')
        select d, count(*) filter (where channel <> '01'), count(*),
               coalesce(sum(net) filter (where channel <> '01'), 0), sum(net) from valid where net > 0 group by d
        """
    ).fetchall()
    told = {r[0]: r[1:] for r in by_day}
    month = [d for d in told if d >= day.replace(day=1)]
    for kind, days in (("day", [day]), ("mtd", month)):
        counts, amounts = (key["kpis"]["K4"][kind][m]["total"] for m in ("count_share", "amount_share"))
        assert (counts["numerator"], counts["denominator"]) == tuple(sum(told[d][i] for d in days) for i in (0, 1))
        found = [sum(Decimal(str(told[d][i])) for d in days) for i in (2, 3)]
        assert [round(Decimal(a), 2) for a in (amounts["numerator"], amounts["denominator"])] == [
            round(f, 2) for f in found
        ]

    sales = _json_of(tmp_path, "online_sales")
    undone = {s["reverses_sale_id"] for s in sales if s["reverses_sale_id"] and s["status"] == "completed"}
    valid = [
        s for s in sales if s["status"] == "completed" and not s["reverses_sale_id"] and s["sale_id"] not in undone
    ]
    today = [s for s in valid if str(s["sale_id"])[1:9] == f"{day:%Y%m%d}"]
    online = [s for s in today if s["channel_complete"] in ONLINE and s["is_customer_initiated"]]
    k1 = key["kpis"]["K1"]["day"]
    assert k1["count_share"]["total"] == figure(len(online), len(today))
    assert k1["amount_share"]["total"]["denominator"] == sum(Decimal(str(s["amount"])) for s in today)

    loans = pa.concat_tables(
        pq.read_table(BytesIO(p.read_bytes())) for p in (tmp_path / "loan_daily").rglob("*.parquet")
    )
    standing = [r for r in loans.to_pylist() if r["as_of_date"] == day]
    bad = sum(r["balance"] for r in standing if r["five_class"] in "345")
    k34 = key["kpis"]["K34"]["day"]["ratio"]["total"]
    assert (k34["numerator"], k34["denominator"]) == (bad, sum(r["balance"] for r in standing))
    assert key["tables"]["silver.loans"]["rows"] == len(standing)

    # Few have two numbers, so that counting customer numbers is near; parties can only be fewer.
    seen = _customers_who_clicked(_json_of(tmp_path, "app_events"), day.replace(day=1))
    assert 0.8 * len(seen) <= key["kpis"]["K5"]["mtd"]["mau"]["total"]["value"] <= len(seen)


def _customers_who_clicked(events: list[dict[str, Any]], first: date) -> set[str]:
    unmeant = ("push_receipt", "background_refresh", "crash")
    return {
        customer
        for e in events
        if e["collected"] >= _midnight_ms(first)
        and (customer := e["user"].get("customer_no") or e["user"].get("id"))
        and e["event"]["name"] not in unmeant
        and not e["session"]["is_bot"]
        and not e["user"]["is_test"]
        and not e["user"]["is_staff"]
    }


def _midnight_ms(day: date) -> int:
    """Midnight in China, eight hours before that of UTC."""
    return ((day - date(1970, 1, 1)).days * 24 - 8) * 3_600_000


def test_records_of_one_person_are_one_party_and_a_misspelt_name_stays_apart() -> None:
    bank = DemoBank(seed=1, scale="XS")
    told = answer_key(bank, bank.first)
    records = bank.people.records
    assert told["tables"]["silver.parties_source"]["current"] == len(records)
    people = {r.party for r in records}
    assert len(people) < told["parties"] < len(records)
    assert told["conflicts"] > 0


def test_a_reversal_of_the_next_day_restates_the_day_before() -> None:
    bank = DemoBank(seed=1, scale="XS")
    day = next(
        d.date
        for d in bank.days(bank.first + timedelta(days=1), bank.first + timedelta(days=20))
        if any(t.reverses and not t.reverses.startswith(d.date.isoformat()) for t in d.transactions)
    )
    before = day - timedelta(days=1)
    first = AnswerKey(bank).of(before)
    later = AnswerKey(bank).of(before, known=day)
    shares = [told["kpis"]["K4"]["day"]["amount_share"]["total"]["denominator"] for told in (first, later)]
    assert shares[1] < shares[0]
