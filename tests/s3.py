"""Servers of other makers that speak S3 and SQS, for tests of buckets: Versity's gateway (objects, users, policies) and ElasticMQ
(the queue). Import the fixture by name.

Amazon's own run nowhere else. The gateway is built once from its Go module into `.local/versitygw` (about a minute; Go's checksum
database vouches for it), the queue's jars are fetched once into `.local/elasticmq` (checksums kept). Without Go or a network, and
before that, the tests skip. The gateway posts what happens to its objects as Amazon's messages; Amazon puts them into the queue
itself, here `_Post` does.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from infra.local.processes import die_with_parent, wait_until
from infra.local.setup import ELASTICMQ, SetupError, fetch_jars, java_binary
from jobs.settings import PROJECT
from tests.postgres import free_port

GATEWAY = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
BUILT, JARS = PROJECT / ".local" / "versitygw", PROJECT / ".local" / "elasticmq"
GO = Path("/usr/local/go/bin/go")  # where Go's makers install it, on the PATH or not
REGION = "us-east-1"
OWNER = ("owner", "own-secret")
QUEUE = """
include classpath("application.conf")
node-address {{ host = "127.0.0.1", port = {port} }}
rest-sqs {{ enabled = true, bind-hostname = "127.0.0.1", bind-port = {port}, sqs-limits = strict }}
rest-stats {{ enabled = false }}
"""


@dataclass
class Servers:
    """A gateway and a queue that run, and what their owner does with them."""

    home: Path
    program: Path
    s3_port: int
    sqs_port: int
    post: ThreadingHTTPServer
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def s3_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.s3_port}"

    @property
    def sqs_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.sqs_port}"

    def client(self, service: str, who: tuple[str, str] = OWNER) -> Any:
        where = self.s3_endpoint if service == "s3" else self.sqs_endpoint
        keys = {"aws_access_key_id": who[0], "aws_secret_access_key": who[1]}
        return boto3.client(service, endpoint_url=where, region_name=REGION, **keys)  # type: ignore[call-overload]

    def start(self) -> None:
        self.start_queue()
        self.start_gateway()

    def start_queue(self) -> None:
        (self.home / "queue.conf").write_text(QUEUE.format(port=self.sqs_port))
        java = [str(java_binary()), "-Xmx128m", "-XX:TieredStopAtLevel=1", f"-Dconfig.file={self.home / 'queue.conf'}"]
        self._start("queue", [*java, "-cp", f"{JARS}/*", "org.elasticmq.server.Main"])
        self._wait("queue", lambda: self.client("sqs").list_queues())

    def start_gateway(self) -> None:
        for folder in ("objects", "users"):
            (self.home / folder).mkdir(exist_ok=True)
        (self.home / "events.json").write_text('{"s3:ObjectCreated:*": true}')
        host, port = self.post.server_address[:2]
        options = ["--port", f"127.0.0.1:{self.s3_port}", "--iam-dir", str(self.home / "users"), "--quiet"]
        options += ["--event-webhook-url", f"http://{host!s}:{port}/", "--event-filter", str(self.home / "events.json")]
        self._start("gateway", [str(self.program), *options, "posix", str(self.home / "objects")])
        self._wait("gateway", lambda: self.client("s3").list_buckets())

    def stop(self, name: str) -> None:
        process = self.running.pop(name)
        process.terminate()
        process.wait(timeout=20)

    def add_user(self, name: str, secret: str) -> None:
        """Somebody who may do what the policy of a bucket says, and nothing else."""
        admin = [str(self.program), "admin", "--allow-insecure", "--endpoint-url", self.s3_endpoint, "--region", REGION]
        who = ["--access", OWNER[0], "--secret", OWNER[1]]
        user = ["create-user", "--access", name, "--secret", secret, "--role", "user"]
        subprocess.run([*admin, *who, *user], check=True, capture_output=True)

    def _start(self, name: str, command: list[str]) -> None:
        environment = {**os.environ, "ROOT_ACCESS_KEY": OWNER[0], "ROOT_SECRET_KEY": OWNER[1]}
        with (self.home / f"{name}.log").open("ab") as output:
            self.running[name] = subprocess.Popen(
                command, stdout=output, stderr=output, env=environment, preexec_fn=die_with_parent(signal.SIGTERM)
            )

    def _wait(self, name: str, ask: Any) -> None:
        def answers() -> bool:
            try:
                ask()
            except (BotoCoreError, ClientError):
                return False
            return True

        assert wait_until(answers, timeout=60), (self.home / f"{name}.log").read_text()[-3000:]


class _Post(BaseHTTPRequestHandler):
    """Puts each message of the gateway into the queue that is called as the bucket: a bucket without one is not watched."""

    queue: Any = None  # a client of SQS

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        for record in json.loads(body).get("Records", []):
            name = record["s3"]["bucket"]["name"]
            urls = self.queue.list_queues(QueueNamePrefix=name).get("QueueUrls", [])
            for url in (url for url in urls if url.endswith(f"/{name}")):
                self.queue.send_message(QueueUrl=url, MessageBody=body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


def _gateway() -> Path:
    program = BUILT / "versitygw"
    if program.exists():
        return program
    go = shutil.which("go") or (str(GO) if GO.exists() else None)
    if go is None:
        pytest.skip("no S3 server of another maker: it is built with Go (https://go.dev/dl, 1.25 or later)")
    BUILT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILT) as folder:
        environment = {**os.environ, "GOBIN": folder, "GOFLAGS": "-buildvcs=false -ldflags=-s"}
        built = subprocess.run([go, "install", GATEWAY], env=environment, capture_output=True, text=True, check=False)
        if built.returncode:
            pytest.skip(f"no S3 server of another maker: {GATEWAY} cannot be built: {built.stderr.strip()[-300:]}")
        (Path(folder) / "versitygw").replace(program)
    return program


@pytest.fixture(scope="session")
def s3_servers() -> Iterator[Servers]:
    program = _gateway()
    try:
        fetch_jars(JARS, ELASTICMQ)
    except SetupError as error:
        pytest.skip(f"no queue of another maker: {str(error).splitlines()[0]}")
    with (
        tempfile.TemporaryDirectory(prefix="ledgerlake_s3_", ignore_cleanup_errors=True) as folder,
        ThreadingHTTPServer(("127.0.0.1", 0), _Post) as post,
    ):
        servers = Servers(Path(folder), program, free_port(), free_port(), post)
        _Post.queue = servers.client("sqs")
        threading.Thread(target=post.serve_forever, daemon=True).start()
        try:
            servers.start()
            yield servers
        finally:
            for name in list(servers.running):
                servers.stop(name)
            post.shutdown()
