"""Contracts as ODCS, the Open Data Contract Standard, and back.

What the standard has a key for stands under it; what it lacks (conforms, reads, derivations, ...) goes to its
customProperties, so that a contract comes back equal. Rules are written as custom quality checks of Great
Expectations, which they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from jobs.contracts.catalog import Catalog
from jobs.contracts.compact import compact
from jobs.contracts.errors import ContractError, Mistake
from jobs.contracts.foreign import Notes, column_of, rules_of
from jobs.contracts.model import Table
from jobs.contracts.yaml_file import YamlFile, read_yaml

API_VERSION = "v3.1.0"
ENGINE = "great-expectations"
# Custom properties of ours, so that others can tell them from their own.
OURS = "ledgerlake"
# Keys of a contract with no home in the standard.
TABLE_EXTRAS = (
    "reads",
    "history",
    "money",
    "businessDate",
    "affects",
    "reach",
    "corrects",
    "tracked",
    "transport",
    "statistics",
    "mart",
    "madeBy",
    "sla",
    "incoming",
    "conforms",
    "reconciles",
    "primaryKey",
)
# How a table is read right by whoever reads it in the lake (docs/lake.md).
COUNTS = "Rows that count have __verdict = 'accepted'; the others were rejected, are copies or were kept out, and stay for people to look at (`ledgerlake quarantine`)."
USAGE = {
    "bronze": f"{COUNTS} Of a delivery that was judged again or replaced the table has former batches too: only those that the ledger calls live count "
    "(deliveries.live_batch = __batch). Rows of the delivery __canary are planted to test the gate, are rejected, and are nobody's. `ledgerlake rows` shows only what counts.",
    "silver": f"{COUNTS} Read the Delta version that the day's release names (release_tables.delta_version). `ledgerlake rows` shows only what counts.",
    "gold": f"{COUNTS} Read the Delta version that the day's release names (release_tables.delta_version), or the mart, which has only what counts.",
}
COLUMN_EXTRAS = ("unit", "enum", "references", "identifies", "derive", "parse", "from", "freeText", "width", "text")
LOGICAL = {
    "string": "string",
    "date": "date",
    "timestamp": "timestamp",
    "int": "integer",
    "bigint": "integer",
    "boolean": "boolean",
    "decimal": "number",
    "array": "array",
    "struct": "object",
}
# How much a broken rule weighs, in the standard's words.
SEVERITY = {"quarantine": "error", "stop": "error", "hold": "error", "warn": "warning"}


def export(catalog: Catalog, folder: Path, tables: Iterable[str] | None = None) -> list[Path]:
    """Write `<layer>.<table>.odcs.yaml` for each table, each checked against the standard's JSON Schema.

    Raises ContractError when a table has no contract, or when what was written does not pass.
    """
    wanted = list(catalog.tables) if tables is None else list(tables)
    for address in wanted:
        if address not in catalog.tables:
            remedy = f"Known: {', '.join(sorted(catalog.tables))}"
            raise ContractError([Mistake(catalog.root, 1, f"there is no contract of {address}", remedy)])
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for address in wanted:
        path = folder / f"{address}.odcs.yaml"
        document = to_odcs(catalog.tables[address])
        text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=140)
        path.write_text(text, encoding="utf-8")
        check(read_yaml(path))
        written.append(path)
    return written


class _Dumper(yaml.SafeDumper):
    """Quotes every text that some reader of YAML takes for something else."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    quoted = value.lower() in ("y", "n", "yes", "no", "on", "off") or ":" in value
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if quoted else None)


_Dumper.add_representer(str, _text)
_Dumper.ignore_aliases = lambda self, data: True  # type: ignore[method-assign]


def to_odcs(table: Table) -> dict[str, Any]:
    """One table's contract as an ODCS document."""
    contract = table.model_dump(by_alias=True, exclude_defaults=True, mode="json")
    described = {
        "name": table.name,
        "physicalName": table.table,
        "logicalType": "object",
        "physicalType": "table",
        "description": table.description,
        "dataGranularityDescription": table.grain,
        "properties": [_property(name, column, table) for name, column in contract["columns"].items()],
    }
    if table.rules:
        described["quality"] = [_quality(rule) for rule in contract["rules"]]
    document: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": "DataContract",
        "id": table.table,
        "name": table.table,
        "version": table.version,
        "status": "active",
        "description": {"purpose": " ".join(table.description.split()), "usage": USAGE[table.layer]},
        "schema": [described],
        "team": {
            "members": [{"username": table.owner, "role": "owner"}, {"username": table.steward, "role": "steward"}]
        },
    }
    if table.sla:
        document["slaProperties"] = [
            {"property": "timeOfAvailability", "value": table.sla.ready_by, "element": table.name}
        ]
    document["customProperties"] = _custom(contract, TABLE_EXTRAS)
    return document


