"""What roll-call tells people of lanes: once, and once how it ended. Owed for a day: payments of b01 and b02 (due 22:30), rates of HO (due 22:00)."""

# ruff: noqa: F811 - fixtures are imported by name
from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from jobs import rollcall
from jobs.contracts import ContractError
from jobs.contracts.calendar import CalendarDay
from jobs.contracts.schedule import Schedule
from jobs.ledger import batches, clock, days, deciding, deliveries, lanes, posted, silence
from tests.ledger.conftest import (  # noqa: F401
    DAY,
    HISTORY_END,
    TinyBank,
    at,
    bank,
    catalog,
    ledger,
    migrated,
    running,
    unit,
)

MISSING = "payments of b02 for 2026-09-15 was due at 2026-09-15 22:30 and has not come. Owner: branch accounting."
LATE = "payments of b02 for 2026-09-15 came 42 minutes late (D0000005)."


def heard(bank: TinyBank, channel: str = "webhook") -> list[str]:
    """What is new on a channel after another roll-call."""
    with bank.ledger.begin() as db:
        rollcall.say(db, bank.catalog, rollcall.watched_days(db, bank.catalog))
        rollcall.say_silence(db, bank.catalog)
        rollcall.end_overtaken(db)
        new = batches.unsent(db, channel)
        batches.note_sent(db, channel, new)
    return [one.message for one in new]


def still_open(bank: TinyBank) -> list[str]:
    with bank.ledger.begin() as db:
        return [alert.message for alert in batches.alerts(db)]


def test_a_missing_lane_is_told_once_and_once_that_it_came(running: TinyBank) -> None:
    running.all_but_b02()
    assert heard(running) == []
    running.clock(DAY, "22:31")
    assert [heard(running), heard(running), heard(running)] == [[MISSING], [], []]
    running.clock(DAY, "23:12")
    running.arrives("payments", "b02", DAY)
    assert [heard(running), heard(running)] == [[LATE], []]
    assert still_open(running) == []


def test_who_was_not_told_that_it_was_missing_is_not_told_that_it_came(running: TinyBank) -> None:
    running.all_but_b02()
    running.clock(DAY, "23:12")
    assert heard(running, "webhook") == [MISSING]
    running.arrives("payments", "b02", DAY)
    assert heard(running, "email") == []
    assert heard(running, "webhook") == [LATE]


def test_a_refused_file_is_told_once_and_the_next_one_anew(running: TinyBank) -> None:
    running.all_but_b02()
    told = []
    for reason in ("the trailer says 3, the file has 2", "the trailer says 3, the file has 1"):
        delivery = running.claim("payments", "b02", DAY)
        with running.ledger.begin() as db:
            deliveries.set_state(db, delivery, "refused", "r", reason=reason)
        told.append((heard(running), heard(running), len(still_open(running))))
    assert told == [
        (["payments of b02 for 2026-09-15 was refused (D0000005): the trailer says 3, the file has 2. Owner: branch accounting."], [], 1),
        (["payments of b02 for 2026-09-15 was refused (D0000006): the trailer says 3, the file has 1. Owner: branch accounting."], [], 1),
    ]  # fmt: skip
    running.arrives("payments", "b02", DAY)
    assert heard(running) == ["payments of b02 for 2026-09-15 has come (D0000007)."]
    assert still_open(running) == []


def test_a_file_that_is_refused_again_for_another_reason_is_told_anew(running: TinyBank) -> None:
    """It left the inbox, is there again, and then its trailer does not fit."""
    running.all_but_b02()
    delivery = running.claim("payments", "b02", DAY)

    def becomes(state: str, reason: str) -> list[list[str]]:
        with running.ledger.begin() as db:
            deliveries.set_state(db, delivery, state, "r", reason=reason)
        return [heard(running), heard(running)]

    was = f"payments of b02 for 2026-09-15 was refused ({delivery}): "
    assert becomes("refused", "it left the inbox") == [[f"{was}it left the inbox. Owner: branch accounting."], []]
    assert len(becomes("arriving", "it is there again")[0]) == 1
    assert becomes("refused", "the trailer says 5") == [[f"{was}the trailer says 5. Owner: branch accounting."], []]
    running.arrives("payments", "b02", DAY)
    assert [len(heard(running)), still_open(running)] == [1, []]


