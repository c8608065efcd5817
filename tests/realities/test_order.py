"""C5 to C9: days and files in any order, empty, sent again or late. What is released is what the newest valid files say."""

from __future__ import annotations

from collections.abc import Callable

from jobs import load
from tests.realities.conftest import FILES, MONDAY, RUN, TUESDAY, WEDNESDAY, Payment, Small, file_of


def test_days_out_of_order_end_as_in_order(new_bank: Callable[..., Small]) -> None:
    """C9: Wednesday comes before Tuesday, and Monday's second branch last of all."""
    in_order, out_of_order = new_bank("small1"), new_bank("small2")
    files = [
        ("b01", MONDAY, ("1", "in", "10.00", "工资")),
        ("b02", MONDAY, ("1", "in", "20.00", "利息")),
        ("b01", TUESDAY, ("1", "out", "30.00", "")),
        ("b02", TUESDAY, ("1", "in", "40.00", "")),
        ("b01", WEDNESDAY, ("1", "in", "50.00", "")),
        ("b02", WEDNESDAY, ("1", "in", "60.00", "")),
    ]
    out_of_order.clock(WEDNESDAY, 21)
    for bank, order in ((in_order, (0, 1, 2, 3, 4, 5)), (out_of_order, (4, 5, 2, 0, 3, 1))):
        for n in order:
            branch, day, payment = files[n]
            if bank is in_order:
                bank.clock(day, 21)
            bank.send(branch, day, payment)
            bank.play()
    assert len(in_order.movements()) == 6
    assert out_of_order.movements() == in_order.movements()
    assert [out_of_order.releases(day)[-1][1] for day in (MONDAY, TUESDAY, WEDNESDAY)] == ["late", "late", "complete"]
    assert [in_order.releases(day)[-1][1] for day in (MONDAY, TUESDAY, WEDNESDAY)] == ["complete"] * 3


def test_a_corrected_file_takes_the_place_of_the_first_and_the_difference_is_told(small: Small) -> None:
    """C6: the same name, one amount changed and one row more."""
    small.send("b01", MONDAY, ("1", "in", "10.00", "工资"), ("2", "in", "5.00", ""))
    small.send("b02", MONDAY, ("1", "in", "20.00", ""))
    small.play()
    small.send("b01", MONDAY, ("1", "in", "12.00", "工资"), ("2", "in", "5.00", ""), ("3", "out", "1.00", ""))
    first, _, second = small.play()
    assert (first.state, second.state, second.supersedes) == ("superseded", "loaded", first.delivery_id)
    assert first.reason == f"replaced by {second.delivery_id}: 3 accepted rows (+1), 18.00 (+3.00)"
    assert second.reason == f"replaces {first.delivery_id}: 3 accepted rows (+1), 18.00 (+3.00)"
    assert small.movements() == [
        "b01:2026-09-14:1 12.00 工资",
        "b01:2026-09-14:2 5.00",
        "b01:2026-09-14:3 1.00",
        "b02:2026-09-14:1 20.00",
    ]
    assert small.releases(MONDAY) == [("2026-09-14|v1", "complete"), ("2026-09-14|v2", "resend")]


VERSIONED = FILES["sources/small/payments.yaml"].replace("{seq}.csv", "{seq}[_v{version}].csv")


def sent(bank: Small, version: int, *payments: Payment) -> None:
    bank.put("payments", "b01", MONDAY, f"PAY_b01_20260914_1_v{version}.csv", file_of("b01", MONDAY, *payments))


def test_a_lower_version_that_comes_last_changes_nothing(new_bank: Callable[..., Small]) -> None:
    """C6: version 2 is released; version 1 comes after it, and version 3 takes its place."""
    small = new_bank("versions1", sources__small__payments=VERSIONED)
    sent(small, 2, ("1", "in", "12.00", ""))
    small.send("b02", MONDAY, ("1", "in", "20.00", ""))
    small.play()
    sent(small, 1, ("1", "in", "10.00", ""), ("2", "in", "5.00", ""))
    second, _, first = small.play()
    assert (second.state, first.state, first.superseded_by) == ("loaded", "superseded", second.delivery_id)
    assert small.movements() == ["b01:2026-09-14:1 12.00", "b02:2026-09-14:1 20.00"]
    assert small.releases(MONDAY) == [("2026-09-14|v1", "complete")]
    assert small.cases(None) == []
    sent(small, 3, ("1", "in", "13.00", ""))
    assert [one.state for one in small.play()] == ["superseded", "loaded", "superseded", "loaded"]
    assert small.movements() == ["b01:2026-09-14:1 13.00", "b02:2026-09-14:1 20.00"]
    assert small.releases(MONDAY) == [("2026-09-14|v1", "complete"), ("2026-09-14|v2", "resend")]


