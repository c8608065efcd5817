"""Numerators and denominators by cell, and what one business date adds up to until its reversals have come."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from jobs.demo_bank.codes import COUNTER
from jobs.demo_bank.faults import Plan


class Grain(NamedTuple):
    entity: str
    line: str
    province: str
    branch: str

    def cells(self, *, by_line: bool = True) -> list[str]:
        """The cells in which a row of this grain counts."""
        found = [
            "total",
            f"legal_entity_id={self.entity}",
            f"province_code={self.province}",
            f"branch_id={self.branch}",
        ]
        return [*found, f"business_line={self.line}"] if by_line else found


class Sum:
    """Numerator and denominator by cell. `rows` counts contributions: a cell without any is not told."""

    def __init__(self) -> None:
        self.numerator: Counter[str] = Counter()
        self.denominator: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()

    def add(self, cells: Iterable[str], numerator: int, denominator: int, rows: int = 1) -> None:
        for cell in cells:
            self.numerator[cell] += numerator
            self.denominator[cell] += denominator
            self.rows[cell] += rows

    def __iadd__(self, other: Sum) -> Sum:
        for mine, theirs in zip(
            (self.numerator, self.denominator, self.rows), (other.numerator, other.denominator, other.rows), strict=True
        ):
            for cell, value in theirs.items():
                mine[cell] += value
        return self

    def told(self, unit: int = 1) -> dict[str, dict[str, Any]]:
        cells = {"total"} | {cell for cell, rows in self.rows.items() if rows > 0}
        return {
            c: figure(Fraction(self.numerator[c], unit), Fraction(self.denominator[c], unit)) for c in sorted(cells)
        }


def figure(numerator: Fraction | int, denominator: Fraction | int | None) -> dict[str, Any]:
    """A ratio, or a count when there is no denominator; six decimals, half-even; a denominator of 0 gives no value."""
    value: Decimal | None
    if denominator is None:
        value = _six(Fraction(numerator))
    else:
        value = _six(Fraction(numerator) / Fraction(denominator)) if denominator else None
    return {
        "numerator": _six(Fraction(numerator)),
        "denominator": None if denominator is None else _six(Fraction(denominator)),
        "value": value,
    }


def _six(number: Fraction) -> Decimal:
    return Decimal(round(number * 10**6)).scaleb(-6)


class Activity(NamedTuple):
    """A valid movement or sale that may still be reversed: what is left of it, and where it was counted."""

    left: int
    grain: Grain
    customer: str
    online: bool
    other: bool  # movements: off-counter; sales: begun online
    channel: str


class DayFigures:
    """What one business date adds up to. A later reversal changes the date of its original."""

    def __init__(self) -> None:
        self.sums: dict[tuple[str, str], Sum] = defaultdict(Sum)
        self.moves: dict[str, Counter[str]] = defaultdict(Counter)
        self.sold: dict[str, Counter[str]] = defaultdict(Counter)
        self.clicked: set[str] = set()
        self.open_moves: dict[tuple[str, str], Activity] = {}
        self.open_sales: dict[str, Activity] = {}
        self.balances: Counter[str] = Counter()
        self.tables: dict[str, dict[str, Any]] = {}
        self.feeds: dict[str, dict[str, dict[str, Any]]] = {}
        self.plan: Plan | None = None

    def count_move(self, a: Activity, net: int, sign: int) -> None:
        """`sign` 1 counts the movement, -1 takes it out, 0 only changes its amount by `net`."""
        cells = a.grain.cells()
        self.sums["K4", "count_share"].add(cells, sign * a.other, sign, sign)
        self.sums["K4", "amount_share"].add(cells, net * a.other, net, sign)
        moved = self.moves[a.customer]
        moved["all"] += sign
        moved["online"] += sign * a.online
        moved["counter"] += sign * (a.channel == COUNTER)

    def count_sale(self, a: Activity, net: int, sign: int) -> None:
        cells = a.grain.cells()
        self.sums["K1", "count_share"].add(cells, sign * a.online, sign, sign)
        self.sums["K1", "amount_share"].add(cells, net * a.online, net, sign)
        self.sums["K1", "origin_count_share"].add(cells, sign * a.other, sign, sign)
        sold = self.sold[a.customer]
        sold["all"] += sign
        sold["online"] += sign * a.online

    def reverse_move(self, key: tuple[str, str], fen: int) -> None:
        original = self.open_moves.get(key)
        if original is None:
            return
        left = original.left - fen
        self.open_moves[key] = original._replace(left=left)
        if original.left > 0:
            self.count_move(original, -min(fen, original.left), -1 if left <= 0 else 0)

    def reverse_sale(self, sale_id: str, fen: int) -> None:
        original = self.open_sales.get(sale_id)
        if original is None:
            return
        left = original.left - fen
        self.open_sales[sale_id] = original._replace(left=left)
        if original.left > 0:
            self.count_sale(original, -min(fen, original.left), -1 if left <= 0 else 0)