def test_a_file_that_is_not_whole_does_not_end_that_its_lane_is_missing(running: TinyBank) -> None:
    running.all_but_b02()
    running.clock(DAY, "22:31")
    assert heard(running) == [MISSING]
    delivery = running.claim("payments", "b02", DAY)
    with running.ledger.begin() as db:
        deliveries.set_state(db, delivery, "arriving", "r")
    assert (heard(running), still_open(running)) == ([], [MISSING])
    running.clock(DAY, "23:12")
    running.goes_live(delivery)
    assert (len(heard(running)), still_open(running)) == (1, [])


def test_a_held_file_is_told(running: TinyBank) -> None:
    running.all_but_b02()
    delivery = running.claim("payments", "b02", DAY)
    with running.ledger.begin() as db:
        deliveries.set_state(db, delivery, "held", "r", reason="60 % fewer rows than usual")
    assert heard(running) == [
        "payments of b02 for 2026-09-15 is held (D0000005): 60 % fewer rows than usual. Owner: branch accounting."
    ]
    running.goes_live(delivery)
    assert heard(running) == ["payments of b02 for 2026-09-15 has come (D0000005)."]


def test_a_file_refused_for_a_day_that_is_long_complete_is_told_too(running: TinyBank) -> None:
    running.whole_day()
    [key] = running.decide()
    running.release(key)
    running.clock(DAY + timedelta(days=20), "09:00")
    delivery = running.claim("payments", "b02", DAY)
    with running.ledger.begin() as db:
        deliveries.set_state(db, delivery, "refused", "r", reason="no trailer")
    assert [one for one in heard(running) if "2026-09-15" in one] == [
        f"payments of b02 for 2026-09-15 was refused ({delivery}): no trailer. Owner: branch accounting."
    ]


def test_a_refused_file_that_is_dated_beyond_the_calendar_is_told_and_stops_nobody(running: TinyBank) -> None:
    """The calendar ends with the year. Of a day that has begun it must know more than nothing."""
    far = date(2062, 9, 15)
    known = {DAY + timedelta(days=n): CalendarDay(DAY + timedelta(days=n), True) for n in range(-10, 20)}
    payments = running.catalog.sources["payments"]
    by_calendar = payments.model_copy(update={"schedule": payments.schedule.model_copy(update={"calendar": "cn"})})
    sources = {**running.catalog.sources, "payments": by_calendar}
    bank = TinyBank(running.ledger, replace(running.catalog, calendars={"cn": known}, sources=sources))
    bank.all_but_b02()
    delivery = bank.claim("payments", "b02", far)
    with bank.ledger.begin() as db:
        deliveries.set_state(db, delivery, "refused", "r", reason="the header says 2026-09-15")
    assert heard(bank) == [
        f"payments of b02 for 2062-09-15 was refused ({delivery}): the header says 2026-09-15. Owner: branch accounting."
    ]
    bank.clock(DAY, "22:31")
    assert heard(bank) == [MISSING]
    bank.clock(DAY + timedelta(days=20), "08:00")
    with pytest.raises(ContractError, match="the calendar cn does not cover 2026-10-05"):
        heard(bank)


def ending(bank: TinyBank, *ends: date) -> TinyBank:
    """By a calendar of working days from the first day of the test to each of these ends, one after the other."""
    known = {
        DAY + timedelta(days=n): CalendarDay(DAY + timedelta(days=n), True) for n in range((max(ends) - DAY).days + 1)
    }
    rates = bank.catalog.sources["rates"]
    by_calendar = rates.model_copy(update={"schedule": rates.schedule.model_copy(update={"calendar": "cn"})})
    sources = {**bank.catalog.sources, "rates": by_calendar}
    return TinyBank(bank.ledger, replace(bank.catalog, calendars={"cn": known}, sources=sources))


def told_of_calendars(bank: TinyBank) -> list[str]:
    """What is new of them on the webhook after another roll-call."""
    with bank.ledger.begin() as db:
        rollcall.say_calendars(db, bank.catalog)
        new = batches.unsent(db, "webhook")
        batches.note_sent(db, "webhook", new)
    return [one.message for one in new]


