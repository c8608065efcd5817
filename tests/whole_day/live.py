"""All services, started on a home that holds nothing of an earlier run, and ended with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local import services
from jobs.commands.services import start_all
from jobs.settings import settings


@contextmanager
def everything() -> Iterator[Path]:
    """PostgreSQL, Spark and Airflow, healthy; their home. Spark's jars must be in it."""
    home = settings().home
    services.down()
    for entry in home.iterdir():
        if entry.name != "jars":
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    start_all(owner=os.getpid())
    try:
        yield home
    finally:
        services.down()
