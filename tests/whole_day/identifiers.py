"""Looks for clear identifiers wherever the platform keeps anything: files below its home, tables of its databases.

What is looked for are all values of the demo bank that name a person or firm, as they are written in the files and in
their normal forms. Two things decide how a value is looked for:

- *Long words are found anywhere, short ones only where they stand alone.* Eighteen characters of an ID number cannot
  be met by chance, eleven digits can: a phone number is a part of many account numbers (19 digits), so it must be a
  whole run of digits, with or without its country code. Letters, marks and spaces beside it do not matter.
- *Names of three characters or more are found anywhere, those of two only between other things than Chinese
  characters.* A surname and one more character are also an ordinary word, a place or half a product's name (高明, 金海),
  and would be found in text that names nobody; as a cell, a JSON value, a field or a word between marks they are found.
  Bytes that are no text of any encoding, read as GB18030, have any two characters somewhere: there they are not looked
  for.

Writing does not matter: text is compared in NFKC (full-width digits), in upper case, with one kind of middle dot, and
is also read with its escapes resolved (JSON `\\u5f20`, Python's `\\xd5`, HTML's `&#24352;`, `%E5%BC%A0` of an address).
"""

from __future__ import annotations

import gzip
import html
import io
import os
import re
import struct
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from psycopg import sql

from infra.local import postgres
from jobs.contracts import Catalog
from jobs.demo_bank import DemoBank
from jobs.demo_bank.feeds import FEEDS
from jobs.privacy.kinds import DOTS, KINDS
from jobs.privacy.seal import MAGIC as SEALED
from jobs.settings import Settings

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\ue000-\uf8ff\U00020000-\U0003ffff"
WORD = re.compile(r"[0-9A-Z]{8,}")
DIGITS = re.compile(r"[0-9]{8,}X?")
NAME = re.compile(f"[{HAN}·]{{2,}}")
NAME_WITH_NUMBERS = re.compile(f"[{HAN}][{HAN}·0-9]{{2,}}")
UNICODE_ESCAPE = re.compile(r"\\+u([0-9a-fA-F]{4})")
BYTE_ESCAPES = re.compile(r"(?:\\+x[0-9a-fA-F]{2})+")
PERCENT_ESCAPES = re.compile(r"(?:%[0-9a-fA-F]{2}){2,}")
LONG_WORD, LONG_NAME = 16, 3
LZ4_BLOCK = struct.Struct("<8sBiii")
EXEMPT = ("postgres", "jars", "banks/*/inbox")
"""Below a home: what SQL looks at, programs of others, and where the senders put their clear files."""


# --- what is looked for -----------------------------------------------------------------------------------------------


def marked(catalog: Catalog) -> list[tuple[str, str, str]]:
    """Feed, column and kind of every identifying column of a bank; the bank's own customer numbers are none."""
    return [
        (feed, name, column.identifies)
        for feed in sorted(catalog.sources)
        if f"bronze.{feed}" in catalog.tables  # an archive has none
        for name, column in catalog.bronze(feed).columns.items()
        if column.identifies not in (None, "source_key")
    ]


def told(sender: DemoBank, catalog: Catalog, until: date) -> dict[str, set[str]]:
    """What stood in the columns that a contract marks, in all files of the business dates up to `until`, as it was
    written, by kind.
    """
    values: dict[str, set[str]] = {}
    for (_, _, kind), found in told_in_columns(sender, catalog, until).items():
        values.setdefault(kind, set()).update(found)
    return values


