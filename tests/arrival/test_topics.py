"""Topics of a real Kafka broker: slices by offsets that the ledger keeps, each record once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from jobs.arrival.inbox import Several
from jobs.arrival.land import Landed
from jobs.arrival.pulls import SourceDown
from jobs.arrival.slices import Slices, skip_dropped, take_due
from jobs.contracts.pulls import KafkaTopic
from jobs.contracts.source import Source
from jobs.ledger import batches, deliveries, slices
from tests.arrival.conftest import PLAIN, Bank, bronze
from tests.kafka import PASSWORD, USER, Broker, broker  # noqa: F401

COLUMNS = {
    "event_id": ["string!", PLAIN],
    "phone": ["string", {"classification": "C2/3", "identifies": "phone"}],
    "amount": ["decimal(18,2)", {**PLAIN, "from": "payload.amount"}],
}


class Stream:
    """A topic, and the bank that reads it."""

    def __init__(self, bank: Bank, running: Broker, topic: str, **pull: Any):
        source = Source.model_validate(
            {
                "feed": "app",
                "description": "d",
                "system": "app",
                "owner": "channels",
                "sender": "stream",
                "kind": "events",
                "synthetic": True,
                "pull": {"kind": "kafka_topic", "connection": "channels", "topic": topic, **pull},
            }
        )
        tables = {**bank.catalog.tables, "bronze.app": bronze("app", ["event_id"], COLUMNS)}
        self.bank = replace(
            bank, catalog=replace(bank.catalog, tables=tables, sources={**bank.catalog.sources, "app": source})
        )
        self.running, self.topic = running, topic
        self.bank = replace(self.bank, inbox=Several(bank.inbox, Slices(self.bank.catalog, bank.ledger)))  # type: ignore[arg-type]

    def send(self, *ids: str, partition: int = 0) -> None:
        self.running.send(self.topic, *(event(i) for i in ids), partition=partition)

    def take(self) -> int:
        return take_due(self.bank.catalog, self.bank.ledger)

    def land(self, **how: Any) -> list[Landed]:
        return self.bank.land(**how)

    def fetched(self) -> list[list[str]]:
        self.take()
        return [[r["event_id"] for r in self.bank.rows(one)] for one in self.land() if one.state == "verified"]

    def skip(self) -> list[tuple[str, str, str]]:
        source = self.bank.catalog.sources["app"]
        gone = skip_dropped(self.bank.catalog, self.bank.ledger, source, "ann", "too short a retention")
        return [(span.part, span.begins, span.ends) for span in gone]

    def alerts(self) -> list[str]:
        with self.bank.ledger.begin() as db:
            return [a.message for a in batches.alerts(db)]


def event(event_id: str, **more: Any) -> bytes:
    return json.dumps({"event_id": event_id, "phone": "13800138000", "payload": {"amount": 1.10}, **more}).encode()


@pytest.fixture
def stream(
    bank: Bank,
    broker: Broker,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Callable[..., Stream]:
    monkeypatch.setenv("LEDGERLAKE_SOURCE_CHANNELS", broker.address)
    monkeypatch.setattr("jobs.arrival.pulls.kafka_topic.WAIT", 5.0)

    def new(partitions: int = 1, **pull: Any) -> Stream:
        topic = f"t{abs(hash(request.node.name)) % 10**9}"
        broker.topic(topic, partitions=partitions)
        return Stream(bank, broker, topic, **pull)

    return new


def test_each_record_is_read_once_and_in_order(stream: Callable[..., Stream]) -> None:
    app = stream()
    app.send("e1", "e2", "e3")
    assert app.fetched() == [["e1", "e2", "e3"]]
    assert app.fetched() == []
    app.send("e4")
    assert app.fetched() == [["e4"]]
    with app.bank.ledger.begin() as db:
        assert [d.uri for d in deliveries.find(db)] == [
            "kafka_topic:channels/0?from=0&to=3",
            "kafka_topic:channels/0?from=3&to=4",
        ]


def test_each_partition_has_slices_of_its_own(stream: Callable[..., Stream]) -> None:
    app = stream(partitions=3)
    app.send("a1", "a2", partition=0)
    app.send("c1", partition=2)
    assert sorted(app.fetched()) == [["a1", "a2"], ["c1"]]
    app.send("b1", partition=1)
    app.send("c2", partition=2)
    assert sorted(app.fetched()) == [["b1"], ["c2"]]


def test_a_slice_holds_no_more_than_declared(stream: Callable[..., Stream]) -> None:
    app = stream(most=2)
    app.send("e1", "e2", "e3", "e4", "e5")
    assert [app.fetched() for _ in range(4)] == [[["e1", "e2"]], [["e3", "e4"]], [["e5"]], []]


def test_identifiers_are_tokens_before_anything_is_kept_and_numbers_are_exact(stream: Callable[..., Stream]) -> None:
    app = stream()
    app.running.send(app.topic, event("e1"), b'{"event_id":"e2",\n "payload":{"amount":9007199254740993.25}}')
    app.take()
    [landed] = app.land()
    first, second = app.bank.rows(landed)
    assert first["phone_token"] and "phone" not in first
    assert (first["amount"], second["amount"]) == ("1.1", "9007199254740993.25")


def test_what_is_no_record_is_a_malformed_row_and_a_tombstone_none(stream: Callable[..., Stream]) -> None:
    app = stream()
    app.running.send(app.topic, b"no json", None, event("e1"))
    app.take()
    [landed] = app.land()
    assert [
        (r["__line"], bool(r["__malformed"]), r["event_id"])
        for r in sorted(app.bank.rows(landed), key=lambda r: r["__line"])
    ] == [
        (1, True, None),
        (3, False, "e1"),
    ]


def test_an_event_with_a_key_twice_is_a_malformed_row(stream: Callable[..., Stream]) -> None:
    app = stream()
    app.running.send(app.topic, event("e1"), b'{"event_id":"e2","phone":"13800138000","phone":"13900139000"}')
    app.take()
    [landed] = app.land()
    told = {r["__line"]: (r["event_id"], r["__malformed"]) for r in app.bank.rows(landed)}
    why = "the key 'phone' stands twice in one object, with its values at characters 26 and 48"
    assert told == {1: ("e1", None), 2: (None, why)}


def test_a_run_that_dies_reads_the_same_slice_again(
    stream: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = stream()
    app.send("e1", "e2")
    app.take()

    class Died(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr("jobs.arrival.outcomes.Outcomes.accept", die)
        with pytest.raises(Died):
            app.land()
    app.send("e3")
    [again] = app.land(run_id="run-2")
    assert (again.state, again.rows) == ("verified", 2)
    assert app.fetched() == [["e3"]]


def test_only_what_was_committed_is_read(stream: Callable[..., Stream]) -> None:
    from confluent_kafka import Producer

    app = stream()
    for transaction, ids, commit in (("t1", ("e1", "e2"), True), ("t2", ("no",), False), ("t3", ("e3",), True)):
        producer = Producer({"bootstrap.servers": app.running.address, "transactional.id": transaction})
        producer.init_transactions(30)
        producer.begin_transaction()
        for i in ids:
            producer.produce(app.topic, event(i), partition=0)
        producer.flush(30)
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)
    found: list[str] = []
    for _ in range(3):
        found += [i for one in app.fetched() for i in one]
    assert found == ["e1", "e2", "e3"]


def test_records_that_the_topic_dropped_before_we_read_them_are_never_passed_over(
    stream: Callable[..., Stream],
) -> None:
    app = stream()
    app.send("e1")
    assert app.fetched() == [["e1"]]
    app.send("e2", "e3", "e4")
    app.running.drop_before(app.topic, 0, 3)
    assert app.fetched() == []
    [told] = app.alerts()
    assert "begins at offset 3, and we were at 1: the topic dropped records before we read them" in told


def test_where_an_empty_partition_stood_at_the_first_look_is_kept(stream: Callable[..., Stream]) -> None:
    """Partition 1 has had records that are gone since before we came: that is no gap. What comes and goes after the first look is one."""
    app = stream(partitions=3)
    app.send("old1", "old2", partition=1)
    app.running.drop_before(app.topic, 1, 2)
    app.send("a1")
    assert (app.fetched(), app.alerts()) == ([["a1"]], [])
    assert (app.fetched(), app.alerts()) == ([], [])
    app.send("b1", "b2", "b3", partition=1)
    app.send("c1", partition=2)
    app.running.drop_before(app.topic, 1, 4)
    assert app.fetched() == []
    [told] = app.alerts()
    assert f"partition 1 of {app.topic} begins at offset 4, and we were at 2: the topic dropped records" in told


def test_a_partition_that_is_added_is_read_from_its_beginning(stream: Callable[..., Stream]) -> None:
    app = stream()
    app.send("a1")
    assert app.fetched() == [["a1"]]
    app.running.add_partitions(app.topic, 3)
    app.send("b1", "b2", partition=1)
    app.send("c1", partition=2)
    app.running.drop_before(app.topic, 2, 1)
    assert app.fetched() == []
    [told] = app.alerts()
    assert f"partition 2 of {app.topic} begins at offset 1, and we were at 0: the topic dropped records" in told
    assert app.skip() == [("2", "0", "1")]
    assert app.fetched() == [["b1", "b2"]]


def test_a_topic_that_is_made_anew_is_not_taken_for_the_old_one(stream: Callable[..., Stream]) -> None:
    """The new one holds more records than we have read of the old one: its offsets alone would look right."""
    app = stream()
    app.send("e1", "e2")
    assert app.fetched() == [["e1", "e2"]]
    app.running.delete_topic(app.topic)
    app.running.topic(app.topic)
    app.send("n1", "n2", "n3")
    assert app.fetched() == []
    [told] = app.alerts()
    assert "it was made anew, or is another topic. Read it as a source of its own" in told


def test_a_slice_that_waits_is_not_read_from_a_topic_that_was_made_anew(stream: Callable[..., Stream]) -> None:
    app = stream()
    app.send("e1", "e2")
    app.take()
    app.running.delete_topic(app.topic)
    app.running.topic(app.topic)
    app.send("n1", "n2", "n3")
    [waiting] = app.land()
    assert (waiting.state, waiting.rows) == ("arriving", None)
    assert "it was made anew, or is another topic" in str(waiting.reason)
    assert app.skip() == [("0", "0", "2")], "else its day would wait for it for ever"
    assert [(one.state, one.rows) for one in app.land()] == [("verified", 0)]
    assert app.fetched() == []
    [told] = app.alerts()
    assert "Read it as a source of its own" in told
    with pytest.raises(SourceDown, match="it was made anew"):
        app.skip()


def test_a_source_whose_topic_is_another_now_does_not_go_on_at_the_old_ones_offset(
    stream: Callable[..., Stream],
) -> None:
    app = stream()
    app.send("e1", "e2")
    assert app.fetched() == [["e1", "e2"]]
    other = f"{app.topic}-v2"
    app.running.topic(other)
    app.running.send(other, event("n1"), event("n2"), event("n3"))
    source = app.bank.catalog.sources["app"]
    assert isinstance(source.pull, KafkaTopic)
    moved = source.model_copy(update={"pull": source.pull.model_copy(update={"topic": other})})
    assert take_due(replace(app.bank.catalog, sources={"app": moved}), app.bank.ledger) == 0
    [told] = app.alerts()
    assert f"{other} has the id " in told and "it was made anew, or is another topic" in told


def test_what_a_topic_dropped_is_skipped_when_somebody_says_so_and_nothing_else_is(
    stream: Callable[..., Stream],
) -> None:
    app = stream(partitions=2)
    app.send("a1")
    app.send("b1", partition=1)
    assert sorted(app.fetched()) == [["a1"], ["b1"]]
    assert app.skip() == [], "nothing is gone"
    app.send("a2", "a3", "a4")
    app.send("b2", partition=1)
    app.running.drop_before(app.topic, 0, 3)
    assert app.fetched() == []
    assert app.skip() == [("0", "1", "3")]
    assert app.alerts() == []
    with app.bank.ledger.begin() as db:
        [ended] = [a.end for a in batches.alerts_told(db, 9)]
        [kept] = slices.skipped(db, "app")
    assert (
        ended
        == "app goes on without offsets 1 to 2 of 0, which its source dropped before they were read. ann said so: too short a retention"
    )
    assert (kept.begins, kept.dropped_up_to, kept.skipped_by, kept.reason) == ("1", "3", "ann", "too short a retention")
    assert sorted(app.fetched()) == [["a4"], ["b2"]]
    assert app.skip() == []


def test_a_slice_that_waits_while_its_records_go_is_read_from_where_the_topic_begins(
    stream: Callable[..., Stream],
) -> None:
    """Four slices of two records wait; by the time they are read five records are gone."""
    app = stream(most=2)
    app.send("e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8")
    assert [app.take() for _ in range(4)] == [1, 1, 1, 1]
    app.running.drop_before(app.topic, 0, 5)
    assert [one.state for one in app.land()] == ["arriving", "arriving", "arriving", "verified"]
    [told] = app.alerts()
    assert "begins at offset 5, and we were at " in told and "the topic dropped records before we read them" in told
    assert app.skip() == [("0", "0", "5")]
    assert [[r["event_id"] for r in app.bank.rows(one)] for one in app.land() if one.rows] == [["e6"]]
    with app.bank.ledger.begin() as db:
        assert slices.unsettled(db, "app") == []
        assert [(s.begins, s.ends, s.dropped_up_to) for s in slices.skipped(db, "app")] == [
            ("0", "2", "2"),
            ("2", "4", "4"),
            ("4", "6", "5"),
        ]
    app.send("e9")
    assert app.fetched() == [["e9"]]


def test_a_refused_slice_whose_records_went_is_fetched_again_from_where_the_topic_begins(
    stream: Callable[..., Stream],
) -> None:
    app = stream()
    app.running.send(app.topic, b"{}", b'{"event_id": "\xff"}', event("e1"))
    app.take()
    [refused] = app.land()
    assert refused.state == "refused"
    app.running.drop_before(app.topic, 0, 2)
    assert app.fetched() == [] and app.alerts() == [], "what comes next is not held up by it"
    with app.bank.ledger.begin() as db:
        assert slices.take_again(db, refused.delivery_id)
    assert [one.state for one in app.land()] == ["arriving"]
    assert app.skip() == [("0", "0", "2")]
    assert app.fetched() == [["e1"]]


def test_brokers_that_are_down_move_nothing(stream: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch) -> None:
    app = stream()
    app.send("e1")
    with monkeypatch.context() as patch:
        patch.setenv("LEDGERLAKE_SOURCE_CHANNELS", "127.0.0.1:1")
        patch.setattr("jobs.arrival.pulls.kafka_topic.WAIT", 0.5)
        assert app.take() == 0
        assert "cannot be read" in app.alerts()[0]
    assert app.take() == 1
    with monkeypatch.context() as patch:
        patch.setenv("LEDGERLAKE_SOURCE_CHANNELS", "127.0.0.1:1")
        patch.setattr("jobs.arrival.pulls.kafka_topic.WAIT", 0.5)
        assert [one.state for one in app.land()] == ["arriving"]
    assert app.fetched() == [["e1"]]


# --- brokers that do not let everybody in -----------------------------------------------------------------------------


def secured(protocol: str, mechanism: str = "SCRAM-SHA-512", **more: str) -> dict[str, Any]:
    known = {"protocol": protocol, "mechanism": mechanism, "user": USER, "secret": "channels_password", **more}
    return {"security": known}


@pytest.fixture
def shut(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:  # noqa: F811
    """What the installation knows of the brokers: a password, and who issues their certificates."""
    monkeypatch.setenv("LEDGERLAKE_SOURCE_CHANNELS_PASSWORD", PASSWORD)
    monkeypatch.setenv("LEDGERLAKE_SOURCE_CHANNELS_CA", str(broker.ca))
    return monkeypatch


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_brokers_that_ask_for_a_user_let_us_in(
    stream: Callable[..., Stream], shut: pytest.MonkeyPatch, protocol: str, mechanism: str
) -> None:
    is_encrypted = protocol == "SASL_SSL"
    app = stream(**secured(protocol, mechanism, **({"ca": "channels_ca"} if is_encrypted else {})))
    shut.setenv("LEDGERLAKE_SOURCE_CHANNELS", app.running.tls if is_encrypted else app.running.sasl)
    app.send("e1", "e2")
    assert app.fetched() == [["e1", "e2"]]
    assert app.alerts() == []


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("PASSWORD", "wrong-S3cret", "SASL authentication error: Authentication failed"),
        ("PASSWORD", "", "No address is known of the connection channels_password"),
        ("CA", "other.pem", "broker certificate could not be verified"),
        ("CA", "none.pem", "ssl.ca.location failed"),
    ],
    ids=["another password", "no password", "another issuer", "no file of issuers"],
)
def test_brokers_that_turn_us_away_are_one_clear_alert_and_nothing_moves(
    stream: Callable[..., Stream], shut: pytest.MonkeyPatch, variable: str, value: str, why: str
) -> None:
    app = stream(**secured("SASL_SSL", ca="channels_ca"))
    shut.setenv("LEDGERLAKE_SOURCE_CHANNELS", app.running.tls)
    app.send("e1")
    is_file = value.endswith(".pem")
    shut.setenv(f"LEDGERLAKE_SOURCE_CHANNELS_{variable}", str(app.running.home / value) if is_file else value)
    assert (app.take(), app.take()) == (0, 0)  # looked at twice, told once
    [told] = app.alerts()
    assert why in told and f"LEDGERLAKE_SOURCE_CHANNELS_{variable}" in told
    assert not value or is_file or value not in told
    with app.bank.ledger.begin() as db:
        assert slices.ends(db, "app") == {}
    shut.setenv("LEDGERLAKE_SOURCE_CHANNELS_PASSWORD", PASSWORD)
    shut.setenv("LEDGERLAKE_SOURCE_CHANNELS_CA", str(app.running.ca))
    assert app.fetched() == [["e1"]]
    assert app.alerts() == []


def test_a_password_that_is_changed_before_a_slice_is_read_leaves_it_waiting(
    stream: Callable[..., Stream], shut: pytest.MonkeyPatch
) -> None:
    app = stream(**secured("SASL_PLAINTEXT"))
    shut.setenv("LEDGERLAKE_SOURCE_CHANNELS", app.running.sasl)
    app.send("e1")
    app.take()
    shut.setenv("LEDGERLAKE_SOURCE_CHANNELS_PASSWORD", "another")
    [waiting] = app.land()
    assert (waiting.state, "Authentication failed" in str(waiting.reason)) == ("arriving", True), waiting.reason
    shut.setenv("LEDGERLAKE_SOURCE_CHANNELS_PASSWORD", PASSWORD)
    assert [[r["event_id"] for r in app.bank.rows(one)] for one in app.land()] == [["e1"]]


@pytest.mark.parametrize(
    ("security", "why"),
    [
        ({"protocol": "SASL_SSL", "user": "u"}, "SASL_SSL needs mechanism, user and secret"),
        ({"protocol": "SSL", "user": "u"}, "user belong to SASL"),
        (secured("SASL_PLAINTEXT", ca="c")["security"], "ca belongs to SSL"),
        (secured("SASL_SSL", secret="S3cret!")["security"], "secret"),
        ({"protocol": "PLAINTEXT"}, "protocol"),
    ],
)
def test_a_source_says_all_of_it_and_no_password(security: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        KafkaTopic.model_validate({"kind": "kafka_topic", "connection": "c", "topic": "t", "security": security})
