"""The KPI report's content: one JSON-able dict from which HTML, JSON and the terminal's table are made.

Figures travel as text, exactly as they are stored; null stays null and is shown as n/a (rules R3, R11). Nothing is
computed here that is not on the face of the report: attainment, the difference from the previous period, and the place
of a figure in its history.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jobs.contracts.catalog import Catalog
from jobs.contracts.kpi import Kpi
from jobs.ledger import days
from jobs.ledger.database import Ledger
from jobs.serving.figures import branch_names, former_figures
from jobs.serving.labels import (
    BUSINESS_LINES,
    DIMENSIONS,
    KINDS,
    LEGAL_ENTITIES,
    MEASURE_NAMES,
    MEASURES,
    PERIODS,
    PROVINCES,
    Label,
    approved_label,
    cause_label,
    closed_label,
    label,
)

TREND_DAYS = 30
# Attainment never counts for more than this, nor below nought (kpis.md, appraisal).
MOST_ATTAINMENT = Decimal("1.2")
GRAINS = tuple(DIMENSIONS)
Row = Mapping[str, Any]


def report_data(
    values: Iterable[Row],
    history: Iterable[Row],
    catalog: Catalog,
    release: Row,
    *,
    names: Mapping[str, str] | None = None,
    approved_by: str | None = None,
) -> dict[str, Any]:
    """What the report of a release says of its last business date.

    `values`: rows of kpi_values as of that date, at all grains; `history`: rows of earlier dates (the last 30 days and
    the month before suffice; totals suffice), former statements of the same figures included. `release`: its row of
    the ledger. `names`: branch or entity id -> name. Of several statements of one figure the newest is taken. `approved_by`: who let a day of a closed month
    be told anew.
    """
    day: date = release["to_date"]
    book = _Book([*values, *history])
    kpis = [_kpi(kpi, book, day, catalog) for kpi in sorted(catalog.kpis.values(), key=_order)]
    for entry in kpis:
        for group in entry["breakdown"]:
            for line in group["rows"]:
                line["title"] = _titled(group["dimension"], line["key"], names or {})
    zone = ZoneInfo(catalog.profile.zone)
    released_at: datetime = release["released_at"]
    closes = catalog.profile.closes(day)
    is_closed = closes is not None and released_at.astimezone(zone).date() >= closes
    return {
        "bank": dict(catalog.profile.title),
        "profile": catalog.profile.profile,
        "currency": catalog.profile.currency,
        "language": "zh" if catalog.profile.currency == "CNY" else "en",
        "business_date": day.isoformat(),
        "from_date": release["from_date"].isoformat(),
        "version": release["version"],
        "kind": release["kind"],
        "kind_title": label(KINDS, release["kind"]),
        "cause": release["cause"],
        "cause_title": cause_label(release["cause"]),
        "release_id": release["release_id"],
        "run_id": release["run_id"],
        "released_at": f"{released_at.astimezone(zone):%Y-%m-%d %H:%M} {catalog.profile.zone}",
        "coverage": {"expected": release["expected_units"], "received": release["received_units"]},
        "is_provisional": release["received_units"] < release["expected_units"] or bool(release["missing"]),
        "missing": _missing(release["missing"], names or {}),
        **closing(closes, is_closed=is_closed),
        "approved_title": approved_label(approved_by) if approved_by else None,
        "kpis": kpis,
    }


def closing(closes: date | None, *, is_closed: bool) -> dict[str, Any]:
    """The day from which on the day's month is closed (None: it never is), and what is to be said of it once it is."""
    return {
        "month_closes": closes.isoformat() if closes else None,
        "closed_title": closed_label(closes.isoformat()) if closes and is_closed else None,
    }


def _order(kpi: Kpi) -> tuple[int, str]:
    digits = "".join(c for c in kpi.id if c.isdigit())
    return (int(digits) if digits else 10**6, kpi.id)


# --- figures ---


