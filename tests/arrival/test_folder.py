"""A folder as inbox: whatever names lie in it."""

from __future__ import annotations

import os
from pathlib import Path

from jobs.arrival.folder import Folder

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
