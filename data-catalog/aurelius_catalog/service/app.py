"""The catalog service: DICOMweb for what DICOM defines, JSON for the rest."""

from __future__ import annotations

from fastapi import FastAPI

from aurelius_catalog.hosting.host import create_service, mount_router
from aurelius_catalog.service import datasets, dicomweb, frame_streams, ohif, rest, search, shared_files, slides


def create_app() -> FastAPI:
    """Make the application; each request has the rights of its person."""
    app = create_service("catalog", shared_files.serve_shared_files, [shared_files.FILES_SHARED])
    mount_router(
        app, frame_streams.router
    )  # first: routes are tried in this order, and a kernel asks for thousands of frames
    mount_router(app, dicomweb.router)
    mount_router(app, ohif.router)
    mount_router(app, search.router)
    mount_router(app, rest.router)
    mount_router(app, datasets.router)
    mount_router(app, slides.router)
    return app
