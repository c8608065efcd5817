"""Roll-call's word for each lane. Owed for a day: payments of b01 and b02 (cut-off 17:30, due 22:30), rates of HO (due 22:00)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from jobs.contracts.calendar import CalendarDay
from jobs.ledger import days, deliveries, lanes, sightings
from jobs.ledger.lanes import DayBoard, LaneStatus
from jobs.ledger.models import Delivery
from tests.ledger.conftest import BRANCHES, DAY, TinyBank, at, unit

PAYMENTS = "payments"


def lane(bank: TinyBank, feed: str = PAYMENTS, entity: str = "b02", day: date = DAY) -> LaneStatus:
    return next(one for one in board(bank, day).lanes if (one.feed, one.entity) == (feed, entity))


def board(bank: TinyBank, day: date = DAY) -> DayBoard:
    with bank.ledger.begin() as db:
        [made] = lanes.boards(db, bank.catalog, day)
    return made


def refuse(bank: TinyBank, delivery: str, state: str = "refused", reason: str = "the trailer says 3, the file has 2") -> None:  # fmt: skip
    with bank.ledger.begin() as db:
        deliveries.set_state(db, delivery, state, "r", reason=reason)


def history_says(bank: TinyBank, *units: dict[str, Any]) -> None:
    with bank.ledger.begin() as db:
        days.replace_units(db, [{"cut_off": None, "merged_into": None, **one} for one in units])


class TestDueTime:
    def test_before_at_and_after_it(self, running: TinyBank) -> None:
        words = {}
        for clock in ("08:00", "22:30", "22:31", "23:12"):
            running.clock(DAY, clock)
            words[clock] = (lane(running).word, lane(running).minutes_late)
        assert words == {
            "08:00": ("expected", None),
            "22:30": ("expected", None),  # due is the last moment that is in time
            "22:31": ("missing", 1),
            "23:12": ("missing", 42),
        }

    def test_a_missing_lane_says_whose_it_is(self, running: TinyBank) -> None:
        """C1: red cell, minutes late, owner."""
        running.clock(DAY, "23:12")
        assert lane(running).owner == "branch accounting"
        assert lanes.told(running.catalog, lane(running)) == (
            "payments of b02 for 2026-09-15 was due at 2026-09-15 22:30 and has not come. Owner: branch accounting."
        )

    def test_in_time_is_arrived_with_the_deliverys_own_state(self, running: TinyBank) -> None:
        delivery = running.claim(PAYMENTS, "b02", DAY)
        assert (lane(running).word, lane(running).state, lane(running).is_live) == ("arrived", "verified", False)
        running.goes_live(delivery, rejected=1)
        assert (lane(running).word, lane(running).state, lane(running).is_live) == ("arrived", "partly_loaded", True)

    def test_what_came_late_keeps_saying_so(self, running: TinyBank) -> None:
        running.clock(DAY, "23:12")
        running.arrives(PAYMENTS, "b02", DAY)
        running.clock(DAY + timedelta(days=3), "09:00")
        late = lane(running)
        assert (late.word, late.minutes_late, late.state) == ("late", 42, "loaded")
        assert lanes.told(running.catalog, late) == "payments of b02 for 2026-09-15 came 42 minutes late (D0000003)."

    def test_a_resend_after_the_due_time_makes_nobody_late(self, running: TinyBank) -> None:
        running.clock(DAY, "21:00")
        running.arrives(PAYMENTS, "b02", DAY)
        running.clock(DAY, "23:12")
        second = running.arrives(PAYMENTS, "b02", DAY)
        assert (lane(running).word, lane(running).delivery_id) == ("arrived", second)

    def test_a_branch_with_a_cut_off_of_its_own_has_as_long_after_it(self, running: TinyBank) -> None:
        """D4: b01 ends its day at 19:00 and not at 17:30, so its file is due at midnight and not at 22:30."""
        history_says(running, unit("b01") | {"cut_off": "19:00"}, unit("b02"))
        running.clock(DAY, "23:12")
        own, usual = lane(running, entity="b01"), lane(running)
        assert (own.word, own.due, own.cut_off, own.cut_off_of) == (
            "expected", at(DAY + timedelta(days=1), "00:00"), at(DAY, "19:00"), "branch",
        )  # fmt: skip
        assert (usual.word, usual.due, usual.cut_off, usual.cut_off_of) == ("missing", at(DAY, "22:30"), at(DAY, "17:30"), "feed")  # fmt: skip
        running.clock(DAY + timedelta(days=1), "00:05")
        assert "was due at 2026-09-16 00:00 (its cut-off is 19:00) and has not come" in lanes.told(
            running.catalog, lane(running, entity="b01")
        )


class TestNotAccepted:
    def test_a_refused_file_does_not_answer_its_lane(self, running: TinyBank) -> None:
        refuse(running, running.claim(PAYMENTS, "b02", DAY))
        assert (lane(running).word, lane(running).minutes_late) == ("refused", None)
        running.clock(DAY, "23:12")
        assert (lane(running).word, lane(running).minutes_late) == ("refused", 42)
        assert lanes.told(running.catalog, lane(running)) == (
            "payments of b02 for 2026-09-15 was refused (D0000003): the trailer says 3, the file has 2. Owner: branch accounting."
        )

    def test_the_right_file_after_a_refused_one_is_late_by_its_own_time(self, running: TinyBank) -> None:
        running.clock(DAY, "21:00")
        refuse(running, running.claim(PAYMENTS, "b02", DAY))
        running.clock(DAY, "22:40")
        running.arrives(PAYMENTS, "b02", DAY)
        assert (lane(running).word, lane(running).minutes_late) == ("late", 10)

    def test_a_held_file_came_and_waits_for_a_person(self, running: TinyBank) -> None:
        refuse(running, running.claim(PAYMENTS, "b02", DAY), "held", "60 % fewer rows than usual")
        running.clock(DAY, "23:12")
        assert (lane(running).word, lane(running).minutes_late, lane(running).is_live) == ("held", None, False)

    def test_a_refused_resend_is_said_though_the_earlier_file_still_counts(self, running: TinyBank) -> None:
        running.arrives(PAYMENTS, "b02", DAY)
        refuse(running, running.claim(PAYMENTS, "b02", DAY))
        assert (lane(running).word, lane(running).is_live) == ("refused", True)

    def test_a_lower_version_that_comes_last_is_nothing_to_speak_of(self, running: TinyBank) -> None:
        second = running.arrives(PAYMENTS, "b02", DAY, version=2)
        running.arrives(PAYMENTS, "b02", DAY, version=1)
        assert (lane(running).word, lane(running).delivery_id) == ("arrived", second)
        refuse(running, running.claim(PAYMENTS, "b02", DAY, version=1))
        assert (lane(running).word, lane(running).delivery_id) == ("arrived", second)
        assert running.dirty().count((DAY, "arrived")) == 1

    def test_a_refused_higher_version_is_said_though_a_lower_one_came_after_it(self, running: TinyBank) -> None:
        refuse(running, running.claim(PAYMENTS, "b02", DAY, version=2))
        running.arrives(PAYMENTS, "b02", DAY, version=1)
        assert (lane(running).word, lane(running).is_live) == ("refused", True)

    def test_of_several_batches_the_worst_is_said(self, running: TinyBank) -> None:
        refuse(running, running.claim(PAYMENTS, "b02", DAY, seq=1))
        running.arrives(PAYMENTS, "b02", DAY, seq=2)
        assert lane(running).word == "refused"
        running.arrives(PAYMENTS, "b02", DAY, seq=1)
        assert lane(running).word == "arrived"


class TestOnItsWay:
    def begins(self, bank: TinyBank, claimed_at: datetime) -> None:
        delivery = bank.claim(PAYMENTS, "b02", DAY)
        with bank.ledger.begin() as db:
            row = update(Delivery).where(Delivery.delivery_id == delivery)
            db.execute(row.values(state="arriving", claimed_at=claimed_at))

    def test_a_growing_file_is_arriving_and_then_missing(self, running: TinyBank) -> None:
        """C3, F16: it is read when it is whole; after the due time it is missing all the same."""
        running.clock(DAY, "22:20")
        self.begins(running, datetime.now(UTC) - timedelta(hours=1))
        assert (lane(running).word, lane(running).state) == ("expected", "arriving")
        assert lane(running).reason == "not whole yet, since 2026-09-15 22:20"
        running.clock(DAY, "22:40")
        assert (lane(running).word, lane(running).minutes_late) == ("missing", 10)

    def test_a_file_that_is_being_taken_in_is_not_missing(self, running: TinyBank) -> None:
        running.clock(DAY, "22:40")
        self.begins(running, datetime.now(UTC))
        assert (lane(running).word, lane(running).state) == ("expected", "arriving")

    @pytest.mark.parametrize(
        ("kind", "said"),
        [
            (sightings.SIGNAL_WITHOUT_FILE, "signal without file"),
            (sightings.FILE_WITHOUT_SIGNAL, "file without signal"),
        ],
    )
    def test_what_the_inbox_knows_is_said_up_to_the_limit_and_after_it(
        self, running: TinyBank, kind: str, said: str
    ) -> None:
        """C2, F14, F15."""
        running.clock(DAY, "21:50")
        seen = {"path": "payments/b02/x.csv", "kind": kind, "feed": PAYMENTS, "entity": "b02", "business_date": DAY}
        with running.ledger.begin() as db:
            sightings.replace(db, [seen])
        assert (lane(running).word, lane(running).reason) == ("expected", f"{said}, since 2026-09-15 21:50")
        running.clock(DAY, "22:40")
        with running.ledger.begin() as db:
            sightings.replace(db, [seen])
        assert (lane(running).word, lane(running).reason) == ("missing", f"{said}, since 2026-09-15 21:50")
        with running.ledger.begin() as db:
            sightings.replace(db, [])
        assert lane(running).reason is None


class TestClosed:
    def test_a_holiday_and_a_working_weekend(self, running: TinyBank) -> None:
        """D3, F46: the calendar's reason for "not expected"."""
        holiday, makeup = date(2026, 10, 1), date(2026, 9, 20)
        days_of = {
            holiday: CalendarDay(holiday, False, "National Day"),
            makeup: CalendarDay(makeup, True, "National Day"),
            date(2026, 9, 19): CalendarDay(date(2026, 9, 19), False),
        }
        source = running.catalog.sources[PAYMENTS]
        on_working_days = source.model_copy(update={"schedule": source.schedule.model_copy(update={"calendar": "cn"})})
        catalog = replace(running.catalog, calendars={"cn": days_of}, sources={**running.catalog.sources, PAYMENTS: on_working_days})  # fmt: skip
        bank = TinyBank(running.ledger, catalog)
        bank.clock(holiday, "23:12")
        assert (lane(bank, day=holiday).word, lane(bank, day=holiday).reason) == ("closed", "National Day")
        assert (lane(bank, day=date(2026, 9, 19)).word, lane(bank, day=date(2026, 9, 19)).reason) == (
            "closed",
            "weekend",
        )
        assert lane(bank, day=makeup).word == "missing"
        assert lane(bank, "rates", "HO", holiday).word == "missing", "rates are owed every day"
        assert catalog.calendar_day(makeup, "cn").told == "working weekend (National Day)"

    @pytest.mark.parametrize(
        ("branch", "reason"),
        [
            ({"valid_to": date(2026, 9, 1)}, "branch closed since 2026-09-01"),
            ({"valid_to": DAY, "merged_into": "b01"}, "branch closed since 2026-09-15, merged into b01"),
            ({"valid_from": date(2026, 10, 1)}, "opens on 2026-10-01"),
        ],
    )
    def test_a_branch_that_is_none_that_day_is_closed_and_not_missing(
        self, running: TinyBank, branch: dict[str, Any], reason: str
    ) -> None:
        """C14: branches open, close, merge."""
        history_says(running, unit("b01"), unit("b02") | branch)
        running.clock(DAY, "23:12")
        assert (lane(running).word, lane(running).reason) == ("closed", reason)
        assert [one.key for one in board(running).not_live] == [f"payments|b01|{DAY}", f"rates|HO|{DAY}"]

    def test_a_branch_that_closed_long_ago_is_forgotten(self, running: TinyBank) -> None:
        history_says(running, unit("b01"), unit("b02") | {"valid_to": date(2026, 8, 1)})
        assert "b02" not in {one.entity for one in board(running).lanes}

    def test_a_file_of_a_closed_branch_is_seen(self, running: TinyBank) -> None:
        history_says(running, unit("b01"), unit("b02") | {"valid_to": DAY})
        running.arrives(PAYMENTS, "b02", DAY)
        closed = lane(running)
        assert (closed.word, closed.state) == ("closed", "loaded")
        assert closed.reason == "branch closed since 2026-09-15; a file came all the same"


