"""in = accepted + rejected + duplicate + filtered, in rows and money: nothing is lost or doubled on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from jobs.quality.metrics import PARTS

# The part that says in how many rows, and by how much less, other amounts are told than came; its rows are counted where they went.
CONFORMED = "conformed"


@dataclass(frozen=True)
class Balance:
    """What came in by the ledger's count, and where the write put it. Money is None where the table follows none."""

    received_rows: int
    received_money: Decimal | None
    parts: dict[str, tuple[int, Decimal]] = field(default_factory=dict)

    @classmethod
    def from_metrics(
        cls,
        metrics: Mapping[str, Any],
        *,
        received_rows: int | None,
        received_money: Decimal | None,
        by_sources: bool = False,
        corrected_money: Decimal = Decimal(0),
    ) -> Balance:
        """`by_sources`: count the rows that came in through each row's sources (silver), not the rows that stand there.

        `filtered:<name>` -> [rows, money] among the metrics are rows that a named rule kept out before the write, `conformed` is in how many rows a feed's
        contract tells another amount than came (without its sign, in another unit), and by how much less.
        `corrected_money`: by how much people changed amounts of these rows at the quarantine bench.
        """
        unit = "in" if by_sources else "rows"
        parts = {p: (int(metrics.get(f"{p}_{unit}") or 0), _money(metrics.get(f"{p}_money"))) for p in PARTS}
        parts |= {
            k: (int(v[0]), _money(v[1])) for k, v in metrics.items() if k.startswith("filtered:") or k == CONFORMED
        }
        if corrected_money:
            parts["corrected"] = (0, -corrected_money)
        return cls(received_rows or 0, received_money, parts)

    @classmethod
    def of_record(cls, record: Any) -> Balance:
        """As the ledger keeps it (a row of `balances`)."""
        parts = {name: (int(part["rows"]), Decimal(part["money"])) for name, part in record.parts.items()}
        return cls(record.received_rows, record.received_money, parts)

    @property
    def rows(self) -> int:
        return sum(rows for name, (rows, _) in self.parts.items() if name != CONFORMED)

    @property
    def money(self) -> Decimal:
        return sum((money for _, money in self.parts.values()), Decimal(0))

    @property
    def is_balanced(self) -> bool:
        return self.rows == self.received_rows and self.received_money in (None, self.money)

    def sentence(self) -> str:
        """What came in and where it went; when they differ, by how much."""
        has_money = self.received_money is not None
        went = [
            self._part(name, *part, has_money) for name, part in self.parts.items() if any(part) and name != CONFORMED
        ]
        if any(changed := self.parts.get(CONFORMED, (0, Decimal(0)))):
            went.append(_changed(*changed))
        said = f"Received {self._part('', self.received_rows, self.received_money, has_money).strip()}; "
        if self.is_balanced:
            return f"{said}all accounted for: {', '.join(went) or 'nothing'}."
        off = [f"{self.rows - self.received_rows:+,} rows"] if self.rows != self.received_rows else []
        if self.received_money not in (None, self.money):
            off.append(f"{self.money - (self.received_money or 0):+,.2f} of money")
        return (
            f"{said}written {', '.join(went) or 'nothing'}: off by {' and '.join(off)}. Rows or money were lost or "
            "doubled; nothing of it is released. Build it again; if it stays, report it."
        )

    @staticmethod
    def _part(name: str, rows: int, money: Decimal | None, has_money: bool) -> str:
        return f"{name} {rows:,} rows" + (f" with {money or Decimal(0):,.2f}" if has_money else "")

    def as_record(self) -> dict[str, Any]:
        """Keyword arguments of jobs.ledger.batches.record_balance."""
        parts = {n: {"rows": rows, "money": str(money)} for n, (rows, money) in self.parts.items() if rows or money}
        return {
            "received_rows": self.received_rows,
            "received_money": self.received_money,
            "parts": parts,
            "is_balanced": self.is_balanced,
        }


def _changed(rows: int, less: Decimal) -> str:
    """`rows`: 0 in balances that were kept before they were counted."""
    in_rows = f" in {rows:,} {'row' if rows == 1 else 'rows'}" if rows else ""
    return f"money changed by conforming: {-less:+,.2f}{in_rows}"


def _money(value: Any) -> Decimal:
    return Decimal(str(value)) if value is not None else Decimal(0)
