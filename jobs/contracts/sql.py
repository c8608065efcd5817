"""Mistakes in the Spark SQL of contracts: what cannot be read, names that are no column, and what does not fit the table that it is for. Looked for by `contracts check`
alone, for to read SQL takes longer than to read all contracts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from jobs.contracts.across import MAP_CODE, References, Tables
from jobs.contracts.conforming import MACHINERY, Reading
from jobs.contracts.errors import Mistake, nearest
from jobs.contracts.mending import certain
from jobs.contracts.model import Table
from jobs.contracts.profile import Reference
from jobs.contracts.spark_functions import SPARK_FUNCTIONS
from jobs.contracts.yaml_file import Place, YamlFile

# What arrival and bronze know of a row before its business date is known.
EARLY = ("__delivery_id", "__line", "__entity", "__received_at", "__lane_date")
# What is filled in before Spark reads it (jobs/conform.py, jobs/load.py), by where it stands: any other name would go into the rows as text.
FILLED = {"conforms": ("system", "zone", "currency"), "businessDate": ("zone",)}
PLACEHOLDER = re.compile(r"(?<!\\)\$(\{?)([A-Za-z_]\w*)")
CONSTANT = "A constant text stands in quotes of its own, for instance \"'bank'\""


def mistakes(tables: Tables, references: References, vague: Collection[str] = ()) -> list[Mistake]:
    """All mistakes in the expressions of a bank's bronze contracts: `conforms` (columns and filters), `businessDate`, `affects`. What a correction has of the table that
    it corrects is told there alone. `vague`: columns of which it is not known what they are (jobs/contracts/mending.py)."""
    found: list[Mistake] = []
    lists = {name: reference for name, (_, reference) in references.items()}
    for file, table in tables.values():
        if table.layer != "bronze":
            continue
        for place, expression, also in _expressions(table):
            if place not in file.lines:
                continue
            if unfilled := list(_unfilled(file, place, expression)):
                found += unfilled
                continue
            parsed = _parsed(expression)
            if isinstance(parsed, str):
                said = f"{place[-1]}: {expression} is no expression of Spark SQL ({parsed})"
                found.append(Mistake(file.path, file.line(place), said, f"Correct it. {CONSTANT}"))
                continue
            unknown = list(_unknown(file, place, parsed, [*table.physical_columns, *also], table))
            found += certain(unknown, vague)
            is_sure = not unknown and not {column.name for column in parsed.find_all(exp.Column)} & set(vague)
            if is_sure:
                found += _unfit(file, place, parsed, table, lists, tables)
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


def _unfilled(file: YamlFile, place: Place, expression: str) -> Iterator[Mistake]:
    """Placeholders that nothing is filled in for. A `$` before no name, as at the end of a regular expression, is none."""
    known = FILLED.get(str(place[0]), ())
    listed = f"Known here: {', '.join(f'${one}' for one in known)}" if known else "None is known here"
    for bracket, name in dict.fromkeys(PLACEHOLDER.findall(expression)):
        if not bracket and any(name == one or name.startswith(f"{one}_") for one in known):
            continue
        close = get_close_matches(name.lower(), known, n=1)
        meant = f"Did you mean ${close[0]}? " if close else ""
        yield Mistake(
            file.path,
            file.line(place),
            f"{place[-1]}: nothing is filled in for ${'{' + name + '}' if bracket else name}, which would stay as it is",
            f"{meant}{listed}; a dollar sign that is meant stands apart, concat('$', '{name}')",
        )


def _parsed(expression: str) -> exp.Expr | str:
    """The expression, or why it is none."""
    # The list of a code map is a name of its own, no column.
    plain = MAP_CODE.sub(r"map_code('\1'", expression)
    try:
        return sqlglot.parse_one(plain, read="spark")
    except SqlglotError as error:
        said = getattr(error, "errors", None) or [{"description": str(error).splitlines()[0]}]
        return str(said[0]["description"])


def _unknown(file: YamlFile, place: Place, parsed: exp.Expr, known: list[str], table: Table) -> Iterator[Mistake]:
    for name in sorted({column.name for column in parsed.find_all(exp.Column)} - set(known)):
        said_of = f"{place[-1]}: {name} is no column of {table.table}"
        if f"{name}_token" in known:
            remedy = (
                f"It identifies: the row holds {', '.join(k for k in known if k.startswith(f'{name}_'))} in its place"
            )
        else:
            remedy = f"{nearest(name, known)} {CONSTANT}"
        yield Mistake(file.path, file.line(place), said_of, remedy)
    if place == ("affects",):
        return  # DuckDB's functions (jobs/load.py)
    called = {call.name.lower() for call in parsed.find_all(exp.Anonymous)}
    for name in sorted(called - SPARK_FUNCTIONS - {"map_code"}):
        found = f"{place[-1]}: Spark SQL has no function {name}"
        yield Mistake(file.path, file.line(place), found, nearest(name, SPARK_FUNCTIONS))


def _unfit(
    file: YamlFile, place: Place, parsed: exp.Expr, table: Table, lists: Mapping[str, Reference], tables: Tables
) -> Iterator[Mistake]:
    """What the expression gives and is not taken; nothing of a target or a column that is not there, which is told between the files."""
    told: Iterator[tuple[str, str]] = iter(())
    if place == ("businessDate",):
        told = Reading(table, lists).date("businessDate", parsed)
    elif place[0] == "conforms":
        _, address, block, name = map(str, place)
        reading = Reading(table, lists, table.conforms[address])
        if block == "where":
            told = reading.filters(name, parsed)
        elif address in tables and name in tables[address][1].incoming:
            told = reading.mistakes(name, parsed, tables[address][1])
    yield from (Mistake(file.path, file.line(place), found, remedy) for found, remedy in told)
