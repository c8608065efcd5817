"""The fault matrix, whole: a clean day on which nothing may be caught, and then every fault that the demo bank can commit, each caught by its control.

The bank is driven without Airflow (tests.whole_day.drive), by the same play that `ledgerlake demo --faults all` gives. What must not count is checked by
the answer key, which is worked out from the truth alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb
import pytest

from jobs.bank import Bank
from jobs.commands import demo
from jobs.demo_bank import AnswerKey, DemoBank
from jobs.demo_bank.faults import CAN, KINDS, NOT_BUILT
from jobs.scorecard import CAUGHT, MISSED, OPEN, Scorecard, scorecard
from jobs.settings import settings
from tests.faults.driver import Driver
from tests.whole_day.driven import first_bank, own_servers

pytestmark = [
    pytest.mark.services,
    pytest.mark.long,
    pytest.mark.timeout(5400),
    pytest.mark.skipif(not (settings().home / "jars").exists(), reason="Spark's jars were not fetched: `make setup`"),
]


SCALE = "S"
# Table -> the column of its business date, and what is summed.
COMPARED = {
    "silver.transactions": ("business_date", "sum(amount)"),
    "silver.account_balances": ("balance_date", "sum(balance)"),
    "silver.sales": ("business_date", "sum(amount)"),
    "silver.channel_events": ("business_date", "null"),
    "silver.gl_balances": ("business_date", "sum(debit_turnover)"),
}


@dataclass
class Matrix:
    bank: Bank
    play: demo.Play
    sender: DemoBank
    faults: dict[date, list[str]]

    @property
    def clean_day(self) -> date:
        return self.sender.first_live_day


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    """The history is taken on, and a clean day was played."""
    with own_servers("ledgerlake_faults_") as (folder, servers):
        driven = first_bank(folder, servers)
        sender = DemoBank(seed=7, scale=SCALE)
        bank = driven.take_on(sender)
        play = demo.Play(bank, sender, Driver(driven))
        play.day(sender.first_live_day)
        yield Matrix(bank, play, sender, sender.spread(sender.first_live_day + timedelta(days=1)))


@pytest.fixture(scope="module")
def card(matrix: Matrix) -> Scorecard:
    """All faults, over their days."""
    for day, faults in matrix.faults.items():
        matrix.play.day(day, faults)
    # An event's late rows restate a day at most once an hour.
    demo.set_clock(matrix.bank, matrix.bank.catalog.profile.local(max(matrix.faults) + timedelta(days=1), "09:00"))
    matrix.play.rest()
    return scorecard(matrix.bank)


def test_a_clean_day_raises_no_alarm(matrix: Matrix) -> None:
    said = scorecard(matrix.bank)
    assert said.days == [matrix.clean_day]
    assert said.false_alarms == []
    assert said.count(CAUGHT) == said.count(MISSED) == 0


def test_every_fault_is_caught_by_its_control(matrix: Matrix, card: Scorecard) -> None:
    assert [(f.fault, f.name, f.found) for f in card.findings if f.verdict == MISSED] == []
    caught = {f.fault for f in card.findings if f.verdict == CAUGHT}
    assert caught == {fault for faults in matrix.faults.values() for fault in faults}
    assert CAN - caught == set()
    assert matrix.play.later == []


def test_nothing_else_is_caught(card: Scorecard) -> None:
    assert card.false_alarms == []
    assert card.is_good


def test_controls_that_are_not_built_are_said_to_be_so(card: Scorecard) -> None:
    assert {f.fault for f in card.findings if f.verdict == OPEN} == {
        f for f, k in KINDS.items() if k.outcome == NOT_BUILT
    }


def test_money_was_saved_and_what_counts_is_what_the_key_says(matrix: Matrix, card: Scorecard) -> None:
    rows, money = card.saved
    assert rows > 0 and money > 0
    key = AnswerKey(DemoBank(seed=7, scale=SCALE), matrix.faults)
    # A day whose late file has come by then is told with it.
    told = [day for day, faults in matrix.faults.items() if not {"F21", "F22"} & set(faults)]
    for day in told:
        tables = key.of(day)["tables"]
        for table, (dated, summed) in COMPARED.items():
            with duckdb.connect() as engine:
                engine.register("t", matrix.bank.lake.dataset(table))
                query = f"select count(*), {summed} from t where __verdict = 'accepted' and {dated} = $day"
                [(found, amount)] = engine.execute(query, {"day": day}).fetchall()
            assert found == tables[table]["rows"], (day, table)
            assert amount is None or amount == tables[table]["money"], (day, table)
