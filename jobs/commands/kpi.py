"""kpi: the newest figures in the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from jobs.bank import open_bank
from jobs.commands.output import Bad, BankOption, JsonOption, console, day_of
from jobs.ledger import days, releases


def register(app: typer.Typer) -> None:
    app.command(epilog="Examples: ledgerlake kpi · ledgerlake kpi 2026-09-15 --json")(kpi)


def kpi(
    bank: BankOption,
    day: Annotated[str | None, typer.Argument(help="Business date; the newest released one when left out.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The KPI table of a released day, as the report has it; and whether its month is closed by now."""
    the_bank = open_bank(bank)
    with the_bank.ledger.begin() as db:
        made = days.newest_release(db, day_of(day)) if day else releases.newest(db)
    if made is None or made.report_path is None:
        raise Bad(f"{day or 'No day'} has no report yet. `ledgerlake releases` lists what was released.")
    data = json.loads(Path(made.report_path).with_suffix(".json").read_text(encoding="utf-8"))
    from jobs.serving.report import closing

    with the_bank.ledger.begin() as db:
        is_closed = days.closed_since(db, the_bank.catalog, made.to_date) is not None
    now = closing(the_bank.catalog.profile.closes(made.to_date), is_closed=is_closed)
    data = {"approved_title": None, **data, **now}  # a report that was written before reports spoke of approval
    if as_json:
        print(json.dumps(data, ensure_ascii=False))
        return
    from jobs.serving.terminal import kpi_table

    console.print(kpi_table(data, width=console.width))
    console.print(f"Report: {made.report_path}", soft_wrap=True)
