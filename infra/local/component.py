"""What the supervisor must know of a service to start it, see whether it is well, and end it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jobs.settings import PROJECT, Settings


def nothing() -> None:
    """Default of a component's hooks."""


def nobody_else() -> None:
    """Default of `user`: the service runs as whoever started it."""


def always(since: float = 0.0) -> bool:
    return True


class NotYet(Exception):
    """Raised by `prepare` when the service may start later but not now; the supervisor asks again every second and
    shows the reason.
    """


@dataclass(frozen=True)
class Component:
    """One service, started as one process in a session of its own.

    `prepare` runs before each start, `settle` once after each start as soon as `healthy` first says yes, and may
    refuse by raising: both block the supervisor, so they are short. `healthy` is given the time of the start (seconds
    since the epoch), so that it can tell this process from an earlier one, and answers within two seconds. A `once`
    component runs to its end (exit status 0) and is then done; `needed` says whether it must run at all, asked when
    its `needs` are well.
    """

    name: str
    command: tuple[str, ...]
    environment: Callable[[], Mapping[str, str]]
    healthy: Callable[[float], bool] = always
    needs: tuple[str, ...] = ()
    port: int | None = None
    port_setting: str = ""
    prepare: Callable[[], None] = nothing
    settle: Callable[[], None] = nothing
    needed: Callable[[], bool] = always
    once: bool = False
    user: Callable[[], int | None] = nobody_else
    folder: Path = PROJECT
    ending: signal.Signals = signal.SIGTERM
    patience: float = 15.0
    """Seconds that the service may take to end, before it is killed. Half way it is told a second time: Airflow takes
    that for `now`.
    """
    start_within: float = 120.0
    """Seconds from start to healthy, or from the last healthy answer, before the service is taken for hung and
    restarted.
    """
    remnants: Callable[[], list[int]] = field(default=list)
    """Processes that may outlive the service's own and can be known neither by its session nor by its environment."""


def base_environment(settings: Settings) -> dict[str, str]:
    """What each service inherits: this process's environment, the settings in force, and the project as import path."""
    fields = {f"LEDGERLAKE_{name.upper()}": value for name, value in settings}
    values = {name: str(value) for name, value in fields.items() if value is not None}
    values["LEDGERLAKE_HOME"] = str(settings.home.resolve())  # services run in other folders
    unwanted = ("AIRFLOW", "PYTHONDONTWRITEBYTECODE")  # without compiled modules each start takes three times as long
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(unwanted) and name not in fields
    }
    return {
        **inherited,
        **values,
        "PYTHONPATH": str(PROJECT),
        "PYTHONUNBUFFERED": "1",
    }
