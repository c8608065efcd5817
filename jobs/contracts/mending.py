"""A table's contract with mistakes of form, read as far as it can be: so that what is wrong between it and other files is told in the same run.

What cannot be read is put in place by something that says nothing; the names of such columns are vague, and mistakes that speak of them are no news. A contract of
which more than that is wrong (its name, what it reads or corrects) is left unread.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from jobs.contracts.base import NAME
from jobs.contracts.errors import ContractError, Mistake, Wrong
from jobs.contracts.model import Table
from jobs.contracts.reading import mistakes_of
from jobs.contracts.yaml_file import Place, YamlFile

COLUMN = ["string", {"classification": "C1/1"}]
RULE = {"id": "unread", "onFail": "warn", "expectation": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 0}}  # fmt: skip
STAND_INS: dict[str, Any] = {
    "version": "0",
    "description": "",
    "grain": "",
    "owner": "",
    "steward": "",
    "primaryKey": [],
    "history": "append",
}
# Other files say nothing of these.
LEFT_OUT = {"money", "statistics", "tracked", "transport", "mart", "madeBy", "sla"}
# What others are told by, so that it is not to be guessed.
NEEDED = ("table", "reads", "columns", "incoming", "businessDate", "corrects")
KEYS = {field.alias or name for name, field in Table.model_fields.items()}
ROUNDS = 4


@dataclass(frozen=True)
class Mended:
    table: Table
    more: list[Mistake]
    vague: frozenset[str]


def mended(file: YamlFile, error: ContractError) -> Mended | None:
    """The contract behind `error`, which jobs.contracts.reading.typed raised, and the mistakes that show only now. None when too much of it is wrong."""
    cause = error.__cause__
    data, vague, more = copy.deepcopy(file.data), set[str](), list[Mistake]()
    for _ in range(ROUNDS):
        if not isinstance(cause, ValidationError) or not isinstance(data, dict):
            return None
        if not all(_mend(data, place, vague) for place in _places(cause)):
            return None
        try:
            table = Table.model_validate(data, by_alias=True, by_name=False)
        except ValidationError as found:
            cause = found
            more += certain(mistakes_of(file, found, Table), vague)
        else:
            return Mended(table, more, frozenset(vague))
    return None


def certain(mistakes: Collection[Mistake], vague: Collection[str]) -> list[Mistake]:
    """Those that speak of no vague name, nor of a column that is made of one (its token)."""
    if not vague:
        return list(mistakes)
    named = re.compile(rf"\b({'|'.join(map(re.escape, vague))})(_\w+)?\b")
    return [mistake for mistake in mistakes if not named.search(mistake.found)]


def _places(error: ValidationError) -> Iterator[Place]:
    for one in error.errors():
        own = one.get("ctx", {}).get("error")
        if isinstance(own, Wrong):
            yield from ((*one["loc"], *place) for place, _, _ in own.found)
        else:
            yield one["loc"]


def _mend(data: dict[str, Any], place: Place, vague: set[str]) -> bool:
    """Whether what stands at `place` could be put aside."""
    if not place:
        return False
    key, *inside = place
    block = data.get(str(key))
    if key in STAND_INS:
        data[str(key)] = STAND_INS[str(key)]
    elif key in LEFT_OUT:
        data.pop(str(key), None)
    elif key in ("columns", "incoming") and inside and isinstance(block, dict):
        name = str(inside[0])
        vague.add(name)
        block[name] = COLUMN
        if not NAME.match(name):
            del block[name]
    elif key == "rules" and inside and isinstance(block, list):
        block[int(inside[0])] = RULE | {"id": f"unread_{inside[0]}"}
    elif key in ("conforms", "reconciles") and inside and isinstance(block, dict):
        block.pop(inside[0], None)
    elif key in data and key not in KEYS and not get_close_matches(str(key), NEEDED):
        del data[str(key)]
    else:
        return False
    return True
