"""How the files of a source are read: a model a kind of file."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from jobs.contracts.base import Strict
from jobs.contracts.copybook import Copybook, parse_copybook
from jobs.contracts.encodings import KNOWN, LINE_SAFE, codec_of, not_written, writers_of
from jobs.contracts.errors import Wrong, nearest
from jobs.contracts.parse import DECIMALS, WHOLE, Way, way

SUM = f"decimal({WHOLE + DECIMALS},{DECIMALS})"  # the type of a stated sum
KNOWN_FIELDS = ("system", "entity", "business_date", "created_at", "record_count", "amount_sum")
# Which of them are compared with anything (jobs/arrival/lane_check.py, jobs/arrival/totals.py): a header says whose the file is, a trailer what is in it.
COMPARED = {"header": ("system", "entity", "business_date"), "trailer": ("record_count", "amount_sum")}


def _known_encoding(name: str) -> str:
    if codec_of(name) is None:
        known = sorted(KNOWN | {"utf-8-sig"})
        raise ValueError(f"there is no encoding {name}. {nearest(name, known)} (known are {', '.join(known)})")
    return name


Encoding = Annotated[str, AfterValidator(_known_encoding)]


def _is_written(value: str | Record | None, info: ValidationInfo) -> str | Record | None:
    """What stands in the files of a source (a separator, a tag) is written in its encoding. Raises ValueError."""
    text, encoding = value.tag if isinstance(value, Record) else value, info.data.get("encoding")
    if text and encoding and (absent := not_written(text, encoding)) is not None:
        wider = writers_of(absent, encoding)
        has_it = f" ({' and '.join(wider)} {'has' if len(wider) == 1 else 'have'} it)" if wider else ""
        raise ValueError(
            f"{text!r} cannot stand in a file, for {encoding} has no {absent}{has_it}. Declare the encoding that the sender writes, or what stands there instead"
        )
    return value


def _meant(name: str) -> str | None:
    """The known name that another was meant for: one that is like it, or that it shortens (`rec_cnt`)."""
    written = name.lower()
    if near := get_close_matches(written, KNOWN_FIELDS, n=1, cutoff=0.75):
        return near[0]
    letters = written.replace("_", "")
    return next((known for known in KNOWN_FIELDS if len(letters) > 3 and _shortens(letters, known)), None)


def _shortens(letters: str, known: str) -> bool:
    rest = iter(known)
    return letters[0] == known[0] and all(letter in rest for letter in letters)


def _all_known(fields: dict[str, str]) -> dict[str, str]:
    """Where each name says what it is read from, one that is not known has no use, and what was meant is compared with nothing. Raises Wrong."""
    known = ", ".join(KNOWN_FIELDS)
    wrong: list[tuple[tuple[str | int, ...], str, str]] = [
        (
            (name,),
            f"{name} is compared with nothing",
            f"Did you mean {meant}? Known are {known}"
            if (meant := _meant(name))
            else f"Take it out. Known are {known}",
        )
        for name in fields
        if name not in KNOWN_FIELDS
    ]
    if wrong:
        raise Wrong(wrong)
    return fields


KnownFields = Annotated[dict[str, str], AfterValidator(_all_known)]


ESCAPE = re.compile(r"\\(?:[tnrfv0]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})")


def _is_no_escape(text: str | None) -> str | None:
    """A backslash and a letter are two characters in YAML's single quotes, and no file holds them. Raises ValueError."""
    if text and (escape := ESCAPE.search(text)):
        raise ValueError(
            f'{text} is written as text: a backslash and what follows it, and not the character that {escape[0]} means. Write it in double quotes, "{text}"'
        )
    return text


def _parts_a_line(text: str) -> str:
    """A separator stands within a line. Raises ValueError."""
    if "\n" in text or "\r" in text:
        raise ValueError(
            f"{text!r} holds a line end, which ends the record and parts no values. Name what stands between two values of one line"
        )
    return text


class Record(Strict):
    """A header or trailer line: its tag and the fields after it, by position.

    Known fields are checked: `system`, `entity`, `business_date` against the file's name; `record_count`,
    `amount_sum` against the body."""

    tag: str
    fields: list[str]
    widths: list[Annotated[int, Field(gt=0)]] | None = Field(
        None,
        description="fixed width: bytes of each field, which follow the tag and each other without a separator",
    )
    parse: str | None = Field(
        None,
        description="how `amount_sum` is written, in the words of a column: `implied(2)` for fen; with its decimals when nothing is said",
    )

    @field_validator("fields")
    @classmethod
    def _not_misspelt(cls, names: list[str]) -> list[str]:
        """A known field under another name would be compared with nothing."""
        for name in names:
            if name not in KNOWN_FIELDS and (meant := _meant(name)):
                raise ValueError(
                    f"field {name} is compared with nothing. Did you mean {meant}? Another name for what is not compared"
                )
        return names

    @model_validator(mode="after")
    def _fit_together(self) -> Record:
        if self.widths is not None and len(self.widths) != len(self.fields):
            raise ValueError(f"{len(self.widths)} widths for {len(self.fields)} fields; write one for each")
        if self.parse is not None and "amount_sum" not in self.fields:
            raise ValueError("parse says how amount_sum is written, and there is no such field")
        self.sum_way  # noqa: B018 - raises for words that are not known
        return self

    @property
    def sum_way(self) -> Way | None:
        """How `amount_sum` is written, where the source says it."""
        return way(SUM, self.parse) if self.parse is not None else None


