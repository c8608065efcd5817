"""Start, stop and look at the local services: PostgreSQL, Spark Connect, Airflow and, when asked for, a stand-in for
S3 and SQS.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local import processes
from infra.local.component import Component, base_environment
from infra.local.supervisor import LOCKED, Paths, boot, catalogue, sweep
from jobs.settings import Settings
from jobs.settings import settings as current_settings

OPTIONAL = ("moto",)
"""Services that start only when they are named."""

OF_ONE_COMMAND = ("LEDGERLAKE_PROFILE", processes.MARK)
"""Variables in which a command may differ from the services: the bank it speaks of, the name of a service."""

Progress = Callable[["ServiceStatus"], None]


class ServicesError(RuntimeError):
    """The services cannot be started or stopped; the message names the service, the cause and the remedy."""


@dataclass(frozen=True)
class ServiceStatus:
    name: str
    state: str
    """stopped, waiting, starting, healthy, unhealthy, done (a task that ran to its end) or failed (given up)"""
    pid: int | None
    since: float | None
    """Start of the process, seconds since the epoch."""
    restarts: int
    port: int | None
    log: Path
    detail: str

    @property
    def ready(self) -> bool:
        return self.state in ("healthy", "done")


@dataclass(frozen=True)
class Usage:
    """What one service uses: proportional memory in bytes, and CPU seconds since its processes began."""

    name: str
    processes: int
    pss: int
    cpu_seconds: float


def up(
    components: Iterable[str] | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    timeout: float = 300.0,
    owner: int | None = None,
) -> list[ServiceStatus]:
    """Starts the named services (all but the optional ones when None; `airflow` means its four) and what they need,
    and returns when all are healthy.

    Harmless when they run already. `progress` is called at each change of a service. With `owner` (a process id) the
    services end when that process does, however it ends: for tests. Raises ServicesError when one cannot be started;
    the others stay up.
    """
    settings = _installed(settings)
    begun = time.monotonic()
    known = catalogue(settings)
    wanted = _wanted(components, known)
    settings.logs.mkdir(parents=True, exist_ok=True)
    _same_ports(settings, known)
    request = _ask_for(settings, wanted, owner)
    starter = None if supervisor_pid(settings) else _start_supervisor(settings)
    seen: dict[str, tuple[str, str]] = {}
    while True:
        found = {entry.name: entry for entry in status(settings)}
        for name in wanted:
            entry = found[name]
            if progress is not None and seen.get(name) != (entry.state, entry.detail):
                progress(entry)
            seen[name] = (entry.state, entry.detail)
        if all(found[name].ready for name in wanted):
            return [found[name] for name in wanted]
        failed = [found[name] for name in wanted if found[name].state == "failed"]
        if failed and _state(settings).get("request", 0) >= request:  # not of an earlier attempt
            raise ServicesError("\n".join(_explain(entry) for entry in failed))
        if starter is not None and (ended := starter.poll()) is not None and supervisor_pid(settings) is None:
            if ended != LOCKED:
                raise ServicesError(f"The supervisor ended (exit status {ended}).{_tail(Paths(settings).log)}")
            starter = None
        if time.monotonic() - begun > timeout:
            late = ", ".join(f"{name} ({found[name].state})" for name in wanted if not found[name].ready)
            raise ServicesError(
                f"Not healthy after {timeout:.0f} s: {late}. See {settings.logs}; `ledgerlake status` shows them later."
            )
        time.sleep(0.1)


def down(settings: Settings | None = None, timeout: float = 90.0) -> bool:
    """Stops everything that `up` started, also what a killed supervisor left. Returns whether anything ran."""
    settings = _installed(settings)
    pid = supervisor_pid(settings)
    if pid is not None:
        started = processes.start_time(pid)
        processes.send(pid, signal.SIGTERM)
        if started is not None and not processes.wait_until(lambda: not processes.is_running(pid, started), timeout):
            processes.send(pid, signal.SIGKILL)
            processes.wait_until(lambda: not processes.is_running(pid, started), 5)
    if not settings.home.exists():
        return False
    with Paths(settings).lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ServicesError(
                f"Another `up` starts the services of {settings.home} right now. Repeat `down` when it is done."
            ) from error
        left = sweep(settings)
        Paths(settings).state.unlink(missing_ok=True)
    return pid is not None or left > 0


def status(settings: Settings | None = None) -> list[ServiceStatus]:
    """Every service, in the order of the catalogue, as the supervisor last saw it; all are stopped when there is no
    supervisor.
    """
    settings = _installed(settings)
    known = _state(settings)["services"] if supervisor_pid(settings) else {}
    return [_status(name, component, known.get(name), settings) for name, component in catalogue(settings).items()]


def _installed(settings: Settings | None) -> Settings:
    """The given settings, or those in force, with the home as the kernel spells it: processes are known by it."""
    chosen = settings or current_settings()
    return chosen.model_copy(update={"home": chosen.home.resolve()})


def _status(name: str, component: Component, entry: dict | None, settings: Settings) -> ServiceStatus:
    log = settings.logs / f"{name}.log"
    if entry is None:
        return ServiceStatus(name, "stopped", None, None, 0, component.port, log, "")
    return ServiceStatus(
        name, entry["state"], entry["pid"], entry["since"], entry["restarts"], entry["port"], log, entry["detail"]
    )


def usage(settings: Settings | None = None) -> list[Usage]:
    """Memory and CPU of each running service with all its processes, the supervisor's own included."""
    settings = _installed(settings)
    known = catalogue(settings)
    found = []
    for entry in status(settings):
        if entry.pid is not None:
            members = {*processes.of_session(entry.pid), *known[entry.name].remnants()}
            found.append(_usage(entry.name, members))
    supervisor = supervisor_pid(settings)
    return [*found, _usage("supervisor", {supervisor})] if supervisor else found


