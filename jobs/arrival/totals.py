"""Control totals: what was counted and summed, what the sender stated, and whether the two agree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrival.errors import Refused
from jobs.arrival.plain import of_zoned
from jobs.arrival.records import Rows, ends, joined
from jobs.contracts.column import Column
from jobs.contracts.parse import DECIMALS, WHOLE, Way

EXACT = pa.decimal128(38, DECIMALS)
SIGNS_AND_DIGITS = b"+-0123456789"
POINT, ZERO = b".0"
DIGITS_OF_A_SUM = 18  # fit into 64 bits, whatever they are
PLAIN = Way(frozenset(), None, ())
HASH = re.compile(r"^[0-9a-f]{64}$")


@dataclass
class Totals:
    """Rows and money of a file as read; an empty line is a row too. `without_money` counts rows whose amount could not be read, malformed lines
    too; a row without an amount is one of no money.
    """

    rows: int = 0
    malformed: int = 0
    empty: int = 0  # of the malformed lines those that hold nothing at all
    money: Decimal | None = None
    without_money: int = 0


class Counter:
    """Counts rows and sums the control column, exactly."""

    def __init__(self, column_name: str | None, column: Column | None):
        self.totals = Totals(money=Decimal(0) if column else None)
        self._name, self._way = column_name, column.way if column else PLAIN

    def add(self, rows: Rows) -> None:
        totals = self.totals
        totals.rows += len(rows)
        totals.malformed += len(rows.malformed)
        totals.empty += sum(not m.raw.strip(b"\r\n") for m in rows.malformed)
        totals.without_money += len(rows.malformed)
        if self._name is not None:
            money, unread = sum_of(rows.columns[self._name], self._way)
            totals.money = (totals.money or Decimal(0)) + money
            totals.without_money += unread


def sum_of(values: pa.Array, way: Way) -> tuple[Decimal, int]:
    """(exact sum, number of values that are no amount). Blank values, and those that mean null, are amounts of nothing.

    Agrees with the cast on every text: what it reads has that value here; what it cannot read is counted here if it is
    an amount all the same, and then the metrics find it with the rejected row.
    """
    values = pc.ascii_trim(values, " ")
    nothing = pc.is_in(values, pa.array(["", *way.nulls], values.type))
    if pc.any(nothing).as_py():
        values = pc.if_else(nothing, None, values)
    for rewrite in way.rewrites:
        has_form = pc.match_substring_regex(values, rewrite.form)
        plain = pc.binary_join_element_wise(rewrite.sign, pc.replace_substring_regex(values, rewrite.gone, ""), "")
        values = pc.if_else(has_form, plain, values)
    if (total := _sum_at_a_glance(values, way)) is not None:
        return _tidy(total.scaleb(-way.implied)), 0
    is_amount = pc.match_substring_regex(values, way.amount)
    unread = len(values) - values.null_count - (pc.sum(is_amount).as_py() or 0)
    if unread:
        values = pc.if_else(is_amount, values, None)
    total = pc.sum(pc.cast(values, EXACT)).as_py() or Decimal(0)
    return _tidy(total.scaleb(-way.implied)), unread


def _sum_at_a_glance(values: pa.Array, way: Way) -> Decimal | None:
    """The sum where all values are certain to be what `way.amount` describes, which takes far longer to ask of each; None where that is not certain."""
    text = joined(values)
    if text.translate(None, SIGNS_AND_DIGITS if way.implied else SIGNS_AND_DIGITS + b"."):
        return None
    try:
        if (in_units := _sum_in_units(values, text)) is not None:
            return in_units
        lengths, points = pc.binary_length(values), pc.find_substring(values, ".")
        decimals = pc.if_else(pc.greater_equal(points, 0), pc.subtract(pc.subtract(lengths, points), 1), 0)
        if (pc.max(lengths).as_py() or 0) > WHOLE or (pc.max(decimals).as_py() or 0) > DECIMALS:
            return None
        return pc.sum(pc.cast(values, EXACT)).as_py() or Decimal(
            0
        )  # no number is a lone sign or point, or has two of them
    except pa.ArrowInvalid:
        return None


def _sum_in_units(values: pa.Array, text: bytes) -> Decimal | None:
    """The sum of amounts that all have as many decimals as the first, added in units of the last one: whole numbers are read several times as fast as decimals.
    None where they have not. Raises pa.ArrowInvalid where one is no number.
    """
    at = ends(values)
    decimals = int(at[1]) - 1 - text.find(b".", 0, at[1]) if len(values) else 0
    lengths = np.diff(at)
    if (
        values.null_count
        or not 0 < decimals <= DECIMALS
        or int(lengths.min()) <= decimals
        or text.count(b".") != len(values)
    ):
        return None
    if int(lengths.max()) + len(str(len(values))) > DIGITS_OF_A_SUM:
        return None
    found = np.frombuffer(text, np.uint8)
    behind = at[1:] - decimals
    if (found[behind - 1] != POINT).any() or (found[behind] < ZERO).any():
        return None
    shorter = pa.py_buffer(at - np.arange(len(at), dtype=np.int32))
    units = pa.StringArray.from_buffers(len(values), shorter, pa.py_buffer(text.translate(None, b".")))
    return Decimal(pc.sum(pc.cast(units, pa.int64())).as_py()).scaleb(-decimals)


def _tidy(amount: Decimal) -> Decimal:
    """With two decimals where those are enough, as people write money."""
    cents = amount.quantize(Decimal("0.01"))
    return cents if cents == amount else amount.normalize()


@dataclass(frozen=True)
class Stated:
    """What a sender says of a file: its number of rows, its sum of money, its hash, its bytes. None where nothing is said."""

    rows: int | None = None
    money: Decimal | None = None
    sha256: str | None = None
    size: int | None = None


def stated_in_signal(text: str, file_name: str) -> Stated:
    """Reads `file_name|record_count|amount_sum|sha256|bytes`, one line a file of the batch; only the name must be there. Raises Refused when the file has
    no line there.
    """
    expected = f"Expected one line {file_name}|record_count|amount_sum|sha256; write the signal again"
    lines = [[part.strip() for part in line.lstrip("\ufeff").split("|")] for line in text.splitlines() if line.strip()]
    mine = next((parts for parts in lines if parts[0] == file_name), None)
    if mine is None:
        raise Refused(
            "signal_unreadable",
            f"The signal has no line for {file_name} (it names {_names(lines)}). {expected} and send both.",
        )
    parts = [*mine[1:], "", "", "", ""][:4]
    if parts[2] and not HASH.match(parts[2].lower()):
        raise Refused(
            "signal_unreadable", f"The signal's hash {parts[2][:70]!r} is no SHA-256. {expected} and send both."
        )
    return Stated(
        _count(parts[0], "signal"), _money(parts[1], "signal"), parts[2].lower() or None, _count(parts[3], "signal")
    )


def stated_in_trailer(trailer: dict[str, str], summed: Column | None = None, declared: Way | None = None) -> Stated:
    """`summed`: the column whose sum is stated. It may be written as the column's amounts are (`12.00-`), decimals not implied, unless the source says how (`declared`)."""
    text = trailer.get("amount_sum", "")
    ways = [PLAIN, *([Way(summed.way.how, None, ())] if summed is not None and not summed.way.implied else [])]
    if declared is not None:
        ways, text = [declared], of_zoned(text) or "" if declared.is_zoned else text
    return Stated(_count(trailer.get("record_count", ""), "trailer"), _money(text, "trailer", ways))


