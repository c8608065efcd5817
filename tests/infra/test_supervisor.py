"""The services start, survive being killed, refuse clearly, and leave nothing behind. With real PostgreSQL, Spark and
Airflow.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from functools import partial
from pathlib import Path

import psycopg
import pytest

from infra.local import postgres, processes, services
from infra.local.supervisor import Paths
from jobs.settings import Settings

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]


up = partial(services.up, owner=os.getpid())


def pid_of(name: str, settings: Settings) -> int | None:
    return next(entry.pid for entry in services.status(settings) if entry.name == name)


def is_well(name: str, settings: Settings) -> bool:
    return next(entry.ready for entry in services.status(settings) if entry.name == name)


def belongings(settings: Settings) -> list[int]:
    """Every process that has this home in its command, its environment or its working directory."""
    home = str(settings.home)
    found = []
    for pid in processes.pids():
        try:
            folder = Path(f"/proc/{pid}")
            words = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            if pid != os.getpid() and (home.encode() in words or str((folder / "cwd").readlink()).startswith(home)):
                found.append(pid)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return [pid for pid in found if processes.start_time(pid) is not None]


def comes_back(name: str, former: int, settings: Settings, within: float = 90) -> bool:
    return processes.wait_until(lambda: is_well(name, settings) and pid_of(name, settings) != former, within)


def test_up_kill_and_down(with_jars: Settings) -> None:
    settings = with_jars
    seen = []
    started = services.up(
        ["postgres", "spark"], settings, progress=lambda entry: seen.append((entry.name, entry.state))
    )
    assert [(entry.name, entry.state) for entry in started] == [("postgres", "healthy"), ("spark", "healthy")]
    assert ("postgres", "healthy") in seen

    again = up(["postgres", "spark"], settings)
    assert [entry.pid for entry in again] == [entry.pid for entry in started], "a second `up` is harmless"

    unfinished = [settings.home / "spark" / folder / "of_a_killed_server" for folder in ("scratch", "tmp")]
    for path in unfinished:
        path.touch()
    for name in ("postgres", "spark"):
        former = pid_of(name, settings)
        assert former is not None
        os.kill(former, signal.SIGKILL)
        assert comes_back(name, former, settings), services.status(settings)
    assert {entry.name: entry.restarts for entry in services.status(settings) if entry.pid} == {
        "postgres": 1,
        "spark": 1,
    }
    assert [path for path in unfinished if path.exists()] == []

    assert services.down(settings) is True
    assert belongings(settings) == []
    assert all(entry.state == "stopped" for entry in services.status(settings))
    assert services.down(settings) is False, "nothing left to stop"


def test_databases_need_their_passwords_and_keep_apart(installation: Settings) -> None:
    up(["postgres"], installation)
    address = {"host": "127.0.0.1", "port": installation.postgres_port, "connect_timeout": 3}
    passwords = {
        name: (installation.home / "secrets" / f"postgres_{name}").read_text().strip()
        for name in ("airflow", "ledgerlake")
    }

    with psycopg.connect(
        **address, user="ledgerlake", dbname="ledgerlake", password=passwords["ledgerlake"]
    ) as connection:
        connection.execute("create role bi_reader")
        connection.execute("create schema mart")
    with psycopg.connect(**address, user="airflow", dbname="airflow", password=passwords["airflow"]) as connection:
        assert connection.execute("show idle_in_transaction_session_timeout").fetchone() == ("30s",)

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(**address, user="ledgerlake", dbname="ledgerlake", password="guessed")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(**address, user="airflow", dbname="ledgerlake", password=passwords["airflow"])
    assert {path.stat().st_mode & 0o777 for path in (installation.home / "secrets").iterdir()} == {0o600}


def test_a_killed_supervisor_takes_its_services_along_and_up_begins_anew(installation: Settings) -> None:
    up(["postgres"], installation)
    supervisor, server = services.supervisor_pid(installation), pid_of("postgres", installation)
    assert supervisor is not None and server is not None
    os.kill(supervisor, signal.SIGKILL)
    assert processes.wait_until(lambda: processes.start_time(server) is None, 20), "PostgreSQL outlived its supervisor"
    assert services.supervisor_pid(installation) is None, "the state file is stale, and known to be"

    (entry,) = up(["postgres"], installation)
    assert entry.ready and entry.pid != server


def test_services_end_with_the_process_they_were_started_for(installation: Settings) -> None:
    owner = subprocess.Popen(["sleep", "60"])
    services.up(["postgres"], installation, owner=owner.pid)
    owner.kill()
    owner.wait()
    assert processes.wait_until(lambda: belongings(installation) == [], 20)


def test_a_pid_file_of_a_server_that_is_gone_does_not_hinder_the_next(installation: Settings) -> None:
    up(["postgres"], installation)
    file = postgres.data_folder(installation) / "postmaster.pid"
    left_by_a_crash = file.read_text()
    services.down(installation)
    # The number now belongs to somebody else: this test.
    file.write_text(left_by_a_crash.replace(left_by_a_crash.split()[0], str(os.getpid()), 1))
    assert up(["postgres"], installation)[0].ready


def test_a_state_file_that_names_another_process_is_not_believed(installation: Settings) -> None:
    state = {"supervisor": {"pid": os.getpid(), "started": 1, "boot": "another"}, "services": {}}
    Paths(installation).state.write_text(json.dumps(state))
    assert services.supervisor_pid(installation) is None
    assert services.down(installation) is False


def test_a_taken_port_is_named_with_its_setting_and_remedy(installation: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", installation.postgres_port))
        other.listen()
        with pytest.raises(services.ServicesError) as refusal:
            up(["postgres"], installation)
    message = str(refusal.value)
    assert f"port {installation.postgres_port} is taken by process {os.getpid()}" in message
    assert "LEDGERLAKE_POSTGRES_PORT" in message
    assert up(["postgres"], installation)[0].ready, "once the port is free, `up` succeeds"


def test_changed_ports_are_refused_while_the_services_run(installation: Settings) -> None:
    up(["postgres"], installation)
    moved = installation.model_copy(update={"postgres_port": installation.postgres_port + 1})
    with pytest.raises(services.ServicesError, match=r"LEDGERLAKE_POSTGRES_PORT now says .*ledgerlake down"):
        up(["postgres"], moved)


def test_missing_jars_are_named_with_the_remedy(installation: Settings) -> None:
    with pytest.raises(services.ServicesError, match=r"delta-kernel-api.*make setup"):
        up(["spark"], installation)
