"""What may be done about a case: one person proposes, another approves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from jobs.bank import Bank, as_decided
from jobs.contracts import Rule, Table
from jobs.contracts.errors import nearest
from jobs.ledger import batches, deliveries, fixes
from jobs.ledger.fixes import ACCEPT, CORRECT, JUDGE_AGAIN, MAP_CODE, REJECT, RESEND, NotAllowed
from jobs.ledger.models import GateResult
from jobs.quality.casting import MALFORMED
from jobs.quarantine.cases import (
    NAMED,
    asked,
    batch_of,
    changed_since,
    codes_of,
    list_of,
    named,
    open_alike,
    rows_of,
    rule_of,
    sample_of,
    samples,
    table_of,
)
from jobs.quarantine.foreseen import must_help

# So many rows may be corrected by one fix: more of them are the sender's work.
MOST_CORRECTED = 200
ACTS = ("stop", "hold")


def kinds(bank: Bank, case: Row[Any]) -> list[str]:
    """What may be done about a case."""
    if case.kind == "incident":
        return [REJECT]
    if case.kind == "file":
        return [*([ACCEPT] if case.cause.startswith("gate_") else []), RESEND, REJECT]
    table = table_of(bank, case)
    if table.layer != "bronze":
        return [CORRECT, REJECT]
    rule = rule_of(table, case.cause)
    return [
        *([JUDGE_AGAIN] if changed_since(bank, case) else []),
        *([MAP_CODE] if list_of(table, case.cause) else []), CORRECT, *([ACCEPT] if rule is not None else []), RESEND, REJECT,
    ]  # fmt: skip


def _allowed(bank: Bank, case: Row[Any], kind: str) -> None:
    allowed = kinds(bank, case)
    if kind not in allowed:
        is_unread = kind == ACCEPT and case.kind == "rows" and CORRECT in allowed
        why = ": a text that could not be read has no value that could be accepted" if is_unread else ""
        raise NotAllowed(
            f"{kind} is no fix for case {case.case_id} ({case.cause}){why}. Possible: {', '.join(allowed)}."
        )


def propose_code(bank: Bank, case_id: int, code: str, meaning: str | None, reason: str, person: str) -> int:
    """Give a code that the case's rows have a meaning, among those that its list knows. Raises NotAllowed."""
    case, table = _case(bank, case_id)
    _allowed(bank, case, MAP_CODE)
    column, name = list_of(table, case.cause) or ("", "")
    reference = as_decided(bank).catalog.references[name]
    if code in map(str, reference.allowed()):
        if changed_since(bank, case):
            raise NotAllowed(
                f"{name} knows {code} by the contract of today: have the rows judged again (`ledgerlake quarantine fix {case_id} --judge-again`)."
            )
        raise NotAllowed(f"{name} knows {code} already. Approve the fixes that wait, or look why the case is open.")
    found = {c.code: c.cases for c in codes_of(bank, case)}
    if code not in found:
        raise NotAllowed(f"No rejected row has {column} {code!r}. {nearest(code, found)} Found: {', '.join(found)}.")
    if case_id not in found[code]:
        here = [c for c, cases in found.items() if case_id in cases]
        raise NotAllowed(
            f"No row of case {case_id} has {column} {code!r}: it has {', '.join(here)}. Rows of case {found[code][0]} have it: give it its meaning there."
        )
    meanings = sorted(set(reference.map.values()))
    if meanings and meaning not in meanings:
        raise NotAllowed(
            f"{name} gives each code one of these meanings: {', '.join(meanings)}. {nearest(meaning or '', meanings)} "
            f"A new meaning is a change of the contracts: expectations/reference/{name}.yaml."
        )
    if not meanings and meaning:
        raise NotAllowed(f"{name} lists codes without meanings: leave {meaning!r} away.")
    change = {"reference": name, "column": column, "code": code, "meaning": meaning}
    return _propose(bank, case, MAP_CODE, change, reason, person)


