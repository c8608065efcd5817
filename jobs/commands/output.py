"""What all commands print with: tables for people, JSON for machines, one place for options that repeat."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from jobs.settings import settings

# What is printed is text: names, messages and paths may have [brackets], which are no markup unless a call says so.
console = Console(markup=False)
errors = Console(stderr=True, markup=False)


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


# What a column is called where its name in the ledger is longer than it need be.
HEADS = {
    "delivery_id": "delivery", "business_date": "date", "received_rows": "received", "accepted_rows": "accepted",
    "rejected_rows": "rejected", "duplicate_rows": "duplicate", "received_money": "money", "table_name": "table",
    "case_id": "case", "affected_rows": "rows", "age_days": "age", "oldest_days": "oldest", "evaluated_at": "at", "rules_run": "rules", "release_id": "release", "approval_id": "request",
    "run_key": "run", "mart_published_at": "in the mart", "run_id": "by",
    "raised_at": "since", "alert_key": "alert",
}  # fmt: skip
GAP, INDENT = "  ", "    "
Below = Callable[[Mapping[str, Any]], Iterable[str | None]]
Clock = Callable[[datetime], str]


def by_utc(at: datetime) -> str:
    """An instant where no bank's clock is at hand; it says so."""
    return f"{at:%Y-%m-%d %H:%M}Z"


def show(
    rows: Iterable[Any],
    columns: Sequence[str],
    *,
    as_json: bool,
    clock: Clock = by_utc,
    move: Sequence[str] = (),
    below: Below | None = None,
    empty: str = "Nothing.",
) -> None:
    """Rows (mappings or named tuples) as a table of these columns, or all of each row as JSON. `clock` shows times: the bank's own where there is one.

    On a terminal that is too narrow the columns of `move`, one after the other, go to a line below their row, where
    they have a value. Nothing is ever cut off: what a person wants to copy stands in one piece. `below` gives long
    texts of a row; a path among them is not broken.
    """
    listed = [dict(row._mapping) if hasattr(row, "_mapping") else (row if isinstance(row, dict) else vars(row)) for row in rows]  # fmt: skip
    if as_json:
        for row in listed:
            print(json.dumps(plain(row), ensure_ascii=False))
        return
    if not listed:
        console.print(empty)
        return
    cells = {c: [HEADS.get(c, c.replace("_", " ")), *(_text(row.get(c), clock) for row in listed)] for c in columns}
    widths = {c: max(map(cell_len, texts)) for c, texts in cells.items()}
    moved = []
    for column in move:
        if sum(widths.values()) + len(GAP) * (len(widths) - 1) > console.width:
            moved.append(column)
            del widths[column]
    numbers = {c for c in columns if any(_is_number(row.get(c)) for row in listed)}
    for n, row in enumerate([{}, *listed]):
        line = GAP.join(_padded(cells[c][n], width, c in numbers) for c, width in widths.items())
        _say(line.rstrip(), "bold" if n == 0 else "")
        if n == 0:
            continue
        rest = " · ".join(f"{cells[c][0]} {cells[c][n]}" for c in moved if row.get(c))
        for text in (rest, *(below(row) if below else ())):
            for part in _wrapped(text or ""):
                _say(INDENT + part, "dim")


def show_one(row: Mapping[str, Any], columns: Sequence[str], clock: Clock = by_utc) -> None:
    """One row, a line a value that it has."""
    names = {c: HEADS.get(c, c.replace("_", " ")) for c in columns}
    for column, name in names.items():
        if (text := _text(row[column], clock)) != "":
            _say(f"{name.ljust(max(map(len, names.values())))}{GAP}{text}")


def _say(line: str, style: str = "") -> None:
    console.print(Text(line, style=style), soft_wrap=True)


def _padded(text: str, width: int, is_number: bool) -> str:
    room = " " * (width - cell_len(text))
    return room + text if is_number else text + room


def _wrapped(text: str) -> list[str]:
    """Lines that fit below a row; a path is one line, however long."""
    if text.startswith("/"):
        return [text]
    width = max(console.width - len(INDENT), 40)
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _text(value: Any, clock: Clock) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return clock(value)
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