def test_two_versions_of_one_load_leave_no_case_of_the_lower_one(new_bank: Callable[..., Small]) -> None:
    """C6: both wait verified, the higher came first; the lower has a row that would be a case."""
    small = new_bank("versions2", sources__small__payments=VERSIONED)
    sent(small, 2, ("1", "in", "12.00", ""))
    load.land(small.name, RUN)
    sent(small, 1, ("1", "in", "10.00", ""), ("2", "sideways", "5.00", ""))
    load.land(small.name, RUN)
    assert [one.state for one in small.deliveries()] == ["verified", "verified"]
    small.load("payments")
    second, first = small.deliveries()
    assert (second.state, first.state) == ("loaded", "superseded")
    assert (first.accepted_rows, first.rejected_rows) == (1, 1)
    assert f"version 2 counts: {second.delivery_id}" in first.reason
    assert small.cases(None) == []
    small.send("b02", MONDAY, ("1", "in", "20.00", ""))
    small.play()
    assert small.movements() == ["b01:2026-09-14:1 12.00", "b02:2026-09-14:1 20.00"]
    assert small.releases(MONDAY) == [("2026-09-14|v1", "complete")]


def test_a_lower_version_that_was_refused_on_the_way_is_settled_when_the_higher_one_counts(
    new_bank: Callable[..., Small],
) -> None:
    """C6: version 2 is verified and counts not yet when version 1 comes with a wrong trailer; then its gate passes."""
    small = new_bank("versions3", sources__small__payments=VERSIONED)
    sent(small, 2, ("1", "in", "12.00", ""))
    load.land(small.name, RUN)
    bad = file_of("b01", MONDAY, ("1", "in", "10.00", ""), count=7)
    small.put("payments", "b01", MONDAY, "PAY_b01_20260914_1_v1.csv", bad)
    load.land(small.name, RUN)
    second, first = small.deliveries()
    assert [(case.delivery_id, first.state) for case in small.cases()] == [(first.delivery_id, "refused")]
    small.load("payments")
    assert small.cases() == []
    (case,) = small.cases(None)
    assert case.reason.endswith(f"[sent again as {second.delivery_id}]")


def test_the_same_bytes_again_change_nothing(small: Small) -> None:
    """C7 and H2: another name, equal bytes; and a run with nothing to do."""
    small.send("b01", MONDAY, ("1", "in", "10.00", ""))
    small.send("b02", MONDAY, ("1", "in", "20.00", ""))
    small.play()
    before = small.movements()
    small.send("b01", MONDAY, ("1", "in", "10.00", ""), seq=2)
    first, _, again = small.play()
    assert (again.state, first.delivery_id in again.reason) == ("ignored_duplicate", True)
    small.play()
    assert small.movements() == before
    assert small.releases(MONDAY) == [("2026-09-14|v1", "complete")]


def test_an_empty_file_counts_as_received(small: Small) -> None:
    """C5: no rows and a right trailer: the day is whole, not provisional."""
    small.send("b01", MONDAY)
    small.send("b02", MONDAY, ("1", "in", "20.00", ""))
    empty, _ = small.play()
    assert (empty.state, empty.received_rows, empty.accepted_rows) == ("loaded", 0, 0)
    assert small.releases(MONDAY) == [("2026-09-14|v1", "complete")]
    assert small.movements() == ["b02:2026-09-14:1 20.00"]


def test_a_branch_that_comes_after_the_close_restates_its_day_alone(small: Small) -> None:
    """C8 and C10: Monday is told without b02, Tuesday with both; then b02 of Monday comes."""
    small.send("b01", MONDAY, ("1", "in", "10.00", ""))
    small.clock(TUESDAY, 9)
    small.play()
    for branch in ("b01", "b02"):
        small.send(branch, TUESDAY, ("1", "in", "30.00", ""))
    small.clock(TUESDAY, 20)
    small.play()
    assert small.releases(MONDAY) == [("2026-09-14|v1", "close_by")]
    small.clock(WEDNESDAY, 9)
    small.send("b02", MONDAY, ("1", "in", "20.00", ""))
    small.play()
    assert small.releases(MONDAY) == [("2026-09-14|v1", "close_by"), ("2026-09-14|v2", "late")]
    assert small.releases(TUESDAY) == [("2026-09-15|v1", "complete")]
    assert [line.split(" ")[0] for line in small.movements()] == [
        "b01:2026-09-14:1",
        "b01:2026-09-15:1",
        "b02:2026-09-14:1",
        "b02:2026-09-15:1",
    ]
