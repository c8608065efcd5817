"""Identifying columns of a record batch become what may stand outside the vault: token, validity and the derivations of
their kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from jobs.contracts.column import Column
from jobs.contracts.model import Table
from jobs.privacy.free_text import without_identifiers
from jobs.privacy.keys import Keys
from jobs.privacy.kinds import KINDS, Identity
from jobs.privacy.vault import Vault

REMEMBERED = 200_000  # values of one column kept from batch to batch
Known = dict[str, tuple[Identity, dict[str, str]]]


class Identifier:
    """For one delivery: replaces identifying columns. Work is done once a distinct value, and once a batch for the
    vault.
    """

    def __init__(self, table: Table, system: str, as_of: date, keys: Keys, vault: Vault):
        """`system` names the source whose customer numbers these are; `as_of` (the business date) bounds dates of
        birth.
        """
        self._table, self._system, self._as_of, self._keys, self._vault = table, system, as_of, keys, vault
        self._remembered: dict[str, Known] = {}
        self.notes: Counter[str] = Counter()  # what was found where nobody should have written it, and how often

    def physical(self, columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
        """Text columns by contract name -> text columns by physical name, in the order of the contract."""
        physical: dict[str, pa.Array] = {}
        for name, column in self._table.columns.items():
            values = columns[name]
            if column.free_text:
                physical[name] = self._cleaned(name, values)
            elif column.identifies is None:
                physical[name] = values
            elif column.identifies == "source_key":
                physical[name] = values
                physical[f"{name}_keyed"] = self._keyed(values)
            else:
                physical |= self._identified(name, column, values)
        return physical

    def _cleaned(self, name: str, values: pa.Array) -> pa.Array:
        clean, found = without_identifiers(values, self._as_of, self._vault.tokens_for)
        self.notes.update({f"{kind} in {name} made a token": count for kind, count in found.items()})
        return clean

    def _keyed(self, values: pa.Array) -> pa.Array:
        distinct, places = _distinct(values)
        keyed = [None if v is None else self._keys.party_id(self._system, v) for v in distinct]
        return pa.array(keyed, pa.string()).take(places)

    def _identified(self, name: str, column: Column, values: pa.Array) -> dict[str, pa.Array]:
        distinct, places = _distinct(values)
        known = self._remember(name, str(column.identifies), [v for v in distinct if v is not None])

        def spread(each: list[str | None]) -> pa.Array:
            return pa.array(each, pa.string()).take(places)

        found = [None if v is None else known[v] for v in distinct]
        spread_out = {
            f"{name}_token": spread([f and f[1]["token"] for f in found]),
            f"{name}_valid": spread([f and ("true" if f[0].valid else "false") for f in found]),
        }
        for derivation in column.derive:
            spread_out[f"{name}_{derivation}"] = spread(
                [f and (f[1] if derivation in f[1] else f[0].derived).get(derivation) for f in found]
            )
        return spread_out

    def _remember(self, name: str, kind: str, values: list[str]) -> Known:
        known = self._remembered.setdefault(name, {})
        if len(known) > REMEMBERED:
            known.clear()
        new = {v: KINDS[kind](v, self._as_of) for v in values if v not in known}
        tokens = self._vault.tokens_for(kind, {i.normal for i in new.values()}) if new else {}
        normals: dict[str, str] = {}
        if kind == "name" and new and "normal_token" in self._table.columns[name].derive:
            normals = self._vault.tokens_for("name_normal", {n for i in new.values() if (n := i.derived["normal"])})
        for value, identity in new.items():
            issued = {"token": tokens[identity.normal]}
            if (normal := identity.derived.get("normal")) in normals:
                issued["normal_token"] = normals[normal or ""]
            known[value] = (identity, issued)
        return known


def _distinct(values: pa.Array) -> tuple[list[str | None], pa.Array]:
    """The distinct values (null included) and, for each row, the place of its value among them."""
    encoded = pc.dictionary_encode(values, null_encoding="encode")
    return encoded.dictionary.to_pylist(), encoded.indices
