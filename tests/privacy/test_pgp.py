"""Files encrypted with OpenPGP: only the bank opens them, and what is clear never lies on the disk."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pysequoia
import pytest

from jobs.privacy import pgp
from jobs.privacy.keys import KeysUnavailable, load_keys


def encrypted(content: bytes, *, armor: bool = False) -> bytes:
    return pysequoia.encrypt(content, recipients=[pysequoia.Cert.from_bytes(pgp.public_key().encode())], armor=armor)


def opened(message: bytes, home: Path) -> bytes:
    folder = home / "raw"
    folder.mkdir(exist_ok=True)
    with pgp.clear(io.BytesIO(message), folder / "draft", load_keys()) as stream:
        first = stream.read()
        stream.seek(0)
        assert stream.read() == first
        assert first[:40] not in (folder / "draft").read_bytes()
    assert list(folder.iterdir()) == []
    return first


@pytest.mark.parametrize("size", [40, 3_000_000])
@pytest.mark.parametrize("armor", [True, False])
def test_what_a_sender_encrypts_the_bank_opens(installation: Path, tmp_path: Path, size: int, armor: bool) -> None:
    content = os.urandom(size)
    assert opened(encrypted(content, armor=armor), tmp_path) == content


def test_the_key_that_is_given_away_is_the_public_half(installation: Path) -> None:
    assert pgp.public_key().startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----")
    assert "PRIVATE" not in pgp.public_key()
    assert "PRIVATE" in pgp.key_file().read_text()
    assert pgp.key_file().stat().st_mode & 0o077 == 0
    assert pgp.public_key() == pgp.public_key()


def test_a_key_that_others_can_read_is_not_used(installation: Path) -> None:
    pgp.public_key()
    pgp.key_file().chmod(0o644)
    try:
        with pytest.raises(KeysUnavailable, match="chmod 600"):
            pgp.public_key()
    finally:
        pgp.key_file().chmod(0o600)


def test_what_is_not_for_us_is_said_and_nothing_stays(installation: Path, tmp_path: Path) -> None:
    whole = encrypted(os.urandom(100_000))
    stranger = pysequoia.encrypt(b"x", recipients=[pysequoia.Tsk.generate("stranger").extract_certificate()])
    changed = whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]
    for message in (whole[:-100], whole[:2000], b"hello", b"", changed, stranger):
        with pytest.raises(pgp.NotForUs):
            opened(message, tmp_path)
        assert list((tmp_path / "raw").iterdir()) == []


def test_what_the_inbox_raises_is_raised(installation: Path, tmp_path: Path) -> None:
    class Gone(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise ConnectionError("the file left the inbox")

    with pytest.raises(ConnectionError, match="left the inbox"), pgp.clear(Gone(), tmp_path / "draft", load_keys()):
        pass
