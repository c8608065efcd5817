"""What an ODCS file of another maker says of columns and quality, in our words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jobs.contracts.column import CLASS, TYPE
from jobs.contracts.expectations import KNOWN

OURS = "ledgerlake."
TYPES = {
    "string": "string",
    "date": "date",
    "timestamp": "timestamp",
    "boolean": "boolean",
    "integer": "bigint",
    "number": "decimal(18,2)",
}
# What a checked document may hold that a contract of ours has no place for.
DOCUMENT_KNOWN = {
    "apiVersion",
    "kind",
    "id",
    "name",
    "version",
    "status",
    "description",
    "schema",
    "team",
    "customProperties",
    "slaProperties",
}
TABLE_KNOWN = {
    "name",
    "physicalName",
    "logicalType",
    "physicalType",
    "description",
    "dataGranularityDescription",
    "properties",
    "quality",
}
COLUMN_KNOWN = {
    "name", "logicalType", "physicalType", "physicalName", "required", "classification", "description",
    "primaryKey", "primaryKeyPosition", "relationships", "customProperties", "quality", "logicalTypeOptions", "unique",
}  # fmt: skip
OPTIONS_KNOWN = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern", "minLength", "maxLength"}


class Notes:
    """What a person must look at after an import: comments for the head of the file."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        line = " ".join(text.split())
        if line not in self.lines:
            self.lines.append(line)

    def unsaid(self, key: str, stand_in: Any) -> Any:
        self.say(f"{key}: the file does not say; `{stand_in}` is a guess, please decide")
        return stand_in

    def snake(self, name: str) -> str:
        """The name in snake_case; said when that changes it."""
        made = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")
        made = made if made[:1].isalpha() else f"c_{made}"
        if made != name:
            self.say(f"{name} is named {made} here")
        return made

    def not_taken_over(self, document: Mapping[str, Any], table: Mapping[str, Any]) -> None:
        """Name the keys that have no place in a contract of ours."""
        for key in sorted(set(document) - DOCUMENT_KNOWN):
            self.say(f"not taken over: {key}")
        for key in sorted(set(table) - TABLE_KNOWN):
            self.say(f"not taken over: {table['name']}.{key}")
        for given in document.get("customProperties") or []:
            if not given["property"].startswith(OURS):
                self.say(f"not taken over: custom property {given['property']} = {given['value']}")
        ours = {p["property"] for p in document.get("customProperties") or []}
        for given in document.get("slaProperties") or []:
            if f"{OURS}sla" not in ours:
                self.say(f"not taken over: service level {given['property']} = {given['value']}")


