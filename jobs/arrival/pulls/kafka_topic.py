"""A topic of Kafka: the values of its records, JSON objects, in the order of their offsets; a part is a partition.

Offsets are the ledger's: no consumer group commits any, so a slice is the same records whenever it is read. A record without a value (a tombstone) is an
empty line, and no row; an offset that the topic no longer holds is a source that is down, never a gap. Where a partition stood when the topic was first looked at is kept though
nothing lay there; one that was added since is read from its beginning. The topic's
id is kept: one that was made anew is none of those offsets.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from jobs.arrival.pulls import Dropped, MadeAnew, SourceDown, Span, address, stream_of
from jobs.contracts.model import Table
from jobs.contracts.pulls import KafkaTopic
from jobs.contracts.source import Source
from jobs.ledger import Ledger, slices

WAIT = 10.0  # seconds for an answer of the brokers
LOOK = 0.5  # after so many it is looked whether there is still something to wait for
RECORDS = 5_000  # fetched at once
IDENTITY = "id"  # the part whose position is the topic's id: another one was made anew, or is another topic
SEEN = ""  # where a slice begins that only says where an empty partition stood: no offset
# Of an error what may be other at each look, so that the same alert is not told again and again: which of the brokers answered, and after how long.
VARIES = re.compile(r"^\S+://\S+: | \(after [^)]*\)")


class Puller:
    def __init__(self, source: Source, table: Table, ledger: Ledger):
        assert isinstance(source.pull, KafkaTopic)
        self._feed, self._pull, self._ledger = source.feed, source.pull, ledger

    def spans(self, taken: Mapping[str, str]) -> list[Span]:
        with self._consumer() as (consumer, told):
            partitions = self._described(consumer, told)
            if partitions.error is not None:
                raise self._down(partitions.error)
            found, gone = [], []
            identity = self._identity(taken.get(IDENTITY))
            if identity and IDENTITY not in taken:
                found.append(Span(IDENTITY, identity, identity, is_empty=True))
            for number in sorted(partitions.partitions):
                part = str(number)
                low, high = self._bounds(consumer, part)
                # Of a topic that was looked at before, a partition that nobody knows was added since.
                begins = int(taken[part]) if part in taken else 0 if taken else low
                if begins < low:
                    gone.append(Span(part, str(begins), str(low)))
                elif begins > high:
                    raise self._made_anew(
                        f"partition {number} of {self._pull.topic} ends at offset {high}, and we were at {begins}"
                    )
                elif high > begins:
                    found.append(Span(part, str(begins), str(min(high, begins + self._pull.most))))
                elif part not in taken:
                    found.append(Span(part, SEEN, str(begins), is_empty=True))
            if gone:
                raise self._dropped(gone)
            return found

    def _identity(self, known: str | None) -> str | None:
        """The topic's id, which no other has had; None where the brokers do not say it (before version 2.8, or not to us). Raises SourceDown where it is not the one that is known."""
        from confluent_kafka import KafkaException, TopicCollection
        from confluent_kafka.admin import AdminClient

        client = AdminClient(self._brokers())  # kept until it has answered
        try:
            told = client.describe_topics(TopicCollection([self._pull.topic]), request_timeout=WAIT)
            found = told[self._pull.topic].result().topic_id
        except KafkaException:
            return None
        is_said = found.get_most_significant_bits() or found.get_least_significant_bits()
        if not is_said:
            return None
        if known is not None and str(found) != known:
            raise self._made_anew(f"{self._pull.topic} has the id {found}, and we read one with {known}")
        return str(found)

    def _made_anew(self, found: str) -> MadeAnew:
        return MadeAnew(
            f"{self._feed}: {found}: it was made anew, or is another topic. Read it as a source of its own, with a feed of another name, so that its offsets are not taken for the old ones. "
            f"What of the old one was taken and waits is given up by `ledgerlake pulls skip {self._feed} --reason ...`."
        )

    def _bounds(self, consumer: Any, part: str) -> tuple[int, int]:
        """(the first offset that the partition holds, where the next record will lie)."""
        from confluent_kafka import TopicPartition

        low, high = consumer.get_watermark_offsets(TopicPartition(self._pull.topic, int(part)), timeout=WAIT)
        return low, high

    def _dropped(self, gone: list[Span]) -> Dropped:
        listed = "; ".join(
            f"partition {span.part} of {self._pull.topic} begins at offset {span.ends}, and we were at {span.begins}"
            for span in gone
        )
        return Dropped(
            f"{self._feed}: {listed}: the topic dropped records before we read them. They are not passed over unsaid: restore them at the source, or say that it goes on without them: "
            f"`ledgerlake pulls skip {self._feed} --reason ...`. Ask the topic's owner for longer retention, and to send them again.",
            gone,
        )

    def open(self, span: Span) -> BinaryIO:
        return stream_of(self._lines(span))

    def settled(self, part: str, position: str) -> None:
        """The topic keeps its records as long as it likes."""

    def _lines(self, span: Span) -> Iterator[bytes]:
        from confluent_kafka import TopicPartition

        at, end, is_known = int(span.begins), int(span.ends), False
        with self._ledger.begin() as db:
            known = slices.ends(db, self._feed).get(IDENTITY)
        with self._consumer() as (consumer, told):
            consumer.assign([TopicPartition(self._pull.topic, int(span.part), at)])
            until = time.monotonic() + WAIT
            while at < end:
                records = consumer.consume(min(RECORDS, end - at), timeout=min(LOOK, WAIT))
                if not records:
                    # Offsets may be missing from a compacted or a transactional topic: where the broker stands tells.
                    [position] = consumer.position([TopicPartition(self._pull.topic, int(span.part))])
                    if position.offset >= end:
                        return
                    is_late = time.monotonic() >= until
                    if is_late or _turned_away(told):
                        self._described(consumer, told)  # where no broker answers, or lets us in, that is said
                    if is_late:
                        raise self._down(f"no record at offset {at} within {WAIT:.0f} s")
                if records and not is_known:
                    self._identity(known)  # nothing of a topic that was made anew since the slice was taken
                    is_known = True
                for record in records:
                    if record.error() is not None:
                        if (low := self._bounds(consumer, span.part)[0]) > at:
                            raise self._dropped([Span(span.part, str(at), str(low))])
                        raise self._down(record.error())
                    if record.offset() >= end:
                        return
                    at = record.offset() + 1
                    yield _line(record.value())
                until = time.monotonic() + WAIT

    def _described(self, consumer: Any, told: list[Any]) -> Any:
        """The topic as a broker describes it. Asked for WAIT, each time with more patience; one that has turned us away is asked once more, for another may let us in."""
        from confluent_kafka import KafkaException

        left, patience = WAIT, LOOK
        while True:
            # The last look takes what is left.
            patience = patience if left >= 2 * patience else left
            is_last = patience == left or _turned_away(told)
            try:
                return consumer.list_topics(self._pull.topic, timeout=patience).topics[self._pull.topic]
            except KafkaException:
                if is_last:
                    raise
            consumer.poll(0)  # hands over what the connections were told
            left, patience = left - patience, 2 * patience

    @contextmanager
    def _consumer(self) -> Iterator[tuple[Any, list[Any]]]:
        """A consumer, and what its connections are told. Raises SourceDown for whatever goes wrong with the brokers."""
        from confluent_kafka import Consumer, KafkaException

        told: list[Any] = []
        options = {
            **self._brokers(),
            "group.id": "ledgerlake",  # asked for by the library; nothing is committed to it
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "error_cb": told.append,
        }
        consumer = None
        try:
            consumer = Consumer(options)
            yield consumer, told
        except KafkaException as error:
            if consumer is not None:
                consumer.poll(0)  # hands over what the connections were told: why there is no answer
            raise self._down(_cause([*told, error.args[0]])) from error
        finally:
            if consumer is not None:
                consumer.close()

    def _brokers(self) -> dict[str, Any]:
        """Where they are, and as whom we come."""
        known = self._pull.security
        found: dict[str, Any] = {"bootstrap.servers": address(self._pull.connection), "log_level": 0}
        if known is None:
            return found
        found["security.protocol"] = known.protocol
        if known.mechanism and known.user and known.secret:
            found |= {"sasl.mechanism": known.mechanism, "sasl.username": known.user}
            found |= {"sasl.password": address(known.secret)}
        if known.ca:
            found |= {"ssl.ca.location": address(known.ca)}
        return found

    def _down(self, error: object) -> SourceDown:
        known = self._pull.security
        names = [self._pull.connection, *(n for n in (known and known.secret, known and known.ca) if n)]
        check = ", ".join(f"LEDGERLAKE_SOURCE_{name.upper()}" for name in names)
        return SourceDown(
            f"{self._feed}: the topic {self._pull.topic} cannot be read: {VARIES.sub('', str(error))}. Nothing was moved on; it is asked again by itself. Check the brokers, or what we know "
            f"of them: {check}{' and `security` of the source' if known else ''}."
        )


def _turned_away(told: list[Any]) -> bool:
    """Whether a broker did not take us for who we are, or we not it: it answers no question."""
    from confluent_kafka import KafkaError

    return any(error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL) for error in told)


def _cause(told: list[Any]) -> str:
    """Of all that was told meanwhile what says best why no broker answered: to be turned away says more than to have no connection."""
    from confluent_kafka import KafkaError

    telling = (KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE)
    rank = {code: place for place, code in enumerate(telling)}
    # The last one is how the question itself ended.
    return str(min((rank.get(error.code(), len(rank)), error is not told[-1], error.str()) for error in told)[-1])


def _line(value: bytes | None) -> bytes:
    """One line a record: a line break in JSON stands between its parts only, where a space does as well."""
    return (value or b"").replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"
