"""One signal for a batch of files, a line each (sources.md, section 2): each file is taken by its line, and the signal goes with the last of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

import pytest

from jobs.arrival.folder import Folder
from jobs.arrival.inbox import Arrived, Gone
from jobs.arrival.sightings import sightings
from tests.arrival.conftest import DAY, Bank, movements

FIRST, SECOND = (f"CORE_b01_TXN_{DAY}_{n}.txt" for n in (1, 2))
GOOD, OTHER = movements(("1", "10.00", "工资")), movements(("2", "5.00", ""), ("3", "2.50", ""))


def line(name: str, content: bytes) -> str:
    return f"{name}|||{hashlib.sha256(content).hexdigest()}|{len(content)}\n"


def signal(folder: Path, *lines: str, name: str = "batch_20260915.ok") -> None:
    (folder / name).write_text("".join(lines))


def send(bank: Bank, first: bytes = GOOD, second: bytes = OTHER) -> Path:
    """Two files without signals of their own; their folder."""
    bank.send("movements", first, FIRST, signal=None)
    return bank.send("movements", second, SECOND, signal=None).parent


def landed(bank: Bank, settle_seconds: float = 0.0) -> list[tuple[str, str | None, int | None]]:
    found = bank.land(settle_seconds=settle_seconds)
    return [(one.state, one.cause, one.rows) for one in sorted(found, key=lambda one: one.file_name)]


def left(bank: Bank) -> list[str]:
    return sorted(path.name for path in bank.inbox.root.rglob("*") if path.is_file())


def test_a_signal_speaks_of_all_files_that_it_names(bank: Bank) -> None:
    folder = send(bank)
    assert (landed(bank), left(bank)) == ([], [FIRST, SECOND])  # work starts on the signal
    signal(folder, line(FIRST, GOOD), line(SECOND, OTHER))
    assert (landed(bank), left(bank)) == ([("verified", None, 1), ("verified", None, 2)], [])


def test_the_signal_of_the_first_file_may_be_that_of_all(bank: Bank) -> None:
    signal(send(bank), line(FIRST, GOOD), line(SECOND, OTHER), name=f"{FIRST}.ok")
    assert (landed(bank), left(bank)) == ([("verified", None, 1), ("verified", None, 2)], [])


def test_a_file_that_it_does_not_name_waits(bank: Bank) -> None:
    signal(send(bank), line(FIRST, GOOD))
    assert (landed(bank), left(bank)) == ([("verified", None, 1)], [SECOND])


def test_a_file_that_is_named_and_not_there_is_seen(bank: Bank) -> None:
    folder = bank.send("movements", GOOD, FIRST, signal=None).parent
    signal(folder, line(FIRST, GOOD), line(SECOND, OTHER))
    [seen] = sightings(bank.catalog, bank.inbox)
    assert (seen["kind"], seen["path"].rpartition("/")[2]) == ("signal_without_file", SECOND)


def test_one_wrong_hash_refuses_its_file_alone(bank: Bank) -> None:
    signal(send(bank), f"{FIRST}|||{'0' * 64}\n", line(SECOND, OTHER))
    assert (landed(bank), left(bank)) == ([("refused", "ok_hash", 1), ("verified", None, 2)], [])


def test_the_signal_stays_while_a_file_of_it_grows(bank: Bank) -> None:
    folder = send(bank, second=OTHER[:-8])
    signal(folder, line(FIRST, GOOD), line(SECOND, OTHER))
    assert landed(bank, settle_seconds=60) == [("verified", None, 1)]
    assert left(bank) == [SECOND, "batch_20260915.ok"]
    (folder / SECOND).write_bytes(OTHER)
    assert landed(bank, settle_seconds=60) == [("verified", None, 2)]
    assert left(bank) == []
    assert landed(bank) == []


def test_a_file_that_is_sent_again_while_the_signal_stays_is_another(bank: Bank) -> None:
    """It is not what was taken before, and is not taken away unread."""
    folder = send(bank, second=OTHER[:-8])
    signal(folder, line(FIRST, GOOD), line(SECOND, OTHER))
    landed(bank, settle_seconds=60)
    corrected = movements(("1", "11.00", "工资"))
    (folder / FIRST).write_bytes(corrected)
    assert ("refused", "ok_hash", 1) in landed(bank)  # the old signal does not speak of it, and says so
    (folder / FIRST).write_bytes(corrected)
    signal(folder, line(FIRST, corrected), name="batch_20260915_2.ok")
    assert ("verified", None, 1) in landed(bank)


@pytest.mark.parametrize("name", ["batch.ok", f"{FIRST}.ok"])
@pytest.mark.parametrize("sized", [True, False])
def test_the_signal_waits_for_a_file_that_is_named_and_comes_later(bank: Bank, name: str, sized: bool) -> None:
    """Two of three are there: they are taken, and the third is read by the same signal when it comes."""
    third, last = f"CORE_b01_TXN_{DAY}_3.txt", movements(("4", "7.00", ""))
    folder = send(bank)
    lines = [line(FIRST, GOOD), line(SECOND, OTHER), line(third, last)]
    signal(folder, *(one if sized else one.split("|")[0] + "\n" for one in lines), name=name)
    assert (landed(bank), left(bank)) == ([("verified", None, 1), ("verified", None, 2)], [name])
    assert third in [one["path"].rpartition("/")[2] for one in sightings(bank.catalog, bank.inbox)]
    assert (landed(bank), left(bank)) == ([], [name])
    (folder / third).write_bytes(last)
    assert (landed(bank), left(bank)) == ([("verified", None, 1)], [])


def test_a_file_is_not_taken_away_unread_while_its_own_signal_waits_for_another(bank: Bank) -> None:
    """It is sent again, and the signal beside it is still the old one: it is another delivery."""
    folder = bank.send("movements", GOOD, FIRST, signal=None).parent
    signal(folder, f"{FIRST}\n", f"{SECOND}\n", name=f"{FIRST}.ok")
    assert landed(bank) == [("verified", None, 1)]
    (folder / FIRST).write_bytes(OTHER)
    assert (landed(bank), left(bank)) == ([("verified", None, 2)], [f"{FIRST}.ok"])


def test_a_name_that_no_source_knows_keeps_no_signal(bank: Bank) -> None:
    """Such a file is refused without a signal: nothing is owed under it."""
    folder = bank.send("movements", GOOD, FIRST, signal=None).parent
    signal(folder, line(FIRST, GOOD), "who_knows.txt\n")
    assert (landed(bank), left(bank)) == ([("verified", None, 1)], [])


def test_a_file_that_was_away_for_a_moment_still_has_its_signal(bank: Bank) -> None:
    """It was claimed, is out of reach when it is opened, and is there again later: the second does not take the signal with it."""
    folder = send(bank)
    signal(folder, line(FIRST, GOOD), line(SECOND, OTHER), name="batch.ok")
    aside = folder / ".away"

    class Away(Folder):
        def open(self, arrived: Arrived) -> BinaryIO:
            if arrived.name == FIRST:
                (folder / FIRST).rename(aside)
                raise Gone(FIRST)
            return super().open(arrived)

    here, bank.inbox = bank.inbox, Away(bank.inbox.root)
    assert (landed(bank), left(bank)) == ([("verified", None, 2)], [".away", "batch.ok"])
    assert landed(bank) == [("refused", "vanished", None)]
    bank.inbox = here
    aside.rename(folder / FIRST)
    assert (landed(bank), left(bank)) == ([("verified", None, 1)], [])
