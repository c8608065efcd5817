"""A gate: Great Expectations judges the metrics of a write. No Spark and no table is read here.

Row rules speak of all rows that came and were not filtered; rules about the table speak of its accepted rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from jobs.contracts import Rule, Table
from jobs.quality.casting import MALFORMED, unreadable
from jobs.quality.metrics import FIRST_MALFORMED, OF_NOTHING, readable, statistic
from jobs.quality.sentences import REMEDY, reason_sentence, sentence
from jobs.quality.usual import with_bounds

RANK = {"pass": 0, "warn": 1, "hold": 2, "stop": 3}
# Great Expectations' own word for how bad a broken rule is.
SEVERITY = {"warn": "info", "quarantine": "warning", "hold": "critical", "stop": "critical"}
# What our nulls mean, said in Great Expectations' words: a pair or key with a null in it is not judged.
NULLS = {
    "expect_column_pair_values_a_to_be_greater_than_b": "either_value_is_missing",
    "expect_column_pair_values_to_be_equal": "either_value_is_missing",
    "expect_compound_columns_to_be_unique": "any_value_is_missing",
}


class GateError(Exception):
    """The gate could not judge (a metric is missing, a rule raised): an error of the machinery, never a verdict on the
    data.
    """


@dataclass(frozen=True)
class Gate:
    """What a gate said of one table and subject.

    `outcome`: pass, warn, hold or stop. `failed`: one entry a broken rule, and one a column with unreadable text: rule,
    on_fail, column, unexpected (rows), money (text or None), sentence, and `alert` if people are told at once. `result`: Great Expectations' own result as
    JSON, in which no value of any row stands.
    """

    table: str
    subject: str
    outcome: str
    rules_run: int
    failed: list[dict[str, Any]]
    result: dict[str, Any]

    def sentence(self) -> str:
        """Why the outcome is not `pass`: the gravest rule first."""
        return said_of(self.failed)


def said_of(failed: Sequence[Mapping[str, Any]]) -> str:
    """The broken rules of a gate in words, the gravest first; rows that were parted from the others need none."""
    serious = [f for f in failed if f["on_fail"] != "quarantine"]
    return " ".join(f["sentence"] for f in sorted(serious, key=lambda f: -RANK[f["on_fail"]])) or "All rules hold."


def evaluate(
    table: Table,
    rules: Sequence[Rule],
    metrics: Mapping[str, Any],
    *,
    subject: str,
    beside: Sequence[dict[str, Any]] = (),
) -> Gate:
    """Judge every declared rule. Rows that a quarantine rule caught are parted already and do not change the outcome. `beside`: what was found beside the rules,
    in their form (jobs/conform.py: undeclared).

    Raises GateError when a rule could not be judged or there is none, so that a gate that ran fewer rules than declared
    never passes.
    """
    from great_expectations import __version__
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult

    if not rules:
        raise GateError(
            f"{table.table} declares no rule: an empty gate would let everything pass. Give it a primaryKey."
        )
    # Where nobody said what is usual, such a bound holds.
    rules = with_bounds(rules, None)
    results = [_judged(table, rule, metrics) for rule in rules]
    broken = [rule for rule, result in zip(rules, results, strict=True) if not result.success]
    failed = [_failure(table, rule, metrics) for rule in broken] + _unread(table, metrics) + list(beside)
    said = [r.on_fail for r in broken if r.on_fail != "quarantine"] + [str(one["on_fail"]) for one in beside]
    outcome = max(said, key=RANK.__getitem__, default="pass")
    held = len(rules) - len(broken)
    suite = ExpectationSuiteValidationResult(
        success=not broken,
        results=results,
        suite_name=table.table,
        statistics={
            "evaluated_expectations": len(results),
            "successful_expectations": held,
            "unsuccessful_expectations": len(broken),
            "success_percent": 100.0 * held / len(results),
        },
        meta={
            "great_expectations_version": __version__,
            "table": table.table,
            "version": table.version,
            "subject": subject,
            "outcome": outcome,
        },
    )
    result = suite.to_json_dict()
    if len(result["results"]) != len(rules):
        raise GateError(f"{table.table}: {len(result['results'])} of {len(rules)} rules were judged.")
    return Gate(table.table, subject, outcome, len(results), failed, result)


def _judged(table: Table, rule: Rule, metrics: Mapping[str, Any]) -> Any:
    """Great Expectations' result of one rule, in counts alone."""
    from great_expectations.expectations.metadata_types import FailureSeverity
    from great_expectations.expectations.registry import get_expectation_impl

    if rule.on_fail == "quarantine" and "mostly" in rule.kwargs:
        raise GateError(f"Rule {rule.id} of {table.table} quarantines rows and so takes no `mostly`: take it away.")
    kwargs = dict(rule.kwargs)
    if rule.expectation in NULLS:
        kwargs["ignore_row_if"] = NULLS[rule.expectation]
    try:
        expectation = get_expectation_impl(rule.expectation)(**kwargs, severity=FailureSeverity(SEVERITY[rule.on_fail]))
        result = expectation.metrics_validate(
            _Answers(table, rule, metrics), runtime_configuration={"result_format": "BASIC"}
        )
    except GateError:
        raise
    except Exception as error:
        raise GateError(
            f"Rule {rule.id} of {table.table} ({rule.expectation}) could not be judged: {error!r}. Correct its kwargs."
        ) from error
    if result.exception_info and result.exception_info.get("raised_exception"):
        raised = result.exception_info.get("exception_message")
        raise GateError(f"Rule {rule.id} of {table.table} ({rule.expectation}) could not be judged: {raised}.")
    if _is_about_nothing(rule, metrics):
        # Great Expectations takes "no value" for out of bounds. How many rows there must be is a rule of its own.
        result.success = True
    assert result.expectation_config is not None  # it is the expectation's own
    result.expectation_config.meta = {"id": rule.id, "onFail": rule.on_fail}
    result.result.pop("partial_unexpected_list", None)
    return result