def told_in_columns(sender: DemoBank, catalog: Catalog, until: date) -> dict[tuple[str, str, str], set[str]]:
    """The same by feed, column and kind."""
    # A bank of its own, because days are told in order and the sender's go on.
    bank = DemoBank(seed=sender.seed, scale=sender.scale_name)
    values: dict[tuple[str, str, str], set[str]] = {mark: set() for mark in marked(catalog)}
    for day in bank.days(bank.first, until):
        for (name, column, _), found in values.items():
            feed, table = FEEDS[name], catalog.bronze(name)
            for item in (item for entity in feed.senders(bank.people) for item in feed.items(bank.people, day, entity)):
                row = feed.row(bank.people, item, day.date)
                if isinstance(row, dict):
                    value = _at(row, table.columns[column].source or column)
                else:
                    value = row[list(table.columns).index(column)]
                if value:
                    found.add(value)
    return values


def identifiers_of(sender: DemoBank, catalog: Catalog) -> dict[str, set[str]]:
    """All identifiers that the bank has told so far, by kind, as written and in their normal forms: those that the
    contracts mark, and those of the truth, whatever the contracts say.
    """
    last = max(sender.people.grown, sender.history_end)
    values = told(sender, catalog, last)
    sender.day(last)
    for kind, true in sender.people.identifiers().items():
        values.setdefault(kind, set()).update(true)
    return {kind: clear | _normal_forms(kind, clear, last) for kind, clear in values.items()}


def _at(row: Mapping[str, Any], path: str) -> Any:
    value: Any = row
    for key in path.split("."):
        value = value[key]
    return value


def _normal_forms(kind: str, values: Iterable[str], as_of: date) -> set[str]:
    identities = [KINDS[kind](value, as_of) for value in values]
    return {i.normal for i in identities} | {n for i in identities if (n := i.derived.get("normal"))}


# --- in a text --------------------------------------------------------------------------------------------------------


class Wanted:
    """Identifiers by kind, made ready to be looked up. Raises ValueError for a value that would never be found."""

    def __init__(self, identifiers: Mapping[str, set[str]]) -> None:
        self.kinds: dict[str, str] = {}
        self._inside: dict[int, set[str]] = {}
        for kind, values in identifiers.items():
            for value in map(folded, values):
                known = value.removeprefix("+")
                self.kinds[known] = kind
                if len(known) >= (LONG_NAME if NAME.search(known) else LONG_WORD):
                    self._inside.setdefault(len(known), set()).add(known)
                if self.in_text(known) != {known}:
                    raise ValueError(f"{masked(value)} ({kind}) is of a form that would not be found: teach {__name__}")

    def in_text(self, text: str, *, is_text: bool = True) -> set[str]:
        """Which of them stand in a folded text. `is_text`: False for bytes read as if they were text."""
        words, names = set(WORD.findall(text)), set(NAME_WITH_NUMBERS.findall(text))
        alone = words.union(DIGITS.findall(text), NAME.findall(text) if is_text else ())
        found = {word for word in alone if word in self.kinds}
        for run in words | names:
            for length, known in self._inside.items():
                for start in range(len(run) - length + 1):
                    if run[start : start + length] in known:
                        found.add(run[start : start + length])
        return found


def folded(text: str) -> str:
    """Text as it is compared; line ends stay where they are."""
    return (text if text.isascii() else unicodedata.normalize("NFKC", text.translate(DOTS))).upper()


def readings(text: str) -> Iterator[str]:
    """The text, and the text with its escapes resolved where it has any."""
    yield text
    plain = text
    if "\\u" in plain:
        plain = UNICODE_ESCAPE.sub(lambda m: chr(int(m[1], 16)), plain)
    if "\\x" in plain:
        plain = BYTE_ESCAPES.sub(lambda m: _decoded(bytes.fromhex(re.sub(r"\\+x", "", m[0]))) or m[0], plain)
    if "&" in plain:
        plain = html.unescape(plain)
    if "%" in plain:
        plain = PERCENT_ESCAPES.sub(lambda m: unquote(m[0]), plain)
    if plain != text:
        yield plain


def masked(value: str) -> str:
    return value[0] + "*" * (len(value) - 1)


