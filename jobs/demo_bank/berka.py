"""A real bank, replayed: the Czech bank of the PKDD'99 challenge, day by day, with the lines of its files exactly as
they are found.

The data are not part of this project; their folder is told. Each day's file is the header line of the original and the
lines of that day: movements and openings of the day, loans and cards granted so far. Clients, dispositions, orders and
districts are sent once, on the first day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path

from jobs.demo_bank.bank import TAKE_ON, Sent
from jobs.demo_bank.encoding import yuan
from jobs.demo_bank.feeds import CHANNEL_FLAGS

# The complete days; the file that is found in the wild ends in the middle of a line at exactly 3 MiB.
TRANSACTIONS = "trans_complete_days_19930101_19940330.asc"
HEAD_OFFICE = "HO"


@dataclass(frozen=True)
class Part:
    """One file of the data set: `dated` and `amount` are places of fields;

    `is_told` says whether a line of `then` is told on the day `now`.
    """

    feed: str
    tag: str
    file: str
    dated: int | None = None
    amount: int | None = None
    is_told: Callable[[date, date], bool] = lambda then, now: then == now


PARTS = (
    Part("berka_district", "DISTRICT", "district.asc"),
    Part("berka_client", "CLIENT", "client.asc"),
    Part("berka_disp", "DISP", "disp.asc"),
    Part("berka_order", "ORDER", "order.asc", amount=4),
    Part("berka_account", "ACCOUNT", "account.asc", dated=3),
    Part("berka_loan", "LOAN", "loan.asc", dated=2, amount=3, is_told=lambda then, now: then <= now),
    Part("berka_card", "CARD", "card.asc", dated=3, is_told=lambda then, now: then <= now),
    Part("berka_trans", "TRANS", TRANSACTIONS, dated=2, amount=5),
)


def day_of(text: str) -> date:
    """YYMMDD of the 20th century, with or without a time after it. Raises ValueError for what is no date."""
    text = text.strip('"')
    return date(1900 + int(text[:2]), int(text[2:4]), int(text[4:6]))


class _File:
    def __init__(self, part: Part, folder: Path) -> None:
        raw = (folder / part.file).read_bytes()
        self.part = part
        self.header, *self.lines = raw.splitlines(keepends=True)
        self.days = [day_of(self._field(line, part.dated)) for line in self.lines] if part.dated is not None else []

    @staticmethod
    def _field(line: bytes, at: int) -> str:
        # No value of this data set holds a semicolon.
        return line.decode("ascii").rstrip("\r\n").split(";")[at]

    def told(self, now: date, *, is_first: bool) -> list[bytes]:
        if self.part.dated is None:
            return self.lines if is_first else []
        return [line for line, then in zip(self.lines, self.days, strict=True) if self.part.is_told(then, now)]

    def money(self, lines: list[bytes]) -> int | None:
        """Hundredths of a koruna, exactly."""
        if self.part.amount is None:
            return None
        return int(sum((Decimal(self._field(line, self.part.amount)) for line in lines), Decimal(0)) * 100)


class Berka:
    """The bank as its data tell it. Raises FileNotFoundError naming the file that is missing."""

    def __init__(self, data: Path) -> None:
        missing = [part.file for part in PARTS if not (data / part.file).is_file()]
        if missing:
            raise FileNotFoundError(
                f"{data} does not hold {', '.join(missing)}: give the folder of the PKDD'99 Berka data set"
            )
        self._data = data

    @cached_property
    def _files(self) -> list[_File]:
        return [_File(part, self._data) for part in PARTS]

    @cached_property
    def days(self) -> list[date]:
        """Every calendar day for which all movements are there, in order."""
        return sorted({day for file in self._files if file.part.feed == "berka_trans" for day in file.days})

    @property
    def history_end(self) -> date:
        """The first day is taken on as a history of one day; all others are sent as they pass."""
        return self.days[0]

    def take_on(self, inbox: Path) -> list[Path]:
        """Write the first day, and what is sent only once."""
        first = self.history_end
        files = [self._channels(first)] + [
            _sent(file.part, TAKE_ON, first, file, file.told(first, is_first=True)) for file in self._files
        ]
        return [sent.write(inbox) for sent in files]

    def day_files(self, day: date, faults: Sequence[str] = ()) -> Iterator[Sent]:
        """The files of one day after the first.

        Raises ValueError for a day that the data do not hold, and for faults: real data have their own.
        """
        if faults:
            raise ValueError(
                f"faults ({', '.join(faults)}) are for the invented bank; these files are sent as they were found"
            )
        if day not in self.days[1:]:
            raise ValueError(f"the data hold {self.days[1]} to {self.days[-1]} after the history, not {day}")
        for file in self._files:
            if file.part.dated is not None:
                yield _sent(file.part, HEAD_OFFICE, day, file, file.told(day, is_first=False))

    def _channels(self, day: date) -> Sent:
        """The channel map is the platform's own configuration, not part of the data."""
        rows = [f"{c},{str(online).lower()},{str(off).lower()},{day},{day}" for c, online, off in CHANNEL_FLAGS]
        text = "\n".join(["channel,is_online,is_off_counter,changed_on,business_date", *rows]) + "\n"
        return _signed(
            "ref_channels", f"REF_{TAKE_ON}_CHANNELS_{day:%Y%m%d}_1.csv", TAKE_ON, day, text.encode(), len(rows), None
        )


def _sent(part: Part, entity: str, day: date, file: _File, lines: list[bytes]) -> Sent:
    name = f"BERKA_{entity}_{part.tag}_{day:%Y%m%d}_1.asc"
    return _signed(part.feed, name, entity, day, file.header + b"".join(lines), len(lines), file.money(lines))


def _signed(feed: str, name: str, entity: str, day: date, data: bytes, rows: int, money: int | None) -> Sent:
    stated = yuan(money) if money is not None else ""
    signal = f"{name}|{rows}|{stated}|{hashlib.sha256(data).hexdigest()}\n"
    return Sent(feed, entity, day, 1, name, data, signal, rows, money)