def compare(totals: Totals, stated: Stated, where: str) -> None:
    """Raises Refused(trailer_count, signal_sum, ...) when a stated figure is not what was read.

    Where amounts of single rows cannot be read, the sum of the others proves nothing: those rows are rejected one by
    one instead, and the difference is their money.
    """
    if stated.rows is not None and stated.rows != totals.rows:
        empty = (
            f" Among those in the file {totals.empty} empty line{'s are' if totals.empty > 1 else ' is'} counted, rejected as records that cannot be read."
            if totals.empty
            else ""
        )
        raise Refused(
            f"{where}_count",
            f"The {where} states {stated.rows} records, the file holds {totals.rows} (difference "
            f"{totals.rows - stated.rows:+d}).{empty} "
            "Expected equal numbers; ask the sender for the whole, right file.",
        )
    if stated.money is None or totals.money is None or totals.without_money:
        return
    if stated.money != totals.money:
        raise Refused(
            f"{where}_sum",
            f"The {where} states a sum of {stated.money:f}, the amounts add up to {totals.money:f} (difference "
            f"{totals.money - stated.money:+f}). "
            "Expected equal sums; ask the sender for the right file.",
        )


def _count(text: str, where: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise Refused(
            f"{where}_unreadable",
            f"The {where} states the record count {text[:40]!r}. Expected digits; send the file again.",
        )
    return int(text)


def _money(text: str, where: str, ways: Sequence[Way] = (PLAIN,)) -> Decimal | None:
    """The amount, in the first of the ways in which it can be read."""
    if not text:
        return None
    for way in ways:
        amount, unread = sum_of(pa.array([text.strip()]), way)
        if not unread:
            return amount
    example = "digits without a point" if ways[0].implied else "an amount such as 1234.56"
    raise Refused(
        f"{where}_unreadable", f"The {where} states the sum {text[:40]!r}. Expected {example}; send the file again."
    )


def _names(lines: list[list[str]]) -> str:
    return ", ".join(parts[0] for parts in lines[:5]) or "none"
