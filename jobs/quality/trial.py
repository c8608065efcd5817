"""A rule on trial: what a gate would have said of rows that were accepted without it.

Judged and measured by what judges and measures in production (verdicts, metrics, gate); nothing is recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.contracts import Rule, Table
from jobs.quality.gate import evaluate
from jobs.quality.metrics import measure, nothing
from jobs.quality.usual import with_bounds
from jobs.quality.verdicts import judge

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# What rows on trial have beside their table's columns: day and subject of the gate, and the branch that each row is of.
DAY, SUBJECT, BRANCH = "__day", "__subject", "__branch"
QUARANTINE = "quarantine"


@dataclass(frozen=True)
class Subject:
    """What a gate judges at a time: a delivery, or a business day of a table of silver or gold. `branch`: who sent it.

    `is_whole` is false of history that was taken on: a delivery of many days, of which each day is a subject here. A rule about a whole delivery is not asked
    of a part of one. `usual_rows`: how many rows the lane usually has, of a delivery whose rule tells its bounds in that.
    """

    day: date
    name: str
    branch: str | None = None
    is_whole: bool = True
    usual_rows: float | None = None


@dataclass(frozen=True)
class Trial:
    """What a gate with the rule would have said of one subject.

    `outcome`: pass, warn, hold or stop as the gate says it, and quarantine where the subject would have gone on without some rows. `rows` and `money`: what
    would not have gone on, that is the rows taken out, or all accepted rows of a subject that was held or stopped; of a warning, the rows that break the rule,
    without money. `branches`: those to which these rows belong. `judged`: accepted rows that were looked at.
    """

    rule: str
    subject: Subject
    outcome: str
    judged: int
    rows: int
    money: Decimal | None
    branches: tuple[str, ...]
    sentence: str


def tried(
    rows: DataFrame, table: Table, rules: Sequence[Rule], subjects: Sequence[Subject], scratch: Path,
    *, within: Sequence[str], order: Sequence[str],
) -> list[Trial]:  # fmt: skip
    """One trial a rule and subject, as if all of these rules stood in the table's contract and no other. One pass of Spark over all subjects.

    `rows`: accepted rows of these subjects with DAY, SUBJECT and BRANCH. `scratch`: a folder that is not there yet; the judged rows are left in it. `within`
    and `order`: as for `judge`, within a subject.
    """
    from pyspark.sql import functions as F

    judged = judge(rows, rules, within=[SUBJECT, DAY, *within], order=order)
    judged.select(*_needed(table, rules), F.lit(0).cast("bigint").alias(_batch(table))).write.parquet(str(scratch))
    files = [str(file) for file in sorted(scratch.glob("*.parquet"))]
    of_rows = [rule for rule in rules if rule.judges_rows]
    branches: dict[tuple[date, str], list[dict[str, Any]]] = {}
    for part in measure(files, table, of_rows, batch=0, by=[DAY, SUBJECT, BRANCH]):
        branches.setdefault((part[DAY], part[SUBJECT]), []).append(part)
    found = {(m[DAY], m[SUBJECT]): m for m in measure(files, table, rules, batch=0, by=[DAY, SUBJECT])}
    empty = nothing(table, rules)
    return [
        _trial(table, rule, one, found.get(key, empty), branches.get(key, []))
        for rule in rules
        for one in subjects
        if rule.judges_rows or one.is_whole
        for key in [(one.day, one.name)]
    ]


def _batch(table: Table) -> str:
    return "__batch" if table.layer == "bronze" else "batch"


def _needed(table: Table, rules: Sequence[Rule]) -> list[str]:
    """What the metrics of these rules, and those of money, are measured on."""
    columns = [c for rule in rules for c in rule.columns] + ([table.money] if table.money else [])
    marks = ["__verdict", "__reasons", "__warnings", "__raw" if table.layer == "bronze" else "sources"]
    return [f"`{c}`" for c in dict.fromkeys([*columns, *marks, DAY, SUBJECT, BRANCH])]


def _trial(
    table: Table, rule: Rule, subject: Subject, metrics: dict[str, Any], by_branch: Sequence[dict[str, Any]]
) -> Trial:
    judged = sum(int(metrics[f"{part}_rows"]) for part in ("accepted", "rejected", "duplicate"))
    rows, money = _breaking(rule, metrics), None
    if rule.judges_rows and not rows:
        # No gate can say anything but that a promise that no row breaks is kept; asking it some thousand times takes minutes.
        return Trial(rule.id, subject, "pass", judged, 0, None, (), "")
    gate = evaluate(table, with_bounds([rule], subject.usual_rows), metrics, subject=subject.name)
    whose = {str(part[BRANCH]) for part in by_branch if part[BRANCH] is not None and _breaking(rule, part)}
    outcome = QUARANTINE if rule.on_fail == QUARANTINE and rows else gate.outcome
    if outcome in ("hold", "stop"):
        rows, money = int(metrics["accepted_rows"]), metrics.get("accepted_money")
        whose = {str(part[BRANCH]) for part in by_branch if part[BRANCH] is not None} or {subject.branch or ""} - {""}
    elif outcome == QUARANTINE and table.money:
        money = metrics[f"money__{rule.id}"] + (metrics["duplicate_money"] if rule.is_unique else 0)
    said = " ".join(failed["sentence"] for failed in gate.failed)
    return Trial(rule.id, subject, outcome, judged, rows, money, tuple(sorted(whose)), said)


def _breaking(rule: Rule, metrics: dict[str, Any]) -> int:
    """Rows that break a rule about rows, further copies of an equal row among them."""
    copies = metrics["duplicate_rows"] if rule.is_unique else 0
    return int(metrics.get(f"broken__{rule.id}") or 0) + int(copies)