def test_that_a_calendar_ends_is_told_a_month_before_once_and_once_that_it_goes_on(running: TinyBank) -> None:
    """It knows the days up to 31 December; a month later it knows those of January too, and then those of the whole year."""
    bank = ending(running, date(2026, 12, 31))
    bank.clock(date(2026, 11, 30), "12:00")
    assert told_of_calendars(bank) == []
    bank.clock(date(2026, 12, 1), "12:00")
    [said] = told_of_calendars(bank)
    assert said.startswith(
        "The calendar cn knows nothing of 2027-01-01: from that day on nobody can say who owes what, and no day is told. Add the official days of 2027 to "
    )
    assert f"{bank.catalog.root}/reference/calendars/cn.csv" in said
    bank.clock(date(2026, 12, 20), "12:00")
    assert told_of_calendars(bank) == [], "once"
    bank = ending(running, date(2027, 1, 10))
    goes_on, ends = sorted(told_of_calendars(bank))
    assert goes_on == "The calendar cn knows 2027-01-01 now."
    assert ends.startswith("The calendar cn knows nothing of 2027-01-11: ")
    bank = ending(running, date(2027, 12, 31))
    assert (told_of_calendars(bank), told_of_calendars(bank)) == (["The calendar cn knows 2027-01-11 now."], [])


def test_a_provisional_day_is_watched_until_all_has_come(running: TinyBank) -> None:
    """F21: the file comes four days later."""
    running.all_but_b02()
    running.clock(DAY, "23:50")
    [key] = running.decide()
    running.release(key)
    assert heard(running) == [MISSING]
    running.clock(DAY + timedelta(days=4), "20:00")
    running.arrives("payments", "b02", DAY)
    assert [one for one in heard(running) if "2026-09-15" in one] == [
        "payments of b02 for 2026-09-15 came 3 days 21 hours late (D0000005)."
    ]


def test_what_no_day_waits_for_is_told_though_the_day_is_final(running: TinyBank) -> None:
    rates = running.catalog.sources["rates"]
    unneeded = rates.model_copy(update={"schedule": rates.schedule.model_copy(update={"required": False, "owed": True})})  # fmt: skip
    bank = TinyBank(running.ledger, replace(running.catalog, sources={**running.catalog.sources, "rates": unneeded}))
    for branch in ("b01", "b02"):
        bank.arrives("payments", branch, DAY)
    [key] = bank.decide()
    bank.release(key)
    assert heard(bank) == []
    bank.clock(DAY, "22:12")
    assert [heard(bank), heard(bank)] == [
        ["rates of HO for 2026-09-15 was due at 2026-09-15 22:00 and has not come. Owner: treasury."], [],
    ]  # fmt: skip
    bank.arrives("rates", "HO", DAY)
    assert [one.split(" (")[0] for one in heard(bank)] == ["rates of HO for 2026-09-15 came 12 minutes late"]
    assert still_open(bank) == []


def test_a_branch_that_turns_out_to_be_closed_ends_its_alert(running: TinyBank) -> None:
    """C14: the branch history of the next release knows it."""
    running.all_but_b02()
    running.clock(DAY, "23:12")
    assert heard(running) == [MISSING]
    with running.ledger.begin() as db:
        days.replace_units(db, [unit("b01"), unit("b02") | {"valid_to": DAY}])
    assert heard(running) == ["payments of b02 for 2026-09-15 is not owed: branch closed since 2026-09-15."]


def test_an_alert_of_a_month_ago_is_watched_no_longer(running: TinyBank) -> None:
    running.all_but_b02()
    running.clock(DAY, "23:12")
    assert heard(running) == [MISSING]
    running.clock(DAY + timedelta(days=32), "06:00")
    assert "payments|b02|2026-09-15 is more than 31 days old: it is watched no longer." in heard(running)


def test_before_the_first_release_nobody_is_missed(bank: TinyBank) -> None:
    bank.clock(DAY, "23:55")
    assert heard(bank) == []


def test_airflow_hears_the_same_once(running: TinyBank) -> None:
    from jobs import alerts

    running.all_but_b02()
    running.clock(DAY, "23:12")
    heard(running)
    told = [alerts.for_airflow(running.ledger), alerts.for_airflow(running.ledger)]
    assert [[one["message"] for one in new] for new in told] == [[MISSING], []]


