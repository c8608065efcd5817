"""Archives: each member a delivery of its own; what may not be in one; a run that dies in between; the same archive again."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pysequoia
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.arrival import packed
from jobs.arrival.errors import Refused
from jobs.arrival.outcomes import Landed
from jobs.contracts.files import Files
from jobs.contracts.formats import ArchiveFile
from jobs.ledger import batches, deliveries
from jobs.privacy import pgp
from jobs.privacy.seal import open_sealed
from tests.arrival.conftest import DAY, Bank, movements, source

FIRST, SECOND = f"CORE_b01_TXN_{DAY}_1.txt", f"CORE_b02_TXN_{DAY}_1.txt"
ARCHIVE = f"CORE_HO_ALL_{DAY}_1.tar.gz"


def tar(*members: tuple[str, bytes], mode: str = "w:gz") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def zipped(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


@pytest.fixture
def packing(bank: Bank) -> Bank:
    """The bank, with a head office that packs what its branches send."""
    new = [
        source(
            "core_all",
            "CORE_{entity}_ALL_{date}_{seq}.tar.gz",
            {"kind": "archive", "container": "tar.gz"},
            schedule={"required": False},
        ),
        source(
            "core_zip",
            "CORE_{entity}_ALL_{date}_{seq}.zip",
            {"kind": "archive", "container": "zip"},
            schedule={"required": False},
        ),
    ]
    sources = {**bank.catalog.sources, **{s.feed: s for s in new}}
    return replace(bank, catalog=replace(bank.catalog, sources=sources))


def for_the_bank(content: bytes) -> bytes:
    return pysequoia.encrypt(content, recipients=[pysequoia.Cert.from_bytes(pgp.public_key().encode())], armor=False)


def with_pgp(bank: Bank, feed: str) -> Bank:
    files = bank.catalog.sources[feed].files
    return bank.with_source(feed, files=files.model_copy(update={"encrypted": "pgp"}))


def b01(*rows: tuple[str, str, str], **more: Any) -> bytes:
    return movements(*rows or (("1", "10.00", "rent"),), branch="b01", **more)


def b02(*rows: tuple[str, str, str], **more: Any) -> bytes:
    return movements(*rows or (("7", "2.50", "tea"),), branch="b02", **more)


def test_each_member_is_a_delivery_of_its_own(packing: Bank) -> None:
    packing.send("core_all", tar((FIRST, b01()), (f"sub/{SECOND}", b02())), ARCHIVE, entity="HO")
    landed = packing.land()
    assert [(one.feed, one.entity, one.state, one.rows) for one in landed] == [
        ("movements", "b01", "verified", 1),
        ("movements", "b02", "verified", 1),
        ("core_all", "HO", "loaded", None),
    ]
    assert landed[2].reason == "unpacked: 2 members"
    archive, first = packing.delivery(landed[2]), packing.delivery(landed[0])
    assert first.part_of == archive.delivery_id
    assert first.uri == f"{archive.uri}!/{FIRST}"
    assert packing.rows(landed[1])[0]["amount"] == "2.50"
    assert packing.waiting() == []


@pytest.mark.parametrize("inside", [True, False], ids=["a signal in the archive", "a signal of the archive"])
def test_a_member_is_compared_with_what_a_signal_says_of_it(packing: Bank, inside: bool) -> None:
    said = f"{FIRST}|1|10.00|\n{SECOND}|2|2.50|\n"  # the second has one record
    members = [(FIRST, b01()), (SECOND, b02())]
    content = tar(*members, *([("members.OK", said.encode())] if inside else []))
    packing.send("core_all", content, ARCHIVE, entity="HO", signal="" if inside else said)
    landed = packing.land()
    assert [(one.entity, one.state, one.cause) for one in landed] == [
        ("b01", "verified", None),
        ("b02", "refused", "signal_count"),
        ("HO", "partly_loaded", None),
    ]
    assert landed[2].reason == "unpacked: 2 members, 1 of them refused"


def test_a_signal_of_two_archives_waits_for_the_second_and_for_no_member(packing: Bank) -> None:
    """It names their members too, which come in them and never by themselves."""
    second = ARCHIVE.replace("_1.tar", "_2.tar")
    folder = packing.send("core_all", tar((FIRST, b01())), ARCHIVE, entity="HO", signal=None).parent
    (folder / "batch.ok").write_text("".join(f"{name}\n" for name in (ARCHIVE, FIRST, second, SECOND)))
    assert [one.state for one in packing.land()] == ["verified", "loaded"]
    assert packing.waiting() == ["batch.ok"]
    packing.send("core_all", tar((SECOND, b02())), second, entity="HO", signal=None)
    assert [one.state for one in packing.land()] == ["verified", "loaded"]
    assert packing.waiting() == []


def test_the_archive_itself_is_compared_with_its_signal(packing: Bank) -> None:
    content = tar((FIRST, b01()))
    packing.send("core_all", content, ARCHIVE, entity="HO", signal=f"{ARCHIVE}|2||")
    [landed] = packing.land()
    assert (landed.state, landed.cause) == ("refused", "signal_count")
    packing.send("core_all", content, ARCHIVE, entity="HO", signal=f"{ARCHIVE}|||{'0' * 64}")
    [landed] = packing.land()
    assert (landed.state, landed.cause) == ("refused", "ok_hash")
    assert len(packing.cases()) == 2
    packing.send("core_all", content, ARCHIVE, entity="HO")
    assert [one.state for one in packing.land()] == ["verified", "loaded"]
    assert packing.cases() == []  # both were settled by the good one


def test_a_member_that_nobody_knows_or_that_is_an_archive_is_refused_alone(packing: Bank) -> None:
    nested = tar((FIRST, b01()))
    content = zipped((FIRST, b01()), ("readme.txt", b"hello"), (ARCHIVE, nested))
    packing.send("core_zip", content, f"CORE_HO_ALL_{DAY}_1.zip", entity="HO")
    assert [(one.file_name, one.state, one.cause) for one in packing.land()] == [
        (FIRST, "verified", None),
        ("readme.txt", "refused", "unknown_file"),
        (ARCHIVE, "refused", "nested_archive"),
        (f"CORE_HO_ALL_{DAY}_1.zip", "partly_loaded", None),
    ]


def test_the_same_archive_again_changes_nothing(packing: Bank) -> None:
    content = tar((FIRST, b01()), (SECOND, b02()))
    packing.send("core_all", content, ARCHIVE, entity="HO")
    packing.land()
    packing.send("core_all", content, f"CORE_HO_ALL_{DAY}_2.tar.gz", entity="HO")
    assert [one.state for one in packing.land("run-2")] == ["ignored_duplicate", "ignored_duplicate", "loaded"]


def test_a_corrected_archive_brings_only_what_changed(packing: Bank) -> None:
    packing.send("core_all", tar((FIRST, b01()), (SECOND, b02(count=5))), ARCHIVE, entity="HO")
    assert [one.state for one in packing.land()] == ["verified", "refused", "partly_loaded"]
    packing.send("core_all", tar((FIRST, b01()), (SECOND, b02())), ARCHIVE, entity="HO")
    assert [one.state for one in packing.land("run-2")] == ["ignored_duplicate", "verified", "loaded"]


def test_a_corrected_archive_by_a_signal_of_the_same_time_is_read(packing: Bank) -> None:
    for second, found in ((b02(count=5), ["verified", "refused", "partly_loaded"]), (b02(), ["verified", "loaded"])):
        path = packing.send("core_all", tar((FIRST, b01()), (SECOND, second)), ARCHIVE, entity="HO", signal=ARCHIVE)
        os.utime(path.with_name(f"{ARCHIVE}.ok"), (1_790_000_000, 1_790_000_000))
        assert [one.state for one in packing.land() if one.state != "ignored_duplicate"] == found
        assert packing.waiting() == []


def test_members_have_the_version_of_their_archive(packing: Bank) -> None:
    """Version 2 of the archive, then version 1: of the branch that both bring version 2 counts, of the other the only one there is."""
    names = Files(pattern="CORE_{entity}_ALL_{date}_{seq}_v{version}.tar.gz")
    bank = packing.with_source("core_all", files=names)
    bank.send("core_all", tar((FIRST, b01())), f"CORE_HO_ALL_{DAY}_1_v2.tar.gz", entity="HO")
    first, _ = bank.land()
    with bank.ledger.begin() as db:
        deliveries.go_live(db, first.delivery_id, 1, "run-1", dates=[], totals={})
    corrected = b01(("1", "77.00", ""))
    bank.send("core_all", tar((FIRST, corrected), (SECOND, b02())), f"CORE_HO_ALL_{DAY}_1_v1.tar.gz", entity="HO")
    assert [one.state for one in bank.land("run-2")] == ["superseded", "verified", "loaded"]
    with bank.ledger.begin() as db:
        assert sorted((d.file_name, d.version) for d in deliveries.find(db, feed="movements")) == [
            (FIRST, 1),
            (FIRST, 2),
            (SECOND, 1),
        ]


VERSIONED = "CORE_{entity}_ALL_{date}_{seq}_v{version}.tar.gz"


def comes(bank: Bank, version: int, *members: tuple[str, bytes], passes: bool = True) -> list[str]:
    """A version of the archive lands; the gates of its members pass."""
    name = VERSIONED.format(entity="HO", date=DAY, seq=1, version=version)
    bank.send("core_all", tar(*members), name, entity="HO")
    landed = bank.land(f"run-{version}")
    for one in landed:
        if passes and one.state == "verified":
            goes_live(bank, one)
    return [one.state for one in landed]


def goes_live(bank: Bank, member: Landed) -> None:
    with bank.ledger.begin() as db:
        batch = int(member.delivery_id.removeprefix("D"))
        deliveries.go_live(db, member.delivery_id, batch, "run-9", dates=[], totals={"accepted_rows": 1})


def versions_of(bank: Bank) -> list[tuple[int, str]]:
    """Version and state of each archive, in the order of their arrival."""
    with bank.ledger.begin() as db:
        return [(d.version, d.state) for d in deliveries.find(db, feed="core_all")]


def changed(amount: str) -> list[tuple[str, bytes]]:
    return [(FIRST, b01(("1", amount, ""))), (SECOND, b02(("1", amount, "")))]


def test_an_archive_says_what_its_members_say_of_its_version(packing: Bank) -> None:
    """Version 2, then version 1 late, then version 3: of version 1 nothing ever counts, of version 2 nothing after version 3."""
    bank = packing.with_source("core_all", files=Files(pattern=VERSIONED))
    assert comes(bank, 2, *changed("2.00")) == ["verified", "verified", "loaded"]
    assert comes(bank, 1, *changed("1.00")) == ["superseded", "superseded", "superseded"]
    with bank.ledger.begin() as db:
        second, first = deliveries.find(db, feed="core_all")
        assert first.superseded_by == second.delivery_id
        assert first.reason == f"version 1, and version 2 counts: {second.delivery_id} ({second.file_name})"
    assert comes(bank, 0) == ["superseded"]  # nothing is in it
    assert comes(bank, 3, changed("3.00")[0]) == ["verified", "loaded"]
    late = [(1, "superseded"), (0, "superseded")]
    assert versions_of(bank) == [(2, "loaded"), *late, (3, "loaded")]  # a member of version 2 still counts
    assert comes(bank, 4, *changed("4.00")) == ["verified", "verified", "loaded"]
    assert versions_of(bank) == [(2, "superseded"), *late, (3, "superseded"), (4, "loaded")]


def test_an_archive_of_a_lower_version_counts_until_the_members_of_the_higher_one_do(packing: Bank) -> None:
    bank = packing.with_source("core_all", files=Files(pattern=VERSIONED))
    comes(bank, 2, *changed("2.00"), passes=False)
    assert comes(bank, 1, *changed("1.00")) == ["verified", "verified", "loaded"]
    assert versions_of(bank) == [(2, "loaded"), (1, "loaded")]
    with bank.ledger.begin() as db:
        waiting = deliveries.find(db, feed="movements", states=["verified"])
    for member in waiting:
        goes_live(bank, member)  # type: ignore[arg-type]
    assert versions_of(bank) == [(2, "loaded"), (1, "superseded")]


def test_an_archive_whose_members_came_by_themselves_answers_its_lane(packing: Bank) -> None:
    """Its members' later files count; no other archive of the lane came, and none is owed."""
    bank = packing.with_source("core_all", files=Files(pattern=VERSIONED)).with_source(
        "movements", files=Files(pattern="CORE_{entity}_TXN_{date}_{seq}[_v{version}].txt")
    )
    bank.send("movements", b01(("1", "2.00", "")), f"CORE_b01_TXN_{DAY}_1_v2.txt")
    [single] = bank.land()
    goes_live(bank, single)
    bank.send("core_all", tar((FIRST, b01())), f"CORE_HO_ALL_{DAY}_1_v1.tar.gz", entity="HO")
    member, archive = bank.land()
    assert (member.state, archive.state) == ("superseded", "loaded")
    assert archive.reason == "unpacked: 1 members, 1 of them superseded"


