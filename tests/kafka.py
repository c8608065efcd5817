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
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
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
listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl},SASL_SSL://127.0.0.1:{tls},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl},SASL_SSL://127.0.0.1:{tls}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
listener.name.sasl_ssl.ssl.keystore.type=PEM
listener.name.sasl_ssl.ssl.keystore.location={home}/broker.pem
log.dirs={home}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.retention.check.interval.ms=1000
auto.create.topics.enable=false
"""
USER, PASSWORD = "ledgerlake", "Gr33n-Tea"


@dataclass
class Broker:
    """A running broker, and whoever writes to it. Everybody may come in by `address`, USER alone by the other two."""

    home: Path
    port: int
    sasl: str = ""  # address of the listener SASL_PLAINTEXT
    tls: str = ""  # of SASL_SSL
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        """Whom the certificate of SASL_SSL was issued by."""
        return self.home / "ca.pem"

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

    def delete_topic(self, name: str) -> None:
        from confluent_kafka.admin import AdminClient

        client = AdminClient({"bootstrap.servers": self.address})
        client.delete_topics([name])[name].result(30)
        assert wait_until(lambda: name not in client.list_topics(timeout=5).topics, timeout=30)

    def add_partitions(self, topic: str, total: int) -> None:
        from confluent_kafka.admin import AdminClient, NewPartitions

        client = AdminClient({"bootstrap.servers": self.address})
        client.create_partitions([NewPartitions(topic, total)])[topic].result(30)

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
            while True:
                try:
                    producer.produce(topic, value, key=b"k", partition=partition)
                    break
                except BufferError:  # more is on its way than it holds: the broker is busy
                    producer.poll(1)
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


def make_certificates(folder: Path) -> None:
    """`ca.pem`, `broker.pem` (key and certificate of 127.0.0.1, issued by it) and `other.pem`, an issuer that issued nothing."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def issued(name: str, key: ec.EllipticCurvePrivateKey, issuer: str, by: ec.EllipticCurvePrivateKey) -> bytes:
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(named(issuer), named(name), key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        )
        return certificate.sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    ca, broker_key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    (folder / "ca.pem").write_bytes(issued("ca", ca, "ca", ca))
    (folder / "other.pem").write_bytes(issued("other", other, "other", other))
    private = broker_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "broker.pem").write_bytes(private + issued("broker", broker_key, "ca", ca))


@contextmanager
def running_broker() -> Iterator[Broker]:
    """Its jars must be there."""
    with tempfile.TemporaryDirectory(prefix="ledgerlake_kafka_", ignore_cleanup_errors=True) as folder:
        sasl, tls = free_port(), free_port()
        running = Broker(Path(folder), free_port(), f"127.0.0.1:{sasl}", f"127.0.0.1:{tls}")
        make_certificates(running.home)
        settings = running.home / "server.properties"
        own = {"port": running.port, "sasl": sasl, "tls": tls, "user": USER, "password": PASSWORD}
        settings.write_text(SETTINGS.format(**own, controller=free_port(), home=folder))
        made = subprocess.run(
            _java("kafka.tools.StorageTool", "random-uuid"), capture_output=True, text=True, check=True, cwd=folder
        )
        cluster = made.stdout.split()[-1]
        may_come = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
        format_it = _java(
            "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(settings), "--add-scram", may_come
        )
        subprocess.run(format_it, capture_output=True, check=True, cwd=folder, env=dict(os.environ))
        running.start()
        yield running
        running.stop()
