"""A table's contract: what is promised of each column and row, and where the table comes from.

Key names are those of the Open Data Contract Standard wherever it has the key; rule names and kwargs are Great
Expectations' own."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from jobs.contracts.base import NAME, Strict, clock_time
from jobs.contracts.column import GARBLED, Column, ColumnMap
from jobs.contracts.errors import Wrong, nearest
from jobs.contracts.expectations import BOUNDS, USUAL
from jobs.contracts.parse import DECIMAL, DECIMALS, WHOLE, holds_money
from jobs.contracts.rule import Rule

Layer = Literal["bronze", "silver", "gold"]
History = Literal["append", "fact", "snapshot", "scd2"]
ADDRESS = re.compile(r"^(bronze|silver|gold)\.[a-z][a-z0-9_]*$")
MONEY_REMEDY = (
    f"Sums are exact of a decimal of at most {WHOLE} digits before the point and {DECIMALS} after: decimal(18,2)"
)
# Reserved parameter names of a transform beside tables: rows of all feeds that conform; the table's own last state;
# KPI definitions.
INCOMING, PREVIOUS = "incoming", "previous"


class Conform(Strict):
    """How rows of a bronze table become rows of a silver table's `incoming`: one Spark SQL expression a column.

    Usable in expressions: the bronze columns; `$zone`, `$currency`, `$system`; `map_code(list, column)` through a
    reference map; `__entity`, `__business_date`, `__received_at`. `where` names filters: a row for which one is not
    true is counted as filtered by that name."""

    columns: dict[str, str]
    where: dict[str, str] = Field(default_factory=dict)
    changes_money: str | None = Field(
        None,
        alias="changesMoney",
        min_length=1,
        description="why the rows tell another amount than came (`fees are sent negative`): without it the gate warns where they do",
    )


class Reconciles(Strict):
    """Another bronze table that tells the same money: for each of `keys` on a business date the sum of `left` equals the other table's sum of `right`, up to
    `tolerance`. Where not, the `blocks` feeds of that branch and day are not built from, and others go on."""

    keys: Annotated[list[str], Field(min_length=1, description="columns that both tables have")]
    branch: str = Field(description="the one of keys that names the branch, as deliveries do")
    left: str
    right: str
    only: str | None = Field(None, description="boolean column of this table: false for what the other does not tell")
    tolerance: Decimal = Field(Decimal(0), ge=0)
    blocks: Annotated[list[str], Field(min_length=1, description="feeds whose lanes are kept out")]

    @model_validator(mode="after")
    def _branch_is_a_key(self) -> Reconciles:
        if self.branch not in self.keys:
            raise ValueError(f"branch {self.branch} is not one of keys; write one of {', '.join(self.keys)}")
        return self


class Mart(Strict):
    """Publishing to the PostgreSQL mart: `scope` columns decide who may see a row; `mask` columns are shown masked to
    readers."""

    columns: list[str] = Field(default_factory=list, description="which columns; all contract columns when empty")
    scope: dict[Literal["branch", "province"], str] = Field(default_factory=dict)
    keep: Literal["dates", "current"] = Field("dates", description="rows of the released dates, or the current state")


class Sla(Strict):
    """When a table's day is ready at the latest, local time, on the days of a calendar."""

    ready_by: Annotated[str, AfterValidator(clock_time)] = Field(alias="readyBy")
    calendar: str = "every_day"


class Reach(Strict):
    """How many days a row's own business date may lie before, or after, that of its delivery. A take-on goes back as far as it likes."""

    back: int = Field(400, ge=0)
    ahead: int = Field(1, ge=0)


# The column that says so of each row.
DATE_IS, IN_REACH, TOO_EARLY, TOO_LATE = "business_date_is", "in_reach", "too_early", "too_late"
# Of a correction: the column that says which of two corrections of one row is the newer, and whether the row that it corrects is there.
CORRECTION_VERSION, ORIGINAL_FOUND = "correction_version", "original_found"
FOUND, NOT_FOUND = "yes", "no"


