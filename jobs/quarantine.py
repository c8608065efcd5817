"""The quarantine bench: what a case is about, what may be done about it, and what came of it.

A fix is proposed by one person and approved by another; then the deliveries it concerns are judged again from what arrived (jobs/load.py), with all fixes that
were ever approved for them, and take the place of what was live. Nothing is written past the gates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from jobs.bank import Bank, as_decided
from jobs.contracts import Rule, Table
from jobs.contracts.errors import nearest
from jobs.ledger import batches, clock, deliveries, fixes
from jobs.ledger.fixes import ACCEPT, CORRECT, MAP_CODE, REJECT, RESEND, NotAllowed
from jobs.ledger.models import DayRun, DeliveryDate, GateResult, Release
from jobs.quality.casting import unreadable

SAMPLES = 10
# So many rows may be corrected by one fix: more of them are the sender's work.
MOST_CORRECTED = 200
SHOWN = 4  # characters of a masked value that stay
# An unread text that is longer may be an identifier in the wrong column.
SHORT = 10
# Of so many lines each is named.
NAMED = 20
ACTS = ("stop", "hold")


@dataclass(frozen=True)
class Sample:
    """One row of a case. `values`: column -> value as a person may see it; `came`: texts that could not be read, as they came."""

    delivery_id: str
    line: int
    reasons: list[str]
    values: dict[str, Any]
    came: dict[str, str]


@dataclass(frozen=True)
class Effect:
    """What a fix changed in one figure. Grain columns that are null mean all of it."""

    kpi_id: str
    period_kind: str
    as_of_date: date
    grain: str
    measure: str
    before: Any
    after: Any


@dataclass(frozen=True)
class CodeFound:
    """A code that no list knows: in so many rows, of so many branches."""

    code: str
    rows: int
    entities: list[str]


# --- what a case is about ---------------------------------------------------------------------------------------------


def table_of(bank: Bank, case: Row[Any]) -> Table:
    """The table of a case. Raises NotAllowed for that of a file that no source knows."""
    if case.table_name not in bank.catalog.tables:
        raise NotAllowed(
            f"Case {case.case_id} is about {case.subject}, a file that no source knows: {case.reason} It can be rejected, or sent again under a name that is known."
        )
    return bank.catalog.tables[case.table_name]


def age_days(db: Connection, case: Row[Any]) -> int:
    """Days since the case was opened, by the bank's clock; up to its end where it has one."""
    until: datetime = case.closed_at or clock.now(db)
    return (until - case.opened_at).days


def samples(bank: Bank, case: Row[Any], limit: int = SAMPLES) -> list[Sample]:
    """Rows of the case as the lake has them: identifiers are tokens there and are not shown, customer and account numbers keep their last digits."""
    if case.kind != "rows":
        return []
    table = table_of(bank, case)
    return [_sample(table, row) for row in _rows(bank, table, case, limit)]


def _rows(
    bank: Bank, table: Table, case: Row[Any], limit: int | None, lines: Sequence[int] | None = None
) -> list[dict[str, Any]]:
    """The rejected rows of a case, in the order of the file; only those `lines` where they are given."""
    order = "__line" if table.layer == "bronze" else "sources[1].delivery_id, sources[1].line"
    more = ""
    if lines is not None:
        listed = ", ".join(str(int(line)) for line in lines) or "null"
        more = f" and {'__line' if table.layer == 'bronze' else 'sources[1].line'} in ({listed})"
    return _asked(
        bank, table, case, f"select * from {{rows}}{more} order by {order}" + (f" limit {limit}" if limit else "")
    )


def _asked(bank: Bank, table: Table, case: Row[Any], sql: str) -> list[dict[str, Any]]:
    """A query over the rejected rows of a case: `{rows}` stands for them, with their condition at its end."""
    import duckdb

    from jobs.lake.tables import judged_table
    from jobs.quality.metrics import parquet

    with bank.ledger.begin() as db:
        batch = _batch(db, case)
    if batch is None or not bank.lake.exists(table.table):
        return []
    values: dict[str, Any] = {"cause": case.cause, "batch": batch}
    if table.layer == "bronze":
        where, place = "list_contains(__reasons, $cause) and __delivery_id = $delivery and __batch = $batch", table
        values["delivery"] = case.delivery_id
    else:
        where = "list_contains(__reasons, $cause) and batch = $batch"
        place = judged_table(table) if table.history == "scd2" else table
    files = bank.lake.written(place, batch)
    if not files:
        return []
    with duckdb.connect() as engine:
        found = engine.execute(sql.replace("{rows}", f"{parquet(files)} where {where}"), values)
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _batch(db: Connection, case: Row[Any]) -> int | None:
    """The batch whose verdicts a case is about: of a delivery the newest that settled it."""
    if case.delivery_id:
        delivery = deliveries.get(db, case.delivery_id)
        return delivery.live_batch or delivery.load_batch
    newest = batches.newest(db, case.table_name, case.subject)
    return newest.batch_id if newest else None


