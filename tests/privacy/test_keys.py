"""Keys are made once, stay secret, and are never silently replaced."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from jobs.privacy.keys import KeysUnavailable, KmsWrap, load_keys, rotate_lookup


def test_made_at_first_start_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "keys.json"
    keys = load_keys(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    assert load_keys(path) == keys
    assert len({keys.party, keys.tombstone, *keys.data.values(), *keys.lookup.values()}) == 4
    assert [p.name for p in path.parent.iterdir()] == ["keys.json"]


def test_two_first_starts_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: load_keys(tmp_path / "keys.json"), range(16)))
    assert all(keys == made[0] for keys in made)


def test_keys_are_neither_shown_nor_pickled(tmp_path: Path) -> None:
    keys = load_keys(tmp_path / "keys.json")
    assert repr(keys) == "Keys(data_id='data-1', lookup_id='lookup-1')"
    with pytest.raises(TypeError, match="leave the process"):
        pickle.dumps(keys)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    load_keys(tmp_path / "keys.json")
    (tmp_path / "keys.json").chmod(0o644)
    with pytest.raises(KeysUnavailable, match=r"may be read by others \(mode 644\). Run: chmod 600"):
        load_keys(tmp_path / "keys.json")


def test_a_damaged_file_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    load_keys(path)
    path.write_text(path.read_text()[:100])
    with pytest.raises(KeysUnavailable, match=r"damaged.*Restore it from your backup"):
        load_keys(path)
    assert len(path.read_text()) == 100


def test_rotation_adds_a_lookup_key_and_changes_no_other(tmp_path: Path) -> None:
    before = load_keys(tmp_path / "keys.json")
    rotate_lookup(tmp_path / "keys.json")
    after = load_keys(tmp_path / "keys.json")
    assert (after.lookup_id, after.lookup["lookup-1"]) == ("lookup-2", before.lookup["lookup-1"])
    assert (after.party, after.data, after.tombstone) == (before.party, before.data, before.tombstone)
    assert after.party_id("core", "1") == before.party_id("core", "1") != after.party_id("sec", "1")


def test_keys_wrapped_by_a_kms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    path = tmp_path / "keys.json"
    with mock_aws():
        wrap = KmsWrap(boto3.client("kms").create_key()["KeyMetadata"]["KeyId"])
        keys = load_keys(path, wrap)
        assert keys.party.hex() not in path.read_text()
        assert load_keys(path) == keys  # the file says who opens it
    with pytest.raises(KeysUnavailable, match="wrapped by kms:"):
        load_keys(path, OtherWrap())


class OtherWrap:
    name = "other"

    def wrap(self, key: bytes) -> bytes:
        return key

    def unwrap(self, wrapped: bytes) -> bytes:
        return wrapped
