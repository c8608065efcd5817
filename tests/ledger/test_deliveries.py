"""Claims, and which delivery of a lane counts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from jobs.ledger import batches, deliveries
from tests.ledger.conftest import DAY, TinyBank, part

NEXT = DAY + timedelta(days=1)


def test_two_that_claim_one_file_at_once_one_wins(bank: TinyBank, both: Callable[..., list[Any]]) -> None:
    def claim() -> str | None:
        with bank.ledger.begin() as db:
            return deliveries.claim(
                db,
                claim_key="same",
                feed="payments",
                entity="b01",
                business_date=DAY,
                seq=1,
                file_name="f",
                uri="u",
                run_id="r",
            )

    won = [delivery for delivery in both(claim, claim) if delivery]
    assert len(won) == 1
    with bank.ledger.begin() as db:
        assert list(deliveries.by_claim(db, ["same"])) == ["same"]
        assert deliveries.counts(db) == {"arriving": 1}


def test_a_corrected_file_supersedes_its_predecessor(bank: TinyBank) -> None:
    first = bank.arrives("payments", "b01", DAY)
    second = bank.arrives("payments", "b01", DAY)
    assert (bank.delivery(first).state, bank.delivery(first).superseded_by) == ("superseded", second)
    assert (bank.delivery(second).state, bank.delivery(second).supersedes) == ("loaded", first)
    assert bank.dirty() == [(DAY, "arrived"), (DAY, "resend")]


def test_an_earlier_file_that_is_loaded_later_does_not_take_over(bank: TinyBank) -> None:
    first = bank.claim("payments", "b01", DAY)
    second = bank.claim("payments", "b01", DAY)
    bank.goes_live(second)
    bank.goes_live(first)
    assert bank.delivery(second).state == "loaded"
    assert (bank.delivery(first).state, bank.delivery(first).superseded_by) == ("superseded", second)
    # Nothing changed by the earlier one: no day is built for it.
    assert bank.dirty() == [(DAY, "arrived")]


def test_the_highest_version_counts_whatever_came_last(bank: TinyBank) -> None:
    """Version 2, then 1, then 3: the first and the last count in turn, and no day is told anew for version 1."""
    second = bank.arrives("payments", "b01", DAY, version=2)
    first = bank.arrives("payments", "b01", DAY, DAY, NEXT, version=1)
    late = bank.delivery(first)
    assert (late.state, late.superseded_by) == ("superseded", second)
    assert late.reason == f"version 1, and version 2 counts: {second} ({bank.delivery(second).file_name})"
    assert bank.delivery(second).state == "loaded"
    assert bank.dirty() == [(DAY, "arrived")]
    third = bank.arrives("payments", "b01", DAY, version=3)
    assert (bank.delivery(second).superseded_by, bank.delivery(third).supersedes) == (third, second)
    # Of the next day only version 1 had rows, and they never counted.
    assert bank.dirty() == [(DAY, "arrived"), (DAY, "resend")]


def test_of_equal_versions_the_later_counts_and_each_batch_number_has_its_own(bank: TinyBank) -> None:
    first, second = (bank.arrives("payments", "b01", DAY, version=2) for _ in range(2))
    other = bank.arrives("payments", "b01", DAY, seq=2, version=1)
    assert [bank.delivery(d).state for d in (first, second, other)] == ["superseded", "loaded", "loaded"]


@pytest.mark.parametrize("high_first", [True, False])
def test_two_versions_at_once_leave_the_higher_live(
    bank: TinyBank, both: Callable[..., list[Any]], high_first: bool
) -> None:
    for _ in range(5):
        claimed = {v: bank.claim("payments", "b01", DAY, version=v) for v in ((2, 1) if high_first else (1, 2))}
        both(lambda c=claimed: live(bank, c[1], 7), lambda c=claimed: live(bank, c[2], 8))
        assert [bank.delivery(claimed[v]).state for v in (1, 2)] == ["superseded", "loaded"]
        with bank.ledger.begin() as db:
            assert [p.delivery_id for p in deliveries.live_parts(db, ["payments"], DAY, DAY)] == [claimed[2]]


def test_a_higher_version_that_waits_for_a_person_is_not_replaced_by_a_lower_one(bank: TinyBank) -> None:
    """Version 2 is held; version 1 counts until a person lets version 2 in."""
    held = bank.claim("payments", "b01", DAY, version=2)
    with bank.ledger.begin() as db:
        deliveries.set_state(db, held, "held", "r")
    first = bank.arrives("payments", "b01", DAY, version=1)
    assert [bank.delivery(d).state for d in (held, first)] == ["held", "loaded"]
    bank.goes_live(held)
    assert [bank.delivery(d).state for d in (held, first)] == ["loaded", "superseded"]


def test_refused_ones_are_settled_by_what_is_higher_than_they(bank: TinyBank) -> None:
    made = {v: bank.claim("payments", "b01", DAY, version=v) for v in (1, 3)}
    other = bank.claim("payments", "b01", DAY, seq=2)
    with bank.ledger.begin() as db:
        for refused in (*made.values(), other):
            deliveries.set_state(db, refused, "refused", "r")
    second = bank.claim("payments", "b01", DAY, version=2)
    with bank.ledger.begin() as db:
        assert deliveries.refused_below(db, deliveries.get(db, second)) == [made[1]]


def test_batch_numbers_branches_and_dates_are_lanes_of_their_own(bank: TinyBank) -> None:
    made = [
        bank.arrives("payments", "b01", DAY, seq=1),
        bank.arrives("payments", "b01", DAY, seq=2),
        bank.arrives("payments", "b02", DAY),
        bank.arrives("payments", "b01", NEXT),
    ]
    assert {bank.delivery(d).state for d in made} == {"loaded"}


def test_a_correction_marks_the_dates_that_only_its_predecessor_had(bank: TinyBank) -> None:
    bank.arrives("payments", "b01", DAY, DAY, NEXT)
    bank.arrives("payments", "b01", DAY, DAY)
    assert bank.dirty()[2:] == [(DAY, "resend"), (NEXT, "resend")]


def test_a_chain_of_corrections_remembers_all_its_dates(bank: TinyBank) -> None:
    first = bank.arrives("payments", "b01", DAY, DAY, NEXT)
    second = bank.arrives("payments", "b01", DAY, DAY)
    third = bank.arrives("payments", "b01", DAY, DAY)
    assert [bank.delivery(d).state for d in (first, second, third)] == ["superseded", "superseded", "loaded"]
    with bank.ledger.begin() as db:
        assert deliveries.dates_of(db, [second]) == {DAY, NEXT}


def test_rejected_rows_make_it_partly_loaded(bank: TinyBank) -> None:
    delivery = bank.claim("payments", "b01", DAY)
    bank.goes_live(delivery, rejected=2)
    assert bank.delivery(delivery).state == "partly_loaded"


def live(bank: TinyBank, delivery: str, batch: int) -> None:
    with bank.ledger.begin() as db:
        deliveries.go_live(db, delivery, batch, "r", dates=[part(DAY)], totals={})


def test_going_live_twice_is_once(bank: TinyBank) -> None:
    delivery = bank.claim("payments", "b01", DAY)
    live(bank, delivery, 7)
    live(bank, delivery, 7)
    assert bank.dirty() == [(DAY, "arrived")]
    with bank.ledger.begin() as db:
        assert len(deliveries.live_parts(db, ["payments"], DAY, DAY)) == 1


def test_rows_of_which_no_table_is_built_leave_the_days_alone(bank: TinyBank) -> None:
    delivery = bank.claim("payments", "b01", DAY)
    with bank.ledger.begin() as db:
        deliveries.go_live(db, delivery, 7, "r", dates=[part(DAY)], totals={}, is_read=False)
    assert bank.delivery(delivery).state == "loaded"
    assert bank.dirty() == []


def test_two_copies_that_put_it_live_at_once_do_it_once(bank: TinyBank, both: Callable[..., list[Any]]) -> None:
    delivery = bank.claim("payments", "b01", DAY)
    both(lambda: live(bank, delivery, 7), lambda: live(bank, delivery, 7))
    assert bank.dirty() == [(DAY, "arrived")]


def test_two_files_of_one_lane_at_once_leave_one_live(bank: TinyBank, both: Callable[..., list[Any]]) -> None:
    for _ in range(5):
        first, second = bank.claim("payments", "b01", DAY), bank.claim("payments", "b01", DAY)
        both(lambda d=first: live(bank, d, 7), lambda d=second: live(bank, d, 8))
        assert (bank.delivery(first).state, bank.delivery(second).state) == ("superseded", "loaded")
        with bank.ledger.begin() as db:
            assert [p.delivery_id for p in deliveries.live_parts(db, ["payments"], DAY, DAY)] == [second]


def test_a_delivery_loaded_again_counts_with_its_new_batch_only(bank: TinyBank) -> None:
    delivery = bank.claim("payments", "b01", DAY)
    live(bank, delivery, 7)
    with bank.ledger.begin() as db:
        deliveries.go_live(db, delivery, 9, "r", dates=[part(NEXT)], totals={})
        assert [(p.batch_id, p.business_date) for p in deliveries.live_parts(db, ["payments"], DAY, NEXT)] == [
            (9, NEXT)
        ]
    assert bank.dirty()[1:] == [(DAY, "arrived"), (NEXT, "arrived")]


def test_a_choice_stays_readable_after_its_delivery_was_superseded(bank: TinyBank) -> None:
    first = bank.claim("payments", "b01", DAY)
    live(bank, first, 7)
    second = bank.claim("payments", "b01", DAY)
    live(bank, second, 8)
    with bank.ledger.begin() as db:
        assert [p.delivery_id for p in deliveries.chosen_parts(db, [f"{first}/7"], ["payments"], DAY, DAY)] == [first]


def test_a_verified_delivery_is_given_to_one_batch_only(bank: TinyBank, both: Callable[..., list[Any]]) -> None:
    made = [bank.claim("payments", b, DAY) for b in ("b01", "b02")]

    def take(batch: int) -> list[str]:
        with bank.ledger.begin() as db:
            return deliveries.take_verified(db, "payments", batch)

    one, two = both(lambda: take(1), lambda: take(2))
    assert sorted(one + two) == made


def test_each_change_of_state_is_kept(bank: TinyBank) -> None:
    from sqlalchemy import select

    from jobs.ledger.models import DeliveryEvent

    delivery = bank.arrives("payments", "b01", DAY)
    with bank.ledger.begin() as db:
        states = db.execute(
            select(DeliveryEvent.state).where(DeliveryEvent.delivery_id == delivery).order_by(DeliveryEvent.event_id)
        )
        assert list(states.scalars()) == ["arriving", "verified", "loaded"]


def test_an_unfinished_batch_is_taken_up_again_and_a_finished_one_is_not(bank: TinyBank) -> None:
    with bank.ledger.begin() as db:
        first = batches.start(db, "gold.daily", "2026-09-15|v1", "r1")
        assert batches.start(db, "gold.daily", "2026-09-15|v1", "r2").batch_id == first.batch_id
        batches.set_state(db, first.batch_id, "written")
        assert batches.start(db, "gold.daily", "2026-09-15|v1", "r2").batch_id == first.batch_id
        assert [b.batch_id for b in batches.unfinished(db, "gold.daily")] == [first.batch_id]
        batches.set_state(db, first.batch_id, "restored")
        again = batches.start(db, "gold.daily", "2026-09-15|v1", "r3")
        assert again.batch_id > first.batch_id
        assert batches.newest(db, "gold.daily", "2026-09-15|v1").batch_id == again.batch_id


def test_two_copies_that_start_a_batch_at_once_get_the_same(bank: TinyBank, both: Callable[..., list[Any]]) -> None:
    def begin(subject: str) -> int:
        with bank.ledger.begin() as db:
            return batches.start(db, "gold.daily", subject, "r").batch_id

    for n in range(5):
        one, two = both(lambda n=n: begin(f"day{n}|v1"), lambda n=n: begin(f"day{n}|v1"))
        assert one == two


def test_an_alert_is_said_once(bank: TinyBank) -> None:
    with bank.ledger.begin() as db:
        assert batches.alert(db, "k", "missing", "b01 has not come")
        assert not batches.alert(db, "k", "missing", "b01 has not come")
        assert len(batches.alerts(db)) == 1


def test_a_case_of_one_cause_and_subject_is_one_case(bank: TinyBank) -> None:
    delivery = bank.arrives("payments", "b01", DAY)
    words = {
        "kind": "rows",
        "table": "bronze.payments",
        "cause": "amount_positive",
        "subject": delivery,
        "owner": "o",
        "run_id": "r",
    }
    with bank.ledger.begin() as db:
        batches.open_case(db, **words, reason="1 row", affected_rows=1, delivery_id=delivery)
        batches.open_case(db, **words, reason="2 rows", affected_rows=2, delivery_id=delivery)
        [case] = batches.cases(db)
        assert (case.affected_rows, case.reason) == (2, "2 rows")
        batches.close_cases(db, delivery_id=delivery, note="replaced")
        assert batches.cases(db) == []
        assert batches.cases(db, state="closed")[0].reason == "2 rows [replaced]"


def test_usual_is_what_came_on_the_same_weekday_and_until_there_is_one_on_any_day(bank: TinyBank) -> None:
    """2026-09-15 is a Tuesday: the Tuesdays before it had 100 and 120 rows, the Monday 7."""

    def came(days_before: int, rows: int, entity: str = "b01") -> None:
        delivery = bank.claim("payments", entity, DAY - timedelta(days=days_before))
        with bank.ledger.begin() as db:
            batch = batches.start(db, "bronze.payments", f"payments|{delivery}", "r")
            deliveries.go_live(db, delivery, batch.batch_id, "r", dates=[], totals={"accepted_rows": rows})

    def usual() -> float | None:
        with bank.ledger.begin() as db:
            return deliveries.usual_rows(db, deliveries.get(db, today))

    today = bank.claim("payments", "b01", DAY)
    came(7, 55, "b02")
    assert usual() is None
    came(1, 7)
    assert usual() == 7
    came(7, 100)
    came(14, 120)
    came(42, 1)  # longer ago than five weeks
    assert usual() == 110
