"""Columns that must never be stored (classification C3: what proves who somebody is; rule CL-3)."""

from __future__ import annotations

import re

from jobs.arrival.errors import Refused
from jobs.contracts.model import Table

# Names by which such columns are known to arrive, though no contract asks for them. Whole names, without case and
# separators.
NAMES = frozenset(
    [
        "cvn",
        "cvn2",
        "cvv",
        "cvv2",
        "cvc",
        "cvc2",
        "password",
        "passwd",
        "pwd",
        "loginpassword",
        "paypassword",
        "tradepassword",
        "pin",
        "pinblock",
        "cardpin",
        "track1",
        "track2",
        "track3",
        "trackdata",
        "track1data",
        "track2data",
        "magnetictrack",
        "fingerprinttemplate",
        "facetemplate",
        "iristemplate",
    ]
)
# Each name holds one of these, with or without a separator between its words.
STEMS = (
    b"cvn",
    b"cvv",
    b"cvc",
    b"pass",
    b"pwd",
    b'pin"',
    b"pinblock",
    b"pin_block",
    b"pin-block",
    b"track",
    b"template",
)
KEY = re.compile(r'"([A-Za-z0-9_ -]{1,40})"\s*:')


C3_COLUMN = "c3_column"  # the cause


class ForbiddenColumn(Refused):
    """Nothing of the file may be kept, not even sealed."""


def forbidden(column: str, where: str) -> ForbiddenColumn:
    return ForbiddenColumn(
        C3_COLUMN,
        f"The column {column} in {where} is of class C3 and must never be stored. Expected a file without it; "
        "nothing was kept. "
        "Ask the sender to take the column out and send the file again, and treat this as an incident.",
    )


def check_names(names: list[str], where: str) -> None:
    """Raises ForbiddenColumn for the first name that is known to hold a secret."""
    for name in names:
        if re.sub(r"[^a-z0-9]", "", name.lower()) in NAMES:
            raise forbidden(name, where)


def check_text(text: str, where: str) -> None:
    """Raises ForbiddenColumn when a line that is no readable JSON has such a name as a key."""
    check_names(KEY.findall(text), where)


def may_hide_a_secret(data: bytes) -> bool:
    """Could such a name be a key in these lines? Quick, and wrong only towards yes: then every key is looked at."""
    lower = data.lower()
    return b"\\u" in lower or any(stem in lower for stem in STEMS)


def check_contract(table: Table) -> None:
    """Raises ForbiddenColumn when the contract itself declares a C3 column."""
    for name, column in table.columns.items():
        if column.classification.startswith("C3"):
            raise forbidden(name, f"the contract of {table.table}")