class _Book:
    """Rows of kpi_values, by figure: the newest statement of each, and those before it."""

    def __init__(self, rows: Sequence[Row]):
        self._statements: dict[tuple[Any, ...], list[Row]] = {}
        # A grain column that says the same in all rows of a KPI (one legal entity) does not divide it.
        seen: dict[tuple[str, str], set[Any]] = {}
        for row in rows:
            for column in GRAINS:
                seen.setdefault((row["kpi_id"], column), set()).add(row.get(column))
        self._divides = {key: len(found) > 1 for key, found in seen.items()}
        for row in rows:
            grain = tuple(row.get(c) if self._divides[row["kpi_id"], c] else None for c in GRAINS)
            key = (row["kpi_id"], row["measure"], row["period_kind"], row["as_of_date"], grain)
            self._statements.setdefault(key, []).append(row)
        for statements in self._statements.values():
            statements.sort(key=lambda row: row["restatement_no"])

    def total(self, kpi: str, measure: str, kind: str, as_of: date) -> Row | None:
        return self._newest((kpi, measure, kind, as_of, (None,) * len(GRAINS)))

    def former(self, kpi: str, measure: str, kind: str, as_of: date) -> Row | None:
        """The statement that the newest one replaced."""
        statements = self._statements.get((kpi, measure, kind, as_of, (None,) * len(GRAINS)), [])
        return statements[-2] if len(statements) > 1 else None

    def along(self, kpi: str, measure: str, kind: str, as_of: date, dimension: str) -> dict[str, Row]:
        """Value of the dimension -> newest row, of the rows divided by that dimension alone (a branch may name its
        province)."""
        implied = {"branch_id": {"branch_id", "province_code"}}.get(dimension, {dimension})
        found = {}
        for key, statements in self._statements.items():
            divided = {c for c, v in zip(GRAINS, key[4], strict=True) if v is not None}
            if key[:4] == (kpi, measure, kind, as_of) and dimension in divided and divided <= implied:
                found[statements[-1][dimension]] = statements[-1]
        return dict(sorted(found.items()))

    def _newest(self, key: tuple[Any, ...]) -> Row | None:
        statements = self._statements.get(key)
        return statements[-1] if statements else None


def _kpi(kpi: Kpi, book: _Book, day: date, catalog: Catalog) -> dict[str, Any]:
    kind = _shown_period(kpi, book, day)
    row = book.total(kpi.id, kpi.headline, kind, day)
    former = book.former(kpi.id, kpi.headline, kind, day)
    value = row["value"] if row else None
    return {
        "id": kpi.id,
        "name": kpi.name,
        "title": dict(kpi.title),
        "definition": dict(kpi.definition),
        "unit": unit_of(kpi, kpi.headline),
        "direction": kpi.direction,
        "definition_version": row["definition_version"] if row else kpi.version,
        "effective_from": kpi.effective_from.isoformat(),
        "additivity": kpi.additivity,
        "owner": kpi.owner,
        "feeds": list(kpi.feeds),
        "headline": kpi.headline,
        "measure_title": label(MEASURE_NAMES, kpi.headline),
        "period_kind": kind,
        "period": period_title(kind, day),
        "value": _text(value),
        "numerator": _text(row["numerator"] if row else None),
        "denominator": _text(row["denominator"] if row else None),
        "target": _target(kpi, value, day),
        "previous": _previous(kpi, book, kind, day, value),
        "trend": _trend(kpi, book, day),
        "guards": [_guard(guard, book, day, catalog) for guard in kpi.guards],
        "coverage": {"expected": row["expected_units"], "received": row["received_units"]} if row else None,
        "is_provisional": bool(row and row["is_provisional"]),
        "restatement": _restatement(row, former),
        "measures": [_measure(kpi, name, book, day) for name in kpi.measures],
        "breakdown": [
            {"dimension": d, "title": DIMENSIONS[d].as_dict(), "rows": rows}
            for d in GRAINS
            if (rows := [_line(k, r) for k, r in book.along(kpi.id, kpi.headline, kind, day, d).items()])
        ],
    }


def unit_of(kpi: Kpi, measure: str) -> str:
    """A measure with a denominator is a ratio; one without is what the definition counts."""
    if measure in kpi.measures and kpi.measures[measure].denominator is None:
        return "count" if kpi.unit == "ratio" else kpi.unit
    return "ratio" if kpi.unit in ("ratio", "count") else kpi.unit


