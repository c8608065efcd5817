"""A bank's month of figures, invented but plausible, for the report's tests and for looking at the page."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from jobs.contracts.catalog import Catalog, Profile
from jobs.contracts.kpi import Kpi

DAY = date(2026, 9, 15)
FIRST = date(2026, 8, 1)
NAMES = {
    "b01": "Chaoyang Road",
    "b02": "Haidian South Gate",
    "b03": "Jinan Old Town",
    "b04": "Qingdao Harbour",
    "b05": "Tianhe Plaza",
    "b06": "Foshan Market",
}
BRANCHES = {"b01": "11", "b02": "11", "b03": "37", "b04": "37", "b05": "44", "b06": "44"}
LINES = {"savings": 0.30, "fund": 0.34, "insurance": 0.17, "payment": 0.19}
MISSING = ["core_balances|b03|2026-09-15", "core_transactions|b03|2026-09-15"]


def definition(
    kpi_id: str, name: str, en: str, zh: str, words_en: str, words_zh: str, measures: dict, **rest: Any
) -> Kpi:
    given = {
        "id": kpi_id,
        "name": name,
        "title": {"en": en, "zh": zh},
        "definition": {"en": words_en, "zh": words_zh},
        "version": "1.0.0",
        "effectiveFrom": "2026-01-01",
        "base": "valid_sales",
        "periods": ["day", "mtd"],
        "measures": measures,
        "headline": next(iter(measures)),
        "additivity": "A",
        "direction": "higher",
        "tables": ["silver.sales"],
        "owner": "e-banking",
        "tags": [],
    }
    feeds = rest.pop("feeds", ["online_sales"])
    return Kpi.model_validate(given | rest).of_feeds(feeds)


KPIS = [
    definition(
        "K1",
        "online_sales_share",
        "Online share of sales",
        "产品网络销售占比",
        "Of all product sales completed in the period, the part that the customer started and completed online. "
        "Sales found online and signed at the counter count as counter sales.",
        "报告期内完成的全部产品销售中，由客户在线上自主发起并完成的部分。线上了解、柜面签约的，计入柜面。",
        {
            "count_share": {"numerator": "CASE WHEN completed_online THEN 1 ELSE 0 END", "denominator": "1"},
            "amount_share": {
                "numerator": "CASE WHEN completed_online THEN net_amount ELSE 0 END",
                "denominator": "net_amount",
            },
        },
        guards=["K41", "K33", "K12"],
        target={"value": 0.45},
    ),
    definition(
        "K4",
        "off_counter_transaction_share",
        "Off-counter rate",
        "离柜率",
        "Share of customers' financial transactions made anywhere but at the counter.",
        "客户金融交易中不经柜面办理的比例。",
        {"count_share": {"numerator": "CASE WHEN is_off_counter THEN 1 ELSE 0 END", "denominator": "1"}},
        base="valid_transactions",
        guards=["K36", "K28"],
        feeds=["core_transactions"],
        target={"value": 0.9},
        owner="channels",
    ),
    definition(
        "K5",
        "digital_active_customers",
        "Digital monthly active customers",
        "数字月活客户数",
        "Distinct customers with at least one meaningful event on web, mobile, mini program "
        "or open interface in the month.",
        "当月在网银、手机银行、小程序或开放接口至少有一次有效操作的客户数（去重）。",
        {
            "mau": {"numerator": "CASE WHEN is_digital THEN 1 ELSE 0 END"},
            "rate": {
                "numerator": "CASE WHEN is_digital AND is_active THEN 1 ELSE 0 END",
                "denominator": "CASE WHEN is_active THEN 1 ELSE 0 END",
            },
        },
        base="party_windows",
        periods=["mtd", "month"],
        additivity="N",
        unit="count",
        guards=["K36", "K12"],
        feeds=["app_events"],
    ),
    definition(
        "K8",
        "digital_acquisition_share",
        "Digital acquisition",
        "线上获客占比",
        "New customers whose first account was opened through an online channel, as a share of new customers.",
        "首个账户通过线上渠道开立的新客户占全部新客户的比例。",
        {"share": {"numerator": "CASE WHEN is_online THEN 1 ELSE 0 END", "denominator": "1"}},
        base="accounts_opened",
        guards=["K39", "K30"],
        feeds=["core_accounts"],
        target={"value": 0.5},
    ),
    definition(
        "K34",
        "non_performing_loan_ratio",
        "Non-performing loan ratio",
        "不良贷款率",
        "Balance classed substandard, doubtful or loss, as a share of the loan balance at the end of the period.",
        "期末次级、可疑、损失类贷款余额占全部贷款余额的比例。",
        {"ratio": {"numerator": "CASE WHEN is_non_performing THEN balance ELSE 0 END", "denominator": "balance"}},
        base="loans_as_of",
        periods=["day"],
        additivity="S",
        direction="lower",
        feeds=["loan_daily"],
        target={"value": 0.015},
        owner="risk",
    ),
]


def catalog(currency: str = "CNY") -> Catalog:
    profile = Profile(
        profile="demo",
        title={"en": "Demo Postal Bank", "zh": "演示邮政银行"},
        zone="Asia/Shanghai",
        currency=currency,
        calendar="every_day",
    )
    return Catalog(profile, {}, {}, {kpi.id: kpi for kpi in KPIS}, {})


def row(
    kpi_id: str, measure: str, kind: str, day: date, numerator: Any, denominator: Any = None, **rest: Any
) -> dict[str, Any]:
    """One row of kpi_values, with its value divided as the pipeline does."""
    if kpi_id == "K5" and measure == "mau":
        value = Decimal(numerator)
    else:
        value = (
            None
            if not denominator
            else (Decimal(numerator) / Decimal(denominator)).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
        )
    base = {
        "release_id": f"{day}|v1",
        "kpi_id": kpi_id,
        "definition_version": "1.0.0",
        "period_kind": kind,
        "as_of_date": day,
        "period": f"{day:%Y-%m-%d}" if kind == "day" else f"{day:%Y-%m}",
        "legal_entity_id": None,
        "business_line": None,
        "province_code": None,
        "branch_id": None,
        "measure": measure,
        "numerator": Decimal(numerator),
        "denominator": None if denominator is None else Decimal(denominator),
        "value": value,
        "expected_units": 14,
        "received_units": 14,
        "is_provisional": False,
        "restatement_no": 0,
        "restatement_reason": None,
        "run_id": "business_day__2026-09-15",
    }
    return base | rest


def release(**rest: Any) -> dict[str, Any]:
    base = {
        "release_id": 37,
        "from_date": DAY,
        "to_date": DAY,
        "version": 1,
        "kind": "final",
        "cause": "complete",
        "expected_units": 51,
        "received_units": 51,
        "missing": [],
        "run_id": "business_day__2026-09-15",
        "released_at": datetime(2026, 9, 15, 15, 12, tzinfo=UTC),
    }
    return base | rest


def _wave(day: date, base: float, width: float, phase: float = 0.0) -> float:
    n = (day - FIRST).days
    return base + width * (0.02 * n + 0.5 * math.sin(n / 3.2 + phase) + 0.25 * math.sin(n * 2.1 + phase))


def month() -> Iterator[dict[str, Any]]:
    """Total rows of every day from 1 August to 15 September."""
    running: dict[tuple[str, str], list[int]] = {}
    for n in range((DAY - FIRST).days + 1):
        day = FIRST + timedelta(days=n)
        if day.day == 1:
            running = {}
        for kpi_id, measure, base, width, denominator in (
            ("K1", "count_share", 0.43, 0.06, 420),
            ("K1", "amount_share", 0.36, 0.07, 1_265_300),
            ("K4", "count_share", 0.872, 0.02, 3050),
            ("K8", "share", 0.47, 0.2, 22),
        ):
            whole = denominator + 13 * (n % 7)
            part = round(whole * _wave(day, base, width))
            yield row(kpi_id, measure, "day", day, part, whole)
            sums = running.setdefault((kpi_id, measure), [0, 0])
            sums[0] += part
            sums[1] += whole
            yield row(kpi_id, measure, "mtd", day, *sums)
        mau = round(1480 * (1 - math.exp(-day.day / 7)))
        yield row("K5", "mau", "mtd", day, mau)
        yield row("K5", "rate", "mtd", day, mau - 40, 1987)
        yield row("K34", "ratio", "day", day, round(_wave(day, 612_000, 9_000)), 41_230_000)


def divided() -> Iterator[dict[str, Any]]:
    """The last day's month to date by business line, province and branch."""
    for i, (line, share) in enumerate(LINES.items()):
        whole = round(6300 * share)
        yield row("K1", "count_share", "mtd", DAY, round(whole * (0.30 + 0.11 * i)), whole, business_line=line)
    yield row("K1", "count_share", "mtd", DAY, 0, 0, business_line="bond")
    for i, (branch, province) in enumerate(BRANCHES.items()):
        for kpi_id, measure, base, whole in (("K1", "count_share", 0.52, 1050), ("K4", "count_share", 0.93, 7600)):
            share = base - 0.035 * i
            yield row(
                kpi_id, measure, "mtd", DAY, round(whole * share), whole, branch_id=branch, province_code=province
            )
    for i, province in enumerate(("11", "37", "44")):
        for kpi_id, measure, base, whole in (("K1", "count_share", 0.50, 2100), ("K4", "count_share", 0.91, 15200)):
            yield row(kpi_id, measure, "mtd", DAY, round(whole * (base - 0.06 * i)), whole, province_code=province)
        yield row("K5", "mau", "mtd", DAY, 540 - 60 * i, province_code=province)


def provisional(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same rows of the last day, with a branch that has not delivered."""
    late = {"K1": 14, "K5": 14, "K4": 12, "K8": 13, "K34": 14}
    return [
        r | {"received_units": late[r["kpi_id"]], "is_provisional": late[r["kpi_id"]] < 14}
        if r["as_of_date"] == DAY
        else r
        for r in rows
    ]
