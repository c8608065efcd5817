"""Events that partners posted (jobs/arrival/webhook.py), in the order in which they were kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO

from jobs.arrival.pulls import Span, stream_of
from jobs.contracts.model import Table
from jobs.contracts.source import Source
from jobs.ledger import Ledger, posted
from jobs.privacy.keys import load_keys
from jobs.privacy.seal import open_bytes

PART = "posted"
FIRST = 1


class Puller:
    def __init__(self, source: Source, table: Table, ledger: Ledger):
        self._feed, self._ledger = source.feed, ledger

    def spans(self, taken: Mapping[str, str]) -> list[Span]:
        begins = int(taken.get(PART, FIRST))
        with self._ledger.begin() as db:
            ends = posted.next_number(db, self._feed)
        return [Span(PART, str(begins), str(ends))] if ends is not None and ends > begins else []

    def open(self, span: Span) -> BinaryIO:
        return stream_of(self._lines(span))

    def settled(self, part: str, position: str) -> None:
        """What was posted goes with the raw files, when they expire."""

    def _lines(self, span: Span) -> Iterator[bytes]:
        keys = load_keys()
        with self._ledger.begin() as db:
            for sealed in posted.between(db, self._feed, int(span.begins), int(span.ends)):
                yield open_bytes(sealed, keys).replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"
