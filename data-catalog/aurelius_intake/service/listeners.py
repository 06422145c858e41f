"""The listeners beside the pipeline: the service for stewards and senders, and the C-STORE listener."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext

from aurelius_intake.receiving.sites import read_sites
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.zone.folders import Zone


def has_service() -> bool:
    """Whether a hub started this process and leads people to it."""
    return bool(os.environ.get("JUPYTERHUB_SERVICE_URL"))


def start_service(settings: IntakeSettings, zone: Zone) -> AbstractContextManager[object]:
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
    from aurelius_catalog.hosting.host import serve_beside
    from aurelius_intake.service.app import create_app

    return serve_beside(create_app(settings, zone, read_sites(settings.sites_file)))


def start_listener(settings: IntakeSettings, zone: Zone) -> AbstractContextManager[object]:
    """Take C-STORE on ``dicom_port`` while the block runs, if it is set; raises as `start_service` does."""
    sites = read_sites(settings.sites_file)
    if not settings.dicom_port:
        return nullcontext()
    from aurelius_intake.receiving.storage_scp import Listener  # half a second that a folder inbox need not wait

    return Listener(settings, zone, sites)
