"""What the gate is sure to say of a correction: told when it is proposed, before a second person and a load have worked on it.

Looked at in plain Python (jobs/quality/one_row.py). What might pass is let through: the gate decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Row

from jobs.bank import Bank, as_decided
from jobs.contracts import Rule, Table
from jobs.ledger import fixes
from jobs.ledger.fixes import MAP_CODE, NotAllowed
from jobs.quality.casting import unreadable
from jobs.quality.one_row import reasons
from jobs.quality.repairs import Repairs, Texts
from jobs.quality.sentences import reason_sentence, sentence
from jobs.quarantine import keys
from jobs.quarantine.cases import shown_text, whole_line

Given = Mapping[str, str | None]  # column of the contract -> text as a person wrote it


def must_help(bank: Bank, case: Row[Any], table: Table, delivery: Row[Any], given: Mapping[int, Given], physical: Mapping[int, Texts]) -> None:  # fmt: skip
    """Raises NotAllowed naming a line that the gate is sure to reject again with these texts, its columns, the rule and what is expected.

    Asked are the rules that a corrected column concerns and that of the case, of the line as it would be judged: as it came, with the fixes that count and with
    these `physical` texts. What another fix that is not at its end says of the line is not known.
    """
    of = delivery.delivery_id
    with bank.ledger.begin() as db:
        made = fixes.of_delivery(db, of)
    counts = Repairs.of({of: [fix for fix in made if fix.state == "done"]})
    may_count = Repairs.of({of: [fix for fix in made if fix.state != "done"]})
    bank = _with_codes_proposed(bank)
    rules = {rule.id: rule for rule in bank.catalog.rules(table)}
    came = _came(table, delivery, list(physical))
    judged = dict[int, Texts]()
    for line, texts in sorted(physical.items()):
        if rule := counts.kept_out.get((of, line)):
            raise NotAllowed(
                f"Line {line} of {of} was rejected for good ({rule}): it stays out, whatever its texts are. Ask for the file again."
            )
        former = counts.texts.get((of, line))
        was_split = came[line].pop("__malformed") is None or former is not None
        not_known = set(may_count.texts.get((of, line), {})) - set(texts)
        row = {name: text for name, text in {**came[line], **(former or {}), **texts}.items() if name not in not_known}
        concerned = set(texts) if was_split else set(row)
        for reason in reasons(table, list(rules.values()), row, bank.catalog.profile.zone):
            columns = _columns(table, rules, reason)
            is_of_case = reason == case.cause and table.table == case.table_name
            is_asked = not any(_accepts(repairs, reason, of, line) for repairs in (counts, may_count))
            if is_asked and (is_of_case or concerned & set(columns)):
                if not was_split and not {_contract_name(table, column) for column in columns} <= set(given[line]):
                    raise NotAllowed(f"Line {line}: {whole_line(table)}. Given: {', '.join(given[line])}. Nothing was proposed.")  # fmt: skip
                raise NotAllowed(_said(table, line, given[line], columns, reason, rules.get(reason)))
        judged[line] = row
    others = {line for delivery_id, line in may_count.texts if delivery_id == of} - set(physical)
    for unique in (rule for rule in rules.values() if rule.is_unique and rule.on_fail == "quarantine"):
        is_of_case = unique.id == case.cause and table.table == case.table_name
        asked = {
            line: row
            for line, row in judged.items()
            if (is_of_case or set(physical[line]) & set(unique.columns))
            and not any(_accepts(repairs, unique.id, of, line) for repairs in (counts, may_count))
        }
        if twice := keys.twice(bank, table, delivery, unique, asked, physical, unsure=others):
            raise NotAllowed(_said_twice(table, *twice, given[twice[0]], unique))


def _accepts(repairs: Repairs, reason: str, delivery: str, line: int) -> bool:
    """Somebody accepted the line as it is: this rule does not ask it."""
    lines = repairs.accepted.get(reason, {}).get(delivery, set())
    return lines is None or line in lines


def _with_codes_proposed(bank: Bank) -> Bank:
    """The bank with all codes that have a meaning, or may soon have one."""
    with bank.ledger.begin() as db:
        proposed = [fix.change for fix in fixes.waiting(db) if fix.kind == MAP_CODE]
    bank = as_decided(bank)
    for change in proposed:
        catalog = bank.catalog.with_codes({change["reference"]: {change["code"]: change["meaning"]}})
        bank = replace(bank, catalog=catalog)
    return bank


def _came(table: Table, delivery: Row[Any], lines: list[int]) -> dict[int, dict[str, str | None]]:
    """Line -> its texts as they came, by physical column. A column that the contract got later came with nothing."""
    import pyarrow.parquet as pq

    from jobs.contracts.model import ORIGINAL_FOUND

    had = set(pq.read_schema(delivery.rows_uri).names)
    columns = [name for name in table.physical_columns if name != ORIGINAL_FOUND]
    wanted = ["__line", "__malformed", *(name for name in columns if name in had)]
    rows = pq.read_table(delivery.rows_uri, columns=wanted, filters=[("__line", "in", lines)]).to_pylist()
    return {row.pop("__line"): dict.fromkeys(columns) | row for row in rows}


def _columns(table: Table, rules: Mapping[str, Rule], reason: str) -> list[str]:
    if reason in rules:
        return rules[reason].columns
    return [name for name in table.physical_columns if unreadable(name) == reason]


def _said(table: Table, line: int, given: Given, columns: list[str], reason: str, rule: Rule | None) -> str:
    named = dict.fromkeys(_contract_name(table, column) for column in columns)
    texts = ", ".join(_shown(table, name, given) for name in named)
    expected = sentence(rule) if rule else reason_sentence(table, reason)
    return f"Line {line} would be rejected again with {texts}: {expected} ({reason}). Nothing was proposed. Write a text that this rule lets through, or ask for the file again."


def _said_twice(table: Table, line: int, other: int, given: Given, rule: Rule) -> str:
    key = ", ".join(
        _shown(table, name, given) for name in dict.fromkeys(_contract_name(table, c) for c in rule.columns)
    )
    return (
        f"Line {line} would be rejected again with {key}: line {other} of the same delivery has that key too, and says otherwise ({rule.id}): the gate would reject both. "
        "Nothing was proposed. Write the key that is right, or ask for the file again."
    )


def _shown(table: Table, name: str, given: Given) -> str:
    if name not in given:
        return f"{name} as it came"
    text = given[name]
    return f"{name} = {'nothing' if text is None else shown_text(table, name, text)}"


def _contract_name(table: Table, column: str) -> str:
    """The contract's column that a physical one was made of."""
    return next((name for name, declared in table.columns.items() if column in declared.physical(name)), column)
