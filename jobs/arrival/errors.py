"""Why a file was not taken."""

from __future__ import annotations


class Refused(Exception):
    """A whole file is refused. `cause` is a short stable name (cases are grouped by it); the message is one sentence
    for a person:
    what was found, where, what was expected, what to do."""

    def __init__(self, cause: str, reason: str):
        self.cause, self.reason = cause, reason
        super().__init__(reason)


class Cut(Refused):
    """The file ends too early: either it is still being written, or it was truncated. Who called knows which.

    `last_whole_line`: the last line that certainly came whole, where the format has lines.
    """

    def __init__(self, reason: str, last_whole_line: int | None = None):
        self.last_whole_line = last_whole_line
        super().__init__("truncated", reason)
