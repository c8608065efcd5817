"""A corrected file comes under the same name, by a signal that keeps its time (`rsync -t`, `cp -p`, `touch -d`): it is another delivery, and never taken away unread."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import text

from jobs.arrival.folder import Folder
from jobs.arrival.inbox import Arrived, Unremovable
from jobs.ledger import deliveries
from tests.arrival.conftest import DAY, Bank, movements

NAME = f"CORE_b01_TXN_{DAY}_1.txt"
GOOD = movements(("1", "10.00", "rent"))
CORRECTED = movements(("1", "10.00", "rent"), ("2", "2.50", "tea"))
WRONG = GOOD.replace(b"T|1|", b"T|2|")
AT = 1_790_000_000


def sends(bank: Bank, content: bytes, *, signal: str = NAME, at: int | None = None) -> Path:
    """The file, and its signal with the time that all its signals have. `at`: the time of the file."""
    path = bank.send("movements", content, NAME, signal=signal)
    os.utime(path.with_name(f"{NAME}.ok"), (AT, AT))
    if at is not None:
        os.utime(path, (at, at))
    return path


def landed(bank: Bank, settle_seconds: float = 0.0) -> list[tuple[str, str | None, int | None]]:
    return [(one.state, one.cause, one.rows) for one in bank.land(settle_seconds=settle_seconds)]


def dies_before_it_empties_the_inbox(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None, int | None]]:  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "remove", lambda self, arrived, keep_signal: None)
        return landed(bank)


def counts(bank: Bank) -> dict[str, int]:
    with bank.ledger.begin() as db:
        return deliveries.counts(db)


def test_the_right_file_after_a_refused_one_is_taken(bank: Bank) -> None:
    sends(bank, WRONG)
    assert landed(bank) == [("refused", "trailer_count", 1)]
    sends(bank, CORRECTED)
    assert (landed(bank), bank.waiting(), bank.cases()) == ([("verified", None, 2)], [], [])


def test_other_bytes_after_an_accepted_file_take_its_place(bank: Bank) -> None:
    sends(bank, GOOD)
    [first] = bank.land()
    with bank.ledger.begin() as db:
        deliveries.go_live(db, first.delivery_id, 1, "run-1", dates=[], totals={"accepted_rows": 1})
    sends(bank, CORRECTED)
    [second] = bank.land()
    with bank.ledger.begin() as db:
        deliveries.go_live(db, second.delivery_id, 2, "run-1", dates=[], totals={"accepted_rows": 2})
    assert (second.state, bank.delivery(first).superseded_by) == ("verified", second.delivery_id)


@pytest.mark.parametrize("content", [GOOD, WRONG])
def test_the_same_file_after_a_death_is_taken_away_and_nothing_doubled(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    sends(bank, content)
    assert len(dies_before_it_empties_the_inbox(bank, monkeypatch)) == 1
    before = counts(bank)
    assert (landed(bank), bank.waiting(), counts(bank)) == ([], [], before)


def test_a_corrected_file_after_a_death_is_read(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    sends(bank, WRONG)
    assert dies_before_it_empties_the_inbox(bank, monkeypatch) == [("refused", "trailer_count", 1)]
    sends(bank, CORRECTED)
    assert (landed(bank), bank.waiting()) == ([("verified", None, 2)], [])


def test_a_corrected_file_over_one_that_we_may_not_take_away_is_read(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stays(self: Folder, arrived: Arrived, *, keep_signal: bool = False) -> None:
        raise Unremovable(arrived.uri)

    monkeypatch.setattr(Folder, "remove", stays)
    sends(bank, GOOD)
    assert (landed(bank), landed(bank)) == ([("verified", None, 1)], [])
    sends(bank, CORRECTED)
    assert (landed(bank), landed(bank)) == ([("verified", None, 2)], [])


@pytest.mark.parametrize("batch", [True, False])
def test_a_corrected_signal_of_the_same_time_and_size_is_another(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, batch: bool
) -> None:
    """The file stays as it was: its signal was wrong."""
    more = "\nanother.txt" if batch else ""
    sends(bank, GOOD, signal=f"{NAME}|9{more}", at=AT)
    assert dies_before_it_empties_the_inbox(bank, monkeypatch) == [("refused", "signal_count", 1)]
    sends(bank, GOOD, signal=f"{NAME}|1{more}", at=AT)
    assert (landed(bank), bank.waiting()) == ([("verified", None, 1)], [])


def test_a_signal_that_says_something_else_is_not_taken_away_with_the_old(bank: Bank) -> None:
    sends(bank, GOOD, signal=f"{NAME}|9")
    [arrived] = bank.inbox.waiting()
    sends(bank, GOOD, signal=f"{NAME}|1")
    bank.inbox.remove(arrived)
    assert f"{NAME}.ok" in bank.waiting()


def test_a_file_that_grows_after_its_signal_keeps_its_claim(bank: Bank) -> None:
    sends(bank, GOOD[: GOOD.index(b"T|")])
    assert landed(bank, settle_seconds=60) == [("arriving", None, None)]
    sends(bank, GOOD)
    assert (landed(bank, settle_seconds=60), counts(bank)) == ([("verified", None, 1)], {"verified": 1})


def test_a_file_that_was_written_again_after_another_run_claimed_it_is_left_to_the_next_look(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs list the inbox, the first before, the second after the file was corrected, and the first is done first."""
    sends(bank, WRONG)
    with monkeypatch.context() as patch:
        looked = bank.inbox.waiting()
        patch.setattr(Folder, "waiting", lambda self: looked)
        patch.setattr(Folder, "acknowledge", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            bank.land("claims")
    sends(bank, CORRECTED)
    later = bank.inbox.waiting()

    def the_first_is_done(self: Folder) -> None:
        """After the second claimed it, with the bytes that lay there before."""
        with bank.ledger.begin() as db:
            [one] = deliveries.find(db)
            key = f"{one.claim_key}|the bytes before|{'0' * 16}"
            deliveries.settle_claim(db, one.delivery_id, key)
            deliveries.set_state(db, one.delivery_id, "refused", "first", cause="trailer_count")

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "waiting", lambda self: later)
        patch.setattr(Folder, "acknowledge", the_first_is_done)
        assert landed(bank) == []
    assert bank.waiting() == [NAME, f"{NAME}.ok"]
    assert (landed(bank), bank.waiting()) == ([("verified", None, 2)], [])


@pytest.mark.parametrize(
    ("content", "found"), [(GOOD, ("ignored_duplicate", "same_bytes", None)), (CORRECTED, ("verified", None, 2))]
)
def test_a_delivery_that_was_settled_by_an_earlier_release_is_read_again_and_not_doubled(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, content: bytes, found: tuple[str, str | None, int | None]
) -> None:
    """Which bytes it was is not in its key."""
    sends(bank, GOOD)
    dies_before_it_empties_the_inbox(bank, monkeypatch)
    with bank.ledger.begin() as db:
        db.execute(text("update deliveries set claim_key = regexp_replace(claim_key, '[|][^|]*[|][^|]*$', '')"))
    sends(bank, content)
    assert (landed(bank), bank.waiting(), landed(bank)) == ([found], [], [])
