"""A table's contract: what is promised of each column and row, and where the table comes from.

Key names are those of the Open Data Contract Standard wherever it has the key; rule names and kwargs are Great
Expectations' own."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from jobs.contracts.errors import Wrong, nearest
from jobs.contracts.expectations import BETWEEN, BOUNDS, KNOWN, ON_FAIL, REQUIRED, ROW, UNIQUE, USUAL, allowed
from jobs.contracts.parse import DECIMAL, DECIMALS, WHOLE, Way, holds_money, way

Layer = Literal["bronze", "silver", "gold"]
History = Literal["append", "fact", "snapshot", "scd2"]
TYPE = re.compile(r"^(string|date|timestamp|int|bigint|boolean|decimal\(\d{1,2},\s?\d{1,2}\)|array<.+>|struct<.+>)$")
NAME = re.compile(r"^[a-z][a-z0-9_]*$")
ADDRESS = re.compile(r"^(bronze|silver|gold)\.[a-z][a-z0-9_]*$")
CLASS = re.compile(r"^C[123]/[1-5]$")
MOST_DIGITS = 38  # of a decimal
MONEY_REMEDY = (
    f"Sums are exact of a decimal of at most {WHOLE} digits before the point and {DECIMALS} after: decimal(18,2)"
)
CLOCK = re.compile(r"^([01]\d|2[0-3]):[0-5]\d$")
# Reserved parameter names of a transform beside tables: rows of all feeds that conform; the table's own last state;
# KPI definitions.
INCOMING, PREVIOUS = "incoming", "previous"
# What may be wrong with a text that somebody decoded with the wrong table before it was sent (jobs/arrival/garbled.py); a column with `text` says which.
GARBLED = {
    "kana": "Japanese syllables or bopomofo",
    "lost_character": "characters that stand for a lost one, or that no table has",
    "wrong_table": "characters of another table's reading",
    "pinyin_gloss": "the sound of a character in its place",
}
# What each kind of identifier turns into, beside <column>_token and <column>_valid; `derive` picks from these.
DERIVATIONS: dict[str, dict[str, str]] = {
    "id_number": {"birth_date": "date", "gender": "string", "area_code": "string", "last4": "string", "kind": "string"},
    "name": {"normal_token": "string"},
    "phone": {"last4": "string"},
    "email": {},
    "card": {"last4": "string"},
    "device": {},
    "address": {"area_code": "string"},
    # Not an identifier of a person: the keyed, opaque id that a party takes from its first source key (never from
    # an ID number).
    "source_key": {},
}


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _spread(value: Any) -> Any:
    """`[type!, {options}]` or `type!` -> one mapping."""
    if isinstance(value, Column):
        return value
    parts = value if isinstance(value, list) else [value]
    kind, options = parts[0] if parts else None, parts[1] if len(parts) == 2 else {}
    if not isinstance(kind, str) or not isinstance(options, dict) or len(parts) > 2:
        raise ValueError("a column is `[type, {options}]`, for instance [string!, {classification: C1/2}]")
    for twice in sorted({"type", "required"} & set(options)):
        raise ValueError(f"{twice} stands before the options: [string!, {{...}}], where ! means never null")
    return {"type": kind.removesuffix("!"), "required": kind.endswith("!"), **options}


def clock_time(value: str) -> str:
    """Raises ValueError unless it is a time of day."""
    if not CLOCK.match(value):
        raise ValueError(f"{value} is not a time of day such as 22:30")
    return value


def _in_both(texts: dict[str, str]) -> dict[str, str]:
    for missing in sorted({"en", "zh"} - set(texts)):
        raise ValueError(f"there is no text for {missing}; people read it in English (en) and in Chinese (zh)")
    return texts


# What people read: a text for each language of the reports.
InBoth = Annotated[dict[Literal["en", "zh"], str], AfterValidator(_in_both)]


class Column(Strict):
    """One column. `required` means never null. `classification` is category/level (JR/T 0171 / JR/T 0197)."""

    type: str
    required: bool = False
    classification: str
    description: str = ""
    unit: str | None = None
    enum: list[Any] | str | None = Field(None, description="allowed values, or $name of a reference list")
    references: str | None = Field(None, description="layer.table.column it points to")
    identifies: str | None = Field(None, description="kind of identifier: the value becomes a token at arrival")
    derive: list[str] = Field(default_factory=list, description="what to keep of an identifier beside its token")
    parse: str | None = Field(
        None,
        description="how the text that bronze casts is written: a date pattern (yyyyMMdd, yyMMdd/1950), `epoch_ms`, "
        "`epoch_s`, `implied(2)`, `trailing_minus`, `thousands`, `zoned`, `Y/N`, `null(0,99991231)`",
    )
    source: str | None = Field(None, alias="from", description="the field's name or JSON path in the file, if another")
    free_text: bool = Field(
        False,
        alias="freeText",
        description="people write what they like, or it is an address: identifiers found in it become tokens at arrival",
    )
    width: int | None = Field(None, gt=0, description="fixed width: length in bytes of the original encoding")
    text: Literal["chinese", "chinese_or_japanese"] | None = Field(
        None,
        description="the language that the text is in: rows whose text was decoded with the wrong table are rejected",
    )

    @field_validator("type")
    @classmethod
    def _known_type(cls, value: str) -> str:
        if value in ("float", "double"):
            raise ValueError(f"{value} cannot hold money or keys exactly; use decimal(p,s)")
        if not TYPE.match(value):
            raise ValueError(f"unknown type {value}; use string, date, timestamp, int, bigint, boolean or decimal(p,s)")
        if (digits := DECIMAL.match(value)) and not int(digits[2]) <= int(digits[1]) <= MOST_DIGITS:
            raise ValueError(f"{value} is no decimal: at most {MOST_DIGITS} digits, of which so many are decimals")
        return value

    @field_validator("parse")
    @classmethod
    def _fits_the_type(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "type" in info.data:
            way(info.data["type"], value)
        return value

    @field_validator("classification")
    @classmethod
    def _known_class(cls, value: str) -> str:
        if not CLASS.match(value):
            raise ValueError(f"classification {value} is not category/level; write for instance C2/3")
        return value

    @field_validator("enum")
    @classmethod
    def _list_or_name(cls, value: list[Any] | str | None) -> list[Any] | str | None:
        if isinstance(value, str) and not value.startswith("$"):
            raise ValueError(
                f"enum {value} is neither a list of values nor the name of a reference list; "
                f"write ${value} or [{value}]"
            )
        return value

    @model_validator(mode="after")
    def _identifier(self) -> Column:
        if self.identifies is not None:
            if self.identifies not in DERIVATIONS:
                raise ValueError(f"unknown kind of identifier {self.identifies}; known: {', '.join(DERIVATIONS)}")
            unknown = set(self.derive) - set(DERIVATIONS[self.identifies])
            if unknown:
                raise ValueError(f"a {self.identifies} has no {', '.join(sorted(unknown))}")
            if self.type != "string":
                raise ValueError("an identifying column is a string")
            if self.parse is not None:
                raise ValueError("an identifying column has no parse: its kind says how it is read")
        elif self.derive:
            raise ValueError("derive goes with identifies")
        if self.text and (self.type != "string" or self.identifies not in (None, "name", "address")):
            raise ValueError("text says in which language a string, a name or an address is; take it out")
        if self.free_text and (self.type != "string" or self.identifies is not None):
            raise ValueError("freeText is a string that identifies nobody as a whole")
        return self

    @property
    def way(self) -> Way:
        """How the column's text is written."""
        return way(self.type, self.parse)

    def physical(self, name: str) -> dict[str, Column]:
        """The columns that stand in `rows` and in the lake for this one: itself, or token, validity and derivations; and what is wrong with its text, a word of
        GARBLED, for a token does not show it any more.
        """
        if self.text:
            plain = self.model_copy(update={"text": None}).physical(name)
            return plain | {f"{name}_garbled": Column(type="string", classification="C1/2")}
        if self.identifies is None:
            return {name: self}
        if self.identifies == "source_key":
            # The key itself is the bank's own and stays; only the derived, keyed id is added.
            return {
                name: self.model_copy(update={"identifies": None}),
                f"{name}_keyed": Column(type="string", classification="C1/2"),
            }
        plain = {
            f"{name}_token": Column(type="string", required=self.required, classification=self.classification),
            f"{name}_valid": Column(type="boolean", classification="C1/2"),
        }
        kinds = DERIVATIONS[self.identifies]
        return plain | {
            f"{name}_{d}": Column(
                type=kinds[d], classification=self.classification, parse="yyyy-MM-dd" if kinds[d] == "date" else None
            )
            for d in self.derive
        }


