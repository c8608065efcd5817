"""gates: what the gates said, and what a rule would have said of past days."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from jobs.backtest import HALTED, Backtest, CannotBeJudged, NothingToTry
from jobs.backtest import backtest as trials_of
from jobs.backtest import suggest as suggestions_for
from jobs.bank import as_decided, open_bank
from jobs.commands.output import Bad, BankOption, JsonOption, console, day_of, errors, plain, show
from jobs.contracts.draft import is_rule_id, proposed_rule, table_named, table_of_rule, with_draft
from jobs.ledger import batches, clock
from jobs.quality import unlisted
from jobs.quality.balance import Balance
from jobs.quality.data_docs import index
from jobs.quality.proposals import in_contract_form
from jobs.quality.trial import QUARANTINE, Trial

RESULTS = "results"


class _ResultsUnlessNamed(TyperGroup):
    """`ledgerlake gates silver.transactions` are the results: what is no name of a command is said to the command of this name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [RESULTS, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ResultsUnlessNamed,
    help="What the gates said (`ledgerlake gates` alone, or with a table), and what a rule would have said of past days.",
)


def register(to: typer.Typer) -> None:
    to.add_typer(app, name="gates")


@app.command(
    RESULTS,
    epilog="Examples: ledgerlake gates · ledgerlake gates silver.transactions --outcome stop · ledgerlake gates --docs",
)
def results(
    bank: BankOption,
    table: Annotated[str | None, typer.Argument(help="Only this table, for instance silver.transactions.")] = None,
    outcome: Annotated[str | None, typer.Option(help="Only pass, warn, hold or stop.")] = None,
    last: Annotated[int, typer.Option(help="How many, newest first.")] = 30,
    docs: Annotated[
        bool, typer.Option("--docs", help="Write one page that lists these results, each with a link to its own.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Gate results, newest first: outcome, rules run, rules broken, what came in and where it went, and the page with the details. A stop among them gives exit status 1."""
    the_bank = open_bank(bank)
    with the_bank.ledger.begin() as db:
        rows = batches.gates(db, table=table, outcome=outcome, limit=last)
        balances = batches.balances(db, {row.batch_id for row in rows})
    if as_json:
        for row in rows:
            balance = balances.get((row.batch_id, row.subject))
            print(
                json.dumps(
                    {
                        **{k: str(v) for k, v in row._mapping.items() if k != "result"},
                        "balance": plain(dict(balance._mapping)) if balance else None,
                        "result": row.result,
                    },
                    ensure_ascii=False,
                )
            )
    else:
        show(
            rows,
            ["evaluated_at", "table_name", "subject", "outcome", "rules_run"],
            as_json=False,
            clock=the_bank.catalog.profile.clock,
            move=["rules_run", "evaluated_at"],
            below=lambda row: [
                *map(_told, row["failed"]),
                _balanced(balances.get((row["batch_id"], row["subject"]))),
                row["docs_path"],
            ],
            empty=_none_spoke(table, outcome),
        )
    if docs:
        at = the_bank.catalog.profile.clock
        entries = [
            (at(r.evaluated_at), r.table_name, r.subject, r.outcome, Path(r.docs_path)) for r in rows if r.docs_path
        ]
        told = errors if as_json else console  # a machine reads the output alone
        told.print(f"All of these: {index(the_bank.docs, entries)}", highlight=False, markup=False, soft_wrap=True)
    if any(row.outcome == "stop" for row in rows):
        raise typer.Exit(1)


def _none_spoke(table: str | None, outcome: str | None) -> str:
    of = f" of {table}" if table else ""
    return f"No gate{of} has said {outcome}." if outcome else f"No gate{of} has spoken yet."


DaysOption = Annotated[int, typer.Option("--days", min=1, help="How many of the last released business days.")]
ContractOption = Annotated[
    Path | None, typer.Option("--contract", help="A draft of the table's contract, in place of the one that holds.")
]


@app.command(epilog="Examples: ledgerlake gates values · ledgerlake gates values 2026-09-15 --days 1")
def values(
    bank: BankOption,
    day: Annotated[
        str | None, typer.Argument(help="The last business date looked at; the bank's today when left out.")
    ] = None,
    count: Annotated[int, typer.Option("--days", min=1, help="How many business dates, up to that one.")] = 30,
    as_json: JsonOption = False,
) -> None:
    """Values that came and that their reference list does not have, where the contract only warns of them: the most frequent first, since when they come, and the line that would add each. Look at its meaning, add it yourself.

    Codes whose rows were rejected are those of a case: `ledgerlake quarantine codes`.
    """
    the_bank = as_decided(open_bank(bank))
    with the_bank.ledger.begin() as db:
        last = day_of(day) if day else the_bank.catalog.profile.today(clock.now(db))
        found = unlisted.listing(db, the_bank.catalog, last - timedelta(days=count - 1), last)
    show_unlisted(found, as_json=as_json, empty=f"No value without a place in its list came in {_count(count, 'day')} up to {last}.")  # fmt: skip


def show_unlisted(found: Sequence[unlisted.Unlisted], *, as_json: bool, empty: str) -> None:
    """Values that no list has, and the lines that would add them, by list."""
    show(
        found,
        ["value", "rows", "feed", "column", "deliveries", "first_day", "last_day"],
        as_json=as_json,
        move=["last_day", "deliveries", "first_day"],
        empty=empty,
    )
    for name in () if as_json else sorted({one.reference for one in found}):
        console.print(f"\nexpectations/reference/{name}.yaml", highlight=False, soft_wrap=True)
        for line in dict.fromkeys(one.line for one in found if one.reference == name):
            console.print(line, highlight=False, markup=False, soft_wrap=True)


@app.command(
    epilog="Examples: ledgerlake gates backtest amount_positive --table silver.transactions · ledgerlake gates backtest rule.yaml --table "
    'bronze.core_transactions --days 60 · ledgerlake gates backtest "{id: small, onFail: quarantine, expect_column_values_to_be_between: {column: amount, '
    'max_value: 50000}}" --table bronze.core_transactions'
)
def backtest(
    bank: BankOption,
    rule: Annotated[
        str,
        typer.Argument(
            help="The rule as it stands in a contract, a YAML file with it, or the id of one that is there."
        ),
    ],
    table: Annotated[str | None, typer.Option("--table", help="The table that it speaks of.")] = None,
    contract: ContractOption = None,
    count: DaysOption = 30,
    as_json: JsonOption = False,
) -> None:
    """What a rule would have done to past days: the days it would have stopped or held, the rows and the money it would have quarantined, and of which branches. Nothing is written. Anything stopped, held or quarantined gives exit status 1."""
    the_bank = open_bank(bank)
    catalog = the_bank.catalog
    if contract is not None:
        catalog, the_table = with_draft(catalog, contract)
    elif table is not None:
        the_table = table_named(catalog, table)
    elif is_rule_id(rule):
        the_table = table_of_rule(catalog, rule.strip())
    else:
        raise Bad(
            "Which table does the rule speak of? Say it with --table, for instance --table silver.transactions.", 2
        )
    proposed = proposed_rule(rule, the_table, catalog)
    try:
        found = trials_of(the_bank, the_table, proposed, count, _said_to_people)
    except (NothingToTry, CannotBeJudged) as error:
        raise Bad(str(error)) from error
    shown = found.trials if as_json else found.caught
    if shown:
        show(
            [_line(trial) for trial in shown],
            ["day", "subject", "outcome", "rows", "money", "branches"],
            as_json=as_json,
            move=["branches", "money"],
            below=lambda line: [line["sentence"]],
        )
    if as_json:
        print(json.dumps(plain(_totals(found)), ensure_ascii=False))
    else:
        console.print(_summary(found), highlight=False, markup=False, soft_wrap=True)
    if not found.is_quiet:
        raise typer.Exit(1)


@app.command(
    epilog="Examples: ledgerlake gates suggest bronze.core_transactions · ledgerlake gates suggest bronze.new_feed --contract draft.yaml --days 60"
)
def suggest(
    bank: BankOption,
    table: Annotated[
        str | None, typer.Argument(help="The table, for instance silver.transactions; that of the draft when left out.")
    ] = None,
    contract: ContractOption = None,
    count: DaysOption = 30,
    as_json: JsonOption = False,
) -> None:
    """Rules proposed from what past days looked like, in contract form, each with its evidence. What the contract promises already is not proposed again, and each rule was tried on the same days: it would have kept nothing back."""
    the_bank = open_bank(bank)
    if contract is not None:
        catalog, the_table = with_draft(the_bank.catalog, contract)
        if table not in (None, the_table.table):
            raise Bad(f"{contract} is the contract of {the_table.table}, not of {table}.", 2)
        the_bank = replace(the_bank, catalog=catalog)
    elif table is None:
        raise Bad("For which table? Name it, for instance `ledgerlake gates suggest silver.transactions`.", 2)
    else:
        the_table = table_named(the_bank.catalog, table)
    try:
        found = suggestions_for(the_bank, the_table, count, _said_to_people)
    except NothingToTry as nothing:
        raise Bad(str(nothing)) from nothing
    for proposal in found.left_out:
        _said_to_people(f"Left out, for it would have spoken on these days: {proposal.rule.id}.")
    if as_json:
        for proposal in found.proposals:
            print(json.dumps(proposal.as_json(), ensure_ascii=False))
    elif found.proposals:
        print(in_contract_form(found.proposals))
    else:
        console.print(
            f"Nothing to propose: the contract of {the_table.table} says what these days show, or they show too little."
        )


def _said_to_people(text: str) -> None:
    errors.print(text, style="dim", highlight=False, markup=False, soft_wrap=True)


def _line(trial: Trial) -> dict[str, Any]:
    return {
        "day": trial.subject.day,
        "subject": trial.subject.name,
        "outcome": trial.outcome,
        "judged": trial.judged,
        "rows": trial.rows,
        "money": trial.money,
        "branches": ", ".join(trial.branches),
        "sentence": trial.sentence if trial.outcome != "pass" else "",
    }


def _totals(found: Backtest) -> dict[str, Any]:
    return {
        "rule": found.rule.id,
        "table": found.table.table,
        "first_day": found.days[0],
        "last_day": found.days[-1],
        "days": len(found.days),
        "days_stopped": found.days_of("stop"),
        "days_held": found.days_of("hold"),
        "days_quarantined": found.days_of(QUARANTINE),
        "days_warned": found.days_of("warn"),
        "rows_quarantined": found.rows_of(QUARANTINE),
        "money_quarantined": found.money_of(QUARANTINE),
        "rows_kept_back": found.rows_of(*HALTED),
        "money_kept_back": found.money_of(*HALTED),
        "branches": found.branches_of(*HALTED, QUARANTINE, "warn"),
        "summary": _summary(found),
    }


def _summary(found: Backtest) -> str:
    """What it would have meant, in one sentence."""
    judged = sum(trial.judged for trial in found.trials)
    of_days = f"the {len(found.days)} released days from {found.days[0]} to {found.days[-1]}"
    parts = []
    for outcome, done in (("stop", "stopped"), ("hold", "held for a person")):
        if halted := [t for t in found.trials if t.outcome == outcome]:
            on_days = _count(len(found.days_of(outcome)), "day")
            what = f"{_count(len(halted), 'delivery')} on {on_days}" if found.table.layer == "bronze" else on_days
            parts.append(f"{done} {what} with {_count(found.rows_of(outcome), 'row')}{_of_money(found, outcome)}")
    if rows := found.rows_of(QUARANTINE):
        parts.append(
            f"quarantined {_count(rows, 'row')} of {judged:,}{_of_money(found, QUARANTINE)} on {_count(len(found.days_of(QUARANTINE)), 'day')}"
        )
    if warned := found.days_of("warn"):
        parts.append(f"warned on {_count(len(warned), 'day')}")
    asked = len({trial.subject.day for trial in found.trials if trial.subject.is_whole})
    only = ""
    if not found.rule.judges_rows and asked < len(found.days):
        only = (
            f" It was asked of {asked} of these days: the others came as history that was taken on, of which a rule about a whole delivery is not asked, "
            "or without a delivery."
        )
    if not parts:
        return f"On {of_days} {found.rule.id} would have kept nothing back: it holds in all {judged:,} rows of {found.table.table}.{only}"
    branches = found.branches_of(*HALTED, QUARANTINE, "warn")
    named = f"; branches: {', '.join(branches)}" if branches else ""
    return f"On {of_days} {found.rule.id} would have {' and '.join(parts)}{named}.{only}"


def _of_money(found: Backtest, outcome: str) -> str:
    money = found.money_of(outcome)
    return f" ({money:,.2f} in {found.table.money})" if money is not None else ""


def _count(number: int, what: str) -> str:
    plural = f"{what[:-1]}ies" if what.endswith("y") and not what.endswith("ay") else f"{what}s"
    return f"{number:,} {what if number == 1 else plural}"


def _balanced(record: Any) -> str | None:
    """What came in and where it went; None of a table that no feed comes into."""
    return Balance.of_record(record).sentence() if record else None


def _told(failed: dict[str, Any]) -> str:
    money = f" Money in these rows: {Decimal(failed['money']):,.2f}." if failed.get("money") else ""
    return f"{failed['rule']} ({failed['on_fail']}): {failed['sentence']}{unlisted.said(failed)}{money}"
