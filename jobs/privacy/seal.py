"""Sealing: raw files and unreadable lines are kept encrypted, in chunks, so that a file of any size needs constant
memory.

Layout of a sealed file: magic, length and name of the data key, 16 bytes of salt; then chunks of up to 1 MiB of clear
text, each with a 16-byte tag. Each file has a key of its own (HKDF of the data key and the salt). A chunk's nonce holds
its number and whether it is the last, so a file that was cut, reordered or mixed with another does not open.
"""

from __future__ import annotations

import io
import os
import secrets
import struct
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from jobs.privacy.keys import Keys

MAGIC = b"LLSEAL1\n"
CHUNK = 1 << 20
TAG = 16
SALT = 16


class SealBroken(Exception):
    """A sealed file or line does not open: cut, changed, or sealed under a key that is not there."""


class SealedWriter:
    """Writes bytes sealed to `path`. `close()` makes the file whole; until then, and after `discard()`, nothing stands
    under `path`.
    """

    def __init__(self, path: Path, keys: Keys):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
        head, self._cipher = _new_head(keys)
        self._file: BinaryIO = os.fdopen(os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._file.write(head)
        self._head, self._number, self._waiting = head, 0, b""

    def write(self, data: bytes) -> None:
        view, at = memoryview(self._waiting + data if self._waiting else data), 0
        # The last chunk is marked, so one chunk is always held back.
        while len(view) - at > CHUNK:
            self._put(view[at : at + CHUNK], last=False)
            at += CHUNK
        self._waiting = bytes(view[at:])

    def settle(self) -> None:
        """What was written so far is on the disk; `close()` has little left to wait for."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._put(self._waiting, last=True)
        self.settle()
        self._file.close()
        self._draft.replace(self.path)

    def discard(self) -> None:
        """Leaves nothing behind, also when the disk is full and what waits cannot be written."""
        with suppress(OSError):
            self._file.close()
        self._draft.unlink(missing_ok=True)

    def __enter__(self) -> SealedWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard()
        elif not self._file.closed:
            try:
                self.close()
            except BaseException:
                self.discard()
                raise

    def _put(self, data: bytes | memoryview, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, last), data, self._head))
        self._number += 1


class SealedReader(io.RawIOBase):
    """The clear bytes of a sealed file; may seek. Raises SealBroken at the first chunk that does not open."""

    def __init__(self, path: Path, keys: Keys):
        self._path = path
        self._file: BinaryIO = path.open("rb")
        try:
            self._head, self._cipher = _read_head(self._file, keys, path)
        except BaseException:
            self._file.close()
            raise
        body = path.stat().st_size - len(self._head)
        self._chunks = max(1, -(-body // (CHUNK + TAG)))
        self._size = body - self._chunks * TAG
        if self._size < 0:
            self._file.close()
            raise SealBroken(
                f"{path} is cut: {body} bytes after its head. Restore it from a backup or ask the sender again."
            )
        self._position, self._held, self._clear = 0, -1, b""
        self._chunk(self._chunks - 1)  # a cut file shows at once, not after half of it was used

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._position >= self._size:
            return 0
        number, start = divmod(self._position, CHUNK)
        part = self._chunk(number)[start : start + len(buffer)]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _chunk(self, number: int) -> bytes:
        if number != self._held:
            self._file.seek(len(self._head) + number * (CHUNK + TAG))
            data = self._file.read(CHUNK + TAG)
            try:
                self._clear = self._cipher.decrypt(_nonce(number, number == self._chunks - 1), data, self._head)
            except InvalidTag as error:
                what = f"{self._path} does not open at chunk {number + 1} of {self._chunks}"
                raise SealBroken(
                    f"{what}: it was cut or changed. Restore it from a backup or ask the sender again."
                ) from error
            self._held = number
        return self._clear


def open_sealed(path: Path, keys: Keys) -> BinaryIO:
    """The clear bytes of a sealed file as a buffered, seekable stream."""
    return io.BufferedReader(SealedReader(path, keys), CHUNK)  # type: ignore[return-value]


def seal_bytes(data: bytes, keys: Keys) -> bytes:
    """A short value (an unreadable line) sealed as one chunk."""
    head, cipher = _new_head(keys)
    return head + cipher.encrypt(_nonce(0, True), data, head)


def open_bytes(sealed: bytes, keys: Keys) -> bytes:
    """Raises SealBroken when the value was changed or its key is not there."""
    stream = io.BytesIO(sealed)
    head, cipher = _read_head(stream, keys, "a sealed value")
    try:
        return cipher.decrypt(_nonce(0, True), stream.read(), head)
    except InvalidTag as error:
        raise SealBroken("a sealed value does not open: it was changed") from error


def _nonce(number: int, last: bool) -> bytes:
    return struct.pack(">BxxxQ", last, number)


def _new_head(keys: Keys) -> tuple[bytes, AESGCM]:
    name, salt = keys.data_id.encode(), secrets.token_bytes(SALT)
    return MAGIC + bytes([len(name)]) + name + salt, _cipher(keys.data[keys.data_id], salt)


def _read_head(file: BinaryIO, keys: Keys, what: object) -> tuple[bytes, AESGCM]:
    magic = file.read(len(MAGIC) + 1)
    if magic[:-1] != MAGIC:
        raise SealBroken(f"{what} is not sealed by Ledgerlake")
    name = file.read(magic[-1])
    salt = file.read(SALT)
    key = keys.data.get(name.decode(errors="replace"))
    if key is None or len(salt) != SALT:
        raise SealBroken(
            f"{what} is sealed under the data key {name!r}, which is not in the key file. Restore the key file."
        )
    return magic + name + salt, _cipher(key, salt)


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt, b"ledgerlake sealed file").derive(key))
