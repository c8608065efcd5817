"""Processes of this machine: who they are, who belongs to whom, how they end, and which ports are taken. Linux only
(/proc).
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MARK = "LEDGERLAKE_SERVICE"
"""Environment variable that every started service and all its descendants carry: `<home>|<service>`."""

_PR_SET_PDEATHSIG = 1


def start_time(pid: int) -> int | None:
    """Clock ticks since boot at which `pid` started; None when it does not run (a zombie does not run).

    A pid with its start time names one process for ever; a pid alone is given out again.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def is_running(pid: int, started: int) -> bool:
    return start_time(pid) == started


def die_with_parent(ending: signal.Signals) -> Callable[[], None]:
    """For `Popen(preexec_fn=)`: the kernel sends the child `ending` when the process that started it is gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(ending))
        if os.getppid() != parent:  # it died before the kernel was asked
            os.kill(os.getpid(), ending)

    return ask_kernel


def pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 (a Path object each is wasteful)


def of_session(leader: int) -> list[int]:
    """Every living process of the session that `leader` began, whether or not `leader` still lives."""
    return [pid for pid in pids() if _session(pid) == leader and start_time(pid) is not None]


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def marked(mark: str) -> list[int]:
    """Every living process, but this one, whose environment says `LEDGERLAKE_SERVICE=<mark>` (a prefix is enough)."""
    wanted = f"{MARK}={mark}".encode()
    return [
        pid for pid in pids() if pid != os.getpid() and _environment_has(pid, wanted) and start_time(pid) is not None
    ]


def environment(pid: int) -> dict[str, str]:
    """The variables that a process was started with; none of one that is gone, or another user's."""
    entries = (os.fsdecode(entry).partition("=") for entry in _environment(pid))
    return {name: value for name, _, value in entries if name}


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []


def _environment_has(pid: int, wanted: bytes) -> bool:
    return any(entry.startswith(wanted) for entry in _environment(pid))


def working_in(folder: Path) -> list[int]:
    """Every living process whose working directory is `folder`: how PostgreSQL's back ends are known (they overwrite
    their environment).
    """
    found = []
    for pid in pids():
        try:
            if Path(f"/proc/{pid}/cwd").readlink() == folder and start_time(pid) is not None:
                found.append(pid)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # gone, or another user's
    return found


def end_all(find: Callable[[], list[int]], patience: float = 0.0, ending: signal.Signals = signal.SIGTERM) -> int:
    """Ends every process that `find` returns, those that appear meanwhile too: `ending` first when there is `patience`
    (seconds), then SIGKILL. Returns how many had to be ended; raises TimeoutError when some outlive even that.
    """
    ended = set()
    if patience:
        for pid in find():
            ended.add(pid)
            send(pid, ending)
        wait_until(lambda: not find(), patience)
    deadline = time.monotonic() + 10
    while left := find():
        for pid in left:
            ended.add(pid)
            send(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"Processes {left} do not end, not even by SIGKILL; they may wait for a disk. End them by hand."
            )
        time.sleep(0.02)
    return len(ended)


def send(pid: int, ending: signal.Signals) -> None:
    """Signals `pid` if it still exists."""
    try:
        os.kill(pid, ending)
    except ProcessLookupError:
        return


def wait_until(condition: Callable[[], bool], timeout: float, pause: float = 0.05) -> bool:
    """Whether `condition` came true within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def port_is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def port_holder(port: int) -> str:
    """Who uses `port`, for a message: `process 123 (java)`, or `another process` when that cannot be seen."""
    import psutil

    try:
        for connection in psutil.net_connections("tcp"):
            if tuple(connection.laddr)[1:2] == (port,) and connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except psutil.Error:
        return "another process"
    return "another process"


def pss(pid: int) -> int:
    """Proportional memory of one process in bytes (shared pages count in shares); 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def cpu_seconds(pid: int) -> float:
    """User and system time of one process since it began; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
