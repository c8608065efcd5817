"""quarantine: cases, by cause, with count and money; what is done about them."""

from __future__ import annotations

import os
import pwd
from typing import Annotated, Any

import typer

from jobs import quarantine as bench
from jobs.bank import Bank, open_bank
from jobs.commands.output import Bad, BankOption, JsonOption, console, plain, show, show_one
from jobs.ledger import batches, fixes

CASE = [
    "case_id",
    "table_name",
    "cause",
    "subject",
    "affected_rows",
    "money",
    "age_days",
    "entity",
    "business_date",
    "kind",
    "owner",
]
CASE_MOVE = ["kind", "owner", "business_date", "entity", "age_days", "money", "affected_rows", "cause"]
FIX = ["fix_id", "case_id", "kind", "state", "proposed_by", "proposed_at", "decided_by"]
FIX_MOVE = ["decided_by", "proposed_at", "proposed_by"]
CaseArgument = Annotated[int, typer.Argument(metavar="CASE", help="Number of the case.")]
FixArgument = Annotated[int, typer.Argument(metavar="FIX", help="Number of the fix.")]
SHOWN_EFFECTS = 20


def register(app: typer.Typer) -> None:
    group = typer.Typer(invoke_without_command=True, no_args_is_help=False)
    group.callback(epilog="Examples: ledgerlake quarantine · ledgerlake quarantine --by-cause --json")(quarantine)
    for command, example in (
        (case, "ledgerlake quarantine case 12"),
        (codes, "ledgerlake quarantine codes 12 · ledgerlake quarantine codes"),
        (
            fix,
            "ledgerlake quarantine fix 12 --map X9=transfer --reason 'new type since May' · ledgerlake quarantine fix 12 --set 17:amount=12.50 "
            "--reason 'typed wrong' · ledgerlake quarantine fix 12 --accept --line 17 --reason 'checked with the branch'",
        ),
        (fixes_waiting, "ledgerlake quarantine fixes"),
        (approve, "ledgerlake quarantine approve 3 --note 'agreed with the product team'"),
        (decline, "ledgerlake quarantine decline 3 --note 'the branch sends it again tonight'"),
    ):
        name = "fixes" if command is fixes_waiting else command.__name__
        group.command(name, epilog=f"Examples: {example}")(command)
    app.add_typer(group, name="quarantine")


def me() -> str:
    """Whoever is logged in at this machine: as whom they propose and approve."""
    return pwd.getpwuid(os.getuid()).pw_name


