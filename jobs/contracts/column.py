"""A column's contract: type, nullness, classification, how its text is written, whom it identifies and what is kept of that."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from jobs.contracts.base import Strict
from jobs.contracts.parse import DECIMAL, Way, way

TYPE = re.compile(r"^(string|date|timestamp|int|bigint|boolean|decimal\(\d{1,2},\s?\d{1,2}\)|array<.+>|struct<.+>)$")
CLASS = re.compile(r"^C[123]/[1-5]$")
MOST_DIGITS = 38  # of a decimal
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


def _spread(value: Any) -> Any:
    """`[type!, {options}]` or `type!` -> one mapping."""
    if isinstance(value, Column):
        return value
    parts = value if isinstance(value, list) else [value]
    if (
        len(parts) > 1
        and isinstance(parts[1], str)
        and (split := DECIMAL.match(f"{parts[0]},{parts[1].removesuffix('!')}"))
    ):
        whole = f"decimal({split[1]},{split[2]}){'!' if parts[1].endswith('!') else ''}"
        raise ValueError(f'the comma in {whole} splits the type in two: put it in quotes, ["{whole}", {{...}}]')
    kind, options = parts[0] if parts else None, parts[1] if len(parts) == 2 else {}
    if not isinstance(kind, str) or not isinstance(options, dict) or len(parts) > 2:
        raise ValueError("a column is `[type, {options}]`, for instance [string!, {classification: C1/2}]")
    for twice in sorted({"type", "required"} & set(options)):
        raise ValueError(f"{twice} stands before the options: [string!, {{...}}], where ! means never null")
    return {"type": kind.removesuffix("!"), "required": kind.endswith("!"), **options}


# The columns of a contract, as they are written: a name and `[type!, {options}]`.
ColumnMap = dict[str, Annotated[Column, BeforeValidator(_spread)]]
