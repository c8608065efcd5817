"""The PostgreSQL mart: a release's rows, all tables at once, in one transaction.

A publication is one row of `<profile>_mart.publications`, unique by release: published twice, nothing changes;
published by two at once, the second waits for the first and then finds the work done; killed before the commit,
readers still see the former release.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy import Connection, select, update

from jobs.contracts.catalog import Catalog
from jobs.ledger import clock
from jobs.ledger.database import Ledger
from jobs.ledger.models import Release, ReleaseTable
from jobs.serving.bi import ensure_reader, reader_role
from jobs.serving.mart_schema import NEWEST, RELEASE, MartError, MartTable, views

COPY_ROWS = 50_000


@dataclass(frozen=True)
class Published:
    """What a call to `publish` did. `is_new` is false when the release stood in the mart already."""

    release_id: int
    is_new: bool
    rows: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Part:
    """One table's share of a release: the dates it made visible."""

    mart_table: MartTable
    from_date: date
    to_date: date

    @property
    def dates(self) -> list[date]:
        return [self.from_date + timedelta(days=n) for n in range((self.to_date - self.from_date).days + 1)]


def schemas(profile: str) -> tuple[str, str]:
    """(mart, bi): where the base tables are, and where the views are."""
    return f"{profile}_mart", f"{profile}_bi"


def mart_tables(catalog: Catalog) -> dict[str, MartTable]:
    """Address -> table, of all contracts with a `mart:` block."""
    return {t.table: MartTable(t) for t in catalog.tables.values() if t.mart is not None}


def publish(
    ledger: Ledger, catalog: Catalog, release_id: int, frames: Mapping[str, pa.Table], run_id: str
) -> Published:
    """Make a release visible to BI tools. `frames`: address of each mart table -> its rows: those of the released
    dates (keep: dates), the whole current state (keep: current and scd2), or the statements that the release added
    (append tables).

    Raises MartError, with the mart unchanged, when the release is unknown, a frame is missing or does not fit its
    contract.
    """
    tables = mart_tables(catalog)
    with ledger.begin() as db:
        raw: psycopg.Connection[Any] = db.connection.driver_connection  # type: ignore[assignment]
        mart, _ = schemas(ledger.profile)
        # One publication at a time a bank: two releases must not extend the same tables side by side.
        raw.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (mart,))
        release = _release(db, release_id)
        parts = _parts(db, tables, release, frames)
        create_or_extend(raw, ledger.profile, tables)
        if not _claim(raw, mart, release, run_id):
            return Published(release_id, is_new=False)
        rows = {}
        for address, part in parts.items():
            frame = fitted(part.mart_table, frames[address])
            rows[address] = _replace(raw, mart, part, frame, release_id)
            raw.execute(
                sql.SQL("insert into {} values (%s, %s, %s, %s, %s)").format(
                    sql.Identifier(mart, "publication_tables")
                ),
                (release_id, address, part.from_date, part.to_date, rows[address]),
            )
        db.execute(update(Release).where(Release.release_id == release_id).values(mart_published_at=clock.now(db)))
        return Published(release_id, is_new=True, rows=rows)


def _release(db: Connection, release_id: int) -> Any:
    row = db.execute(select(*Release.__table__.columns).where(Release.release_id == release_id)).one_or_none()
    if row is None:
        raise MartError(f"There is no release {release_id} in the ledger. `ledgerlake releases` lists those there are.")
    return row


def _parts(
    db: Connection, tables: Mapping[str, MartTable], release: Any, frames: Mapping[str, pa.Table]
) -> dict[str, _Part]:
    """The mart tables that the release names, each with its dates, after checking that the frames are exactly those."""
    query = select(ReleaseTable.table_name, ReleaseTable.from_date, ReleaseTable.to_date)
    named = {r.table_name: r for r in db.execute(query.where(ReleaseTable.release_id == release.release_id))}
    expected = {address for address in tables if address in named} if named else set(tables)
    if wrong := expected ^ set(frames):
        missing, surplus = sorted(wrong & expected), sorted(wrong - expected)
        said = [f"no frame for {', '.join(missing)}"] if missing else []
        said += [f"a frame for {', '.join(surplus)}, not a mart table of this release"] if surplus else []
        raise MartError(
            f"Release {release.release_id}: {'; '.join(said)}. Give one frame for each released table with a `mart:` "
            "block."
        )
    return {
        address: _Part(
            tables[address],
            *((n.from_date, n.to_date) if (n := named.get(address)) else (release.from_date, release.to_date)),
        )
        for address in sorted(expected)
    }


