"""One pass over one file: hash, sealed copy, strict decode, split, count, sum, tokens, `rows`. What it means is decided
in land.py.
"""

from __future__ import annotations

import collections
import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrival.aside import Aside
from jobs.arrival.errors import Refused
from jobs.arrival.forbidden import ForbiddenColumn, check_contract, check_names
from jobs.arrival.formats import format_module
from jobs.arrival.garbled import look_for_garbled
from jobs.arrival.in_clear import look_for_identifiers
from jobs.arrival.lane_check import LaneCheck
from jobs.arrival.naming import Lane
from jobs.arrival.notes import HELD_BACK, times
from jobs.arrival.plain import plainly
from jobs.arrival.records import Reader, Rows, joined
from jobs.arrival.rows import Of, RowsWriter
from jobs.arrival.sentinels import count_sentinels
from jobs.arrival.text import MARKED
from jobs.arrival.totals import Counter, Stated, Totals, stated_in_trailer
from jobs.contracts.formats import Format, Record
from jobs.contracts.model import Table
from jobs.contracts.parse import Way
from jobs.contracts.source import Source
from jobs.privacy import pgp
from jobs.privacy.identify import Identifier
from jobs.privacy.keys import Keys
from jobs.privacy.pgp import NotForUs
from jobs.privacy.seal import SealedWriter, open_sealed
from jobs.privacy.vault import Vault

DRAIN = 8 << 20
REASONS = 3  # so many are named where no record can be read
CLEAR = "clear"  # in the name of what holds decrypted bytes, sealed under our own key, while they are read


@dataclass
class Intake:
    """What one pass found. `refusal` is what the file itself is to blame for; comparing with the signal comes after."""

    sha256: str
    size: int
    totals: Totals = field(default_factory=Totals)
    stated: Stated = field(default_factory=Stated)
    extra: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    in_clear: dict[str, str] = field(default_factory=dict)  # column -> kind of identifier that it looks like
    notes: collections.Counter[str] = field(default_factory=collections.Counter)
    ends_itself: bool = False
    last_line: int | None = None  # of the last record that was read
    characters: int = 0  # of all values, as decoded
    encoding: str | None = None  # as the source declares it; None where the format has its own
    refusal: Refused | None = None

    def noted(self) -> list[str]:
        """What somebody should know of the file though nothing is wrong with it."""
        held_back = [f"{HELD_BACK}: {', '.join(self.extra)}"] if self.extra else []
        if self.lacking:
            held_back.append(f"columns that the file does not have are null: {', '.join(self.lacking)}")
        held_back += [f"{column} looks like {kind} in clear" for column, kind in self.in_clear.items()]
        return held_back + [times(what, number) for what, number in sorted(self.notes.items())]


class _Tee:
    """A stream of which every byte that is read is hashed and sealed, once: all of them when `drain` returns."""

    def __init__(self, stream: BinaryIO, seal: SealedWriter, aside: Aside):
        self._stream, self._seal, self._hash, self._aside, self.size = stream, seal, hashlib.sha256(), aside, 0
        self._ended = False

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        if data:
            self._aside.call(self._keep, data)
            self.size += len(data)
        elif not self._ended:  # the disk works while the last blocks are split
            self._ended = True
            self._aside.call(self._seal.settle)
        return data

    def drain(self) -> None:
        while self.read(DRAIN):
            continue
        self._aside.wait()

    def close(self) -> None:
        """All is read and sealed: the sealed copy can be opened."""
        self.drain()
        self._seal.close()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def _keep(self, data: bytes) -> None:
        self._hash.update(data)
        self._seal.write(data)


def take_in(
    stream: BinaryIO, *, lane: Lane, table: Table, of: Of, raw: Path, rows: Path, keys: Keys, vault: Vault,
    keep: Callable[[Intake], Refused | None],
) -> Intake:  # fmt: skip
    """Reads `stream` once. Leaves the sealed bytes at `raw`, and the rows at `rows` if nothing is wrong with the file.

    `keep` is asked before `rows` appears: it compares with what was signalled. Raises ForbiddenColumn, with nothing
    kept at all.
    """
    fmt = lane.source.format
    check_contract(table)
    module = format_module(fmt.kind)
    is_encrypted = lane.source.files.encrypted is not None
    if not is_encrypted:
        _check_own_names(module, stream, lane)
        stream.seek(0)
    identifier = Identifier(table, lane.source.system, lane.business_date, keys, vault)
    with _sealed(stream, raw, keys) as tee:
        if not (module.Reader.seeks or is_encrypted):
            reader = module.Reader(tee, fmt, table.columns)
            return _read(reader, tee, lane, table, RowsWriter(rows, table, of, identifier, keys), keep)
        # Read from the sealed copy, so that the sender's bytes are still read only once and nothing clear is written anywhere.
        tee.close()
        try:
            with opened_copy(raw, lane, keys) as copy:
                if is_encrypted:
                    _check_own_names(module, copy, lane)
                    copy.seek(0)
                reader = module.Reader(copy, fmt, table.columns)
                return _read(reader, tee, lane, table, RowsWriter(rows, table, of, identifier, keys), keep)
        except NotForUs as error:
            intake = Intake(tee.sha256, tee.size, ends_itself=True, refusal=not_for_us(error))
            intake.refusal = keep(intake)
            return intake


