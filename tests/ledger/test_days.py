"""Which days are asked for, when, and under which version. Owed for a day: payments of b01 and b02, rates of HO;
clicks are a stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError

from jobs.ledger import approvals, batches, days, deciding, deliveries, releases
from jobs.ledger.fixes import NotAllowed
from jobs.ledger.models import DayRun
from tests.ledger.conftest import DAY, HISTORY_END, TinyBank, part, unit

NEXT = DAY + timedelta(days=1)
V1 = f"{DAY}|v1"
V2 = f"{DAY}|v2"


def released(bank: TinyBank, day: date = DAY) -> None:
    bank.whole_day(day)
    for key in bank.decide():
        bank.release(key)


def minutes_later(bank: TinyBank) -> None:
    """As if each failed run had ended five minutes ago."""
    with bank.ledger.begin() as db:
        db.execute(
            update(DayRun).where(DayRun.state == "failed").values(finished_at=datetime.now(UTC) - timedelta(minutes=5))
        )


def test_keys_read_back() -> None:
    assert days.parse_key(days.make_key(DAY, DAY, 3)) == (DAY, DAY, 3)
    assert days.parse_key(days.make_key(DAY, NEXT, 1)) == (DAY, NEXT, 1)


class TestFirstBuild:
    def test_a_complete_day_is_asked_for_once(self, running: TinyBank) -> None:
        running.arrives("payments", "b01", DAY)
        running.arrives("rates", "HO", DAY)
        assert running.decide() == []
        running.arrives("payments", "b02", DAY)
        assert running.decide() == [V1]
        assert running.decide() == []
        run = running.run(V1)
        assert (run.cause, run.expected_units, run.received_units, run.missing) == ("complete", 3, 3, [])

    def test_two_deciders_at_once_ask_once(self, running: TinyBank, both: Callable[..., list[Any]]) -> None:
        running.whole_day()
        assert sorted(both(running.decide, running.decide)) == [[], [V1]]

    def test_an_incomplete_day_waits_for_its_close_by_and_is_provisional(self, running: TinyBank) -> None:
        running.arrives("payments", "b01", DAY)
        running.arrives("rates", "HO", DAY)
        running.clock(DAY, "23:49")
        assert running.decide() == []
        running.clock(DAY, "23:50")
        assert running.decide() == [V1]
        run = running.run(V1)
        assert (run.cause, run.missing, run.coverage) == (
            "close_by",
            [f"payments|b02|{DAY}"],
            {"payments": [2, 1], "rates": [1, 1]},
        )
        running.release(V1)
        with running.ledger.begin() as db:
            made = releases.get(db, V1)
            assert made is not None
            assert (made.kind, made.expected_units, made.received_units) == ("provisional", 3, 2)

    def test_what_comes_between_the_asking_and_the_start_still_counts(self, running: TinyBank) -> None:
        running.arrives("payments", "b01", DAY)
        running.arrives("rates", "HO", DAY)
        running.clock(DAY, "23:50")
        running.decide()
        running.arrives("payments", "b02", DAY)
        running.release(V1)
        with running.ledger.begin() as db:
            made = releases.get(db, V1)
            assert made is not None
            assert (made.kind, made.received_units) == ("final", 3)
        assert running.decide() == []

    def test_a_refused_delivery_does_not_complete_a_day(self, running: TinyBank) -> None:
        running.whole_day()
        delivery = running.claim("payments", "b03", DAY)
        with running.ledger.begin() as db:
            days.replace_units(db, [unit(b) for b in ("b01", "b02", "b03")])
            deliveries.set_state(db, delivery, "refused", "r", reason="trailer")
        assert running.decide() == []

    def test_a_closed_branch_owes_nothing(self, running: TinyBank) -> None:
        with running.ledger.begin() as db:
            closed = unit("b02") | {"valid_to": DAY}
            days.replace_units(db, [unit("b01"), closed])
            assert days.units(db, HISTORY_END) == ["b01", "b02"]
            assert days.units(db, DAY) == ["b01"]
        running.arrives("payments", "b01", DAY)
        running.arrives("rates", "HO", DAY)
        assert running.decide() == [V1]

    def test_a_stream_does_not_hold_a_day_open_nor_complete_it(self, running: TinyBank) -> None:
        running.arrives("clicks", "app", DAY)
        assert running.decide() == []
        running.whole_day()
        assert running.decide() == [V1]

    def test_a_complete_day_waits_for_what_is_in_hand_but_not_beyond_its_close_by(self, running: TinyBank) -> None:
        running.claim("payments", "b01", DAY, seq=2)
        running.whole_day()
        assert running.decide() == []
        running.clock(DAY, "23:50")
        assert running.decide() == [V1]

    def test_a_complete_day_does_not_wait_for_a_feed_that_nothing_is_built_from(self, running: TinyBank) -> None:
        """A source that dies while it is read keeps its delivery on the way for as long as it is away."""
        running.claim("clicks", "app", DAY)
        running.whole_day()
        assert running.decide() == [V1]

    def test_a_row_dated_in_the_future_waits_for_its_day(self, running: TinyBank) -> None:
        running.arrives("clicks", "app", DAY, date(2099, 1, 1))
        running.clock(DAY, "23:55")
        assert running.decide() == []

    def test_a_row_older_than_all_history_builds_its_day_alone(self, running: TinyBank) -> None:
        old = date(2026, 8, 1)
        running.arrives("clicks", "app", DAY, old)
        assert running.decide() == [f"{old}|v1"]
        run = running.start(f"{old}|v1")
        assert (run.cause, run.expected_units, run.missing) == ("late", 0, [])
        running.release(f"{old}|v1")
        running.clock(NEXT, "08:00")
        running.arrives("clicks", "app", NEXT, old)
        assert running.decide() == [f"{old}|v2"]
        assert running.start(f"{old}|v2").expected_units == 0

    def test_a_day_of_which_nothing_came_is_built_at_its_close_by(self, running: TinyBank) -> None:
        with running.ledger.begin() as db:
            deciding.touch(db, running.catalog, DAY)
        assert running.dirty() == []
        running.clock(DAY, "23:51")
        for _ in range(2):
            with running.ledger.begin() as db:
                deciding.touch(db, running.catalog, DAY)
        assert running.dirty() == [(DAY, "close_by")]
        assert running.decide() == [V1]
        assert running.run(V1).received_units == 0
        running.ends(V1, "stopped")
        with running.ledger.begin() as db:
            deciding.touch(db, running.catalog, DAY)
        assert running.dirty() == []


class TestRestatement:
    def test_a_resend_is_version_two(self, running: TinyBank) -> None:
        released(running)
        running.arrives("payments", "b01", DAY)
        assert running.decide() == [V2]
        assert running.run(V2).cause == "resend"
        running.release(V2)
        with running.ledger.begin() as db:
            made = releases.get(db, V2)
            assert made is not None
            assert (made.kind, made.version) == ("restated", 2)

    def test_a_missing_branch_that_comes_late_makes_the_day_whole(self, running: TinyBank) -> None:
        running.arrives("payments", "b01", DAY)
        running.arrives("rates", "HO", DAY)
        running.clock(DAY, "23:50")
        [key] = running.decide()
        running.release(key)
        running.arrives("payments", "b02", DAY)
        assert running.decide() == [V2]
        run = running.run(V2)
        assert (run.cause, run.missing) == ("late", [])

    def test_while_a_run_is_open_nothing_is_asked_and_afterwards_it_is(self, running: TinyBank) -> None:
        running.whole_day()
        running.decide()
        running.start(V1)
        running.arrives("payments", "b01", DAY)
        assert running.decide() == []
        running.release(V1)
        assert running.decide() == [V2]

    def test_late_rows_of_a_stream_restate_at_most_once_an_hour(self, running: TinyBank) -> None:
        released(running)
        running.clock(DAY, "08:59")
        running.arrives("clicks", "app", DAY)
        assert running.decide() == []
        running.clock(DAY, "09:00")
        assert running.decide() == [V2]
        assert running.run(V2).cause == "late_event"

    def test_a_new_day_goes_first_and_released_days_are_told_anew_one_by_one(self, running: TinyBank) -> None:
        released(running)
        running.clock(NEXT, "20:00")
        released(running, NEXT)
        for day in (NEXT, DAY):
            running.arrives("payments", "b01", day)
        third = NEXT + timedelta(days=1)
        running.clock(third, "20:00")
        running.whole_day(third)
        order = []
        while asked := running.decide():
            [key] = asked
            assert running.decide() == []  # while one is asked for or under way, no other is
            running.start(key)
            assert running.decide() == []
            running.release(key)
            order.append(key)
        assert order == [f"{third}|v1", V2, f"{NEXT}|v2"]

    def test_a_branch_file_does_not_wait_for_the_hour(self, running: TinyBank) -> None:
        released(running)
        running.arrives("clicks", "app", DAY)
        running.arrives("payments", "b02", DAY)
        assert running.decide() == [V2]

    def test_a_reversal_restates_the_day_of_its_original(self, running: TinyBank) -> None:
        released(running)
        running.clock(NEXT, "08:00")
        delivery, *_ = running.whole_day(NEXT)
        with running.ledger.begin() as db:
            days.mark_changed(db, deliveries.get(db, delivery), [DAY, date(1990, 1, 1)])
        # First the day on which it was booked: until then the original's day would be told without it.
        [next_day] = running.decide()
        assert next_day.startswith(f"{NEXT}")
        running.start(next_day)
        assert running.decide() == []
        running.release(next_day)
        assert running.decide() == [V2]
        assert running.run(V2).cause == "reversal"

    def test_a_reversal_of_a_day_that_is_being_built_is_not_forgotten(self, running: TinyBank) -> None:
        running.whole_day()
        running.decide()
        running.start(V1)
        delivery, *_ = running.whole_day(NEXT)
        with running.ledger.begin() as db:
            days.mark_changed(db, deliveries.get(db, delivery), [DAY])
        running.release(V1)
        running.clock(NEXT, "08:00")
        [next_day] = running.decide()
        running.start(next_day)
        running.release(next_day)
        assert running.decide() == [V2]

    def test_a_taken_on_day_is_measured_against_its_take_on(self, running: TinyBank) -> None:
        """Branches owed nothing of their own in those days: a late file does not make three lanes missing."""
        running.arrives("payments", "b01", HISTORY_END)
        [key] = running.decide()
        run = running.start(key)
        assert (key, run.expected_units, run.missing) == (f"{HISTORY_END}|v2", 2, [])


class TestTakeOn:
    def test_it_is_asked_for_when_all_feeds_have_come(self, bank: TinyBank) -> None:
        first = date(2026, 8, 11)
        bank.clock(HISTORY_END, "23:00")
        bank.arrives("payments", days.TAKE_ON, HISTORY_END, first, HISTORY_END)
        assert bank.decide() == []
        bank.arrives("rates", days.TAKE_ON, HISTORY_END, HISTORY_END)
        key = f"{first}..{HISTORY_END}|v1"
        assert bank.decide() == [key]
        assert bank.decide() == []
        run = bank.start(key)
        assert (run.cause, run.expected_units, run.received_units, len(run.deliveries)) == ("take_on", 2, 2, 2)
        assert bank.dirty() == []

    def test_it_waits_for_a_stream_that_is_on_its_way(self, bank: TinyBank) -> None:
        bank.clock(HISTORY_END, "23:00")
        clicks = bank.claim("clicks", days.TAKE_ON, HISTORY_END)
        bank.arrives("payments", days.TAKE_ON, HISTORY_END)
        bank.arrives("rates", days.TAKE_ON, HISTORY_END)
        assert bank.decide() == []
        bank.goes_live(clicks)
        [key] = bank.decide()
        assert len(bank.start(key).deliveries) == 3

    def test_a_history_of_one_day(self, bank: TinyBank) -> None:
        bank.clock(HISTORY_END, "23:00")
        bank.arrives("payments", days.TAKE_ON, HISTORY_END)
        bank.arrives("rates", days.TAKE_ON, HISTORY_END)
        assert bank.decide() == [f"{HISTORY_END}|v1"]
        assert bank.run(f"{HISTORY_END}|v1").cause == "take_on"

    def test_its_rows_of_a_later_date_are_that_days_own(self, bank: TinyBank) -> None:
        bank.clock(HISTORY_END, "23:00")
        bank.arrives("payments", days.TAKE_ON, HISTORY_END, HISTORY_END, DAY)
        bank.arrives("rates", days.TAKE_ON, HISTORY_END, HISTORY_END)
        assert bank.decide() == [f"{HISTORY_END}|v1"]
        bank.release(f"{HISTORY_END}|v1")
        bank.clock(DAY, "23:50")
        assert bank.decide() == [V1]

    def test_no_later_day_is_built_before_the_history_is_released(self, bank: TinyBank) -> None:
        with bank.ledger.begin() as db:
            days.replace_units(db, [unit(b) for b in ("b01", "b02")])
        bank.whole_day()
        bank.arrives("payments", days.TAKE_ON, HISTORY_END)
        rates = bank.claim("rates", days.TAKE_ON, HISTORY_END)
        assert bank.decide() == []
        bank.goes_live(rates)
        [key] = bank.decide()
        assert key == f"{HISTORY_END}|v1"
        assert bank.decide() == []
        bank.release(key)
        assert bank.decide() == [V1]


class TestFailures:
    def test_a_failed_run_is_tried_again_at_most_three_times(self, running: TinyBank) -> None:
        running.whole_day()
        [key] = running.decide()
        tried = [key]
        while tried[-1:] and len(tried) < 10:
            running.ends(tried[-1], "failed")
            assert running.decide() == []  # not at once
            minutes_later(running)
            again = running.decide()
            if not again:
                break
            tried += again
        assert tried == [f"{DAY}|v{n}" for n in (1, 2, 3, 4)]
        assert running.run(tried[-1]).cause == "complete"

    def test_after_a_success_it_has_all_its_tries_again(self, running: TinyBank) -> None:
        running.whole_day()
        running.decide()
        for n in (1, 2, 3):
            running.ends(f"{DAY}|v{n}", "failed")
            minutes_later(running)
            running.decide()
        running.release(f"{DAY}|v4")
        running.arrives("payments", "b01", DAY)
        assert running.decide() == [f"{DAY}|v5"]
        running.ends(f"{DAY}|v5", "failed")
        minutes_later(running)
        assert running.decide() == [f"{DAY}|v6"]

    def test_a_run_that_a_gate_stopped_is_not_tried_again_but_a_correction_is_built(self, running: TinyBank) -> None:
        running.whole_day()
        running.decide()
        running.ends(V1, "stopped")
        minutes_later(running)
        assert running.decide() == []
        running.arrives("payments", "b01", DAY)
        assert running.decide() == [V2]

    def test_the_second_try_builds_from_what_is_live_then(self, running: TinyBank) -> None:
        made = running.whole_day()
        running.decide()
        running.ends(V1, "failed")
        correction = running.arrives("payments", "b01", DAY)
        minutes_later(running)
        [key] = running.decide()
        chosen = {c.split("/")[0] for c in running.start(key).deliveries}
        assert (correction in chosen, made[0] in chosen) == (True, False)

    def test_a_late_twin_does_not_take_a_release_back(self, running: TinyBank) -> None:
        running.whole_day()
        running.decide()
        running.release(V1)
        with running.ledger.begin() as db:
            days.finish(db, V1, "failed", "its twin died")
        assert running.run(V1).state == "released"


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
        from jobs.ledger import batches

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
    from sqlalchemy import text

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


@pytest.fixture
def closing(running: TinyBank) -> TinyBank:
    """Its months close ten days after their end."""
    profile = running.catalog.profile.model_copy(update={"month_closes_after": 10})
    return replace(running, catalog=replace(running.catalog, profile=profile))


class TestClosedMonth:
    """D5: after its adjustment period a month is told anew with approval only."""

    LATE = date(2026, 10, 11)

    def test_a_month_closes_so_many_days_after_its_end(self, closing: TinyBank) -> None:
        closes = closing.catalog.profile.closes
        assert (closes(date(2026, 9, 1)), closes(date(2026, 9, 30)), closes(date(2026, 12, 31))) == (
            self.LATE,
            self.LATE,
            date(2027, 1, 11),
        )

    def test_in_the_adjustment_period_a_late_file_restates(self, closing: TinyBank) -> None:
        released(closing)
        closing.clock(self.LATE - timedelta(days=1), "23:59")
        closing.arrives("payments", "b01", DAY)
        assert closing.decide() == [V2]

    def test_afterwards_it_waits_for_approval_and_somebody_is_told(self, closing: TinyBank) -> None:
        released(closing)
        closing.clock(self.LATE, "00:00")
        delivery = closing.arrives("payments", "b01", DAY)
        assert closing.decide() == closing.decide() == []
        assert closing.dirty() == [(DAY, "resend")]
        with closing.ledger.begin() as db:
            (told,) = [a for a in batches.alerts(db) if a.kind == "closed_month"]
            assert (delivery in told.message, f"closed since {self.LATE}" in told.message) == (True, True)
            with pytest.raises(days.MonthClosed, match="September 2026 is closed since 2026-10-11"):
                days.request_again(db, closing.catalog, DAY, "repaired: x")
            with pytest.raises(days.MonthClosed):
                days.request_rollback(db, closing.catalog, DAY, "x")
            assert f"`ledgerlake restate {DAY} --reason ...` asks for it" in told.message
            number = approvals.ask(db, DAY, "restate", "repaired: x", "anna").approval_id
        assert closing.decide() == []
        with closing.ledger.begin() as db:
            assert approvals.approve(db, closing.catalog, number, "lihua", None).run_key == V2
        closing.release(V2)
        assert (closing.run(V2).approved_by, closing.dirty()) == ("lihua", [])
        with closing.ledger.begin() as db:
            assert [a.kind for a in batches.alerts(db) if a.kind == "closed_month"] == []
            assert releases.listing(db)[0].approved_by == "lihua"

    def test_a_day_that_was_never_told_is_built_all_the_same(self, closing: TinyBank) -> None:
        closing.clock(self.LATE, "08:00")
        closing.whole_day()
        assert closing.decide() == [V1]

    def test_an_open_month_needs_nobody(self, closing: TinyBank) -> None:
        released(closing)
        with closing.ledger.begin() as db:
            assert days.request_again(db, closing.catalog, DAY, "repaired: x") == V2

    def asked(self, closing: TinyBank, act: str = "restate", person: str = "anna") -> int:
        released(closing)
        closing.clock(self.LATE, "08:00")
        with closing.ledger.begin() as db:
            return int(approvals.ask(db, DAY, act, "repaired: x", person).approval_id)

    def test_nobody_approves_what_they_asked_for(self, closing: TinyBank) -> None:
        number = self.asked(closing)
        with closing.ledger.begin() as db:
            with pytest.raises(
                NotAllowed, match=f"anna asked for it, .* `ledgerlake approvals decline {number}` takes"
            ):
                approvals.approve(db, closing.catalog, number, "anna", None)
            for by in ("'anna'", "null"):
                with pytest.raises(IntegrityError, match="four_eyes"), db.begin_nested():
                    db.execute(text(f"update approvals set state = 'approved', decided_by = {by}"))
        assert closing.decide() == []

    def test_what_was_decided_is_decided(self, closing: TinyBank) -> None:
        number = self.asked(closing)
        with closing.ledger.begin() as db:
            with pytest.raises(NotAllowed, match="Say why"):
                approvals.decline(db, number, "lihua", " ")
            done = approvals.decline(db, number, "lihua", "goes into October")
            assert (done.state, done.decided_by, done.note, approvals.waiting(db)) == ("declined", "lihua", "goes into October", [])  # fmt: skip
            with pytest.raises(NotAllowed, match=r"is declined \(by lihua\)"):
                approvals.approve(db, closing.catalog, number, "lihua", None)
            with pytest.raises(NotAllowed, match="There is no request 99"):
                approvals.approve(db, closing.catalog, 99, "lihua", None)
            own = approvals.ask(db, DAY, "restate", "repaired: y", "anna").approval_id
            assert approvals.decline(db, own, "anna", "thought better of it").state == "withdrawn"

    def test_asking_twice_asks_once_and_says_why(self, closing: TinyBank) -> None:
        number = self.asked(closing)
        with closing.ledger.begin() as db:
            again = approvals.ask(db, DAY, "restate", "repaired: the same", "bernd")
            assert (again.approval_id, again.asked_by, again.reason) == (number, "anna", "repaired: x")
            with pytest.raises(NotAllowed, match="Say why"):
                approvals.ask(db, DAY, "restate", " ", "anna")
            with pytest.raises(NotAllowed, match="no release before its newest one"):
                approvals.ask(db, DAY, "rollback", "x", "anna")

    def test_it_waits_for_a_run_of_the_day(self, closing: TinyBank) -> None:
        number = self.asked(closing)
        with closing.ledger.begin() as db:
            days.request_again(db, closing.catalog, DAY, "repaired: another", "clara")
            with pytest.raises(NotAllowed, match=r"\|v2 is requested: approve it when that is at its end"):
                approvals.approve(db, closing.catalog, number, "lihua", None)

    def test_a_day_is_taken_back_with_approval(self, closing: TinyBank) -> None:
        number = self.asked(closing)
        with closing.ledger.begin() as db:
            approvals.approve(db, closing.catalog, number, "lihua", "seen")
        closing.release(V2)
        with closing.ledger.begin() as db:
            back = approvals.ask(db, DAY, "rollback", "it was right before", "lihua").approval_id
            run_key = approvals.approve(db, closing.catalog, back, "anna", None).run_key
        run = closing.run(run_key)
        assert (run.cause, run.approved_by) == ("rollback: it was right before", "anna")
        assert run.deliveries == closing.run(V1).deliveries


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


class TestWhatWaits:
    """Whoever asks why a day is not there gets the reason by which it is not asked for."""

    def waits(self, bank: TinyBank) -> list[tuple[date, tuple[str, ...], int, tuple[str, ...], str]]:
        with bank.ledger.begin() as db:
            found = deciding.waiting(db, bank.catalog)
        return [(w.business_date, w.feeds, w.deliveries, w.causes, w.why) for w in found]

    def test_a_day_that_lacks_lanes_names_them_and_when_it_is_told_without(self, running: TinyBank) -> None:
        running.arrives("payments", "b01", DAY)
        running.arrives("clicks", "app", NEXT + timedelta(days=1))
        assert running.decide() == []
        today, later = self.waits(running)
        assert today == (
            DAY,
            ("payments",),
            1,
            ("arrived",),
            f"2 of 3 lanes are not here (payments of b02, rates of HO); at {DAY} 23:50 it is told with what is there",
        )
        assert (later[0], later[4]) == (NEXT + timedelta(days=1), "its day has not come")

    def test_late_rows_of_a_stream_wait_for_their_hour(self, running: TinyBank) -> None:
        released(running)
        running.clock(DAY, "08:20")
        running.arrives("clicks", "app", DAY)
        assert running.decide() == []
        [(day, feeds, _, _, why)] = self.waits(running)
        assert (day, feeds) == (DAY, ("clicks",))
        assert why == f"late rows of streams have a day told anew at most once an hour: not before {DAY} 09:00"
        running.clock(DAY, "09:00")
        assert self.waits(running)[0][4] == "nothing: the next roll-call asks for it"
        assert running.decide() == [V2]
        assert self.waits(running)[0][4] == f"{V2} is asked for, and goes before it"
        running.release(V2)
        assert self.waits(running) == []

    def test_a_closed_month_waits_for_people(self, closing: TinyBank) -> None:
        released(closing)
        closing.clock(TestClosedMonth.LATE, "00:00")
        closing.arrives("payments", "b01", DAY)
        [(_, _, _, causes, why)] = self.waits(closing)
        assert causes == ("resend",)
        assert why.startswith(f"its month is closed since {TestClosedMonth.LATE}: `ledgerlake restate {DAY}")

    def test_a_take_on_waits_as_one_for_its_feeds(self, bank: TinyBank) -> None:
        bank.clock(HISTORY_END, "23:00")
        bank.arrives("payments", days.TAKE_ON, HISTORY_END, date(2026, 9, 13), HISTORY_END)
        assert bank.decide() == []
        [(day, feeds, deliveries, _, why)] = self.waits(bank)
        assert (day, feeds, deliveries) == (HISTORY_END, ("payments",), 1)
        assert why == f"the take-on up to {HISTORY_END} lacks rates"
