"""What an inbox is: a place where senders put files. Where it is (a folder, a bucket) is one module each; nothing else
knows.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from jobs.contracts.catalog import profiles, served
from jobs.settings import inbox_variable, settings

if TYPE_CHECKING:
    from jobs.contracts.catalog import Catalog
    from jobs.ledger import Ledger

SIGNAL_ENDS = (".ok", ".OK")
NO_TEXT = re.compile("[\udc80-\udcff]")  # how Python keeps bytes of a name that are none
SIGNAL_BYTES = 1 << 20  # the most that is read of one
# Names under which senders write what is not yet to be seen.
UNFINISHED_ENDS = (".tmp", ".part", ".filepart", ".uploading")


class InboxUnavailable(Exception):
    """The inbox cannot be listed or read; the message names it and the remedy. `unreachable`: place -> message, of each place that could not be seen."""

    def __init__(self, message: str, where: str = ""):
        super().__init__(message)
        self.unreachable = {where: message}


class Gone(Exception):
    """The file is no longer there, or no longer the same."""


class Unreadable(Exception):
    """The file is there, and we may not read it; the message names it and the remedy. No other waits for it."""


class Unremovable(Exception):
    """The file was settled, and we may not take it away; the message names it and the remedy. No other waits for it."""

    def __init__(self, uri: str):
        super().__init__(
            f"The file {uri} was taken in and cannot be taken away: its folder or bucket does not let us. It is not read again, but looked at each time: let us write to its folder (in a bucket: s3:DeleteObject)."
        )


def aside_name(name: str) -> str:
    """Under which a file is put aside before it is taken away, not longer than a name may be, whatever the sender's."""
    return f".settled.{secrets.token_hex(4)}.{name[:40]}"


@dataclass(frozen=True)
class Signal:
    """A `.ok` file: its text and its version (a sender that signals again makes another). `changed_at` is None where it appears whole at once; `path`: where it
    lies in the inbox, empty of one that stood in an archive.
    """

    text: str
    version: str
    changed_at: datetime | None = None
    path: str = ""


@dataclass(frozen=True)
class Arrived:
    """A file that lies in the inbox. `version` changes when it is written again; `changed_at` is None where a file
    appears whole at once.
    """

    path: str
    uri: str
    size: int
    version: str
    changed_at: datetime | None
    signal: Signal | None

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @property
    def shares_its_signal(self) -> bool:
        """Its signal is that of a batch, another file's, or its own that names others too: it may stay when this file is taken."""
        if self.signal is None or not self.signal.path:
            return False
        named = set(named_in(self.signal))
        return file_of(self.signal.path) != self.path or (self.path in named and len(named) > 1)

    @property
    def announced_size(self) -> int | None:
        """Bytes that its line of the signal states; None where it states none."""
        lines = (line.split("|") for line in self.signal.text.splitlines()) if self.signal else ()
        stated = next((parts[4].strip() for parts in lines if len(parts) > 4 and parts[0].strip() == self.name), "")
        return int(stated) if stated.isdecimal() else None


def claim_key(arrived: Arrived) -> str:
    """Where it lies and which bytes: those that a signal announced, or, without a signal, the file's own version.

    A file that grows after its own signal keeps its claim; a file that is sent again gets another, by the signal of a batch too, which may stay for others.
    """
    if arrived.signal is None:
        return f"{arrived.path}|{arrived.version}"
    return f"{arrived.path}|{arrived.signal.version}" + (f"|{arrived.version}" if arrived.shares_its_signal else "")


def settled_key(arrived: Arrived) -> str:
    """The claim key of a delivery that was settled: the file's own version and its signal's text too, for a corrected file may come by a signal of the same time and size.

    A member of an archive is known by the archive's bytes, a file without signal by its version: theirs stays.
    """
    if arrived.signal is None or not arrived.signal.path:
        return claim_key(arrived)
    said = hashlib.sha256(arrived.signal.text.encode(errors="replace")).hexdigest()[:16]
    return f"{arrived.path}|{arrived.signal.version}|{arrived.version}|{said}"


