"""A rule, or a whole contract, that is proposed and stands in no catalog yet: read with the same care, told of in the same words as `contracts check`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs.contracts.across import absent_lists
from jobs.contracts.base import NAME
from jobs.contracts.catalog import Catalog
from jobs.contracts.errors import ContractError, Mistake, nearest
from jobs.contracts.fit import unfit
from jobs.contracts.model import Table
from jobs.contracts.reading import typed
from jobs.contracts.rule import Rule
from jobs.contracts.yaml_file import YamlFile, parse_yaml, read_yaml

# What mistakes call a rule that was given as text and not as a file.
AS_TEXT = Path("RULE")
SHAPE = "Write it as it stands in a contract: {id: ..., onFail: ..., expect_...: {...}}"


def with_draft(catalog: Catalog, path: Path) -> tuple[Catalog, Table]:
    """The catalog with a table's contract as this file has it, and that table. Raises ContractError."""
    _must_be_there(path)
    table = typed(read_yaml(path), Table)
    return replace(catalog, tables={**catalog.tables, table.table: table}), table


def table_named(catalog: Catalog, name: str) -> Table:
    """Raises ContractError for a table that the bank does not have."""
    if name not in catalog.tables:
        same = [table for table in catalog.tables if table.partition(".")[2] == name]
        remedy = f"Did you mean {' or '.join(same)}?" if same else nearest(name, catalog.tables)
        raise _wrong(catalog.root, f"{catalog.profile.profile} has no table {name}", remedy)
    return catalog.tables[name]


def table_of_rule(catalog: Catalog, rule_id: str) -> Table:
    """The one table whose contract has a rule of this id. Raises ContractError when there is none, or several."""
    having = [t for t in catalog.tables.values() if rule_id in {r.id for r in t.all_rules}]
    if len(having) == 1:
        return having[0]
    named = ", ".join(t.table for t in having)
    if having:
        raise _wrong(catalog.root, f"{len(having)} tables have a rule {rule_id}: {named}", "Name one with --table")
    known = {r.id for t in catalog.tables.values() for r in t.all_rules}
    raise _wrong(catalog.root, f"no table has a rule {rule_id}", nearest(rule_id, known))


def is_rule_id(text: str) -> bool:
    return bool(NAME.match(text.strip()))


def proposed_rule(text: str, table: Table, catalog: Catalog) -> Rule:
    """A rule by its id in the table's contract, from a YAML file, or as YAML itself; its `$lists` resolved.

    Raises ContractError with file, line and remedy when it cannot be read, or names what is not there.
    """
    if is_rule_id(text):
        known = {r.id: r for r in table.all_rules}
        if text.strip() not in known:
            path = catalog.root / table.layer / f"{table.name}.yaml"
            raise _wrong(path, f"{table.table} has no rule {text.strip()}", nearest(text.strip(), known))
        rule, file = known[text.strip()], YamlFile(AS_TEXT, {}, {})
    else:
        file = _only_one(_read(text))
        rule = typed(file, Rule)
    told = [
        *table.misnamed(rule),
        *((found, remedy) for _, found, remedy in absent_lists(rule, catalog.references)),
        *unfit(rule, table.physical_columns, catalog.references),
    ]
    if told:
        raise ContractError([Mistake(file.path, file.line(()), found, remedy) for found, remedy in told])
    return rule.model_copy(update={"kwargs": {k: catalog.resolve(v) for k, v in rule.kwargs.items()}})


def _read(text: str) -> YamlFile:
    if text.strip().endswith((".yaml", ".yml")):
        path = Path(text.strip())
        _must_be_there(path)
        return read_yaml(path)
    return parse_yaml(text, AS_TEXT)


def _only_one(file: YamlFile) -> YamlFile:
    """The rule alone, if it was copied with the dash of its list."""
    data: Any = file.data
    if isinstance(data, list) and len(data) == 1:
        lines = {place[1:]: line for place, line in file.lines.items() if place[:1] == (0,)}
        file, data = YamlFile(file.path, data[0], lines), data[0]
    if isinstance(data, list):
        raise _wrong(file.path, f"these are {len(data)} rules", "Try one at a time")
    if not isinstance(data, dict) or not data:
        raise _wrong(file.path, "this is no rule", SHAPE)
    return file


def _must_be_there(path: Path) -> None:
    if not path.is_file():
        raise _wrong(path, "there is no such file", "Name a file that is there, or write the rule itself")


def _wrong(path: Path, found: str, remedy: str) -> ContractError:
    return ContractError([Mistake(path, 0 if path.is_dir() else 1, found, remedy)])
