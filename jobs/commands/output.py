"""What all commands print with: tables for people, JSON for machines, one place for options that repeat."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from jobs.settings import settings

console = Console()
errors = Console(stderr=True)


class Bad(Exception):
    """The command's answer is not good, or it cannot be given; the message says what to do."""

    def __init__(self, message: str, status: int = 1):
        self.status = status
        super().__init__(message)


BankOption = Annotated[
    str, typer.Option("--bank", "-b", help="The bank (profile).", default_factory=lambda: settings().profile)
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON, one object a line, for a machine.")]


def plain(value: Any) -> Any:
    """JSON-able: dates in ISO, decimals as text (a cent must not become a float)."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal | Path):
        return str(value)
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(v) for v in value]
    return value


def show(
    rows: Iterable[Any], columns: Sequence[str], *, as_json: bool, title: str = "", empty: str = "Nothing."
) -> None:
    """Rows (mappings or named tuples) as a table of these columns, or all of each row as JSON."""
    listed = [
        dict(row._mapping) if hasattr(row, "_mapping") else (row if isinstance(row, dict) else vars(row))
        for row in rows
    ]
    if as_json:
        for row in listed:
            print(json.dumps(plain(row), ensure_ascii=False))
        return
    if not listed:
        console.print(empty)
        return
    table = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(
            column.replace("_", " "), overflow="fold", justify="right" if _is_number(listed[0].get(column)) else "left"
        )
    for row in listed:
        table.add_row(*[_text(row.get(column)) for column in columns])
    console.print(table)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, Decimal):
        return f"{value:,.2f}"
    if isinstance(value, list | dict):
        return json.dumps(plain(value), ensure_ascii=False)
    return str(value)


def day_of(text: str) -> date:
    """A date argument; raises Bad naming the form."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Bad(f"{text!r} is not a date. Write it as 2026-09-15.", 2) from error