class Inbox(Protocol):
    @property
    def signals_alone(self) -> list[str]:
        """Paths of files that a signal announced and that were not there at the last look."""
        ...

    def waiting(self) -> list[Arrived]:
        """All files that lie there, in the order of their paths; signals are attached to their files and not listed."""
        ...

    def look(self) -> list[Arrived]:
        """The same for the doorbell, which asks often: may say nothing while nothing was announced."""
        ...

    def open(self, arrived: Arrived) -> BinaryIO:
        """The file's bytes, from the start; may seek. Raises Gone when it is no longer this version, Unreadable when we may not read it."""
        ...

    def remove(self, arrived: Arrived, *, keep_signal: bool = False) -> None:
        """Takes away this version of the file and its signal, unless that speaks of another that still lies there; a newer one under the same name stays.
        `keep_signal`: it speaks of one that is still to come."""
        ...

    def acknowledge(self) -> None:
        """The ledger knows all that `waiting` listed: notifications that led to it may go. Raises InboxUnavailable where they cannot be taken away."""
        ...


class Several:
    """Inboxes as one: each file is opened and removed where it lies. One that does not answer holds no other up; what lies there is not gone."""

    def __init__(self, *inboxes: Inbox):
        self._inboxes = inboxes
        self._whose: dict[str, Inbox] = {}
        self.unreachable: dict[str, str] = {}  # place -> message, of what the last look could not see

    @property
    def signals_alone(self) -> list[str]:
        return [path for inbox in self._inboxes for path in inbox.signals_alone]

    def waiting(self) -> list[Arrived]:
        """Raises InboxUnavailable when none of them answers."""
        found, away = self._seen(lambda inbox: inbox.waiting())
        if away == len(self._inboxes):
            error = InboxUnavailable(" ".join(self.unreachable.values()))
            error.unreachable = self.unreachable
            raise error
        return sorted(found, key=lambda arrived: arrived.path)

    def look(self) -> list[Arrived]:
        return self._seen(lambda inbox: inbox.look())[0]

    def _seen(self, look: Callable[[Inbox], list[Arrived]]) -> tuple[list[Arrived], int]:
        """What lies in those that answer, and how many do not."""
        found: list[Arrived] = []
        self.unreachable, away = {}, 0
        for inbox in self._inboxes:
            try:
                here = look(inbox)
            except InboxUnavailable as error:
                self.unreachable |= error.unreachable
                away += 1
                continue
            self.unreachable |= unreachable(inbox)  # a part of it
            self._whose |= {arrived.uri: inbox for arrived in here}
            found += here
        return found, away

    def open(self, arrived: Arrived) -> BinaryIO:
        return self._whose[arrived.uri].open(arrived)

    def remove(self, arrived: Arrived, *, keep_signal: bool = False) -> None:
        self._whose[arrived.uri].remove(arrived, keep_signal=keep_signal)

    def acknowledge(self) -> None:
        """Raises InboxUnavailable with all that failed, once each was asked."""
        failed: dict[str, str] = {}
        for inbox in self._inboxes:
            try:
                inbox.acknowledge()
            except InboxUnavailable as error:
                failed |= error.unreachable
        if failed:
            all_of_it = InboxUnavailable(" ".join(failed.values()))
            all_of_it.unreachable = failed
            raise all_of_it


def unreachable(inbox: Inbox) -> dict[str, str]:
    """Place -> message, of what the last look at an inbox could not see; other places of it were seen."""
    found: dict[str, str] = getattr(inbox, "unreachable", {})
    return found


def inbox_of(catalog: Catalog, ledger: Callable[[], Ledger]) -> Inbox:
    """All that the bank's files come by: its inbox, and the slices of the sources that are pulled. The ledger is only asked for where there are such."""
    own = inbox_for(catalog.profile.profile)
    if not any(source.pull for source in catalog.sources.values()):
        return own
    from jobs.arrival.slices import Slices

    return Several(own, Slices(catalog, ledger()))


def inbox_for(profile: str) -> Inbox:
    """The bank's inbox (see jobs.settings: inboxes). Raises InboxUnavailable where it is not the bank's alone."""
    check_is_its_own(profile)
    inboxes = [_inbox_at(place) for place in settings().inboxes(profile)]
    return inboxes[0] if len(inboxes) == 1 else Several(*inboxes)