def scheduled(bank: TinyBank, feed: str, **schedule: Any) -> TinyBank:
    """The tiny bank with another schedule of a feed."""
    source = bank.catalog.sources[feed]
    changed = source.model_copy(update={"schedule": source.schedule.model_copy(update=schedule)})
    return TinyBank(bank.ledger, replace(bank.catalog, sources={**bank.catalog.sources, feed: changed}))


class TestWhatIsOwed:
    def test_what_no_day_waits_for_is_missed_all_the_same(self, running: TinyBank) -> None:
        bank = scheduled(running, "rates", required=False, owed=True)
        for branch in BRANCHES:
            bank.arrives(PAYMENTS, branch, DAY)
        assert (lane(bank, "rates", "HO").word, board(bank).coverage) == ("expected", "2 of 2")
        assert bank.decide() == [f"{DAY}|v1"], "the day does not wait for it"
        bank.clock(DAY, "22:42")
        assert (lane(bank, "rates", "HO").word, lane(bank, "rates", "HO").minutes_late) == ("missing", 42)
        assert board(bank).not_live == []

    def test_a_lane_of_two_files_is_here_with_the_second(self, running: TinyBank) -> None:
        bank = scheduled(running, PAYMENTS, batches=2)
        for entity, seqs in {"b01": (1, 2), "b02": (1,)}.items():
            for seq in seqs:
                bank.arrives(PAYMENTS, entity, DAY, seq=seq)
        bank.arrives("rates", "HO", DAY)
        half = lane(bank)
        assert (half.word, half.reason, half.is_live) == ("expected", "1 of 2 files are here, without number 2", False)
        assert (lane(bank, entity="b01").word, board(bank).coverage, bank.decide()) == ("arrived", "2 of 3", [])
        bank.clock(DAY, "22:45")
        assert lanes.told(bank.catalog, lane(bank)) == (
            "payments of b02 for 2026-09-15 was due at 2026-09-15 22:30 and has not come: 1 of 2 files are here, without number 2. Owner: branch accounting."
        )
        bank.clock(DAY, "23:12")
        bank.arrives(PAYMENTS, "b02", DAY, seq=2)
        whole = lane(bank)
        assert (whole.word, whole.minutes_late, whole.is_live, bank.decide()) == ("late", 42, True, [f"{DAY}|v1"])

    def test_another_number_takes_the_place_of_none_that_is_owed(self, running: TinyBank) -> None:
        """1, 2 and 4 of three are here: the third is owed, and the fourth is more than that."""
        bank = scheduled(running, PAYMENTS, batches=3)
        for seq in (1, 2, 4):
            bank.arrives(PAYMENTS, "b02", DAY, seq=seq)
        half = lane(bank)
        assert (half.word, half.reason, half.is_live) == ("expected", "2 of 3 files are here, without number 3", False)
        seen = {"path": "payments/b02/3.csv", "kind": sightings.SIGNAL_WITHOUT_FILE, "feed": PAYMENTS, "entity": "b02", "business_date": DAY}  # fmt: skip
        bank.clock(DAY, "22:00")
        with bank.ledger.begin() as db:
            sightings.replace(db, [seen])
        assert (
            lane(bank).reason == "2 of 3 files are here, without number 3; signal without file, since 2026-09-15 22:00"
        )
        bank.clock(DAY, "23:12")
        bank.arrives(PAYMENTS, "b02", DAY, seq=3)
        assert (lane(bank).word, lane(bank).minutes_late, lane(bank).is_live) == ("late", 42, True)

    def test_the_first_file_again_is_no_second(self, running: TinyBank) -> None:
        bank = scheduled(running, PAYMENTS, batches=2)
        for _ in range(2):
            bank.arrives(PAYMENTS, "b02", DAY, seq=1)
        assert (lane(bank).word, lane(bank).reason) == ("expected", "1 of 2 files are here, without number 2")

    def test_provinces_owe_a_feed_in_the_place_of_head_office(self, running: TinyBank) -> None:
        bank = scheduled(running, "rates", entities=["11", "37"])
        bank.arrives("rates", "37", DAY)
        bank.clock(DAY, "22:12")
        assert {e: lane(bank, "rates", e).word for e in ("11", "37")} == {"11": "missing", "37": "arrived"}
        assert board(bank).coverage == "1 of 4"

    def test_once_a_month_on_a_working_day(self, running: TinyBank) -> None:
        """The first of September is a Tuesday: the fifth working day is Monday the 7th. No lane is shown on other days, unless something came."""
        september = [date(2026, 9, n) for n in range(1, 31)]
        cn = {day: CalendarDay(day, day.weekday() < 5) for day in september}
        bank = scheduled(running, "rates", calendar="cn", working_day=5, required=False, owed=True)
        bank = TinyBank(bank.ledger, replace(bank.catalog, calendars={"cn": cn}))
        with bank.ledger.begin() as db:
            owed = [day.day for day in september if ("rates", "HO") in {(o.feed, o.entity) for o in days.owed_lanes(db, bank.catalog, day)}]  # fmt: skip
        assert owed == [7]
        assert "rates" not in {one.feed for one in board(bank).lanes}
        bank.arrives("rates", "HO", DAY)
        assert (lane(bank, "rates", "HO").word, lane(bank, "rates", "HO").reason) == (
            "closed", "owed on working day 5 of a month; a file came all the same",
        )  # fmt: skip


