"""The same landing out of a bucket whose notifications come through a queue."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError
from botocore.response import StreamingBody
from moto.server import ThreadedMotoServer

from infra.local.processes import wait_until
from jobs.arrival import bucket as bucket_module
from jobs.arrival.bucket import Bucket
from jobs.arrival.doorbell import waiting_count
from jobs.arrival.folder import Folder
from jobs.arrival.inbox import Gone, InboxUnavailable, Several, inbox_for
from jobs.arrival.sightings import sightings
from jobs.ledger import Ledger, batches
from jobs.settings import inbox_variable, settings
from tests.arrival.conftest import DAY, Bank, catalog_of, movements
from tests.postgres import free_port
from tests.s3 import OWNER, REGION, Servers, s3_servers  # noqa: F401 (a fixture)

NAME = f"CORE_b01_TXN_{DAY}_1.txt"
PATH = f"movements/b01/2026-09-15/{NAME}"
GOOD = movements(("1", "10.00", "工资"))


@dataclass
class World:
    """Where objects and messages are kept, and by whose keys."""

    s3_endpoint: str
    sqs_endpoint: str
    keys: tuple[str, str]
    notifies: bool  # does it take a bucket's wish of notifications? Otherwise the queue of the bucket's name has them


@pytest.fixture(scope="module", params=["servers", "moto"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Servers of other makers, which check signatures and rights; and moto, which has Amazon's own notifications."""
    if request.param == "servers":
        servers: Servers = request.getfixturevalue("s3_servers")
        yield World(servers.s3_endpoint, servers.sqs_endpoint, OWNER, notifies=False)
        return
    port = free_port()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    yield World(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}", ("testing", "testing"), notifies=True)
    server.stop()


@pytest.fixture
def bank(installation: Path, new_ledger: Callable[[], Ledger], world: World, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """A bank whose inbox is s3://inbox-<bank>/in, with notifications to a queue of its own."""
    ledger = new_ledger()
    use_keys(monkeypatch, world.keys)
    name = f"inbox-{ledger.profile.replace('_', '-')}"
    s3, sqs = (
        boto3.client("s3", endpoint_url=world.s3_endpoint),
        boto3.client("sqs", endpoint_url=world.sqs_endpoint),
    )
    s3.create_bucket(Bucket=name)
    queue = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
    if world.notifies:
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        wanted = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
        s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration=wanted)
    monkeypatch.setenv(inbox_variable(ledger.profile), f"s3://{name}/in")
    monkeypatch.setenv("LEDGERLAKE_S3_ENDPOINT", world.s3_endpoint)
    monkeypatch.setenv("LEDGERLAKE_SQS_ENDPOINT", world.sqs_endpoint)
    monkeypatch.setenv("LEDGERLAKE_SQS_QUEUE", queue)
    settings.cache_clear()
    from jobs.privacy.keys import load_keys

    home = installation / "banks" / ledger.profile
    return Bank(catalog_of(ledger.profile), ledger, inbox_for(ledger.profile), home, load_keys())  # type: ignore[arg-type]


def use_keys(monkeypatch: pytest.MonkeyPatch, keys: tuple[str, str]) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys[1])
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers keys


def heard(box: Bucket, messages: int) -> bool:
    """Whether that many messages come to the queue: a server tells of an object a moment after it has it."""
    return wait_until(lambda: box.announced() >= messages, timeout=10)


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
    assert heard(bank.inbox, 2)  # type: ignore[arg-type]
    assert waiting_count(bank.catalog, bank.inbox) == 1
    (landed,) = bank.land()
    assert (landed.state, bank.rows(landed)[0]["remark"]) == ("verified", "工资")
    assert bank.delivery(landed).uri == f"s3://{bank.inbox.bucket}/in/{PATH}"  # type: ignore[attr-defined]
    assert keys(bank) == []
    assert bank.inbox.announced() == 0  # type: ignore[attr-defined]


def test_messages_stay_until_the_ledger_knows(bank: Bank) -> None:
    put(bank)
    box: Bucket = bank.inbox  # type: ignore[assignment]
    assert heard(box, 2)
    box.sqs.set_queue_attributes(QueueUrl=box.queue, Attributes={"VisibilityTimeout": "0"})
    assert len(box.waiting()) == 1
    assert box.announced() >= 2  # this run dies here: the messages come again
    assert [one.state for one in bank.land("run-2")] == ["verified"]
    assert box.announced() == 0


