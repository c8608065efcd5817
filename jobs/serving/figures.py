"""What was reported before a release, read from the mart: the report is made without Spark."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from sqlalchemy import select

from jobs.ledger.database import Ledger
from jobs.ledger.models import Unit
from jobs.serving.mart_schema import RELEASE

TABLE = "kpi_values"
# The same day of the month before is at most 31 days back, and so is that month's end; a trend takes 30.
HISTORY_DAYS = 62


def former_figures(ledger: Ledger, release_id: int, day: date) -> list[dict[str, Any]]:
    """Rows of kpi_values that earlier releases published: the day's own at all grains, and the bank's totals of the 62
    days before.

    Later releases are not looked at, so that a report can be made again. Empty before the first publication.
    """
    with ledger.begin() as db:
        raw: psycopg.Connection[Any] = db.connection.driver_connection  # type: ignore[assignment]
        mart = f"{ledger.profile}_mart"
        if raw.execute("select to_regclass(%s)", (f'"{mart}".{TABLE}',)).fetchone() == (None,):
            return []
        query = sql.SQL(
            "select * from {base} where {release} < %s and (as_of_date = %s or as_of_date between %s and %s"
            " and business_line is null and province_code is null and branch_id is null) order by {release}"
        ).format(base=sql.Identifier(mart, TABLE), release=sql.Identifier(RELEASE))
        with raw.cursor(row_factory=dict_row) as cursor:
            first, last = day - timedelta(days=HISTORY_DAYS), day - timedelta(days=1)
            return cursor.execute(query, (release_id, day, first, last)).fetchall()


def branch_names(ledger: Ledger) -> dict[str, str]:
    """Branch id -> its newest name, of the released branch history."""
    with ledger.begin() as db:
        rows = db.execute(select(Unit.branch_id, Unit.name).order_by(Unit.valid_from))
        return {row.branch_id: row.name for row in rows}
