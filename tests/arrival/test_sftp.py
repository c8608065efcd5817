"""An inbox on a real OpenSSH server: files as in a folder, a pinned host key, and a server that goes away."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest

from jobs.arrival import sftp
from jobs.arrival.inbox import Gone, InboxUnavailable, Several, inbox_for
from jobs.arrival.sftp import Sftp
from jobs.arrival.sightings import sightings
from jobs.ledger import batches
from jobs.settings import inbox_variable, settings
from tests.arrival.conftest import DAY, Bank, movements
from tests.sshd import Server, sftp_server  # noqa: F401

NAME = f"CORE_b01_TXN_{DAY}_1.txt"
CONTENT = movements(("1", "10.00", "房租"), ("2", "2.50", "tea"))


@pytest.fixture
def server(sftp_server: Server, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:  # noqa: F811
    monkeypatch.setenv("LEDGERLAKE_SFTP_KEY", str(sftp_server.home / "user_key"))
    monkeypatch.setenv("LEDGERLAKE_SFTP_HOST_KEYS", str(sftp_server.home / "known_hosts"))
    monkeypatch.setattr(sftp, "WAIT", 3.0)
    settings.cache_clear()
    yield sftp_server
    shutil.rmtree(sftp_server.inbox)
    sftp_server.inbox.mkdir()
    sftp_server.give()


def over(bank: Bank, server: Server) -> Bank:
    return replace(bank, inbox=Sftp(server.uri))  # type: ignore[arg-type]


def send(server: Server, content: bytes = CONTENT, name: str = NAME) -> None:
    server.put(
        f"movements/b01/2026-09-15/{name}", content, signal_text=f"{name}|||{hashlib.sha256(content).hexdigest()}\n"
    )


def left(server: Server) -> list[str]:
    return sorted(p.name for p in server.inbox.rglob("*") if p.is_file())


def test_a_file_lands_and_leaves_the_server(bank: Bank, server: Server) -> None:
    send(server)
    [landed] = over(bank, server).land()
    assert (landed.state, landed.rows, str(landed.money)) == ("verified", 2, "12.50")
    assert bank.delivery(landed).uri == f"{server.uri}/movements/b01/2026-09-15/{NAME}"
    assert left(server) == []


def test_what_has_no_signal_or_is_being_written_is_left_there(bank: Bank, server: Server) -> None:
    server.put(f"movements/b01/2026-09-15/{NAME}", CONTENT)
    server.put(f"movements/b01/2026-09-15/{NAME}.part", CONTENT)
    assert over(bank, server).land() == []
    assert left(server) == [NAME, f"{NAME}.part"]
    [seen] = sightings(bank.catalog, over(bank, server).inbox)
    assert (seen["kind"], seen["entity"]) == ("file_without_signal", "b01")


def test_a_signal_without_its_file_is_seen(bank: Bank, server: Server) -> None:
    server.put(f"movements/b01/2026-09-15/{NAME}.ok", b"\n")
    [seen] = sightings(bank.catalog, over(bank, server).inbox)
    assert (seen["kind"], seen["path"]) == ("signal_without_file", f"movements/b01/2026-09-15/{NAME}")


def test_a_file_that_is_written_again_meanwhile_is_not_lost(server: Server, bank: Bank) -> None:
    send(server)
    inbox = Sftp(server.uri)
    [arrived] = inbox.waiting()
    send(server, movements(("9", "1.00", "new")))
    with pytest.raises(Gone, match="was written again"):
        inbox.open(arrived)
    inbox.remove(arrived)
    assert left(server) == [NAME, f"{NAME}.ok"]
    [landed] = over(bank, server).land()
    assert landed.rows == 1


def test_a_corrected_file_by_a_signal_of_the_same_time_is_read(bank: Bank, server: Server) -> None:
    signal = f"{NAME}\n"
    for content, found in ((CONTENT.replace(b"T|2|", b"T|9|"), "refused"), (CONTENT, "verified")):
        path = server.put(f"movements/b01/2026-09-15/{NAME}", content, signal_text=signal)
        os.utime(path.with_name(f"{NAME}.ok"), (1_790_000_000, 1_790_000_000))
        os.utime(path, (1_790_000_000, 1_790_000_000 + len(found)))
        assert [one.state for one in over(bank, server).land()] == [found]
        assert (over(bank, server).land(), left(server)) == ([], [])


def test_a_name_that_is_no_utf8_is_said_and_holds_no_other_inbox_up(bank: Bank, server: Server) -> None:
    odd = server.put(os.fsdecode("余额.csv".encode("gbk")), b"1")
    bank.send("movements", movements(("5", "5.00", "x"), branch="b02"), f"CORE_b02_TXN_{DAY}_1.txt", entity="b02")
    send(server)
    with pytest.raises(InboxUnavailable, match="has the name d3 e0 b6 ee 2e 63 73 76, which is no UTF-8"):
        Sftp(server.uri).waiting()
    both = replace(bank, inbox=Several(bank.inbox, Sftp(server.uri)))  # type: ignore[arg-type]
    assert [(one.entity, one.state) for one in both.land()] == [("b02", "verified")]
    odd.unlink()
    assert [(one.entity, one.state) for one in both.land()] == [("b01", "verified")]


def test_a_file_that_the_server_does_not_give_us_waits_and_no_other_for_it(bank: Bank, server: Server) -> None:
    if os.geteuid() != 0:
        pytest.skip("the server is ourselves, and lets us read what is ours")
    send(server)
    send(server, movements(("5", "5.00", "x"), branch="b02"), f"CORE_b02_TXN_{DAY}_1.txt")
    locked = server.inbox / "movements" / "b01" / "2026-09-15" / NAME
    os.chown(locked, 0, 0)
    locked.chmod(0o600)
    assert {(one.entity, one.state) for one in over(bank, server).land()} == {("b01", "arriving"), ("b02", "verified")}
    with bank.ledger.begin() as db:
        assert "the server does not let us" in batches.alerts(db)[0].message
    server.give()
    assert [(one.entity, one.state) for one in over(bank, server).land()] == [("b01", "verified")]


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o111], ids=["shut", "not to be entered", "not to be listed"])
def test_a_folder_that_the_server_does_not_give_us_waits_and_nothing_else_for_it(
    bank: Bank, server: Server, mode: int
) -> None:
    """The whole inbox was away for it. What was claimed there before is not gone."""
    send(server)
    name = f"CORE_b02_TXN_{DAY}_1.txt"
    content = movements(("5", "5.00", "x"), branch="b02")
    server.put(f"movements/b02/{name}", content, signal_text=f"{name}|||\n")
    server.put("movements/b03/a.csv", b"1", signal_text="a.csv|||\n")
    locked = server.inbox / "movements" / "b02"
    for folder in (locked, server.inbox / "movements" / "b03"):
        folder.chmod(mode)
    here = over(bank, server)
    try:
        assert [(one.entity, one.state) for one in here.land()] == [("b01", "verified")]
        assert here.land() == []
        with bank.ledger.begin() as db:
            told = sorted(alert.message for alert in batches.alerts(db))
        assert [f"/movements/{b} cannot be listed: the server does not let us" in one for b, one in zip(("b02", "b03"), told, strict=True)] == [True, True]  # fmt: skip
    finally:
        locked.chmod(0o755)
        shutil.rmtree(server.inbox / "movements" / "b03")
    assert [(one.entity, one.state) for one in here.land()] == [("b02", "verified")]
    assert here.inbox.unreachable == {}


def test_what_we_may_not_take_away_is_told_and_holds_nothing_else_up(bank: Bank, server: Server) -> None:
    """A partner who lets us read only: landing stopped at its first file, and at each look."""
    send(server)
    name = f"CORE_b02_TXN_{DAY}_1.txt"
    server.put(f"movements/b02/{name}", movements(("5", "5.00", "x"), branch="b02"), signal_text=f"{name}|||\n")
    folder = server.inbox / "movements" / "b01" / "2026-09-15"
    if os.geteuid() == 0:
        os.chown(folder, 0, 0)
    folder.chmod(0o555)
    here = over(bank, server)
    try:
        assert [(one.entity, one.state) for one in here.land()] == [("b01", "verified"), ("b02", "verified")]
        assert (here.land(), left(server)) == ([], [NAME, f"{NAME}.ok"])
        with bank.ledger.begin() as db:
            [told] = [alert.message for alert in batches.alerts(db)]
        assert f"{NAME} was taken in and cannot be taken away" in told and "let us write to its folder" in told
    finally:
        folder.chmod(0o755)
        server.give()
    assert (here.land(), left(server)) == ([], [])


def test_names_that_senders_give_are_taken_as_they_are(bank: Bank, server: Server) -> None:
    """Nobody knows these files: each is refused, kept and taken away, however odd its name. Links and pipes are not looked at."""
    odd = [
        "a b",
        "a%20b",
        "a?b",
        "a#b",
        "a;b",
        "é",
        "e\u0301",
        "'q'",
        "-rf",
        "*",
        "余额" * 41,
        "x" * 240,
        "a\\b",
        "a\nb",
    ]
    for name in odd:
        server.put(f"odd ö/%41/{name}.csv", b"1")
    deep = server.put("/".join(["d"] * 60) + "/deep.csv", b"1")
    (server.inbox / "loop").symlink_to(server.inbox)
    os.mkfifo(server.inbox / "pipe.csv")
    landed = over(bank, server).land()
    assert sorted(one.file_name for one in landed) == sorted([*(f"{name}.csv" for name in odd), deep.name])
    assert {one.state for one in landed} == {"refused"}
    assert left(server) == []


def test_an_inbox_that_is_not_there_is_said(server: Server) -> None:
    with pytest.raises(InboxUnavailable, match=r"/inbox/none does not answer as it should: .*No such file"):
        Sftp(f"{server.uri}/none").waiting()


def test_a_large_file_is_read_whole(bank: Bank, server: Server) -> None:
    content = movements(*[(str(n), "1.00", f"remark {n * 7919}") for n in range(60_000)])
    assert len(content) > 2 << 20
    send(server, content)
    [landed] = over(bank, server).land()
    assert (landed.state, landed.rows) == ("verified", 60_000)


def test_a_server_that_goes_away_is_one_clear_message_and_is_found_again(bank: Bank, server: Server) -> None:
    send(server)
    here = over(bank, server)
    assert len(here.inbox.waiting()) == 1
    server.stop()
    with pytest.raises(
        InboxUnavailable, match=r"The inbox sftp://\S+ does not answer as it should: .* what was sent waits there"
    ):
        here.land()
    with bank.ledger.begin() as db:
        [told] = batches.alerts(db)
    assert told.kind == "inbox_unavailable" and told.message.startswith(f"The inbox {server.uri} does not answer")
    server.start()
    assert [one.state for one in here.land()] == ["verified"]
    with bank.ledger.begin() as db:
        [over_now] = batches.alerts_told(db, 5)
    assert over_now.end == f"The inbox {server.uri} can be read again."


def test_a_host_key_that_is_not_the_pinned_one_is_refused(
    server: Server, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = server.home / "other_hosts"
    other.write_text(
        (server.home / "known_hosts").read_text().split()[0] + " " + (server.home / "other_key.pub").read_text()
    )
    for known in (other, server.home / "empty"):
        known.touch()
        monkeypatch.setenv("LEDGERLAKE_SFTP_HOST_KEYS", str(known))
        settings.cache_clear()
        with pytest.raises(InboxUnavailable, match=r"does not match|not found in known_hosts"):
            Sftp(server.uri).waiting()


def test_what_is_not_set_is_said(server: Server, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEDGERLAKE_SFTP_KEY")
    settings.cache_clear()
    with pytest.raises(InboxUnavailable, match="Set LEDGERLAKE_SFTP_KEY"):
        Sftp(server.uri).waiting()
    with pytest.raises(InboxUnavailable, match="is no sftp://user@host:port/path"):
        Sftp("sftp://host/inbox")


def test_a_key_that_the_server_does_not_know_is_said(
    server: Server, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGERLAKE_SFTP_KEY", str(server.home / "other_key"))
    settings.cache_clear()
    with pytest.raises(InboxUnavailable, match="Authentication failed"):
        Sftp(server.uri).waiting()


def test_a_bank_may_have_several_inboxes(server: Server, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(inbox_variable(bank.catalog.profile.profile), f"{bank.inbox.root}, {server.uri}")
    settings.cache_clear()
    inbox = inbox_for(bank.catalog.profile.profile)
    assert isinstance(inbox, Several)
    send(server)
    bank.send("movements", movements(("5", "5.00", "x"), branch="b02"), f"CORE_b02_TXN_{DAY}_1.txt", entity="b02")
    both = replace(bank, inbox=inbox)  # type: ignore[arg-type]
    assert [(one.entity, one.state) for one in both.land()] == [("b01", "verified"), ("b02", "verified")]
    assert left(server) == [] and bank.waiting() == []


def test_a_server_that_is_away_holds_no_other_inbox_up(server: Server, bank: Bank) -> None:
    bank.send("movements", movements(("5", "5.00", "x"), branch="b02"), f"CORE_b02_TXN_{DAY}_1.txt", entity="b02")
    send(server)
    both = replace(bank, inbox=Several(bank.inbox, Sftp(server.uri)))  # type: ignore[arg-type]
    server.stop()
    assert [one.state for one in both.land()] == ["verified"]
    with bank.ledger.begin() as db:
        assert "what was sent waits there" in batches.alerts(db)[0].message
    server.start()
    assert [one.state for one in both.land()] == ["verified"]


def test_a_password_has_no_place_in_the_address() -> None:
    with pytest.raises(InboxUnavailable, match="has no password") as told:
        Sftp("sftp://bob:S3cret@host/inbox")
    assert "S3cret" not in str(told.value)


def test_a_signal_of_a_batch_goes_with_its_last_file(bank: Bank, server: Server) -> None:
    names = [f"CORE_b01_TXN_{DAY}_{n}.txt" for n in (1, 2)]
    contents = [CONTENT, movements(("9", "5.00", ""))]
    server.put(f"movements/b01/2026-09-15/{names[0]}", contents[0])
    text = "".join(f"{name}|||{hashlib.sha256(c).hexdigest()}\n" for name, c in zip(names, contents, strict=True))
    server.put("movements/b01/2026-09-15/batch.ok", text.encode())
    assert [one.state for one in over(bank, server).land()] == ["verified"]
    assert left(server) == ["batch.ok"]  # the second is still to come
    server.put(f"movements/b01/2026-09-15/{names[1]}", contents[1])
    assert [one.state for one in over(bank, server).land()] == ["verified"]
    assert left(server) == []
