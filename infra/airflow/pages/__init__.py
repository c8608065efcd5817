"""Pages of Ledgerlake inside Airflow's own web interface, at `/ledgerlake/<page>`.

Who looks is whoever is logged in to Airflow, and what they may do for a bank is what they may do with its DAGs: who may see the
bank's `roll_call` may look, who may also change it (run, pause) may act. So each auth manager of Airflow decides it, and nobody
keeps a second list of people.

A page is one module beside this one: a function under `@app.get("/<page>")` that takes a `Looking` (or, behind a form,
`@app.post` with an `Acting`) and returns `page(...)`; a template that extends `base.html.j2`; one entry in `VIEWS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from infra.airflow.bells import banks, dag_id
from jobs.contracts import ContractError
from jobs.ledger import LedgerUnavailable
from jobs.settings import settings

PREFIX = "/ledgerlake"
TEMPLATES = Path(__file__).parent / "templates"
# What a page is called in Airflow's menu, and its last word in the address.
VIEWS = {"board": "Arrival board", "quarantine": "Quarantine"}
SAFE = {
    # No script runs, nothing is loaded from elsewhere, and no foreign page puts this one into a frame.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

app = FastAPI(title="Ledgerlake pages", docs_url=None, redoc_url=None, openapi_url=None)


@dataclass(frozen=True)
class Visitor:
    """Who looks at which bank. `banks`: those that they may choose from."""

    name: str
    bank: str
    banks: tuple[str, ...]
    may_act: bool


def _may(user: Any, bank: str, method: Any) -> bool:
    roll_call = DagDetails(id=dag_id(bank, "roll_call"))
    return get_auth_manager().is_authorized_dag(method=method, details=roll_call, user=user)


def looking(user: GetUserDep, bank: str | None = None) -> Visitor:
    """The visitor of `?bank=`, or of the bank that the installation speaks of. 401 without a login, 403 without the right to look, 404 where
    there is no such bank."""
    known = banks("roll_call")
    wanted = bank or (settings().profile if settings().profile in known else known[0])
    if wanted not in known:
        raise HTTPException(404, f"There is no bank {wanted} here.")
    if not _may(user, wanted, "GET"):
        raise HTTPException(403, f"{user.get_name()} may not see the bank {wanted}.")
    seen = tuple(b for b in known if b == wanted or _may(user, b, "GET"))
    return Visitor(user.get_name(), wanted, seen, _may(user, wanted, "PUT"))


Looking = Annotated[Visitor, Depends(looking)]


def acting(visitor: Looking) -> Visitor:
    """The same of somebody who may change things; 403 for others. Airflow's cookie is `SameSite=Lax`: no foreign page can post in their name."""
    if not visitor.may_act:
        raise HTTPException(403, f"{visitor.name} may look, and not act.")
    return visitor


Acting = Annotated[Visitor, Depends(acting)]


def page(request: Request, template: str, visitor: Visitor | None, status: int = 200, **values: Any) -> Response:
    """A template with what it needs. `root` in it is the address under which all pages lie. `refresh` (seconds) loads it anew."""
    given: dict[str, Any] = {"refresh": None, **values}
    root = request.scope.get("root_path", "")
    text = _environment().get_template(template).render(root=root, visitor=visitor, views=VIEWS, **given)
    return HTMLResponse(text, status, headers=SAFE)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # fmt: skip
    made.filters |= {
        "earlier": lambda day: day - timedelta(days=1), "later": lambda day: day + timedelta(days=1), "short": short,
    }  # fmt: skip
    return made


def short(minutes: int) -> str:
    """So long, where there is little room: 42 min, 25 h, 4 d."""
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} d"


@app.get("/pages.css")
def style() -> Response:
    return PlainTextResponse((TEMPLATES / "pages.css").read_text("utf-8"), media_type="text/css", headers={"Cache-Control": "max-age=60"})  # fmt: skip


@app.exception_handler(HTTPException)
def refused(request: Request, error: HTTPException) -> Response:
    """A person without a login is sent to Airflow's, and comes back; a program is told. Other refusals are a page that says why."""
    is_person = "text/html" in request.headers.get("accept", "") and request.method == "GET"
    if not is_person:
        return PlainTextResponse(f"{error.detail}\n", error.status_code, headers=SAFE)
    if error.status_code == 401:
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(get_auth_manager().get_url_login(next_url=here), 303)
    return page(request, "refused.html.j2", None, error.status_code, title="Not shown", reason=str(error.detail))


@app.exception_handler(RequestValidationError)
def misunderstood(request: Request, error: RequestValidationError) -> Response:
    said = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))} {one['input']!r}: {one['msg']}" for one in error.errors())
    return refused(request, HTTPException(422, f"The address is not understood. {said}."))


@app.exception_handler(LedgerUnavailable)
@app.exception_handler(ContractError)
def not_ready(request: Request, error: Exception) -> Response:
    return page(request, "refused.html.j2", None, 503, title="Not ready", reason=str(error), refresh=30)


def external_views() -> list[dict[str, Any]]:
    """The pages as entries of Airflow's menu."""
    return [
        {"name": name, "href": f"{PREFIX}/{place}", "destination": "nav", "url_route": f"ledgerlake_{place}", "category": "browse"}
        for place, name in VIEWS.items()
    ]  # fmt: skip
