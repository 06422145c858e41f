"""DICOMweb (PS3.18): search (QIDO-RS), retrieve (WADO-RS) and store (STOW-RS), for any DICOMweb client."""

from __future__ import annotations

from fastapi import APIRouter

from aurelius_catalog.service import bulkdata, metadata, qido, rendered, stow, wado

router = APIRouter(prefix="/dicomweb")
for part in (qido, metadata, rendered, bulkdata, stow, wado):
    router.include_router(part.router)