def test_a_file_that_is_mended_under_another_number_says_why_the_lane_is_refused_still(running: TinyBank) -> None:
    refused = running.claim(PAYMENTS, "b02", DAY, seq=1)
    refuse(running, refused)
    running.arrives(PAYMENTS, "b02", DAY, seq=2)
    assert (lane(running).word, lane(running).reason) == (
        "refused",
        "the trailer says 3, the file has 2. It is batch 1, and only a file of that number takes its place; of this lane batch 2 counts",
    )
    running.arrives(PAYMENTS, "b02", DAY, seq=1)
    assert lane(running).word == "arrived"


class TestDay:
    def test_coverage_names_what_is_missing(self, running: TinyBank) -> None:
        """C10, F23."""
        assert (board(running).coverage, board(running).standing) == ("0 of 3", "open")
        assert board(running).is_awaited
        running.arrives(PAYMENTS, "b01", DAY)
        running.arrives("rates", "HO", DAY)
        running.clock(DAY, "23:50")
        [key] = running.decide()
        assert board(running).standing == "open, v1 asked for"
        running.release(key)
        seen = board(running)
        assert (seen.coverage, [one.key for one in seen.not_live], seen.standing) == (
            "2 of 3", [f"payments|b02|{DAY}"], "provisional v1",
        )  # fmt: skip

    def test_a_day_whose_newest_run_was_stopped_says_so_first_run_and_restatement_alike(
        self, running: TinyBank
    ) -> None:
        running.whole_day()
        [v1] = running.decide()
        running.stops(v1)
        assert board(running).standing == "open, v1 stopped"
        assert not board(running).is_awaited, "when it was to start at the latest is past"
        assert str(board(running).not_told).startswith(f"{v1} stopped: the gate of silver.payments said stop.")
        running.arrives("payments", "b01", DAY)
        [v2] = running.decide()
        assert (board(running).standing, board(running).not_told) == ("open, v2 asked for", None)
        running.release(v2)
        assert (board(running).standing, board(running).not_told) == ("final v2", None)
        running.arrives("payments", "b01", DAY)
        [v3] = running.decide()
        running.stops(v3)
        assert board(running).standing == "final v2, v3 stopped"
        assert f"`ledgerlake restate {DAY} --reason ...`" in str(board(running).not_told)

    def test_days_of_a_take_on_owe_no_lanes_of_their_own(self, running: TinyBank) -> None:
        taken_on = board(running, DAY - timedelta(days=1))
        assert (taken_on.lanes, taken_on.standing) == ([], "final v1")
        assert (board(running, date(2026, 8, 1)).lanes, board(running, date(2026, 8, 1)).standing) == (
            [], "history",
        )  # fmt: skip

    def test_nothing_is_missing_while_a_take_on_is_on_its_way(self, bank: TinyBank) -> None:
        bank.clock(DAY - timedelta(days=1), "23:00")
        assert {one.word for one in board(bank, DAY - timedelta(days=1)).lanes} == {"missing"}, "rates of HO"
        bank.claim("rates", days.TAKE_ON, DAY - timedelta(days=1))
        assert (board(bank, DAY - timedelta(days=1)).lanes, board(bank, DAY - timedelta(days=1)).standing) == (
            [], "history",
        )  # fmt: skip

    def test_a_stream_owes_nothing_and_is_seen_all_the_same(self, running: TinyBank) -> None:
        running.arrives("clicks", "app", DAY)
        clicks = lane(running, "clicks", "app")
        assert (clicks.word, clicks.is_owed, clicks.due) == ("arrived", False, None)
        assert board(running).coverage == "0 of 3"

    def test_a_lane_tells_what_became_of_its_files_in_order(self, running: TinyBank) -> None:
        """C9."""
        running.clock(DAY, "21:00")
        refuse(running, running.claim(PAYMENTS, "b02", DAY, name="first.csv"))
        running.clock(DAY, "22:00")
        running.goes_live(running.claim(PAYMENTS, "b02", DAY, name="second.csv"))
        with running.ledger.begin() as db:
            told = [(e.file_name, e.state) for e in lanes.history(db, PAYMENTS, "b02", DAY)]
        assert told == [
            ("first.csv", "arriving"), ("first.csv", "verified"), ("first.csv", "refused"),
            ("second.csv", "arriving"), ("second.csv", "verified"), ("second.csv", "loaded"),
        ]  # fmt: skip


def test_lateness_is_told_in_two_units() -> None:
    assert [lanes.minutes(n) for n in (1, 42, 60, 125, 1440, 5860)] == [
        "1 minute", "42 minutes", "1 hour", "2 hours 5 minutes", "1 day", "4 days 1 hour",
    ]  # fmt: skip