def test_a_run_that_dies_between_two_members_is_gone_on_with(packing: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    packing.send("core_all", tar((FIRST, b01()), (SECOND, b02())), ARCHIVE, entity="HO")

    class Died(BaseException):
        pass

    def progress(landed: Any) -> None:
        raise Died

    with pytest.raises(Died):
        packing.land(progress=progress)
    with packing.ledger.begin() as db:
        assert [(d.entity, d.state) for d in deliveries.find(db)] == [("HO", "arriving"), ("b01", "verified")]
    assert [(one.entity, one.state) for one in packing.land("run-2")] == [
        ("b01", "verified"),
        ("b02", "verified"),
        ("HO", "loaded"),
    ]
    with packing.ledger.begin() as db:
        assert len(deliveries.find(db)) == 3


def test_members_vanish_with_their_archive(packing: Bank) -> None:
    path = packing.send("core_all", tar((FIRST, b01()), (SECOND, b02())), ARCHIVE, entity="HO")

    class Died(BaseException):
        pass

    def after_the_claim(landed: Any) -> None:
        raise Died

    with pytest.raises(Died):
        packing.land(progress=after_the_claim)
    with packing.ledger.begin() as db:
        member = deliveries.find(db, entity="b01")[0]
        deliveries.set_state(db, member.delivery_id, "arriving", "run-1")  # as if it had died a moment earlier
    path.unlink()
    path.with_name(path.name + ".ok").unlink()
    assert [(one.entity, one.state, one.cause) for one in packing.land("run-2")] == [
        ("HO", "refused", "vanished"),
        ("b01", "refused", "vanished"),
    ]
    packing.send("core_all", tar((FIRST, b01()), (SECOND, b02())), ARCHIVE, entity="HO")
    assert [(one.entity, one.state) for one in packing.land("run-3")][-1] == ("HO", "loaded")


def test_nothing_of_an_archive_with_a_forbidden_column_is_kept(packing: Bank) -> None:
    events = gzip.compress(b'{"event_id":"e1","payload":{"cvv2":"123"}}\n')
    packing.send("core_all", tar((FIRST, b01()), (f"APP_app_EVT_{DAY}_1.jsonl.gz", events)), ARCHIVE, entity="HO")
    landed = packing.land()
    assert [(one.state, one.cause) for one in landed] == [
        ("verified", None),
        ("refused", "c3_column"),
        ("partly_loaded", None),
    ]
    assert packing.delivery(landed[2]).raw_uri is None
    assert packing.stored() == sorted([f"{landed[0].delivery_id}.sealed", f"{landed[0].delivery_id}.parquet"])


# --- archives that are damaged, and those that are sent again ---------------------------------------------------------


def test_a_tar_that_ends_or_breaks_between_its_members_is_never_taken_for_whole() -> None:
    whole = tar(("a.txt", b"1" * 700), ("b.txt", b"2" * 700), ("c.txt", b"3" * 700), mode="w:")
    second = 512 + 1024
    damaged = whole[: second + 10] + b"X" + whole[second + 11 :]
    for content in (whole[:second], whole[: second + 100], damaged, whole + whole):
        with pytest.raises(Refused) as refusal:
            members(content, "tar")
        assert refusal.value.cause in ("truncated", "bad_archive")
    packed_whole = gzip.compress(whole, mtime=0)
    data = bytearray(packed_whole)
    data[-6] ^= 1  # the checksum
    for content in (bytes(data), packed_whole[:-8], gzip.compress(damaged), packed_whole + packed_whole):
        with pytest.raises(Refused):
            members(content, "tar.gz")


def test_a_zip_whose_bytes_are_damaged_is_refused_and_stops_nobody_else(packing: Bank) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(FIRST, b01())
    content = bytearray(file.getvalue())
    content[content.index(b"rent")] ^= 1
    packing.send("core_zip", bytes(content), f"CORE_HO_ALL_{DAY}_1.zip", entity="HO")
    packing.send("movements", b02(), SECOND, entity="b02")
    states = {(one.entity, one.state, one.cause) for one in packing.land()}
    assert states == {("b01", "refused", "truncated"), ("HO", "partly_loaded", None), ("b02", "verified", None)}
    assert packing.waiting() == []


def test_a_corrected_archive_whose_signal_says_the_same_is_read_anew(packing: Bank) -> None:
    said = ("members.OK", f"{FIRST}|1||\n".encode())
    packing.send("core_all", tar((FIRST, b01(("1", "10.00", "x"))), said), ARCHIVE, entity="HO")
    packing.land()
    packing.send("core_all", tar((FIRST, b01(("1", "99.00", "x"))), said), ARCHIVE, entity="HO")
    landed = packing.land("run-2")
    assert [(one.state, one.rows) for one in landed] == [("verified", 1), ("loaded", None)]
    assert packing.rows(landed[0])[0]["amount"] == "99.00"


def test_nothing_forbidden_stays_when_a_run_dies_in_the_middle(packing: Bank) -> None:
    events = gzip.compress(b'{"event_id":"e1","payload":{"cvv2":"123"}}\n')
    packing.send("core_all", tar((f"APP_app_EVT_{DAY}_1.jsonl.gz", events), (FIRST, b01())), ARCHIVE, entity="HO")

    class Died(BaseException):
        pass

    def die(landed: Any) -> None:
        raise Died

    with pytest.raises(Died):
        packing.land(progress=die)
    landed = packing.land("run-2")
    assert [one.state for one in landed] == ["refused", "verified", "partly_loaded"]
    assert packing.delivery(landed[2]).raw_uri is None
    assert [name for name in packing.stored() if name.startswith(landed[2].delivery_id)] == []


def test_a_mistake_of_ours_in_one_file_stops_no_other(packing: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    packing.send("movements", b01(), FIRST)
    packing.send("tickets", b"ticket_no,service,note\n1,loan,x\n", f"QUE_b01_TIC_{DAY}_1.csv")

    def broken(*_: Any) -> None:
        raise IndexError("list index out of range")

    with monkeypatch.context() as patch:
        patch.setattr("jobs.arrival.intake.LaneCheck.header", lambda self, header: broken() if header else None)
        assert sorted(one.state for one in packing.land()) == ["arriving", "verified"]
    with packing.ledger.begin() as db:
        [alert] = batches.alerts(db)
    assert "could not be read for a mistake of ours: IndexError" in alert.message
    assert [one.state for one in packing.land("run-2")] == ["verified"]


# --- encrypted for the bank -------------------------------------------------------------------------------------------


def test_an_encrypted_file_and_an_encrypted_archive(packing: Bank) -> None:
    bank = with_pgp(with_pgp(packing, "core_all"), "tickets")
    tickets = b'ticket_no,service,note\n1,loan,"a, b"\n'
    bank.send("tickets", for_the_bank(tickets), f"QUE_b01_TIC_{DAY}_1.csv")
    bank.send("core_all", for_the_bank(tar((FIRST, b01()))), ARCHIVE, entity="HO")
    landed = bank.land()
    assert [(one.feed, one.state) for one in landed] == [
        ("movements", "verified"),
        ("core_all", "loaded"),
        ("tickets", "verified"),
    ]
    assert bank.rows(landed[2])[0]["note"] == "a, b"
    # Kept is what was sent, and nothing that is clear.
    with open_sealed(Path(bank.delivery(landed[2]).raw_uri), bank.keys) as kept:
        assert kept.read() != tickets
    assert not [name for name in bank.stored() if "clear" in name]


def test_what_cannot_be_decrypted_is_refused(packing: Bank) -> None:
    bank = with_pgp(with_pgp(packing, "core_all"), "tickets")
    bank.send("tickets", b"ticket_no,service,note\n1,loan,x\n", f"QUE_b01_TIC_{DAY}_1.csv")
    bank.send("core_all", for_the_bank(tar((FIRST, b01())))[:-50], ARCHIVE, entity="HO", signal=f"{ARCHIVE}|||")
    landed = bank.land()
    assert [(one.state, one.cause) for one in landed] == [("refused", "not_decrypted")] * 2
    assert "give the sender the output of `ledgerlake pgp-key`" in str(landed[0].reason)


def test_nothing_of_an_encrypted_file_with_a_forbidden_column_is_kept(packing: Bank) -> None:
    bank = with_pgp(packing, "tickets")
    bank.send("tickets", for_the_bank(b"ticket_no,service,note,cvv2\n1,loan,x,123\n"), f"QUE_b01_TIC_{DAY}_1.csv")
    [landed] = bank.land()
    assert (landed.state, landed.cause) == ("refused", "c3_column")
    assert bank.stored() == []


# --- what may not be in an archive ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../../etc/x", "/etc/x", "a/../../x", "C:\\x", "..\\x"])
@pytest.mark.parametrize("pack", [tar, zipped])
def test_a_name_that_leads_out_is_refused(packing: Bank, name: str, pack: Any) -> None:
    feed, ending = ("core_all", "tar.gz") if pack is tar else ("core_zip", "zip")
    packing.send(feed, pack((FIRST, b01()), (name, b"x")), f"CORE_HO_ALL_{DAY}_1.{ending}", entity="HO")
    [landed] = packing.land()
    assert (landed.state, landed.cause) == ("refused", "unsafe_member")
    assert "would be written outside" in str(landed.reason)
    with packing.ledger.begin() as db:
        assert len(deliveries.find(db)) == 1  # not even the good member was taken


def test_links_and_devices_are_refused() -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as archive:
            entry = tarfile.TarInfo("a.txt")
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
        with pytest.raises(Refused, match=r"a\.txt is no file but a link or a device"):
            members(file.getvalue(), "tar")


def test_a_link_in_a_zip_is_refused() -> None:
    link = zipfile.ZipInfo("a.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(Refused, match=r"a\.txt is no file but a link or a device"):
        members(file.getvalue(), "zip")


def test_a_members_name_that_is_no_utf8_can_be_kept(packing: Bank) -> None:
    name = os.fsdecode("余额.csv".encode("gbk"))
    assert members(tar((name, b"1")), "tar.gz") == ["%D3%E0%B6%EE.csv"]
    packing.send("core_all", tar((FIRST, b01()), (name, b"1")), ARCHIVE, entity="HO")
    assert [(one.state, one.cause) for one in packing.land()] == [
        ("verified", None),
        ("refused", "unknown_file"),
        ("partly_loaded", None),
    ]


def test_folders_may_be_parted_as_windows_does() -> None:
    assert members(zipped(("day\\a.txt", b"1"), ("day/b.txt", b"2")), "zip") == ["day/a.txt", "day/b.txt"]


@pytest.mark.parametrize("pack", [tar, zipped])
def test_an_archive_that_holds_no_file_is_not_taken_for_unpacked(packing: Bank, pack: Any) -> None:
    feed, name = ("core_all", ARCHIVE) if pack is tar else ("core_zip", ARCHIVE.replace("tar.gz", "zip"))
    packing.send(feed, pack(), name, entity="HO")
    [landed] = packing.land()
    assert (landed.state, landed.cause) == ("refused", "empty_archive")
    assert f"The {'tar.gz' if pack is tar else 'zip'} archive holds no file. Expected at least one" in str(
        landed.reason
    )
    packing.send(feed, pack(("members.ok", b"nothing")), name, entity="HO")
    [landed] = packing.land()
    assert "holds no file but signals" in str(landed.reason)


def test_bombs_are_refused_before_they_burst() -> None:
    zeros = b"\0" * (80 << 20)
    for content, container in ((zipped(("a", zeros)), "zip"), (tar(("a", zeros)), "tar.gz")):
        with pytest.raises(Refused) as refusal:
            members(content, container)
        assert refusal.value.cause == "bomb"


def test_too_many_members_and_the_same_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "MOST_MEMBERS", 3)
    with pytest.raises(Refused, match="more than 3 members"):
        members(tar(*[(f"m{n}", b"") for n in range(4)]), "tar.gz")
    with pytest.raises(Refused, match="holds a twice"):
        members(tar(("a", b"1"), ("a", b"2")), "tar.gz")


def test_an_encrypted_zip_is_refused() -> None:
    content = bytearray(zipped(("a", b"1")))
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + flags] |= 1
    with pytest.raises(Refused, match="encrypted with a password"):
        members(bytes(content), "zip")


def test_a_cut_archive_waits_and_is_then_refused(packing: Bank) -> None:
    content = tar((FIRST, b01(*[(str(n), "1.00", f"remark {n * 7919}") for n in range(400)])))
    packing.send("core_all", content[: len(content) // 2], ARCHIVE, entity="HO", signal=f"{ARCHIVE}|||")
    assert [one.state for one in packing.land(settle_seconds=60.0)] == ["arriving"]
    [landed] = packing.land()
    assert (landed.state, landed.cause) == ("refused", "truncated")


def members(content: bytes, container: str) -> list[str]:
    fmt = ArchiveFile.model_validate({"kind": "archive", "container": container})
    return [m.name for m in packed.members(io.BytesIO(content), fmt)]


@given(
    st.binary(max_size=200),
    st.sampled_from(["zip", "tar", "tar.gz"]),
    st.sampled_from([b"", b"PK\3\4", b"\x1f\x8b\x08", b"PK\5\6"]),
)
def test_random_bytes_never_crash_it(content: bytes, container: str, begin: bytes) -> None:
    try:
        members(begin + content, container)
    except Refused as refusal:
        assert refusal.cause in (
            "truncated",
            "bad_archive",
            "unsafe_member",
            "bomb",
            "member_twice",
            "encrypted_member",
            "empty_archive",
        )


@given(
    st.dictionaries(
        st.text("abc/", min_size=1, max_size=6).filter(lambda n: n.strip("/") == n and "//" not in n),
        st.binary(max_size=300),
        max_size=5,
    )
)
def test_what_was_packed_is_unpacked(content: dict[str, bytes]) -> None:
    for container, made in (
        ("zip", zipped(*content.items())),
        ("tar", tar(*content.items(), mode="w:")),
        ("tar.gz", tar(*content.items())),
    ):
        fmt = ArchiveFile.model_validate({"kind": "archive", "container": container})
        found = {m.name: stream.read() for m, stream in packed.each(io.BytesIO(made), fmt)}
        assert found == content
