"""What an inbox is: a place where senders put files. Where it is (a folder, a bucket) is one module each; nothing else
knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO, Protocol

from jobs.settings import settings

if TYPE_CHECKING:
    from jobs.contracts.catalog import Catalog
    from jobs.ledger import Ledger

SIGNAL_ENDS = (".ok", ".OK")
NO_TEXT = re.compile("[\udc80-\udcff]")  # how Python keeps bytes of a name that are none
SIGNAL_BYTES = 1 << 20  # the most that is read of one
# Names under which senders write what is not yet to be seen.
UNFINISHED_ENDS = (".tmp", ".part", ".filepart", ".uploading")


class InboxUnavailable(Exception):
    """The inbox cannot be listed or read; the message names it and the remedy."""


class Gone(Exception):
    """The file is no longer there, or no longer the same."""


class Unreadable(Exception):
    """The file is there, and we may not read it; the message names it and the remedy. No other waits for it."""


@dataclass(frozen=True)
class Signal:
    """A `.ok` file: its text and its version (a sender that signals again makes another). `changed_at` is None where it appears whole at once."""

    text: str
    version: str
    changed_at: datetime | None = None


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


def claim_key(arrived: Arrived) -> str:
    """Where it lies and which bytes: those that a signal announced, or, without a signal, the file's own version.

    A file that grows after its signal keeps its claim; a file that is sent again gets another.
    """
    return f"{arrived.path}|{arrived.signal.version if arrived.signal else arrived.version}"


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

    def remove(self, arrived: Arrived) -> None:
        """Takes away this version of the file and its signal; a newer one under the same name stays."""
        ...

    def acknowledge(self) -> None:
        """The ledger knows all that `waiting` listed: notifications that led to it may go."""
        ...


class Several:
    """Inboxes as one: each file is opened and removed where it lies. One that does not answer holds no other up; what lies there is not gone."""

    def __init__(self, *inboxes: Inbox):
        self._inboxes = inboxes
        self._whose: dict[str, Inbox] = {}
        self.unreachable: list[str] = []  # what the last look could not see, as messages

    @property
    def signals_alone(self) -> list[str]:
        return [path for inbox in self._inboxes for path in inbox.signals_alone]

    def waiting(self) -> list[Arrived]:
        """Raises InboxUnavailable when none of them answers."""
        found: list[Arrived] = []
        self.unreachable, away = [], 0
        for inbox in self._inboxes:
            try:
                here = inbox.waiting()
            except InboxUnavailable as error:
                self.unreachable.append(str(error))
                away += 1
                continue
            self.unreachable += getattr(inbox, "unreachable", [])  # a part of it
            self._whose |= {arrived.uri: inbox for arrived in here}
            found += here
        if away == len(self._inboxes):
            raise InboxUnavailable(" ".join(self.unreachable))
        return sorted(found, key=lambda arrived: arrived.path)

    def look(self) -> list[Arrived]:
        found = []
        for inbox in self._inboxes:
            with suppress(InboxUnavailable):  # landing says it
                found += inbox.look()
        return found

    def open(self, arrived: Arrived) -> BinaryIO:
        return self._whose[arrived.uri].open(arrived)

    def remove(self, arrived: Arrived) -> None:
        self._whose[arrived.uri].remove(arrived)

    def acknowledge(self) -> None:
        for inbox in self._inboxes:
            with suppress(InboxUnavailable):
                inbox.acknowledge()


def inbox_of(catalog: Catalog, ledger: Callable[[], Ledger]) -> Inbox:
    """All that the bank's files come by: its inbox, and the slices of the sources that are pulled. The ledger is only asked for where there are such."""
    own = inbox_for(catalog.profile.profile)
    if not any(source.pull for source in catalog.sources.values()):
        return own
    from jobs.arrival.slices import Slices

    return Several(own, Slices(catalog, ledger()))


def inbox_for(profile: str) -> Inbox:
    """The bank's inbox: what LEDGERLAKE_INBOX names (`s3://bucket/prefix`, `sftp://user@host/path`, a folder; several with commas between), else the folder
    `inbox` of the bank.
    """
    named = [place.strip() for place in (settings().inbox or "").split(",") if place.strip()]
    inboxes = [_inbox_at(place) for place in named or [str(settings().bank(profile) / "inbox")]]
    return inboxes[0] if len(inboxes) == 1 else Several(*inboxes)


def _inbox_at(place: str) -> Inbox:
    if place.startswith("s3://"):
        from jobs.arrival.bucket import Bucket

        return Bucket(place)
    if place.startswith("sftp://"):
        from jobs.arrival.sftp import Sftp

        return Sftp(place)
    from jobs.arrival.folder import Folder

    return Folder(place)


def alone(signals: Iterable[str], files: Container[str]) -> list[str]:
    """Paths of the files that are announced and are not there."""
    announced = {signal.removesuffix(end) for signal in signals for end in SIGNAL_ENDS if signal.endswith(end)}
    return sorted(path for path in announced if path not in files)


def shown(name: str) -> str:
    """A name of a file as text that can be kept: bytes of it that are no UTF-8 (a name in GBK) as %D3."""
    return NO_TEXT.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", name)


def is_signal(name: str) -> bool:
    return name.endswith(SIGNAL_ENDS)


def is_unfinished(name: str) -> bool:
    return name.startswith(".") or name.endswith(UNFINISHED_ENDS)
