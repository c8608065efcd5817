"""Passwords and keys of the local services: made once, one file each under `<home>/secrets`, readable by their owner
only.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable

from jobs.settings import Settings


def secret(settings: Settings, name: str, make: Callable[[], str] = lambda: secrets.token_urlsafe(24)) -> str:
    """The secret called `name`, made by `make` when it does not exist yet. Safe when two processes ask at once."""
    folder = settings.home / "secrets"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / name
    if not path.exists():
        draft = folder / f".{name}.{os.getpid()}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(make() + "\n")
        try:
            os.link(draft, path)  # fails when another process was first: its value stands
        except FileExistsError:
            return path.read_text().strip()
        finally:
            draft.unlink()
    return path.read_text().strip()
