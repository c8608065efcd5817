"""A source: who sends a feed, when it is owed, and how its files are read.
`expectations/sources/<profile>/<feed>.yaml`."""

from __future__ import annotations

import re
from datetime import date, timedelta
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from jobs.contracts.base import Strict, clock_time
from jobs.contracts.copybook import Copybook, parse_copybook
from jobs.contracts.encodings import KNOWN, LINE_SAFE, codec_of, not_written, writers_of
from jobs.contracts.errors import Wrong, nearest
from jobs.contracts.parse import DECIMALS, WHOLE, Way, way


class Schedule(Strict):
    """When a lane is owed. Times are the bank's local time; `day: 1` means on the day after the business date."""

    calendar: str = "every_day"
    cut_off: str = Field("17:30", alias="cutOff")
    due: str = "22:00"
    day: int = Field(0, ge=0, le=5)
    working_day: int | None = Field(
        None,
        alias="workingDay",
        ge=1,
        le=20,
        description="owed once a month: on so manieth working day of it by the calendar",
    )
    batches: int = Field(
        1, ge=1, le=99, description="files a day, numbered from 1 on; the lane is here when all of these numbers are"
    )
    entities: list[str] = Field(
        default_factory=list, description="who owes it, where head office is not the one that sends it"
    )
    required: bool = Field(True, description="a business day waits for it (streams never hold a day open)")
    owed: bool | None = Field(
        None,
        description="people are told when it is not here by its due time; as `required` says, when nothing is said",
    )
    quiet_for: str | None = Field(
        None,
        alias="quietFor",
        pattern=r"^[1-9]\d{0,2}[mhd]$",
        description="streams: how long nothing may come before people are told, in minutes (m), hours (h) or days (d): 30m, 1h",
    )
    active_hours: str | None = Field(
        None,
        alias="activeHours",
        description='streams: the hours in which silence counts, local time, on the days of the calendar: "08:00-22:00"; always, when nothing is said',
    )

    @field_validator("cut_off", "due")
    @classmethod
    def _clock(cls, value: str) -> str:
        return clock_time(value)

    @field_validator("active_hours")
    @classmethod
    def _from_until(cls, value: str | None) -> str | None:
        begins, _, ends = (value or "00:00-23:59").partition("-")
        if clock_time(begins) >= clock_time(ends):
            raise ValueError(f'{value} are no hours of one day, such as "08:00-22:00"')
        return value

    @property
    def silence(self) -> timedelta | None:
        """How long a stream may be silent; None where nobody asks."""
        units = {"m": "minutes", "h": "hours", "d": "days"}
        return timedelta(**{units[self.quiet_for[-1]]: int(self.quiet_for[:-1])}) if self.quiet_for else None

    @property
    def hours(self) -> tuple[str, str] | None:
        """The first and the last minute in which silence counts, HH:mm; None where it always does."""
        begins, _, ends = (self.active_hours or "").partition("-")
        return (begins, ends) if ends else None

    @model_validator(mode="after")
    def _can_be_kept(self) -> Schedule:
        if self.active_hours and not self.quiet_for:
            raise ValueError(
                "activeHours are those in which silence counts: say with quietFor how long it may be, such as 1h"
            )
        if self.required and self.owed is False:
            raise ValueError("a business day waits for what is required, so somebody owes it: take out owed: false")
        if self.day == 0 and self.due < self.cut_off:
            raise ValueError(
                f"due {self.due} is before the cut-off {self.cut_off}: of the day after the business date write day: 1"
            )
        if self.required and self.working_day is not None:
            raise ValueError("what comes once a month holds no business day open: write required: false")
        return self

    @property
    def is_owed(self) -> bool:
        return self.required if self.owed is None else self.owed


# Placeholder, or bracket, of the pattern of a name -> what it is in a regular expression.
NAME_PARTS = {
    "{entity}": r"(?P<entity>[A-Za-z0-9]+)", "{date}": r"(?P<date>\d{8})", "{seq}": r"(?P<seq>\d{1,6})", "{version}": r"(?P<version>\d{1,6})",
    "{any}": "[^/]*?", "[": "(?:", "]": ")?",
}  # fmt: skip


