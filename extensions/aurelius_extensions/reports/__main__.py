"""The report service: ``python -m aurelius_extensions.reports``, started by the hub."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from aurelius_catalog.hosting.host import create_service, mount_router, run_service
from aurelius_extensions.reports.service import api, pages
from aurelius_extensions.reports.service.worker import Worker
from aurelius_extensions.reports.settings import ReportSettings


def create_app(worker: Worker) -> FastAPI:
    """Make the service around a worker, which starts and stops with it."""

    @asynccontextmanager
    async def work(app: FastAPI) -> AsyncIterator[None]:
        worker.start()
        try:
            yield
        finally:
            await run_in_threadpool(worker.stop)

    app = create_service("reports", lifespan=work)
    app.state.worker = worker
    mount_router(app, api.router)
    mount_router(app, pages.router)
    return app


if __name__ == "__main__":
    run_service(create_app(Worker(ReportSettings())))
