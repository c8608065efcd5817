"""A small bank for the mart's tests, on a server with the roles and rights that production has: the ledger's
user is no superuser."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert

from infra.local.secrets import secret
from jobs.contracts.catalog import Catalog, Profile
from jobs.contracts.model import Table
from jobs.ledger.database import Ledger
from jobs.ledger.models import DayRun, Release, ReleaseTable
from jobs.settings import Settings
from tests.postgres import emptied

NOW = datetime(2026, 9, 16, 3, tzinfo=UTC)
PROFILES = itertools.count(1)


@pytest.fixture
def ledger(postgres: Settings) -> Iterator[Ledger]:
    """An empty ledger of a bank of its own, so that tests do not meet each other's roles and schemas."""
    profile = f"served{next(PROFILES)}"
    password = secret(postgres, "postgres_ledgerlake")
    url = f"postgresql+psycopg://ledgerlake:{password}@127.0.0.1:{postgres.postgres_port}/ledgerlake"
    engine = create_engine(url, connect_args={"options": f"-csearch_path={profile}_ledger"})
    yield emptied(Ledger(profile, engine))
    engine.dispose()


def table(address: str, columns: dict, **rest: object) -> Table:
    """A contract with only what the mart looks at."""
    words = {"version": "1.0.0", "description": "d", "grain": "g", "owner": "o", "steward": "s"}
    return Table.model_validate({"table": address, "columns": columns, **words, **rest})


KPI_VALUES = table(
    "gold.kpi_values",
    {
        "release_id": ["string!", {"classification": "C1/1"}],
        "kpi_id": ["string!", {"classification": "C1/1"}],
        "period_kind": ["string!", {"classification": "C1/1"}],
        "as_of_date": ["date!", {"classification": "C1/1"}],
        "province_code": ["string", {"classification": "C1/1"}],
        "branch_id": ["string", {"classification": "C1/1"}],
        "measure": ["string!", {"classification": "C1/1"}],
        "value": ["decimal(18,6)", {"classification": "C1/1"}],
        "restatement_no": ["int!", {"classification": "C1/1"}],
    },
    primaryKey=["kpi_id", "period_kind", "as_of_date", "province_code", "branch_id", "measure", "release_id"],
    history="append",
    mart={"scope": {"branch": "branch_id", "province": "province_code"}},
)
DAILY = table(
    "gold.customer_360_daily",
    {
        "party_id": ["string!", {"classification": "C1/2"}],
        "business_date": ["date!", {"classification": "C1/1"}],
        "account_no": ["string", {"classification": "C2/3"}],
        "birth_date": ["date", {"classification": "C2/3"}],
        "gender": ["string", {"classification": "C2/3", "enum": ["F", "M"]}],
        "balance": ["decimal(18,2)", {"classification": "C2/3"}],
        "holdings": ["array<struct<product:string,count:int>>", {"classification": "C1/2"}],
        "seen_at": ["timestamp", {"classification": "C1/2"}],
        "province_code": ["string", {"classification": "C1/1"}],
        "note": ["string", {"classification": "C1/1"}],
    },
    primaryKey=["party_id", "business_date"],
    history="snapshot",
    mart={"scope": {"province": "province_code"}},
)
BRANCHES = table(
    "silver.branches",
    {
        "branch_id": ["string!", {"classification": "C1/1"}],
        "province_code": ["string!", {"classification": "C1/1"}],
        "is_rural": ["boolean!", {"classification": "C1/1"}],
    },
    primaryKey=["branch_id"],
    history="scd2",
    mart={"scope": {"branch": "branch_id", "province": "province_code"}, "keep": "current"},
)
PRODUCTS = table(
    "gold.product_sums",
    {"product_id": ["string!", {"classification": "C1/1"}], "as_of_date": ["date!", {"classification": "C1/1"}]},
    primaryKey=["product_id", "as_of_date"],
    history="fact",
    mart={},
)


def catalog_of(*tables: Table) -> Catalog:
    profile = Profile(
        profile="demo", title={"en": "Demo", "zh": "示范"}, zone="Asia/Shanghai", currency="CNY", calendar="every_day"
    )
    return Catalog(profile, {t.table: t for t in tables}, {}, {}, {})


@pytest.fixture
def catalog() -> Catalog:
    return catalog_of(KPI_VALUES, DAILY, BRANCHES, PRODUCTS)


@pytest.fixture
def released(ledger: Ledger) -> Callable[..., int]:
    """released(day, version=1, to_date=None, missing=()) -> a release of the four tables, of 14 lanes."""

    def release(
        day: date,
        version: int = 1,
        to_date: date | None = None,
        tables: tuple[Table, ...] = (KPI_VALUES, DAILY, BRANCHES, PRODUCTS),
        missing: tuple[str, ...] = (),
    ) -> int:
        last = to_date or day
        units = {"expected_units": 14, "received_units": 14 - len(missing), "missing": list(missing)}
        with ledger.begin() as db:
            key = f"{day}..{last}|v{version}"
            db.execute(
                insert(DayRun).values(
                    run_key=key,
                    from_date=day,
                    to_date=last,
                    version=version,
                    cause="first",
                    state="released",
                    coverage={},
                    requested_at=NOW,
                    **units,
                )
            )
            row = insert(Release).values(
                run_key=key,
                from_date=day,
                to_date=last,
                version=version,
                kind="provisional" if missing else "final",
                cause="first",
                run_id="r1",
                released_at=NOW,
                **units,
            )
            release_id = db.execute(row.returning(Release.release_id)).scalar_one()
            for t in tables:
                db.execute(
                    insert(ReleaseTable).values(
                        release_id=release_id,
                        table_name=t.table,
                        delta_version=1,
                        batch_id=1,
                        from_date=day,
                        to_date=last,
                    )
                )
        return release_id

    return release


def kpi(
    day: date,
    value: str | None,
    *,
    release: str = "r1",
    province: str | None = None,
    branch: str | None = None,
    no: int = 0,
    kpi_id: str = "K1",
) -> dict:
    return {
        "release_id": release,
        "kpi_id": kpi_id,
        "period_kind": "day",
        "as_of_date": day,
        "province_code": province,
        "branch_id": branch,
        "measure": "count_share",
        "value": None if value is None else Decimal(value),
        "restatement_no": no,
    }


def customer(party: str, day: date, province: str = "11", balance: str = "10.00", **rest: object) -> dict:
    return {
        "party_id": party,
        "business_date": day,
        "account_no": f"core:62170000{party}0001",
        "birth_date": date(1980, 5, 17),
        "gender": "F",
        "balance": Decimal(balance),
        "holdings": [{"product": "fund", "count": 2}],
        "seen_at": datetime(2026, 9, 15, 2, tzinfo=UTC),
        "province_code": province,
        "note": None,
        **rest,
    }


def branch(branch_id: str, province: str, is_rural: bool = False) -> dict:
    return {"branch_id": branch_id, "province_code": province, "is_rural": is_rural}


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    return tmp_path / "secrets"
