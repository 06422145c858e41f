"""The annotation server: ``python -m aurelius_annotation.server``, started by the hub."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from aurelius_annotation.server import access, cases, inference, page, saving, status
from aurelius_annotation.server.dependencies import AnnotationContext
from aurelius_annotation.server.predictor import Predictor
from aurelius_annotation.server.settings import AnnotationSettings
from aurelius_catalog.hosting.host import create_service, mount_router, run_service


def create_app(settings: AnnotationSettings) -> FastAPI:
    """Make the application; the worker and the background findings live as long as it does."""
    context = AnnotationContext.set_up(settings)

    @contextlib.asynccontextmanager
    async def keep_working(app: FastAPI) -> AsyncIterator[None]:
        await context.pool.start()
        predicting = asyncio.create_task(Predictor(context).run())
        try:
            yield
        finally:
            predicting.cancel()
            await asyncio.wait({predicting})
            await context.pool.stop()

    app = create_service("annotation", lifespan=keep_working)
    app.state.context = context
    for part in (access, status, cases, saving, inference, page):
        mount_router(app, part.router)
    return app


if __name__ == "__main__":
    run_service(create_app(AnnotationSettings()))