def check_is_its_own(profile: str) -> None:
    """Raises InboxUnavailable where another bank of this installation looks at the same place, or at one below or above it: whoever looks first would take the
    other's files, refuse them as unknown, and empty the inbox.
    """
    if os.environ.get("LEDGERLAKE_INBOX"):
        raise InboxUnavailable(
            f"LEDGERLAKE_INBOX would be the inbox of all banks, and each would take the others' files. Expected one for each bank: set {inbox_variable(profile)} in its place."
        )
    own = {_address(place): place for place in settings().inboxes(profile)}
    for other in sorted({*profiles(), *served()} - {profile}):
        for theirs in map(_address, settings().inboxes(other)):
            for address, place in own.items():
                if f"{address}/".startswith(f"{theirs}/") or f"{theirs}/".startswith(f"{address}/"):
                    raise InboxUnavailable(
                        f"The inbox {place} of the bank {profile} is the bank {other}'s too ({theirs}), and each would take the other's files. Nothing is read there. "
                        f"Expected a place for each, none below another's: correct {inbox_variable(profile)} or {inbox_variable(other)}."
                    )


def _address(place: str) -> str:
    """One writing of a place: the same for two users of a server, with and without its usual port."""
    if not place.startswith(("s3://", "sftp://")):
        return str(Path(place).resolve()).rstrip("/")
    parts = urlsplit(place)
    with suppress(ValueError):  # a port that is none: who opens it says so
        port = f":{parts.port or 22}" if parts.scheme == "sftp" else ""
        path = unquote(parts.path) if parts.scheme == "sftp" else parts.path
        return f"{parts.scheme}://{parts.hostname}{port}/{path.strip('/')}".rstrip("/")
    return place


def _inbox_at(place: str) -> Inbox:
    if place.startswith("s3://"):
        from jobs.arrival.bucket import Bucket

        return Bucket(place)
    if place.startswith("sftp://"):
        from jobs.arrival.sftp import Sftp

        return Sftp(place)
    from jobs.arrival.folder import Folder

    return Folder(place)


def signals_of(paths: Collection[str], read: Callable[[str], Signal | None]) -> tuple[dict[str, Signal], list[str]]:
    """(signal of each file that has one, paths of files that are announced and not there), of all paths of an inbox.

    A file's own signal lies beside it (`<file>.ok`). Any signal speaks of the files of its folder too that its lines name and that have none of their own: one
    signal for a batch of files. `read` gives None for a signal that is gone or may not be read.
    """
    whose: dict[str, Signal] = {}
    absent: set[str] = set()
    shared: list[Signal] = []
    for path in sorted(filter(is_signal, paths), reverse=True):  # of two that a file has the `.ok` counts
        if (signal := read(path)) is None:
            continue
        shared.append(signal)
        if (own := file_of(path)) in paths:
            whose.setdefault(own, signal)
        else:
            absent |= {one for one in named_in(signal) or [own] if one not in paths}
    for signal in reversed(shared):
        for path in named_in(signal):
            if path in paths and not is_signal(path):
                whose.setdefault(path, signal)
    return whose, sorted(absent)


def named_in(signal: Signal) -> list[str]:
    """Paths of the files that its lines name, in its folder."""
    folder = signal.path.rpartition("/")[0]
    names = (line.lstrip("\ufeff").split("|")[0].strip() for line in signal.text.splitlines())
    return [f"{folder}/{name}".lstrip("/") for name in names if name and "/" not in name]


def is_needed(signal: Signal, arrived: Arrived, lies_there: Callable[[str], bool]) -> bool:
    """Whether another file than the one that is taken away waits by this signal."""
    others = (path for path in named_in(signal) if path not in (arrived.path, file_of(signal.path)))
    return any(lies_there(path) and not any(lies_there(path + end) for end in SIGNAL_ENDS) for path in others)


def file_of(signal_path: str) -> str:
    """The file whose own signal lies there."""
    return next(signal_path.removesuffix(end) for end in SIGNAL_ENDS if signal_path.endswith(end))


def shown(name: str) -> str:
    """A name of a file as text that can be kept: bytes of it that are no UTF-8 (a name in GBK) as %D3."""
    return NO_TEXT.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", name)


def is_signal(name: str) -> bool:
    return name.endswith(SIGNAL_ENDS)


def is_unfinished(name: str) -> bool:
    return name.startswith(".") or name.endswith(UNFINISHED_ENDS)