def test_a_lost_notification_is_found_by_the_sweep(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    box: Bucket = bank.inbox  # type: ignore[assignment]
    assert waiting_count(bank.catalog, box) == 0
    put(bank)
    assert heard(box, 2)
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


# --- what only Amazon's own way of it can show ---------------------------------------------------------------------------


on_moto = pytest.mark.parametrize("world", ["moto"], indirect=True)
OTHER = f"movements/b02/2026-09-15/CORE_b02_TXN_{DAY}_1.txt"


@pytest.fixture
def two(bank: Bank) -> Bank:
    """The bank, whose second branch has sent a good file too."""
    put(bank)
    put(bank, movements(("9", "1.00", "x"), branch="b02"), OTHER)
    return bank


@on_moto
def test_an_object_in_an_archive_class_waits_is_told_and_holds_no_other_up(two: Bank) -> None:
    box: Bucket = two.inbox  # type: ignore[assignment]
    box.s3.put_object(Bucket=box.bucket, Key=f"in/{PATH}", Body=GOOD, StorageClass="GLACIER")
    assert {(one.entity, one.state) for one in two.land()} == {("b01", "arriving"), ("b02", "verified")}
    [alert] = open_alerts(two)
    assert f"{PATH} cannot be read" in alert and "InvalidObjectState" in alert and "have it restored" in alert
    put(two)
    assert ("b01", "verified") in {(one.entity, one.state) for one in two.land("run-2")}


@on_moto
def test_a_signal_in_an_archive_class_says_nothing_and_holds_no_other_up(two: Bank) -> None:
    box: Bucket = two.inbox  # type: ignore[assignment]
    box.s3.put_object(Bucket=box.bucket, Key=f"in/{PATH}.ok", Body=b"x", StorageClass="GLACIER")
    assert [(one.entity, one.state) for one in two.land()] == [("b02", "verified")]
    assert ("file_without_signal", "b01") in [(s["kind"], s["entity"]) for s in sightings(two.catalog, two.inbox)]


def failure(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject")  # type: ignore[typeddict-item]  # fmt: skip


@on_moto
@pytest.mark.parametrize(
    ("code", "status", "remedy"), [("KMS.DisabledException", 400, "kms:Decrypt"), ("InvalidRequest", 400, "SSE-C")]
)
def test_an_object_whose_key_we_lack_waits_alone(
    two: Bank, monkeypatch: pytest.MonkeyPatch, code: str, status: int, remedy: str
) -> None:
    box: Bucket = two.inbox  # type: ignore[assignment]
    get = box.s3.get_object

    def no(**asked: str) -> object:
        if asked["Key"] == f"in/{PATH}":
            raise failure(code, status)
        return get(**asked)

    monkeypatch.setattr(box.s3, "get_object", no)
    assert {(one.entity, one.state) for one in two.land()} == {("b01", "arriving"), ("b02", "verified")}
    [alert] = open_alerts(two)
    assert code in alert and remedy in alert


@on_moto
@pytest.mark.parametrize(("code", "status"), [("SlowDown", 503), ("ThrottlingException", 400), ("InternalError", 500)])
def test_a_server_that_is_too_busy_is_an_inbox_out_of_reach(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, code: str, status: int
) -> None:
    put(bank)
    [arrived] = bank.inbox.waiting()
    box: Bucket = bank.inbox  # type: ignore[assignment]
    stream = box.open(arrived)

    def no(**_: str) -> object:
        raise failure(code, status)

    monkeypatch.setattr(box.s3, "get_object", no)
    with pytest.raises(InboxUnavailable, match=code):
        stream.read()


@on_moto
@pytest.mark.parametrize(
    "error", [IncompleteReadError(actual_bytes=1, expected_bytes=2), ResponseStreamingError(error="reset by peer")]
)
def test_a_connection_that_breaks_within_an_object_is_one_clear_message(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    put(bank)
    read = StreamingBody.read

    def breaks(self: StreamingBody, amt: int | None = None) -> bytes:
        if amt == bucket_module.READ:
            raise error
        return read(self, amt)

    monkeypatch.setattr(StreamingBody, "read", breaks)
    with pytest.raises(InboxUnavailable, match=r"does not answer as it should"):
        bank.land()
    monkeypatch.undo()


@on_moto
@pytest.mark.parametrize("alone", [True, False])
def test_a_queue_whose_messages_we_may_not_delete_is_told_and_files_are_read(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, alone: bool
) -> None:
    put(bank)
    box: Bucket = bank.inbox  # type: ignore[assignment]
    assert heard(box, 2)
    here = bank if alone else replace(bank, inbox=Several(box, Folder(tmp_path / "beside")))  # type: ignore[arg-type]

    def no(**_: str) -> object:
        raise failure("AccessDenied", 403)

    with monkeypatch.context() as patch:
        patch.setattr(box.sqs, "delete_message_batch", no)
        assert [one.state for one in here.land()] == ["verified"]
    [alert] = open_alerts(bank)
    assert "sqs:DeleteMessage" in alert and box.uri in alert
    assert (here.land("run-2"), open_alerts(bank)) == ([], [])


# --- what only a server that checks who asks can show -------------------------------------------------------------------


on_servers = pytest.mark.parametrize("world", ["servers"], indirect=True)  # moto lets everybody do everything


def as_reader(bank: Bank, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """The bank, to whom the bucket's policy gives only what `let` says."""
    box: Bucket = bank.inbox  # type: ignore[assignment]
    reader = (f"reader-{box.bucket}", "her-secret")
    servers.add_user(*reader)
    use_keys(monkeypatch, reader)
    return replace(bank, inbox=inbox_for(bank.ledger.profile))  # type: ignore[arg-type]


def let(bank: Bank, read: str, delete: str | None = None) -> None:
    """The reader may list the bucket, and read and delete the objects of these patterns."""
    box: Bucket = bank.inbox  # type: ignore[assignment]
    here = f"arn:aws:s3:::{box.bucket}"
    rights = [("s3:ListBucket", here), ("s3:GetObject", f"{here}/{read}")]
    rights += [("s3:DeleteObject", f"{here}/{delete}")] if delete else []
    who = {"Effect": "Allow", "Principal": {"AWS": [f"reader-{box.bucket}"]}}
    allowed = [{**who, "Action": action, "Resource": resource} for action, resource in rights]
    box.s3.put_bucket_policy(Bucket=box.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": allowed}))


@on_servers
def test_an_object_that_we_may_not_delete_is_read_once_and_told_once(
    bank: Bank,
    s3_servers: Servers,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(bank)
    theirs = as_reader(bank, s3_servers, monkeypatch)
    let(bank, read="*")
    assert [one.state for one in theirs.land()] == ["verified"]
    assert theirs.land("run-2") == []
    [alert] = open_alerts(bank)
    assert f"{PATH} was taken in and cannot be taken away" in alert and "s3:DeleteObject" in alert
    assert len(keys(bank)) == 2
    let(bank, read="*", delete="*")
    assert theirs.land("run-3") == []
    assert keys(bank) == []
    assert open_alerts(bank) == []


@on_servers
def test_an_object_that_we_may_not_read_waits_and_is_told_once(
    bank: Bank,
    s3_servers: Servers,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(bank)
    theirs = as_reader(bank, s3_servers, monkeypatch)
    let(bank, read="*.ok")
    assert [one.state for one in theirs.land()] == ["arriving"]
    assert [one.state for one in theirs.land("run-2")] == ["arriving"]
    [alert] = open_alerts(bank)
    assert f"{PATH} cannot be read: the bucket does not let us" in alert
    let(bank, read="*", delete="*")
    assert [one.state for one in theirs.land("run-3")] == ["verified"]
    assert (keys(bank), open_alerts(bank)) == ([], [])


@on_servers
def test_keys_that_the_server_does_not_know_are_one_clear_message(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    put(bank)
    use_keys(monkeypatch, (OWNER[0], "not-the-secret"))
    with pytest.raises(InboxUnavailable, match=r"does not answer as it should: .*SignatureDoesNotMatch.* your rights"):
        inbox_for(bank.ledger.profile).waiting()
    assert len(keys(bank)) == 2


@on_servers
def test_a_server_that_dies_and_comes_back_loses_and_doubles_nothing(bank: Bank, s3_servers: Servers) -> None:  # noqa: F811
    put(bank)
    s3_servers.stop("gateway")
    with pytest.raises(InboxUnavailable):
        bank.land()
    [alert] = open_alerts(bank)
    assert "does not answer as it should" in alert
    s3_servers.start_gateway()
    assert [one.state for one in bank.land("run-2")] == ["verified"]
    assert (keys(bank), open_alerts(bank), bank.land("run-3")) == ([], [], [])


@on_servers
def test_an_object_of_several_parts_and_more_objects_than_a_listing_shows_land_once(bank: Bank) -> None:
    """An object that was sent in parts has no MD5 as its ETag; a listing shows 1,000 objects at a time."""
    box: Bucket = bank.inbox  # type: ignore[assignment]
    rows = movements(*((str(n), "1.00", "工资" * 200) for n in range(25_000)))
    assert len(rows) > 16 << 20
    parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    box.s3.upload_fileobj(io.BytesIO(rows), box.bucket, f"in/{PATH}", Config=parts)
    signal = f"{NAME}|||{hashlib.sha256(rows).hexdigest()}\n".encode()
    box.s3.put_object(Bucket=box.bucket, Key=f"in/{PATH}.ok", Body=signal)
    with ThreadPoolExecutor(4) as several:  # unfinished: nothing takes them
        list(several.map(lambda n: box.s3.put_object(Bucket=box.bucket, Key=f"in/a/{n}.part"), range(1_000)))
    assert box.s3.head_object(Bucket=box.bucket, Key=f"in/{PATH}")["ETag"].endswith('-4"')
    (landed,) = bank.land()
    assert (landed.state, len(bank.rows(landed))) == ("verified", 25_000)
    assert len(keys(bank)) == 1_000 and bank.land("run-2") == []


def open_alerts(bank: Bank) -> list[str]:
    with bank.ledger.begin() as db:
        return [alert.message for alert in batches.alerts(db)]
