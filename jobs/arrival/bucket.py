"""A bucket (S3 or what speaks like it) as inbox, with a queue (SQS) of its notifications as doorbell.

The bucket's listing decides what waits; the queue only says that something came. So a lost, doubled or early
notification does no harm: `waiting` first takes the messages that are there, then lists; they are deleted only after
the ledger knows what the listing showed.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from jobs.arrival.inbox import (
    SIGNAL_BYTES,
    Arrived,
    Gone,
    InboxUnavailable,
    Signal,
    Unreadable,
    Unremovable,
    is_needed,
    is_signal,
    is_unfinished,
    signals_of,
)
from jobs.settings import settings

MISSING = {"404", "NoSuchKey", "NotFound", "412", "PreconditionFailed"}
DENIED = {"403", "AccessDenied", "Forbidden"}  # 403: the answer to a HEAD has no body that could say more
# Of all objects, not of one: who asks is not known, or asks too often.
OF_ALL = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "RequestTimeTooSkewed", "NoSuchBucket", "401", "429", "Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "KMS.ThrottlingException", "SlowDown", "RequestTimeout"}  # fmt: skip
READ = 8 << 20  # bytes that a stream fetches ahead
SWEEP_SECONDS = 20.0
MOST_MESSAGES = 5_000  # a landing; what is left rings again
MESSAGES = 10  # the most that SQS gives or takes at once


class Bucket:
    """Objects under `s3://bucket/prefix`. Objects appear whole, so nothing here is ever half written."""

    def __init__(self, uri: str):
        parts = urlsplit(uri)
        self.uri, self.bucket = uri.rstrip("/"), parts.netloc
        self.prefix = parts.path.strip("/") + "/" if parts.path.strip("/") else ""
        where, config = settings(), Config(retries={"mode": "standard"})
        self.s3: Any = boto3.client("s3", endpoint_url=where.s3_endpoint, config=config)
        self.queue, queue_at = where.sqs_queue, where.sqs_endpoint or where.s3_endpoint
        self.sqs: Any = boto3.client("sqs", endpoint_url=queue_at, config=config) if self.queue else None
        self._looked_at = float("-inf")
        self.signals_alone: list[str] = []
        self._receipts: dict[str, str] = {}  # message -> its last receipt, of those that led to the last listing

    def waiting(self) -> list[Arrived]:
        with _one_clear_message(self.uri):
            self._receive()
            return list(self._list())

    def look(self) -> list[Arrived]:
        """Lists only when the queue says that something came, or after a while: a notification may have been lost."""
        due = time.monotonic() - self._looked_at >= SWEEP_SECONDS
        if self.sqs is not None and not due and not self.announced():
            return []
        self._looked_at = time.monotonic()
        with _one_clear_message(self.uri):
            return list(self._list())

    def announced(self) -> int:
        """Roughly how many notifications wait in the queue; nothing is received."""
        if self.sqs is None:
            return 0
        with _one_clear_message(self.uri):
            asked = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["ApproximateNumberOfMessages"])
            return int(asked["Attributes"]["ApproximateNumberOfMessages"])

    def open(self, arrived: Arrived) -> BinaryIO:
        with _one_clear_message(arrived.uri):
            return io.BufferedReader(_Object(self.s3, self.bucket, self.prefix + arrived.path, arrived), READ)  # type: ignore[return-value]

    def remove(self, arrived: Arrived, *, keep_signal: bool = False) -> None:
        with _one_clear_message(arrived.uri):
            try:
                self._remove(arrived.path, arrived.version)
                if arrived.signal and not keep_signal and not is_needed(arrived.signal, arrived, self._lies_there):
                    self._remove(arrived.signal.path, arrived.signal.version)
            except ClientError as error:
                if _code(error) in DENIED:
                    raise Unremovable(arrived.uri) from error
                raise

    def acknowledge(self) -> None:
        """Raises InboxUnavailable where the queue does not let us; the messages ring again."""
        with _one_clear_message(self.uri):
            while self.sqs is not None and self._receipts:
                some = list(self._receipts)[:MESSAGES]
                entries = [{"Id": str(i), "ReceiptHandle": self._receipts.pop(one)} for i, one in enumerate(some)]
                self.sqs.delete_message_batch(QueueUrl=self.queue, Entries=entries)

    def _receive(self) -> None:
        """Takes all messages that are there now; each stays in the queue, unseen for a while, until it is deleted. Of one that comes twice only the last receipt counts."""
        seen: set[str] = set()
        while self.sqs is not None and len(seen) < MOST_MESSAGES:
            answer = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=MESSAGES, WaitTimeSeconds=0)
            came = {m["MessageId"]: m["ReceiptHandle"] for m in answer.get("Messages", [])}
            self._receipts |= came
            if came.keys() <= seen:  # empty, or a visibility so short that the first come again
                return
            seen |= came.keys()

    def _list(self) -> Iterator[Arrived]:
        found: dict[str, dict[str, Any]] = {}
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix):
            for item in page.get("Contents", []):
                path = item["Key"].removeprefix(self.prefix)
                if path and not path.endswith("/") and not is_unfinished(path.rsplit("/", 1)[-1]):
                    found[path] = item
        signals, self.signals_alone = signals_of(found, lambda path: self._signal(path, found[path]))
        for path in sorted(p for p in found if not is_signal(p)):
            item, uri = found[path], f"s3://{self.bucket}/{self.prefix}{path}"
            yield Arrived(path, uri, item["Size"], _version(item), None, signals.get(path))

    def _signal(self, path: str, item: dict[str, Any]) -> Signal | None:
        """None of one that another run settled since it was listed, or that we may not read: it says nothing."""
        try:
            body = self.s3.get_object(Bucket=self.bucket, Key=self.prefix + path)["Body"].read(SIGNAL_BYTES)
        except ClientError as error:
            if _code(error) in MISSING or _is_of_one_object(error):
                return None
            raise
        return Signal(body.decode("utf-8", errors="replace"), _version(item), path=path)

    def _remove(self, path: str, version: str) -> None:
        head = self._head(path)
        if head is not None and _version({**head, "Size": head["ContentLength"]}) == version:
            self.s3.delete_object(Bucket=self.bucket, Key=self.prefix + path)

    def _lies_there(self, path: str) -> bool:
        return self._head(path) is not None

    def _head(self, path: str) -> dict[str, Any] | None:
        try:
            return self.s3.head_object(Bucket=self.bucket, Key=self.prefix + path)  # type: ignore[no-any-return]
        except ClientError as error:
            if _code(error) in MISSING:
                return None
            raise


class _Object(io.RawIOBase):
    """One version of an object as a stream that may seek: one request from where reading starts, one after a jump."""

    def __init__(self, s3: Any, bucket: str, key: str, arrived: Arrived):
        self._s3, self._size, self._uri = s3, arrived.size, arrived.uri
        self._place = {"Bucket": bucket, "Key": key, "IfMatch": arrived.version.split("|")[0]}
        self._position, self._body_at = 0, -1
        self._body: Any = None
        self._ask(s3.head_object)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self._position >= self._size:
            return 0
        if self._body is None or self._body_at != self._position:
            self._end()
            with _one_clear_message(self._uri):
                self._body = self._ask(self._s3.get_object, Range=f"bytes={self._position}-")["Body"]
        with _one_clear_message(self._uri):  # the connection may break on the way
            data = self._body.read(len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        self._body_at = self._position
        return len(data)

    def close(self) -> None:
        self._end()
        super().close()

    def _end(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def _ask(self, call: Any, **more: Any) -> Any:
        try:
            return call(**self._place, **more)
        except ClientError as error:
            if _code(error) in MISSING:
                raise Gone(f"{self._uri} is no longer in the inbox, or was written again") from error
            if _code(error) in DENIED:
                raise Unreadable(
                    f"The file {self._uri} cannot be read: the bucket does not let us. It waits, and no other for it: have its rights corrected (s3:GetObject; kms:Decrypt where it is encrypted)."
                ) from error
            if _is_of_one_object(error):
                raise Unreadable(
                    f"The file {self._uri} cannot be read: {error}. It waits, and no other for it: {_remedy(error)}"
                ) from error
            raise


@contextmanager
def _one_clear_message(uri: str) -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise InboxUnavailable(
            f"The inbox {uri} does not answer as it should: {error}. "
            "Check its address, LEDGERLAKE_S3_ENDPOINT, LEDGERLAKE_SQS_QUEUE and your rights; what was sent waits there.",
            uri,
        ) from error


def _version(item: dict[str, Any]) -> str:
    changed: datetime = item["LastModified"]
    return f"{item['ETag']}|{changed:%Y%m%dT%H%M%S}-{item['Size']}"


def _is_of_one_object(error: ClientError) -> bool:
    """Whether it is this object that cannot be read, and no other for it."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return _code(error) in DENIED or (400 <= status < 500 and status != 429 and _code(error) not in OF_ALL)


def _remedy(error: ClientError) -> str:
    code = _code(error)
    if code == "InvalidObjectState":
        return "it lies in an archive class (GLACIER); have it restored, or sent again into a class that can be read at once."
    if code.startswith("KMS."):
        return "have the key that it is encrypted with enabled, and us let use it (kms:Decrypt)."
    return "have it sent again without a key of the sender's own (SSE-C) and into a class that can be read at once."


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code"))