def _sample(table: Table, row: Mapping[str, Any]) -> Sample:
    sources = row.get("sources") or []
    first = sources[0] if sources else {}
    values = {name: masked(table, name, row[name]) for name in table.physical_columns if name in row}
    came = {n: t if n == "__malformed" else _unread(table, n, t) for n, t in (row.get("__raw") or {}).items()}
    return Sample(
        row.get("__delivery_id") or first.get("delivery_id", ""),
        row.get("__line") or first.get("line", 0),
        list(row["__reasons"]),
        values,
        came,
    )


def masked(table: Table, column: str, value: Any) -> Any:
    """A value as a person at the bench may see it: tokens not at all, texts of customers (class C2 and above) by their form and last characters."""
    declared = table.physical_columns.get(column)
    if value is None or declared is None:
        return value
    if column not in table.columns and not column.endswith(("_valid", "_last4")):
        return "•••"  # made of what identifies a person
    if isinstance(value, str) and not declared.classification.startswith("C1"):
        return _form(value)
    return value


def _form(text: str) -> str:
    """Digits as 9, letters as A, but for the last characters."""
    hidden = re.sub(r"[^\W\d_]", "A", re.sub(r"\d", "9", text[:-SHOWN]))
    return hidden + text[-SHOWN:] if len(text) > SHOWN else "•" * len(text)


def _unread(table: Table, column: str, text: str) -> str:
    """A text as it came that could not be read. It may belong to another column than that in which it stands."""
    shown = str(masked(table, column, text))
    return shown if len(text) <= SHORT or shown != text else _form(text)


def rule_of(table: Table, cause: str) -> Rule | None:
    """The rule that a case of rows is about, with the names of its lists; None for text that could not be read."""
    return next((rule for rule in table.all_rules if rule.id == cause), None)


def rule_columns(table: Table, cause: str) -> list[str]:
    """The columns that a case of rows is about."""
    rule = rule_of(table, cause)
    return list(rule.columns) if rule else [c for c in table.physical_columns if unreadable(c) == cause]


def list_of(table: Table, cause: str) -> tuple[str, str] | None:
    """(column, reference list) of a rule that knows codes by a list; None for any other."""
    rule = rule_of(table, cause)
    named = rule.kwargs.get("value_set") if rule else None
    if rule is not None and isinstance(named, str) and named.startswith("$"):
        return str(rule.kwargs["column"]), named[1:]
    return None


def codes_of(bank: Bank, case: Row[Any]) -> list[CodeFound]:
    """Codes that no list knows, the most frequent first: of all open cases of the same table and rule."""
    table = table_of(bank, case)
    found = list_of(table, case.cause)
    if found is None:
        return []
    column, rows, entities = found[0], dict[str, int](), dict[str, set[str]]()
    for other in _alike(bank, case):
        counted = f'select "{column}"::varchar as code, count(*) as n from {{rows}} group by 1'
        for row in _asked(bank, table, other, counted):
            rows[row["code"]] = rows.get(row["code"], 0) + row["n"]
            entities.setdefault(row["code"], set()).add(other.entity or "")
    return [CodeFound(c, rows[c], sorted(entities[c])) for c in sorted(rows, key=lambda c: (-rows[c], c))]


def _alike(bank: Bank, case: Row[Any]) -> list[Row[Any]]:
    """Open cases of the same table and cause, whichever branch and day."""
    with bank.ledger.begin() as db:
        return _open_alike(db, case)


def _open_alike(db: Connection, case: Row[Any]) -> list[Row[Any]]:
    return [c for c in batches.cases(db) if (c.table_name, c.cause) == (case.table_name, case.cause)]


