"""The endpoint for partners' webhooks, part of Airflow's API server: `POST /ledgerlake/webhooks/<bank>/<feed>`, or of any ASGI server.

What a request means is decided in jobs/arrival/webhook.py; here it is read, no further than it may be long.
"""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from jobs.arrival import webhook
from jobs.contracts import ContractError, load
from jobs.ledger import LedgerUnavailable, connect
from jobs.privacy.keys import load_keys

app = FastAPI(title="Ledgerlake", docs_url=None, redoc_url=None, openapi_url=None)


@app.post("/webhooks/{bank}/{feed}")
async def post(bank: str, feed: str, request: Request) -> Response:
    try:
        catalog = await run_in_threadpool(load, bank)
    except ContractError:
        return Response(f"no bank {bank} here\n", 404)
    limit = webhook.limit(catalog, feed)
    if limit is None:
        return Response(f"no feed {feed} is posted here\n", 404)
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            return Response(f"more than {limit} bytes\n", 413)
    try:
        answer = await run_in_threadpool(
            lambda: webhook.receive(
                catalog, connect(bank), load_keys(), feed, bytes(body), request.headers.get("X-Signature")
            )
        )
    except LedgerUnavailable:
        return Response("not ready: post again later\n", 503)
    return Response(f"{answer.told}\n", answer.status)
