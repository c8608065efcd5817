"""Files of the lake as a release named them, for who looks at them later."""

from __future__ import annotations

from typing import Any

from jobs.lake.tables import Lake, Within
from jobs.ledger import Ledger, releases


class NotReadable(Exception):
    """The rows of a table cannot be shown; the message says why, and what to do."""


def files_of(ledger: Ledger, lake: Lake, table: str, version: int | None, within: Within) -> Any:
    """The files of a version as an Arrow dataset. What was merged or cleaned away since stands, the same, in the newest version, unless a run writes to it. Raises NotReadable."""
    from deltalake.exceptions import DeltaError

    if not lake.exists(table):
        raise NotReadable(f"{table} is not in the lake of this bank.")
    try:
        try:
            return lake.dataset(table, version, within)
        except FileNotFoundError:
            with ledger.begin() as db:
                if any(batch.table_name == table for batch in releases.unreleased(db, but="")):
                    raise NotReadable(
                        f"A run is writing {table}, and the files that were released are merged: ask again when it has ended (`ledgerlake releases`)."
                    ) from None
            return lake.dataset(table, None, within)
    except DeltaError as error:
        raise NotReadable(
            f"{table} cannot be read by delta-rs ({str(error).splitlines()[0]}). A type that was widened in place by another tool is one cause: "
            "`ledgerlake contracts plan` shows how the table differs from its contract."
        ) from error
