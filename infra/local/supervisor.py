"""The one process that keeps the local services alive: starts each when what it needs is well, asks after it, restarts
it when it dies or hangs, and ends all when told to.

Started by `services.up`, never by hand. SIGTERM ends it and everything it started; SIGHUP makes it read again which
services are wanted. What it knows is in `<home>/supervisor.json`; what it does, in `<home>/logs/supervisor.log`.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from infra.local import airflow, moto, postgres, processes, spark
from infra.local.component import Component, NotYet
from jobs.settings import Settings
from jobs.settings import settings as current_settings

log = logging.getLogger("supervisor")

DEATHS_ALLOWED = 5
STEADY_AFTER = 60.0
"""Seconds of health after which earlier deaths are forgotten."""
LOG_LIMIT = 32 * 1024 * 1024
LOCKED = 75
"""Exit status of a second supervisor."""


def catalogue(settings: Settings) -> dict[str, Component]:
    """Every service that can be supervised, by name, in the order in which to show them. Spark is left out when it is
    elsewhere.
    """
    found = [postgres.component(settings)]
    if settings.spark_remote is None:
        found.append(spark.component(settings))
    found += [*airflow.components(settings), moto.component(settings)]
    return {component.name: component for component in found}


class Paths:
    """The supervisor's own files."""

    def __init__(self, settings: Settings) -> None:
        self.state = settings.home / "supervisor.json"
        self.lock = settings.home / "supervisor.lock"
        self.wanted = settings.home / "supervisor.wanted"
        self.log = settings.logs / "supervisor.log"


@dataclass
class Service:
    """A component and what became of it."""

    component: Component
    log: Path
    state: str = "waiting"  # waiting, starting, healthy, unhealthy, done, failed
    detail: str = ""
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    last_well: float = 0.0
    well_since: float = 0.0
    next_check: float = 0.0
    not_before: float = 0.0
    deaths: int = 0
    restarts: int = 0
    leader: tuple[int, int] | None = None  # pid and start time

    def members(self, home: Path) -> list[int]:
        """Every living process that belongs to this service."""
        session = processes.of_session(self.leader[0]) if self.leader else []
        return sorted({*session, *processes.marked(f"{home}|{self.component.name}"), *self.component.remnants()})

    def record(self) -> dict[str, object]:
        return {
            "state": self.state,
            "detail": self.detail,
            "pid": self.leader[0] if self.leader and self.process else None,
            "started": self.leader[1] if self.leader and self.process else None,
            "since": self.began or None,
            "restarts": self.restarts,
            "port": self.component.port,
            "log": str(self.log),
        }


