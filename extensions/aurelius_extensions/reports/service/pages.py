"""The pages of the report service: reports to run, runs to look at, a verdict to see at a glance."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import jinja2
from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute

from aurelius_catalog.access.person import Action, Person
from aurelius_catalog.errors import AureliusError
from aurelius_catalog.hosting.host import service_prefix
from aurelius_extensions.errors import RunTampered
from aurelius_extensions.reports.execution.execute import HTML_FILE
from aurelius_extensions.reports.records import ResultTable, RunState
from aurelius_extensions.reports.service.access import ReportAccess, RunView
from aurelius_extensions.reports.service.api import answer_file
from aurelius_extensions.reports.service.dependencies import AccessDependency

#: No script at all, nothing from outside; the report is framed from this service only.
PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-src 'self'; "
    "form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
)
PARAMETER_FIELD = "parameter-"
REFRESH_S = 2


class PageRoute(APIRoute):
    """A route that answers the house's errors by a page instead of JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except AureliusError as error:
                return show_page("error.html", status_code=error.status_code, error=error)

        return answer


router = APIRouter(route_class=PageRoute, include_in_schema=False)


async def read_form(request: Request) -> dict[str, str]:
    """Return the text fields of a form."""
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


@router.get("/")
def show_home(access: AccessDependency, request: Request) -> Response:
    """List the reports with their forms, and the runs; ``?again=`` fills the form as that run was filled."""
    views = access.list_runs()
    wanted = request.query_params.get("again", "")
    filled = next((view.record for view in views if view.id == wanted and view.record), None)
    return show_page(
        "home.html",
        person=access.person,
        may_run=access.person.may(Action.REPORT),
        reports=access.library.list_reports(),
        filled=filled,
        views=views,
        refresh=REFRESH_S if any(view.state is not RunState.DONE for view in views) and not filled else None,
    )


@router.post("/runs")
def ask_run(access: AccessDependency, form: Annotated[dict[str, str], Depends(read_form)]) -> Response:
    """Ask for a run and go to its page."""
    given = {
        name.removeprefix(PARAMETER_FIELD): value for name, value in form.items() if name.startswith(PARAMETER_FIELD)
    }
    return _go_to(access.ask(form.get("report", ""), given).id)


@router.post("/runs/{run_id}/rerun")
def ask_rerun(access: AccessDependency, run_id: str) -> Response:
    """Ask for a rerun and go to its page."""
    return _go_to(access.rerun(run_id).id)


@router.get("/runs/{run_id}")
def show_run(access: AccessDependency, run_id: str) -> Response:
    """Show one run: its verdict, what drifted, the report, the numbers, the provenance."""
    view = access.get_run(run_id)
    return show_page(
        "run.html",
        person=access.person,
        may_run=access.person.may(Action.REPORT),
        view=view,
        run=view.record,
        results=_read_results(access, view),
        files=access.list_files(run_id) if _is_readable(view) else [],
        report_file=HTML_FILE,
        refresh=None if view.state is RunState.DONE else REFRESH_S,
    )


@router.get("/runs/{run_id}/files/{name}")
def read_file(access: AccessDependency, run_id: str, name: str) -> Response:
    """Return one stored file."""
    return answer_file(access.read_file(run_id, name), run_id, name)


def show_page(template: str, *, status_code: int = 200, **values: object) -> HTMLResponse:
    """Render a template as a page that may load nothing from outside."""
    text = _TEMPLATES.get_template(template).render(prefix=service_prefix(), now=datetime.now(UTC), **values)
    headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-store"}
    return HTMLResponse(text, status_code, headers)


def _go_to(run_id: str) -> Response:
    return RedirectResponse(f"{service_prefix()}runs/{run_id}", 303)


def _is_readable(view: RunView) -> bool:
    return view.state is RunState.DONE and view.is_open


def _read_results(access: ReportAccess, view: RunView) -> ResultTable | None:
    if not _is_readable(view):
        return None
    try:
        return access.get_results(view.id)
    except RunTampered:
        return None  # the page says so in its place


def _format_moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "–"


def _format_number(value: float | None) -> str:
    return "–" if value is None else f"{value:.6g}"


def _describe_rights(person: Person) -> str:
    projects = [f"project {name}" for name in sorted(person.projects)]
    sites = [f"site {name}" for name in sorted(person.sites)]
    return ", ".join([*sorted(person.roles), *projects, *sites]) or "no roles"


def _make_templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {"moment": _format_moment, "number": _format_number, "rights": _describe_rights}
    return environment


_TEMPLATES = _make_templates()