def said(bank: Bank, fix: Any) -> str:
    """What a fix changes, in words; what a person may not see is masked. `fix`: a row or a mapping of it."""
    row = fix if isinstance(fix, Mapping) else fix._mapping
    kind, change = row["kind"], shown_change(bank, row["kind"], row["change"])
    if kind == MAP_CODE:
        return f"{change['column']} {change['code']} means {change['meaning'] or 'itself'} ({change['reference']})"
    if kind == CORRECT:
        return f"{change['delivery']}: " + "; ".join(f"line {n}: {_texts(t)}" for n, t in change["lines"].items())
    if kind == ACCEPT and "rules" in change:
        return f"accepted as it is: {', '.join(change['rules'])}"
    if kind == ACCEPT:
        lines = change["lines"]
        return f"accepted as they are: {'all rows' if lines is None else 'lines ' + _named(lines)}"
    return {REJECT: "stays out for good", RESEND: "the sender is asked to send it again"}[kind]


def shown_change(bank: Bank, kind: str, change: Mapping[str, Any]) -> dict[str, Any]:
    """What a fix changes, as a person may see it."""
    if kind != CORRECT:
        return {k: v for k, v in change.items() if not (kind == REJECT and k == "lines")}
    table = bank.catalog.tables[change["table"]]
    lines = {
        line: {column: None if text is None else _shown_text(table, column, text) for column, text in texts.items()}
        for line, texts in change["lines"].items()
    }
    return {**change, "lines": lines}


def _shown_text(table: Table, column: str, text: str) -> str:
    """What somebody wrote at the bench: amounts and dates as they are, for whoever approves them has to see them; of a customer's text its end."""
    declared = table.physical_columns.get(column)
    if declared is None or column not in table.columns:
        return "•••"
    if declared.type != "string" or declared.classification.startswith("C1"):
        return text
    return f"•••{text[-SHOWN:]}" if len(text) > 2 * SHOWN else "•••"


def _named(lines: Sequence[int]) -> str:
    return ", ".join(map(str, lines[:NAMED])) + (f" ... ({len(lines):,} lines)" if len(lines) > NAMED else "")


def _texts(texts: Mapping[str, str | None]) -> str:
    return ", ".join(f"{column} = {'nothing' if text is None else text}" for column, text in texts.items())


# --- what may be done about it ----------------------------------------------------------------------------------------


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
        *([MAP_CODE] if list_of(table, case.cause) else []), CORRECT, *([ACCEPT] if rule is not None else []), RESEND, REJECT,
    ]  # fmt: skip


def _allowed(bank: Bank, case: Row[Any], kind: str) -> None:
    allowed = kinds(bank, case)
    if kind not in allowed:
        raise NotAllowed(f"{kind} is no fix for case {case.case_id} ({case.cause}). Possible: {', '.join(allowed)}.")


def propose_code(bank: Bank, case_id: int, code: str, meaning: str | None, reason: str, person: str) -> int:
    """Give a code that the case's rows have a meaning, among those that its list knows. Raises NotAllowed."""
    case, table = _case(bank, case_id)
    _allowed(bank, case, MAP_CODE)
    column, name = list_of(table, case.cause) or ("", "")
    reference = as_decided(bank).catalog.references[name]
    if code in map(str, reference.allowed()):
        raise NotAllowed(f"{name} knows {code} already. Approve the fixes that wait, or look why the case is open.")
    found = [c.code for c in codes_of(bank, case)]
    if code not in found:
        raise NotAllowed(f"No rejected row has {column} {code!r}. {nearest(code, found)} Found: {', '.join(found)}.")
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
        (s.delivery_id, s.line) for s in (_sample(table, row) for row in _rows(bank, table, case, None, sorted(lines)))
    }
    if target is None:
        of_case = sorted({s.delivery_id for s in samples(bank, case)})
        raise NotAllowed(
            f"Case {case_id} is about rows of {case.table_name}: name the delivery of the rows to correct, for instance {', '.join(of_case)}."
        )
    for line in lines:
        if (target, line) not in caught:
            known = _named([s.line for s in samples(bank, case, NAMED + 1) if s.delivery_id == target])
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
    physical = {str(line): _physical(bank, bronze, delivery, texts) for line, texts in sorted(lines.items())}
    change = {"lines": physical, "delivery": target, "table": bronze.table}
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
    rule = rule_of(table, case.cause)
    if chosen is not None or (rule is not None and rule.is_unique):
        caught = {row["__line"]: row for row in _rows(bank, table, case, None, chosen)}
        if unknown := sorted(set(chosen or ()) - set(caught)):
            raise NotAllowed(f"Line {unknown[0]} of {case.delivery_id} is none of case {case_id}.")
        if rule is not None and rule.is_unique:
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
        batch = _batch(db, case)
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
        change = {
            "rule": case.cause,
            "lines": [
                row["line"]
                for row in _asked(bank, table_of(bank, case), case, "select __line as line from {rows} order by 1")
            ],
        }
    return _propose(bank, case, REJECT, change, reason, person)