class Supervisor:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.paths = Paths(settings)
        self.home = settings.home
        self.components = catalogue(settings)
        self.services: dict[str, Service] = {}
        self.request = 0
        self.owner: tuple[int, int] | None = None  # pid and start time of the process whose end ends us too
        self.written = ""
        self.next_rotation = 0.0

    # What is wanted, and what is known

    def read_wanted(self) -> None:
        """Takes on the services asked for; those that had been given up get a new chance."""
        wanted = json.loads(self.paths.wanted.read_text())
        self.request = wanted["request"]
        self.owner = wanted["owner"]
        for name in wanted["services"]:
            service = self.services.get(name)
            if service is None:
                self.services[name] = Service(self.components[name], self.settings.logs / f"{name}.log")
            elif service.state == "failed":
                service.state, service.detail, service.deaths, service.not_before = "waiting", "", 0, 0.0

    def write_state(self) -> None:
        """The state file, replaced whole and only when something changed."""
        text = json.dumps(
            {
                "supervisor": {"pid": os.getpid(), "started": processes.start_time(os.getpid()), "boot": boot()},
                "request": self.request,
                "services": {name: service.record() for name, service in self.services.items()},
            },
            indent=1,
        )
        if text != self.written:
            draft = self.paths.state.with_suffix(".draft")
            draft.write_text(text)
            draft.replace(self.paths.state)
            self.written = text

    # One service

    def step(self, service: Service, now: float) -> None:
        """Brings one service one step further, if there is one to take."""
        if service.process is not None and (status := service.process.poll()) is not None:
            self.after_end(service, status)
        elif (
            service.process is None
            and service.state == "waiting"
            and now >= service.not_before
            and self.needs_met(service)
        ):
            self.start(service)
        elif service.process is not None and now >= service.next_check:
            self.check(service, now)

    def needs_met(self, service: Service) -> bool:
        return all(self.services[name].state in ("healthy", "done") for name in service.component.needs)

    def start(self, service: Service) -> None:
        component = service.component
        try:
            if not component.needed():
                service.state, service.detail = "done", "nothing to do"
                return
            processes.end_all(lambda: service.members(self.home))
            if component.port and not processes.port_is_free(component.port):
                # Somebody's outgoing connection may hold it for a moment: final only when it is so from the start.
                self.after_death(service, taken(component), hopeless=service.well_since == 0 and service.deaths == 0)
                return
            component.prepare()
        except NotYet as reason:
            service.detail, service.not_before = str(reason), time.monotonic() + 1
            return
        except Exception as error:
            log.exception("%s could not be prepared", component.name)
            self.after_death(service, f"could not be prepared: {error}", hopeless=service.well_since == 0)
            return
        component.folder.mkdir(parents=True, exist_ok=True)
        with service.log.open("ab") as output:
            service.process = self.launch(component, output)
        service.leader = (service.process.pid, processes.start_time(service.process.pid) or 0)
        service.began = time.time()
        service.last_well = time.monotonic()
        service.state, service.detail, service.next_check = "starting", "", 0.0
        log.info("%s started, process %d", component.name, service.process.pid)

    def launch(self, component: Component, output: IO[bytes]) -> subprocess.Popen[bytes]:
        uid = component.user()
        return subprocess.Popen(
            component.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**component.environment(), processes.MARK: f"{self.home}|{component.name}"},
            cwd=component.folder,
            start_new_session=True,
            preexec_fn=processes.die_with_parent(component.ending),  # safe: this process has one thread
            user=uid,
            group=pwd.getpwuid(uid).pw_gid if uid is not None else None,
            extra_groups=[] if uid is not None else None,
        )

    def check(self, service: Service, now: float) -> None:
        """Asks after a running service; a first yes settles it, a long no restarts it."""
        component = service.component
        if component.once:
            service.next_check = now + 0.2
            return
        if component.healthy(service.began):
            if service.state != "healthy" and not self.settle(service):
                return
            if service.state == "starting":
                log.info("%s healthy after %.1f s", component.name, time.time() - service.began)
            if service.state != "healthy":
                service.well_since = now
            if now - service.well_since > STEADY_AFTER:
                service.deaths = 0
            service.state, service.detail, service.last_well, service.next_check = "healthy", "", now, now + 3
            return
        service.next_check = now + 0.25
        if service.state == "healthy":
            service.state, service.detail = "unhealthy", "does not answer"
            log.warning("%s does not answer", component.name)
        if now - service.last_well > component.start_within:
            log.warning("%s has not been well for %.0f s and is ended", component.name, component.start_within)
            self.end(service)
            self.after_death(service, f"did not answer for {component.start_within:.0f} s")

    def settle(self, service: Service) -> bool:
        try:
            service.component.settle()
        except Exception as error:
            log.exception("%s could not be settled", service.component.name)
            self.end(service)
            self.after_death(service, f"started, but could not be settled: {error}")
            return False
        return True

    def after_end(self, service: Service, status: int) -> None:
        """The service's process ended by itself: whatever it left goes too, before a successor may start."""
        service.process = None
        left = processes.end_all(lambda: service.members(self.home))
        log.warning("%s ended (%s); %d processes it left were ended", service.component.name, how(status), left)
        if service.component.once and status == 0:
            if self.settle(service):
                service.state, service.detail = "done", ""
            return
        self.after_death(service, f"ended ({how(status)})")

    def after_death(self, service: Service, what: str, hopeless: bool = False) -> None:
        """Counts a death: another start, after a pause that grows, or none any more."""
        service.deaths += 1
        if hopeless or service.deaths > DEATHS_ALLOWED:
            times = "" if hopeless else f", {service.deaths} times in short order"
            self.give_up(service, f"{what}{times}")
            return
        service.restarts += 1
        service.state, service.detail = "waiting", what
        service.not_before = time.monotonic() + (0 if service.deaths == 1 else 2.0 ** (service.deaths - 2))

    def give_up(self, service: Service, reason: str) -> None:
        service.state, service.detail = "failed", f"{reason}. Its log: {service.log}"
        log.error("%s is given up: %s", service.component.name, reason)

    def end(self, service: Service) -> None:
        """Ends a service and all that belongs to it, gently first."""
        process = service.process
        if process is not None:
            for _ in range(2):
                process.send_signal(service.component.ending)
                processes.wait_until(lambda: process.poll() is not None, service.component.patience / 2)
        processes.end_all(lambda: service.members(self.home))
        if process is not None:
            process.wait()
        service.process = None

    # All of them

    def end_everything(self) -> None:
        """Ends each service when nobody who needs it runs any more, those at the same level side by side."""
        told: dict[str, tuple[float, int]] = {}  # when first, and how often
        while running := [service for service in self.services.values() if service.process is not None]:
            needed = {need for service in running for need in service.component.needs}
            for service in running:
                name, process = service.component.name, service.process
                if process is None or name in needed:
                    continue
                first, times = told.get(name, (time.monotonic(), 0))
                waited = time.monotonic() - first
                if times == 0 or (times == 1 and waited > service.component.patience / 2):
                    told[name] = first, times + 1
                    process.send_signal(service.component.ending)
                elif process.poll() is not None or waited > service.component.patience:
                    if process.poll() is None:
                        log.warning("%s did not end within %.0f s and is killed", name, service.component.patience)
                    processes.end_all(partial(service.members, self.home))
                    process.wait()
                    service.process, service.state = None, "stopped"
                    self.write_state()
            time.sleep(0.02)
        sweep(self.settings)

    def orphaned(self) -> bool:
        return self.owner is not None and not processes.is_running(*self.owner)

    def rotate_logs(self, now: float) -> None:
        """Keeps each log, and one earlier one, below the limit. Services append, so a truncated log goes on from its
        start.
        """
        if now < self.next_rotation:
            return
        self.next_rotation = now + 30
        for path in [self.paths.log, *(service.log for service in self.services.values())]:
            if path.exists() and path.stat().st_size > LOG_LIMIT:
                shutil.copyfile(path, path.with_suffix(".log.1"))
                os.truncate(path, 0)

    def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        bell, stopping, reread = _signals()
        sweep(self.settings)
        self.read_wanted()
        while not stopping and not self.orphaned():
            if reread:
                reread.clear()
                self.read_wanted()
            now = time.monotonic()
            for service in list(self.services.values()):
                self.step(service, now)
            self.write_state()
            self.rotate_logs(now)
            settled = all(service.state in ("healthy", "done", "failed") for service in self.services.values())
            select.select([bell], [], [], 1.0 if settled else 0.1)
            _drain(bell)
        log.info("told to end" if stopping else "the process that the services were started for is gone")
        self.end_everything()
        self.paths.state.unlink(missing_ok=True)
        log.info("all services ended")


