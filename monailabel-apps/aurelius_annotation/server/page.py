"""The annotator's page: how to connect 3D Slicer, and the state of each case."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import quote

import httpx
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from aurelius_annotation.server.cases import find_volumes
from aurelius_annotation.server.dependencies import AnnotationContext, Annotator, ContextDependency, Viewer
from aurelius_catalog.access.person import Action, Person
from aurelius_catalog.errors import Unreachable
from aurelius_catalog.hosting.host import service_prefix
from aurelius_catalog.hosting.login import hub_oauth
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.records import AnnotationRecord, PredictionRecord, SeriesRecord

router = APIRouter()
templates = Environment(
    loader=PackageLoader("aurelius_annotation.server"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)

#: Seconds a token made here is good for.
TOKEN_S = 30 * 86_400
#: The page holds no script and loads nothing from anywhere.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'self'; base-uri 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True)
class CaseRow:
    """One line of the list of cases."""

    record: SeriesRecord
    latest: AnnotationRecord | None
    finding: PredictionRecord | None
    holder: str
    until: str

    @property
    def is_drawn(self) -> bool:
        """Whether a person of the house has labelled it, beyond what came in with the images."""
        return self.latest is not None and self.latest.origin != "intake"


@router.get("/", response_class=HTMLResponse)
def show_page(request: Request, context: ContextDependency, person: Viewer) -> HTMLResponse:
    """Show how to connect, and the person's cases."""
    return render_page(request, context, person)


@router.post("/", response_class=HTMLResponse)
def make_token(
    request: Request, context: ContextDependency, person: Annotator, make: Annotated[Literal["token"], Form()]
) -> HTMLResponse:
    """Make an access token for Slicer and show it, once."""
    token = request_token(request, person)
    return render_page(request, context, person, token=token, refused=token is None)


def render_page(
    request: Request, context: AnnotationContext, person: Person, token: str | None = None, refused: bool = False
) -> HTMLResponse:
    """Fill the template."""
    scheme = request.headers.get("x-forwarded-proto", request.url.scheme).split(",")[0].strip()
    host = request.headers.get("host", request.url.netloc)
    html = templates.get_template("annotator.html").render(
        person=person,
        may_annotate=person.may(Action.ANNOTATE),
        server_url=f"{scheme}://{host}{service_prefix()}".rstrip("/"),
        hub_url=f"{os.environ.get('JUPYTERHUB_BASE_URL', '/').rstrip('/')}/hub",
        token=token,
        refused=refused,
        token_days=TOKEN_S // 86_400,
        worker=context.pool.explain(),
        worker_state=str(context.pool.state),
        cases=list_rows(context.open_store(person)),
    )
    return HTMLResponse(html, headers=HEADERS)


def request_token(request: Request, person: Person) -> str | None:
    """Ask the hub, in the person's name, for a token that opens this server and nothing else.

    None where the hub's configuration does not let this service ask.
    """
    cookie = request.cookies.get(hub_oauth().cookie_name, "")
    scope = f"access:services!service={os.environ['JUPYTERHUB_SERVICE_NAME']}"
    wanted = {"note": "3D Slicer", "expires_in": TOKEN_S, "scopes": [scope]}
    url = f"{hub_oauth().api_url}/users/{quote(person.name)}/tokens"
    try:
        answer = httpx.post(url, json=wanted, headers={"Authorization": f"Bearer {cookie}"}, timeout=10)
    except httpx.HTTPError as error:
        raise Unreachable("The hub does not answer, so no token can be made. Try again in a moment.") from error
    return str(answer.json()["token"]) if answer.status_code == 201 else None


def list_rows(store: LocalStore) -> list[CaseRow]:
    """List the person's cases: those without a label first."""
    drawn: dict[str, list[AnnotationRecord]] = {}
    for annotation in store.list_annotations():
        drawn.setdefault(annotation.SeriesInstanceUID, []).append(annotation)
    findings = {item.SeriesInstanceUID: item for item in store.list_predictions()}
    held = {lease.SeriesInstanceUID: (lease.person, f"{lease.until:%H:%M}") for lease in store.list_leases()}
    rows = []
    for record in find_volumes(store):
        uid = record.SeriesInstanceUID
        versions = drawn.get(uid, [])
        holder, until = held.get(uid, ("", ""))
        latest = max(versions, key=lambda version: (version.origin != "intake", version.created_at), default=None)
        rows.append(CaseRow(record, latest, findings.get(uid), holder, until))
    return sorted(rows, key=lambda row: (row.is_drawn, row.record.PatientID, row.record.SeriesInstanceUID))
