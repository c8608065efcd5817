"""Rules in words: what is promised of a table, for the people who repair it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.contracts import Rule, Table
from jobs.quality.casting import MALFORMED, unreadable

STATISTIC = {"sum": "sum", "mean": "mean", "min": "smallest value", "max": "largest value"}
REMEDY = {
    "quarantine": "The rows are kept aside (`ledgerlake quarantine`); correct them at the source and send them again.",
    "warn": "Look into it; nothing was held back.",
    "hold": "A person decides whether it goes on (`ledgerlake gates`).",
    "stop": "Nothing of it is released; correct the cause and send it again.",
}


def sentence(rule: Rule) -> str:
    """What the rule promises: its own description, or its expectation in words."""
    return rule.description or _promised(rule.expectation.removeprefix("expect_"), rule.kwargs, rule)


def reason_sentence(table: Table, reason: str) -> str:
    """A reason as it stands in `__reasons`: a rule's id, unreadable text, a malformed line or a filter's name."""
    for rule in table.all_rules:
        if rule.id == reason:
            return sentence(rule)
    for name, column in table.physical_columns.items():
        if reason == unreadable(name):
            written = f", written as {column.parse}" if column.parse else ""
            return f"{name} must be a {column.type}{written}"
    if reason == MALFORMED:
        return "each record must be one that the source's format can read"
    return f"kept out by the rule {reason}"


def _promised(what: str, k: Mapping[str, Any], rule: Rule) -> str:
    columns = " and ".join(rule.columns)
    tolerance = f" in at least {float(k['mostly']):.4g} of the rows" if float(k.get("mostly") or 1) < 1 else ""
    words = {
        "column_values_to_not_be_null": "must be given",
        "column_values_to_be_between": f"must be {between(k)}",
        "column_values_to_be_in_set": f"must be one of {_few(k.get('value_set'))}",
        "column_values_to_not_be_in_set": f"must not be one of {_few(k.get('value_set'))}",
        "column_values_to_match_regex": f"must match {k.get('regex')}",
        "column_values_to_not_match_regex": f"must not match {k.get('regex')}",
        "column_value_lengths_to_be_between": f"must be {between(k)} characters long",
        "column_value_lengths_to_equal": f"must be {k.get('value')} characters long",
        "column_values_to_be_unique": "must not occur twice",
        "compound_columns_to_be_unique": "together must not occur twice",
        "column_pair_values_to_be_equal": "must be equal",
    }
    if what in words:
        return f"{columns} {words[what]}{tolerance}"
    if what == "column_pair_values_a_to_be_greater_than_b":
        order = "not be below" if k.get("or_equal") else "be above"
        return f"{k.get('column_A')} must {order} {k.get('column_B')}{tolerance}"
    if what == "table_row_count_to_be_between":
        return f"there must be {between(k)} rows"
    if what == "column_unique_value_count_to_be_between":
        return f"{columns} must have {between(k)} different values"
    if what == "column_proportion_of_non_null_values_to_be_between":
        return f"the share of rows in which {columns} is given must be {between(k)}"
    statistic = what.removeprefix("column_").removesuffix("_to_be_between")
    return f"the {STATISTIC[statistic]} of {columns} must be {between(k)}"


def between(k: Mapping[str, Any]) -> str:
    """`at least 1 and less than 5`."""
    low, high = k.get("min_value"), k.get("max_value")
    parts = [f"{'more than' if k.get('strict_min') else 'at least'} {low}"] if low is not None else []
    parts += [f"{'less than' if k.get('strict_max') else 'at most'} {high}"] if high is not None else []
    return " and ".join(parts)


def _few(values: Any) -> str:
    listed = [str(v) for v in values or []]
    return ", ".join(listed[:12]) + (f" and {len(listed) - 12} more" if len(listed) > 12 else "")