def propose_resend(bank: Bank, case_id: int, reason: str, person: str) -> int:
    """Ask the sender for the file again. The case closes when it comes."""
    case = _case(bank, case_id, any_table=True)[0]
    _allowed(bank, case, RESEND)
    return _propose(bank, case, RESEND, {}, reason, person)


def _propose(bank: Bank, case: Row[Any], kind: str, change: dict[str, Any], reason: str, person: str) -> int:
    if not reason.strip():
        raise NotAllowed("A fix needs a reason: whoever approves it, and whoever looks at the figures later, reads it.")
    if "\x00" in json.dumps([reason, change]) or "\\u0000" in json.dumps([reason, change]):
        raise NotAllowed("A text holds the character NUL, which no text of a bank has: leave it out.")
    with bank.ledger.begin() as db:
        return fixes.propose(db, case.case_id, kind, change, reason.strip(), person)


def _case(bank: Bank, case_id: int, *, any_table: bool = False) -> tuple[Row[Any], Table]:
    with bank.ledger.begin() as db:
        case = fixes.get_case(db, case_id)
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
    from jobs.privacy.identify import Identifier
    from jobs.privacy.keys import load_keys
    from jobs.privacy.vault import Vault

    check_names(list(texts), "the correction")
    system = bank.catalog.sources[delivery.feed].system
    only = table.model_copy(update={"columns": {name: table.columns[name] for name in texts}})
    with Vault(bank.profile, keys := load_keys()) as vault:
        identifier = Identifier(only, system, delivery.business_date, keys, vault)
        made = identifier.physical({name: pa.array([text], pa.string()) for name, text in texts.items()})
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
            again = {c.delivery_id for c in _open_alike(db, case) if c.delivery_id and _has_code(bank, c, fix.change)}
        elif fix.kind in fixes.REPLAYED:
            again = {fix.change.get("delivery") or case.delivery_id}
        for delivery_id in again:
            _rows_there(deliveries.get(db, delivery_id))
        if fix.kind == ACCEPT and "rule" in fix.change and case.state == "open":
            table = table_of(bank, case)
            rule = rule_of(table, case.cause)
            if rule is not None and rule.is_unique:
                _one_a_key(bank, table, case, rule, _rows(bank, table, case, None, fix.change["lines"]))
        done = fixes.approve(db, fix_id, person, note, again)
        if done.kind == REJECT:
            batches.settle_case(db, done.case_id, f"rejected for good by {person}: {done.reason}")
        elif done.kind == RESEND:
            asked = fixes.get_case(db, done.case_id)
            what = f"{asked.feed} of {asked.entity} for {asked.business_date}"
            message = f"Please send {what} again: {done.reason} (case {asked.case_id}: {asked.reason})"
            batches.alert(db, f"resend|{done.fix_id}", "resend", message)
    return done


def _has_code(bank: Bank, case: Row[Any], change: Mapping[str, Any]) -> bool:
    counted = f"""select count(*) as n from {{rows}} and "{change["column"]}"::varchar = {_text(change["code"])}"""
    return any(row["n"] for row in _asked(bank, table_of(bank, case), case, counted))


def decline(bank: Bank, fix_id: int, person: str, note: str) -> Row[Any]:
    """A second person disagrees, or the first one thinks better of it."""
    if "\x00" in note:
        raise NotAllowed("The note holds the character NUL: leave it out.")
    if not note.strip():
        raise NotAllowed("Say why: whoever proposed it has to know.")
    with bank.ledger.begin() as db:
        return fixes.decline(db, fix_id, person, note.strip())


# --- what came of it --------------------------------------------------------------------------------------------------


def restatements(db: Connection, fix: Row[Any]) -> list[Row[Any]]:
    """The first release of each day that was built from what the fix made, newest day first."""
    found: dict[str, Row[Any]] = {}
    for replay in fixes.replays(db, [fix.fix_id]):
        if replay.state != "done":
            continue
        # A later fix may have had the delivery judged again before its day was told: its batch has both.
        batches_since = fixes.batches_since(db, replay.delivery_id, replay.batch_id)
        keys = [f"{replay.delivery_id}/{batch}" for batch in batches_since]
        dates = select(DeliveryDate.business_date).where(
            DeliveryDate.delivery_id == replay.delivery_id, DeliveryDate.batch_id == replay.batch_id
        )
        for day in db.execute(dates).scalars():
            query = (
                select(*Release.__table__.columns, or_(*(DayRun.deliveries.contains([key]) for key in keys)).label("has_it"))
                .join(DayRun, DayRun.run_key == Release.run_key)
                .where(Release.from_date <= day, Release.to_date >= day)
                .order_by(Release.release_id)
            )  # fmt: skip
            told = db.execute(query).all()
            first = next((n for n, release in enumerate(told) if release.has_it), 0)
            if first:  # the first of all tells the day for the first time: nothing was told otherwise before
                found[told[first].run_key] = told[first]
    return sorted(found.values(), key=lambda r: (r.to_date, r.release_id), reverse=True)


