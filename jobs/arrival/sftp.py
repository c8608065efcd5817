"""A folder on an SFTP server as inbox, for partners who send to a server of ours or let us fetch from theirs.

The server's host key is pinned, and we show a key of our own: no password, no key that is trusted when it is first seen. The server keeps times by the second.
"""

from __future__ import annotations

import hashlib
import io
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from jobs.arrival.inbox import (
    SIGNAL_BYTES,
    Arrived,
    Gone,
    InboxUnavailable,
    Signal,
    Unreadable,
    Unremovable,
    aside_name,
    is_needed,
    is_signal,
    is_unfinished,
    signals_of,
)
from jobs.settings import settings

PORT = 22
LOOK_SECONDS = 10.0  # nothing tells that a file came: the doorbell looks so often
WAIT = 20.0  # seconds for an answer
READ = 1 << 20


class Sftp:
    """Files below `sftp://user@host:port/path`, at any depth. Names that begin with a dot or end like `.part` are not looked at."""

    def __init__(self, uri: str):
        parts = urlsplit(uri)
        if parts.password is not None:
            raise InboxUnavailable(
                "An sftp:// inbox has no password in its address. Take it out of LEDGERLAKE_INBOX_<BANK> and set LEDGERLAKE_SFTP_KEY."
            )
        if not parts.hostname or not parts.username or not parts.path.strip("/"):
            raise InboxUnavailable(
                f"The inbox {uri} is no sftp://user@host:port/path. Correct LEDGERLAKE_INBOX_<BANK>."
            )
        self.uri, self._host, self._port, self._user = (
            uri.rstrip("/"),
            parts.hostname,
            parts.port or PORT,
            parts.username,
        )
        self.root = unquote(parts.path).rstrip("/")
        self._client: Any = None
        self._lock = threading.RLock()  # one connection, and a doorbell that may look from another thread
        self._looked_at, self._seen = float("-inf"), list[Arrived]()
        self.signals_alone: list[str] = []
        self.unreachable: dict[str, str] = {}  # folder below -> message, of those that the last look could not see

    def waiting(self) -> list[Arrived]:
        with self._session() as sftp:
            self.unreachable = {}
            found = dict(self._walk(sftp, self.root, ""))
            signals, self.signals_alone = signals_of(found, lambda path: self._signal(sftp, path))
            files = []
            for path in sorted(path for path in found if not is_signal(path)):
                told = signals.get(path)
                changed = datetime.fromtimestamp(found[path].st_mtime, UTC)
                files.append(
                    Arrived(path, f"{self.uri}/{path}", found[path].st_size, _version(found[path]), changed, told)
                )
            return files

    def look(self) -> list[Arrived]:
        if time.monotonic() - self._looked_at >= LOOK_SECONDS:
            self._looked_at, self._seen = time.monotonic(), self.waiting()
        return self._seen

    def open(self, arrived: Arrived) -> BinaryIO:
        with self._session() as sftp:
            try:
                file = sftp.open(f"{self.root}/{arrived.path}", "rb")
            except FileNotFoundError as error:
                raise Gone(f"{arrived.uri} is no longer in the inbox") from error
            except PermissionError as error:
                raise Unreadable(
                    f"The file {arrived.uri} cannot be read: the server does not let us. It waits, and no other for it: have its rights corrected."
                ) from error
            if _version(file.stat()) != arrived.version:
                file.close()
                raise Gone(f"{arrived.uri} was written again")
            file.prefetch(arrived.size)  # many requests at once: else each would wait for the one before
            return io.BufferedReader(_File(self, file), READ)  # type: ignore[return-value]

    def remove(self, arrived: Arrived, *, keep_signal: bool = False) -> None:
        with self._session() as sftp:
            if (told := arrived.signal) is not None:
                signal = self._signal(sftp, told.path)
                if signal is not None and signal != told:
                    return  # sent again, perhaps within the second: what lies there now is another file
            try:
                self._remove(sftp, arrived.path, arrived.version)
                lies_there = lambda path: _exists(sftp, f"{self.root}/{path}")  # noqa: E731
                if told is not None and not keep_signal and not is_needed(told, arrived, lies_there):
                    with suppress(FileNotFoundError):
                        sftp.remove(f"{self.root}/{told.path}")
            except PermissionError as error:
                raise Unremovable(arrived.uri) from error

    def acknowledge(self) -> None:
        """A server notifies nobody."""

    def _walk(self, sftp: Any, folder: str, prefix: str) -> Iterator[tuple[str, Any]]:
        try:
            entries = sftp.listdir_attr(folder)
            if not entries:
                sftp.stat(f"{folder}/.")  # a server leaves out the files that it may not look at, all of them
        except FileNotFoundError as error:
            if folder == self.root:
                raise self.unavailable(error) from error
            return  # taken away since its name was listed
        except PermissionError:
            if folder == self.root:
                raise
            where = f"{self.uri}/{prefix.rstrip('/')}"
            self.unreachable[where] = (
                f"The inbox folder {where} cannot be listed: the server does not let us. What was sent there waits, and nothing else for it: have its rights corrected."
            )
            return
        for entry in entries:
            if is_unfinished(entry.filename):
                continue
            if stat.S_ISDIR(entry.st_mode):
                yield from self._walk(sftp, f"{folder}/{entry.filename}", f"{prefix}{entry.filename}/")
            elif stat.S_ISREG(entry.st_mode):
                yield prefix + entry.filename, entry

    def _signal(self, sftp: Any, path: str) -> Signal | None:
        """Its text is part of its version: the server's seconds do not tell two of them apart."""
        try:
            with sftp.open(f"{self.root}/{path}", "rb") as file:
                text = file.read(SIGNAL_BYTES)
                changed = file.stat().st_mtime or 0
                version = f"{changed}-{hashlib.sha256(text).hexdigest()[:16]}"
                return Signal(
                    text.decode("utf-8", errors="replace"), version, datetime.fromtimestamp(changed, UTC), path
                )
        except (FileNotFoundError, PermissionError):
            return None  # one that we may not read says nothing

    def _remove(self, sftp: Any, path: str, version: str) -> None:
        """Renamed first, so that a file that a sender writes meanwhile under the same name is not lost with it."""
        folder, _, name = f"{self.root}/{path}".rpartition("/")
        aside = f"{folder}/{aside_name(name)}"
        try:
            sftp.posix_rename(f"{folder}/{name}", aside)
        except FileNotFoundError:
            return
        if _version(sftp.stat(aside)) == version or _exists(sftp, f"{folder}/{name}"):
            sftp.remove(aside)
        else:
            sftp.posix_rename(aside, f"{folder}/{name}")

    @contextmanager
    def _session(self) -> Iterator[Any]:
        """The connection, made anew when it broke. Raises InboxUnavailable with what failed."""
        import paramiko

        with self._lock:
            try:
                if self._client is None or not _is_alive(self._client):
                    self._client = self._connected()
                yield self._client
            except (Gone, Unreadable, Unremovable, InboxUnavailable, FileNotFoundError):
                raise
            except UnicodeDecodeError as error:  # the library reads no other names, and none beside it
                self.disconnect()
                found = error.object[:40].hex(" ")
                raise InboxUnavailable(
                    f"The inbox {self.uri} cannot be listed: a file or folder there has the name {found}, which is no UTF-8. Have it renamed or taken away; what was sent waits there.",
                    self.uri,
                ) from error
            except (OSError, EOFError, paramiko.SSHException) as error:
                self.disconnect()
                raise self.unavailable(error) from error

    def _connected(self) -> Any:
        import paramiko

        own = settings()
        if own.sftp_key is None or own.sftp_host_keys is None:
            raise InboxUnavailable(
                f"The inbox {self.uri} needs a key to show and the server's host key. Set LEDGERLAKE_SFTP_KEY (a private key without passphrase) and "
                "LEDGERLAKE_SFTP_HOST_KEYS (a known_hosts file that names the server).",
                self.uri,
            )
        client = paramiko.SSHClient()
        client.load_host_keys(str(own.sftp_host_keys))
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        client.connect(
            self._host, self._port, self._user, key_filename=str(own.sftp_key), look_for_keys=False, allow_agent=False,
            timeout=WAIT, banner_timeout=WAIT, auth_timeout=WAIT,
        )  # fmt: skip
        sftp = client.open_sftp()
        sftp.get_channel().settimeout(WAIT)
        sftp.kept_alive_by = client  # a client that nobody holds closes its connection
        return sftp

    def unavailable(self, error: BaseException) -> InboxUnavailable:
        why = str(error) or type(error).__name__
        return InboxUnavailable(
            f"The inbox {self.uri} does not answer as it should: {why}. Check the server, its rights, LEDGERLAKE_SFTP_KEY and "
            "LEDGERLAKE_SFTP_HOST_KEYS; what was sent waits there.",
            self.uri,
        )

    def disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()
            client.kept_alive_by.close()


class _File(io.RawIOBase):
    """A file of the server; what fails while it is read is told as of the inbox."""

    def __init__(self, inbox: Sftp, file: Any):
        self._inbox, self._file = inbox, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self._file.tell())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            offset, whence = int(self._file.stat().st_size) + offset, io.SEEK_SET
        self._file.seek(offset, whence)
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        import paramiko

        try:
            data = self._file.read(len(buffer))
        except (OSError, EOFError, paramiko.SSHException) as error:
            self._inbox.disconnect()
            raise self._inbox.unavailable(error) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _is_alive(sftp: Any) -> bool:
    transport = sftp.get_channel().get_transport()
    return transport is not None and transport.is_active() and not sftp.get_channel().closed


def _exists(sftp: Any, path: str) -> bool:
    try:
        sftp.stat(path)
    except FileNotFoundError:
        return False
    return True


def _version(status: Any) -> str:
    return f"{status.st_mtime}-{status.st_size}"
