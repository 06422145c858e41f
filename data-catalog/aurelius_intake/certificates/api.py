"""Certificates over HTTP, for stewards: mounted by the intake's service."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from aurelius_catalog.errors import NotFound
from aurelius_intake.access import Steward
from aurelius_intake.certificates.certificate import Certificate, read_certificate
from aurelius_intake.certificates.page import render_page
from aurelius_intake.settings import read_settings

router = APIRouter()
#: The page runs nothing and fetches nothing, whatever stands in it.
PAGE_POLICY = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"}


@router.get("/certificates")
def list_certificates(steward: Steward, limit: int = 100) -> list[dict[str, Any]]:
    """Return the newest certificates, newest first."""
    settings = read_settings()
    paths = sorted(settings.certificates.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    listed = []
    for path in paths[: max(1, min(limit, 1000))]:
        try:
            listed.append(_summarise(read_certificate(settings, path.stem)))
        except NotFound:  # damaged: the verdict says so, and `aurelius deid verify` what about it
            listed.append(
                {"StudyInstanceUID": path.stem, "site": "", "issued_at": "", "objects": 0, "verdict": "damaged"}
            )
    return listed


@router.get("/certificates/{study}")
def get_certificate(study: str, steward: Steward) -> dict[str, Any]:
    """Return one certificate."""
    return read_certificate(read_settings(), study).to_json()


@router.get("/certificates/{study}/page")
def get_page(study: str, steward: Steward) -> HTMLResponse:
    """Return one certificate as a page, made of its JSON at this moment."""
    return HTMLResponse(render_page(read_certificate(read_settings(), study).to_json()), headers=PAGE_POLICY)


def _summarise(certificate: Certificate) -> dict[str, Any]:
    hits = certificate.residue_hits
    whole = certificate.digest() == certificate.content_sha256
    return {
        "StudyInstanceUID": certificate.StudyInstanceUID,
        "site": certificate.site,
        "issued_at": certificate.batches[-1].issued_at,
        "objects": len(certificate.objects),
        "verdict": "damaged" if not whole else f"{hits} left" if hits else "nothing left",
    }