def _usage(name: str, members: set[int]) -> Usage:
    return Usage(name, len(members), sum(map(processes.pss, members)), sum(map(processes.cpu_seconds, members)))


def supervisor_pid(settings: Settings | None = None) -> int | None:
    """The living supervisor of this home; None when there is none, whatever an old state file says."""
    settings = _installed(settings)
    record = _state(settings).get("supervisor")
    if record is None or record["boot"] != boot() or not processes.is_running(record["pid"], record["started"]):
        return None
    return record["pid"]


def settings_not_in_force(settings: Settings | None = None) -> list[str]:
    """Names of the settings (LEDGERLAKE_*) of which the running services have another value than this process, or which only one of them has. Services inherit what the
    supervisor was started with, at each restart too."""
    settings = _installed(settings)
    pid = supervisor_pid(settings)
    started_with = processes.environment(pid) if pid is not None else {}
    if not started_with:
        return []  # nothing runs, or it is being started this moment
    running, here = _own(started_with), _own(base_environment(settings))
    return sorted(name for name in {*running, *here} if running.get(name) != here.get(name))


def _own(environment: Mapping[str, str]) -> dict[str, str]:
    return {n: v for n, v in environment.items() if n.startswith("LEDGERLAKE_") and n not in OF_ONE_COMMAND}


def _state(settings: Settings) -> dict:
    try:
        return json.loads(Paths(settings).state.read_text())
    except FileNotFoundError:
        return {"services": {}}


def _wanted(names: Iterable[str] | None, known: dict[str, Component]) -> list[str]:
    """The named services and all they need, in the catalogue's order."""
    if names is None:
        return [name for name in known if name not in OPTIONAL]
    chosen: set[str] = set()
    todo = [member for name in names for member in _members(name, known)]
    while todo:
        name = todo.pop()
        if name not in chosen:
            chosen.add(name)
            todo += known[name].needs
    return [name for name in known if name in chosen]


def _members(name: str, known: dict[str, Component]) -> list[str]:
    found = [other for other in known if other == name or (name == "airflow" and other.startswith("airflow-"))]
    if not found:
        raise ServicesError(f"There is no service called {name!r}. Known: airflow, {', '.join(known)}.")
    return found


def _same_ports(settings: Settings, known: dict[str, Component]) -> None:
    if supervisor_pid(settings) is None:
        return
    for name, entry in _state(settings)["services"].items():
        if name in known and entry["port"] != known[name].port:
            raise ServicesError(
                f"{name} runs on port {entry['port']}, but {known[name].port_setting} now says {known[name].port}. "
                "Stop the services first (`ledgerlake down`), or take the setting back."
            )


def _ask_for(settings: Settings, wanted: list[str], owner: int | None) -> int:
    """Leaves the list of services where the supervisor reads it (a running one keeps those it has). Returns the number
    of the request, which the state file repeats once it has been read: numbers grow."""
    pid = supervisor_pid(settings)
    already = list(_state(settings)["services"]) if pid else []
    missing = [name for name in wanted if name not in already]
    path = Paths(settings).wanted
    draft = path.with_suffix(f".{os.getpid()}")
    request = time.time_ns()
    draft.write_text(json.dumps({"request": request, "services": [*already, *missing], "owner": _named(owner)}))
    draft.replace(path)
    if pid is not None:
        processes.send(pid, signal.SIGHUP)
    return request


def _named(pid: int | None) -> tuple[int, int] | None:
    started = processes.start_time(pid) if pid is not None else None
    return None if pid is None or started is None else (pid, started)


def _start_supervisor(settings: Settings) -> subprocess.Popen[bytes]:
    with Paths(settings).log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "infra.local.supervisor"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=base_environment(settings),
            cwd=settings.home,
            start_new_session=True,
        )


def _explain(entry: ServiceStatus) -> str:
    return f"{entry.name} did not start: {entry.detail}.{_tail(entry.log)}"


def _tail(log: Path, lines: int = 12) -> str:
    if not log.exists():
        return ""
    last = log.read_text(errors="replace").splitlines()[-lines:]
    return f" The end of {log}:\n" + "\n".join(f"  {line}" for line in last)