def _shown_period(kpi: Kpi, book: _Book, day: date) -> str:
    """Management reads the month; a KPI that is told by the day only is shown for the day."""
    declared = [kind for kind in ("mtd", "month", "day") if kind in kpi.periods]
    return next((kind for kind in declared if book.total(kpi.id, kpi.headline, kind, day)), declared[0])


def period_title(kind: str, day: date) -> dict[str, str]:
    if kind == "day":
        return {"en": f"{day:%-d %b %Y}", "zh": f"{day.year}年{day.month}月{day.day}日"}
    if kind == "mtd":
        first = f"1–{day.day}" if day.day > 1 else "1"
        return {"en": f"{first} {day:%b}, to date", "zh": f"{day.month}月{first}日累计"}
    return {"en": f"{day:%b %Y}", "zh": f"{day.year}年{day.month}月"}


def _target(kpi: Kpi, value: Decimal | None, day: date) -> dict[str, Any] | None:
    """The target in force and how far it is attained: value / target when higher is better, target / value when lower
    is, from 0 to 1.2."""
    if kpi.target is None or (kpi.target.valid_from and kpi.target.valid_from > day):
        return None
    target = Decimal(str(kpi.target.value))
    attainment = None
    if value is not None and kpi.direction in ("higher", "lower"):
        over, under = (value, target) if kpi.direction == "higher" else (target, value)
        attainment = MOST_ATTAINMENT if under == 0 else min(max(over / under, Decimal(0)), MOST_ATTAINMENT)
    return {
        "value": _text(target),
        "attainment": None if attainment is None else str(round(attainment, 4)),
        "is_met": None if attainment is None else attainment >= 1,
    }


def _previous(kpi: Kpi, book: _Book, kind: str, day: date, value: Decimal | None) -> dict[str, Any]:
    """Like for like: month to date is held against the same day of the month before, or else against that whole
    month."""
    last_of_month_before = day.replace(day=1) - timedelta(days=1)
    candidates = {
        "day": [("day", day - timedelta(days=1))],
        "month": [("month", last_of_month_before)],
        "mtd": [
            ("mtd", last_of_month_before.replace(day=min(day.day, last_of_month_before.day))),
            ("month", last_of_month_before),
        ],
    }[kind]
    chosen, row = candidates[0], None
    for candidate in candidates:
        row = book.total(kpi.id, kpi.headline, *candidate)
        if row is not None:
            chosen = candidate
            break
    before = row["value"] if row else None
    change = None if value is None or before is None else value - before
    share = None if change is None or not before else change / abs(before)
    return {
        "period_kind": chosen[0],
        "period": period_title(*chosen),
        "value": _text(before),
        "change": _text(change),
        "relative_change": None if share is None else str(round(share, 4)),
    }


def _trend(kpi: Kpi, book: _Book, day: date) -> dict[str, Any]:
    """The last 30 days, of the day's own figures where the KPI has them: a month to date falls back on the first of
    each month."""
    kind, points = "month", list[dict[str, Any]]()
    for kind in ("day", "mtd", "month"):
        if kind not in kpi.periods:
            continue
        points = []
        for back in range(TREND_DAYS - 1, -1, -1):
            at = day - timedelta(days=back)
            row = book.total(kpi.id, kpi.headline, kind, at)
            points.append({"date": at.isoformat(), "value": _text(row["value"] if row else None)})
        if sum(p["value"] is not None for p in points) > 1:
            break
    return {"period_kind": kind, "title": PERIODS[kind].as_dict(), "points": points}


def _guard(guard: str, book: _Book, day: date, catalog: Catalog) -> dict[str, Any]:
    """The risk or cost measure beside a growth measure (R14). One that is not computed yet is shown as n/a, never left
    out."""
    kpi = catalog.kpis.get(guard)
    if kpi is None:
        return {
            "id": guard,
            "title": label(MEASURES, guard),
            "value": None,
            "unit": "ratio",
            "period": None,
            "is_computed": False,
        }
    kind = _shown_period(kpi, book, day)
    row = book.total(kpi.id, kpi.headline, kind, day)
    return {
        "id": guard,
        "title": dict(kpi.title),
        "value": _text(row["value"] if row else None),
        "unit": unit_of(kpi, kpi.headline),
        "period": period_title(kind, day),
        "is_computed": row is not None,
    }


