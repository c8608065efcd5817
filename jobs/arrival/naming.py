"""Which lane a file belongs to, by its name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches

from jobs.arrival.errors import Refused
from jobs.contracts.catalog import Catalog
from jobs.contracts.source import Source

UNKNOWN = "unknown"  # the feed of files that no source knows
NEAREST = 3  # names that are shown to who sent another
TAKE_ON = "TAKEON"  # the entity of deliveries that bring years of history at once


@dataclass(frozen=True)
class Lane:
    """Feed, entity, business date, batch number and version, as the name says them (`version` None: it says none)."""

    source: Source
    entity: str
    business_date: date
    seq: int
    version: int | None = None

    @property
    def feed(self) -> str:
        return self.source.feed


def lane_of(catalog: Catalog, path: str) -> Lane:
    """The lane of a file in the inbox. Raises Refused(unknown_file) with the names that are known, Refused(ambiguous_name) where several sources know it.

    The name decides; the folders `<feed>/<entity>/<date>/` are only asked where two sources give their files the same
    name, or where the pattern names no entity. Where they do not decide either, nothing is guessed: the file would be
    another feed's.
    """
    folders, _, name = path.rpartition("/")
    parts = folders.split("/") if folders else []
    matches = [(s, found) for s in catalog.sources.values() if (found := s.conforms_to_name(name)) is not None]
    if not matches:
        raise Refused("unknown_file", _unknown(catalog, path))
    if len(matches) > 1:
        matches = [(s, f) for s, f in matches if parts and s.feed == parts[0]] or matches
    if len(matches) > 1:
        feeds = [s.feed for s, _ in matches]
        raise Refused(
            "ambiguous_name",
            f"The name {name} is one of {' and of '.join(f'{s.feed} ({s.files.pattern})' for s, _ in matches)}. Expected a name of one source only; correct the pattern of one of them in "
            f"expectations/sources, or send the file again below a folder that says whose it is ({'/ or '.join(feeds)}/).",
        )
    source, found = matches[0]
    try:
        business_date = datetime.strptime(found["date"], "%Y%m%d").date()
    except ValueError as error:
        raise Refused(
            "unknown_file",
            f"The name {name} holds the date {found['date']}, which no calendar has. Expected {source.files.pattern}; "
            "rename the file and send it again.",
        ) from error
    entity = found.get("entity") or (parts[1] if len(parts) > 1 else source.system)
    version = found.get("version")
    return Lane(source, entity, business_date, int(found.get("seq") or 1), int(version) if version else None)


def _unknown(catalog: Catalog, path: str) -> str:
    """Expected is what the folder's source says; without one the patterns that are most like the name."""
    likely = catalog.sources.get(path.split("/")[0])
    sources = [likely] if likely else [source for source in catalog.sources.values() if source.pull is None]
    patterns = {source.files.pattern for source in sources}
    nearest = get_close_matches(path.rpartition("/")[2], sorted(patterns), NEAREST, cutoff=0)
    more = f" (of {len(patterns)})" if len(patterns) > len(nearest) else ""
    return (
        f"No source knows the file {path}. Expected a name like {', '.join(nearest)}{more}; rename the file and send it again, or declare its source in "
        "expectations/sources."
    )
