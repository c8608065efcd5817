"""breaks: where two sides of the same money do not agree."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import typer

from jobs.bank import Bank, open_bank
from jobs.commands.output import BankOption, JsonOption, day_of, show
from jobs.ledger import clock, days

TABLE = "silver.reconciliations"


def register(app: typer.Typer) -> None:
    app.command(epilog="Examples: ledgerlake breaks · ledgerlake breaks 2026-09-15 --kind reversal")(breaks)


def breaks(
    bank: BankOption,
    day: Annotated[str | None, typer.Argument(help="Business date; the newest released one when left out.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="Only gl_subject, account_day, internal_transfer, reversal or sale_posting.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Account-days that do not close, transfers with one side, reversals without an original, sales that only one system knows: both amounts and the
    age in days. A break gives exit status 1.

    Branch-days whose general ledger is not the sum of the accounts are never built: `ledgerlake quarantine` has them.
    """
    the_bank = open_bank(bank)
    with the_bank.ledger.begin() as db:
        wanted = day_of(day) if day else days.last_released_day(db)
        today = the_bank.catalog.profile.today(clock.now(db))
    rows = of_day(the_bank, wanted, today) if wanted else []
    rows = [row for row in rows if kind in (None, row["kind"])]
    show(
        rows,
        ["kind", "subject", "branch_id", "left_amount", "right_amount", "off_by", "age"],
        as_json=as_json,
        move=["branch_id", "off_by", "age"],
        empty=f"Nothing disagrees on {wanted}." if wanted else "Nothing was released yet.",
    )
    if rows:
        raise typer.Exit(1)


def of_day(bank: Bank, day: date, today: date) -> list[dict[str, Any]]:
    """The rows of a business date that do not agree, the largest first, quarantined ones too."""
    import pyarrow.compute as pc

    if not bank.lake.exists(TABLE):
        return []
    columns = ["kind", "subject", "branch_id", "left_amount", "right_amount", "off_by", "since"]
    found = bank.lake.dataset(TABLE, within={"business_date": (day, day)}).to_table(
        columns=columns, filter=(pc.field("business_date") == day) & pc.field("disagrees").is_valid()
    )
    rows = sorted(found.to_pylist(), key=lambda row: (row["kind"], -row["off_by"], row["subject"]))
    return [row | {"age": (today - row["since"]).days} for row in rows]
