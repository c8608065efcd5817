"""The KPI report as one self-contained HTML page: no script is needed, nothing is loaded, both languages are in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from jobs.serving.labels import MONTH_CLOSES

TEMPLATES = Path(__file__).parent / "templates"
NOT_AVAILABLE = "n/a"


def render_html(data: Mapping[str, Any]) -> str:
    """`data` is what `report_data` gives. The language switch and its choice in print are done by style alone."""
    return (
        _environment()
        .get_template("report.html.j2")
        .render(report=data, css=(TEMPLATES / "report.css").read_text("utf-8"))
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": figure, "change": change, "percent": percent, "both": both, "grouped": grouped}
    environment.globals |= {"trend_line": trend_line, "share_of_largest": share_of_largest, "verdict": verdict}
    environment.globals["month_closes"] = MONTH_CLOSES.as_dict()
    return environment


def both(words: Mapping[str, str]) -> Markup:
    """A text in both languages, of which the style shows one."""
    if words["en"] == words["zh"]:
        return Markup("{}").format(words["en"])
    return Markup('<span class="en" lang="en">{}</span><span class="zh" lang="zh">{}</span>').format(
        words["en"], words["zh"]
    )


# --- figures as people read them ---


def percent(value: str | None) -> str:
    """A ratio as per cent: one decimal, two below ten per cent, where they matter (a bad-loan ratio)."""
    if value is None:
        return NOT_AVAILABLE
    points = Decimal(value) * 100
    return f"{_rounded(points, 2 if abs(points) < 10 else 1)}%"


def figure(value: str | None, unit: str, currency: str = "") -> str:
    """A figure in its unit; null is n/a, never nought."""
    if value is None:
        return NOT_AVAILABLE
    if unit == "ratio":
        return percent(value)
    return f"{currency} {_rounded(Decimal(value), 2)}".strip() if unit == "amount" else grouped(value)


def grouped(value: str | None) -> str:
    """A sum or count with separators, decimals only if it has any."""
    if value is None:
        return NOT_AVAILABLE
    number = Decimal(value)
    return str(_rounded(number, 0 if number == number.to_integral_value() else 2))


def change(previous: Mapping[str, Any], unit: str) -> dict[str, str] | None:
    """Difference from the previous period: percentage points for a ratio, per cent for a count or an amount."""
    if unit == "ratio":
        if previous["change"] is None:
            return None
        points = _signed(Decimal(previous["change"]) * 100, 2)
        return {"en": f"{points} pp", "zh": f"{points} 个百分点"}
    if previous["relative_change"] is None:
        return None
    text = f"{_signed(Decimal(previous['relative_change']) * 100, 1)}%"
    return {"en": text, "zh": text}


def verdict(kpi: Mapping[str, Any]) -> str:
    """Is the change for the better? `better`, `worse`, or empty when that is not for the report to say."""
    moved = kpi["previous"]["change"]
    if moved is None or Decimal(moved) == 0 or kpi["direction"] not in ("higher", "lower"):
        return ""
    return "better" if (Decimal(moved) > 0) == (kpi["direction"] == "higher") else "worse"


def _rounded(number: Decimal, places: int) -> str:
    return f"{number.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN):,f}"


def _signed(number: Decimal, places: int) -> str:
    text = _rounded(abs(number), places)
    if Decimal(text.replace(",", "")) == 0:
        return f"±{text}"
    return f"{'+' if number > 0 else '−'}{text}"


def share_of_largest(value: str | None, lines: Sequence[Mapping[str, Any]]) -> int:
    """Length of a bar in per cent of the longest of its table."""
    largest = max((abs(Decimal(line["value"])) for line in lines if line["value"] is not None), default=Decimal(0))
    return 0 if value is None or largest == 0 else int(abs(Decimal(value)) / largest * 100)


# --- the trend as a drawing ---


def trend_line(
    trend: Mapping[str, Any], unit: str, *, width: int, height: int, target: str | None = None, axis: bool = False
) -> Markup:
    """An inline SVG of a series. A day without a value is a gap, not a nought; a month to date begins anew with each
    month.

    With `axis`: lowest, highest and the end dates in words, and the target where it lies near the series.
    """
    points = trend["points"]
    values = [None if p["value"] is None else Decimal(p["value"]) for p in points]
    known = [v for v in values if v is not None]
    if len(known) < 2:
        return Markup('<span class="none">–</span>')
    low, high = min(known), max(known)
    shown_target = None if target is None else Decimal(target)
    if (
        axis
        and shown_target is not None
        and abs(shown_target - (low + high) / 2) <= 3 * max(high - low, abs(high) / 20)
    ):
        low, high = min(low, shown_target), max(high, shown_target)
    else:
        shown_target = None
    left, right, top, bottom = (46, 10, 10, 18) if axis else (2, 4, 4, 4)
    span = high - low or Decimal(1)

    def x(i: int) -> float:
        return round(left + i * (width - left - right) / max(len(values) - 1, 1), 1)

    def y(value: Decimal) -> float:
        middle = Decimal("0.5") if high == low else (high - value) / span
        return round(top + float(middle) * (height - top - bottom), 1)

    starts = {i for i, p in enumerate(points) if trend["period_kind"] == "mtd" and p["date"].endswith("-01")}
    parts = [f'<polyline points="{run}"/>' for run in _runs(values, starts, x, y)]
    last = max(i for i, v in enumerate(values) if v is not None)
    parts.append(f'<circle cx="{x(last)}" cy="{y(known[-1])}" r="2.4"/>')
    if shown_target is not None:
        parts.insert(
            0, f'<line class="target" x1="{left}" x2="{width - right}" y1="{y(shown_target)}" y2="{y(shown_target)}"/>'
        )
    if axis:
        words = {y(high): figure(str(high), unit), y(low): figure(str(low), unit)}
        parts += [f'<text class="end" x="{left - 6}" y="{at + 3}">{escape(word)}</text>' for at, word in words.items()]
        base = height - bottom + 3
        parts.append(f'<line class="base" x1="{left}" x2="{width - right}" y1="{base}" y2="{base}"/>')
        parts.append(f'<text x="{left}" y="{height - 3}">{escape(points[0]["date"])}</text>')
        parts.append(f'<text class="end" x="{width - right}" y="{height - 3}">{escape(points[-1]["date"])}</text>')
    said = escape(
        f"{points[0]['date']} – {points[-1]['date']}: {figure(str(known[0]), unit)} → {figure(str(known[-1]), unit)}"
    )
    kind = "chart" if axis else "spark"
    return Markup(
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
        f' aria-label="{said}">'
        f"{''.join(parts)}</svg>"
    )


def _runs(
    values: Sequence[Decimal | None], starts: set[int], x: Callable[[int], float], y: Callable[[Decimal], float]
) -> list[str]:
    """Points of each unbroken stretch; a new one begins after a gap and at each of `starts`."""
    runs: list[list[str]] = [[]]
    for i, value in enumerate(values):
        if value is None or i in starts:
            runs.append([])
        if value is not None:
            runs[-1].append(f"{x(i)},{y(value)}")
    return [" ".join(run) for run in runs if len(run) > 1]
