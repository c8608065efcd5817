"""The KPI table in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from rich.box import HEAVY_HEAD
from rich.table import Table
from rich.text import Text

from jobs.serving.render import NOT_AVAILABLE, change, figure, percent, verdict

PERIOD, GUARDS = 2, 6
FIGURES, MOVED = (1, 3, 4, 5), (PERIOD, GUARDS)
HEADS = {
    "en": ("KPI", "Value", "Period", "Target", "Attained", "Previous", "Guards", "Data"),
    "zh": ("指标", "数值", "期间", "目标", "完成率", "上期", "约束指标", "数据"),
}
# Below so many columns period and guards stand under the KPI's name.
WIDE = 120


def kpi_table(data: Mapping[str, Any], language: Literal["en", "zh"] = "en", width: int = WIDE) -> Table:
    """One line a KPI from `report_data`: value, target, attainment, previous period, guards, deliveries received of
    those expected. No word is cut off on a terminal of 80 columns."""
    narrow = width < WIDE
    title = f"{data['bank'][language]} · {data['business_date']} · v{data['version']} · {data['kind_title'][language]}"
    table = Table(title=title, title_justify="left", header_style="bold", box=None if narrow else HEAVY_HEAD)
    notes = [_provisional(data, language)] if data["is_provisional"] else []
    notes += [Text(data[title][language]) for title in ("closed_title", "approved_title") if data[title]]
    if notes:
        table.caption, table.caption_justify = Text("\n").join(notes), "left"
    heads = HEADS[language]
    for n, head in enumerate(heads):
        if not narrow or n not in MOVED:
            table.add_column(head, justify="right" if n in FIGURES else "left", overflow="fold")
    for kpi in data["kpis"]:
        cells = _line(kpi, data["currency"], language)
        if narrow:
            below = [f"{heads[n]} {cells[n]}" if n == GUARDS else str(cells[n]) for n in MOVED if str(cells[n]) != "–"]
            cells[0] = Text(str(cells[0])).append("".join(f"\n{text}" for text in below), style="dim")
            cells = [cell for n, cell in enumerate(cells) if n not in MOVED]
        table.add_row(*cells)
    return table


def _provisional(data: Mapping[str, Any], language: str) -> Text:
    """Below the table of a day that lacks something, whatever its version is called: how much has come, and who still owes what."""
    seen = data["coverage"]
    received = f"{seen['received']}/{seen['expected']}"
    lacking = "; ".join(f"{unit['name']}: {', '.join(unit['feeds'])}" for unit in data["missing"])
    said = {
        "en": f"Provisional: {received} deliveries have come. Missing: {lacking or '–'}",
        "zh": f"暂定数据：已到 {received}。缺失：{lacking or '–'}",
    }
    return Text(said[language], style="yellow")


def _line(kpi: Mapping[str, Any], currency: str, language: str) -> list[str | Text]:
    target, previous, coverage = kpi["target"], kpi["previous"], kpi["coverage"]
    moved = change(previous, kpi["unit"])
    before = figure(previous["value"], kpi["unit"], currency) + (f" ({moved[language]})" if moved else "")
    colour = {"better": "green", "worse": "red", "": ""}[verdict(kpi)]
    guards = ", ".join(f"{g['id']} {figure(g['value'], g['unit'], currency)}" for g in kpi["guards"]) or "–"
    # Streams owe no deliveries: there is nothing to count.
    data = f"{coverage['received']}/{coverage['expected']}" if coverage and coverage["expected"] else NOT_AVAILABLE
    marks = {"en": (" provisional", " restated", ", was "), "zh": (" 暂定", " 更正", "，原为 ")}[language]
    data += (marks[0] if kpi["is_provisional"] else "") + (marks[1] if kpi["restatement"] else "")
    if (former := (kpi["restatement"] or {}).get("former_value")) is not None:
        data += marks[2] + figure(former, kpi["unit"], currency)
    return [
        f"{kpi['id']} {kpi['title'][language]}",
        Text(figure(kpi["value"], kpi["unit"], currency), style="bold"),
        kpi["period"][language],
        figure(target["value"], kpi["unit"], currency) if target else "–",
        percent(target["attainment"]) if target else "–",
        Text(before, style=colour),
        guards,
        data,
    ]
