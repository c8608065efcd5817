"""A folder as inbox: whatever names lie in it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.arrival.folder import Folder
from jobs.arrival.inbox import Arrived, Several, Unreadable, Unremovable
from jobs.ledger import batches
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
    [told] = inbox.unreachable
    assert told == f"The inbox folder {place / 'b03'} cannot be listed: Permission denied. Correct its rights or path."
    (place / "b03").chmod(0o755)
    assert (len(inbox.waiting()), inbox.unreachable) == (4, [])


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
    [told] = inbox.unreachable
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