def _custom(values: Mapping[str, Any], names: Iterable[str]) -> list[dict[str, Any]]:
    return [{"property": f"{OURS}.{name}", "value": values[name]} for name in names if name in values]


def _property(name: str, column: Mapping[str, Any], table: Table) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": name,
        "logicalType": LOGICAL[column["type"].partition("(")[0].partition("<")[0]],
        "physicalType": column["type"],
        "required": column.get("required", False),
        "classification": column["classification"],
    }
    if column.get("description"):
        made["description"] = column["description"]
    if name in table.primary_key:
        made |= {"primaryKey": True, "primaryKeyPosition": table.primary_key.index(name) + 1}
    if "references" in column:
        made["relationships"] = [{"to": column["references"].split(".", 1)[1], "type": "foreignKey"}]
    extras = _custom(column, COLUMN_EXTRAS)
    return made | ({"customProperties": extras} if extras else {})


def _quality(rule: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": rule["id"],
        "type": "custom",
        "engine": ENGINE,
        "severity": SEVERITY[rule["onFail"]],
        "implementation": {"type": rule["expectation"], "kwargs": rule["kwargs"]},
        "customProperties": [
            {"property": f"{OURS}.{key}", "value": rule[key]} for key in ("onFail", "alert") if rule.get(key)
        ],
    }
    return made | ({"description": rule["description"]} if rule.get("description") else {})


@cache
def _validator() -> Any:
    """The standard's own JSON Schema. The package's pydantic model is not used: it lets a misspelt key pass."""
    from jsonschema.validators import validator_for

    schema = json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8"))
    return validator_for(schema)(schema)


def check(file: YamlFile) -> None:
    """Raises ContractError naming the line of everything that is not ODCS."""
    mistakes = []
    for error in _validator().iter_errors(file.data):
        place = tuple(error.absolute_path)
        where = ".".join(str(part) for part in place) or "the file"
        mistakes.append(
            Mistake(file.path, file.line(place), f"{where}: {error.message}", "See the Open Data Contract Standard")
        )
    if mistakes:
        raise ContractError(mistakes)


def import_(file: Path, layer: str) -> str:
    """Our compact YAML of an ODCS file. What the file does not say, or says in a way that we have no rule for, is
    named in comments.

    Raises ContractError when the file is not ODCS or describes no table, or more than one.
    """
    read = read_yaml(file)
    check(read)
    document = read.data
    described = document.get("schema") or []
    if len(described) != 1:
        found = f"{len(described)} objects under schema"
        raise ContractError([Mistake(file, read.line(("schema",)), found, "Split the file: one table, one contract")])
    return from_odcs(document, layer)


def from_odcs(document: Mapping[str, Any], layer: str) -> str:
    """The compact YAML of a checked ODCS document with one table."""
    notes = Notes()
    table = document["schema"][0]
    extras = _extras(document)
    contract: dict[str, Any] = {
        "table": f"{layer}.{notes.snake(table['name'])}",
        "version": document["version"],
        "description": table.get("description")
        or (document.get("description") or {}).get("purpose")
        or notes.unsaid("description", "to be written"),
        "grain": table.get("dataGranularityDescription") or notes.unsaid("grain", "one row"),
        "owner": _member(document, "owner") or notes.unsaid("owner", "unknown"),
        "steward": _member(document, "steward") or notes.unsaid("steward", "unknown"),
        "history": extras.pop("history", None) or notes.unsaid("history", "append" if layer == "bronze" else "fact"),
    }
    columns = {}
    rules: list[dict[str, Any]] = []
    for described in table.get("properties") or []:
        name = notes.snake(described["name"])
        columns[name] = column_of(described, _extras(described), notes)
        rules += rules_of(name, described, notes)
    keys = sorted(
        (p for p in table.get("properties") or [] if p.get("primaryKey")), key=lambda p: p.get("primaryKeyPosition", 0)
    )
    contract["primaryKey"] = (
        extras.pop("primaryKey", None)
        or [notes.snake(p["name"]) for p in keys]
        or notes.unsaid("primaryKey", list(columns)[:1])
    )
    rules += rules_of(None, table, notes)
    contract |= extras | {"columns": columns} | ({"rules": rules} if rules else {})
    notes.not_taken_over(document, table)
    return compact(contract, notes=notes.lines)


def _extras(described: Mapping[str, Any]) -> dict[str, Any]:
    """Our own custom properties, under the names that they have in a contract."""
    prefix = f"{OURS}."
    given = described.get("customProperties") or []
    return {c["property"].removeprefix(prefix): c["value"] for c in given if c["property"].startswith(prefix)}


def _member(document: Mapping[str, Any], role: str) -> str | None:
    """The person or group with a role; a team may be given as a list (3.0) or as an object (3.1)."""
    team = document.get("team") or {}
    members = team.get("members") or [] if isinstance(team, Mapping) else team
    return next((m["username"] for m in members if m.get("role") == role and m.get("username")), None)
