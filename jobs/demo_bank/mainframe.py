"""Files of mainframes: EBCDIC records of three kinds, each with its length before it, the agent's in blocks. Written by hand, byte by byte, and not by what
reads them.

The layouts are expectations/sources/demo/core_legacy.cpy and hk_ledger.cpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import BinaryIO, NamedTuple

from jobs.arrival.encodings import encode
from jobs.demo_bank.encoding import Row, yuan

TEXT = "cp037"
HOLDER = 40  # bytes of a name


class LegacyAccount(NamedTuple):
    """An account of the old mainframe at the end of a day. Amounts in fen; `holds` are (reason, fen)."""

    account_no: str
    holder: str
    opened_on: date
    balance: int
    overdraft: int
    branch_no: int
    status: str
    holds: tuple[tuple[str, int], ...]


def can_write(name: str) -> bool:
    """The code page has no character for each that people write, such as some dots in names."""
    try:
        return len(encode(name, "ibm1388")) <= HOLDER
    except UnicodeEncodeError:
        return False


def row(account: LegacyAccount, day: date) -> Row:
    """In the order of the contract's columns; numbers as they show once they are read."""
    holds = ",".join(f'{{"reason":"{reason}","amount":{yuan(fen)}}}' for reason, fen in account.holds)
    return (
        account.account_no,
        account.holder,
        f"{account.opened_on:%y%m%d}",
        f"{day:%Y%m%d}",
        "CNY",
        yuan(account.balance),
        yuan(account.overdraft),
        str(account.branch_no),
        account.status,
        str(len(account.holds)),
        f"[{holds}]",
        account.holds,
    )


@dataclass(frozen=True)
class Mainframe:
    """Record descriptor words, code page 1388 for names, packed and zoned amounts."""

    def open(self, out: BinaryIO, entity: str, day: date) -> _MainframeWriter:
        return _MainframeWriter(out, entity, day)


class _MainframeWriter:
    def __init__(self, out: BinaryIO, entity: str, day: date) -> None:
        self._out = out
        self._record("H" + "LEGA" + entity.ljust(6) + f"{day:%Y%m%d}")

    def add(self, rows: Sequence[Row]) -> None:
        for number, holder, opened, as_of, currency, balance, overdraft, branch, status, count, _, holds in rows:
            self._record(
                f"A{number:<12}",
                encode(holder, "ibm1388").ljust(HOLDER, b"\x40"),
                opened + as_of + currency,
                packed(balance, 13),
                zoned(overdraft, 9),
                int(branch).to_bytes(2, "big"),
                status + f"{count:0>2}",
                *(part for reason, fen in holds for part in (reason, packed(yuan(fen), 9))),
            )

    def close(self, count: int, stated: str) -> None:
        self._record("T" + f"{count:08d}", packed(stated, 15))

    def _record(self, *parts: str | bytes) -> None:
        self._out.write(described(*parts))


@dataclass(frozen=True)
class Tape:
    """The agent's ledger: code page 037, packed amounts, records in blocks as they stood on a tape."""

    records_in_a_block: int = 5

    def open(self, out: BinaryIO, entity: str, day: date) -> _TapeWriter:
        return _TapeWriter(self.records_in_a_block, out, entity, day)


class _TapeWriter:
    def __init__(self, records_in_a_block: int, out: BinaryIO, entity: str, day: date) -> None:
        self._most, self._out = records_in_a_block, out
        self._block: list[bytes] = []
        self._record("H" + "HKA".ljust(4) + entity.ljust(6) + f"{day:%Y%m%d}")

    def add(self, rows: Sequence[Row]) -> None:
        for subject, name, as_of, currency, entries, debit, credit, net in rows:
            self._record(
                f"L{subject:<6}{name:<24}{as_of}{currency}",
                int(entries).to_bytes(2, "big"),
                packed(debit, 13),
                packed(credit, 13),
                packed(net, 13),
            )

    def close(self, count: int, stated: str) -> None:
        self._record("T" + f"{count:08d}", packed(stated, 15))
        self._write_block()

    def _record(self, *parts: str | bytes) -> None:
        self._block.append(described(*parts))
        if len(self._block) == self._most:
            self._write_block()

    def _write_block(self) -> None:
        if self._block:
            self._out.write(described(*self._block))
            self._block.clear()


def described(*parts: str | bytes) -> bytes:
    """A record, or a block of them, with its descriptor word before it."""
    content = b"".join(part if isinstance(part, bytes) else part.encode(TEXT) for part in parts)
    return (len(content) + 4).to_bytes(2, "big") + b"\0\0" + content


def packed(amount: str, digits: int) -> bytes:
    """COMP-3 of an amount with two decimals: two digits a byte, the sign in the last half."""
    fen = int(Decimal(amount).scaleb(2))
    return bytes.fromhex(f"{abs(fen):0{digits + 1 - digits % 2}d}".zfill(digits | 1) + ("d" if fen < 0 else "c"))


def zoned(amount: str, digits: int) -> bytes:
    """DISPLAY of an amount with two decimals: a digit a byte, the sign in the zone of the last."""
    fen = int(Decimal(amount).scaleb(2))
    shown = f"{abs(fen):0{digits}d}"
    return shown[:-1].encode(TEXT) + bytes([(0xD0 if fen < 0 else 0xC0) + int(shown[-1])])
