"""What a contract looks like in PostgreSQL: the base table that is loaded, and the view that BI tools see.

Two schemas a bank: `<profile>_mart` holds base tables and is closed to readers; `<profile>_bi` holds the views, which
show a reader only the rows of their scope (`role_scopes`) and mask what names a person or an account. Nothing here
talks to a database.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from psycopg import sql

from jobs.contracts.column import Column
from jobs.contracts.model import Table

# The date by which a table's rows are replaced, the first that the table has.
DATE_COLUMNS = ("business_date", "as_of_date", "balance_date")
# What stands for a masked text, and before its end; so many characters of its end are shown, where it has more than so many.
HIDDEN, TAIL, LONG = "****", 4, 8
# Machinery of a base table: the release that wrote a row; for append tables, whether no later statement of its cell
# exists.
RELEASE, NEWEST = "__release", "__newest"
# What tells two statements of one cell of an append table apart, and so is not part of the cell.
STATEMENT = ("release_id", "definition_version", "restatement_no", "restatement_reason", "run_id")
PLAIN = {
    "string": ("text", pa.string()),
    "date": ("date", pa.date32()),
    "timestamp": ("timestamp with time zone", pa.timestamp("us", "UTC")),
    "int": ("integer", pa.int32()),
    "bigint": ("bigint", pa.int64()),
    "boolean": ("boolean", pa.bool_()),
}


class MartError(Exception):
    """The mart was not changed; the message says what was found, where, and what to do."""


@dataclass(frozen=True)
class MartTable:
    """One published table: the columns that the mart takes of a contract, and how its rows replace earlier ones."""

    table: Table

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def columns(self) -> dict[str, Column]:
        assert self.table.mart is not None
        all_columns = self.table.physical_columns
        wanted = self.table.mart.columns or list(all_columns)
        unknown = [name for name in wanted if name not in all_columns]
        if unknown:
            raise MartError(
                f"{self.table.table}: mart.columns names {', '.join(unknown)}, which the table does not have. "
                f"Correct expectations/{self.table.layer}/{self.name}.yaml."
            )
        return {name: all_columns[name] for name in wanted}

    @property
    def scope(self) -> dict[str, str]:
        """Kind of scope (branch, province) -> the column that says whose a row is."""
        assert self.table.mart is not None
        return {str(kind): column for kind, column in self.table.mart.scope.items()}

    @property
    def keep(self) -> str:
        """`append` (statements are added), `dates` (rows of the released dates are replaced) or `current` (all rows
        are)."""
        assert self.table.mart is not None
        if self.table.history == "append":
            return "append"
        return "current" if self.table.history == "scd2" else self.table.mart.keep

    @property
    def date_column(self) -> str | None:
        return next((name for name in DATE_COLUMNS if name in self.columns), None)

    @property
    def cell(self) -> list[str]:
        """Append tables: the key columns that name a figure, whichever release stated it."""
        return [name for name in self.table.primary_key if name not in STATEMENT]

    def base_columns(self) -> dict[str, str]:
        """Name -> PostgreSQL type, machinery last."""
        types = {name: postgres_type(column.type) for name, column in self.columns.items()}
        types[RELEASE] = "bigint"
        if self.keep == "append":
            types[NEWEST] = "boolean"
        return types

    def arrow_schema(self) -> pa.Schema:
        return pa.schema([(name, arrow_type(column.type)) for name, column in self.columns.items()])


def decimal_parts(contract_type: str) -> tuple[int, int]:
    precision, scale = contract_type.removeprefix("decimal(").rstrip(")").split(",")
    return int(precision), int(scale)


def postgres_type(contract_type: str) -> str:
    """As `format_type` spells it, so that it can be compared with what the database has."""
    if contract_type.startswith("decimal("):
        return "numeric({},{})".format(*decimal_parts(contract_type))
    return PLAIN[contract_type][0] if contract_type in PLAIN else "jsonb"


def arrow_type(contract_type: str) -> pa.DataType:
    """The type a frame is cast to before it is copied; nested columns travel as JSON text."""
    if contract_type.startswith("decimal("):
        return pa.decimal128(*decimal_parts(contract_type))
    return PLAIN[contract_type][1] if contract_type in PLAIN else pa.string()


def masked(table: Table, name: str, column: Column) -> bool:
    """Does a reader see this column masked? Category C2 is what can name a person or an account (rule CL-5): free text
    and dates of a person are; amounts, flags, listed codes and the dates by which the table is kept are not."""
    if not column.classification.startswith("C2/") or column.enum is not None or name in DATE_COLUMNS:
        return False
    return column.type in ("string", "date")


def shown(table: Table, name: str, column: Column) -> sql.Composable:
    """One column of the view: as it is, or masked: text keeps its last four characters, a date its year."""
    value = sql.Identifier("t", name)
    if not masked(table, name, column):
        return value
    if column.type == "date":
        return sql.SQL("date_trunc('year', {0})::date as {1}").format(value, sql.Identifier(name))
    return sql.SQL(
        "case when length({0}) > {long} then {hidden} || right({0}, {tail}) when {0} is not null then {hidden} end as {1}"
    ).format(value, sql.Identifier(name), hidden=sql.Literal(HIDDEN), tail=sql.Literal(TAIL), long=sql.Literal(LONG))


def in_scope(mart_schema: str, scope: dict[str, str]) -> sql.Composable:
    """Is a row within the reader's scopes? Group readers see all; a table without scope columns is theirs alone.

    The role is `current_user`: the login, or a narrower role it has switched to. Scopes are read once a query, not
    once a row.
    """
    scopes = sql.Identifier(mart_schema, "role_scopes")
    tests: list[sql.Composable] = [
        sql.SQL("(select exists (select from {} s where s.role = current_user and s.kind = 'group'))").format(scopes)
    ]
    for kind, column in sorted(scope.items()):
        tests.append(
            sql.SQL("{} = any (array(select s.value from {} s where s.role = current_user and s.kind = {}))").format(
                sql.Identifier("t", column), scopes, sql.Literal(kind)
            )
        )
    return sql.SQL("({})").format(sql.SQL(" or ").join(tests))


def views(mart_table: MartTable, mart_schema: str, bi_schema: str) -> dict[str, sql.Composed]:
    """View name -> its create statement. An append table has two: the newest statement of each figure, and all of
    them."""
    columns = sql.SQL(", ").join(shown(mart_table.table, n, c) for n, c in mart_table.columns.items())
    base = sql.Identifier(mart_schema, mart_table.name)
    scope = in_scope(mart_schema, mart_table.scope)

    def create(name: str, condition: sql.Composable) -> sql.Composed:
        # security_barrier: a reader's own predicate is never evaluated on rows that the scope has not let through.
        return sql.SQL("create view {} with (security_barrier = true) as select {} from {} t where {}").format(
            sql.Identifier(bi_schema, name), columns, base, condition
        )

    if mart_table.keep != "append":
        return {mart_table.name: create(mart_table.name, scope)}
    newest = sql.SQL("{} and {}").format(sql.Identifier("t", NEWEST), scope)
    history = f"{mart_table.name}_history"
    return {mart_table.name: create(mart_table.name, newest), history: create(history, scope)}