class _Answers(dict[tuple[str, ...], Any]):
    """The values of whatever metrics Great Expectations asks for, by their ids, whose first part is the name. To be told beforehand which it will ask for would
    take it as long as to judge.
    """

    def __init__(self, table: Table, rule: Rule, metrics: Mapping[str, Any]) -> None:
        super().__init__()
        self._of = (table, rule, metrics)

    def __contains__(self, metric: object) -> bool:
        return True  # one that no write gathers is an error, by __missing__

    def __missing__(self, metric: tuple[str, ...]) -> Any:
        table, rule, metrics = self._of
        return _answer(table, rule, metric[0], metrics)

    def get(self, metric: tuple[str, ...], default: Any = None) -> Any:
        """As by its place: `dict.get` asks no __missing__ and would give None, which Great Expectations takes for "nothing found"."""
        return self[metric]


def _is_about_nothing(rule: Rule, metrics: Mapping[str, Any]) -> bool:
    """A bound on the sum, mean or extremes of a table without accepted rows: a bank that has no such feed, a day without a change."""
    key = statistic(rule)
    return key is not None and key.partition("__")[0] in OF_NOTHING and not int(_need(metrics, "accepted_rows", rule))


def _answer(table: Table, rule: Rule, name: str, metrics: Mapping[str, Any]) -> Any:
    """The value of one of Great Expectations' metrics."""
    if name.endswith(".unexpected_values"):
        return []
    accepted = int(_need(metrics, "accepted_rows", rule))
    rows = sum(int(_need(metrics, f"{part}_rows", rule)) for part in ("accepted", "rejected", "duplicate"))
    if name == "table.row_count":
        return rows if rule.judges_rows else accepted
    if name.endswith(".filtered_row_count"):
        return rows - int(_need(metrics, f"skipped__{rule.id}", rule))
    if name.endswith(".unexpected_count"):
        is_about_nulls = rule.expectation == "expect_column_values_to_not_be_null"
        nulls = name == "column_values.nonnull.unexpected_count" and not is_about_nulls
        return int(_need(metrics, f"{'skipped' if nulls else 'broken'}__{rule.id}", rule))
    key = statistic(rule)
    if key is None:
        raise GateError(f"Rule {rule.id}: {rule.expectation} asks for {name}, which no write gathers.")
    value = _need(metrics, key, rule)
    if name == "column.non_null_proportion":
        return int(value) / accepted if accepted else 1.0
    return _comparable(table.physical_columns[rule.kwargs["column"]].type, value)