class Drift(Strict):
    """What is done when a file names its columns, and they are not those of the contract. Every acceptance is told as an alert; a refusal shows the difference."""

    added: Literal["hold_back", "evolve", "refuse"] = Field(
        "hold_back",
        description="a column that the contract does not have: left out; left out and its line for the contract proposed to the owner; or the file is refused",
    )
    removed: Literal["refuse", "null"] = Field(
        "refuse",
        description="a column that is not sent: the file is refused; or it is null, where the contract lets it be null",
    )
    reordered: Literal["by_name", "refuse"] = Field("by_name", description="the same columns in another order")
    narrowed: Literal["refuse", "read"] = Field(
        "refuse", description="Parquet: a type that loses what the contract's holds, such as whole numbers for cents"
    )


class Delimited(Strict):
    kind: Literal["delimited"]
    encoding: Encoding = "utf-8"
    separator: Annotated[str, AfterValidator(_is_no_escape), AfterValidator(_parts_a_line)] = Field(",", min_length=1)
    quote: Annotated[str | None, AfterValidator(_is_no_escape)] = None
    comment: str | None = Field(None, description="lines that begin with this are no records")
    compression: Literal["gzip"] | None = None
    header: Record | None = None
    trailer: Record | None = None
    column_line: bool = Field(False, alias="columnLine", description="the first line names the columns")
    drift: Drift = Field(default_factory=Drift)

    @field_validator("separator", "quote", "comment", "header", "trailer")
    @classmethod
    def _written(cls, value: str | Record | None, info: ValidationInfo) -> str | Record | None:
        return _is_written(value, info)

    @field_validator("quote")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        if value is not None and (len(value) != 1 or not value.isascii() or value in "\r\n"):
            raise ValueError(
                f"{value!r} is no quote: one character of ASCII stands before and behind a quoted value, and is doubled within it. Write one, or leave quote out where no value is quoted"
            )
        return value

    @model_validator(mode="after")
    def _what_parts_differs(self) -> Delimited:
        """What means two things is read as one of them."""
        if self.quote and self.quote in self.separator:
            raise ValueError(
                f"the quote {self.quote} stands in the separator {self.separator} too, and nothing tells where a value ends. Declare the characters that the sender writes, or leave quote out"
            )
        if self.header and self.trailer and self.header.tag == self.trailer.tag:
            raise ValueError(
                f"header and trailer have the same tag {self.header.tag}, so that a file which was cut behind its header would end as a whole one does. Write the tag that each of them begins with"
            )
        return self

    @model_validator(mode="after")
    def _edges_have_separators(self) -> Delimited:
        if any(edge is not None and edge.widths is not None for edge in (self.header, self.trailer)):
            raise ValueError("widths are of fixed_width; here the separator parts the fields of header and trailer")
        return self

    @model_validator(mode="after")
    def _only_names_drift(self) -> Delimited:
        if not self.column_line and self.drift != Drift():
            raise ValueError("drift speaks of names of columns, and without columnLine the file has none")
        return self

    @model_validator(mode="after")
    def _comment_or_quote(self) -> Delimited:
        if self.comment and self.quote:
            raise ValueError("a format with quotes has no comments: a line inside a quoted value may begin as one does")
        return self


class FixedWidth(Strict):
    """Widths stand in the bronze contract (`width`), in bytes of the original encoding."""

    kind: Literal["fixed_width"]
    encoding: Encoding = "utf-8"
    compression: Literal["gzip"] | None = None
    header: Record | None = None
    trailer: Record | None = None
    record_separator: str = Field(
        "|", alias="recordSeparator", description="separator inside header and trailer lines that have no `widths`"
    )

    @field_validator("record_separator", "header", "trailer")
    @classmethod
    def _written(cls, value: str | Record | None, info: ValidationInfo) -> str | Record | None:
        return _is_written(value, info)

    @field_validator("encoding")
    @classmethod
    def _has_lines(cls, value: str) -> str:
        if codec_of(value) not in LINE_SAFE:
            raise ValueError(
                f"lines of {value} do not end with the byte 0A. Records of one length without line ends are read by `kind: copybook`"
            )
        return value


class JsonLines(Strict):
    kind: Literal["json_lines"]
    encoding: Encoding = "utf-8"
    compression: Literal["gzip"] | None = None


class ParquetFile(Strict):
    kind: Literal["parquet"]
    drift: Drift = Field(default_factory=Drift)


