"""What accepted rows of past days looked like, column by column: measured by DuckDB on files, one pass a question.

Of an identifying column nothing but how often it is given is looked at, and of what is not meant for everybody no value is kept: only its form, counts and
extremes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from itertools import combinations
from typing import Any

import duckdb

from jobs.contracts import Column, Table
from jobs.quality.metrics import parquet, quoted
from jobs.quality.trial import DAY, SUBJECT, Subject

# A column with more different values than this is no code.
MOST_VALUES = 50
# More forms than this are no form.
MOST_FORMS = 2_000
# Neither a number that somebody may have, nor a version, of which there is soon another.
CODE = re.compile(r"(?!.*[0-9]{6})(?!.*[0-9]\.[0-9])[A-Za-z0-9][A-Za-z0-9_.+-]{0,31}")
KEY_NAMES = ("_id", "_no", "_key", "_token")
TEMPORAL = ("date", "timestamp")


@dataclass(frozen=True)
class Seen:
    """How often a value or form was there: rows, days, and whether it first came in the later half of the days."""

    rows: int
    days: int
    is_late: bool


@dataclass(frozen=True)
class ColumnProfile:
    """One column over all rows. `is_secret`: it identifies somebody, or came of what does, or is of category C3; then nothing but `given` and `shares` is known.

    `given`: rows in which it is not null. `low`, `high`: smallest and largest value of a number or time. `values`: of a code, each value; None
    for what is no code. `forms`: of text each form, digits as 9, letters as a and A; None when there are too many. `longest`: characters of the longest text.
    `shares`, `means`: by subject that came whole and not empty, the share of rows in which it is given, and the mean of a number.
    """

    name: str
    column: Column
    rows: int
    days: int
    given: int
    is_secret: bool = False
    low: Any = None
    high: Any = None
    values: Mapping[str, Seen] | None = None
    forms: Mapping[str, Seen] | None = None
    longest: int = 0
    shares: Sequence[float] = ()
    means: Sequence[float] = ()

    @property
    def kind(self) -> str:
        return self.column.type.partition("(")[0]

    @property
    def is_number(self) -> bool:
        return self.kind in ("int", "bigint", "decimal")

    @property
    def is_key(self) -> bool:
        """Whose values are as many as there are things."""
        return self.name.endswith(KEY_NAMES)

    @property
    def is_for_everybody(self) -> bool:
        """Not a customer's information (JR/T 0171), and of a low level (JR/T 0197)."""
        category, _, level = self.column.classification.partition("/")
        return category == "C1" and int(level) <= 2


@dataclass(frozen=True)
class Pair:
    """How two columns compare in the rows in which both are given."""

    a: str
    b: str
    both: int
    above: int
    equal: int

    @property
    def below(self) -> int:
        return self.both - self.above - self.equal


@dataclass(frozen=True)
class Profile:
    """`newest`: the last of the days. `counts`: rows of each subject that came whole, empty ones too. `sums`: of the money column, by the same subjects. `key`: the leading columns that tell the rows
    of a subject apart, or one column that does; empty where there is none."""

    rows: int
    days: int
    newest: date
    columns: dict[str, ColumnProfile]
    pairs: list[Pair] = field(default_factory=list)
    counts: dict[Subject, int] = field(default_factory=dict)
    sums: list[Decimal] = field(default_factory=list)
    key: list[str] = field(default_factory=list)


def identifying(table: Table) -> set[str]:
    """Columns in the lake that come of an identifying one: tokens, whether they are valid, derivations."""
    return {name for n, c in table.columns.items() if c.identifies for name in c.physical(n)}


def profiled(files: Sequence[str], table: Table, subjects: Sequence[Subject], within: Sequence[str]) -> Profile:
    """The profile of the rows in these files, which have DAY and SUBJECT beside the table's columns. `within`: where a key must be unique, beside the subject."""
    secret = identifying(table) | {
        n for n, c in table.physical_columns.items() if c.classification.startswith("C3") or n.endswith("_token")
    }
    plain = {n: c for n, c in table.physical_columns.items() if not c.type.startswith(("array", "struct"))}
    with duckdb.connect() as engine:
        engine.execute("set timezone = 'UTC'")
        engine.execute(f"create view rows as select * from {parquet(files)}")
        rows, days = _one(engine, f"select count(*), count(distinct {quoted(DAY)}) from rows")
        middle = _one(engine, f"select quantile_disc(day, 0.5) from (select distinct {quoted(DAY)} as day from rows)")[
            0
        ]
        whole = [s for s in subjects if s.is_whole]
        by_subject = _by_subject(engine, table, plain, whole)
        found = {
            name: _column(engine, name, column, rows, days, middle, by_subject, is_secret=name in secret)
            for name, column in plain.items()
        }
        counts = {s: int(by_subject.get((s.day, s.name), {}).get("rows") or 0) for s in whole}
        sums = [Decimal(str(m["sum"])) for m in by_subject.values() if m.get("sum") is not None]
        open_ones = {n: p for n, p in found.items() if n not in secret}
        newest = max((s.day for s in subjects), default=date.min)
        return Profile(
            rows, days, newest, found, _pairs(engine, open_ones), counts, sums, _key(engine, table, found, within)
        )