def propose_correction(
    bank: Bank, case_id: int, lines: Mapping[int, Mapping[str, str | None]], reason: str, person: str, delivery_id: str | None = None
) -> int:  # fmt: skip
    """Texts that replace what came: line of the delivery -> column of the contract -> text as the sender would have written it, None for nothing.

    The texts of identifying columns become tokens before they are kept. Of a case of silver, `delivery_id` names the delivery of the rows. Raises NotAllowed.
    """
    case, table = _case(bank, case_id)
    _allowed(bank, case, CORRECT)
    if not lines or len(lines) > MOST_CORRECTED:
        raise NotAllowed(
            f"{len(lines)} rows to correct: give between 1 and {MOST_CORRECTED}. More are the sender's: ask for the file again."
        )
    bronze, target = table, delivery_id or case.delivery_id
    caught = {
        (s.delivery_id, s.line)
        for s in (sample_of(table, row) for row in rows_of(bank, table, case, None, sorted(lines)))
    }
    if target is None:
        of_case = sorted({s.delivery_id for s in samples(bank, case)})
        raise NotAllowed(
            f"Case {case_id} is about rows of {case.table_name}: name the delivery of the rows to correct, for instance {', '.join(of_case)}."
        )
    for line in lines:
        if (target, line) not in caught:
            known = named([s.line for s in samples(bank, case, NAMED + 1) if s.delivery_id == target])
            raise NotAllowed(f"Line {line} of {target} is none of case {case_id}. Its lines: {known}.")
    with bank.ledger.begin() as db:
        delivery = deliveries.get(db, target)
    if table.layer != "bronze":
        bronze = bank.catalog.bronze(delivery.feed)
    _rows_there(delivery)
    for texts in lines.values():
        for column in texts:
            if column not in bronze.columns:
                raise NotAllowed(
                    f"{bronze.table} has no column {column}. {nearest(column, list(bronze.columns))} Columns: {', '.join(bronze.columns)}."
                )
    _can_be_kept(reason, {str(line): dict(texts) for line, texts in lines.items()})
    physical = {line: _physical(bank, bronze, delivery, texts) for line, texts in sorted(lines.items())}
    must_help(bank, case, bronze, delivery, lines, physical)
    change = {
        "lines": {str(line): texts for line, texts in physical.items()},
        "delivery": target,
        "table": bronze.table,
    }
    return _propose(bank, case, CORRECT, change, reason, person)


def propose_acceptance(bank: Bank, case_id: int, lines: Sequence[int] | None, reason: str, person: str) -> int:
    """Accept rows (`lines`; None: all of the case) as they are, or a file that its gate held or stopped: all other rules still run. Raises NotAllowed."""
    case, table = _case(bank, case_id)
    _allowed(bank, case, ACCEPT)
    with bank.ledger.begin() as db:
        delivery = deliveries.get(db, case.delivery_id)
        _rows_there(delivery)
        if case.kind == "file":
            if lines:
                raise NotAllowed(f"Case {case_id} is about a whole file: accept it without naming lines.")
            gate = _gate(db, case.delivery_id)
            rules = [f["rule"] for f in gate.failed if f["on_fail"] in ACTS] if gate else []
            if not rules:
                raise NotAllowed(
                    f"{case.delivery_id} was stopped because rows or money are missing, not by a rule: {case.reason} That cannot be accepted."
                )
    if case.kind == "file":
        return _propose(bank, case, ACCEPT, {"rules": rules}, reason, person)
    chosen = None if lines is None else sorted(set(lines))
    if chosen == []:
        raise NotAllowed("No line is named: name the lines to accept, or none at all for all rows of the case.")
    if not (still := _lines(bank, table, case)):
        raise _nothing_left(case)
    if unknown := sorted(set(chosen or ()) - set(still)):
        raise NotAllowed(
            f"Line {unknown[0]} of {case.delivery_id} is none of case {case_id}. Its lines: {named(still)}."
        )
    rule = rule_of(table, case.cause)
    if rule is not None and rule.is_unique:
        caught = {row["__line"]: row for row in rows_of(bank, table, case, None, chosen)}
        chosen = sorted(caught)
        _one_a_key(bank, table, case, rule, list(caught.values()))
    return _propose(bank, case, ACCEPT, {"rule": case.cause, "lines": chosen}, reason, person)


def _one_a_key(bank: Bank, table: Table, case: Row[Any], rule: Rule, rows: Sequence[Mapping[str, Any]]) -> None:
    """Raises NotAllowed when rows of one key were to count twice: two of these, or one of these beside one that counts."""
    keys = [tuple(row[c] for c in rule.columns) for row in rows]
    columns = ", ".join(rule.columns)
    if len(set(keys)) < len(keys):
        raise NotAllowed(
            f"Rows of one key ({columns}) differ: only one of them can be right. Name the lines to accept, one a key; the others stay rejected."
        )
    if taken := set(keys) & _accepted_keys(bank, table, case, rule, rows):
        raise NotAllowed(
            f"A row of the same key ({columns} = {', '.join(map(str, min(taken, key=str)))}) counts already: only one of them can be right. Correct the key, or reject it."
        )


