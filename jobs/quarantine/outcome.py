"""What came of a fix: the restatements that have it, and the figures that they changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from jobs.bank import Bank
from jobs.ledger import fixes, releases
from jobs.ledger.models import DayRun, DeliveryDate, Release

MOST_DECIMALS = 10


@dataclass(frozen=True)
class Effect:
    """What a fix changed in one figure. Grain columns that are null mean all of it."""

    kpi_id: str
    period_kind: str
    as_of_date: date
    grain: str
    measure: str
    before: Any
    after: Any

    @property
    def told(self) -> tuple[str, str]:
        """Before and after, with as few decimals, but at least two, as show that they differ; a dash where there was no figure."""
        for decimals in range(2, MOST_DECIMALS + 1):
            before, after = (
                f"{value:,.{decimals}f}" if value is not None else "–" for value in (self.before, self.after)
            )
            if before != after:
                break
        return before, after


def restatements(db: Connection, fix: Row[Any]) -> list[Row[Any]]:
    """The first release of each day that was built from what the fix made, newest day first."""
    found: dict[str, Row[Any]] = {}
    for replay in fixes.replays(db, [fix.fix_id]):
        if replay.state != "done":
            continue
        # A later fix may have had the delivery judged again before its day was told: its batch has both.
        batches_since = fixes.batches_since(db, replay.delivery_id, replay.batch_id)
        keys = [f"{replay.delivery_id}/{batch}" for batch in batches_since]
        dates = select(DeliveryDate.business_date).where(
            DeliveryDate.delivery_id == replay.delivery_id, DeliveryDate.batch_id == replay.batch_id
        )
        for day in db.execute(dates).scalars():
            query = (
                select(*Release.__table__.columns, or_(*(DayRun.deliveries.contains([key]) for key in keys)).label("has_it"))
                .join(DayRun, DayRun.run_key == Release.run_key)
                .where(Release.from_date <= day, Release.to_date >= day)
                .order_by(Release.release_id)
            )  # fmt: skip
            told = db.execute(query).all()
            first = next((n for n, release in enumerate(told) if release.has_it), 0)
            if first:  # the first of all tells the day for the first time: nothing was told otherwise before
                found[told[first].run_key] = told[first]
    return sorted(found.values(), key=lambda r: (r.to_date, r.release_id), reverse=True)


def effects(bank: Bank, fix: Row[Any]) -> list[Effect]:
    """Figures that the restatements after a fix changed, the bank's own first. What else was restated with it is among them (`shares`). None of a table whose
    rows reach no figure."""
    with bank.ledger.begin() as db:
        if releases.FIGURES not in bank.catalog.built_from(fixes.get_case(db, fix.case_id).table_name):
            return []
        made = restatements(db, fix)
    return [effect for release in made for effect in _changed(bank, release)]


def shares(db: Connection, fix: Row[Any]) -> bool:
    """Whether a restatement after the fix had other deliveries, or other batches of them, than the fix's own that the release before it did not have."""
    own = {replay.delivery_id for replay in fixes.replays(db, [fix.fix_id])}
    return any(
        delivery not in own
        for release in restatements(db, fix)
        for delivery in (key.split("/")[0] for key in _parts_changed(db, release))
    )


def _parts_changed(db: Connection, release: Row[Any]) -> set[str]:
    """`delivery/batch` of what a release was built from and the one before it of the same dates was not, and the other way about."""
    runs = (
        select(DayRun.deliveries)
        .join(Release, DayRun.run_key == Release.run_key)
        .where(Release.from_date <= release.to_date, Release.to_date >= release.from_date, Release.release_id <= release.release_id)
        .order_by(Release.release_id.desc())
        .limit(2)
    )  # fmt: skip
    of, before = (set(keys or ()) for keys in db.execute(runs).scalars())
    return of ^ before


CELL = (
    "kpi_id",
    "period_kind",
    "as_of_date",
    "legal_entity_id",
    "business_line",
    "province_code",
    "branch_id",
    "measure",
)
GRAIN = CELL[3:7]


def _changed(bank: Bank, release: Row[Any]) -> list[Effect]:
    """Cells of a release whose figure differs from the statement before."""
    import duckdb

    new = bank.lake.dataset(releases.FIGURES, within={"release_id": (release.run_key, release.run_key)}).to_table()
    with duckdb.connect() as engine:
        engine.register("new", new)
        (bounds,) = engine.execute(
            "select min(as_of_date), max(as_of_date) from new where release_id = $r", {"r": release.run_key}
        ).fetchall()
        if bounds[0] is None:
            return []
        engine.register("every", bank.lake.dataset(releases.FIGURES, within={"as_of_date": bounds}).to_table())
        same = " and ".join(f"b.{column} is not distinct from n.{column}" for column in CELL)
        statement = "kpi_id, period_kind, as_of_date"
        told = ", ".join(f"coalesce(n.{c}, b.{c}) as {c}" for c in CELL)
        new_ones = "create table n as select * from new where release_id = $r and __verdict = 'accepted'"
        engine.execute(new_ones, {"r": release.run_key})
        # A figure that is gone is one that the statement before had; it has the number before that of its statement.
        engine.execute(
            f"create view b as select e.* from every e join (select {statement}, max(restatement_no) as no from n group by all) s using ({statement}) "
            "where e.__verdict = 'accepted' and e.restatement_no = s.no - 1"
        )
        rows = engine.execute(
            f"select * from (select {told}, b.value, n.value, b.numerator, n.numerator from n full join b on {same} "
            "where b.value is distinct from n.value or b.numerator is distinct from n.numerator) "
            f"order by {', '.join(f'{c} nulls first' for c in (*GRAIN, 'kpi_id', 'period_kind', 'measure'))}"
        ).fetchall()
    found = []
    for row in rows:
        cell = dict(zip(CELL, row, strict=False))
        before, after = (row[8], row[9]) if row[8] != row[9] else (row[10], row[11])
        grain = " · ".join(str(cell[c]) for c in GRAIN if cell[c] is not None) or "bank"
        found.append(
            Effect(cell["kpi_id"], cell["period_kind"], cell["as_of_date"], grain, cell["measure"], before, after)
        )
    return found
