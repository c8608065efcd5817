"""The real bank, day by day, from its files as they were found to its figures; the oracle adds up the files' lines.

Five days, and then thirty: in `make test-long`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from jobs.commands import demo
from jobs.demo_bank.berka import TRANSACTIONS, Berka, day_of
from jobs.ledger import batches, deliveries, releases
from jobs.settings import settings
from tests.demo_bank.conftest import BERKA
from tests.whole_day.driven import Driven, first_bank, own_servers

pytestmark = [
    pytest.mark.services,
    pytest.mark.long,
    pytest.mark.timeout(3000),
    pytest.mark.skipif(not (BERKA / TRANSACTIONS).exists(), reason="the Czech bank's data are not beside the project"),
    pytest.mark.skipif(not (settings().home / "jars").exists(), reason="Spark's jars were not fetched: `make setup`"),
]


@pytest.fixture(scope="module")
def bank() -> Iterator[Driven]:
    with own_servers("ledgerlake_berka_") as (folder, servers):
        yield first_bank(folder, servers, "berka")


def told(last: date) -> dict[date, tuple[int, Decimal]]:
    """Day -> movements and their sum without sign, from the lines of the file alone."""
    found: dict[date, tuple[int, Decimal]] = {}
    for line in (BERKA / TRANSACTIONS).read_text("ascii").splitlines()[1:]:
        fields = line.split(";")
        day = day_of(fields[2])
        if day <= last:
            rows, money = found.get(day, (0, Decimal(0)))
            found[day] = rows + 1, money + Decimal(fields[5])
    return found


@pytest.mark.parametrize("days", [5, 30])
def test_its_days_are_replayed_in_order_and_each_is_released(bank: Driven, days: int) -> None:
    sender = Berka(BERKA)
    opened = bank.bank()
    opened.ledger.migrate()
    with opened.ledger.begin() as db:
        is_new = releases.newest(db) is None
    if is_new:
        demo.set_clock(opened, opened.catalog.profile.local(sender.history_end, "23:00"))
        sender.take_on(demo.inbox_folder(opened))
        bank.play()
    last = sender.days[days - 1]
    while (day := demo.next_day(opened)) <= last:
        for file in sender.day_files(day):
            file.write(demo.inbox_folder(opened))
        demo.set_clock(opened, opened.catalog.profile.local(day, demo.CLOSED))
        bank.play()
        assert demo.next_day(opened) > day, f"{day} was not released"
    expected = told(last)
    assert movements(opened, last) == expected
    with opened.ledger.begin() as db:
        kinds = {(r.to_date, r.kind) for r in releases.listing(db, limit=100)}
        refused = deliveries.find(db, states=["refused", "held"])
        cases = batches.cases(db)
    assert {day for day, _ in kinds} == set(sender.days[:days])
    assert {kind for _, kind in kinds} == {"final"}
    assert (refused, cases) == ([], [])


def movements(opened: Any, last: date) -> dict[date, tuple[int, Decimal]]:
    with duckdb.connect() as engine:
        engine.register("t", opened.lake.dataset("silver.transactions"))
        rows = engine.execute(
            "select business_date, count(*), sum(abs(amount)) from t where __verdict = 'accepted' and business_date <= ? group by 1",
            [last],
        ).fetchall()
    return {day: (count, Decimal(money)) for day, count, money in rows}
