"""The parts of the local services that need no service: processes, secrets, jars, and what the supervisor decides."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.local import processes, services, setup
from infra.local.component import Component, NotYet, base_environment
from infra.local.secrets import secret
from infra.local.supervisor import DEATHS_ALLOWED, Paths, Service, Supervisor, boot
from jobs.commands import services as commands
from jobs.settings import Settings


def test_a_zombie_does_not_run() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    assert processes.wait_until(lambda: processes.start_time(child.pid) is None, 10)
    assert Path(f"/proc/{child.pid}").exists(), "it is still there, unreaped"
    child.wait()


def test_a_process_is_known_by_its_pid_and_its_start() -> None:
    mine = processes.start_time(os.getpid())
    assert mine is not None
    assert processes.is_running(os.getpid(), mine)
    assert not processes.is_running(os.getpid(), mine - 1), "the same number given out again is another process"


def test_ending_a_session_ends_the_orphans_of_its_leader(tmp_path: Path) -> None:
    leader = subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60 & exit 0"], start_new_session=True)
    leader.wait()
    assert len(processes.of_session(leader.pid)) == 2
    assert processes.end_all(lambda: processes.of_session(leader.pid)) == 2
    assert processes.of_session(leader.pid) == []


def test_a_secret_is_made_once_and_for_its_owner_only(installation: Settings) -> None:
    first = secret(installation, "demo")
    assert secret(installation, "demo") == first
    assert (installation.home / "secrets" / "demo").stat().st_mode & 0o777 == 0o600


def test_an_altered_jar_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.jar").write_bytes(b"altered")
    wrong = setup.faults(tmp_path, {"a.jar": "00", "b.jar": "11"})
    assert wrong[0].startswith("a.jar has SHA-256 ") and wrong[1] == "b.jar is missing"


def test_missing_java_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(setup.SetupError, match=r"apt-get install -y openjdk-17-jre-headless\)\.$"):
        setup.java_binary()


def test_old_java_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(setup.SetupError, match=r'too old \(openjdk version "11.0.2".*Java 17'):
        setup.java_binary()


def test_an_unknown_service_is_refused_with_the_known_ones(installation: Settings) -> None:
    with pytest.raises(services.ServicesError, match=r"no service called 'sparc'.*airflow, postgres, spark"):
        services.up(["sparc"], installation)


def test_looking_at_an_empty_home_changes_nothing_in_it(installation: Settings) -> None:
    assert {entry.state for entry in services.status(installation)} == {"stopped"}
    assert list(installation.home.iterdir()) == []


def test_spark_elsewhere_is_not_started_here(installation: Settings) -> None:
    elsewhere = installation.model_copy(update={"spark_remote": "sc://cluster:15002"})
    assert "spark" not in [entry.name for entry in services.status(elsewhere)]


def supervise(settings: Settings, component: Component, until: str, within: float = 30) -> Service:
    """Lets a supervisor look after one component until it is in the state `until`."""
    supervisor = Supervisor(settings)
    settings.logs.mkdir(parents=True, exist_ok=True)
    service = Service(component, settings.logs / f"{component.name}.log")
    supervisor.services[component.name] = service
    deadline = time.monotonic() + within
    try:
        while service.state != until and time.monotonic() < deadline:
            service.not_before = 0  # the pauses between attempts are not what is tested
            supervisor.step(service, time.monotonic())
            time.sleep(0.01)
    finally:
        supervisor.end(service)
    return service


def component(script: str, **more: object) -> Component:
    return Component(name="sample", command=("sh", "-c", script), environment=dict, **more)  # type: ignore[arg-type]


def test_a_service_that_keeps_dying_is_given_up_with_its_log(installation: Settings) -> None:
    service = supervise(installation, component("echo no disk; exit 3", healthy=lambda since: False), until="failed")
    assert service.state == "failed"
    assert service.detail == f"ended (exit status 3), 6 times in short order. Its log: {service.log}"
    assert service.log.read_text().splitlines() == ["no disk"] * (DEATHS_ALLOWED + 1)


def test_what_a_dead_service_left_is_ended_before_its_successor_starts(installation: Settings) -> None:
    service = supervise(installation, component("sleep 60 & exit 1", healthy=lambda since: False), until="failed")
    assert service.members(installation.home) == []


def test_a_service_that_hangs_is_restarted(installation: Settings) -> None:
    hanging = component("sleep 60", healthy=lambda since: False, start_within=0.2, patience=0.2)
    service = supervise(installation, hanging, until="failed")
    assert service.detail.startswith("did not answer for 0 s, 6 times")


def test_a_task_that_fails_to_prepare_is_given_up_at_once(installation: Settings) -> None:
    def refuse() -> None:
        raise FileNotFoundError("spark.jar is missing. Run `make setup`")

    service = supervise(installation, component("true", prepare=refuse), until="failed", within=1)
    assert service.detail.startswith("could not be prepared: spark.jar is missing. Run `make setup`")


def test_a_service_that_must_wait_says_why_and_starts_later(installation: Settings) -> None:
    asked = []

    def lease() -> None:
        asked.append(1)
        if len(asked) < 3:
            raise NotYet("another server holds the lease until 12:00:00 UTC")

    service = supervise(installation, component("sleep 60", prepare=lease, patience=0.2), until="healthy")
    assert service.state == "healthy" and len(asked) == 3


def test_a_task_runs_to_its_end_and_is_done(installation: Settings) -> None:
    settled = []
    service = supervise(installation, component("exit 0", once=True, settle=lambda: settled.append(1)), until="done")
    assert service.state == "done" and settled == [1]


def test_settings_that_the_running_services_do_not_have_are_named(
    installation: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By what their supervisor was started with: here a process that does nothing stands for it."""
    assert services.settings_not_in_force(installation) == []
    with subprocess.Popen(["sleep", "60"], env=base_environment(installation)) as supervisor:
        try:
            assert processes.wait_until(lambda: bool(processes.environment(supervisor.pid)), 10)
            known = {"pid": supervisor.pid, "started": processes.start_time(supervisor.pid), "boot": boot()}
            Paths(installation).state.write_text(json.dumps({"supervisor": known, "services": {}}))
            assert services.settings_not_in_force(installation) == []
            monkeypatch.setenv("LEDGERLAKE_SOURCE_PARTNER", "what both know")
            monkeypatch.setenv("LEDGERLAKE_PROFILE", "another")
            changed = installation.model_copy(update={"inbox": "sftp://bank@host/in"})
            assert services.settings_not_in_force(changed) == ["LEDGERLAKE_INBOX", "LEDGERLAKE_SOURCE_PARTNER"]
            monkeypatch.setattr(commands.services, "current_settings", lambda: changed)
            commands._say_other_settings()
            said = capsys.readouterr().out
            assert said.startswith(
                "Not in force: LEDGERLAKE_INBOX, LEDGERLAKE_SOURCE_PARTNER. The services ran already"
            )
            assert "what both know" not in said and "`ledgerlake down`, then `ledgerlake up`" in said
        finally:
            supervisor.kill()