def _accepted_keys(
    bank: Bank, table: Table, case: Row[Any], rule: Rule, rows: Sequence[Mapping[str, Any]]
) -> set[tuple[Any, ...]]:
    """Keys of these rows under which a row of the delivery counts."""
    import duckdb

    from jobs.quality.metrics import parquet, quoted

    with bank.ledger.begin() as db:
        batch = batch_of(db, case)
    files = bank.lake.written(table, batch) if batch is not None else []
    if not files:
        return set()
    columns = ", ".join(map(quoted, rule.columns))
    lines = ", ".join(str(int(row["__line"])) for row in rows)
    with duckdb.connect() as engine:
        of_delivery = f"{parquet(files)} where __delivery_id = $delivery and __batch = $batch"
        return set(
            engine.execute(
                f"select {columns} from {of_delivery} and __line in ({lines}) intersect select {columns} from {of_delivery} and __verdict = 'accepted'",
                {"delivery": case.delivery_id, "batch": batch},
            ).fetchall()
        )


def propose_rejection(bank: Bank, case_id: int, reason: str, person: str) -> int:
    """Nothing can be done: the rows or the file stay out for good, and the case is closed with the reason."""
    case = _case(bank, case_id, any_table=True)[0]
    change: dict[str, Any] = {}
    if case.kind == "rows" and case.delivery_id:
        # By their lines: should the rule change, or a code be given a meaning, they stay out all the same.
        change = {"rule": case.cause, "lines": _lines(bank, table_of(bank, case), case)}
        if not change["lines"]:
            raise _nothing_left(case)
    return _propose(bank, case, REJECT, change, reason, person)


def _lines(bank: Bank, table: Table, case: Row[Any]) -> list[int]:
    """The lines of a delivery's rejected rows."""
    return [row["line"] for row in asked(bank, table, case, "select __line as line from {rows} order by 1")]


def _nothing_left(case: Row[Any]) -> NotAllowed:
    return NotAllowed(
        f"No row of {case.delivery_id} is rejected because of {case.cause} any more: nothing is left to be decided."
    )


def propose_judging_again(bank: Bank, case_id: int, reason: str, person: str) -> int:
    """Have rows judged again by the contract of today, where it says otherwise than the one by which they were rejected: those of all open cases of the same
    table and cause that the change concerns. Raises NotAllowed."""
    case = _case(bank, case_id)[0]
    changed = changed_since(bank, case)
    if changed is None:
        unsplit = " A line that could not be split is read anew only with its file: ask for it again, the same bytes will do." if case.cause == MALFORMED else ""  # fmt: skip
        raise NotAllowed(
            f"The contract says of {case.cause} what it said when the rows of case {case_id} were rejected, or they are judged again already: nothing would come of it. "
            f"Possible: {', '.join(kinds(bank, case))}.{unsplit}"
        )
    return _propose(bank, case, JUDGE_AGAIN, {"because": changed}, reason, person)


def propose_resend(bank: Bank, case_id: int, reason: str, person: str) -> int:
    """Ask the sender for the file again. The case closes when it comes."""
    case = _case(bank, case_id, any_table=True)[0]
    _allowed(bank, case, RESEND)
    return _propose(bank, case, RESEND, {}, reason, person)


def _propose(bank: Bank, case: Row[Any], kind: str, change: dict[str, Any], reason: str, person: str) -> int:
    if not reason.strip():
        raise NotAllowed("A fix needs a reason: whoever approves it, and whoever looks at the figures later, reads it.")
    _can_be_kept(reason, change)
    with bank.ledger.begin() as db:
        return fixes.propose(db, case.case_id, kind, change, reason.strip(), person)


def _can_be_kept(reason: str, change: Mapping[str, Any]) -> None:
    if "\\u0000" in json.dumps([reason, change]):
        raise NotAllowed("A text holds the character NUL, which no text of a bank has: leave it out.")


def _case(bank: Bank, case_id: int, *, any_table: bool = False) -> tuple[Row[Any], Table]:
    with bank.ledger.begin() as db:
        case = fixes.open_case(db, case_id)
    return case, (None if any_table else table_of(bank, case))  # type: ignore[return-value]


def _rows_there(delivery: Row[Any]) -> None:
    if delivery.rows_uri is None:
        raise NotAllowed(
            f"What arrived as {delivery.delivery_id} is no longer kept: it cannot be judged again. Ask the sender for the file."
        )


def _gate(db: Connection, delivery_id: str) -> Row[Any] | None:
    query = select(*GateResult.__table__.columns).where(GateResult.subject == delivery_id)
    return db.execute(query.order_by(GateResult.gate_id.desc()).limit(1)).one_or_none()