class Lengths(Strict):
    """How a record says its own length; as IBM's record descriptor word does when nothing is said."""

    order: Literal["big", "little"] = "big"
    at: Literal[0, 2] = Field(0, description="in which bytes of the four: 0 and 1, or 2 and 3")
    counts_itself: bool = Field(True, alias="countsItself", description="the four bytes are part of the length")


class Segment(Strict):
    """Records of several kinds in one file: which field tells them apart, and which group of the copybook each fills."""

    field: str
    groups: dict[str, str] = Field(description="value of the field -> group; its columns are null in other records")
    carry: list[str] = Field(
        default_factory=list,
        description="groups whose values stay with the records after it, a child's parents, the outermost first",
    )


class Choice(Strict):
    """One place that is read in several ways (REDEFINES): which field says in which way."""

    field: str
    groups: dict[str, str] = Field(description="value of the field -> field or group; null where another was chosen")


class Edge(Strict):
    """A header or trailer that is a record of its own kind. `fields`: known name (see Record) -> field."""

    segment: str
    fields: KnownFields


class CopybookFile(Strict):
    """Records of a mainframe, described by a COBOL copybook that lies beside the source."""

    kind: Literal["copybook"]
    copybook: str = Field(description="file name of the copybook, in the folder of the source")
    encoding: Encoding = "cp037"
    records: Literal["fixed", "rdw", "bdw"] = Field(
        "fixed",
        description="how records are parted: all of one length; each with its length before it; those in blocks",
    )
    lengths: Lengths = Field(default_factory=Lengths)
    variable_tables: bool = Field(
        False, alias="variableTables", description="a table takes room only for the elements that it holds"
    )
    skip_start: int = Field(0, ge=0, alias="skipStart", description="bytes before the first record")
    skip_end: int = Field(0, ge=0, alias="skipEnd", description="bytes after the last record")
    compression: Literal["gzip"] | None = None
    segment: Segment | None = None
    choices: list[Choice] = Field(default_factory=list)
    header: Edge | None = None
    trailer: Edge | None = None
    _book: Copybook | None = PrivateAttr(None)

    @property
    def described(self) -> Copybook | None:
        """The copybook; None before it was read."""
        return self._book

    @property
    def book(self) -> Copybook:
        if self._book is None:
            raise ValueError(f"the copybook {self.copybook} was not read")
        return self._book

    def described_by(self, text: str) -> CopybookFile:
        """The same with its copybook. Raises CopybookError."""
        described = self.model_copy()
        described._book = parse_copybook(text)
        return described

    @model_validator(mode="after")
    def _edges_are_segments(self) -> CopybookFile:
        if self.variable_tables and self.segment and self.records == "fixed":
            raise ValueError(
                "records of several kinds with tables of variable length need their length before them: records: rdw"
            )
        for edge in (self.header, self.trailer):
            if edge and (self.segment is None or edge.segment not in self.segment.groups):
                raise ValueError(f"{edge.segment} is no segment; list it under segment.groups")
        return self


class XmlFile(Strict):
    """One row for each element of a path. Names are those without namespace."""

    kind: Literal["xml"]
    record: str = Field(description="path of the element that is a row: Document/BkToCstmrStmt/Stmt/Ntry")
    encoding: Encoding = "utf-8"
    compression: Literal["gzip"] | None = None
    namespace: str | None = Field(None, description="that of the root element, with its version; any when not given")
    header: KnownFields = Field(default_factory=dict, description="known name (see Record) -> path from the root")
    trailer: KnownFields = Field(default_factory=dict, description="known name (see Record) -> path from the root")

    @field_validator("record")
    @classmethod
    def _a_path(cls, value: str) -> str:
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)+", value):
            raise ValueError(f"{value} is no path of elements such as Document/BkToCstmrStmt/Stmt/Ntry")
        return value

    def path(self, written: str) -> tuple[str, ...]:
        """A column's path from the root. `..` leads one element out of the record. Raises ValueError when it leads out of the document."""
        path = list(self.record.split("/"))
        for step in written.strip("/").split("/"):
            if step != "..":
                path.append(step)
            elif path:
                path.pop()
            else:
                raise ValueError(f"{written} leads out of the document")
        return tuple(path)


class Sheets(Strict):
    """A workbook of Excel: the rows below a line of names, of one sheet or of all that are not hidden."""

    kind: Literal["xlsx"]
    sheets: list[str] = Field(default_factory=list, description="names of sheets; all visible ones when empty")
    names_in: int = Field(1, ge=1, alias="namesIn", description="the row that names the columns")
    first_column: str = Field("A", alias="firstColumn", pattern="^[A-Z]{1,3}$")
    until: Literal["blank", "end"] = Field("blank", description="rows end at the first blank one, or with the sheet")
    drift: Drift = Field(default_factory=Drift)


class ArchiveFile(Strict):
    """Files packed into one: each member is a delivery of the source that its own name belongs to."""

    kind: Literal["archive"]
    container: Literal["tar", "tar.gz", "zip"]


Format = Annotated[
    Delimited | FixedWidth | JsonLines | ParquetFile | CopybookFile | XmlFile | Sheets | ArchiveFile,
    Field(discriminator="kind"),
]