class Table(Strict):
    """The contract of one table, `expectations/<layer>/<table>.yaml`."""

    table: str
    version: str
    description: str
    grain: str
    owner: str
    steward: str
    reads: list[str] = Field(default_factory=list)
    primary_key: list[str] = Field(alias="primaryKey")
    history: History
    columns: ColumnMap
    incoming: ColumnMap = Field(default_factory=dict, description="what a feed must give to be part of this table")
    rules: list[Rule] = Field(default_factory=list)
    money: str | None = Field(None, description="the column whose sum the balance follows beside the row count")
    business_date: str | None = Field(
        None,
        alias="businessDate",
        description="bronze: SQL for the row's business date, if not a column of that name or the file's",
    )
    reach: Reach | None = Field(
        None,
        description="bronze: how far a row's own business date may lie from its delivery's: 400 days back and 1 ahead where there is a businessDate and nothing is said",
    )
    affects: str | None = Field(
        None,
        description="bronze: SQL for another business date, or a list of them, whose figures the row changes (the "
        "original's, of a reversal)",
    )
    corrects: str | None = Field(
        None,
        description="bronze: the table whose rows these replace, one by one, by its primary key and business date; its columns, rules and conforms hold here too",
    )
    tracked: list[str] = Field(
        default_factory=list, description="scd2: columns whose change opens a row; all when empty"
    )
    transport: list[str] = Field(
        default_factory=list,
        description="columns that tell of the way here: copies of a row that differ in nothing else are equal",
    )
    conforms: dict[str, Conform] = Field(default_factory=dict)
    reconciles: dict[str, Reconciles] = Field(
        default_factory=dict, description="bronze: tables that must tell the same money before a branch-day is built"
    )
    statistics: list[str] = Field(
        default_factory=list, description="columns people filter on: Delta keeps min and max of these only"
    )
    mart: Mart | None = None
    made_by: str | None = Field(
        None, alias="madeBy", description="the module that makes it, when not jobs/<layer>/<table>.py"
    )
    sla: Sla | None = None

    @field_validator("table")
    @classmethod
    def _address(cls, value: str) -> str:
        if not ADDRESS.match(value):
            raise ValueError(f"{value} is not layer.table in snake_case")
        return value

    @field_validator("columns")
    @classmethod
    def _names(cls, value: dict[str, Column]) -> dict[str, Column]:
        wrong: list[tuple[tuple[str | int, ...], str, str]] = []
        for name in value:
            if name.startswith("__"):
                wrong.append(
                    ((name,), f"{name}: names that begin with __ are reserved for the machinery", "Correct it")
                )
            elif not NAME.match(name):
                wrong.append(((name,), f"column {name} is not snake_case", "Correct it"))
        if wrong:
            raise Wrong(wrong)
        return value

    @field_validator("incoming")
    @classmethod
    def _incoming_names(cls, value: dict[str, Column]) -> dict[str, Column]:
        return cls._names(value)

    @model_validator(mode="after")
    def _consistent(self) -> Table:
        physical = self.physical_columns
        wrong: list[tuple[tuple[str | int, ...], str, str]] = []
        named = {
            "primaryKey": self.primary_key,
            "money": [self.money] if self.money else [],
            "statistics": self.statistics,
            "tracked": self.tracked,
            "transport": self.transport,
            "mart": [*self.mart.columns, *self.mart.scope.values()] if self.mart else [],
        }
        for key, names in named.items():
            wrong += [
                ((key,), f"{key} names {n}, which is not a column of {self.table}", nearest(n, physical))
                for n in names
                if n not in physical
            ]
        if self.money in physical:
            kind = physical[self.money].type
            if not (holds_money(kind) if self.layer == "bronze" else DECIMAL.match(kind)):
                wrong.append((("money",), f"money {self.money} is of type {kind}", MONEY_REMEDY))
        ids = [r.id for r in self.rules]
        for i, rule in enumerate(self.rules):
            if rule.id in ids[:i]:
                wrong.append((("rules", i), f"rule id {rule.id} is given twice", "Name it otherwise"))
            wrong += [(("rules", i), found, remedy) for found, remedy in self.misnamed(rule)]
        if self.layer == "bronze":
            wrong += [
                ((key,), f"a bronze table reads deliveries only, it has no {key}", "Take it out")
                for key in ("reads", "incoming")
                if getattr(self, key)
            ]
            wrong += [
                (
                    ("columns", n),
                    f"{n}: bronze cannot read text as {c.type}",
                    "Keep it as string and split it in silver",
                )
                for n, c in self.columns.items()
                if c.type.startswith(("array", "struct"))
            ]
        else:
            wrong += [
                ((block, n, key), f"{n}: only bronze reads text, so {key} says nothing here", f"Take {key} out")
                for block in ("columns", "incoming")
                for n, c in getattr(self, block).items()
                for key in ("parse", "text")
                if getattr(c, key) is not None
            ]
        if self.reach and (
            self.layer != "bronze" or self.corrects or not (self.business_date or "business_date" in self.columns)
        ):
            found = f"reach speaks of business dates of rows, and those of {self.table} have none of their own"
            wrong.append(
                (("reach",), found, "Take it out, or say the rows' date: a column business_date, or businessDate")
            )
        if self.corrects is not None:
            version = self.columns.get(CORRECTION_VERSION)
            if (
                self.layer != "bronze"
                or version is None
                or version.type not in ("int", "bigint")
                or not version.required
            ):
                found = f"{self.table} corrects {self.corrects} and has no {CORRECTION_VERSION}"
                remedy = f"A bronze table that corrects has a column {CORRECTION_VERSION}: [int!, ...]; of two corrections of a row the higher counts"
                wrong.append((("corrects",), found, remedy))
        if (
            self.incoming
            and self.money in physical
            and not (self.money in self.incoming and self.incoming[self.money].required)
        ):
            found = f"money {self.money} is no column that each feed must give, so nobody could say what came in"
            wrong.append(
                (("incoming",), found, f"Write it there with !: {self.money}: [{physical[self.money].type}!, ...]")
            )
        if self.incoming and INCOMING not in self.reads:
            wrong.append(
                (
                    ("incoming",),
                    f"{self.table} has incoming columns but does not read them",
                    f"List `{INCOMING}` under reads",
                )
            )
        if wrong:
            raise Wrong(wrong)
        return self

    def misnamed(self, rule: Rule) -> list[tuple[str, str]]:
        """What a rule names that is not here, and the remedy: a column, or what is usual where no delivery is judged."""
        physical = self.physical_columns
        of_days = self.layer != "bronze" and [b for b in sorted(BOUNDS) if re.fullmatch(USUAL, str(rule.kwargs.get(b)))]
        return [
            (f"rule {rule.id} names {c}, which is not a column of {self.table}", nearest(c, physical))
            for c in rule.columns
            if c not in physical
        ] + [
            (
                f"rule {rule.id}: {bound} is told in usual_rows, which deliveries have, and {self.table} is judged by business day",
                "Write a number of rows, or let the rule stand in the contract of the bronze table",
            )
            for bound in of_days or ()
        ]

    @property
    def layer(self) -> str:
        return self.table.split(".")[0]

    @property
    def name(self) -> str:
        return self.table.split(".")[1]

    @property
    def physical_columns(self) -> dict[str, Column]:
        """Columns as they stand in the lake: identifying ones replaced by token, validity and derivations."""
        told = [*([ORIGINAL_FOUND] if self.corrects else []), *([DATE_IS] if self.reach_of_dates else [])]
        found = {name: Column(type="string", classification="C1/2") for name in told}
        return {n: c for name, column in self.columns.items() for n, c in column.physical(name).items()} | found

    @property
    def reach_of_dates(self) -> Reach | None:
        """How far rows' own business dates may lie from their delivery's; None where rows have none of their own. A correction has that of its original."""
        if self.layer != "bronze" or self.corrects:
            return None
        return self.reach or (Reach() if self.business_date else None)

    @property
    def compared(self) -> list[str]:
        """What tells two copies of a row apart, or two states of an entity."""
        return self.tracked or [name for name in self.physical_columns if name not in self.transport]

    @property
    def all_rules(self) -> list[Rule]:
        """The written rules, and those that the columns imply: `!` never null, `enum` membership, text that can be read, the primary key."""
        implied: list[Rule] = []
        for name, column in self.physical_columns.items():
            if column.required:
                implied.append(_implied(f"{name}_required", "expect_column_values_to_not_be_null", {"column": name}))
            if column.enum is not None:
                implied.append(
                    _implied(
                        f"{name}_known", "expect_column_values_to_be_in_set", {"column": name, "value_set": column.enum}
                    )
                )
        implied += [_legible(name, column.text) for name, column in self.columns.items() if column.text]
        if (reach := self.reach_of_dates) is not None:
            near = _implied(
                "business_date_in_reach",
                "expect_column_values_to_be_in_set",
                {"column": DATE_IS, "value_set": [IN_REACH]},
            )
            said = (
                f"the row's business date must lie at most {reach.back} days before that of its delivery and {reach.ahead} after it (`reach`); in 1970 lie seconds "
                "that are read as milliseconds"
            )
            implied.append(near.model_copy(update={"description": said}))
        if self.corrects:
            kwargs_of = {"column": ORIGINAL_FOUND, "value_set": [FOUND]}
            known = _implied("original_known", "expect_column_values_to_be_in_set", kwargs_of)
            said = f"the row that is corrected must stand in {self.corrects}, under the same key and business date"
            implied.append(known.model_copy(update={"description": said}))
        if self.primary_key and not any(r.is_unique for r in self.rules):
            kwargs: dict[str, Any] = (
                {"column": self.primary_key[0]} if len(self.primary_key) == 1 else {"column_list": self.primary_key}
            )
            name = (
                "expect_column_values_to_be_unique"
                if len(self.primary_key) == 1
                else "expect_compound_columns_to_be_unique"
            )
            implied.append(_implied("primary_key_unique", name, kwargs))
        written = {r.id for r in self.rules}
        return [r for r in implied if r.id not in written] + list(self.rules)


def _legible(name: str, language: str) -> Rule:
    faults = [words for fault, words in GARBLED.items() if fault != "kana" or language == "chinese"]
    rule = _implied(
        f"{name}_legible",
        "expect_column_values_to_not_be_in_set",
        {"column": f"{name}_garbled", "value_set": list(GARBLED)},
    )
    said = f"{name} must be text that was decoded with the right table ({language.replace('_', ' ')}): without {', '.join(faults)}"
    return rule.model_copy(update={"description": said})


def _implied(rule_id: str, expectation: str, kwargs: dict[str, Any]) -> Rule:
    return Rule.model_validate({"id": rule_id, "onFail": "quarantine", "expectation": expectation, "kwargs": kwargs})
