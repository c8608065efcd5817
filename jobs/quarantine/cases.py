"""What a case is about: its rows as a person may see them, its codes, and what fixes say of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from jobs.bank import Bank, as_decided
from jobs.contracts import Rule, Table
from jobs.ledger import batches, clock, deliveries, fixes
from jobs.ledger.fixes import ACCEPT, CORRECT, JUDGE_AGAIN, MAP_CODE, REJECT, RESEND, NotAllowed
from jobs.privacy.free_text import PLAIN_DIGITS
from jobs.quality.casting import MALFORMED, unreadable
from jobs.quality.sentences import reason_sentence, sentence

SAMPLES = 10
SHOWN = 4  # characters of a masked code that stay
# What a text is by its form, without what parts its groups, and how many of its first and last characters stay; of all else the first one.
ENDS = (
    (re.compile(r"1[3-9]\d{9}"), (3, 4)),  # a phone
    (
        re.compile(r"\d{6}(?:18|19|20)?\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]?"),
        (6, 0),
    ),  # an identity number, right or mistyped
    (re.compile(r"\d{13,19}"), (6, 4)),  # a card
    (re.compile(r"[!-~]*\d[!-~]*"), (0, SHOWN)),  # a code or an amount
)
SEPARATED = re.compile(r"[\s\-\u2010-\u2015]")
# An unread text that is longer may be an identifier in the wrong column.
SHORT = 10
# What a rule does that takes no rows out.
DOES = {"warn": "it only warns", "hold": "it holds the file", "stop": "it stops the file"}
# Of so many lines each is named.
NAMED = 20


@dataclass(frozen=True)
class Sample:
    """One row of a case. `values`: column -> value as a person may see it; `came`: texts that could not be read, as they came."""

    delivery_id: str
    line: int
    reasons: list[str]
    values: dict[str, Any]
    came: dict[str, str]


@dataclass(frozen=True)
class CodeFound:
    """A code that no list knows: in so many rows, of so many branches, of these open cases."""

    code: str
    rows: int
    entities: list[str]
    cases: list[int]


def table_of(bank: Bank, case: Row[Any]) -> Table:
    """The table of a case. Raises NotAllowed for that of a file that no source knows."""
    if case.table_name not in bank.catalog.tables:
        raise NotAllowed(
            f"Case {case.case_id} is about {case.subject}, a file that no source knows: {case.reason} It can be rejected, or sent again under a name that is known."
        )
    return bank.catalog.tables[case.table_name]


def age_days(db: Connection, case: Row[Any]) -> int:
    """Days since the case was opened, by the bank's clock; up to its end where it has one."""
    return ages(db, [case])[case.case_id]


def ages(db: Connection, cases: Sequence[Row[Any]]) -> dict[int, int]:
    """Case -> its age in days."""
    now = clock.now(db)
    return {case.case_id: ((case.closed_at or now) - case.opened_at).days for case in cases}


def samples(bank: Bank, case: Row[Any], limit: int = SAMPLES) -> list[Sample]:
    """Rows of the case as the lake has them: identifiers are tokens there and are not shown, customer and account numbers keep what `hidden` lets stay."""
    if case.kind != "rows":
        return []
    table = table_of(bank, case)
    return [sample_of(table, row) for row in rows_of(bank, table, case, limit)]


def rows_of(
    bank: Bank, table: Table, case: Row[Any], limit: int | None, lines: Sequence[int] | None = None
) -> list[dict[str, Any]]:
    """The rejected rows of a case, in the order of the file; only those `lines` where they are given."""
    order = "__line" if table.layer == "bronze" else "sources[1].delivery_id, sources[1].line"
    more = ""
    if lines is not None:
        listed = ", ".join(str(int(line)) for line in lines) or "null"
        more = f" and {'__line' if table.layer == 'bronze' else 'sources[1].line'} in ({listed})"
    return asked(
        bank, table, case, f"select * from {{rows}}{more} order by {order}" + (f" limit {limit}" if limit else "")
    )


