"""Sources that are fetched, on the terminal: up to where, and what a topic dropped before it was read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.arrival.slices import take_due
from jobs.commands.quarantine import me
from jobs.ledger import batches, slices
from tests.commands.conftest import Said, bank_of
from tests.contracts.house import bronze, build
from tests.kafka import Broker, broker  # noqa: F401
from tests.ledger.conftest import TinyBank

Command = Callable[..., Said]
TOPIC = "pulls-by-hand"
APP = """\
feed: app
description: What customers do in the new app.
system: app
owner: channels
sender: stream
kind: events
pull: {kind: kafka_topic, connection: channels, topic: pulls-by-hand}
synthetic: true
"""
STAFF = APP.replace("feed: app", "feed: staff").replace("system: app", "system: hr").replace(
    "{kind: kafka_topic, connection: channels, topic: pulls-by-hand}",
    "{kind: postgres_table, connection: hr, table: hr.staff, watermark: changed_at}",
)  # fmt: skip


@pytest.fixture
def fetching(installation: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyBank]:
    """The tiny bank, which fetches from a topic and from a table."""
    expectations = build(installation / "expectations")
    event = bronze("app", "event_id: [string!, {classification: C1/2}]", grain="one event", key="event_id")
    moved = "changed_at: [timestamp!, {classification: C1/2}]"
    person = bronze("staff", "staff_id: [string!, {classification: C1/2}]", moved, grain="one person", key="staff_id")
    for name, text in {
        "sources/tiny/app": APP,
        "sources/tiny/staff": STAFF,
        "bronze/app": event,
        "bronze/staff": person,
    }.items():
        (expectations / f"{name}.yaml").write_text(text)
    monkeypatch.setenv("LEDGERLAKE_EXPECTATIONS", str(expectations))
    with bank_of("tiny", monkeypatch) as made:
        yield made


def test_records_that_a_topic_dropped_are_skipped_by_hand_and_it_is_shown_for_ever(
    fetching: TinyBank,
    broker: Broker,  # noqa: F811
    ledgerlake: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LEDGERLAKE_SOURCE_CHANNELS", broker.address)
    broker.topic(TOPIC)
    broker.send(TOPIC, b'{"event_id": "e1"}')
    take_due(fetching.catalog, fetching.ledger)
    said = ledgerlake("pulls", "--feed", "app")
    with fetching.ledger.begin() as db:
        topic_id = slices.ends(db, "app")["id"]
    assert (said.status, [line.split() for line in said.out.splitlines()]) == (0, [
        ["feed", "kind", "part", "taken", "up", "to", "waiting", "refused", "asked", "at"],
        ["app", "kafka_topic", "0", "1", "1", "0", "2026-09-15", "08:00"],
        ["app", "kafka_topic", "id", topic_id, "0", "0", "2026-09-15", "08:00"],
    ])  # fmt: skip
    said = ledgerlake("pulls", "skip", "app", "--reason", "a try")
    assert (said.status, said.err) == (1, "app: the topic holds all that was not read yet. Nothing was skipped.\n")

    broker.send(TOPIC, *[b'{"event_id": "more"}'] * 3)
    broker.drop_before(TOPIC, 0, 3)
    take_due(fetching.catalog, fetching.ledger)
    said = ledgerlake("pulls", "--feed", "app")
    assert said.status == 1
    assert "`ledgerlake pulls skip app --reason ...`" in said.out, "the list says what is wrong, and what to do"
    said = ledgerlake("pulls", "skip", "app", "--reason", "retention of a day; [ticket 7]")
    assert (said.status, said.out.splitlines()) == (
        0,
        ["app: offsets 0 to 2 of partition 0 are skipped.", "The next roll-call goes on behind them."],
    )
    take_due(fetching.catalog, fetching.ledger)
    with fetching.ledger.begin() as db:
        [ended] = [alert.end for alert in batches.alerts_told(db, 9) if alert.alert_key.startswith("source_down|app|")]
    assert "goes on without offsets 0 to 2 of 0" in str(ended)
    said = ledgerlake("pulls", "--feed", "app")
    assert said.status == 0
    for span in ("0 to 0", "1 to 2"):  # of the slice that waited, and of what nobody had taken
        assert f"dropped before it was read: {span}; skipped by {me()}: retention of a day; [ticket 7]" in said.out
    told, _ = [json.loads(line) for line in ledgerlake("pulls", "--feed", "app", "--json").out.splitlines()]
    assert (told["taken_up_to"], told["waiting"], len(told["skipped"])) == ("4", 2, 2)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["skip", "ap", "--reason", "r"], "There is no feed ap that is fetched. Did you mean app? Known: "),
        (["skip", "payments", "--reason", "r"], "There is no feed payments that is fetched."),
        (["skip", "staff", "--reason", "r"], "staff is no topic: of a postgres_table nothing can be skipped."),
        (["skip", "app", "--reason", " "], "Say with --reason"),
        (["skip", "app"], "Missing option '--reason'"),
        (["--feed", "rates"], "There is no feed rates that is fetched."),
    ],
)
def test_what_is_not_understood_is_said(fetching: TinyBank, ledgerlake: Command, words: list[str], why: str) -> None:
    said = ledgerlake("pulls", *words)
    assert said.status == 2
    assert why in said.err


def test_a_source_that_was_never_looked_at_has_no_position(fetching: TinyBank, ledgerlake: Command) -> None:
    told = [json.loads(line) for line in ledgerlake("pulls", "--json").out.splitlines()]
    assert [(one["feed"], one["part"], one["asked_at"]) for one in told] == [("app", None, None), ("staff", None, None)]


def test_a_bank_that_fetches_nothing_says_so(bank: TinyBank, ledgerlake: Command) -> None:
    said = ledgerlake("pulls")
    assert (said.status, said.out) == (0, "No source of this bank is fetched: none says `pull`.\n")