@contextmanager
def opened_copy(raw: Path, lane: Lane, keys: Keys) -> Iterator[BinaryIO]:
    """The sealed copy's bytes, decrypted where the sender encrypted them. Raises NotForUs."""
    with open_sealed(raw, keys) as copy:
        if lane.source.files.encrypted is None:
            yield copy
            return
        draft = raw.with_name(f"{raw.stem}.{CLEAR}.{secrets.token_hex(4)}")
        with pgp.clear(copy, draft, keys) as stream:
            yield stream


def not_for_us(error: NotForUs) -> Refused:
    return Refused(
        "not_decrypted",
        f"The file cannot be decrypted: {error}. Expected an OpenPGP message for the bank's key; give the sender the output of "
        "`ledgerlake pgp-key`, and ask for the file again.",
    )


def keep_unread(stream: BinaryIO, raw: Path, keys: Keys) -> Intake:
    """Hash and sealed copy only: of a file that no source knows."""
    with _sealed(stream, raw, keys) as tee:
        tee.drain()
    return Intake(tee.sha256, tee.size)


@contextmanager
def _sealed(stream: BinaryIO, raw: Path, keys: Keys) -> Iterator[_Tee]:
    with SealedWriter(raw, keys) as seal, closing(Aside()) as aside:
        yield _Tee(stream, seal, aside)


def _read(
    reader: Reader, tee: _Tee, lane: Lane, table: Table, writer: RowsWriter, keep: Callable[[Intake], Refused | None]
) -> Intake:
    check = LaneCheck(lane, table)
    summed = lane.source.control.sum
    counter = Counter(summed, table.columns[summed] if summed else None)
    intake = Intake("", 0, counter.totals, encoding=getattr(lane.source.format, "encoding", None))
    reasons: dict[str, int] = {}  # the first ones, each with the line in which it was found first
    header_checked = False
    try:
        try:
            # Refused in the middle, the reader stops first: what it has not read is drained.
            with closing(iter(reader)) as parts:
                for part in parts:
                    if not header_checked:
                        check.header(reader.header)
                        intake.in_clear = look_for_identifiers(part, table, lane.business_date)
                        header_checked = True
                    plainly(part, table, intake.notes)
                    look_for_garbled(part, table, intake.notes)
                    count_sentinels(part, table, intake.notes)
                    check.body(part)
                    counter.add(part)
                    intake.characters += sum(map(_characters, part.columns.values()))
                    if len(part.lines):
                        intake.last_line = part.lines[-1].as_py()
                    for bad in part.malformed:
                        if len(reasons) == REASONS:
                            break
                        reasons.setdefault(bad.why, bad.line)
                    writer.write(part)
            if not header_checked:
                check.header(reader.header)
            _check_any_row_fits(counter.totals, reasons, lane.source)
            intake.stated = stated_in_trailer(
                reader.trailer, table.columns[summed] if summed else None, _sum_way(lane.source.format)
            )
        except ForbiddenColumn:
            raise
        except Refused as refusal:
            intake.refusal = refusal
        tee.drain()
        intake.sha256, intake.size = tee.sha256, tee.size
        intake.extra, intake.lacking, intake.ends_itself = reader.extra, reader.lacking, reader.ends_itself
        intake.notes += reader.notes + writer.notes
        if intake.encoding == "utf-8-sig":
            del intake.notes[MARKED]  # it is declared
        intake.refusal = keep(intake)
        if not intake.refusal:
            writer.close()
    except BaseException:
        writer.discard()
        raise
    if intake.refusal:
        writer.discard()
    return intake


def _sum_way(fmt: Format) -> Way | None:
    """How the trailer writes its sum, where the source says it."""
    trailer = getattr(fmt, "trailer", None)
    return trailer.sum_way if isinstance(trailer, Record) else None


def _characters(values: pa.Array) -> int:
    texts = joined(values)
    return len(texts) if texts.isascii() else pc.sum(pc.utf8_length(values)).as_py() or 0


def _check_own_names(module: ModuleType, stream: BinaryIO, lane: Lane) -> None:
    """Looks for forbidden columns before a byte is kept. A file that does not even begin right is judged by its reader
    afterwards.
    """
    try:
        names = module.column_names(stream, lane.source.format)
    except Refused:
        return
    check_names(names, f"the file's own column names ({lane.feed})")


def _check_any_row_fits(totals: Totals, reasons: Mapping[str, int], source: Source) -> None:
    """Records of which none can be read are no fault of rows: another format than agreed was sent, or declared. Of a single record nobody can tell, and it is rejected by itself."""
    if totals.rows < 2 or totals.malformed < totals.rows:
        return
    named = "; ".join(f"line {line}: {why}" for why, line in reasons.items())
    again = (
        "have the slice fetched again (`ledgerlake files --fetch-again`)" if source.pull else "send the same file again"
    )
    raise Refused(
        "no_readable_record",
        f"None of the {totals.rows:,} records can be read, for instance {named}. Expected records as the source {source.feed} and its contract say. If the mistake is "
        f"there, correct it and {again}: what was refused does not count; otherwise ask the sender for the right records.",
    )


__all__ = ["Intake", "Rows", "keep_unread", "not_for_us", "opened_copy", "take_in"]
