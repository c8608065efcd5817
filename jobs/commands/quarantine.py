"""quarantine: cases, by cause, with count and money."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.bank import open_bank
from jobs.commands.output import BankOption, JsonOption, show
from jobs.ledger import batches


def register(app: typer.Typer) -> None:
    app.command(epilog="Examples: ledgerlake quarantine · ledgerlake quarantine --by-cause --json")(quarantine)


def quarantine(
    bank: BankOption,
    by_cause: Annotated[bool, typer.Option("--by-cause", help="One line a cause, with counts and sums.")] = False,
    closed: Annotated[bool, typer.Option("--closed", help="Closed cases too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Rows that a gate caught and files that were refused: cause, rows, money, owner. Open cases give exit status 1."""
    the_bank = open_bank(bank)
    with the_bank.ledger.begin() as db:
        cases = batches.cases(db, state=None if closed else "open")
    if by_cause:
        groups: dict[tuple[str, str], dict[str, object]] = {}
        for case in cases:
            group = groups.setdefault(
                (case.table_name, case.cause),
                {"table_name": case.table_name, "cause": case.cause, "cases": 0, "rows": 0, "money": 0},
            )
            group["cases"] += 1  # type: ignore[operator]
            group["rows"] += case.affected_rows  # type: ignore[operator]
            group["money"] += case.money or 0  # type: ignore[operator]
        show(
            list(groups.values()),
            ["table_name", "cause", "cases", "rows", "money"],
            as_json=as_json,
            empty="Nothing is in quarantine.",
        )
    else:
        show(
            cases,
            [
                "case_id",
                "table_name",
                "cause",
                "subject",
                "affected_rows",
                "money",
                "entity",
                "business_date",
                "kind",
                "owner",
            ],
            as_json=as_json,
            move=["kind", "owner", "business_date", "entity", "money", "affected_rows", "cause"],
            below=lambda case: [case["reason"]],
            empty="Nothing is in quarantine.",
        )
    if any(case.state == "open" for case in cases):
        raise typer.Exit(1)