def asked(bank: Bank, table: Table, case: Row[Any], sql: str, **more: Any) -> list[dict[str, Any]]:
    """A query over the rejected rows of a case: `{rows}` stands for them, with their condition at its end; `more` are values that it names (`$code`)."""
    import duckdb

    from jobs.lake.tables import judged_table
    from jobs.quality.metrics import parquet

    with bank.ledger.begin() as db:
        batch = batch_of(db, case)
    if batch is None or not bank.lake.exists(table.table):
        return []
    values: dict[str, Any] = {"cause": case.cause, "batch": batch, **more}
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


def batch_of(db: Connection, case: Row[Any]) -> int | None:
    """The batch whose verdicts a case is about: of a delivery the newest that settled it."""
    if case.delivery_id:
        delivery = deliveries.get(db, case.delivery_id)
        return delivery.live_batch or delivery.load_batch
    newest = batches.newest(db, case.table_name, case.subject)
    return newest.batch_id if newest else None


def sample_of(table: Table, row: Mapping[str, Any]) -> Sample:
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
    """A value as a person at the bench may see it: tokens not at all, texts of customers (class C2 and above) as `hidden` shows them."""
    declared = table.physical_columns.get(column)
    if value is None or declared is None:
        return value
    if column not in table.columns and not column.endswith(("_valid", "_last4")):
        return "•••"  # made of what identifies a person
    if isinstance(value, str) and not declared.classification.startswith("C1"):
        return hidden(value)
    return value


def hidden(text: str) -> str:
    """A text with `*` for its digits and `x` for its letters, as long as it was: what stays says which one it is, and not whose. Of a card, or what looks like one, the
    first six and last four stay, of a phone three and four (the masks of JR/T 0171-2020), of an identity number its area, of another code its last four, of text
    its first character.
    """
    plain = text.translate(PLAIN_DIGITS)
    first, last = next((ends for form, ends in ENDS if form.fullmatch(SEPARATED.sub("", plain))), (1, 0))
    signs = [place for place, sign in enumerate(plain) if sign.isalnum()]
    stay = set(signs[:first] + signs[len(signs) - last :]) if len(signs) > max(SHOWN, first + last) else set()
    hide = set(signs) - stay
    return "".join(("*" if sign.isdigit() else "x") if place in hide else sign for place, sign in enumerate(text))


def _unread(table: Table, column: str, text: str) -> str:
    """A text as it came that could not be read. It may belong to another column than that in which it stands."""
    shown = str(masked(table, column, text))
    return shown if len(text) <= SHORT or shown != text else hidden(text)


def whole_line(table: Table) -> str:
    """What a correction of a line that could not be split has to give: none of its texts is in a column."""
    must = [name for name, column in table.columns.items() if column.required]
    may = [name for name in table.columns if name not in must]
    return f"this line did not split: give all of {', '.join(must or may)}" + (
        f" (left away is nothing: {', '.join(may)})" if must and may else ""
    )


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
    return (str(rule.kwargs["column"]), rule.reference) if rule is not None and rule.reference else None


def codes_of(bank: Bank, case: Row[Any]) -> list[CodeFound]:
    """Codes that no list knows, the most frequent first: of all open cases of the same table and rule."""
    table = table_of(bank, case)
    found = list_of(table, case.cause)
    if found is None:
        return []
    column, name = found
    known = set(map(str, as_decided(bank).catalog.references[name].allowed()))
    rows, entities, cases = dict[str, int](), dict[str, set[str]](), dict[str, list[int]]()
    for other in _alike(bank, case):
        for code, n in _codes_in(bank, table, other, column).items():
            rows[code] = rows.get(code, 0) + n
            entities.setdefault(code, set()).add(other.entity or "")
            cases.setdefault(code, []).append(other.case_id)
    unknown = sorted(set(rows) - known, key=lambda c: (-rows[c], c))
    return [CodeFound(c, rows[c], sorted(entities[c]), cases[c]) for c in unknown]


def _codes_in(bank: Bank, table: Table, case: Row[Any], column: str) -> dict[str, int]:
    """Code -> rejected rows of the case that have it."""
    counted = f'select "{column}"::varchar as code, count(*) as n from {{rows}} group by 1'
    return {row["code"]: row["n"] for row in asked(bank, table, case, counted)}