def _decoded(data: bytes) -> str | None:
    """The text in UTF-8 or GB18030; None when it is neither."""
    for encoding in ("utf-8", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


# --- in files and tables ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """`count` different identifiers of a kind in a column, or in a file from a line on; one of them, masked."""

    place: str
    where: str
    kind: str
    count: int
    sample: str


@dataclass
class Search:
    """What was found, and what was looked at."""

    wanted: Wanted
    findings: list[Finding] = field(default_factory=list)
    found: set[str] = field(default_factory=set)
    """The identifiers themselves. Not to be printed."""
    files: Counter[str] = field(default_factory=Counter)
    """Files looked at, those within others included, by their form."""
    cells: Counter[str] = field(default_factory=Counter)
    """Values that are not null, by column of a Parquet file, or by table: database.schema.table."""

    def text(self, place: str, where: str | None, text: str, *, is_text: bool = True) -> None:
        """`where`: the column; None for a file, whose lines are counted."""
        seen: set[str] = set()
        for reading in readings(text) if is_text else (text,):
            comparable = folded(reading)
            new = self.wanted.in_text(comparable, is_text=is_text) - seen
            by_kind: dict[str, list[str]] = {}
            for value in sorted(new):
                by_kind.setdefault(self.wanted.kinds[value], []).append(value)
            for kind, values in by_kind.items():
                line = comparable.count("\n", 0, min(map(comparable.find, values))) + 1
                told = where or f"line {line}"
                self.findings.append(Finding(place, told, kind, len(values), masked(values[0])))
            seen |= new
        self.found |= seen

    def data(self, place: str, data: bytes, where: str | None = None) -> None:
        """Bytes of any form; what the form is they say themselves, not their name."""
        if data[:4] == data[-4:] == b"PAR1":
            self.files["parquet"] += 1
            self._parquet(place, data)
        elif data[:4] == b"PK\x03\x04":
            self.files["zip"] += 1
            with zipfile.ZipFile(io.BytesIO(data)) as members:
                for name in members.namelist():
                    self.data(f"{place}!{name}", members.read(name))
        elif data[:8] == b"LZ4Block":
            self.files["lz4"] += 1
            self.data(f"{place}!", _lz4_blocks(data), where)
        elif (opened := _inflated(data)) is not None:
            self.files["gzip"] += 1
            self.data(f"{place}!", opened, where)
        else:
            text = _decoded(data)
            form = "sealed" if data.startswith(SEALED) else "bytes" if text is None else "text"
            self.files[Path(place).suffix if form == "text" and where is None else form] += 1
            self.text(place, where, data.decode("utf-8", "replace") if text is None else text)
            if text is None:
                self.text(place, where, data.decode("gb18030", "replace"), is_text=False)

    def tree(self, home: Path, exempt: Iterable[str] = EXEMPT) -> None:
        """All files below a folder but those below folders that match `exempt`. Links are not followed."""
        skipped = {path for pattern in exempt for path in home.glob(pattern)}
        for folder, folders, names in os.walk(home):
            folders[:] = [f for f in folders if Path(folder, f) not in skipped]
            for path in (Path(folder, name) for name in names):
                if path in skipped or path.is_symlink():
                    continue
                try:
                    data = path.read_bytes()
                except FileNotFoundError:
                    continue  # a draft or a scratch file of a service that runs
                self.data(str(path.relative_to(home)), data)

    def database(self, connection: psycopg.Connection[Any], schemas: str = "%") -> None:
        """Every column of every table of the schemas that are like `schemas`, PostgreSQL's own included."""
        columns = connection.execute(
            "select n.nspname, c.relname, a.attname, a.atttypid = 'bytea'::regtype from pg_class c"
            " join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid"
            " where c.relkind in ('r', 'm') and a.attnum > 0 and not a.attisdropped and n.nspname like %s"
            " order by 1, 2, a.attnum",
            [schemas],
        ).fetchall()
        for schema, table, column, is_bytes in columns:
            place = f"{connection.info.dbname}.{schema}.{table}"
            of, named = sql.Identifier(schema, table), sql.Identifier(column)
            value = named if is_bytes else sql.SQL("{}::text").format(named)
            query = sql.SQL("select {0}, count(*) from {1} where {2} is not null group by 1")
            rows = connection.execute(query.format(value, of, named)).fetchall()
            self.cells[place] += sum(count for _, count in rows)
            if is_bytes:
                for data, _ in rows:
                    self.data(place, bytes(data), column)
            else:
                self.text(place, column, "\n".join(text for text, _ in rows))

    def _parquet(self, place: str, data: bytes) -> None:
        file = pq.ParquetFile(pa.BufferReader(data))
        for name in file.schema_arrow.names:
            for chunk in file.read(columns=[name], use_threads=False).column(name).chunks:
                self._array(place, name, chunk)
        for key, value in (file.metadata.metadata or {}).items():
            if key != b"ARROW:schema":
                self.text(place, f"footer, {key.decode()}", value.decode("utf-8", "replace"))
        for group in map(file.metadata.row_group, range(file.metadata.num_row_groups)):
            for column in map(group.column, range(group.num_columns)):
                statistics = column.statistics
                if statistics is not None and statistics.has_min_max:
                    self.cells["statistics"] += 2
                    for bound in (statistics.min, statistics.max):
                        told = bound.decode("utf-8", "replace") if isinstance(bound, bytes) else str(bound)
                        self.text(place, f"statistics of {column.path_in_schema}", told)

    def _array(self, place: str, where: str, array: pa.Array) -> None:
        kind = array.type
        if pa.types.is_struct(kind):
            for part, name in zip(array.flatten(), kind.names, strict=True):
                self._array(place, f"{where}.{name}", part)
        elif pa.types.is_map(kind):
            self._array(place, f"{where}.key", array.keys)
            self._array(place, f"{where}.value", array.items)
        elif pa.types.is_nested(kind):
            self._array(place, f"{where}[]", array.flatten())
        elif pa.types.is_dictionary(kind):
            self._array(place, where, array.dictionary_decode())
        else:
            values = array.drop_null()
            self.cells[where] += len(values)
            distinct = pc.unique(values).to_pylist()
            if distinct and isinstance(distinct[0], bytes):
                for value in distinct:
                    self.data(place, value, where)
            else:
                self.text(place, where, "\n".join(map(str, distinct)))


def _inflated(data: bytes) -> bytes | None:
    """What was packed by gzip or zlib; None when it was not."""
    try:
        if data[:2] == b"\x1f\x8b":
            return gzip.decompress(data)
        return zlib.decompress(data) if data[:1] == b"\x78" else None
    except (OSError, EOFError, zlib.error):
        return None


def _lz4_blocks(data: bytes) -> bytes:
    """What Spark wrote to its scratch folder: blocks one after the other, each with a head of its own."""
    codec, at, clear = pa.Codec("lz4_raw"), 0, []
    while at < len(data):
        magic, token, packed, size, _ = LZ4_BLOCK.unpack_from(data, at)
        if magic != b"LZ4Block":
            raise ValueError(f"no LZ4 block at byte {at}")
        body = data[at + LZ4_BLOCK.size : at + LZ4_BLOCK.size + packed]
        is_packed = token & 0xF0 == 0x20
        clear.append(codec.decompress(body, size, asbytes=True) if is_packed and size else body)
        at += LZ4_BLOCK.size + packed
    return b"".join(clear)


def find(
    home: Path, servers: Settings, wanted: Wanted, *, databases: Iterable[str] = ("ledgerlake", "airflow"), schemas: str = "%"
) -> Search:  # fmt: skip
    """Everything below a home, and everything in the databases of the server that `servers` names: the vault's tables
    too, which hold tokens and ciphertexts only.
    """
    search = Search(wanted)
    search.tree(home)
    for database in databases:
        with postgres.connect(servers, database) as connection:
            search.database(connection, schemas)
    return search
