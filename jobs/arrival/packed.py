"""Archives (tar, tar.gz, zip): what is in them, one member after another, and what may not be in them.

An archive is a hostile thing until it is looked at: a member's name may lead out of its folder, a few bytes may become many, a link may point
anywhere. Nothing of it is ever written under a name of its own.
"""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from jobs.arrival.errors import Cut, Refused
from jobs.arrival.inbox import is_signal, shown
from jobs.bursting import RATIO, bursts
from jobs.contracts.formats import ArchiveFile

MOST_MEMBERS = 10_000
MOST_BYTES = 64 << 30
HELD = 1 << 17  # bytes at the beginning of a member that may be read again for nothing


@dataclass(frozen=True)
class Member:
    """A file in an archive: its name as the archive has it, and its clear size in bytes."""

    name: str
    size: int


def members(stream: BinaryIO, fmt: ArchiveFile) -> list[Member]:
    """All files in the archive, in their order. Raises Refused for what an archive may not hold and for one that holds no file, Cut for one that ends too early."""
    found = [member for member, _ in _walk(stream, fmt)]
    if all(is_signal(member.name) for member in found):
        raise Refused(
            "empty_archive",
            f"The {fmt.container} archive holds no file{' but signals' if found else ''}. Expected at least one, for it would count as unpacked and nothing came; pack it again and send it again, or "
            "send none where there is nothing to send.",
        )
    return found


def each(stream: BinaryIO, fmt: ArchiveFile) -> Iterator[tuple[Member, BinaryIO]]:
    """Each file with its bytes, which are to be read before the next one is asked for. What is wrong with them is told by Refused and Cut, too."""
    for member, content in _walk(stream, fmt):
        with io.BufferedReader(_Content(content, fmt), HELD) as buffered:
            yield member, cast(BinaryIO, buffered)


class _Content(io.RawIOBase):
    """A member's bytes; what its library raises while they are read is told as of the archive."""

    def __init__(self, content: BinaryIO, fmt: ArchiveFile):
        self._content, self._fmt = content, fmt

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._content.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _told(self._fmt):
            return self._content.seek(offset, whence)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        with _told(self._fmt):
            data = self._content.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def check_zip(archive: zipfile.ZipFile, packed: int) -> None:
    """Raises Refused for names that lead elsewhere, for too many members, and for few bytes that become many."""
    guard = _Guard(packed)
    for entry in archive.infolist():
        guard.see(entry.filename, entry.file_size)
        if entry.flag_bits & 1:
            raise Refused(
                "encrypted_member",
                f"The member {entry.filename} is encrypted with a password. Expected members that can be read; encrypt the whole "
                "file with PGP instead, and send it again.",
            )
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise _no_file(entry.filename)


class _Guard:
    """Looks at each member before anything of it is read."""

    def __init__(self, packed: int):
        self._packed, self._number, self._clear = packed, 0, 0
        self._names: set[str] = set()

    def see(self, name: str, size: int) -> None:
        self._number += 1
        self._clear += size
        parts = name.replace("\\", "/").split("/")
        if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name:
            raise Refused(
                "unsafe_member",
                f"The member {name!r} would be written outside of its folder. Expected plain names; treat this as an attack until the "
                "sender explains it.",
            )
        if name in self._names:
            raise Refused(
                "member_twice",
                f"The archive holds {name} twice. Expected each member once; pack it again and send it again.",
            )
        self._names.add(name)
        if self._number > MOST_MEMBERS:
            raise Refused(
                "bomb",
                f"The archive holds more than {MOST_MEMBERS} members. Expected fewer; ask the sender what this is.",
            )
        if self._clear > MOST_BYTES or bursts(self._packed, self._clear):
            raise Refused(
                "bomb",
                f"{self._packed} packed bytes say that they become {self._clear} at the member {name}. Expected at most {RATIO} to 1 and "
                f"{MOST_BYTES >> 30} GiB in all; ask the sender what this is.",
            )


def _walk(stream: BinaryIO, fmt: ArchiveFile) -> Iterator[tuple[Member, BinaryIO]]:
    size = stream.seek(0, 2)
    stream.seek(0)
    found = _zip(stream, size) if fmt.container == "zip" else _tar(stream, fmt, size)
    while True:
        with _told(fmt):
            one = next(found, None)
        if one is None:
            return
        yield one


@contextmanager
def _told(fmt: ArchiveFile) -> Iterator[None]:
    """The libraries raise whatever their parsers do: it becomes a refusal of the archive. What the disk does stays what it is."""
    try:
        yield
    except (Refused, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        why = f"{error}" or type(error).__name__
        if (
            isinstance(error, EOFError | zipfile.BadZipFile | tarfile.ReadError)
            or "end of" in why
            or "truncated" in why
        ):
            raise Cut(
                f"The {fmt.container} archive ends too early, is damaged, or is none: {why}. Expected a whole {fmt.container}; send it again."
            ) from error
        raise Refused(
            "bad_archive",
            f"The {fmt.container} archive cannot be read: {why}. Expected a {fmt.container} as every program packs it; pack it again and send it again.",
        ) from error


def _zip(stream: BinaryIO, size: int) -> Iterator[tuple[Member, BinaryIO]]:
    with zipfile.ZipFile(stream) as archive:
        check_zip(archive, size)
        for entry in archive.infolist():
            if not entry.is_dir():
                with archive.open(entry) as content:
                    # Some programs of Windows part folders as Windows does.
                    yield Member(entry.filename.replace("\\", "/"), entry.file_size), cast(BinaryIO, content)


def _tar(stream: BinaryIO, fmt: ArchiveFile, size: int) -> Iterator[tuple[Member, BinaryIO]]:
    guard = _Guard(size)
    with tarfile.open(fileobj=stream, mode="r:gz" if fmt.container == "tar.gz" else "r:") as archive:
        for entry in archive:
            name = shown(entry.name)
            guard.see(name, entry.size)
            if entry.isdir():
                continue
            content = archive.extractfile(entry) if entry.isreg() else None
            if content is None:
                raise _no_file(name)
            with content:
                yield Member(name, entry.size), cast(BinaryIO, content)
        _check_end(archive)


def _no_file(name: str) -> Refused:
    return Refused(
        "unsafe_member",
        f"The member {name} is no file but a link or a device. Expected plain files only; treat this as an attack until the sender explains it.",
    )


def _check_end(archive: tarfile.TarFile) -> None:
    """The library takes a header that it cannot read, or the end of the file, for the end of the archive: that has two blocks of zeros, and nothing but zeros behind
    them. Reading up to there also compares a gzip's checksum.
    """
    rest = archive.fileobj
    assert rest is not None
    rest.seek(archive.offset)
    zeros = 0
    while data := rest.read(1 << 20):
        if data.count(0) != len(data):
            raise Refused(
                "bad_archive",
                "The tar archive holds something behind its end, or a damaged header. Expected one whole archive; pack it again and send it again.",
            )
        zeros += len(data)
    if zeros < 2 * tarfile.BLOCKSIZE:
        raise Cut("The tar archive ends without its end mark. Expected a whole archive; send it again.")