def test_the_alert_of_a_stopped_run_ends_when_a_later_version_is_released(running: TinyBank) -> None:
    """v2 and v3 of the day are stopped, then v4 is released. Another day's stays open, though its version is lower."""
    running.whole_day()
    [v1] = running.decide()
    running.release(v1)
    running.whole_day(DAY + timedelta(days=1))
    running.clock(DAY + timedelta(days=1), "12:00")
    [other] = running.decide()
    running.stops(other)
    keys = [f"{DAY}|v{n}" for n in (2, 3, 4)]
    for key in keys[:2]:
        running.arrives("payments", "b01", DAY)
        assert running.decide() == [key]
        running.stops(key)
    assert sorted(heard(running)) == [f"{key} stopped" for key in (*keys[:2], other)]
    running.arrives("payments", "b01", DAY)
    running.decide()
    running.start(keys[2])
    assert heard(running) == [], "v4 is being built"
    running.release(keys[2])
    assert heard(running) == [f"Business day {key} is overtaken: {keys[2]} is released." for key in keys[:2]]
    assert (heard(running), still_open(running)) == ([], [f"{other} stopped"])


def test_the_alert_of_a_stopped_take_on_ends_with_its_next_version(bank: TinyBank) -> None:
    bank.clock(HISTORY_END, "23:00")
    for feed in ("payments", "rates"):
        bank.arrives(feed, days.TAKE_ON, HISTORY_END, HISTORY_END - timedelta(days=1), HISTORY_END)
    [v1] = bank.decide()
    bank.stops(v1)
    assert heard(bank) == [f"{v1} stopped"]
    with bank.ledger.begin() as db:
        v2 = deciding.try_again(db, days.get(db, v1))
    bank.release(v2)
    assert heard(bank) == [f"Business day {v1} is overtaken: {v2} is released."]
    assert still_open(bank) == []


def asking(bank: TinyBank, known: dict[date, CalendarDay] | None = None, **schedule: str) -> TinyBank:
    """Clicks may be silent for so long."""
    clicks = bank.catalog.sources["clicks"]
    kept = clicks.model_copy(update={"schedule": Schedule.model_validate({"required": False, **schedule})})
    catalog = replace(bank.catalog, sources={**bank.catalog.sources, "clicks": kept}, calendars={"cn": known or {}})
    return TinyBank(bank.ledger, catalog)


def words(bank: TinyBank) -> list[tuple[str, str, str | None]]:
    """(entity, word, reason) of the lanes of clicks today."""
    with bank.ledger.begin() as db:
        today = bank.catalog.profile.today(clock.now(db))
        return [
            (one.entity, one.word, one.reason) for one in lanes.of_day(db, bank.catalog, today) if one.feed == "clicks"
        ]


def test_a_stream_that_is_silent_is_told_once_and_once_that_it_is_not(running: TinyBank) -> None:
    """Clicks come at 10:00 and then at 13:05; an hour without any is normal."""
    bank = asking(running, quietFor="1h")
    bank.clock(DAY, "10:00")
    bank.arrives("clicks", "app", DAY)
    bank.clock(DAY, "11:00")
    assert (heard(bank), words(bank)) == ([], [("app", "arrived", None)])
    bank.clock(DAY, "11:01")
    silent = "nothing has come since 2026-09-15 10:00; normal is at most 1h"
    assert words(bank) == [("app", "silent", silent)]
    assert [heard(bank), heard(bank)] == [[f"clicks is silent: {silent}. Owner: digital."], []]
    bank.clock(DAY, "13:05")
    bank.arrives("clicks", "app", DAY, seq=2)
    again = "clicks is silent no longer: something came at 2026-09-15 13:05, after 3 hours 5 minutes."
    assert [heard(bank), heard(bank), still_open(bank)] == [[again], [], []]
    assert words(bank) == [("app", "arrived", None)]
    bank.clock(DAY, "14:06")
    assert [one.split(";")[0] for one in heard(bank)] == ["clicks is silent: nothing has come since 2026-09-15 13:05"]


