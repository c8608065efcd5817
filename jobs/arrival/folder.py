"""A folder as inbox."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

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
    shown,
    signals_of,
)


class Folder:
    """Files under a folder, at any depth. Names that begin with a dot or end like `.part` are not looked at."""

    def __init__(self, root: Path | str):
        self.root = Path(root)
        self.signals_alone: list[str] = []
        self.unreachable: dict[str, str] = {}  # folder below -> message, of those that the last look could not see
        self._places: dict[str, Path] = {}  # of files whose path cannot be kept as it is

    def waiting(self) -> list[Arrived]:
        self.root.mkdir(parents=True, exist_ok=True)
        self.unreachable = {}
        found = dict(self._walk(self.root, ""))
        signals, self.signals_alone = signals_of(found, self._signal)
        files = []
        for path in sorted(path for path in found if not is_signal(path)):
            status, told = found[path], signals.get(path)
            changed = datetime.fromtimestamp(status.st_mtime, UTC)
            files.append(Arrived(path, self._place(path).as_uri(), status.st_size, _version(status), changed, told))
        return files

    def look(self) -> list[Arrived]:
        return self.waiting()

    def open(self, arrived: Arrived) -> BinaryIO:
        try:
            file = self._place(arrived.path).open("rb", buffering=0)
        except FileNotFoundError as error:
            raise Gone(f"{arrived.uri} is no longer in the inbox") from error
        except PermissionError as error:
            raise Unreadable(
                f"The file {arrived.uri} cannot be read: {error.strerror}. It waits, and no other for it: have its rights corrected."
            ) from error
        if _version(os.fstat(file.fileno())) != arrived.version:
            file.close()
            raise Gone(f"{arrived.uri} was written again")
        return file

    def remove(self, arrived: Arrived, *, keep_signal: bool = False) -> None:
        try:
            self._remove(self._place(arrived.path), arrived.version)
            if (
                arrived.signal
                and not keep_signal
                and not is_needed(arrived.signal, arrived, lambda path: self._place(path).exists())
            ):
                self._remove(self._place(arrived.signal.path), arrived.signal.version, arrived.signal.text)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            raise Unremovable(arrived.uri) from error

    def acknowledge(self) -> None:
        """A folder notifies nobody."""

    def _walk(self, folder: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_unfinished(entry.name):
                        continue
                    path, place = prefix + shown(entry.name), Path(entry.path)
                    if entry.is_dir(follow_symlinks=False):
                        yield from self._walk(place, f"{path}/")
                    elif entry.is_file(follow_symlinks=False):
                        try:
                            status = entry.stat()
                        except FileNotFoundError:
                            continue  # removed by another run between the listing and the look at it
                        if place != self.root / path:
                            self._places[path] = place
                        yield path, status
        except FileNotFoundError:
            return
        except OSError as error:
            where = shown(str(folder))
            message = f"The inbox folder {where} cannot be listed: {error.strerror}. Correct its rights or path."
            if folder == self.root or not isinstance(error, PermissionError):
                raise InboxUnavailable(message, where) from error
            self.unreachable[where] = message

    def _place(self, path: str) -> Path:
        return self._places.get(path, self.root / path)

    def _signal(self, path: str) -> Signal | None:
        """None of one that is gone, or that we may not read: it says nothing, and roll-call sees a file without signal."""
        try:
            with self._place(path).open("rb") as file:
                text = _decoded(file)
                status = os.fstat(
                    file.fileno()
                )  # after its text: one that is being written has another version when it is whole
        except (FileNotFoundError, PermissionError):
            return None
        return Signal(text, _version(status), datetime.fromtimestamp(status.st_mtime, UTC), path)

    def _remove(self, path: Path, version: str, text: str | None = None) -> None:
        """Renamed first, so that a file that a sender writes meanwhile under the same name is not lost with it. `text`: what a signal said; its time alone may be that of another."""
        aside = path.with_name(aside_name(path.name))
        try:
            path.rename(aside)
        except FileNotFoundError:
            return
        is_it = _version(aside.stat()) == version and (text is None or _text_of(aside) == text)
        if is_it or path.exists():
            aside.unlink()
        else:
            aside.rename(path)


def _text_of(signal: Path) -> str:
    with signal.open("rb") as file:
        return _decoded(file)


def _decoded(signal: BinaryIO) -> str:
    return signal.read(SIGNAL_BYTES).decode("utf-8", errors="replace")


def _version(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns}-{status.st_size}"