def column_of(described: Mapping[str, Any], extras: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
    """One ODCS property as {type, required, classification, ...}."""
    name = described["name"]
    column: dict[str, Any] = {"type": _type(described, notes), "required": bool(described.get("required"))}
    given = described.get("classification")
    if given and CLASS.match(given):
        column["classification"] = given
    else:
        said = f"says {given!r}" if given else "is not classified"
        notes.say(f"{name} {said}; C2/3 is a guess, please decide (category/level)")
        column["classification"] = "C2/3"
    if described.get("description"):
        column["description"] = described["description"]
    column |= extras
    if described.get("relationships") and "references" not in extras:
        notes.say(
            f"{name} points to {', '.join(str(r['to']) for r in described['relationships'])}: "
            "write references: layer.table.column"
        )
    if described.get("physicalName") and described["physicalName"] != name and "from" not in extras:
        column["from"] = described["physicalName"]
    for key in sorted(set(described) - COLUMN_KNOWN):
        notes.say(f"not taken over: {name}.{key}")
    for custom in described.get("customProperties") or []:
        if not custom["property"].startswith(OURS):
            notes.say(f"not taken over: {name}, custom property {custom['property']} = {custom['value']}")
    return column


def _type(described: Mapping[str, Any], notes: Notes) -> str:
    physical = str(described.get("physicalType") or "").lower().replace("numeric", "decimal")
    if TYPE.match(physical):
        return physical
    logical = described.get("logicalType")
    made = TYPES.get(str(logical), "string")
    if logical not in TYPES or logical == "number":
        notes.say(
            f"{described['name']} is {described.get('physicalType') or logical or 'of no stated type'}; "
            f"{made} is a guess, please decide"
        )
    return made


def rules_of(column: str | None, described: Mapping[str, Any], notes: Notes) -> list[dict[str, Any]]:
    """The quality checks and type options of a property (or, without `column`, of the table) as rules."""
    rules = []
    for check in described.get("quality") or []:
        rule = _rule(column, check, notes)
        if rule is None:
            what = check.get("name") or check.get("metric") or check.get("description") or check.get("type")
            notes.say(f"not taken over: quality check {what} of {described['name']}")
        else:
            rules.append(rule)
    if column is not None:
        rules += _options(column, described, notes)
    return rules


def _rule(column: str | None, check: Mapping[str, Any], notes: Notes) -> dict[str, Any] | None:
    implementation = check.get("implementation")
    if str(check.get("engine", "")).replace("-", "").replace("_", "").lower() == "greatexpectations" and isinstance(
        implementation, Mapping
    ):
        return _great_expectations(column, check, implementation, notes)
    metric = check.get("metric")
    if metric == "rowCount":
        bounds = _bounds(check)
        return _made("row_count", "warn", "expect_table_row_count_to_be_between", bounds, check) if bounds else None
    if column is None or check.get("mustBe") != 0:
        return None
    if metric in ("nullValues", "missingValues"):
        return _made(
            f"{column}_not_null", "quarantine", "expect_column_values_to_not_be_null", {"column": column}, check
        )
    if metric == "duplicateValues":
        return _made(f"{column}_unique", "quarantine", "expect_column_values_to_be_unique", {"column": column}, check)
    listed = (check.get("arguments") or {}).get("validValues")
    if metric == "invalidValues" and isinstance(listed, list):
        return _made(
            f"{column}_known",
            "quarantine",
            "expect_column_values_to_be_in_set",
            {"column": column, "value_set": listed},
            check,
        )
    return None


def _great_expectations(
    column: str | None, check: Mapping[str, Any], implementation: Mapping[str, Any], notes: Notes
) -> dict[str, Any] | None:
    name = str(implementation.get("type") or implementation.get("expectation_type") or "")
    if name not in KNOWN:
        return None
    on_fail = next(
        (c["value"] for c in check.get("customProperties") or [] if c["property"] == f"{OURS}onFail"), "warn"
    )
    kwargs = dict(implementation.get("kwargs") or {})
    if column is not None and not kwargs.keys() & {"column", "column_A", "column_list"}:
        kwargs = {"column": column, **kwargs}
    made = _made(notes.snake(str(check.get("name") or name.removeprefix("expect_"))), on_fail, name, kwargs, check)
    is_told = any(c["property"] == f"{OURS}alert" for c in check.get("customProperties") or [])
    return made | ({"alert": True} if is_told else {})


def _made(
    rule_id: str, on_fail: str, expectation: str, kwargs: Mapping[str, Any], check: Mapping[str, Any]
) -> dict[str, Any]:
    rule: dict[str, Any] = {"id": rule_id, "onFail": on_fail, "expectation": expectation, "kwargs": dict(kwargs)}
    return rule | ({"description": check["description"]} if check.get("description") else {})


def _bounds(check: Mapping[str, Any]) -> dict[str, Any]:
    """min_value and max_value of a comparison of the standard; a strict one of a count moves by one."""
    if isinstance(check.get("mustBeBetween"), list):
        low, high = check["mustBeBetween"]
        return {"min_value": low, "max_value": high}
    if "mustBe" in check:
        return {"min_value": check["mustBe"], "max_value": check["mustBe"]}
    moved = {
        "mustBeGreaterThan": ("min_value", 1),
        "mustBeGreaterOrEqualTo": ("min_value", 0),
        "mustBeLessThan": ("max_value", -1),
        "mustBeLessOrEqualTo": ("max_value", 0),
    }
    return {bound: check[key] + step for key, (bound, step) in moved.items() if key in check}


def _options(column: str, described: Mapping[str, Any], notes: Notes) -> list[dict[str, Any]]:
    """Rules that the options of a type stand for; options of which we have no rule are named."""
    options = described.get("logicalTypeOptions") or {}
    rules = []
    for key in sorted(set(options) - OPTIONS_KNOWN):
        notes.say(f"not taken over: {described['name']}, type option {key} = {options[key]}")
    low, high = (
        options.get("minimum", options.get("exclusiveMinimum")),
        options.get("maximum", options.get("exclusiveMaximum")),
    )
    if low is not None or high is not None:
        kwargs = {
            "column": column,
            "min_value": low,
            "max_value": high,
            "strict_min": "exclusiveMinimum" in options,
            "strict_max": "exclusiveMaximum" in options,
        }
        kept = {k: v for k, v in kwargs.items() if v is not None and v is not False}
        rules.append(_made(f"{column}_range", "quarantine", "expect_column_values_to_be_between", kept, {}))
    if "pattern" in options:
        rules.append(
            _made(
                f"{column}_form",
                "quarantine",
                "expect_column_values_to_match_regex",
                {"column": column, "regex": options["pattern"]},
                {},
            )
        )
    lengths = {"min_value": options.get("minLength"), "max_value": options.get("maxLength")}
    if any(v is not None for v in lengths.values()):
        kept = {"column": column} | {k: v for k, v in lengths.items() if v is not None}
        rules.append(_made(f"{column}_length", "quarantine", "expect_column_value_lengths_to_be_between", kept, {}))
    if described.get("unique"):
        rules.append(
            _made(f"{column}_unique", "quarantine", "expect_column_values_to_be_unique", {"column": column}, {})
        )
    return rules