def _measure(kpi: Kpi, name: str, book: _Book, day: date) -> dict[str, Any]:
    """One measure in each declared period as of the day: numerator, denominator, value, and the expressions they are
    sums of."""
    periods = []
    for kind in kpi.periods:
        row = book.total(kpi.id, name, kind, day)
        if row is not None:
            figures = {c: _text(row[c]) for c in ("numerator", "denominator", "value")}
            periods.append(
                {"kind": kind, "title": PERIODS[kind].as_dict(), "period": period_title(kind, day), **figures}
            )
    measure = kpi.measures[name]
    return {
        "name": name,
        "title": label(MEASURE_NAMES, name),
        "unit": unit_of(kpi, name),
        "numerator_sql": measure.numerator,
        "denominator_sql": measure.denominator,
        "periods": periods,
    }


def _line(key: str, row: Row) -> dict[str, Any]:
    return {
        "key": key,
        **{c: _text(row[c]) for c in ("value", "numerator", "denominator")},
        "coverage": {"expected": row["expected_units"], "received": row["received_units"]},
        "is_provisional": bool(row["is_provisional"]),
    }


def _restatement(row: Row | None, former: Row | None) -> dict[str, Any] | None:
    if row is None or not row["restatement_no"]:
        return None
    return {
        "number": row["restatement_no"],
        "reason": row["restatement_reason"],
        "reason_title": cause_label(row["restatement_reason"]),
        "former_value": _text(former["value"]) if former else None,
    }


def _titled(dimension: str, key: str, names: Mapping[str, str]) -> dict[str, str]:
    words: dict[str, dict[str, Label]] = {
        "business_line": BUSINESS_LINES,
        "province_code": PROVINCES,
        "legal_entity_id": LEGAL_ENTITIES,
        "branch_id": {},
    }
    return label(words[dimension], key, names.get(key))


def _missing(lanes: Sequence[str], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Lanes `feed|entity|date` that had not arrived, by entity, each with the feeds it still owes."""
    owed: dict[str, list[str]] = {}
    for lane in lanes:
        feed, entity, _ = str(lane).split("|")
        owed.setdefault(entity, []).append(feed)
    return [{"entity": e, "name": names.get(e, e), "feeds": sorted(feeds)} for e, feeds in sorted(owed.items())]


def _text(value: Any) -> str | None:
    """A figure as plain text: no exponent, no trailing zeros."""
    if value is None:
        return None
    text = format(Decimal(value), "f")
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


# --- files ---


def write(ledger: Ledger, catalog: Catalog, release: Any, values: Iterable[Row], folder: Path) -> Path:
    """Make and write the report of a release (its ledger row) from the rows of kpi_values that it added; see
    `write_report`."""
    release = dict(release._mapping)
    former = former_figures(ledger, release["release_id"], release["to_date"])
    with ledger.begin() as db:
        approved_by = days.get(db, release["run_key"]).approved_by
    told = report_data(values, former, catalog, release, names=branch_names(ledger), approved_by=approved_by)
    return write_report(told, folder)


def write_report(data: Mapping[str, Any], folder: Path) -> Path:
    """Write `kpi_<date>_v<N>.html` and `.json`, and `latest.html` when no later report stands in the folder. Each
    appears whole.

    Returns the HTML's path. Written again for the same version, the files are replaced by equal ones.
    """
    from jobs.serving.render import render_html

    folder.mkdir(parents=True, exist_ok=True)
    stem = f"kpi_{data['business_date']}_v{data['version']}"
    html = render_html(data)
    _write_whole(folder / f"{stem}.json", json.dumps(data, ensure_ascii=False, indent=1) + "\n")
    _write_whole(folder / f"{stem}.html", html)
    if max((_rank(path) for path in folder.glob("kpi_*_v*.html")), default=("", 0)) == _rank(folder / f"{stem}.html"):
        _write_whole(folder / "latest.html", html)
    return folder / f"{stem}.html"


def _rank(path: Path) -> tuple[str, int]:
    _, day, version = path.stem.split("_")
    return (day, int(version[1:]))


def _write_whole(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
