"""A Kafka broker of one node for tests of topics. Import the fixture by name.

Its jars are fetched once into `.local/kafka` (43 MB, checksums kept); without a network, and before that, the tests skip.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.local.processes import die_with_parent, wait_until
from infra.local.setup import KAFKA, SetupError, fetch_jars, java_binary
from jobs.settings import PROJECT
from tests.postgres import free_port

JARS = PROJECT / ".local" / "kafka"
SETTINGS = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={home}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.retention.check.interval.ms=1000
auto.create.topics.enable=false
"""


@dataclass
class Broker:
    """A running broker, and whoever writes to it."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        with (self.home / "broker.log").open("ab") as output:
            self.process = subprocess.Popen(
                _java("kafka.Kafka", str(self.home / "server.properties"), memory="-Xmx384m"),
                stdout=output, stderr=output, cwd=self.home, preexec_fn=die_with_parent(signal.SIGTERM),
            )  # fmt: skip
        assert wait_until(self._answers, timeout=60), (self.home / "broker.log").read_text()[-3000:]

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=30)
            self.process = None

    def topic(self, name: str, *, partitions: int = 1, **config: str) -> None:
        from confluent_kafka.admin import AdminClient, NewTopic

        client = AdminClient({"bootstrap.servers": self.address})  # kept until it has answered
        made = client.create_topics([NewTopic(name, partitions, 1, config=config)])
        made[name].result(30)

    def drop_before(self, topic: str, partition: int, offset: int) -> None:
        from confluent_kafka import TopicPartition
        from confluent_kafka.admin import AdminClient

        client = AdminClient({"bootstrap.servers": self.address})
        done = client.delete_records([TopicPartition(topic, partition, offset)])
        for result in done.values():
            result.result(30)

    def send(self, topic: str, *values: bytes | None, partition: int = 0, **config: Any) -> None:
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.address, "linger.ms": 5, **config})
        for value in values:
            producer.produce(topic, value, key=b"k", partition=partition)
            producer.poll(0)
        assert producer.flush(30) == 0

    def _answers(self) -> bool:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        try:
            return bool(AdminClient({"bootstrap.servers": self.address, "log_level": 0}).list_topics(timeout=1).brokers)
        except KafkaException:
            return False


def _java(main: str, *arguments: str, memory: str = "-Xmx128m") -> list[str]:
    return [str(java_binary()), memory, "-XX:TieredStopAtLevel=1", "-cp", f"{JARS}/*", main, *arguments]


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    try:
        fetch_jars(JARS, KAFKA)
    except SetupError as error:
        pytest.skip(f"no Kafka broker: {str(error).splitlines()[0]}")
    with running_broker() as running:
        yield running


@contextmanager
def running_broker() -> Iterator[Broker]:
    """Its jars must be there."""
    with tempfile.TemporaryDirectory(prefix="ledgerlake_kafka_", ignore_cleanup_errors=True) as folder:
        running = Broker(Path(folder), free_port())
        settings = running.home / "server.properties"
        settings.write_text(SETTINGS.format(port=running.port, controller=free_port(), home=folder))
        made = subprocess.run(
            _java("kafka.tools.StorageTool", "random-uuid"), capture_output=True, text=True, check=True, cwd=folder
        )
        cluster = made.stdout.split()[-1]
        format_it = _java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(settings))
        subprocess.run(format_it, capture_output=True, check=True, cwd=folder, env=dict(os.environ))
        running.start()
        yield running
        running.stop()
