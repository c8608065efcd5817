"""What an inbox is: a place where senders put files. Where it is (a folder, a bucket) is one module each; nothing else
knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

from jobs.settings import settings

SIGNAL_ENDS = (".ok", ".OK")
SIGNAL_BYTES = 1 << 20  # the most that is read of one
# Names under which senders write what is not yet to be seen.
UNFINISHED_ENDS = (".tmp", ".part", ".filepart", ".uploading")


class InboxUnavailable(Exception):
    """The inbox cannot be listed or read; the message names it and the remedy."""


class Gone(Exception):
    """The file is no longer there, or no longer the same."""


@dataclass(frozen=True)
class Signal:
    """A `.ok` file: its text and its version (a sender that signals again makes another)."""

    text: str
    version: str


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


class Inbox(Protocol):
    def waiting(self) -> list[Arrived]:
        """All files that lie there, in the order of their paths; signals are attached to their files and not listed."""
        ...

    def look(self) -> list[Arrived]:
        """The same for the doorbell, which asks often: may say nothing while nothing was announced."""
        ...

    def open(self, arrived: Arrived) -> BinaryIO:
        """The file's bytes, from the start; may seek. Raises Gone when it is no longer this version."""
        ...

    def remove(self, arrived: Arrived) -> None:
        """Takes away this version of the file and its signal; a newer one under the same name stays."""
        ...

    def acknowledge(self) -> None:
        """The ledger knows all that `waiting` listed: notifications that led to it may go."""
        ...


def inbox_for(profile: str) -> Inbox:
    """The bank's inbox: LEDGERLAKE_INBOX (`s3://bucket/prefix` or a folder), else the folder `inbox` of the bank."""
    place = settings().inbox
    if place and place.startswith("s3://"):
        from jobs.arrival.bucket import Bucket

        return Bucket(place)
    from jobs.arrival.folder import Folder

    return Folder(place or settings().bank(profile) / "inbox")


def is_signal(name: str) -> bool:
    return name.endswith(SIGNAL_ENDS)


def is_unfinished(name: str) -> bool:
    return name.startswith(".") or name.endswith(UNFINISHED_ENDS)
