"""Values that a reference list does not have, where its rule only warns: the rows count, so that no case names them. Which values they are, and how often
they came, is counted at load on the delivery's own rows and kept with the result of its gate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from typing import Any

import duckdb
import yaml
from sqlalchemy import Connection

from jobs.contracts import Catalog, Rule, Table
from jobs.ledger import batches
from jobs.quality.metrics import parquet, quoted

NAMED = 20  # values of one rule that a delivery's result names, the most frequent first
LONGEST = 60  # characters of a value that are kept
VALUES, FURTHER = "values", "further_values"  # keys of a broken rule's entry


@dataclass(frozen=True)
class Unlisted:
    """A value that a list does not have: so many rows that count, in so many deliveries; `first_day`: the business date of the first delivery that ever brought it."""

    feed: str
    column: str
    value: str
    rows: int
    deliveries: int
    first_day: date | None
    last_day: date
    reference: str
    line: str


def watched(table: Table) -> dict[str, Rule]:
    """Id -> rule, of the rules that only warn of a value which their list does not have. Columns that may tell of a customer (class C2 and above) are not
    shown to people, and so not among them.
    """
    return {
        rule.id: rule
        for rule in table.all_rules
        if rule.reference
        and rule.on_fail == "warn"
        and rule.expectation == "expect_column_values_to_be_in_set"
        and table.physical_columns[rule.columns[0]].classification.startswith("C1")
    }


def count(
    files: Sequence[str], catalog: Catalog, table: Table, metrics: Mapping[str, Mapping[str, Any]], *, batch: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """Delivery -> rule -> its `values` ([value, accepted rows], the most frequent first) and how many `further_values` there are. `metrics`: those of each
    delivery; where they say that no such rule is broken, no file is read.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name, rule in watched(table).items():
        if not files or not any(of.get(f"broken__{name}") for of in metrics.values()):
            continue
        reference = str(rule.reference)
        value = f"{quoted(rule.columns[0])}::varchar"
        spelled = f"left({f'lower(trim({value}))' if _folds(table, reference) else value}, {LONGEST})"
        with duckdb.connect() as engine:
            rows = engine.execute(
                f"""
                select delivery, value, n, count(*) over (partition by delivery) as every from (
                    select __delivery_id as delivery, {spelled} as value, count(*) as n from {parquet(files)}
                    where __batch = $batch and __verdict = 'accepted' and list_contains(__warnings, $rule) group by all
                ) where not list_contains($known, value)
                qualify row_number() over (partition by delivery order by n desc, value) <= {NAMED} order by delivery, n desc, value
                """,
                {"batch": batch, "rule": name, "known": known(catalog, reference)},
            ).fetchall()
        for delivery, value, n, every in rows:
            of_rule = found.setdefault(delivery, {}).setdefault(name, {VALUES: [], FURTHER: max(every - NAMED, 0)})
            of_rule[VALUES].append([value, n])
    return found


def with_values(failed: Sequence[dict[str, Any]], values: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The broken rules of a delivery, each with the values that its list does not have."""
    return [one | values.get(one["rule"], {}) for one in failed]


def said(failed: Mapping[str, Any]) -> str:
    """The values of a broken rule in words; empty where it has none."""
    if not failed.get(VALUES):
        return ""
    further = failed.get(FURTHER)
    listed = ", ".join(f"{value} {rows:,}" for value, rows in failed[VALUES])
    return f" Not listed: {listed}{f' and {further:,} other values' if further else ''}."


def keep_first_day(db: Connection, table: Table, delivery: Any, values: Mapping[str, dict[str, Any]]) -> None:
    """The first delivery that brings a value gives it its first day."""
    at = datetime.combine(delivery.business_date, time(), UTC)
    for rule, of_rule in values.items():
        for value, _ in of_rule[VALUES]:
            batches.first_time(db, _key(table.table, rule, value), at)


def listing(db: Connection, catalog: Catalog, first: date, last: date) -> list[Unlisted]:
    """Values that live deliveries of these business dates brought and that no list has today, the most frequent first."""
    tables = {table.name: table for table in catalog.layer("bronze") if watched(table)}
    rows, came, newest = (
        dict[tuple[str, str, str], int](),
        dict[tuple[str, str, str], int](),
        dict[tuple[str, str, str], date](),
    )
    for gate in batches.gates_of_live(db, [table.table for table in tables.values()], first, last):
        for failed in gate.failed:
            for value, n in failed.get(VALUES, []):
                key = gate.feed, str(failed["rule"]), str(value)
                rows[key] = rows.get(key, 0) + n
                came[key] = came.get(key, 0) + 1
                newest[key] = max(newest.get(key, gate.business_date), gate.business_date)
    since = batches.since(db, [_key(tables[feed].table, rule, value) for feed, rule, value in rows])
    found = []
    for feed, name, value in rows:
        table = tables[feed]
        rule = watched(table).get(name)
        if rule is None or value in known(catalog, str(rule.reference)):
            continue  # the contract says something else by now
        reference, key = str(rule.reference), (feed, name, value)
        at = since.get(_key(table.table, name, value))
        first_day = at.astimezone(UTC).date() if at else None
        line = _line(catalog, reference, value)
        found.append(
            Unlisted(feed, rule.columns[0], value, rows[key], came[key], first_day, newest[key], reference, line)
        )
    return sorted(found, key=lambda one: (-one.rows, one.feed, one.column, one.value))


def known(catalog: Catalog, reference: str) -> list[str]:
    return list(map(str, catalog.references[reference].allowed()))


def _key(table: str, rule: str, value: str) -> str:
    return f"value|{table}|{rule}|{value}"


def _folds(table: Table, reference: str) -> bool:
    """Whether the table looks values up in the list whatever their case: then `Android` is `android`, and not new."""
    looks_up = re.compile(rf"map_code\(\s*{re.escape(reference)}\s*,\s*lower\(\s*trim\(")
    return any(looks_up.search(sql) for conform in table.conforms.values() for sql in conform.columns.values())


def _line(catalog: Catalog, reference: str, value: str) -> str:
    """The line that would add a value to its list: with the meaning of what it resembles, else with itself. A person decides."""
    of = catalog.references[reference]
    if not of.map:
        return "  " + yaml.safe_dump([value], allow_unicode=True, width=1000).strip()
    like = get_close_matches(value, list(of.map), n=1, cutoff=0.75)
    meaning = of.map[like[0]] if like else value
    return "  " + yaml.safe_dump({value: meaning}, allow_unicode=True, width=1000).strip()
