"""Which days are asked for, when, and under which version; and why others wait. Owed for a day: payments of b01 and b02, rates of HO;
clicks are a stream."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from jobs.arrival.naming import UNKNOWN
from jobs.ledger import batches, days, deciding, deliveries, releases
from tests.ledger.conftest import DAY, HISTORY_END, LATE, NEXT, V1, V2, TinyBank, minutes_later, released, unit


class TestFirstBuild:
    def test_a_complete_day_is_asked_for_once(self, running: TinyBank) -> None:
        running.all_but_b02()
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
        running.all_but_b02()
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
        running.all_but_b02()
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
        running.all_but_b02()
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

    def test_a_day_told_at_its_close_by_without_what_is_in_hand_is_provisional(self, running: TinyBank) -> None:
        """All that is owed is here, and a file that nobody owes waits to be loaded, as for `contracts apply`: its rows are not in the figures."""
        waits = running.claim("payments", "app", DAY)
        running.whole_day()
        running.clock(DAY, "23:50")
        assert running.decide() == [V1]
        running.release(V1)
        with running.ledger.begin() as db:
            made = releases.get(db, V1)
        assert made is not None
        assert (made.kind, made.expected_units, made.received_units, made.missing) == (
            "provisional",
            3,
            3,
            [f"payments|app|{DAY}"],
        )
        running.goes_live(waits)
        running.clock(NEXT, "01:00")
        assert running.decide() == [V2]
        assert running.start(V2).missing == []

    def test_what_was_in_hand_and_does_not_count_ends_the_lack(self, running: TinyBank) -> None:
        """The same bytes as a delivery that counts: known to be nothing new only after the day was told."""
        twice = running.claim("payments", "b01", DAY, seq=2)
        running.whole_day()
        running.clock(DAY, "23:50")
        assert running.decide() == [V1]
        running.release(V1)
        assert running.run(V1).missing == [f"payments|b01|{DAY}"]
        with running.ledger.begin() as db:
            deliveries.set_state(db, twice, "ignored_duplicate", "r", reason="the same bytes")
        assert running.dirty() == [(DAY, "late")]
        assert running.decide() == [V2]
        assert running.start(V2).missing == []

    def test_an_empty_file_that_comes_late_ends_the_lack(self, running: TinyBank) -> None:
        running.told_without_b02()
        late = running.claim("payments", "b02", DAY)
        with running.ledger.begin() as db:
            batch = batches.start(db, "bronze.payments", f"payments|{late}", "r")
            deliveries.go_live(db, late, batch.batch_id, "r", dates=[], totals={"rejected_rows": 0})
        assert running.decide() == [V2]
        assert running.start(V2).missing == []

    def test_a_refused_file_of_a_lane_that_is_owed_has_no_day_told_anew(self, running: TinyBank) -> None:
        running.told_without_b02()
        late = running.claim("payments", "b02", DAY)
        with running.ledger.begin() as db:
            deliveries.set_state(db, late, "refused", "r", reason="trailer")
        assert running.dirty() == []

    def test_a_day_is_provisional_while_a_file_that_nobody_owes_is_held_and_not_for_a_name_that_nobody_knows(
        self, running: TinyBank
    ) -> None:
        held = running.claim("payments", "app", DAY)
        running.claim(UNKNOWN, "-", DAY)
        with running.ledger.begin() as db:
            deliveries.set_state(db, held, "held", "r", reason="too many")
        running.whole_day()
        assert running.decide() == [V1]
        running.release(V1)
        assert running.run(V1).missing == [f"payments|app|{DAY}"]
        running.goes_live(held)
        assert running.decide() == [V2]

    def test_a_run_that_fails_before_it_begins_is_tried_again_and_not_asked_for_without_end(
        self, running: TinyBank
    ) -> None:
        running.whole_day()
        asked = []
        for _ in range(3):
            for key in (keys := running.decide()):
                with running.ledger.begin() as db:
                    days.finish(db, key, "failed", "the disk is full")
            asked += keys
        assert asked == [V1]
        with running.ledger.begin() as db:
            [waits] = deciding.waiting(db, running.catalog)
        assert waits.why == f"{V1} failed: the disk is full. It is tried again by itself."
        minutes_later(running)
        assert running.decide() == [V2]
        running.release(V2)
        assert running.dirty() == []

    def test_a_resend_that_is_in_hand_leaves_a_day_final_and_another_batch_does_not(self, running: TinyBank) -> None:
        running.whole_day()
        running.claim("payments", "b01", DAY)
        running.clock(DAY, "23:50")
        assert running.decide() == [V1]
        assert running.start(V1).missing == []
        running.ends(V1, "failed")
        running.claim("payments", "b02", DAY, seq=2)
        with running.ledger.begin() as db:
            days.request_again(db, running.catalog, DAY, "asked")
        run = running.start(V2)
        assert (run.missing, run.received_units) == ([f"payments|b02|{DAY}"], 2)

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
        running.told_without_b02()
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
        closing.clock(LATE, "00:00")
        closing.arrives("payments", "b01", DAY)
        [(_, _, _, causes, why)] = self.waits(closing)
        assert causes == ("resend",)
        assert why.startswith(f"its month is closed since {LATE}: `ledgerlake restate {DAY}")

    def test_a_take_on_waits_as_one_for_its_feeds(self, bank: TinyBank) -> None:
        bank.clock(HISTORY_END, "23:00")
        bank.arrives("payments", days.TAKE_ON, HISTORY_END, date(2026, 9, 13), HISTORY_END)
        assert bank.decide() == []
        [(day, feeds, deliveries, _, why)] = self.waits(bank)
        assert (day, feeds, deliveries) == (HISTORY_END, ("payments",), 1)
        assert why == f"the take-on up to {HISTORY_END} lacks rates"

    def test_a_first_day_that_a_gate_stopped_waits_for_people_and_is_not_built_again_by_itself(
        self, running: TinyBank
    ) -> None:
        running.whole_day()
        [key] = running.decide()
        running.stops(key)
        running.clock(DAY, "23:55")
        with running.ledger.begin() as db:
            deciding.touch(db, running.catalog, DAY)
        assert (running.decide(), running.dirty()) == ([], [])
        [(day, feeds, deliveries, causes, why)] = self.waits(running)
        assert (day, feeds, deliveries, causes) == (DAY, ("payments", "rates"), 3, ("complete",))
        assert why == (
            f"{V1} stopped: the gate of silver.payments said stop. Received 3 rows; written 2 rows: off by -1 rows. `ledgerlake gates silver.payments --outcome stop` "
            f"shows it. Correct the source or the contract, then `ledgerlake restate {DAY} --reason ...` has it built again."
        )

    def test_a_restatement_that_a_gate_stopped_waits_with_what_came_for_it_alone(self, running: TinyBank) -> None:
        released(running)
        running.arrives("payments", "b01", DAY)
        [key] = running.decide()
        running.start(key)
        assert self.waits(running) == []
        running.stops(key)
        assert running.decide() == []
        [(day, feeds, deliveries, causes, why)] = self.waits(running)
        assert (day, feeds, deliveries, causes) == (DAY, ("payments",), 1, ("resend",))
        assert why.startswith(f"{V2} stopped: the gate of silver.payments said stop.")

    def test_what_comes_after_a_stop_has_the_day_built_again_and_ends_the_waiting(self, running: TinyBank) -> None:
        released(running)
        running.arrives("payments", "b01", DAY)
        running.decide()
        running.stops(V2)
        running.arrives("payments", "b01", DAY)
        assert [w[4] for w in self.waits(running)] == ["nothing: the next roll-call asks for it"]
        [v3] = running.decide()
        running.release(v3)
        assert self.waits(running) == []

    def test_a_rollback_that_a_gate_stopped_says_how_to_ask_for_it_anew(self, running: TinyBank) -> None:
        released(running)
        running.arrives("payments", "b01", DAY)
        running.decide()
        running.release(V2)
        with running.ledger.begin() as db:
            v3 = days.request_rollback(db, running.catalog, DAY, "it was right before")
        assert v3 is not None
        running.stops(v3)
        [(_, feeds, deliveries, _, why)] = self.waits(running)
        assert (feeds, deliveries) == ((), 0)
        assert f"`ledgerlake rollback {DAY} --reason ...` has it built again" in why

    def test_a_run_that_failed_says_whether_it_is_tried_again(self, running: TinyBank) -> None:
        running.whole_day()
        keys = running.decide()
        for tries in range(1, deciding.MOST_TRIES + 2):
            running.ends(keys[0], "failed", "a step failed; its log says why.")
            [(_, _, deliveries, _, why)] = self.waits(running)
            assert deliveries == 3
            assert why.startswith(f"{DAY}|v{tries} failed: a step failed; its log says why. ")
            assert ("It is tried again by itself." in why) == (tries <= deciding.MOST_TRIES)
            minutes_later(running)
            keys = running.decide()
        assert keys == []
        assert (
            f"It was tried 4 times, and is not tried again by itself: when the cause is gone, `ledgerlake restate {DAY}"
            in why
        )