def changed_since(bank: Bank, case: Row[Any]) -> str | None:
    """What the contract of today says otherwise than the one by which the rows of an open case were rejected: judged again, they may count. None where
    nothing is known to have changed, and while they are judged again already."""
    if (
        case.state != "open"
        or case.kind != "rows"
        or not case.delivery_id
        or case.table_name not in bank.catalog.tables
    ):
        return None
    table = bank.catalog.tables[case.table_name]
    with bank.ledger.begin() as db:
        if fixes.is_replaying(db, case.delivery_id):
            return None
    if found := list_of(table, case.cause):
        column, name = found
        known = set(map(str, bank.catalog.references[name].allowed()))
        codes = sorted(known.intersection(_codes_in(bank, table, case, column)))
        are = "is" if len(codes) == 1 else "are"
        return f"{column} {', '.join(codes)} {are} in the list {name} by the contract of today." if codes else None
    rule = next((rule for rule in bank.catalog.rules(table) if rule.id == case.cause), None)
    if rule is None and case.cause not in (MALFORMED, *map(unreadable, table.physical_columns)):
        return f"The contract of today has no rule {case.cause}."
    if rule is not None and rule.on_fail != "quarantine":
        return f"The contract of today keeps no row aside because of {case.cause}: {DOES[rule.on_fail]}."
    says = sentence(rule) if rule else reason_sentence(table, case.cause)
    return None if says in case.reason else f"The contract of today says: {says}."


def _alike(bank: Bank, case: Row[Any]) -> list[Row[Any]]:
    """Open cases of the same table and cause, whichever branch and day."""
    with bank.ledger.begin() as db:
        return open_alike(db, case)


def open_alike(db: Connection, case: Row[Any]) -> list[Row[Any]]:
    return [c for c in batches.cases(db) if (c.table_name, c.cause) == (case.table_name, case.cause)]


def said(bank: Bank, fix: Any) -> str:
    """What a fix changes, in words; what a person may not see is masked. `fix`: a row or a mapping of it."""
    row = fix if isinstance(fix, Mapping) else fix._mapping
    kind, change = row["kind"], shown_change(bank, row["kind"], row["change"])
    if kind == MAP_CODE:
        return f"{change['column']} {change['code']} means {change['meaning'] or 'itself'} ({change['reference']})"
    if kind == CORRECT:
        return f"{change['delivery']}: " + "; ".join(f"line {n}: {_texts(t)}" for n, t in change["lines"].items())
    if kind == JUDGE_AGAIN:
        return f"judged again by the contract of today: {change['because']}"
    if kind == ACCEPT and "rules" in change:
        return f"accepted as it is: {', '.join(change['rules'])}"
    if kind == ACCEPT:
        lines = change["lines"]
        return f"accepted as they are: {'all rows' if lines is None else 'lines ' + named(lines)}"
    return {REJECT: "stays out for good", RESEND: "the sender is asked to send it again"}[kind]


def shown_change(bank: Bank, kind: str, change: Mapping[str, Any]) -> dict[str, Any]:
    """What a fix changes, as a person may see it."""
    if kind != CORRECT:
        return {k: v for k, v in change.items() if not (kind == REJECT and k == "lines")}
    table = bank.catalog.tables[change["table"]]
    lines = {
        line: {column: None if text is None else shown_text(table, column, text) for column, text in texts.items()}
        for line, texts in change["lines"].items()
    }
    return {**change, "lines": lines}


def shown_text(table: Table, column: str, text: str) -> str:
    """What somebody wrote at the bench: amounts and dates as they are, for whoever approves them has to see them; of a customer's text its end."""
    declared = table.physical_columns.get(column)
    if declared is None or column not in table.columns:
        return "•••"
    if declared.type != "string" or declared.classification.startswith("C1"):
        return text
    return f"•••{text[-SHOWN:]}" if len(text) > 2 * SHOWN else "•••"


def named(lines: Sequence[int]) -> str:
    return ", ".join(map(str, lines[:NAMED])) + (f" ... ({len(lines):,} lines)" if len(lines) > NAMED else "")


def _texts(texts: Mapping[str, str | None]) -> str:
    return ", ".join(f"{column} = {'nothing' if text is None else text}" for column, text in texts.items())


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