class Files(Strict):
    """Names of the files. Placeholders: {entity}, {date} (YYYYMMDD, the business date), {seq} (batch number), {version} (of the same batch number the highest counts,
    whatever came last), {any} (what varies and says nothing: a time, a GUID). A part in square brackets may be missing, and its number is 1 then:
    `PAY_{entity}_{date}[_v{version}].csv`."""

    pattern: str
    signal: Literal["ok", "none"] = Field("ok", description="`ok`: read only what a `.ok` file announces")
    encrypted: Literal["pgp"] | None = Field(None, description="the file is an OpenPGP message for the bank's key")

    def regex(self) -> re.Pattern[str]:
        """File name -> entity, date, seq, version (all but the first are digits)."""
        parts = re.split(r"(\{\w+\}|[][])", self.pattern)
        return re.compile("".join(NAME_PARTS.get(p, re.escape(p)) for p in parts))

    def name(self, *, entity: str, business_date: date, seq: int) -> str:
        return self.pattern.format(entity=entity, date=f"{business_date:%Y%m%d}", seq=seq)

    @field_validator("pattern")
    @classmethod
    def _placeholders(cls, value: str) -> str:
        found = re.findall(r"\{\w+\}", value)
        if "{date}" not in found or not {*found} <= NAME_PARTS.keys() or len({*found}) < len(found):
            raise ValueError(
                f"pattern {value} needs {{date}} and may have {{entity}}, {{seq}}, {{version}} and {{any}}, each of them once"
            )
        whole, optional = re.sub(r"\[[^][]*\]", "", value), re.findall(r"\[([^][]*)\]", value)
        if re.search(r"[][]", whole) or any(
            re.findall(r"\{\w+\}", p) not in (["{seq}"], ["{version}"]) for p in optional
        ):
            raise ValueError(
                f"pattern {value}: square brackets stand round a part with {{seq}} or {{version}}, which may be missing"
            )
        neighbours = r"(?=\{(\w+)\}([^{]*)\{(\w+)\})"
        for one, between, other in re.findall(neighbours, re.sub(r"[][]", "", value)) + re.findall(neighbours, whole):
            mixed = "[^A-Za-z0-9]" if {"entity", "any"} & {one, other} else r"\D"
            if not re.search(mixed, between) and ("date" not in (one, other) or "any" in (one, other)):
                raise ValueError(
                    f"pattern {value}: nothing parts {{{one}}} from {{{other}}}. Write for instance {{{one}}}_{{{other}}}"
                )
        return value


