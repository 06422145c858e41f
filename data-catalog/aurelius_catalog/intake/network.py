"""What the intake process runs beside its desk: the service for stewards and senders, and the C-STORE listener."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext

from aurelius_catalog.intake.sites import read_sites
from aurelius_catalog.intake.zone import Zone
from aurelius_catalog.settings import CatalogSettings


def has_service() -> bool:
    """Whether a hub started this process and leads people to it."""
    return bool(os.environ.get("JUPYTERHUB_SERVICE_URL"))


def start_service(settings: CatalogSettings, zone: Zone) -> AbstractContextManager[object]:
    """Run the service while the block does, if a hub started the intake.

    Raises
    ------
    InvalidSites
        If ``sites.toml`` says something impossible.
    InvalidRequest
        If nobody can listen on the address.
    """
    if not has_service():
        return nullcontext()
    from aurelius_catalog.intake.service import create_app
    from aurelius_catalog.service.host import serve_beside

    return serve_beside(create_app(settings, zone, read_sites(settings.sites_file)))


def start_listener(settings: CatalogSettings, zone: Zone) -> AbstractContextManager[object]:
    """Take C-STORE on ``dicom_port`` while the block runs, if it is set; raises as `start_service` does."""
    sites = read_sites(settings.sites_file)
    if not settings.dicom_port:
        return nullcontext()
    from aurelius_catalog.intake.listener import Listener  # half a second that a folder inbox need not wait

    return Listener(settings, zone, sites)