def _claim(raw: psycopg.Connection[Any], mart: str, release: Any, run_id: str) -> bool:
    """The publication's row; False when another publication of this release was first."""
    claimed = raw.execute(
        sql.SQL(
            "insert into {} (release_id, from_date, to_date, version, kind, cause, expected_units, received_units,"
            " missing, released_at, published_at, run_id)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " on conflict (release_id) do nothing returning release_id"
        ).format(sql.Identifier(mart, "publications")),
        (
            release.release_id,
            release.from_date,
            release.to_date,
            release.version,
            release.kind,
            release.cause,
            release.expected_units,
            release.received_units,
            Jsonb(release.missing),
            release.released_at,
            datetime.now(UTC),
            run_id,
        ),
    )
    return claimed.fetchone() is not None


# --- rows ---


def fitted(mart_table: MartTable, frame: pa.Table) -> pa.Table:
    """The frame's mart columns in order, cast to their declared types without loss; nested ones as JSON text.

    Raises MartError naming the table and column that does not fit.
    """
    address = mart_table.table.table
    if absent := [name for name in mart_table.columns if name not in frame.column_names]:
        raise MartError(f"{address}: the frame lacks {', '.join(absent)}. It has: {', '.join(frame.column_names)}.")
    arrays = []
    for wanted in mart_table.arrow_schema():
        array = frame.column(wanted.name)
        if pa.types.is_nested(array.type):
            array = pa.array(
                [None if v is None else json.dumps(v, default=str, ensure_ascii=False) for v in array.to_pylist()],
                pa.string(),
            )
        try:
            arrays.append(array.cast(wanted.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise MartError(
                f"{address}.{wanted.name}: {array.type} cannot become {wanted.type} without loss ({error}). "
                "Correct the contract's type, or the job that makes the column."
            ) from error
    return pa.table(arrays, schema=mart_table.arrow_schema())


def _replace(raw: psycopg.Connection[Any], mart: str, part: _Part, frame: pa.Table, release_id: int) -> int:
    """Put a release's rows in the place of those they replace. Returns how many were written."""
    table, base = part.mart_table, sql.Identifier(mart, part.mart_table.name)
    later = _published_later(raw, mart, table.table.table, release_id)
    if table.keep == "current":
        if later:
            return 0  # a newer state stands there
        raw.execute(sql.SQL("delete from {}").format(base))
        return _copy(raw, base, table, frame, release_id)
    column = _dated(part, frame)
    if table.keep == "append":
        written = _copy(raw, base, table, frame, release_id)
        _mark_newest(raw, base, table, sorted(set(frame.column(column).to_pylist())))
        return written
    # Dates that a later release has published since keep its rows: a delayed publication must not bring old ones back.
    dates = [d for d in part.dates if not any(first <= d <= last for first, last in later)]
    raw.execute(sql.SQL("delete from {} where {} = any (%s)").format(base, sql.Identifier(column)), (dates,))
    kept = frame.filter(pc.is_in(frame.column(column), value_set=pa.array(dates, pa.date32())))
    return _copy(raw, base, table, kept, release_id)


def _published_later(raw: psycopg.Connection[Any], mart: str, address: str, release_id: int) -> list[tuple[date, date]]:
    query = sql.SQL("select from_date, to_date from {} where table_name = %s and release_id > %s")
    return raw.execute(query.format(sql.Identifier(mart, "publication_tables")), (address, release_id)).fetchall()


def _dated(part: _Part, frame: pa.Table) -> str:
    """The table's date column, after checking that every row lies within the dates the release speaks of."""
    address, column = part.mart_table.table.table, part.mart_table.date_column
    if column is None:
        raise MartError(
            f"{address} has none of business_date, as_of_date, balance_date, so its rows cannot be replaced by date. "
            "Publish one of them, or write `keep: current` under mart."
        )
    if frame.num_rows == 0 or part.mart_table.keep == "append":
        return column
    bounds = pc.min_max(frame.column(column)).as_py()
    nulls = frame.column(column).null_count
    if nulls or bounds["min"] < part.from_date or bounds["max"] > part.to_date:
        raise MartError(
            f"{address}.{column}: rows from {bounds['min']} to {bounds['max']} and {nulls} without a date, "
            f"where the release covers {part.from_date} to {part.to_date}. Give the rows of the released dates only: "
            "others could never be replaced."
        )
    return column


def _copy(
    raw: psycopg.Connection[Any], base: sql.Identifier, table: MartTable, frame: pa.Table, release_id: int
) -> int:
    """COPY in CSV: unquoted nothing is null, quoted nothing is empty text, which is how Arrow writes them."""
    frame = frame.append_column(RELEASE, pa.array([release_id] * frame.num_rows, pa.int64()))
    columns = sql.SQL(", ").join(map(sql.Identifier, frame.column_names))
    with raw.cursor().copy(sql.SQL("copy {} ({}) from stdin (format csv)").format(base, columns)) as copy:
        for batch in frame.to_batches(max_chunksize=COPY_ROWS):
            lines = io.BytesIO()
            pa_csv.write_csv(batch, lines, pa_csv.WriteOptions(include_header=False))
            copy.write(lines.getvalue())
    return frame.num_rows


def _mark_newest(raw: psycopg.Connection[Any], base: sql.Identifier, table: MartTable, dates: Sequence[date]) -> None:
    """Of all statements of one figure, the newest is the one with the highest restatement number, then the latest
    release."""
    order = [RELEASE] if "restatement_no" not in table.columns else ["restatement_no", RELEASE]
    statement = sql.SQL(
        "update {base} b set {newest} = (r.place = 1) from (select ctid, row_number() over"
        " (partition by {cell} order by {order}) as place from {base} where {day} = any (%s)) r"
        " where b.ctid = r.ctid and b.{newest} is distinct from (r.place = 1)"
    ).format(
        base=base,
        newest=sql.Identifier(NEWEST),
        cell=sql.SQL(", ").join(map(sql.Identifier, table.cell)),
        order=sql.SQL(", ").join(sql.SQL("{} desc nulls last").format(sql.Identifier(name)) for name in order),
        day=sql.Identifier(str(table.date_column)),
    )
    raw.execute(statement, (list(dates),))


# --- tables and views ---

OWN_TABLES = """
create table if not exists {mart}.publications (
  release_id bigint primary key, from_date date not null, to_date date not null, version bigint not null, kind text not
  null, cause text not null, expected_units bigint not null, received_units bigint not null, missing jsonb not null,
  released_at timestamptz not null, published_at timestamptz not null, run_id text not null);
create table if not exists {mart}.publication_tables (
  release_id bigint not null references {mart}.publications, table_name text not null, from_date date not null, to_date
  date not null, row_count bigint not null, primary key (table_name, release_id));
create table if not exists {mart}.role_scopes (
  role text not null, kind text not null check (kind in ('group', 'province', 'branch')), value text not null,
  primary key (role, kind, value));
create table if not exists {mart}.view_definitions (view_name text primary key, definition text not null);
"""
RELEASES_VIEW = """
create view {bi}.releases with (security_barrier = true) as
select release_id, from_date, to_date, version, kind, cause, expected_units, received_units,
  received_units < expected_units or missing <> '[]' as is_provisional, missing, released_at, published_at
from {mart}.publications t
"""


def prepare(ledger: Ledger, catalog: Catalog) -> None:
    """Create the mart's schemas, roles, tables and views ahead of the first release; harmless when they are there."""
    with ledger.begin() as db:
        raw: psycopg.Connection[Any] = db.connection.driver_connection  # type: ignore[assignment]
        raw.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (schemas(ledger.profile)[0],))
        create_or_extend(raw, ledger.profile, mart_tables(catalog))


def create_or_extend(raw: psycopg.Connection[Any], profile: str, tables: Mapping[str, MartTable]) -> None:
    """Bring base tables and views to what the contracts say. Columns are added and widened, never taken away: a column
    that a contract gave up stays in the base table with what it held, and leaves the view."""
    mart, bi = schemas(profile)
    ensure_reader(raw, profile)
    for schema in (mart, bi):
        if not raw.execute("select 1 from pg_namespace where nspname = %s", (schema,)).fetchone():
            raw.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
    names = {"mart": sql.Identifier(mart), "bi": sql.Identifier(bi)}
    if raw.execute("select to_regclass(%s)", (f'"{mart}".view_definitions',)).fetchone() == (None,):
        raw.execute(sql.SQL(OWN_TABLES).format(**names))
        raw.execute(sql.SQL("grant usage on schema {} to {}").format(names["bi"], sql.Identifier(reader_role(profile))))
    wanted: dict[str, sql.Composed] = {"releases": sql.SQL(RELEASES_VIEW.strip()).format(**names)}
    for table in tables.values():
        wanted |= views(table, mart, bi)
        _base_table(raw, mart, bi, table)
    _views(raw, profile, wanted)


def _base_table(raw: psycopg.Connection[Any], mart: str, bi: str, table: MartTable) -> None:
    base, wanted = sql.Identifier(mart, table.name), table.base_columns()
    query = (
        "select attname, format_type(atttypid, atttypmod) from pg_attribute"
        " where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped"
    )
    found = dict(raw.execute(query, (f'"{mart}"."{table.name}"',)).fetchall())
    if found and all(found.get(name) == kind for name, kind in wanted.items()):
        return
    if not found:
        columns = [sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in wanted.items()]
        raw.execute(sql.SQL("create table {} ({})").format(base, sql.SQL(", ").join(columns)))
        _indexes(raw, base, table)
        return
    # A view that names a column keeps its type from changing, so the views go first and come back below.
    for view in views(table, mart, bi):
        _drop_view(raw, mart, bi, view)
    for name, kind in wanted.items():
        words = {"base": base, "name": sql.Identifier(name), "kind": sql.SQL(kind)}
        if name not in found:
            raw.execute(sql.SQL("alter table {base} add column {name} {kind}").format(**words))
        elif found[name] != kind:
            try:
                raw.execute(
                    sql.SQL("alter table {base} alter column {name} type {kind} using {name}::{kind}").format(**words)
                )
            except psycopg.Error as error:
                raise MartError(
                    f"{mart}.{table.name}.{name} is {found[name]} and the contract now says {kind}, but the rows "
                    f"that are there do not fit ({error}). Widen the type instead, or drop the base table and "
                    "publish the releases again."
                ) from error


def _indexes(raw: psycopg.Connection[Any], base: sql.Identifier, table: MartTable) -> None:
    """The key, so that no row can stand twice whatever happens, and the columns by which rows are replaced and
    scoped."""
    key = [name for name in table.table.primary_key if name in table.columns]
    if key == list(table.table.primary_key):
        if table.keep == "append":
            key.append(RELEASE)
        columns = sql.SQL(", ").join(map(sql.Identifier, key))
        raw.execute(sql.SQL("create unique index on {} ({}) nulls not distinct").format(base, columns))
    for name in dict.fromkeys([*([table.date_column] if table.date_column else []), *table.scope.values()]):
        raw.execute(sql.SQL("create index on {} ({})").format(base, sql.Identifier(name)))


def _views(raw: psycopg.Connection[Any], profile: str, wanted: Mapping[str, sql.Composed]) -> None:
    """Create the views that are new or changed, and drop those whose contract is gone. An unchanged view is not
    touched: replacing it would wait for every query that reads it, and make all later ones wait too."""
    mart, bi = schemas(profile)
    definitions = sql.Identifier(mart, "view_definitions")
    known = dict(raw.execute(sql.SQL("select view_name, definition from {}").format(definitions)).fetchall())
    for name in known.keys() - wanted.keys():
        _drop_view(raw, mart, bi, name)
    for name, statement in wanted.items():
        text = statement.as_string(raw)
        if known.get(name) == text and raw.execute("select to_regclass(%s)", (f'"{bi}"."{name}"',)).fetchone() != (
            None,
        ):
            continue
        _drop_view(raw, mart, bi, name)
        raw.execute(statement)
        view = sql.Identifier(bi, name)
        raw.execute(sql.SQL("grant select on {} to {}").format(view, sql.Identifier(reader_role(profile))))
        raw.execute(sql.SQL("insert into {} values (%s, %s)").format(definitions), (name, text))


def _drop_view(raw: psycopg.Connection[Any], mart: str, bi: str, name: str) -> None:
    try:
        raw.execute(sql.SQL("drop view if exists {}").format(sql.Identifier(bi, name)))
    except psycopg.errors.DependentObjectsStillExist as error:
        raise MartError(
            f"The view {bi}.{name} must change with its contract, but others are built on it: "
            f"{error.diag.message_detail}. Drop those, publish, and make them again."
        ) from error
    raw.execute(
        sql.SQL("delete from {} where view_name = %s").format(sql.Identifier(mart, "view_definitions")), (name,)
    )
