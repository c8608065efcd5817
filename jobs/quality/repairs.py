"""What people decided at the quarantine bench, as it changes the judging of a delivery: texts that replace what came, and rows that a rule does not ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any

from jobs.contracts import Rule

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

Texts = Mapping[str, str | None]  # physical column -> text as it would have arrived
CORRECT, ACCEPT, REJECT = "correct", "accept", "reject"


@dataclass(frozen=True)
class Repairs:
    """`texts`: (delivery, line) -> texts. `accepted`: rule -> delivery -> lines, None for all of them. `waived`: delivery -> rules about the whole of it
    that no longer stop or hold it. `kept_out`: (delivery, line) -> rule for which it was rejected for good."""

    texts: dict[tuple[str, int], dict[str, str | None]] = field(default_factory=dict)
    accepted: dict[str, dict[str, set[int] | None]] = field(default_factory=dict)
    waived: dict[str, set[str]] = field(default_factory=dict)
    kept_out: dict[tuple[str, int], str] = field(default_factory=dict)

    @classmethod
    def of(cls, fixes: Mapping[str, Sequence[Any]]) -> Repairs:
        """Delivery -> its fixes (`kind`, `change`; jobs.ledger.fixes.applied_to), the later over the earlier."""
        made = cls()
        for delivery, each in fixes.items():
            for fix in each:
                made._add(delivery, fix.kind, fix.change)
        return made

    def _add(self, delivery: str, kind: str, change: Mapping[str, Any]) -> None:
        if kind == CORRECT:
            for line, texts in change["lines"].items():
                self.texts.setdefault((delivery, int(line)), {}).update(texts)
        elif kind == REJECT:
            self.kept_out.update({(delivery, line): change["rule"] for line in change["lines"]})
        elif kind == ACCEPT and "rules" in change:
            self.waived.setdefault(delivery, set()).update(change["rules"])
        elif kind == ACCEPT:
            of_rule = self.accepted.setdefault(change["rule"], {})
            lines = change["lines"]
            known = of_rule.get(delivery, set())
            of_rule[delivery] = None if lines is None or known is None else known | set(lines)

    def corrected(self, rows: DataFrame, columns: Iterable[str]) -> DataFrame:
        """`rows` with the corrected texts. A line that could not be split is whole once its texts are given."""
        from pyspark.sql import functions as F

        if not self.texts:
            return rows
        key = F.concat_ws("/", "__delivery_id", F.col("__line").cast("string"))
        texts = {f"{delivery}/{line}": each for (delivery, line), each in self.texts.items()}
        changed = {"__malformed": F.when(~key.isin(list(texts)), F.col("__malformed"))}
        for column in columns:
            given = {k: each[column] for k, each in texts.items() if column in each}
            if given:
                pairs = [F.lit(part).cast("string") for pair in given.items() for part in pair]
                said = F.try_element_at(F.create_map(*pairs), key)
                changed[column] = F.when(key.isin(list(given)), said).otherwise(F.col(f"`{column}`"))
        return rows.withColumns(changed)

    def without_kept_out(self, rows: DataFrame, reasons: str) -> DataFrame:
        """`rows` with the rule for which a row was rejected for good among the reasons that were found before all rules."""
        from pyspark.sql import functions as F

        if not self.kept_out:
            return rows
        listed = [(delivery, line, rule) for (delivery, line), rule in sorted(self.kept_out.items())]
        out = rows.sparkSession.createDataFrame(listed, "__delivery_id string, __line bigint, __kept_out string")
        joined = rows.join(F.broadcast(out), ["__delivery_id", "__line"], "left")
        told = F.when(F.col("__kept_out").isNotNull(), F.array_append(reasons, F.col("__kept_out")))
        return joined.withColumn(reasons, told.otherwise(F.col(reasons))).drop("__kept_out")

    def exempt(self) -> dict[str, Column]:
        """Rule -> the rows that it does not ask."""
        from pyspark.sql import functions as F

        def rows(of_rule: Mapping[str, set[int] | None]) -> Column:
            each = [
                (F.col("__delivery_id") == delivery) & (F.lit(True) if lines is None else F.col("__line").isin(sorted(lines)))
                for delivery, lines in of_rule.items()
            ]  # fmt: skip
            return reduce(lambda a, b: a | b, each)

        return {rule: rows(of_rule) for rule, of_rule in self.accepted.items()}

    def rules_for(self, delivery: str, rules: Sequence[Rule]) -> list[Rule]:
        """The rules with which a delivery's gate judges: those that a person waived only warn."""
        waived = self.waived.get(delivery, set())
        return [rule.model_copy(update={"on_fail": "warn"}) if rule.id in waived else rule for rule in rules]
