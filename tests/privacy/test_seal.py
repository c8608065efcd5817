"""What is sealed opens to the same bytes, and to nothing else."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from jobs.privacy.keys import Keys, load_keys
from jobs.privacy.seal import CHUNK, SealBroken, SealedWriter, open_bytes, open_sealed, seal_bytes


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return load_keys(tmp_path / "keys.json")


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_any_size_opens_again(tmp_path: Path, keys: Keys, size: int) -> None:
    content = bytes(i * 7 % 251 for i in range(size))
    with SealedWriter(tmp_path / "raw", keys) as seal:
        for start in range(0, size, 300_000):
            seal.write(content[start : start + 300_000])
    with open_sealed(tmp_path / "raw", keys) as stream:
        assert stream.read() == content
        stream.seek(max(0, size - 5))
        assert stream.read() == content[-5:]


def test_a_cut_changed_or_foreign_file_does_not_open(tmp_path: Path, keys: Keys) -> None:
    path = tmp_path / "raw"
    with SealedWriter(path, keys) as seal:
        seal.write(b"x" * (2 * CHUNK + 10))
    whole = path.read_bytes()
    for broken in (whole[:-1], whole[: -(10 + 16)], whole[:50] + b"!" + whole[51:], whole[:20], b"plain text"):
        path.write_bytes(broken)
        with pytest.raises(SealBroken), open_sealed(path, keys) as stream:
            stream.read()
    path.write_bytes(whole)
    with pytest.raises(SealBroken), open_sealed(path, load_keys(tmp_path / "other.json")) as stream:
        stream.read()


def test_nothing_stands_under_the_name_until_it_is_whole(tmp_path: Path, keys: Keys) -> None:
    with pytest.raises(RuntimeError), SealedWriter(tmp_path / "kept" / "raw", keys) as seal:
        seal.write(b"x" * 3 * CHUNK)
        assert not (tmp_path / "kept" / "raw").exists()
        raise RuntimeError
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_full_disk_at_the_last_moment_leaves_no_draft(
    tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"), SealedWriter(tmp_path / "raw", keys) as seal:
        seal.write(b"x")
    assert [file.name for file in tmp_path.iterdir()] == ["keys.json"]


def test_the_same_line_is_never_sealed_the_same_way(keys: Keys) -> None:
    one, two = seal_bytes(b"line", keys), seal_bytes(b"line", keys)
    assert one != two
    assert open_bytes(one, keys) == open_bytes(two, keys) == b"line"
    with pytest.raises(SealBroken):
        open_bytes(one[:-1] + b"!", keys)
