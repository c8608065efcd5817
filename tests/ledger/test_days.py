"""Runs of days: their keys, what they are built from, what is released and taken back. Owed for a day: payments of b01 and b02, rates of HO;
clicks are a stream."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from jobs.ledger import batches, days, deliveries, releases
from tests.ledger.conftest import DAY, NEXT, V1, V2, TinyBank, minutes_later, part, released


def test_keys_read_back() -> None:
    assert days.parse_key(days.make_key(DAY, DAY, 3)) == (DAY, DAY, 3)
    assert days.parse_key(days.make_key(DAY, NEXT, 1)) == (DAY, NEXT, 1)


class TestStart:
    def test_a_second_start_keeps_the_first_ones_choice(self, running: TinyBank) -> None:
        running.whole_day()
        running.decide()
        first = running.start(V1).deliveries
        running.arrives("payments", "b01", DAY)
        assert running.start(V1).deliveries == first

    def test_a_delivery_that_goes_live_while_a_run_starts_is_never_lost(
        self, running: TinyBank, both: Callable[..., list[Any]]
    ) -> None:
        """It is in the run's choice, or its mark remains so that the day is built again."""
        for n in range(8):
            day = DAY - timedelta(days=n + 10)
            with running.ledger.begin() as db:
                key = days.request_again(db, running.catalog, day, "test")
            delivery = running.claim("clicks", f"app{n}", day)

            def goes_live(delivery: str = delivery, day: date = day) -> None:
                with running.ledger.begin() as db:
                    deliveries.go_live(db, delivery, 1, "r", dates=[part(day)], totals={})

            run, _ = both(lambda key=key: running.start(key), goes_live)
            chosen = f"{delivery}/1" in run.deliveries
            assert chosen or (day, "arrived") in running.dirty()


class TestReleases:
    def test_releasing_twice_is_one_release(self, running: TinyBank) -> None:
        running.whole_day()
        running.decide()
        assert running.release(V1) == running.release(V1)
        with running.ledger.begin() as db:
            assert [r.run_key for r in releases.listing(db, day=DAY)] == [V1]
            assert releases.tables(db, releases.get(db, V1).release_id)["gold.daily"].delta_version == 1

    def test_two_that_release_at_once_make_one_release(self, running: TinyBank, both: Callable[..., list[Any]]) -> None:
        running.whole_day()
        running.decide()
        running.start(V1)
        one, two = both(lambda: running.release(V1), lambda: running.release(V1))
        assert one == two

    def test_the_newest_release_of_a_day_is_the_one_that_counts(self, running: TinyBank) -> None:
        released(running)
        running.arrives("payments", "b01", DAY)
        running.release(running.decide()[0])
        with running.ledger.begin() as db:
            newest = days.newest_release(db, DAY)
            assert newest is not None
            assert newest.run_key == V2
            assert days.newest_release(db, NEXT) is None
            assert days.last_released_day(db) == DAY

    def test_a_rollback_builds_from_what_the_former_release_was_built_from(self, running: TinyBank) -> None:
        first = running.whole_day()
        running.release(running.decide()[0])
        running.arrives("payments", "b01", DAY)
        running.release(running.decide()[0])
        with running.ledger.begin() as db:
            key = days.request_rollback(db, running.catalog, DAY, "wrong file")
        assert key == f"{DAY}|v3"
        run = running.start(key)
        assert {c.split("/")[0] for c in run.deliveries} == set(first)
        assert run.cause == "rollback: wrong file"

    def test_a_rollback_that_fails_is_tried_again_with_the_same_choice(self, running: TinyBank) -> None:
        first = running.whole_day()
        running.release(running.decide()[0])
        running.arrives("payments", "b01", DAY)
        running.release(running.decide()[0])
        with running.ledger.begin() as db:
            key = days.request_rollback(db, running.catalog, DAY, "wrong file")
        running.ends(str(key), "failed")
        minutes_later(running)
        [again] = running.decide()
        assert {c.split("/")[0] for c in running.start(again).deliveries} == set(first)

    def test_there_is_nothing_to_roll_back_to_after_one_release(self, running: TinyBank) -> None:
        released(running)
        with running.ledger.begin() as db:
            assert days.request_rollback(db, running.catalog, DAY, "x") is None

    def test_what_a_dead_run_wrote_is_found_until_it_is_taken_back(self, running: TinyBank) -> None:

        released(running)
        with running.ledger.begin() as db:
            batches.set_state(db, batches.start(db, "gold.daily", V1, "r").batch_id, "passed")
            left = batches.start(db, "silver.movements", V2, "r")
            batches.start(db, "bronze.payments", "payments|1", "r")
            assert [b.batch_id for b in releases.unreleased(db, but="")] == [left.batch_id]
            assert releases.unreleased(db, but=V2) == []
            batches.set_state(db, left.batch_id, "restored")
            assert releases.unreleased(db, but="") == []


@pytest.mark.parametrize("query", ["coverage", "newest_release"])
def test_questions_of_one_day_do_not_read_all_of_history(running: TinyBank, query: str) -> None:
    """With 20 years of deliveries and releases the plans use the indexes by date."""
    sql = {
        "coverage": """
            select distinct feed, entity from deliveries
            where business_date = date '2026-09-15' and state in ('loaded', 'partly_loaded')""",
        "newest_release": """
            select * from releases where from_date <= date '2026-09-15' and to_date >= date '2026-09-15'
            order by release_id desc limit 1""",
    }[query]
    with running.ledger.begin() as db:
        db.execute(
            text("""
            insert into deliveries (delivery_id, feed, entity, business_date, seq, file_name, uri, claim_key, state,
                                    received_at, claimed_at, run_id)
            select 'X' || n, 'payments', 'b01', date '2006-01-01' + n % 7000, 1, 'f', 'u', 'x' || n, 'loaded',
                   now(), now(), 'r'
            from generate_series(1, 20000) n
            """)
        )
        db.execute(
            text("""
            insert into day_runs (run_key, from_date, to_date, version, cause, state, expected_units, received_units,
                                  coverage, missing, requested_at)
            select 'k' || n, d, d, 1, 'complete', 'released', 0, 0, '{}', '[]', now()
            from (select n, date '2006-01-01' + n as d from generate_series(1, 7000) n) x
            """)
        )
        db.execute(
            text("""
            insert into releases (run_key, from_date, to_date, version, kind, cause, expected_units, received_units,
                                  missing, run_id, released_at)
            select run_key, from_date, to_date, 1, 'final', 'complete', 0, 0, '[]', 'r', now()
            from day_runs where run_key like 'k%'
            """)
        )
        db.execute(text("analyze deliveries"))
        db.execute(text("analyze releases"))
        plan = "\n".join(db.execute(text(f"explain {sql}")).scalars())
    assert "Seq Scan" not in plan
    assert "Index" in plan


def test_the_last_released_days_are_those_of_history_and_of_days_once_each(running: TinyBank) -> None:
    running.whole_day()
    [key] = running.decide()
    running.release(key)
    with running.ledger.begin() as db:
        restated = days.request_again(db, running.catalog, DAY, "repaired")
    running.release(restated)
    history = [date(2026, 9, 12), date(2026, 9, 13), date(2026, 9, 14)]
    with running.ledger.begin() as db:
        assert releases.newest_days(db, 1) == [DAY]
        assert releases.newest_days(db, 3) == [*history[1:], DAY]
        assert releases.newest_days(db, 30) == [*history, DAY]
