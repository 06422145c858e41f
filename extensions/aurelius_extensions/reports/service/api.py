"""The JSON interface of the report service, with the same rights as the pages."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from aurelius_catalog.records import Record
from aurelius_extensions.reports.execution.execute import HTML_FILE
from aurelius_extensions.reports.records import ParameterValue
from aurelius_extensions.reports.runs.crate import MEDIA_TYPES
from aurelius_extensions.reports.service.access import RunView
from aurelius_extensions.reports.service.dependencies import AccessDependency

router = APIRouter(prefix="/api")
#: A report is a document of a notebook's making, served from the hub's own origin: it may run and load nothing.
DOCUMENT_POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Ask(Record):
    """Body of a request for a run."""

    report: str
    parameters: dict[str, ParameterValue] = Field(default_factory=dict)


@router.get("/reports")
def list_reports(access: AccessDependency) -> list[dict[str, Any]]:
    """List the reports with their parameters, defaults and types."""
    return [
        {
            "name": report.name,
            "title": report.title,
            "description": report.description,
            "sha256": report.sha256,
            "parameters": [vars(parameter) for parameter in report.parameters],
        }
        for report in access.library.list_reports()
    ]


@router.get("/runs")
def list_runs(access: AccessDependency) -> list[dict[str, Any]]:
    """List the runs this person may know of, newest first."""
    return [describe_view(view) for view in access.list_runs()]


@router.post("/runs", status_code=202)
def ask_run(access: AccessDependency, ask: Ask) -> dict[str, Any]:
    """Ask for a run; the answer names it."""
    return describe_view(access.get_run(access.ask(ask.report, ask.parameters).id))


@router.get("/runs/{run_id}")
def get_run(access: AccessDependency, run_id: str) -> dict[str, Any]:
    """Say how a run stands, with its verdict."""
    return describe_view(access.get_run(run_id))


@router.post("/runs/{run_id}/rerun", status_code=202)
def ask_rerun(access: AccessDependency, run_id: str) -> dict[str, Any]:
    """Ask for a run to be repeated and compared with itself; the answer names the new run."""
    return describe_view(access.get_run(access.rerun(run_id).id))


@router.get("/runs/{run_id}/files")
def list_files(access: AccessDependency, run_id: str) -> list[str]:
    """List the stored files of a run."""
    return access.list_files(run_id)


@router.get("/runs/{run_id}/files/{name}")
def read_file(access: AccessDependency, run_id: str, name: str) -> Response:
    """Return one stored file, after checking that it is what was sealed."""
    return answer_file(access.read_file(run_id, name), run_id, name)


def answer_file(content: bytes, run_id: str, name: str) -> Response:
    """Answer with a stored file: the report to be shown, everything else to be saved."""
    headers = {"Content-Security-Policy": DOCUMENT_POLICY, "X-Content-Type-Options": "nosniff"}
    if name != HTML_FILE:
        headers["Content-Disposition"] = f'attachment; filename="{run_id}-{name}"'
    suffix = name[name.rfind(".") :]
    return Response(content, media_type=MEDIA_TYPES.get(suffix, "application/octet-stream"), headers=headers)


def describe_view(view: RunView) -> dict[str, Any]:
    """Return a run as JSON."""
    return {
        "id": view.id,
        "state": view.state,
        "outcome": view.outcome,
        "open": view.is_open,
        "changed_files": list(view.changes),
        "verdict": view.verdict.model_dump(mode="json") if view.verdict else None,
        "run": view.record.model_dump(mode="json", exclude={"groups", "state"}) if view.record else None,
    }