def test_silence_counts_in_active_hours_of_working_days_alone(running: TinyBank) -> None:
    """Tuesday's last click came at 21:50, hours are 08:00 to 22:00, and Wednesday is a holiday. An alert stays open for the night and for the holiday."""
    holiday = {DAY + timedelta(days=n): CalendarDay(DAY + timedelta(days=n), n != 1) for n in range(4)}
    bank = asking(running, holiday, quietFor="30m", activeHours="08:00-22:00", calendar="cn")
    bank.clock(DAY, "21:50")
    bank.arrives("clicks", "app", DAY)
    told = {}
    for day, now in ((0, "23:30"), (1, "12:00"), (2, "07:59"), (2, "08:30"), (2, "08:31"), (2, "22:01"), (3, "07:00")):
        bank.clock(DAY + timedelta(days=day), now)
        with bank.ledger.begin() as db:
            rollcall.say_silence(db, bank.catalog)
            told[day, now] = (
                [s.feed for s in silence.streams(db, bank.catalog) if s.is_silent],
                len(batches.alerts(db)),
            )
    assert told == {
        (0, "23:30"): ([], 0),
        (1, "12:00"): ([], 0),
        (2, "07:59"): ([], 0),
        (2, "08:30"): ([], 0),
        (2, "08:31"): (["clicks"], 1),
        (2, "22:01"): ([], 1),
        (3, "07:00"): ([], 1),
    }


def test_what_a_partner_posted_has_come_before_it_is_a_delivery(running: TinyBank) -> None:
    bank = asking(running, quietFor="1h")
    bank.clock(DAY, "10:00")
    with bank.ledger.begin() as db:
        posted.keep(db, "clicks", "key", "0" * 64, b"sealed")
    bank.clock(DAY, "10:30")
    assert (heard(bank), words(bank)) == ([], [])
    bank.clock(DAY, "11:01")
    assert words(bank) == [("app", "silent", "nothing has come since 2026-09-15 10:00; normal is at most 1h")]


def test_of_each_stream_what_was_posted_last_counts(running: TinyBank) -> None:
    bank = asking(running, quietFor="1h")
    clicks = bank.catalog.sources["clicks"]
    others = {feed: clicks.model_copy(update={"feed": feed}) for feed in ("taps", "calls")}
    catalog = replace(bank.catalog, sources=bank.catalog.sources | others)
    for n, (clock_time, feed) in enumerate([("08:00", "clicks"), ("09:00", "taps"), ("10:00", "clicks")]):
        bank.clock(DAY, clock_time)
        with bank.ledger.begin() as db:
            posted.keep(db, feed, f"key {n}", "0" * 64, b"sealed")
    with bank.ledger.begin() as db:
        last = {stream.feed: stream.last for stream in silence.streams(db, catalog)}
    assert last == {"clicks": at(DAY, "10:00"), "taps": at(DAY, "09:00"), "calls": None}


def test_a_stream_of_which_nothing_ever_came_is_told_and_one_that_nobody_asks_for_is_not(running: TinyBank) -> None:
    assert heard(running) == []
    assert heard(asking(running, quietFor="2d")) == [
        "clicks is silent: nothing has come for 31 days; normal is at most 2d. Owner: digital."
    ]
    assert heard(running) == ["clicks: nobody asks any more how long it is silent."]


def test_a_refused_file_keeps_its_word_on_the_board_of_a_silent_stream(running: TinyBank) -> None:
    bank = asking(running, quietFor="1h")
    bank.clock(DAY, "10:00")
    delivery = bank.claim("clicks", "app", DAY)
    with bank.ledger.begin() as db:
        deliveries.set_state(db, delivery, "refused", "r", reason="no JSON")
    bank.clock(DAY, "12:00")
    assert words(bank) == [("app", "refused", "no JSON")]
    assert [one.split(" ")[0:3] for one in heard(bank)] == [["clicks", "of", "app"], ["clicks", "is", "silent:"]]


def test_the_alert_of_a_column_ends_when_its_contract_says_what_it_asked_for(running: TinyBank) -> None:
    columns = running.catalog.tables["bronze.payments"].columns
    named = next(name for name, column in columns.items() if column.type == "string" and not column.identifies)
    with running.ledger.begin() as db:
        for kind, name in (("in_clear", named), ("column_added", named), ("in_clear", "gone"), ("column_added", "new")):
            batches.alert(db, f"{kind}|payments|{name}", kind, f"{kind} {name}")
        rollcall.end_contracted(db, running.catalog)
    assert still_open(running) == [f"in_clear {named}", "column_added new"]
    told = running.catalog.tables["bronze.payments"].model_copy(
        update={"columns": columns | {named: columns[named].model_copy(update={"identifies": "phone"})}}
    )
    with running.ledger.begin() as db:
        rollcall.end_contracted(
            db, replace(running.catalog, tables={**running.catalog.tables, "bronze.payments": told})
        )
    assert still_open(running) == ["column_added new"]