def _one(engine: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    return engine.execute(sql).fetchone() or ()


def _by_subject(
    engine: duckdb.DuckDBPyConnection, table: Table, plain: Mapping[str, Column], whole: Sequence[Subject]
) -> dict[tuple[date, str], dict[str, Any]]:
    wanted = {"rows": "count(*)"} | {f"given {n}": f"count({quoted(n)})" for n in plain}
    wanted |= {f"mean {n}": f"avg({quoted(n)})" for n, c in plain.items() if c.type.startswith("decimal")}
    if table.money:
        wanted["sum"] = f"sum({quoted(table.money)})"
    listed = ", ".join(f"{sql} as {quoted(name)}" for name, sql in wanted.items())
    keys = {(s.day, s.name) for s in whole}
    found = engine.execute(f"select {quoted(DAY)}, {quoted(SUBJECT)}, {listed} from rows group by 1, 2").fetchall()
    return {(r[0], r[1]): dict(zip(wanted, r[2:], strict=True)) for r in found if (r[0], r[1]) in keys}


def _column(
    engine: duckdb.DuckDBPyConnection, name: str, column: Column, rows: int, days: int, middle: date,
    by_subject: Mapping[tuple[date, str], Mapping[str, Any]], *, is_secret: bool,
) -> ColumnProfile:  # fmt: skip
    shares = [m[f"given {name}"] / m["rows"] for m in by_subject.values()]
    means = [float(m[f"mean {name}"]) for m in by_subject.values() if m.get(f"mean {name}") is not None]
    c = quoted(name)
    (given,) = _one(engine, f"select count({c}) from rows")
    made = ColumnProfile(name, column, rows, days, given, is_secret, shares=shares)
    if is_secret or not given:
        return made
    if made.is_number or made.kind in TEMPORAL:
        low, high = _one(engine, f"select min({c}), max({c}) from rows")
        return replace(made, low=low, high=high, means=means)
    if made.kind != "string":
        return made
    (longest,) = _one(engine, f"select max(length({c})) from rows")
    values = None
    if made.is_for_everybody and not made.is_key:
        values = _seen(engine, c, c, middle, MOST_VALUES)
        if values is not None and not all(CODE.fullmatch(value) for value in values):
            values = None
    form = (
        f"regexp_replace(regexp_replace(regexp_replace({c}, '[0-9]', '9', 'g'), '[a-z]', 'a', 'g'), '[A-Z]', 'A', 'g')"
    )
    forms = _seen(engine, form, c, middle, MOST_FORMS)
    return replace(made, values=values, forms=forms, longest=longest)


def _seen(engine: duckdb.DuckDBPyConnection, of: str, column: str, middle: date, most: int) -> dict[str, Seen] | None:
    """None when there are more than `most`."""
    found = engine.execute(
        f"select {of}, count(*), count(distinct {quoted(DAY)}), min({quoted(DAY)}) from rows where {column} is not null group by 1 "
        f"order by 2 desc, 1 limit {most + 1}"
    ).fetchall()
    return None if len(found) > most else {value: Seen(n, days, first > middle) for value, n, days, first in found}


def _pairs(engine: duckdb.DuckDBPyConnection, columns: Mapping[str, ColumnProfile]) -> list[Pair]:
    """Columns of one kind in the order of the contract, two by two: dates and times, decimals, texts."""

    def family(profile: ColumnProfile) -> str | None:
        if not profile.given:
            return None
        return "time" if profile.kind in TEMPORAL else profile.kind if profile.kind in ("decimal", "string") else None

    wanted = [
        (a, b) for a, b in combinations(columns, 2)
        if family(columns[a]) is not None and family(columns[a]) == family(columns[b])
    ]  # fmt: skip
    if not wanted:
        return []
    counted = [
        f"count(*) filter (where {quoted(a)} is not null and {quoted(b)} is not null), count(*) filter (where {quoted(a)} > {quoted(b)}), "
        f"count(*) filter (where {quoted(a)} = {quoted(b)})"
        for a, b in wanted
    ]
    numbers = _one(engine, f"select {', '.join(counted)} from rows")
    return [Pair(a, b, *numbers[3 * n : 3 * n + 3]) for n, (a, b) in enumerate(wanted)]


def _key(
    engine: duckdb.DuckDBPyConnection, table: Table, columns: Mapping[str, ColumnProfile], within: Sequence[str]
) -> list[str]:
    """The first column that tells rows apart, else the shortest run of leading columns that does (keys stand first), of at most four."""
    usable = [
        n for n, p in columns.items()
        if p.given == p.rows and p.rows and p.kind in ("string", "int", "bigint") and n not in identifying(table)
    ]  # fmt: skip
    leading = [n for n in list(columns)[:4] if n in usable]
    tries = [[n] for n in usable if columns[n].is_key] + [leading[:count] for count in range(2, len(leading) + 1)]
    for key in tries:
        by = ", ".join(quoted(n) for n in dict.fromkeys([DAY, SUBJECT, *within, *key]))
        if not _one(engine, f"select 1 from rows group by {by} having count(*) > 1 limit 1"):
            return key
    return []


def plain_date(value: date | datetime) -> date:
    return value.date() if isinstance(value, datetime) else value