SUM = f"decimal({WHOLE + DECIMALS},{DECIMALS})"  # the type of a stated sum
KNOWN_FIELDS = ("system", "entity", "business_date", "created_at", "record_count", "amount_sum")


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
            near = get_close_matches(name, KNOWN_FIELDS, n=1, cutoff=0.75)
            if near and name not in KNOWN_FIELDS:
                raise ValueError(
                    f"field {name} is compared with nothing. Did you mean {near[0]}? Another name for what is not compared"
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
    separator: str = Field(",", min_length=1)
    quote: str | None = None
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
    fields: dict[str, str]


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
    header: dict[str, str] = Field(default_factory=dict, description="known name (see Record) -> path from the root")
    trailer: dict[str, str] = Field(default_factory=dict, description="known name (see Record) -> path from the root")

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


class PostgresTable(Strict):
    """Rows of a table that changed since the last look, by a column that grows with each change."""

    kind: Literal["postgres_table"]
    connection: str = Field(pattern="^[a-z][a-z0-9_]*$", description="its address is LEDGERLAKE_SOURCE_<NAME>")
    table: str = Field(description="schema.table")
    watermark: str = Field(
        description="a timestamptz or a whole number that each change makes larger, kept by the source"
    )
    every: int = Field(1440, gt=0, description="minutes between two looks")
    overlap: int = Field(
        60,
        ge=0,
        description="rows of so many seconds (or numbers) before the last look are read again: a transaction may commit late",
    )

    @field_validator("table")
    @classmethod
    def _qualified(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*", value):
            raise ValueError(f"{value} is not schema.table in lower case")
        return value


class KafkaSecurity(Strict):
    """How the brokers know us, and we them. Names of connections stand for what no file of the repository holds."""

    protocol: Literal["SSL", "SASL_SSL", "SASL_PLAINTEXT"] = Field(
        description="of the brokers' listener; SASL_PLAINTEXT encrypts nothing"
    )
    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] | None = Field(None, description="of SASL")
    user: str | None = Field(None, min_length=1, description="of SASL")
    secret: str | None = Field(
        None, pattern="^[a-z][a-z0-9_]*$", description="the password of SASL is LEDGERLAKE_SOURCE_<NAME>"
    )
    ca: str | None = Field(
        None,
        pattern="^[a-z][a-z0-9_]*$",
        description="whom the brokers' certificates must be issued by: LEDGERLAKE_SOURCE_<NAME> is a file of certificates (PEM); those the system trusts when empty",
    )

    @model_validator(mode="after")
    def _fits(self) -> KafkaSecurity:
        told = [name for name in ("mechanism", "user", "secret") if getattr(self, name) is not None]
        if self.protocol == "SSL" and told:
            raise ValueError(f"{', '.join(told)} belong to SASL: say protocol SASL_SSL, or leave them out")
        if self.protocol != "SSL" and len(told) < 3:
            raise ValueError(f"{self.protocol} needs mechanism, user and secret")
        if self.protocol == "SASL_PLAINTEXT" and self.ca is not None:
            raise ValueError("ca belongs to SSL: say protocol SASL_SSL, or leave it out")
        return self


class KafkaTopic(Strict):
    """Records of a topic, in slices of explicit offsets that the ledger keeps; no consumer group."""

    kind: Literal["kafka_topic"]
    connection: str = Field(pattern="^[a-z][a-z0-9_]*$", description="its brokers are LEDGERLAKE_SOURCE_<NAME>")
    topic: str
    most: int = Field(200_000, gt=0, description="records of one slice")
    security: KafkaSecurity | None = Field(None, description="for brokers that do not let everybody in")


class Webhook(Strict):
    """Events that a partner posts to us, one JSON object a request, signed with a secret that both know."""

    kind: Literal["webhook"]
    connection: str = Field(pattern="^[a-z][a-z0-9_]*$", description="the secret is LEDGERLAKE_SOURCE_<NAME>")
    event_id: str = Field(
        alias="eventId", description="the key of the object that says which event it is: the same twice is once"
    )
    most_bytes: int = Field(1 << 20, gt=0, alias="mostBytes", description="of one request")


class PostgresChanges(Strict):
    """Every change of a table, deletions too, in the order of their commits: PostgreSQL's logical replication.

    Beside the table's columns (as text) a change has `op` (I, U, D; T: the table was emptied), `lsn` and `committed_at` (of its commit) and `seq` (its
    place in the transaction)."""

    kind: Literal["postgres_changes"]
    connection: str = Field(pattern="^[a-z][a-z0-9_]*$", description="its address is LEDGERLAKE_SOURCE_<NAME>")
    table: str = Field(description="schema.table")
    slot: str = Field(
        pattern="^[a-z][a-z0-9_]*$", description="replication slot of the plug-in pgoutput, for this feed alone"
    )
    publication: str = Field(pattern="^[a-z][a-z0-9_]*$", description="publication that has the table")

    @field_validator("table")
    @classmethod
    def _qualified(cls, value: str) -> str:
        return PostgresTable._qualified(value)


Pull = Annotated[PostgresTable | PostgresChanges | KafkaTopic | Webhook, Field(discriminator="kind")]


class Control(Strict):
    """Columns that are compared: with what the trailer or the signal states, and with what the file's name says."""

    sum: str | None = Field(None, description="column whose sum the trailer or the signal states")
    entity: str | None = Field(
        None,
        description="column in which each row says the entity of the file's name; of a branch's files `branch_id` where the contract has it",
    )
    business_date: str | None = Field(
        None,
        alias="businessDate",
        description="date column in which each row says the date of the file's name; of files that somebody owes `business_date` where the contract has it",
    )


class Source(Strict):
    """Who sends a feed, when, and how. A source that is pulled (`pull`) needs neither `files` nor `format`."""

    feed: str
    description: str
    system: str = Field(description="the source system's short name; first part of natural keys")
    owner: str
    legal_entity: str = Field("bank", alias="legalEntity")
    sender: Literal["branch", "head_office", "stream", "configuration"] = Field(
        description="who owes a lane a day: each branch, head office, nobody (a stream), or a change of configuration"
    )
    kind: Literal["increment", "changed", "snapshot", "events", "correction"] = Field(
        description="new rows; changed rows; all rows; events; or single rows that take the place of those of another feed (`corrects` of the contract)"
    )
    schedule: Schedule = Field(default_factory=Schedule)
    files: Files
    format: Format
    pull: Pull | None = Field(None, description="where it is fetched from, when nobody sends it")
    control: Control = Field(default_factory=Control)
    synthetic: bool = Field(False, description="the data are invented or de-identified")

    @model_validator(mode="after")
    def _somebody_owes(self) -> Source:
        wrong: list[tuple[tuple[str | int, ...], str, str]] = []
        if self.sender in ("stream", "configuration") and self.schedule.owed:
            wrong.append((("schedule", "owed"), f"a {self.sender} is owed by nobody", "Take out owed"))
        if self.schedule.entities and self.sender != "head_office":
            found = f"entities name who sends a feed in the place of head office, and the sender is {self.sender}"
            wrong.append((("schedule", "entities"), found, "Take them out, or write sender: head_office"))
        if self.schedule.quiet_for and self.sender != "stream":
            found = f"quietFor is for streams, which nobody owes, and the sender is {self.sender}"
            wrong.append(
                (
                    ("schedule", "quietFor"),
                    found,
                    "Take it out: people are told of what is owed and not here by its `due`",
                )
            )
        if wrong:
            raise Wrong(wrong)
        return self

    @model_validator(mode="before")
    @classmethod
    def _slices_are_json_lines(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("pull") is None:
            return data
        if "files" in data or "format" in data:
            raise ValueError("a source that is pulled says neither files nor format: its slices are JSON lines")
        if not re.fullmatch("[A-Za-z0-9]+", str(data.get("system"))):
            raise ValueError(
                "the system of a source that is pulled is part of its slices' names: letters and digits only"
            )
        return data | {
            "files": {"pattern": f"{data.get('feed')}_{{entity}}_{{date}}_{{seq}}.jsonl", "signal": "none"},
            "format": {"kind": "json_lines"},
        }

    def conforms_to_name(self, file_name: str) -> dict[str, Any] | None:
        match = self.files.regex().fullmatch(file_name)
        return match.groupdict() if match else None
