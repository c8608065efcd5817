"""What a conform's expressions give each incoming column: its type, its codes, its nulls. And whether a `businessDate` gives a date.

The build casts each expression to the incoming column's type (jobs/conform.py), and the load a business date to a date, under Spark's ANSI rules: what has no
cast, and one text that is no value of the type, end the run; a code that a map does not have, and a column that is left out, are null. Told is only what is sure: a type or a set of
values is known of columns, constants, code maps and what chooses among them, and of nothing else. What throws on a single row is told too (jobs/contracts/strict.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from jobs.contracts.column import Column
from jobs.contracts.fit import LOOKS_LIKE, Kind, allowed, kind_of, reads_as, shown
from jobs.contracts.model import Conform, Table
from jobs.contracts.parse import DECIMAL
from jobs.contracts.profile import Reference
from jobs.contracts.strict import ENDS, narrows, throwing

Found = Iterator[tuple[str, str]]
# The machinery's columns that an expression may name.
MACHINERY = {
    "__delivery_id": "string",
    "__line": "bigint",
    "__entity": "string",
    "__business_date": "date",
    "__received_at": "timestamp",
}
# What there is no cast between (Spark's ANSI rules, docs/sql-ref-ansi-compliance); a constant text is looked at by itself.
NO_CAST: set[tuple[Kind, Kind]] = {
    ("number", "date"),
    ("boolean", "date"),
    ("boolean", "timestamp"),
    ("date", "number"),
    ("date", "boolean"),
    ("timestamp", "boolean"),
}
NAMES: dict[Kind, str] = {
    "text": "text",
    "number": "a number",
    "date": "a date",
    "timestamp": "an instant",
    "boolean": "true or false",
}
IN_SET = "expect_column_values_to_be_in_set"
TEXT = (
    exp.Concat, exp.ConcatWs, exp.DPipe, exp.Upper, exp.Lower, exp.Trim, exp.Substring, exp.Pad, exp.RegexpReplace, exp.RegexpExtract, exp.Replace, exp.Left,
    exp.Right, exp.Initcap, exp.TimeToStr, exp.SubstringIndex, exp.SplitPart, exp.RegexpSubstr, exp.Reverse, exp.Translate, exp.JSONExtractScalar,
)  # fmt: skip
TRUTH = (exp.Predicate, exp.Connector, exp.Not, exp.RegexpLike, exp.StartsWith)
CHOICES = (exp.Coalesce, exp.Case, exp.If, exp.Nvl2)


@dataclass(frozen=True)
class Given:
    """What is known of an expression. `kind`: None when it is not known, or the expression is always null. `values`: the texts that it may be, beside null; None when
    they are not known. `type`: a column's own."""

    kind: Kind | None = None
    values: frozenset[str] | None = None
    type: str | None = None

    @property
    def is_null(self) -> bool:
        return self.values is not None and not self.values


NULL, UNKNOWN = Given(values=frozenset()), Given()