def _comparable(kind: str, value: Any) -> Any:
    """A statistic as the bounds of a rule compare with it: numbers as numbers, dates as ISO text, instants in UTC."""
    if value is None or isinstance(value, int | float):
        return value
    if kind == "date":
        return value.isoformat() if isinstance(value, date) else str(value)
    if kind == "timestamp":
        instant = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant
    return str(value) if kind == "string" else float(Decimal(str(value)))


def _need(metrics: Mapping[str, Any], name: str, rule: Rule) -> Any:
    if name not in metrics:
        raise GateError(
            f"Rule {rule.id}: the metric {name} was not gathered. The write and its gate disagree about the rules; "
            "build the table again."
        )
    return metrics[name]


def _failure(table: Table, rule: Rule, metrics: Mapping[str, Any]) -> dict[str, Any]:
    unexpected = int(metrics.get(f"broken__{rule.id}") or 0)
    if rule.judges_rows:
        found = _breaking(unexpected)
    else:
        key = statistic(rule)
        value = metrics.get(key or "accepted_rows")
        found = f"found {_plain(value)}" if value is not None else "there is none"
        if (key or "").startswith("present__"):
            found = f"it is given in {int(value or 0):,} of {int(metrics['accepted_rows']):,} rows"
    entry = _entry(
        table, rule.id, rule.on_fail, rule.columns, unexpected, metrics.get(f"money__{rule.id}"), rule, found
    )
    return entry | ({"alert": True} if rule.alert else {})


def _unread(table: Table, metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Text that could not be read: it was found before the rules, and parts its rows as they do."""
    named = [(unreadable(c), f"unreadable__{c}", [c]) for c in readable(table)]
    if table.layer == "bronze":
        named.append((MALFORMED, MALFORMED, []))
    counted = [(reason, columns, int(metrics.get(metric) or 0)) for reason, metric, columns in named]
    first = metrics.get(FIRST_MALFORMED)
    because = {MALFORMED: f", {'the first, ' if int(metrics.get(MALFORMED) or 0) > 1 else ''}{first}" if first else ""}
    return [
        _entry(table, reason, "quarantine", columns, rows, None, reason, _breaking(rows) + because.get(reason, ""))
        for reason, columns, rows in counted
        if rows
    ]


def _entry(
    table: Table, name: str, on_fail: str, columns: list[str], rows: int, money: Any, broken: Rule | str, found: str
) -> dict[str, Any]:
    promise = sentence(broken) if isinstance(broken, Rule) else reason_sentence(table, broken)
    return {
        "rule": name,
        "on_fail": on_fail,
        "column": ", ".join(columns),
        "unexpected": rows,
        "money": _plain(money) if money is not None else None,
        "sentence": f"{table.table}: {promise}; {found}. {REMEDY[on_fail]}",
    }


def _breaking(rows: int) -> str:
    return "1 row breaks it" if rows == 1 else f"{rows:,} rows break it"


def _plain(value: Any) -> str:
    """A number as people write it: no exponent, no zeros that say nothing."""
    if not isinstance(value, Decimal | str):
        return str(value)
    try:
        number = Decimal(value)
    except ArithmeticError:
        return str(value)
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
