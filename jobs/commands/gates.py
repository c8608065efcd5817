"""gates: what the gates said."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.bank import open_bank
from jobs.commands.output import BankOption, JsonOption, console, errors, show
from jobs.ledger import batches
from jobs.quality.data_docs import index


def register(app: typer.Typer) -> None:
    examples = (
        "Examples: ledgerlake gates · ledgerlake gates silver.transactions --outcome stop · ledgerlake gates --docs"
    )
    app.command(epilog=examples)(gates)


def gates(
    bank: BankOption,
    table: Annotated[str | None, typer.Argument(help="Only this table, for instance silver.transactions.")] = None,
    outcome: Annotated[str | None, typer.Option(help="Only pass, warn, hold or stop.")] = None,
    last: Annotated[int, typer.Option(help="How many, newest first.")] = 30,
    docs: Annotated[
        bool, typer.Option("--docs", help="Write one page that lists these results, each with a link to its own.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Gate results, newest first: outcome, rules run, rules broken and the page with the details. A stop among them gives exit status 1."""
    the_bank = open_bank(bank)
    with the_bank.ledger.begin() as db:
        rows = batches.gates(db, table=table, outcome=outcome, limit=last)
    if as_json:
        for row in rows:
            print(
                json.dumps(
                    {**{k: str(v) for k, v in row._mapping.items() if k != "result"}, "result": row.result},
                    ensure_ascii=False,
                )
            )
    else:
        show(
            rows,
            ["evaluated_at", "table_name", "subject", "outcome", "rules_run"],
            as_json=False,
            move=["rules_run", "evaluated_at"],
            below=lambda row: [
                *map(_told, row["failed"]),
                row["docs_path"],
            ],
            empty="No gate has spoken yet.",
        )
    if docs:
        entries = [(r.evaluated_at, r.table_name, r.subject, r.outcome, Path(r.docs_path)) for r in rows if r.docs_path]
        told = errors if as_json else console  # a machine reads the output alone
        told.print(f"All of these: {index(the_bank.docs, entries)}", highlight=False, markup=False, soft_wrap=True)
    if any(row.outcome == "stop" for row in rows):
        raise typer.Exit(1)


def _told(failed: dict[str, Any]) -> str:
    money = f" Money in these rows: {Decimal(failed['money']):,.2f}." if failed.get("money") else ""
    return f"{failed['rule']} ({failed['on_fail']}): {failed['sentence']}{money}"
