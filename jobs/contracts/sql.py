"""Mistakes in the Spark SQL of contracts: what cannot be read, and names that are no column. Looked for by `contracts check` alone, for to read
SQL takes longer than to read all contracts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from jobs.contracts.across import MAP_CODE
from jobs.contracts.catalog import Catalog
from jobs.contracts.errors import Mistake, nearest
from jobs.contracts.model import Table
from jobs.contracts.yaml_file import Place, YamlFile, read_yaml

MACHINERY = ("__delivery_id", "__line", "__entity", "__business_date", "__received_at")
# What arrival and bronze know of a row before its business date is known.
EARLY = ("__delivery_id", "__line", "__entity", "__received_at", "__lane_date")
CONSTANT = "a constant text stands in quotes of its own, for instance \"'bank'\""


def mistakes(catalog: Catalog) -> list[Mistake]:
    """All mistakes in the expressions of a bank's bronze contracts: `conforms` (columns and filters), `businessDate`, `affects`."""
    found: list[Mistake] = []
    for table in catalog.tables.values():
        if table.layer == "bronze":
            file = read_yaml(catalog.root / "bronze" / f"{table.name}.yaml")
            for place, expression, also in _expressions(table):
                found += _wrong(file, place, expression, [*table.physical_columns, *also], table)
    return found


def _expressions(table: Table) -> Iterator[tuple[Place, str, Collection[str]]]:
    """Where it stands, what it says, and what it may name beside the columns."""
    if table.business_date:
        yield ("businessDate",), table.business_date, EARLY
    if table.affects:
        yield ("affects",), table.affects, MACHINERY
    for target, conform in table.conforms.items():
        for block in ("columns", "where"):
            for name, expression in getattr(conform, block).items():
                yield ("conforms", target, block, name), expression, MACHINERY


def _wrong(file: YamlFile, place: Place, expression: str, known: list[str], table: Table) -> Iterator[Mistake]:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    # The list of a code map is a name of its own, no column.
    plain = MAP_CODE.sub("map_code('list'", expression)
    try:
        parsed = sqlglot.parse_one(plain, read="spark")
    except SqlglotError as error:
        said = getattr(error, "errors", None) or [{"description": str(error).splitlines()[0]}]
        yield Mistake(
            file.path,
            file.line(place),
            f"{place[-1]}: {expression} is no expression of Spark SQL ({said[0]['description']})",
            f"Correct it; {CONSTANT}",
        )
        return
    for name in sorted({column.name for column in parsed.find_all(exp.Column)} - set(known)):
        said_of = f"{place[-1]}: {name} is no column of {table.table}"
        if f"{name}_token" in known:
            remedy = (
                f"It identifies: the row holds {', '.join(k for k in known if k.startswith(f'{name}_'))} in its place"
            )
        else:
            remedy = f"{nearest(name, known)}; {CONSTANT}"
        yield Mistake(file.path, file.line(place), said_of, remedy)
