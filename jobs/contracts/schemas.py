"""JSON Schemas of the YAML files, made from the pydantic models, so that editors complete and check while one types.

The models stay the one definition. What the models accept in a compact form (a column in one line, a rule named by
its expectation) is put into that form here. Line 1 of each YAML names its schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jobs.contracts.base import CLOCK, NAME, Strict
from jobs.contracts.column import CLASS, DERIVATIONS, TYPE, Column
from jobs.contracts.expectations import BETWEEN, KNOWN, ON_FAIL, REQUIRED, TABLE, allowed
from jobs.contracts.kpi import Kpi
from jobs.contracts.model import Table
from jobs.contracts.profile import Profile, Reference
from jobs.contracts.rule import Rule
from jobs.contracts.source import Source

# The dialect that editors understand best.
DIALECT = "http://json-schema.org/draft-07/schema#"
MODELS: dict[str, type[Strict]] = {
    "contract": Table,
    "source": Source,
    "kpi": Kpi,
    "reference": Reference,
    "profile": Profile,
}
# What a kwarg of an expectation looks like.
LIST_NAME = {"type": "string", "pattern": r"^\$[a-z][a-z0-9_]*$", "description": "$name of a reference list"}
KWARGS: dict[str, dict[str, Any]] = {
    "column": {"type": "string"},
    "column_A": {"type": "string"},
    "column_B": {"type": "string"},
    "column_list": {"type": "array", "items": {"type": "string"}, "minItems": 2},
    "value_set": {"anyOf": [{"type": "array"}, LIST_NAME]},
    "regex": {"type": "string"},
    "value": {"type": "integer"},
    "min_value": {"type": ["number", "string"]},
    "max_value": {"type": ["number", "string"]},
    "strict_min": {"type": "boolean"},
    "strict_max": {"type": "boolean"},
    "or_equal": {"type": "boolean"},
    "mostly": {"type": "number", "minimum": 0, "maximum": 1, "description": "share of rows that must pass"},
}


def write_schemas(folder: Path) -> list[Path]:
    """Write `<kind>.schema.json` for contracts, sources, KPIs, reference lists and profiles into `expectations/`."""
    written = []
    for kind in MODELS:
        path = folder / f"{kind}.schema.json"
        path.write_text(text_of(kind), encoding="utf-8")
        written.append(path)
    return written


def text_of(kind: str) -> str:
    return json.dumps(schema_of(kind), ensure_ascii=False, indent=1) + "\n"


def schema_of(kind: str) -> dict[str, Any]:
    """The JSON Schema of one kind of file: contract, source, kpi, reference or profile."""
    schema = MODELS[kind].model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    if "Column" in definitions:
        definitions["Column"] = _column(definitions["Column"])
    if "Rule" in definitions:
        definitions["Rule"] = _rule(definitions["Rule"])
    if kind == "contract":
        schema["properties"]["table"]["pattern"] = r"^(bronze|silver|gold)\.[a-z][a-z0-9_]*$"
        for block in ("columns", "incoming"):
            schema["properties"][block]["propertyNames"] = {"pattern": NAME.pattern}
    if kind == "source":
        _sent_or_fetched(schema)
    if "Sla" in definitions:
        definitions["Sla"]["properties"]["readyBy"]["pattern"] = CLOCK.pattern
    return {"$schema": DIALECT, **_untitled(schema)}


def _sent_or_fetched(schema: dict[str, Any]) -> None:
    """A source that is fetched says neither how its files are named nor how they are read; any other says both."""
    of_files = ["files", "format"]
    schema["required"] = [name for name in schema["required"] if name not in of_files]
    schema["if"] = {"required": ["pull"]}
    schema["then"] = {"not": {"anyOf": [{"required": [name]} for name in of_files]}}
    schema["else"] = {"required": of_files}


def _column(generated: dict[str, Any]) -> dict[str, Any]:
    """`[type!, {options}]`. A classification is required, so the options always stand."""
    options = {k: v for k, v in generated["properties"].items() if k not in ("type", "required")}
    options["classification"] = {
        "type": "string",
        "pattern": CLASS.pattern,
        "description": "category/level, for instance C2/3",
    }
    options["enum"] = {
        "anyOf": [{"type": "array"}, LIST_NAME, {"type": "null"}],
        "description": generated["properties"]["enum"]["description"],
    }
    options["identifies"] = {
        "enum": [*DERIVATIONS, None],
        "description": generated["properties"]["identifies"]["description"],
    }
    derivations = sorted({d for kinds in DERIVATIONS.values() for d in kinds})
    options["derive"] = {**options["derive"], "items": {"enum": derivations}}
    kind = {"type": "string", "pattern": TYPE.pattern.removesuffix("$") + "!?$", "description": "type; ! = never null"}
    return {
        "description": Column.__doc__,
        "type": "array",
        "items": [
            kind,
            {"type": "object", "properties": options, "required": ["classification"], "additionalProperties": False},
        ],
        "minItems": 2,
        "maxItems": 2,
    }


def _rule(generated: dict[str, Any]) -> dict[str, Any]:
    """`{id, onFail, expect_...: {kwargs}}` with exactly one expectation."""
    expectations = {name: _expectation(name) for name in sorted(KNOWN)}
    own = {
        "id": {"type": "string", "pattern": NAME.pattern},
        "onFail": {"enum": sorted(ON_FAIL)},
        "description": {"type": "string"},
        "alert": {"type": "boolean", "description": "people are told at once when it is broken"},
    }
    return {
        "description": Rule.__doc__,
        "type": "object",
        "properties": own | expectations,
        "required": ["id", "onFail"],
        "additionalProperties": False,
        "oneOf": [{"required": [name]} for name in expectations],
        "if": {"properties": {"onFail": {"const": "quarantine"}}},
        "then": {"not": {"anyOf": [{"required": [name]} for name in sorted(TABLE)]}},
    }


def _expectation(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {kwarg: KWARGS[kwarg] for kwarg in sorted(allowed(name))},
        "required": sorted(REQUIRED[name]),
        "additionalProperties": False,
    }
    if name in BETWEEN:
        schema["anyOf"] = [{"required": ["min_value"]}, {"required": ["max_value"]}]
    return schema


def _untitled(value: Any) -> Any:
    """Without the titles that pydantic makes of field names: they say nothing that the key does not.."""
    if isinstance(value, dict):
        return {
            k: _untitled(v) if k != "properties" else {n: _untitled(p) for n, p in v.items()}
            for k, v in value.items()
            if k != "title" or not isinstance(v, str)
        }
    return [_untitled(v) for v in value] if isinstance(value, list) else value
