"""A folder as inbox: whatever names lie in it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs.arrival import reach
from jobs.arrival.doorbell import waiting_count
from jobs.arrival.folder import Folder
from jobs.arrival.inbox import Arrived, InboxUnavailable, Several, Unreadable, Unremovable
from jobs.ledger import batches, clock
from tests.arrival.conftest import DAY, Bank, movements

GBK = os.fsdecode("余额_b01.csv".encode("gbk"))  # as a Chinese Windows or mainframe names its files


def test_a_name_that_is_no_utf8_can_be_kept_and_leads_back_to_its_file(tmp_path: Path) -> None:
    for folder in ("day", os.fsdecode("日".encode("gbk"))):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / GBK).write_bytes(b"1")
        (tmp_path / folder / f"{GBK}.ok").write_text("x|1")
    (tmp_path / "plain.csv.ok").touch()
    inbox = Folder(tmp_path)
    files = inbox.waiting()
    assert [one.path for one in files] == ["%C8%D5/%D3%E0%B6%EE_b01.csv", "day/%D3%E0%B6%EE_b01.csv"]
    assert inbox.signals_alone == ["plain.csv"]
    for one in files:
        f"{one.path} {one.uri}".encode()
        assert one.signal is not None and one.signal.text == "x|1"
        with inbox.open(one) as content:
            assert content.read() == b"1"
        inbox.remove(one)
    assert inbox.waiting() == []
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["plain.csv.ok"]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may reach, and a process that is nobody: root may read whatever it likes."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(made, 65534, 65534)
        os.seteuid(65534)
    yield made
    if is_root:
        os.seteuid(0)
    for path in [made, *made.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(made)


def test_what_we_may_not_read_holds_nothing_else_up(place: Path) -> None:
    """H3: rights are each sender's own."""
    for name in ("b01/a.csv", "b02/a.csv", "b03/a.csv", "b04/a.csv", "b04/a.csv.ok"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text("1")
    (place / "b02" / "a.csv").chmod(0)
    (place / "b03").chmod(0)
    (place / "b04" / "a.csv.ok").chmod(0)
    inbox = Folder(place)
    first, second, fourth = inbox.waiting()
    assert inbox.open(first).read() == b"1"
    with pytest.raises(Unreadable, match=r"b02/a\.csv cannot be read: Permission denied.* have its rights corrected"):
        inbox.open(second)
    assert fourth.signal is None
    [told] = inbox.unreachable.values()
    assert told == f"The inbox folder {place / 'b03'} cannot be listed: Permission denied. Correct its rights or path."
    (place / "b03").chmod(0o755)
    assert (len(inbox.waiting()), inbox.unreachable) == (4, {})


def test_what_we_may_not_take_away_is_told_and_stays(place: Path) -> None:
    (place / "b01").mkdir()
    (place / "b01" / "a.csv").write_text("1")
    (place / f"{'余额' * 41}.csv").write_text("1")  # put aside under a longer name it had none
    (place / "b01").chmod(0o555)
    inbox = Folder(place)
    first, second = inbox.waiting()
    inbox.remove(second)
    with pytest.raises(
        Unremovable, match=r"b01/a\.csv was taken in and cannot be taken away.* let us write to its folder"
    ):
        inbox.remove(first)
    assert [arrived.path for arrived in inbox.waiting()] == ["b01/a.csv"]
    (place / "b01").chmod(0o755)
    inbox.remove(first)
    assert inbox.waiting() == []


def test_what_an_inbox_among_several_could_not_see_is_told_however_deep_it_lies(place: Path) -> None:
    """What lies where nobody can look is not gone."""
    for name in ("one", "two", "three"):
        (place / name).mkdir()
    (place / "two").chmod(0)
    inbox = Several(Several(Folder(place / "one"), Folder(place / "two")), Folder(place / "three"))
    assert inbox.waiting() == []
    [told] = inbox.unreachable.values()
    assert f"{place / 'two'} cannot be listed" in told


class Locked(Folder):
    """One file of it may not be read."""

    def open(self, arrived: Arrived):  # type: ignore[no-untyped-def]
        if "b01" in arrived.name:
            raise Unreadable("b01 cannot be read")
        return super().open(arrived)


def test_a_file_that_we_may_not_read_waits_and_people_are_told(bank: Bank) -> None:
    for branch in ("b01", "b02"):
        content = movements(("1", "1.00", "x"), branch=branch)
        bank.send("movements", content, f"CORE_{branch}_TXN_{DAY}_1.txt", entity=branch)
    free, bank.inbox = bank.inbox, Locked(bank.inbox.root)
    assert {(one.entity, one.state, one.reason) for one in bank.land()} == {
        ("b01", "arriving", "b01 cannot be read"),
        ("b02", "verified", None),
    }
    with bank.ledger.begin() as db:
        assert [alert.message for alert in batches.alerts(db)] == ["b01 cannot be read"]
    bank.inbox = free
    assert [(one.entity, one.state) for one in bank.land()] == [("b01", "verified")]
    [(_, end)] = said(bank)
    assert end is not None and end.endswith("was read.")


def test_a_file_that_leaves_unread_and_comes_back_as_unreadable_is_told_anew(bank: Bank, tmp_path: Path) -> None:
    bank.send("movements", movements(("1", "1.00", "x"), branch="b01"), f"CORE_b01_TXN_{DAY}_1.txt", entity="b01")
    bank.inbox = Locked(bank.inbox.root)
    bank.land()
    bank.land()
    files = [path for path in bank.inbox.root.rglob("CORE_*") if path.is_file()]
    for path in files:
        path.rename(tmp_path / path.name)
    bank.land()
    for path in files:
        (tmp_path / path.name).rename(path)
    assert [one.state for one in bank.land()] == ["arriving"]
    (first, end), (again, open_yet) = [told for told in said(bank) if told[0].startswith("not_read|")]
    assert end is not None and end.endswith("left the inbox before it was read.")
    assert (again, open_yet) == (f"{first}|2", None)


def said(bank: Bank) -> list[tuple[str, str | None]]:
    """Each alert and how it ended, in the order in which they were told."""
    with bank.ledger.begin() as db:
        return [(alert.alert_key, alert.end) for alert in batches.alerts_told(db, 50)][::-1]


class Away(Folder):
    """A folder that can be lost from sight."""

    why: str | None = None

    def waiting(self) -> list[Arrived]:
        if self.why:
            raise InboxUnavailable(f"The inbox {self.root} does not answer: {self.why}.", str(self.root))
        return super().waiting()


@pytest.mark.parametrize("alone", [True, False])
def test_an_inbox_out_of_reach_is_told_until_it_is_read_again_and_a_second_time_is_told_too(
    bank: Bank, tmp_path: Path, alone: bool
) -> None:
    def lands() -> None:
        with suppress(InboxUnavailable):
            bank.land()

    away = Away(tmp_path / "away")
    bank.inbox = away if alone else Several(bank.inbox, away)  # type: ignore[assignment]
    with bank.ledger.begin() as db:
        clock.set_now(db, datetime(2026, 9, 15, 1, tzinfo=UTC))
    key = f"inbox_unavailable|{tmp_path / 'away'}|2026-09-15"
    for away.why in ("no route", "timed out"):
        lands()
    assert said(bank) == [(key, None)], "one outage, whatever the reason at each look"
    away.why = None
    lands()
    assert said(bank) == [(key, f"The inbox {tmp_path / 'away'} can be read again.")]
    with bank.ledger.begin() as db:
        clock.set_now(db, datetime(2026, 9, 15, 2, tzinfo=UTC))
    away.why = "no route"
    lands()
    assert said(bank)[1:] == [(f"{key}|02", None)]
    assert waiting_count(bank.catalog, bank.inbox) == 0, "the doorbell goes on listening"


def test_a_folder_below_an_inbox_out_of_reach_is_not_taken_for_mended(bank: Bank, tmp_path: Path) -> None:
    top = str(tmp_path)
    with bank.ledger.begin() as db:
        reach.say_unreachable(db, {f"{top}/b03": "b03 cannot be listed"})
        reach.say_unreachable(db, {top: "nothing can be listed"})
    assert [end for _, end in said(bank)] == [None, None]
    with bank.ledger.begin() as db:
        reach.say_unreachable(db, {})
    assert all(end and end.endswith("can be read again.") for _, end in said(bank))


class Kept(Folder):
    """Nothing may be taken away."""

    def remove(self, arrived: Arrived, *, keep_signal: bool = False) -> None:
        raise Unremovable(arrived.uri)


@pytest.mark.parametrize("by", ["us", "its sender"])
def test_the_alert_of_a_file_that_we_may_not_take_away_ends_when_it_is_gone(bank: Bank, by: str) -> None:
    path = bank.send("movements", movements(("1", "1.00", "x")), f"CORE_b01_TXN_{DAY}_1.txt")
    free, bank.inbox = bank.inbox, Kept(bank.inbox.root)
    bank.land()
    bank.land()
    [(key, end)] = said(bank)
    assert (key.partition("|")[0], end) == ("not_removed", None)
    if by == "us":
        bank.inbox = free
    else:
        path.unlink()
    assert bank.land() == []
    [(_, end)] = said(bank)
    assert end is not None and end.endswith("is no longer in the inbox.")