@dataclass(frozen=True)
class Reading:
    """What expressions over one bronze table may name; `conform`: the one that they are of, if any."""

    table: Table
    references: Mapping[str, Reference]
    conform: Conform | None = None

    def mistakes(self, name: str, parsed: exp.Expr, target: Table) -> Found:
        """What is wrong with the expression of an incoming column, and the remedy."""
        wanted = target.incoming[name]
        maps = [call for call in parsed.find_all(exp.Anonymous) if call.name == "map_code"]
        if any(len(call.expressions) != 2 for call in maps):
            yield f"{name}: map_code takes a code map and what to look up in it", "Write map_code(list, column)"
            return
        for call in maps:
            coded = call.expressions[1]
            kind = self.given(coded).kind
            if kind not in (None, "text"):
                yield (
                    f"{name}: map_code looks up {_sql(coded)}, which is {NAMES[kind]}: the keys of a code map are text",
                    f"Write cast({_sql(coded)} as string), or declare the column as a string",
                )
                return
        # A filter may keep out what is no code here.
        is_filtered = self._is_filtered({column.name for column in parsed.find_all(exp.Column)})
        if not is_filtered:
            for call in maps:
                yield from self._unknown_codes(name, call, wanted, target)
        yield from self._casts(name, parsed)
        given = self.given(parsed)
        if given.is_null:
            if wanted.required:
                yield (
                    f"{name}: the expression is always null, and {target.table} never takes {name} as null: each row would be rejected",
                    f"Give it a value, or take {target.table} out of conforms",
                )
            return
        yield from self._type(name, given, wanted.type, f"{target.table} takes {name} as {wanted.type}")
        if not is_filtered:
            yield from self._codes(name, given, target, sorted({call.expressions[0].name for call in maps}))

    def date(self, name: str, parsed: exp.Expr) -> Found:
        """What is wrong with an expression for the row's business date."""
        yield from self._casts(name, parsed)
        yield from self._type(name, self.given(parsed), "date", "a business date is a date")

    def filters(self, name: str, parsed: exp.Expr) -> Found:
        """What is wrong with a filter of `where`."""
        yield from self._casts(name, parsed)
        given = self.given(parsed)
        if given.kind not in (None, "boolean"):
            yield f"{name}: this is {NAMES[given.kind]}, and a filter is true or false", "Compare it with something"

    # --- what is known of an expression -------------------------------------------------------------------------------

    def given(self, node: exp.Expr | None) -> Given:
        if node is None or isinstance(node, exp.Null):
            return NULL
        if isinstance(node, exp.Paren):
            return self.given(node.this)
        if isinstance(node, exp.Literal):
            # The bank fills these in: $system, $currency, $zone.
            known = None if "$" in node.name else frozenset([node.name])
            return Given("text" if node.is_string else "number", known)
        if isinstance(node, exp.Boolean):
            return Given("boolean", frozenset([str(node.this).lower()]))
        if isinstance(node, exp.Nullif):
            return Given(self.given(node.this).kind)
        if isinstance(node, exp.Neg):
            return Given(self.given(node.this).kind)
        if isinstance(node, exp.Column):
            return self._column(node.name)
        if isinstance(node, exp.Cast):
            return Given(kind_of(_written(node.to)))
        if isinstance(node, exp.Anonymous) and node.name == "map_code":
            meanings = self._map(node)
            return Given("text", frozenset(meanings.values()) if meanings is not None else None)
        if isinstance(node, CHOICES):
            return _any_of([self.given(branch) for branch in _branches(node)])
        if isinstance(node, TEXT):
            return Given("text")
        return Given("boolean") if isinstance(node, TRUTH) else UNKNOWN

    def _column(self, name: str) -> Given:
        if name in MACHINERY:
            return Given(kind_of(MACHINERY[name]), None, MACHINERY[name])
        column = self.table.physical_columns.get(name)
        if column is None:
            return UNKNOWN
        values = self._values(name, column)
        return Given(kind_of(column.type), frozenset(values) if values is not None else None, column.type)

    def _values(self, name: str, column: Column) -> list[str] | None:
        """What a column may be, for bronze rejects a row with anything else: its enum, or a rule's value set."""
        for rule in self.table.rules:
            if rule.expectation == IN_SET and rule.on_fail == "quarantine" and rule.columns == [name]:
                return allowed(column.model_copy(update={"enum": rule.kwargs["value_set"]}), self.references)
        return allowed(column, self.references)

    def _map(self, map_code: exp.Anonymous) -> dict[str, str] | None:
        listed = map_code.expressions[0].name if map_code.expressions else ""
        return (self.references[listed].map or None) if listed in self.references else None

    # --- what is wrong with it ----------------------------------------------------------------------------------------

    def _casts(self, name: str, parsed: exp.Expr) -> Found:
        for cast in parsed.find_all(exp.Cast):
            given, kind = self.given(cast.this), kind_of(_written(cast.to))
            if given.kind is not None and kind is not None and (given.kind, kind) in NO_CAST:
                yield (
                    f"{name}: {_sql(cast.this)} is {NAMES[given.kind]}, of which Spark makes no {_written(cast.to)}: the run would end",
                    "Correct the expression",
                )
        for thrown, remedy in throwing(parsed, self.given):
            yield f"{name}: {thrown}", remedy

    def _type(self, name: str, given: Given, type_: str, takes: str) -> Found:
        kind = kind_of(type_)
        if given.kind is None or kind is None or kind == "text":
            return
        if given.kind == "text" and given.values is not None:
            if wrong := sorted(value for value in given.values if not reads_as(value, type_)):
                yield (
                    f"{name}: {shown(wrong)} cannot be read as {type_}, and {takes}: the run would end",
                    f"Write {LOOKS_LIKE[kind]}",
                )
        elif given.kind == "text":
            yield (
                f"{name}: the expression is text, and {takes}: one text that is none would end the run",
                f"Give the bronze column the type {type_} (with `parse:` where it is written otherwise), so that such rows are rejected one by one; "
                f"or write try_cast(... as {type_}), which makes them null",
            )
        elif (given.kind, kind) in NO_CAST:
            yield (
                f"{name}: the expression is {NAMES[given.kind]}, and {takes}: Spark has no such cast, and the run would end",
                f"Give it {LOOKS_LIKE[kind]}",
            )
        elif given.type == "timestamp" and kind == "date":
            yield (
                f"{name}: the expression is an instant in UTC, and {takes}: near midnight the date would be another than the bank's",
                "Write cast(from_utc_timestamp(..., '$zone') as date)",
            )
        elif given.type == "date" and kind == "timestamp":
            yield (
                f"{name}: the expression is a date, and {takes}: it would be midnight in UTC, not at the bank",
                "Write to_utc_timestamp(cast(... as timestamp), '$zone')",
            )
        elif type_ in ("int", "bigint") and given.type and (digits := DECIMAL.match(given.type)) and int(digits[2]):
            yield (
                f"{name}: the expression is {given.type}, and {takes}: what stands behind the point would be cut off unsaid",
                "Round it, or write try_cast(...) where that is meant",
            )
        elif narrows(given.type, type_):
            yield (
                f"{name}: the expression is {given.type}, and {takes}: a number too large for it {ENDS}",
                f"Write try_cast(... as {type_}), which is null then",
            )

    def _codes(self, name: str, given: Given, target: Table, lists: Sequence[str]) -> Found:
        """What the expression may be and the target's enum does not have; `lists` are the code maps in it."""
        column = target.incoming[name]
        if column.enum is None and name in target.columns:
            column = target.columns[name]
        known = allowed(column, self.references)
        if known is None or given.values is None or given.kind != "text":
            return
        if wrong := sorted(given.values - set(known)):
            which = "is not one" if len(wrong) == 1 else "are not among those"
            yield (
                f"{name}: {shown(wrong)} {which} that {target.table} takes as {name}: such rows would be rejected",
                f"It takes {', '.join(known)}"
                + "".join(f"; meanings stand in expectations/reference/{listed}.yaml" for listed in lists),
            )

    def _unknown_codes(self, name: str, map_code: exp.Anonymous, wanted: Column, target: Table) -> Found:
        """Codes of a plain column that the map does not have become null, unless the expression says what else."""
        meanings, coded = self._map(map_code), map_code.expressions[-1]
        if meanings is None or not isinstance(coded, exp.Column) or _falls_back(map_code):
            return
        column = self.table.physical_columns.get(coded.name)
        if column is None:
            return
        listed = map_code.expressions[0].name
        values = self._values(coded.name, column)
        if values is None and column.enum is None and not self._is_judged(coded.name):
            lost = (
                f"its row is rejected by {target.table} as one without {name}"
                if wanted.required
                else f"{name} is null and nobody is told"
            )
            yield (
                f"{name}: of a code of {coded.name} that {listed} does not have, {lost}",
                f"Give {coded.name} `enum: ${listed}`, so that its row is kept aside with the code; or say what becomes of it: "
                f"coalesce(map_code({listed}, {coded.name}), 'other')",
            )
        elif values is not None and (without := sorted(set(values) - set(meanings))):
            yield (
                f"{name}: {listed} gives no meaning to {shown(without)}, which {coded.name} may be: it would be null",
                f"Add it to expectations/reference/{listed}.yaml, or say what becomes of it: coalesce(map_code({listed}, {coded.name}), 'other')",
            )

    def _is_judged(self, column: str) -> bool:
        """A rule says which values it may be."""
        says = (IN_SET, "expect_column_values_to_match_regex")
        return any(rule.expectation in says and rule.columns == [column] for rule in self.table.rules)

    def _is_filtered(self, columns: set[str]) -> bool:
        filters = self.conform.where.values() if self.conform else ()
        return any(columns & set(re.findall(r"\w+", sql)) for sql in filters)


def _branches(node: exp.Expr) -> list[exp.Expr | None]:
    """What a choosing expression may come to."""
    if isinstance(node, exp.Coalesce):
        return [node.this, *node.expressions]
    if isinstance(node, exp.Case):
        return [*(branch.args["true"] for branch in node.args["ifs"]), node.args.get("default")]
    return [node.args["true"], node.args.get("false")]


def _any_of(branches: Sequence[Given]) -> Given:
    told = [branch for branch in branches if not branch.is_null]
    if not told:
        return NULL
    kinds, types = {branch.kind for branch in told}, {branch.type for branch in told}
    values = [branch.values for branch in told]
    return Given(
        kinds.pop() if len(kinds) == 1 else None,
        None if None in values else frozenset().union(*(v for v in values if v is not None)),
        types.pop() if len(types) == 1 else None,
    )


def _falls_back(map_code: exp.Expr) -> bool:
    """Something around it may say what becomes of a code that the map does not have."""
    return map_code.find_ancestor(*CHOICES) is not None


def _written(kind: exp.DataType) -> str:
    return kind.sql("spark").lower()


def _sql(node: exp.Expr) -> str:
    return node.sql("spark")
