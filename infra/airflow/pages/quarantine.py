"""The quarantine bench: cases, one case with its rows, and what two people do about it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Form, Request, Response
from fastapi.responses import RedirectResponse

from infra.airflow.pages import Acting, Looking, Visitor, app, page
from jobs import quarantine as bench
from jobs import rollcall
from jobs.bank import Bank, current_bank
from jobs.ledger import approvals, batches, fixes
from jobs.quarantine import NotAllowed

SHOWN_EFFECTS = 40
SHOWN_DECISIONS = 5
Text = Annotated[str, Form()]


@app.get("/quarantine")
def cases(request: Request, visitor: Looking, cause: str | None = None, closed: bool = False) -> Response:
    """All cases, the heaviest cause first, the fixes that wait for a second person, and days of closed months that do."""
    return _cases(request, visitor, cause, closed)


def _cases(request: Request, visitor: Visitor, cause: str | None = None, closed: bool = False, wrong: str | None = None) -> Response:  # fmt: skip
    bank = current_bank(visitor.bank)
    with bank.ledger.begin() as db:
        found = batches.cases(db, state=None if closed else "open")
        waiting, asked, decided = fixes.waiting(db), approvals.waiting(db), approvals.decided(db, SHOWN_DECISIONS)
        ages = bench.ages(db, found)
    causes: dict[tuple[str, str], dict[str, Any]] = {}
    for one in found:
        group = causes.setdefault((one.table_name, one.cause), {"cases": 0, "rows": 0, "money": 0, "oldest": 0})
        group["cases"] += 1
        group["rows"] += one.affected_rows
        group["money"] += one.money or 0
        group["oldest"] = max(group["oldest"], ages[one.case_id])
    ranked = sorted(causes.items(), key=lambda item: (-item[1]["rows"], item[0]))
    shown = [one for one in found if cause in (None, one.cause)]
    return page(
        request, "quarantine.html.j2", visitor, 409 if wrong else 200, title="Quarantine", wrong=wrong, asked=asked, decided=decided, causes=ranked, cases=shown, ages=ages, waiting=waiting, cause=cause, closed=closed,
        said=partial(bench.said, bank), clock=bank.catalog.profile.clock, refresh=None if wrong or (asked and visitor.may_act) else 60,
    )  # fmt: skip


@app.get("/quarantine/{case_id}")
def case(request: Request, visitor: Looking, case_id: int) -> Response:
    """One case: its rule, rows with identifiers masked, what may be done, what was done and what that changed."""
    return _case(request, visitor, case_id)


def _case(request: Request, visitor: Visitor, case_id: int, wrong: str | None = None) -> Response:
    bank = current_bank(visitor.bank)
    try:
        with bank.ledger.begin() as db:
            found = fixes.get_case(db, case_id)
            age, made = bench.age_days(db, found), fixes.of_case(db, case_id)
            replays = {one.fix_id: fixes.replays(db, [one.fix_id]) for one in made}
    except NotAllowed as error:
        return page(request, "refused.html.j2", visitor, 404, title="Quarantine", reason=str(error))
    table = bank.catalog.tables.get(found.table_name)
    listed = bench.list_of(table, found.cause) if table else None
    codes = bench.codes_of(bank, found) if listed else []
    effects = {one.fix_id: bench.effects(bank, one) for one in made if one.state in ("done", "failed")}
    with bank.ledger.begin() as db:
        shared = {one.fix_id for one in made if effects.get(one.fix_id) and bench.shares(db, one)}
    return page(
        request, "quarantine_case.html.j2", visitor, 409 if wrong else 200, title=f"Case {case_id}", case=found, age=age, fixes=made, replays=replays,
        samples=bench.samples(bank, found), codes=codes, unnamed=[one.code for one in codes if case_id in one.cases], table=table, effects=effects, shared=shared, wrong=wrong,
        meanings=sorted(set(bank.catalog.references[listed[1]].map.values())) if listed else [], possible=bench.kinds(bank, found), news=bench.changed_since(bank, found), said=partial(bench.said, bank), clock=bank.catalog.profile.clock,
        most=SHOWN_EFFECTS, rule_columns=bench.rule_columns(table, found.cause) if table else [], whole_line=bench.whole_line(table) if table else "",
        refresh=_refresh(visitor, found, made, wrong),
    )  # fmt: skip


def _refresh(visitor: Visitor, found: Any, made: Any, wrong: str | None) -> int | None:
    """Seconds after which to look again while a fix is on its way; never under the hands of somebody who fills in a form."""
    fills_in = visitor.may_act and found.state == "open"
    return 15 if any(one.state == "approved" for one in made) and not (wrong or fills_in) else None


@app.post("/quarantine/{case_id}/code")
def code(
    request: Request, visitor: Acting, case_id: int, code: Text, reason: Text = "", meaning: Text = ""
) -> Response:
    return _tried(
        request,
        visitor,
        case_id,
        lambda bank: bench.propose_code(bank, case_id, code, meaning or None, reason, visitor.name),
    )


@app.post("/quarantine/{case_id}/correct")
async def correct(request: Request, visitor: Acting, case_id: int) -> Response:
    """The fields of the form are the columns; those that were left empty stay as they came."""
    from fastapi.concurrency import run_in_threadpool

    form = {name: str(value) for name, value in (await request.form()).items()}
    line, delivery, reason = form.pop("__line", ""), form.pop("__delivery", None), form.pop("__reason", "")
    texts: dict[str, str | None] = {column: text for column, text in form.items() if text != ""}

    def propose(bank: Bank) -> int:
        if not line.isdecimal():
            raise NotAllowed("The form names no line: load the page anew.")
        if not texts:
            raise NotAllowed("No text was given: write what the sender should have written.")
        return bench.propose_correction(bank, case_id, {int(line): texts}, reason, visitor.name, delivery)

    return await run_in_threadpool(_tried, request, visitor, case_id, propose)


@app.post("/quarantine/{case_id}/accept")
def accept(
    request: Request, visitor: Acting, case_id: int, reason: Text = "", line: Annotated[list[int] | None, Form()] = None
) -> Response:  # fmt: skip
    return _tried(
        request, visitor, case_id, lambda bank: bench.propose_acceptance(bank, case_id, line, reason, visitor.name)
    )


@app.post("/quarantine/{case_id}/judge_again")
def judge_again(request: Request, visitor: Acting, case_id: int, reason: Text = "") -> Response:
    return _tried(
        request, visitor, case_id, lambda bank: bench.propose_judging_again(bank, case_id, reason, visitor.name)
    )


@app.post("/quarantine/{case_id}/reject")
def reject(request: Request, visitor: Acting, case_id: int, reason: Text = "") -> Response:
    return _tried(request, visitor, case_id, lambda bank: bench.propose_rejection(bank, case_id, reason, visitor.name))


@app.post("/quarantine/{case_id}/resend")
def resend(request: Request, visitor: Acting, case_id: int, reason: Text = "") -> Response:
    return _tried(request, visitor, case_id, lambda bank: bench.propose_resend(bank, case_id, reason, visitor.name))


@app.post("/quarantine/{case_id}/approve/{fix_id}")
def approve(request: Request, visitor: Acting, case_id: int, fix_id: int, note: Text = "") -> Response:
    return _tried(
        request,
        visitor,
        case_id,
        lambda bank: bench.approve(bank, _of_case(bank, case_id, fix_id), visitor.name, note or None),
    )


@app.post("/quarantine/{case_id}/decline/{fix_id}")
def decline(request: Request, visitor: Acting, case_id: int, fix_id: int, note: Text = "") -> Response:
    return _tried(
        request, visitor, case_id, lambda bank: bench.decline(bank, _of_case(bank, case_id, fix_id), visitor.name, note)
    )


@app.post("/approvals/{number}/approve")
def approve_day(request: Request, visitor: Acting, number: int, note: Text = "") -> Response:
    """A second person lets a day of a closed month be told anew or taken back."""

    def act(bank: Bank) -> None:
        with bank.ledger.begin() as db:
            done = approvals.approve(db, bank.catalog, number, visitor.name, note or None)
            rollcall.expect(db, done.run_key)

    return _decided_day(request, visitor, act)


@app.post("/approvals/{number}/decline")
def decline_day(request: Request, visitor: Acting, number: int, note: Text = "") -> Response:
    def act(bank: Bank) -> None:
        with bank.ledger.begin() as db:
            approvals.decline(db, number, visitor.name, note)

    return _decided_day(request, visitor, act)


def _decided_day(request: Request, visitor: Visitor, act: Callable[[Bank], None]) -> Response:
    try:
        act(current_bank(visitor.bank))
    except NotAllowed as error:
        return _cases(request, visitor, wrong=str(error))
    return RedirectResponse(f"{request.scope.get('root_path', '')}/quarantine?bank={quote(visitor.bank)}", 303)


def _of_case(bank: Bank, case_id: int, fix_id: int) -> int:
    """Nobody decides a fix that they were not shown."""
    with bank.ledger.begin() as db:
        if fixes.find(db, fix_id).case_id != case_id:
            raise NotAllowed(f"Fix {fix_id} is none of case {case_id}.")
    return fix_id


def _tried(request: Request, visitor: Visitor, case_id: int, act: Any) -> Response:
    """Done, the case is shown anew; not allowed, it is shown with the reason."""
    try:
        act(current_bank(visitor.bank))
    except NotAllowed as error:
        return _case(request, visitor, case_id, str(error))
    root = request.scope.get("root_path", "")
    return RedirectResponse(f"{root}/quarantine/{case_id}?bank={quote(visitor.bank)}", 303)
