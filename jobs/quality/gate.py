"""A gate: Great Expectations judges the metrics of a write. No Spark and no table is read here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from jobs.contracts import Rule, Table
from jobs.quality.metrics import statistic

RANK = {"pass": 0, "warn": 1, "hold": 2, "stop": 3}


class GateError(Exception):
    """The gate could not judge (a metric is missing, a rule raised): an error of the machinery, never a verdict on the data."""


@dataclass(frozen=True)
class Gate:
    """What a gate said of one table and subject: pass, warn, hold or stop; the broken rules; Great Expectations' own result."""

    table: str
    subject: str
    outcome: str
    rules_run: int
    failed: list[dict[str, Any]]
    result: dict[str, Any]

    def sentence(self) -> str:
        serious = [f for f in self.failed if f["on_fail"] != "quarantine"]
        return " ".join(f["sentence"] for f in sorted(serious, key=lambda f: -RANK[f["on_fail"]])) or "All rules hold."


def evaluate(table: Table, rules: Sequence[Rule], metrics: Mapping[str, Any], *, subject: str) -> Gate:
    """Judge every declared rule. Rows that a quarantine rule caught are parted already and do not change the outcome.

    Raises GateError when a rule could not be judged, so that a gate that ran fewer rules than declared never passes.
    """
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult

    results, failed = [], []
    outcome = "pass"
    for rule in rules:
        result = _judged(rule, metrics)
        results.append(result)
        if not result.success:
            failed.append(_failure(table, rule, metrics))
            if rule.on_fail != "quarantine" and RANK[rule.on_fail] > RANK[outcome]:
                outcome = rule.on_fail
    if len(results) != len(rules):
        raise GateError(f"{table.table}: {len(results)} of {len(rules)} rules were judged.")
    held = sum(1 for r in results if r.success)
    suite = ExpectationSuiteValidationResult(
        success=not failed,
        results=results,
        suite_name=table.table,
        statistics={
            "evaluated_expectations": len(results), "successful_expectations": held, "unsuccessful_expectations": len(results) - held,
            "success_percent": 100.0 * held / len(results) if results else None,
        },
        meta={"table": table.table, "version": table.version, "subject": subject, "outcome": outcome},
    )  # fmt: skip
    return Gate(table.table, subject, outcome, len(results), failed, suite.to_json_dict())


def _judged(rule: Rule, metrics: Mapping[str, Any]) -> Any:
    from great_expectations.expectations.registry import get_expectation_impl

    expectation = get_expectation_impl(rule.expectation)(**rule.kwargs, meta={"id": rule.id, "onFail": rule.on_fail})
    runtime = {"result_format": "SUMMARY"}
    try:
        wanted = expectation.get_validation_dependencies(execution_engine=None, runtime_configuration=dict(runtime))
        answers = {m.id: _answer(rule, m.metric_name, metrics) for m in wanted.get_metric_configurations()}
        result = expectation.metrics_validate(answers, runtime_configuration=dict(runtime))
    except GateError:
        raise
    except Exception as error:
        raise GateError(f"Rule {rule.id} ({rule.expectation}) could not be judged: {error!r}. Correct the rule's kwargs.") from error
    if result.exception_info and result.exception_info.get("raised_exception"):
        raise GateError(f"Rule {rule.id} ({rule.expectation}) could not be judged: {result.exception_info}.")
    result.expectation_config.meta = {"id": rule.id, "onFail": rule.on_fail}
    return result


def _answer(rule: Rule, name: str, metrics: Mapping[str, Any]) -> Any:
    """The value of one of Great Expectations' metrics. Row rules that quarantine speak of all rows, all others of accepted rows."""
    if name.endswith((".unexpected_values", ".unexpected_index_list")):
        return []
    if name.endswith(".unexpected_index_query"):
        return ""
    rows = sum(int(_need(metrics, f"{p}_rows", rule) or 0) for p in ("accepted", "rejected", "duplicate"))
    accepted = int(_need(metrics, "accepted_rows", rule) or 0)
    counted = rows if rule.on_fail == "quarantine" else accepted
    if name == "table.row_count":
        return counted
    if name.endswith(".filtered_row_count"):
        return max(counted - int(metrics.get(f"skipped__{rule.id}") or 0), 0)
    is_null_rule = rule.expectation == "expect_column_values_to_not_be_null"
    if name == "column_values.nonnull.unexpected_count" and not is_null_rule:
        return min(int(metrics.get(f"null__{rule.columns[0]}") or 0), counted)
    if name.endswith(".unexpected_count"):
        return int(_need(metrics, f"broken__{rule.id}", rule) or 0)
    key = statistic(rule)
    value = _need(metrics, key, rule) if key else None
    if name == "column.non_null_proportion":
        return int(value or 0) / accepted if accepted else 1.0
    return _comparable(value, rule)


