"""From rows of kpi_values, through the mart, to the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa
from sqlalchemy import insert, select

from jobs.ledger.database import Ledger
from jobs.ledger.models import Release, Unit
from jobs.serving import mart, report
from jobs.serving.figures import former_figures
from tests.serving import sample
from tests.serving.conftest import catalog_of, table

PLAIN = {"classification": "C1/1"}
TYPES = {
    "as_of_date": "date!",
    "numerator": "decimal(28,6)",
    "denominator": "decimal(28,6)",
    "value": "decimal(18,6)",
    "expected_units": "int!",
    "received_units": "int!",
    "is_provisional": "boolean!",
    "restatement_no": "int!",
}
KPI_VALUES = table(
    "gold.kpi_values",
    {name: [TYPES.get(name, "string"), PLAIN] for name in sample.row("K1", "count_share", "day", sample.DAY, 1, 2)},
    primaryKey=[
        "kpi_id", "period_kind", "period", "as_of_date", "legal_entity_id", "business_line", "province_code",
        "branch_id", "measure", "release_id",
    ],
    history="append",
    mart={"scope": {"branch": "branch_id", "province": "province_code"}},
)  # fmt: skip


def test_the_report_of_a_release_can_be_made_again_after_a_restatement(
    ledger: Ledger, released: Callable[..., int], tmp_path: Path
) -> None:
    catalog = replace(catalog_of(KPI_VALUES), kpis=sample.catalog().kpis)
    schema = mart.MartTable(KPI_VALUES).arrow_schema()
    with ledger.begin() as db:
        db.execute(insert(Unit).values(branch_id="b03", valid_from=date(2020, 1, 1), name="Jinan Old Town"))

    def publish(rows: list[dict], **release: object) -> int:
        release_id = released(tables=(KPI_VALUES,), **release)
        mart.publish(ledger, catalog, release_id, {"gold.kpi_values": pa.Table.from_pylist(rows, schema=schema)}, "r")
        return release_id

    def k1(release_id: int, rows: list[dict]) -> dict:
        with ledger.begin() as db:
            release = db.execute(select(*Release.__table__.columns).where(Release.release_id == release_id)).one()
        path = report.write(ledger, catalog, release, rows, tmp_path)
        return json.loads(path.with_suffix(".json").read_text("utf-8"))["kpis"][0]

    days = list(sample.month())
    before, live = [r for r in days if r["as_of_date"] < sample.DAY], [r for r in days if r["as_of_date"] == sample.DAY]
    live += sample.divided()
    late = {"release_id": "v2", "restatement_no": 1, "restatement_reason": "late"}
    restated = [sample.row("K1", "count_share", "mtd", sample.DAY, 50, 100, **late)]
    publish(before, day=date(2026, 8, 1), to_date=date(2026, 9, 14))
    first = publish(live, day=sample.DAY)
    second = publish(restated, day=sample.DAY, version=2)

    one, two = k1(first, live), k1(second, restated)
    assert (one["value"], one["restatement"]) == ("0.469572", None)
    assert (two["value"], two["restatement"]["former_value"]) == ("0.5", "0.469572")
    assert [g["dimension"] for g in two["breakdown"]] == ["business_line", "province_code", "branch_id"]
    assert "Jinan Old Town" in [r["title"]["en"] for r in two["breakdown"][2]["rows"]]
    assert one["previous"]["value"] == two["previous"]["value"] is not None
    assert None not in [point["value"] for point in one["trend"]["points"]]


def test_before_the_first_publication_nothing_was_reported(ledger: Ledger) -> None:
    assert former_figures(ledger, 1, sample.DAY) == []
