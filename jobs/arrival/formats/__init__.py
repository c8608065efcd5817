"""One module a format. The name is the address: `format.kind: json_lines` of a source is
jobs/arrival/formats/json_lines.py.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from jobs.arrival.errors import Refused


def format_module(kind: str) -> ModuleType:
    """The module that reads a format: class `Reader` and function `column_names` (see jobs/arrival/records.py)."""
    try:
        return import_module(f"{__name__}.{kind}")
    except ModuleNotFoundError as error:
        raise Refused(
            "unknown_format",
            f"No reader for the format {kind}. Expected a module jobs/arrival/formats/{kind}.py; write it or correct "
            "the source.",
        ) from error