def quarantine(
    context: typer.Context,
    bank: BankOption,
    by_cause: Annotated[bool, typer.Option("--by-cause", help="One line a cause, with counts and sums.")] = False,
    closed: Annotated[bool, typer.Option("--closed", help="Closed cases too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Rows that a gate caught and files that were refused: cause, rows, money, age in days, owner. Open cases give exit status 1.

    What is done about a case: see it (case), propose a fix (fix), have a second person approve it (approve). Nobody approves their own.
    """
    if context.invoked_subcommand:
        return
    the_bank = open_bank(bank)
    with the_bank.ledger.begin() as db:
        cases = batches.cases(db, state=None if closed else "open")
        ages = bench.ages(db, cases)
    if by_cause:
        groups: dict[tuple[str, str], dict[str, Any]] = {}
        for one in cases:
            group = groups.setdefault(
                (one.table_name, one.cause),
                {"table_name": one.table_name, "cause": one.cause, "cases": 0, "rows": 0, "money": 0, "oldest_days": 0},
            )
            group["cases"] += 1
            group["rows"] += one.affected_rows
            group["money"] += one.money or 0
            group["oldest_days"] = max(group["oldest_days"], ages[one.case_id])
        columns = ["table_name", "cause", "cases", "rows", "money", "oldest_days"]
        show(list(groups.values()), columns, as_json=as_json, empty="Nothing is in quarantine.")
    else:
        show(
            [{**one._mapping, "age_days": ages[one.case_id]} for one in cases], CASE, as_json=as_json, move=CASE_MOVE, below=lambda row: [row["reason"]],
            empty="Nothing is in quarantine.",
        )  # fmt: skip
    if any(one.state == "open" for one in cases):
        raise typer.Exit(1)


def case(
    number: CaseArgument,
    bank: BankOption,
    rows: Annotated[int, typer.Option(help="So many sample rows.")] = bench.SAMPLES,
    as_json: JsonOption = False,
) -> None:
    """One case: the rule, its rows (identifiers masked), money at stake, age, what may be done, what was done and what that changed."""
    the_bank = open_bank(bank)
    with the_bank.ledger.begin() as db:
        found = fixes.get_case(db, number)
        age, made = bench.age_days(db, found), fixes.of_case(db, number)
        replays = fixes.replays(db, [one.fix_id for one in made])
    samples = bench.samples(the_bank, found, rows)
    possible, news = bench.kinds(the_bank, found), bench.changed_since(the_bank, found)
    changed = {one.fix_id: bench.effects(the_bank, one) for one in made if one.state in ("done", "failed")}
    with the_bank.ledger.begin() as db:
        shared = {one.fix_id: bench.shares(db, one) for one in made if changed.get(one.fix_id)}
    if as_json:
        told = {
            **found._mapping,
            "age_days": age,
            "possible": possible,
            "changed_since": news,
            "samples": [vars(s) for s in samples],
        }
        told["fixes"] = [
            {
                **one._mapping,
                "change": bench.shown_change(the_bank, one.kind, one.change),
                "replays": [plain(dict(r._mapping)) for r in replays if r.fix_id == one.fix_id],
                "effects": [vars(e) for e in changed.get(one.fix_id, [])],
                "shared": shared.get(one.fix_id, False),
            }
            for one in made
        ]
        show([plain(told)], [], as_json=True)
        return
    facts = [*CASE, "delivery_id", "state", "opened_at", "closed_at"]
    show_one({**found._mapping, "age_days": age}, facts, the_bank.catalog.profile.clock)
    console.print(found.reason, highlight=False, markup=False)
    if news:
        hint = f"{news} The rows can be judged again: ledgerlake quarantine fix {number} --judge-again --reason ..."
        console.print(hint, highlight=False, markup=False, style="bold")
    if samples:
        console.print("\nRows, identifiers masked:", style="bold")
        first = bench.rule_columns(the_bank.catalog.tables[found.table_name], found.cause)
        for sample in samples:
            values = {
                **{c: sample.values.get(c) for c in first},
                **sample.values,
                **{c: f"{t!r} (unread)" for c, t in sample.came.items()},
            }
            said = " · ".join(f"{name} {value}" for name, value in values.items() if value is not None)
            console.print(f"  {sample.delivery_id} line {sample.line}: {said}", highlight=False, markup=False)
    if found.state == "open":
        console.print(f"\nPossible: {', '.join(possible)} (ledgerlake quarantine fix --help)", highlight=False)
    _show_fixes(the_bank, made)
    for one in made:
        _show_effects(one, changed.get(one.fix_id), is_shared=shared.get(one.fix_id, False))


def _show_fixes(bank: Bank, made: list[Any]) -> None:
    if made:
        with bank.ledger.begin() as db:
            ends: dict[int, list[str]] = {}
            for replay in fixes.replays(db, [one.fix_id for one in made]):
                ends.setdefault(replay.fix_id, []).append(
                    f"{replay.delivery_id} {replay.state}" + (f": {replay.reason}" if replay.reason else "")
                )
        console.print("\nFixes:", style="bold")
        show(
            made,
            FIX,
            as_json=False,
            clock=bank.catalog.profile.clock,
            move=FIX_MOVE,
            below=lambda row: [bench.said(bank, row), row["reason"], row["note"], *ends.get(row["fix_id"], [])],
        )


def _show_effects(one: Any, changed: list[Any] | None, *, is_shared: bool) -> None:
    if changed is None:
        return
    if not changed:
        console.print(
            f"\nFix {one.fix_id} changed no figure yet: its day is not restated, or no KPI counts these rows."
        )
        return
    beside = ", with other changes of that version" if is_shared else ""
    console.print(f"\nWhat the restatement after fix {one.fix_id} changed{beside}:", style="bold")
    shown = [
        {**vars(e), "period": f"{e.as_of_date} {e.period_kind}", "before": e.told[0], "after": e.told[1]}
        for e in changed[:SHOWN_EFFECTS]
    ]
    show(shown, ["kpi_id", "measure", "period", "grain", "before", "after"], as_json=False, move=["measure", "period"])
    if len(changed) > SHOWN_EFFECTS:
        console.print(f"... and {len(changed) - SHOWN_EFFECTS} more (--json).")


def codes(
    bank: BankOption,
    number: Annotated[
        int | None,
        typer.Argument(metavar="[CASE]", help="Number of a case; all that were given a meaning when left out."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Codes that no list knows, the most frequent first. Without a case: codes that were given a meaning here, as lines for the reference lists."""
    the_bank = open_bank(bank)
    if number is None and as_json:
        with the_bank.ledger.begin() as db:
            decided = fixes.codes(db)
        every = [
            {"reference": name, "code": code, "meaning": meaning}
            for name, listed in decided.items()
            for code, meaning in listed.items()
        ]
        show(every, [], as_json=True)
        return
    if number is None:
        console.print(
            bench.codes_as_yaml(the_bank) or "No code waits to be written into a reference list.",
            highlight=False,
            markup=False,
        )
        return
    with the_bank.ledger.begin() as db:
        found = fixes.get_case(db, number)
    listed = bench.codes_of(the_bank, found)
    show(
        [vars(c) for c in listed],
        ["code", "rows", "entities"],
        as_json=as_json,
        empty=f"{found.cause} knows codes by no list.",
    )


def fix(
    number: CaseArgument,
    bank: BankOption,
    reason: Annotated[str, typer.Option(help="Why this is right; the approver reads it.")] = "",
    code: Annotated[str | None, typer.Option("--map", metavar="CODE[=MEANING]", help="The code has this meaning, from now on and for all rows that wait for it.")] = None,
    texts: Annotated[list[str] | None, typer.Option("--set", metavar="LINE:COLUMN=TEXT", help="The text that the sender should have written; may be repeated. LINE:COLUMN alone: nothing.")] = None,
    delivery: Annotated[str | None, typer.Option(help="With --set on a case of silver: the delivery of the lines.")] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Accept as it is; all other rules still run.")] = False,
    lines: Annotated[list[int] | None, typer.Option("--line", help="With --accept: only this line; may be repeated.")] = None,
    reject: Annotated[bool, typer.Option("--reject", help="It stays out for good, and the case is closed.")] = False,
    resend: Annotated[bool, typer.Option("--resend", help="Ask the sender for the file again.")] = False,
    again: Annotated[bool, typer.Option("--judge-again", help="Judge the rows again by the contract of today, where it says otherwise than when they were rejected.")] = False,
) -> None:  # fmt: skip
    """Propose what to do about a case. A second person approves it; then the rows are judged again, and the days that they belong to are restated."""
    the_bank = open_bank(bank)
    if sum(map(bool, (code, texts, accept, reject, resend, again))) != 1:
        raise Bad(
            "Say one thing to do: --map, --set, --accept, --judge-again, --reject or --resend. `ledgerlake quarantine fix --help` has examples.",
            2,
        )
    if resend or again or reject:
        propose = bench.propose_resend if resend else bench.propose_judging_again if again else bench.propose_rejection
        made = propose(the_bank, number, reason, me())
    else:
        made = _propose(the_bank, number, reason, code, texts, delivery, lines)
    console.print(
        f"Fix {made} is proposed by {me()}. A second person approves it: ledgerlake quarantine approve {made}",
        highlight=False,
    )


def _propose(bank: Bank, number: int, reason: str, code: str | None, texts: list[str] | None, delivery: str | None, lines: list[int] | None) -> int:  # fmt: skip
    if code:
        name, equals, meaning = code.rpartition("=")
        return bench.propose_code(bank, number, name if equals else meaning, meaning if equals else None, reason, me())
    if texts:
        return bench.propose_correction(bank, number, _by_line(texts), reason, me(), delivery)
    return bench.propose_acceptance(bank, number, lines or None, reason, me())


def _by_line(texts: list[str]) -> dict[int, dict[str, str | None]]:
    found: dict[int, dict[str, str | None]] = {}
    for text in texts:
        line, _, rest = text.partition(":")
        column, equals, value = rest.partition("=")
        if not line.isdecimal() or not column:
            raise Bad(f"--set {text!r}: write LINE:COLUMN=TEXT, for instance 17:amount=12.50.", 2)
        found.setdefault(int(line), {})[column] = value if equals else None
    return found


def fixes_waiting(bank: BankOption, as_json: JsonOption = False) -> None:
    """Fixes that wait for a second person. Some give exit status 1."""
    the_bank = open_bank(bank)
    with the_bank.ledger.begin() as db:
        found = fixes.waiting(db)
    show(
        found, ["fix_id", "case_id", "kind", "table_name", "cause", "affected_rows", "money", "proposed_by", "proposed_at"], as_json=as_json, clock=the_bank.catalog.profile.clock,
        move=["proposed_at", "money", "affected_rows", "cause", "table_name"], below=lambda row: [bench.said(the_bank, row), row["reason"]],
        empty="No fix waits for a second person.",
    )  # fmt: skip
    if found:
        raise typer.Exit(1)


def approve(
    number: FixArgument, bank: BankOption, note: Annotated[str | None, typer.Option(help="What the approver has to say.")] = None
) -> None:  # fmt: skip
    """Approve a colleague's fix. What arrived is judged again with it, once, by the next load; nobody approves their own."""
    done = bench.approve(open_bank(bank), number, me(), note)
    then = "The case shows what becomes of it" if done.state == "approved" else "It is done"
    console.print(
        f"Fix {number} is approved by {me()}. {then}: ledgerlake quarantine case {done.case_id}", highlight=False
    )


def decline(
    number: FixArgument, bank: BankOption, note: Annotated[str, typer.Option(help="Why not; whoever proposed it reads it.")] = ""
) -> None:  # fmt: skip
    """Decline a colleague's fix, or take back your own. The case stays open."""
    done = bench.decline(open_bank(bank), number, me(), note)
    console.print(f"Fix {number} is {done.state}. Case {done.case_id} stays open.", highlight=False)
