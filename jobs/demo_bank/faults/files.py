"""Faults of a file as a whole: what its trailer, its signal or its bytes say, how often and when it comes."""

from __future__ import annotations

import csv
import gzip
import io
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Literal

from jobs.demo_bank.faults.rows import FE59_MARK, Told, dearer

# How a file is put into the inbox: whole, with its signal last; its signal first and the file later; half of it first, under the signal of the whole.
Way = Literal["whole", "signal_first", "growing"]
BOM = "\ufeff".encode("gb18030")
CUT_TEXT = ("x" + "定" * 12).encode("gb18030")[:24]  # ends inside a character
FOUR_BYTES = "㐀".encode("gb18030")  # no character of GBK, which core_gl says that it is
PRODUCT_NAME = slice(36, 60)  # bytes of a line of core_balances
PACKED_SIGN = 4 + 1 + 12 + 40 + 17 + 7 - 1  # byte of a record of core_legacy: the last of its packed balance
DEARER = 1_000  # fen by which each changed row of a file that is corrected later is off
ZIP_BOMB = 1 << 40  # bytes that a few hundred say they become


@dataclass(frozen=True)
class Spoilt:
    """A file as a fault lets it out: its items, and how its trailer, signal or bytes are off."""

    told: Sequence[Told]
    seq: int
    fault: str | None = None
    count_off: int = 0
    sum_off: int = 0
    stated_money: int | None = None
    has_signal: bool = True
    signal_hash: str | None = None
    row_date: date | None = None
    replaces: int | None = None
    bytes_of: Callable[[bytes], bytes] = bytes
    way: Way = "whole"


@dataclass(frozen=True)
class Lot:
    """What a lane would send, and what it may be taken for: yesterday's rows, another branch's. `touched`: places of the rows that the fault chose."""

    told: Sequence[Told]
    seq: int
    label: str | None
    date: date
    before: Sequence[Any]
    other: Sequence[Any]
    touched: Sequence[int]

    @property
    def plain(self) -> Spoilt:
        return Spoilt(self.told, self.seq, self.label)

    def with_bytes(self, change: Callable[[bytes], bytes]) -> Iterator[Spoilt]:
        yield replace(self.plain, bytes_of=change)


