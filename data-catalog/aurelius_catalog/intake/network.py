"""What the intake process runs beside its desk: the C-STORE listener and the service for stewards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from aurelius_catalog.intake.sites import read_sites
from aurelius_catalog.intake.zone import Zone
from aurelius_catalog.settings import CatalogSettings


@contextmanager
def start_network(settings: CatalogSettings, zone: Zone) -> Iterator[None]:
    """Open the network ways in while the block runs: each only where it was given an address.

    Parameters
    ----------
    settings
        With ``dicom_port``, C-STORE is taken there. The service runs where the hub says, if a hub started the intake.
    zone
        The identified zone, locked by this process.

    Raises
    ------
    InvalidSites
        If ``sites.toml`` says something impossible.
    InvalidRequest
        If nobody can listen on an address.
    """
    sites = read_sites(settings.sites_file)
    with ExitStack() as stack:
        if settings.dicom_port:
            from aurelius_catalog.intake.listener import Listener  # half a second that a folder inbox need not wait

            stack.enter_context(Listener(settings, zone, sites))
        if os.environ.get("JUPYTERHUB_SERVICE_URL"):
            from aurelius_catalog.intake.service import create_app
            from aurelius_catalog.service.host import serve_beside

            stack.enter_context(serve_beside(create_app(settings, zone, sites)))
        yield
