"""The same landing out of a bucket whose notifications come through a queue."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from jobs.arrival import bucket as bucket_module
from jobs.arrival.bucket import Bucket, keys_in
from jobs.arrival.doorbell import waiting_count
from jobs.arrival.inbox import Gone, InboxUnavailable, inbox_for
from jobs.arrival.sightings import sightings
from jobs.ledger import Ledger
from jobs.settings import inbox_variable, settings
from tests.arrival.conftest import DAY, Bank, catalog_of, movements
from tests.postgres import free_port

NAME = f"CORE_b01_TXN_{DAY}_1.txt"
PATH = f"movements/b01/2026-09-15/{NAME}"
GOOD = movements(("1", "10.00", "工资"))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    port = free_port()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def bank(installation: Path, new_ledger: Callable[[], Ledger], endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """A bank whose inbox is s3://inbox-<bank>/in, with notifications to a queue of its own."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    ledger = new_ledger()
    where = {"endpoint_url": endpoint}
    s3, sqs = boto3.client("s3", **where), boto3.client("sqs", **where)
    name = f"inbox-{ledger.profile}"
    s3.create_bucket(Bucket=name)
    queue = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    s3.put_bucket_notification_configuration(
        Bucket=name,
        NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]},
    )
    monkeypatch.setenv(inbox_variable(ledger.profile), f"s3://{name}/in")
    monkeypatch.setenv("LEDGERLAKE_S3_ENDPOINT", endpoint)
    monkeypatch.setenv("LEDGERLAKE_SQS_QUEUE", queue)
    settings.cache_clear()
    from jobs.privacy.keys import load_keys

    home = installation / "banks" / ledger.profile
    return Bank(catalog_of(ledger.profile), ledger, inbox_for(ledger.profile), home, load_keys())  # type: ignore[arg-type]


def put(bank: Bank, content: bytes = GOOD, path: str = PATH) -> None:
    box: Bucket = bank.inbox  # type: ignore[assignment]
    name = path.rsplit("/", 1)[-1]
    box.s3.put_object(Bucket=box.bucket, Key=f"in/{path}", Body=content)
    signal = f"{name}|||{hashlib.sha256(content).hexdigest()}\n".encode()
    box.s3.put_object(Bucket=box.bucket, Key=f"in/{path}.ok", Body=signal)


def keys(bank: Bank) -> list[str]:
    box: Bucket = bank.inbox  # type: ignore[assignment]
    return [item["Key"] for item in box.s3.list_objects_v2(Bucket=box.bucket).get("Contents", [])]


def test_a_file_in_the_bucket_lands_and_bucket_and_queue_are_empty_afterwards(bank: Bank) -> None:
    put(bank)
    assert bank.inbox.announced() >= 2  # type: ignore[attr-defined]
    assert waiting_count(bank.catalog, bank.inbox) == 1
    (landed,) = bank.land()
    assert (landed.state, bank.rows(landed)[0]["remark"]) == ("verified", "工资")
    assert bank.delivery(landed).uri == f"s3://{bank.inbox.bucket}/in/{PATH}"  # type: ignore[attr-defined]
    assert keys(bank) == []
    assert bank.inbox.announced() == 0  # type: ignore[attr-defined]


def test_messages_stay_until_the_ledger_knows(bank: Bank) -> None:
    put(bank)
    box: Bucket = bank.inbox  # type: ignore[assignment]
    box.sqs.set_queue_attributes(QueueUrl=box.queue, Attributes={"VisibilityTimeout": "0"})
    assert len(box.waiting()) == 1
    assert box.announced() >= 2  # this run dies here: the messages come again
    assert [one.state for one in bank.land("run-2")] == ["verified"]
    assert box.announced() == 0


def test_a_lost_notification_is_found_by_the_sweep(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    box: Bucket = bank.inbox  # type: ignore[assignment]
    assert waiting_count(bank.catalog, box) == 0
    put(bank)
    box.sqs.purge_queue(QueueUrl=box.queue)
    assert waiting_count(bank.catalog, box) == 0
    monkeypatch.setattr(bucket_module, "SWEEP_SECONDS", 0.0)
    assert waiting_count(bank.catalog, box) == 1


def test_a_newer_object_under_the_same_name_is_not_removed_with_the_old(bank: Bank) -> None:
    put(bank)
    (arrived,) = bank.inbox.waiting()
    put(bank, movements(("1", "11.00", "")))
    with pytest.raises(Gone):
        bank.inbox.open(arrived)
    bank.inbox.remove(arrived)
    assert f"in/{PATH}" in keys(bank)


def test_a_stream_of_an_object_may_seek(bank: Bank) -> None:
    put(bank)
    (arrived,) = bank.inbox.waiting()
    with bank.inbox.open(arrived) as stream:
        assert stream.read(6) == GOOD[:6]
        stream.seek(-4, 2)
        assert stream.read() == GOOD[-4:]
        stream.seek(0)
        assert stream.read() == GOOD


def test_a_signal_without_its_object_is_seen(bank: Bank) -> None:
    put(bank)
    assert sightings(bank.catalog, bank.inbox) == []
    box: Bucket = bank.inbox  # type: ignore[assignment]
    box.s3.delete_object(Bucket=box.bucket, Key=f"in/{PATH}")
    told = sightings(bank.catalog, inbox_for(bank.ledger.profile))
    assert [(one["kind"], one["path"]) for one in told] == [("signal_without_file", PATH)]


def test_keys_are_url_encoded_and_the_test_event_holds_none() -> None:
    record = {"s3": {"object": {"key": "in/b01/%E5%B7%A5+1.txt"}}}
    assert keys_in(json.dumps({"Records": [record]})) == ["in/b01/工 1.txt"]
    assert keys_in(json.dumps({"Message": json.dumps({"Records": [record]})})) == ["in/b01/工 1.txt"]
    assert keys_in('{"Service": "Amazon S3", "Event": "s3:TestEvent"}') == []
    assert keys_in("not json") == []


def test_a_bucket_that_is_not_there_is_one_clear_message(bank: Bank) -> None:
    elsewhere = Bucket("s3://no-such-bucket/in")
    with pytest.raises(InboxUnavailable, match=r"s3://no-such-bucket/in does not answer as it should: .*NoSuchBucket"):
        elsewhere.waiting()


def test_a_signal_of_a_batch_goes_with_its_last_object(bank: Bank) -> None:
    box: Bucket = bank.inbox  # type: ignore[assignment]
    names = [f"CORE_b01_TXN_{DAY}_{n}.txt" for n in (1, 2)]
    contents = [GOOD, movements(("2", "5.00", ""))]
    box.s3.put_object(Bucket=box.bucket, Key=f"in/movements/b01/2026-09-15/{names[0]}", Body=contents[0])
    text = "".join(f"{name}|||{hashlib.sha256(c).hexdigest()}\n" for name, c in zip(names, contents, strict=True))
    box.s3.put_object(Bucket=box.bucket, Key="in/movements/b01/2026-09-15/batch.ok", Body=text.encode())
    assert [one.state for one in bank.land()] == ["verified"]
    assert [key.rpartition("/")[2] for key in keys(bank)] == ["batch.ok"]  # the second is still to come
    box.s3.put_object(Bucket=box.bucket, Key=f"in/movements/b01/2026-09-15/{names[1]}", Body=contents[1])
    assert [one.state for one in bank.land()] == ["verified"]
    assert keys(bank) == []
