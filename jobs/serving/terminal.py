"""The KPI table in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from jobs.serving.render import NOT_AVAILABLE, change, figure, percent, verdict

HEADS = {
    "en": ("KPI", "Value", "Period", "Target", "Attained", "Previous", "Guards", "Data"),
    "zh": ("指标", "数值", "期间", "目标", "完成率", "上期", "约束指标", "数据"),
}


def kpi_table(data: Mapping[str, Any], language: Literal["en", "zh"] = "en") -> Table:
    """One line a KPI from `report_data`: value, target, attainment, previous period, guards, deliveries received of
    those expected."""
    title = f"{data['bank'][language]} · {data['business_date']} · v{data['version']} · {data['kind_title'][language]}"
    table = Table(title=title, title_justify="left", show_lines=False, header_style="bold")
    for head in HEADS[language]:
        table.add_column(
            head, justify="right" if head in HEADS[language][1:6] and head != HEADS[language][2] else "left"
        )
    for kpi in data["kpis"]:
        table.add_row(*_line(kpi, data["currency"], language))
    return table


def _line(kpi: Mapping[str, Any], currency: str, language: str) -> list[str | Text]:
    target, previous, coverage = kpi["target"], kpi["previous"], kpi["coverage"]
    moved = change(previous, kpi["unit"])
    before = figure(previous["value"], kpi["unit"], currency) + (f" ({moved[language]})" if moved else "")
    colour = {"better": "green", "worse": "red", "": ""}[verdict(kpi)]
    guards = ", ".join(f"{g['id']} {figure(g['value'], g['unit'], currency)}" for g in kpi["guards"]) or "–"
    data = NOT_AVAILABLE if coverage is None else f"{coverage['received']}/{coverage['expected']}"
    marks = {"en": (" provisional", " restated"), "zh": (" 暂定", " 更正")}[language]
    data += (marks[0] if kpi["is_provisional"] else "") + (marks[1] if kpi["restatement"] else "")
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