def _comparable(value: Any, rule: Rule) -> Any:
    """Decimals compare as decimals do with the bounds (numbers); dates compare as ISO text with bounds that are text."""
    bounds = [rule.kwargs.get(k) for k in ("min_value", "max_value") if rule.kwargs.get(k) is not None]
    if value is None:
        return None
    if any(isinstance(b, str) for b in bounds):
        return str(value)
    return float(Decimal(str(value))) if not isinstance(value, int) else value


def _need(metrics: Mapping[str, Any], name: str, rule: Rule) -> Any:
    if name not in metrics:
        raise GateError(f"Rule {rule.id}: the metric {name} was not gathered. The write and its gate disagree about the rules; build the table again.")
    return metrics[name]


def _failure(table: Table, rule: Rule, metrics: Mapping[str, Any]) -> dict[str, Any]:
    unexpected = int(metrics.get(f"broken__{rule.id}") or 0)
    money = metrics.get(f"money__{rule.id}")
    found = f"{unexpected} row(s)" if rule.judges_rows else f"found {metrics.get(statistic(rule) or 'accepted_rows')}"
    remedy = {
        "quarantine": "The rows are kept aside (`ledgerlake quarantine`); correct them at the source and send again.",
        "warn": "Look at it; nothing was held back.",
        "hold": "A person decides.",
        "stop": "Nothing of it is released; correct the cause and send again.",
    }[rule.on_fail]
    return {
        "rule": rule.id, "on_fail": rule.on_fail, "column": ", ".join(rule.columns), "unexpected": unexpected,
        "money": str(money) if money is not None else None, "sentence": f"{table.table}: {sentence(rule)}; {found}. {remedy}",
    }  # fmt: skip


def sentence(rule: Rule) -> str:
    """What the rule promises, for people."""
    k, columns = rule.kwargs, ", ".join(rule.columns) or "the table"
    subject = rule.expectation.removeprefix("expect_")
    between = " and ".join(
        part
        for part in (
            f"{'more than' if k.get('strict_min') else 'at least'} {k['min_value']}" if k.get("min_value") is not None else "",
            f"{'less than' if k.get('strict_max') else 'at most'} {k['max_value']}" if k.get("max_value") is not None else "",
        )
        if part
    )
    words = {
        "column_values_to_not_be_null": f"{columns} must be given",
        "column_values_to_be_between": f"{columns} must be {between}",
        "column_values_to_be_in_set": f"{columns} must be one of {_few(k.get('value_set'))}",
        "column_values_to_not_be_in_set": f"{columns} must not be one of {_few(k.get('value_set'))}",
        "column_values_to_match_regex": f"{columns} must look like {k.get('regex')}",
        "column_values_to_not_match_regex": f"{columns} must not look like {k.get('regex')}",
        "column_value_lengths_to_be_between": f"the length of {columns} must be {between}",
        "column_value_lengths_to_equal": f"the length of {columns} must be {k.get('value')}",
        "column_values_to_be_unique": f"{columns} must not occur twice with different contents",
        "compound_columns_to_be_unique": f"{columns} together must not occur twice with different contents",
        "column_pair_values_to_be_equal": f"{columns} must be equal",
        "column_pair_values_a_to_be_greater_than_b": f"{k.get('column_A')} must {'not be below' if k.get('or_equal') else 'be above'} {k.get('column_B')}",
        "table_row_count_to_be_between": f"there must be {between} rows",
    }
    return rule.description or words.get(subject) or f"the {subject.removeprefix('column_').split('_to_be')[0].replace('_', ' ')} of {columns} must be {between}"


def _few(values: Any) -> str:
    listed = [str(v) for v in values or []]
    return ", ".join(listed[:12]) + (f" and {len(listed) - 12} more" if len(listed) > 12 else "")
