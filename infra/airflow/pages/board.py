"""The arrival board: branch x feed of a business day."""

from __future__ import annotations

from datetime import date

from fastapi import Request, Response

from infra.airflow.pages import Looking, app, page
from jobs import rollcall
from jobs.bank import open_bank
from jobs.ledger import clock, days


@app.get("/board")
def board(request: Request, visitor: Looking, day: date | None = None) -> Response:
    bank = open_bank(visitor.bank)
    with bank.ledger.begin() as db:
        wanted = day or days.last_released_day(db) or clock.now(db).date()
        lanes = rollcall.lanes(db, bank, wanted)
    feeds = list(dict.fromkeys(lane.feed for lane in lanes))
    cells = {(lane.feed, lane.entity): lane for lane in lanes}
    entities = sorted({lane.entity for lane in lanes})
    return page(request, "board.html.j2", visitor, title="Arrival board", day=wanted, feeds=feeds, entities=entities, cells=cells, refresh=30)  # fmt: skip