def effects(bank: Bank, fix: Row[Any]) -> list[Effect]:
    """Figures that the restatements after a fix changed, the bank's own first. What else was restated with it is among them."""
    with bank.ledger.begin() as db:
        made = restatements(db, fix)
    return [effect for release in made for effect in _changed(bank, release)]


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


CELL = (
    "kpi_id",
    "period_kind",
    "as_of_date",
    "legal_entity_id",
    "business_line",
    "province_code",
    "branch_id",
    "measure",
)
GRAIN = CELL[3:7]


def _changed(bank: Bank, release: Row[Any]) -> list[Effect]:
    """Cells of a release whose figure differs from the statement before."""
    import duckdb

    table = "gold.kpi_values"
    new = bank.lake.dataset(table, within={"release_id": (release.run_key, release.run_key)}).to_table()
    with duckdb.connect() as engine:
        engine.register("new", new)
        (bounds,) = engine.execute(
            "select min(as_of_date), max(as_of_date) from new where release_id = $r", {"r": release.run_key}
        ).fetchall()
        if bounds[0] is None:
            return []
        engine.register("every", bank.lake.dataset(table, within={"as_of_date": bounds}).to_table())
        same = " and ".join(f"b.{column} is not distinct from n.{column}" for column in CELL)
        same = " and ".join(f"b.{column} is not distinct from n.{column}" for column in CELL)
        statement = "kpi_id, period_kind, as_of_date"
        told = ", ".join(f"coalesce(n.{c}, b.{c}) as {c}" for c in CELL)
        engine.execute(
            "create view n as select * from new where release_id = $r and __verdict = 'accepted'".replace(
                "$r", _text(release.run_key)
            )
        )
        # A figure that is gone is one that the statement before had; it has the number before that of its statement.
        engine.execute(
            f"create view b as select e.* from every e join (select {statement}, max(restatement_no) as no from n group by all) s using ({statement}) "
            "where e.__verdict = 'accepted' and e.restatement_no = s.no - 1"
        )
        rows = engine.execute(
            f"select * from (select {told}, b.value, n.value, b.numerator, n.numerator from n full join b on {same} "
            "where b.value is distinct from n.value or b.numerator is distinct from n.numerator) "
            f"order by {', '.join(f'{c} nulls first' for c in (*GRAIN, 'kpi_id', 'period_kind', 'measure'))}"
        ).fetchall()
    found = []
    for row in rows:
        cell = dict(zip(CELL, row, strict=False))
        before, after = (row[8], row[9]) if row[8] != row[9] else (row[10], row[11])
        grain = " · ".join(str(cell[c]) for c in GRAIN if cell[c] is not None) or "bank"
        found.append(
            Effect(cell["kpi_id"], cell["period_kind"], cell["as_of_date"], grain, cell["measure"], before, after)
        )
    return found


def codes_as_yaml(bank: Bank) -> str:
    """The codes that were decided at the bench and do not stand in the reference lists yet, as lines to be added there."""
    with bank.ledger.begin() as db:
        decided = fixes.codes(db)
    lines = []
    for name, codes in decided.items():
        known = set(map(str, bank.catalog.references[name].allowed())) if name in bank.catalog.references else set()
        new = {code: meaning for code, meaning in codes.items() if code not in known}
        if new:
            lines.append(f"# expectations/reference/{name}.yaml")
            lines += [f"  {code}: {meaning}" if meaning else f"  - {code}" for code, meaning in new.items()]
    return "\n".join(lines)


__all__ = [
    "CodeFound",
    "Effect",
    "NotAllowed",
    "Sample",
    "age_days",
    "approve",
    "codes_as_yaml",
    "codes_of",
    "decline",
    "effects",
    "kinds",
    "masked",
    "propose_acceptance",
    "propose_code",
    "propose_correction",
    "propose_rejection",
    "propose_resend",
    "restatements",
    "rule_columns",
    "said",
    "samples",
    "shown_change",
]  # fmt: skip
