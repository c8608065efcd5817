"""A file names its columns, and the names are not those of the contract: what was added, removed, renamed, moved or narrowed, and whether the file is taken all the same.

What is done stands in the source (`drift:` of its format). A column that the contract does not have is never loaded by itself: it is told, with the line by which a person may add it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from jobs.arrival.errors import Refused
from jobs.contracts.column import Column
from jobs.contracts.compact import flow
from jobs.contracts.formats import Drift

ALIKE = 0.6  # two names of this likeness may be one column's


@dataclass(frozen=True)
class Fit:
    """`added`: the file's names that the contract does not have; `lacking`: the contract's columns that the file does not have and that are null."""

    added: list[str]
    lacking: list[str]


def fit(
    wanted: Mapping[str, str], columns: Mapping[str, Column], found: Sequence[str], drift: Drift, where: str
) -> Fit:
    """`wanted`: column of the contract -> its name in files. `where`: what names the columns, as the beginning of a sentence.

    Raises Refused(column_removed, column_added, column_reordered) with the difference.
    """
    added = [name for name in found if name not in wanted.values()]
    missing = [name for name, source in wanted.items() if source not in found]
    lacking = [name for name in missing if drift.removed == "null" and not columns[name].required]
    cause = None
    if lacking != missing:
        cause = "column_removed"
    elif added and drift.added == "refuse":
        cause = "column_added"
    elif drift.reordered == "refuse" and _moved(list(wanted.values()), found):
        cause = "column_reordered"
    if cause is None:
        return Fit(added, lacking)
    raise Refused(
        cause,
        f"{where} names {', '.join(found) or 'no column'}. Expected the columns of the contract: {', '.join(wanted.values())}. "
        f"{_difference(list(wanted.values()), found, drift)} Send them as agreed, or change the contract with its consumers.",
    )


def _moved(wanted: Sequence[str], found: Sequence[str]) -> bool:
    both = set(wanted) & set(found)
    return [n for n in wanted if n in both] != [n for n in found if n in both]


def _difference(wanted: Sequence[str], found: Sequence[str], drift: Drift) -> str:
    """The difference in words, one sentence each: missing, new, likely renamed, and moved where that matters."""
    missing, added = [n for n in wanted if n not in found], [n for n in found if n not in wanted]
    said = [f"Missing: {', '.join(missing)}."] if missing else []
    said += [f"New: {', '.join(added)}."] if added else []
    said += [f"Likely {old} was renamed {new}." for old, new in _renamed(wanted, found, missing, added)]
    said += ["Their order is another."] if drift.reordered == "refuse" and _moved(wanted, found) else []
    return " ".join(said)


def _renamed(
    wanted: Sequence[str], found: Sequence[str], missing: Sequence[str], added: Sequence[str]
) -> list[tuple[str, str]]:
    """One that is gone and one that is new are likely the same when their names are alike, or stand in the same place of equally many."""
    pairs = []
    for old in missing:
        alike = get_close_matches(old, added, 1, ALIKE)
        at = wanted.index(old)
        in_place = [found[at]] if len(wanted) == len(found) and found[at] in added else []
        if new := next(iter(alike or in_place), None):
            pairs.append((old, new))
    return pairs


def proposed(name: str) -> str:
    """The line that would add a file's column to its contract, as text. Its class is a guess on the safe side, for a person to correct."""
    made = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")
    made = made if made[:1].isalpha() else f"new_column_{made}".rstrip("_")
    return f"{made}: {flow(['string', {'from': name, 'classification': 'C2/3'} if made != name else {'classification': 'C2/3'}])}"