def _bad_byte(data: bytes) -> bytes:
    """A byte that begins no character, at the beginning of a line in the middle."""
    at = data.rfind(b"\n", 0, len(data) // 2) + 1
    return data[:at] + b"\xff" + data[at:]


def _four_bytes(data: bytes) -> bytes:
    """A character of four bytes behind the first name of a subject."""
    header = data.index(b"\n")
    at = next(i for i in range(header, len(data)) if data[i] > 0x80) + 2
    return data[:at] + FOUR_BYTES + data[at:]


def _repacked(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda data: gzip.compress(change(gzip.decompress(data)), 4, mtime=0)


def _resend_changed(lot: Lot) -> Iterator[Spoilt]:
    chosen = set(lot.touched)
    wrong = [Told(dearer(t.item, DEARER), t.fields) if i in chosen else t for i, t in enumerate(lot.told)]
    yield replace(lot.plain, told=wrong)
    yield replace(lot.plain, replaces=lot.seq)


def _resend_same(lot: Lot) -> Iterator[Spoilt]:
    yield lot.plain
    yield replace(lot.plain, seq=lot.seq + 1, replaces=lot.seq)


def _wrong_branch(lot: Lot) -> Iterator[Spoilt]:
    yield replace(lot.plain, told=[Told(item) for item in lot.other])


def _wrong_date(lot: Lot) -> Iterator[Spoilt]:
    yield replace(lot.plain, told=[Told(item) for item in lot.before], row_date=lot.date - timedelta(days=1))


def _columns(change: Callable[[list[str]], list[str]]) -> Callable[[bytes], bytes]:
    """A quoted CSV file whose lines, the names among them, are changed alike."""

    def changed(data: bytes) -> bytes:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows(map(change, csv.reader(io.StringIO(data.decode("utf-8-sig")))))
        return out.getvalue().encode("utf-8-sig")

    return changed


def _added(name: str, value: str) -> Callable[[bytes], bytes]:
    return _columns(lambda line: [*line, name if line[0] == "instrument" else value])


def _cut_inside(lot: Lot) -> Iterator[Spoilt]:
    [i] = lot.touched

    def change(data: bytes) -> bytes:
        lines = data.split(b"\n")
        line = lines[i + 1]
        lines[i + 1] = line[: PRODUCT_NAME.start] + CUT_TEXT + line[PRODUCT_NAME.stop :]
        return b"\n".join(lines)

    return lot.with_bytes(change)


def _records(data: bytes) -> list[int]:
    """Where each record begins, its length word included."""
    places, at = [], 0
    while at < len(data):
        places.append(at)
        at += int.from_bytes(data[at : at + 2], "big")
    return places


def _bad_sign(lot: Lot) -> Iterator[Spoilt]:
    [i] = lot.touched

    def change(data: bytes) -> bytes:
        at = _records(data)[i + 1] + PACKED_SIGN  # the header is the first record
        return data[:at] + bytes([data[at] & 0xF0 | 0x05]) + data[at + 1 :]

    return lot.with_bytes(change)


def _bad_length(data: bytes) -> bytes:
    places = _records(data)
    at = places[len(places) // 2]
    return data[:at] + (2).to_bytes(2, "big") + data[at + 2 :]


def _merged_cell(data: bytes) -> bytes:
    """The first amount is text with thousands, and the last row's amount is merged with its neighbour."""
    import openpyxl

    from jobs.demo_bank.documents import without_times

    book = openpyxl.load_workbook(io.BytesIO(data))
    sheet = book.worksheets[0]
    sheet["C3"] = f"{sheet['C3'].value:.2f}"
    sheet.merge_cells("B8:C8")
    out = io.BytesIO()
    book.save(out)
    return without_times(out.getvalue())


FILES: dict[str, Callable[[Lot], Iterator[Spoilt]]] = {
    "F01": lambda lot: lot.with_bytes(_bad_byte),
    "F02": lambda lot: lot.with_bytes(_four_bytes),
    "F06": lambda lot: lot.with_bytes(_repacked(lambda data: data.replace(FE59_MARK, b"\xfe\x59"))),
    "F08": lambda lot: lot.with_bytes(_repacked(lambda data: BOM + data)),
    "F09": _cut_inside,
    "F11": lambda lot: iter([replace(lot.plain, count_off=1)]),
    "F12": lambda lot: iter([replace(lot.plain, sum_off=1)]),
    "F13": lambda lot: iter([replace(lot.plain, signal_hash="0" * 64)]),
    "F14": lambda lot: iter([replace(lot.plain, has_signal=False)]),
    "F15": lambda lot: iter([replace(lot.plain, way="signal_first")]),
    "F16": lambda lot: iter([replace(lot.plain, way="growing")]),
    "F17": lambda lot: lot.with_bytes(lambda data: data[: len(data) * 7 // 10]),
    "F19": _resend_changed,
    "F20": _resend_same,
    "F21": lambda lot: iter([lot.plain]),
    "F22": lambda lot: iter([lot.plain]),
    "F23": lambda lot: iter(()),
    "F24": _wrong_branch,
    "F25": _wrong_date,
    "F26": lambda lot: lot.with_bytes(_added("source_page", "7")),
    "F27": lambda lot: lot.with_bytes(_columns(lambda line: line[:1] + line[2:])),
    "F28": lambda lot: lot.with_bytes(_columns(lambda line: line[::-1])),
    "F33": _bad_sign,
    "F34": lambda lot: lot.with_bytes(_bad_length),
    "F57": lambda lot: lot.with_bytes(_added("cvv2", "123")),
    "F80": lambda lot: lot.with_bytes(_merged_cell),
}


def _tar(name: str, size: int, content: bytes = b"") -> bytes:
    """An archive of one member that says to be of this size."""
    out = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        entry = tarfile.TarInfo(name)
        entry.size = size
        archive.addfile(entry)
        packed.write(content.ljust(-(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE, b"\0"))
    return out.getvalue()


# What comes beside an archive, under the next numbers of its lane.
ARCHIVES: dict[str, Callable[[], bytes]] = {
    "F31": lambda: _tar("../../etc/cron.d/x", 64, b"* * * * * root true".ljust(64)),
    "F32": lambda: _tar("CORE_HO_PROD_20260101_1.txt", ZIP_BOMB),
}