def taken(component: Component) -> str:
    """Message for a port that something else uses."""
    return (
        f"port {component.port} is taken by {processes.port_holder(component.port or 0)}; {component.name} needs it. "
        f"End that process, or choose another port with {component.port_setting}"
    )


def how(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"


def boot() -> str:
    """Names this boot of the machine: process ids of another mean nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def sweep(settings: Settings) -> int:
    """Ends what an earlier supervisor of this home left running (it was killed, or a service outlived it). Returns how
    many processes.
    """
    sessions = _recorded_sessions(Paths(settings).state)

    def left() -> list[int]:
        of_sessions = {pid for leader in sessions for pid in processes.of_session(leader)}
        return sorted(of_sessions | set(processes.marked(f"{settings.home}|")) - {os.getpid()})

    ended = processes.end_all(left, patience=5)
    data = postgres.data_folder(settings)
    return ended + processes.end_all(lambda: processes.working_in(data), patience=15, ending=signal.SIGINT)


def _recorded_sessions(state: Path) -> list[int]:
    """Leaders of the sessions that the last supervisor recorded, without those whose number another process has since
    been given.
    """
    if not state.exists():
        return []
    record = json.loads(state.read_text())
    if record["supervisor"]["boot"] != boot():
        return []
    known = [(entry["pid"], entry["started"]) for entry in record["services"].values() if entry["pid"]]
    return [pid for pid, started in known if processes.start_time(pid) in (None, started)]


def _signals() -> tuple[int, list[int], list[int]]:
    """Handlers, and a file descriptor that becomes readable at each signal (a child's death too)."""
    stopping: list[int] = []
    reread: list[int] = []
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.append(number))
    signal.signal(signal.SIGINT, lambda number, frame: stopping.append(number))
    signal.signal(signal.SIGHUP, lambda number, frame: reread.append(number))
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    return reading, stopping, reread


def _drain(bell: int) -> None:
    while select.select([bell], [], [], 0)[0]:
        os.read(bell, 512)


def main() -> int:
    settings = current_settings()
    settings.logs.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    paths = Paths(settings)
    with paths.lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("another supervisor runs on %s", settings.home)
            return LOCKED
        Supervisor(settings).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
