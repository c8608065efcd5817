"""in = accepted + rejected + duplicate + filtered (+ superseded + erased), in rows and money: nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

PARTS = ("accepted", "rejected", "duplicate", "filtered")


@dataclass(frozen=True)
class Balance:
    """What came in by the ledger's count, and where the write put it. Money is None where the table follows none."""

    received_rows: int
    received_money: Decimal | None
    parts: dict[str, tuple[int, Decimal]] = field(default_factory=dict)

    @classmethod
    def from_metrics(
        cls, metrics: Mapping[str, Any], *, received_rows: int | None, received_money: Decimal | None, by_sources: bool = False
    ) -> Balance:
        """`by_sources`: count the rows that came in through each row's sources (silver), not the rows that stand there."""
        unit = "in" if by_sources else "rows"
        parts = {p: (int(metrics.get(f"{p}_{unit}") or 0), _money(metrics.get(f"{p}_money"))) for p in PARTS}
        parts |= {k: (int(v[0]), _money(v[1])) for k, v in metrics.items() if k.startswith("filtered:")}
        return cls(received_rows or 0, received_money, parts)

    @property
    def rows(self) -> int:
        return sum(rows for rows, _ in self.parts.values())

    @property
    def money(self) -> Decimal:
        return sum((money for _, money in self.parts.values()), Decimal(0))

    @property
    def is_balanced(self) -> bool:
        return self.rows == self.received_rows and (self.received_money is None or self.money == self.received_money)

    def sentence(self) -> str:
        found = f"{self.received_rows} rows" + (f" and {self.received_money:,.2f}" if self.received_money is not None else "")
        went = ", ".join(f"{name} {rows} rows / {money:,.2f}" for name, (rows, money) in self.parts.items() if rows or money)
        verb = "agree with" if self.is_balanced else "do NOT agree with"
        return f"Received {found}; they {verb} {went or 'nothing'}. " + ("" if self.is_balanced else "Rows or money were lost or doubled: do not release.")

    def as_record(self) -> dict[str, Any]:
        """Keyword arguments of jobs.ledger.batches.record_balance."""
        parts = {name: {"rows": rows, "money": str(money)} for name, (rows, money) in self.parts.items() if rows or money}
        return {"received_rows": self.received_rows, "received_money": self.received_money, "parts": parts, "is_balanced": self.is_balanced}


def _money(value: Any) -> Decimal:
    return Decimal(str(value)) if value is not None else Decimal(0)