class Rule(Strict):
    """One promise. `expectation` and `kwargs` are Great Expectations' own."""

    id: str
    on_fail: str = Field(alias="onFail")
    expectation: str
    kwargs: dict[str, Any]
    description: str = ""
    alert: bool = Field(False, description="people are told at once when it is broken")

    @model_validator(mode="before")
    @classmethod
    def _one_expectation(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "expectation" in data:
            return data
        names = [k for k in data if k.startswith("expect_")]
        if len(names) != 1:
            raise ValueError("a rule has exactly one expect_... key")
        rest = {k: v for k, v in data.items() if k != names[0]}
        return {**rest, "expectation": names[0], "kwargs": {} if data[names[0]] is None else data[names[0]]}

    @model_validator(mode="after")
    def _allowed(self) -> Rule:
        if self.expectation not in KNOWN:
            raise ValueError(f"unknown expectation {self.expectation}; known: {', '.join(sorted(KNOWN))}")
        if self.on_fail not in ON_FAIL:
            raise ValueError(f"onFail {self.on_fail} is not one of {', '.join(sorted(ON_FAIL))}")
        if self.on_fail == "quarantine" and not self.judges_rows:
            raise ValueError(
                f"{self.expectation} speaks of the whole table and cannot quarantine rows; use hold, stop or warn"
            )
        if not NAME.match(self.id):
            raise ValueError(f"rule id {self.id} is not snake_case")
        self._check_kwargs()
        return self

    def _check_kwargs(self) -> None:
        """A misspelt or missing kwarg would leave the rule blind."""
        given = set(self.kwargs)
        for unknown in sorted(given - allowed(self.expectation)):
            raise ValueError(
                f"{self.expectation} takes no {unknown}; it takes {', '.join(sorted(allowed(self.expectation)))}"
            )
        for missing in sorted(REQUIRED[self.expectation] - given):
            raise ValueError(f"{self.expectation} needs {missing}")
        if self.expectation in BETWEEN and all(self.kwargs.get(bound) is None for bound in BOUNDS):
            raise ValueError(f"{self.expectation} needs min_value or max_value: without a bound it checks nothing")
        if self.expectation == "expect_table_row_count_to_be_between":
            for bound in sorted(BOUNDS):
                told = self.kwargs.get(bound)
                if isinstance(told, str) and not re.fullmatch(USUAL, told):
                    raise ValueError(
                        f"{bound} {told!r} is neither a number nor a share of what is usual; write it as 0.5 * usual_rows"
                    )
        if self.on_fail == "quarantine" and "mostly" in self.kwargs:
            raise ValueError(
                "mostly tolerates bad rows and quarantine takes each one out: use hold, stop or warn with mostly"
            )
        value_set = self.kwargs.get("value_set", [])
        if not isinstance(value_set, list) and not str(value_set).startswith("$"):
            raise ValueError(
                f"value_set {value_set} is neither a list of values nor the name of a reference list; "
                f"write ${value_set} or [{value_set}]"
            )

    @property
    def reference(self) -> str | None:
        """The reference list that its values are told by, as it is written in a contract; None where they stand in the rule."""
        named = self.kwargs.get("value_set")
        return named[1:] if isinstance(named, str) and named.startswith("$") else None

    @property
    def judges_rows(self) -> bool:
        return self.expectation in ROW or self.expectation in UNIQUE

    @property
    def is_unique(self) -> bool:
        return self.expectation in UNIQUE

    @property
    def columns(self) -> list[str]:
        """The columns the rule reads, in the order its kwargs name them."""
        one = [self.kwargs[k] for k in ("column", "column_A", "column_B") if k in self.kwargs]
        return one or list(self.kwargs.get("column_list", []))


class Conform(Strict):
    """How rows of a bronze table become rows of a silver table's `incoming`: one Spark SQL expression a column.

    Usable in expressions: the bronze columns; `$zone`, `$currency`, `$system`; `map_code(list, column)` through a
    reference map; `__entity`, `__business_date`, `__received_at`. `where` names filters: a row for which one is not
    true is counted as filtered by that name."""

    columns: dict[str, str]
    where: dict[str, str] = Field(default_factory=dict)


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

ColumnMap = dict[str, Annotated[Column, BeforeValidator(_spread)]]


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
