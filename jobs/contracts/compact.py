"""Writes a table's contract in our compact YAML: one line a column, a rule, an expression."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH = 120
# What YAML reads back as the same text without quotes, also inside [..] and {..}.
PLAIN = re.compile(r"^[A-Za-z_$\u4e00-\u9fff][\w$./ \u4e00-\u9fff-]*!?$")
VERSION = re.compile(r"^\d+\.\d+\.\d+$")
# Read as something else than text by one version of YAML or another.
NOT_TEXT = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
FIRST = ("table", "version", "description", "grain", "owner", "steward", "reads", "primaryKey", "history")
BLOCKS = ("incoming", "columns", "rules", "conforms")


def compact(contract: Mapping[str, Any], *, notes: Sequence[str] = (), schema: str = "../contract.schema.json") -> str:
    """YAML text of a contract given under the YAML's own keys, columns as {type, required, ...} and rules as {id,
    onFail, expectation, kwargs}.

    `notes` become comments under line 1.
    """
    lines = [f"# yaml-language-server: $schema={schema}", *[f"# {note}" for note in notes]]
    order = [*FIRST, *sorted(set(contract) - set(FIRST) - set(BLOCKS)), *BLOCKS]
    for key in order:
        if key in contract:
            lines += _entry(key, contract[key])
    return "\n".join(lines) + "\n"


def _entry(key: str, value: Any) -> list[str]:
    if key in ("columns", "incoming"):
        return [f"{key}:", *_columns(value)]
    if key == "rules":
        return [f"{key}:", *[f"  - {flow(_rule(rule))}" for rule in value]]
    if key == "conforms":
        return [f"{key}:", *[line for target, conform in value.items() for line in _conform(target, conform)]]
    if isinstance(value, str) and (folded := _folded(value)):
        return [f"{key}: >", *folded]
    return [f"{key}: {flow(value)}"]


def _columns(columns: Mapping[str, Any]) -> list[str]:
    wide = max((len(name) for name in columns), default=0) + 1
    lines = []
    for name, column in columns.items():
        options = {k: v for k, v in column.items() if k not in ("type", "required")}
        kind = column["type"] + ("!" if column.get("required") else "")
        lines.append(f"  {name + ':':<{wide}} {flow([kind, options])}")
    return lines


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    rest = {k: v for k, v in rule.items() if k not in ("expectation", "kwargs")}
    return {**rest, rule["expectation"]: rule["kwargs"]}


def _conform(target: str, conform: Mapping[str, Any]) -> list[str]:
    lines = [f"  {target}:"]
    for block in ("where", "columns"):
        if conform.get(block):
            lines += [
                f"    {block}:",
                *[f"      {name}: {flow(expression)}" for name, expression in conform[block].items()],
            ]
    if why := conform.get("changesMoney"):
        lines.insert(1, f"    changesMoney: {flow(why)}")
    return lines


def _folded(text: str) -> list[str]:
    """The lines of a `>` block that reads back as the same text; none where that cannot be."""
    body = text.removesuffix("\n")
    if not text.endswith("\n") or not body:
        return []
    lines = textwrap.wrap(body, WIDTH - 2, break_long_words=False, break_on_hyphens=False)
    return [f"  {line}" for line in lines] if " ".join(lines) == body else []


def flow(value: Any) -> str:
    """A value in YAML's one-line form."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(v) for v in value) + "]"
    if isinstance(value, str) and (
        VERSION.match(value) or (PLAIN.match(value) and value.lower() not in NOT_TEXT and not value.endswith(" "))
    ):
        return value
    return json.dumps(value, ensure_ascii=False)