def _physical(bank: Bank, table: Table, delivery: Row[Any], texts: Mapping[str, str | None]) -> dict[str, str | None]:
    """Texts by contract name -> texts by physical name, as arrival would have made them."""
    import pyarrow as pa

    from jobs.arrival.forbidden import check_names
    from jobs.arrival.garbled import look_for_garbled
    from jobs.arrival.plain import plainly
    from jobs.arrival.records import Rows
    from jobs.privacy.identify import Identifier
    from jobs.privacy.keys import load_keys
    from jobs.privacy.vault import Vault

    check_names(list(texts), "the correction")
    system = bank.catalog.sources[delivery.feed].system
    only = table.model_copy(update={"columns": {name: table.columns[name] for name in texts}})
    with Vault(bank.profile, keys := load_keys()) as vault:
        identifier = Identifier(only, system, delivery.business_date, keys, vault)
        row = Rows(pa.array([0]), {name: pa.array([text], pa.string()) for name, text in texts.items()})
        plainly(row, only, identifier.notes)
        look_for_garbled(row, only, identifier.notes)
        made = identifier.physical(row.columns) | row.facts
    return {name: values[0].as_py() for name, values in made.items()}


# --- what a second person says ----------------------------------------------------------------------------------------


def approve(bank: Bank, fix_id: int, person: str, note: str | None = None) -> Row[Any]:
    """A second person agrees. What is to be judged again is taken by the next load of its feed; roll-call rings for it. Raises NotAllowed."""
    with bank.ledger.begin() as db:
        fixes.deciding(db)
        fix = fixes.find(db, fix_id)
        case = fixes.get_case(db, fix.case_id)
        again: set[str] = set()
        if fix.kind == MAP_CODE:
            again = {c.delivery_id for c in open_alike(db, case) if c.delivery_id and _has_code(bank, c, fix.change)}
        elif fix.kind == JUDGE_AGAIN:
            again = {c.delivery_id for c in open_alike(db, case) if changed_since(bank, c)}
            if case.state == "open" and not again:
                raise NotAllowed(
                    f"The rows of case {case.case_id} are judged again already, or the contract changed once more: decline fix {fix_id}."
                )
        elif fix.kind in fixes.REPLAYED:
            again = {fix.change.get("delivery") or case.delivery_id}
        for delivery_id in again:
            _rows_there(deliveries.get(db, delivery_id))
        if fix.kind == ACCEPT and "rule" in fix.change and case.state == "open":
            table = table_of(bank, case)
            rule = rule_of(table, case.cause)
            if rule is not None and rule.is_unique:
                _one_a_key(bank, table, case, rule, rows_of(bank, table, case, None, fix.change["lines"]))
        done = fixes.approve(db, fix_id, person, note, again)
        if done.kind == REJECT:
            _stays_out(db, case, done, person)
        elif done.kind == RESEND:
            asked = fixes.get_case(db, done.case_id)
            what = f"{asked.feed} of {asked.entity} for {asked.business_date}"
            message = f"Please send {what} again: {done.reason} (case {asked.case_id}: {asked.reason})"
            batches.alert(db, f"resend|{done.fix_id}", "resend", message)
    return done


def _stays_out(db: Connection, case: Row[Any], fix: Row[Any], person: str) -> None:
    """The case is closed; of a file with all that is open about its rows. One that its gate held is refused from then on: its lane is owed the right file, and the same
    bytes may come again to be judged anew, as those of any refused file.
    """
    why = f"rejected for good by {person}: {fix.reason}"
    if case.kind != "file":
        batches.settle_case(db, case.case_id, why)
        return
    delivery = deliveries.get(db, case.delivery_id)
    if delivery.state == "held":
        deliveries.set_state(
            db, delivery.delivery_id, "refused", f"fix-{fix.fix_id}", reason=f"{delivery.reason} It was {why}"
        )
    batches.close_cases(db, delivery_id=case.delivery_id, note=why)


def _has_code(bank: Bank, case: Row[Any], change: Mapping[str, Any]) -> bool:
    counted = f'select count(*) as n from {{rows}} and "{change["column"]}"::varchar = $code'
    return any(row["n"] for row in asked(bank, table_of(bank, case), case, counted, code=change["code"]))


def decline(bank: Bank, fix_id: int, person: str, note: str) -> Row[Any]:
    """A second person disagrees, or the first one thinks better of it."""
    if "\x00" in note:
        raise NotAllowed("The note holds the character NUL: leave it out.")
    if not note.strip():
        raise NotAllowed("Say why: whoever proposed it has to know.")
    with bank.ledger.begin() as db:
        return fixes.decline(db, fix_id, person, note.strip())
