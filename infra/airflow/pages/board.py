"""The arrival board: branch x feed x day, with what lacks named; a cell opens into all that is known of its lane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated

from fastapi import Query, Request, Response

from infra.airflow.pages import Looking, app, page
from jobs.bank import current_bank
from jobs.ledger import batches, lanes
from jobs.ledger.days import closed_since
from jobs.ledger.lanes import DayBoard, LaneStatus
from jobs.serving.labels import closed_label

EVERY = 30  # seconds; roll-call comes by as often
MOST_DAYS = 31
MARKS = {  # word or state -> mark, kind of colour
    "expected": ("·", "none"), "arriving": ("…", "wait"), "verified": ("v", "wait"), "loaded": ("✓", "good"), "partly_loaded": ("✓−", "warn"),
    "late": ("✓", "warn"), "held": ("!", "hold"), "kept_out": ("⊘", "hold"), "refused": ("✗", "bad"), "missing": ("?", "bad"), "closed": ("–", "none"), "silent": ("z", "bad"),
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """What stands for a lane: a mark, a word and a kind of colour, and in one sentence what they mean."""

    lane: LaneStatus
    mark: str
    word: str
    kind: str
    sentence: str


@dataclass(frozen=True)
class Grid:
    """One day: feeds that branches owe against branches, other feeds a line each."""

    board: DayBoard
    branches: list[tuple[str, str | None]]  # id, name
    branch_feeds: list[str]
    cells: dict[tuple[str, str], Cell]
    others: list[Cell]
    lacking: dict[str, list[str]]  # feed -> who
    closed: str | None  # what is to be said once the day's month is closed


@app.get("/board")
def board(
    request: Request,
    visitor: Looking,
    day: date | None = None,
    days: Annotated[int, Query(ge=1, le=MOST_DAYS)] = 1,
    feed: str | None = None,
    entity: str | None = None,
) -> Response:
    bank = current_bank(visitor.bank)
    with bank.ledger.begin() as db:
        last = day or lanes.newest_day(db, bank.catalog)
        boards = lanes.boards(db, bank.catalog, last, days)
        chosen = next((lane for lane in boards[0].lanes if (lane.feed, lane.entity) == (feed, entity)), None)
        events = lanes.history(db, chosen.feed, chosen.entity, last) if chosen else []
        alerts = batches.alerts(db)[::-1]  # the newest first, as `ledgerlake alerts` has them
        closed = {one.day: closed_since(db, bank.catalog, one.day) for one in boards}
    branch_feeds = [s.feed for s in bank.catalog.sources.values() if s.sender == "branch"]

    def cell(lane: LaneStatus) -> Cell:
        is_known_by_state = lane.word == "arrived" or (lane.word == "expected" and lane.state == "arriving")
        word = lane.state if is_known_by_state and lane.state else lane.word
        mark, kind = MARKS[word]
        return Cell(lane, mark, word.replace("_", " "), kind, lanes.told(bank.catalog, lane))

    grids = [_grid(one, [cell(lane) for lane in one.lanes], branch_feeds, closed[one.day]) for one in boards]
    return page(
        request, "board.html.j2", visitor, title="Arrival board", grids=grids, last=last, days=days, alerts=alerts, legend=MARKS,
        chosen=cell(chosen) if chosen else None, events=events, clock=bank.catalog.profile.clock, minutes=lanes.minutes, refresh=EVERY, end_by_themselves=batches.ENDS_BY_ITSELF,
    )  # fmt: skip


def _grid(one: DayBoard, cells: Sequence[Cell], branch_feeds: Sequence[str], since: date | None) -> Grid:
    of_branches = {(c.lane.feed, c.lane.entity): c for c in cells if c.lane.feed in branch_feeds}
    lacking: dict[str, list[str]] = {}
    for lane in one.not_live:
        lacking.setdefault(lane.feed, []).append(lane.entity)
    return Grid(
        one,
        sorted({(c.lane.entity, c.lane.name) for c in of_branches.values()}, key=lambda pair: pair[0]),
        list(dict.fromkeys(feed for feed, _ in of_branches)),
        of_branches,
        [c for c in cells if c.lane.feed not in branch_feeds],
        lacking,
        closed_label(since.isoformat())["en"] if since else None,
    )
