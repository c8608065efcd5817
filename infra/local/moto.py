"""A local stand-in for S3 and SQS, for demonstrations and tests; started only when asked for."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from infra.local.component import Component, base_environment
from jobs.settings import Settings


def component(settings: Settings) -> Component:
    return Component(
        name="moto",
        command=(str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(settings.moto_port)),
        environment=lambda: base_environment(settings),
        healthy=lambda since: _answers(settings.moto_port),
        port=settings.moto_port,
        port_setting="LEDGERLAKE_MOTO_PORT",
        patience=3,
    )


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"GET /moto-api/ HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return connection.recv(12).startswith(b"HTTP/1.")
    except OSError:
        return False
