"""Days of closed months: who asks, who decides. Owed for a day: payments of b01 and b02, rates of HO;
clicks are a stream."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from jobs.ledger import approvals, batches, days, deliveries, releases
from jobs.ledger.fixes import NotAllowed
from tests.ledger.conftest import DAY, LATE, V1, V2, TinyBank, part, released


class TestClosedMonth:
    """D5: after its adjustment period a month is told anew with approval only."""

    def test_a_month_closes_so_many_days_after_its_end(self, closing: TinyBank) -> None:
        closes = closing.catalog.profile.closes
        assert (closes(date(2026, 9, 1)), closes(date(2026, 9, 30)), closes(date(2026, 12, 31))) == (
            LATE,
            LATE,
            date(2027, 1, 11),
        )

    def test_in_the_adjustment_period_a_late_file_restates(self, closing: TinyBank) -> None:
        released(closing)
        closing.clock(LATE - timedelta(days=1), "23:59")
        closing.arrives("payments", "b01", DAY)
        assert closing.decide() == [V2]

    def test_afterwards_it_waits_for_approval_and_somebody_is_told(self, closing: TinyBank) -> None:
        released(closing)
        closing.clock(LATE, "00:00")
        delivery = closing.arrives("payments", "b01", DAY)
        assert closing.decide() == closing.decide() == []
        assert closing.dirty() == [(DAY, "resend")]
        with closing.ledger.begin() as db:
            (told,) = batches.alerts(db, kind="closed_month")
            assert (delivery in told.message, f"closed since {LATE}" in told.message) == (True, True)
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
            assert batches.alerts(db, kind="closed_month") == []
            assert releases.listing(db)[0].approved_by == "lihua"

    def test_what_changes_the_day_again_after_it_was_approved_is_told_anew(self, closing: TinyBank) -> None:
        """The late file is told and restated; then its rows are corrected, and it waits again. What a person closed stays closed."""
        released(closing)
        closing.clock(LATE, "08:00")
        delivery = closing.arrives("payments", "b01", DAY)
        closing.decide()
        with closing.ledger.begin() as db:
            days.request_again(db, closing.catalog, DAY, "late: asked", approved_by="lihua")
        closing.release(V2)
        with closing.ledger.begin() as db:
            again = batches.start(db, "bronze.payments", "payments|again", "r")
            values = {"dates": [part(DAY)], "totals": {"rejected_rows": 0}, "cause": days.REPAIRED}
            deliveries.go_live(db, delivery, again.batch_id, "r", **values)
        assert closing.decide() == closing.decide() == []
        with closing.ledger.begin() as db:
            (told,) = batches.alerts(db, kind="closed_month")
            assert told.alert_key == f"closed_month|{DAY}|{delivery}|2"
            assert batches.close_by_hand(db, told.number, "anna", "goes into October")
        closing.decide()
        with closing.ledger.begin() as db:
            assert batches.alerts(db, kind="closed_month") == []

    def test_a_day_that_was_never_told_is_built_all_the_same(self, closing: TinyBank) -> None:
        closing.clock(LATE, "08:00")
        closing.whole_day()
        assert closing.decide() == [V1]

    def test_an_open_month_needs_nobody(self, closing: TinyBank) -> None:
        released(closing)
        with closing.ledger.begin() as db:
            assert days.request_again(db, closing.catalog, DAY, "repaired: x") == V2

    def asked(self, closing: TinyBank, act: str = "restate", person: str = "anna") -> int:
        released(closing)
        closing.clock(LATE, "08:00")
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
