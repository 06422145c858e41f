"""What every HTTP service of the house is hosted by: prefix, health, metrics, login, errors, a clean stop.

A service writes its routes and hands them over::

    app = create_service("annotation")
    mount_router(app, router)
    run_service(app)

A process that has other work as well runs its service in ``with serve_beside(app):``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from aurelius_catalog.errors import AureliusError, InvalidRequest
from aurelius_catalog.hosting import login
from aurelius_catalog.hosting.metrics import RequestMetrics

#: Seconds a request in progress may take to finish once the service is asked to stop.
STOP_S = 5


def service_prefix() -> str:
    """Return the path the hub's proxy sends to this service, with a slash at both ends."""
    path = os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "/").strip("/")
    return f"/{path}/" if path else "/"


def create_service(
    name: str,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None,
    collectors: Iterable[Collector] = (),
) -> FastAPI:
    """Make the application of one hub-managed service, with all the parts that services share.

    Parameters
    ----------
    name
        The service's name, used as the title and in the metrics.
    lifespan
        What to set up before the first request and to take down after the last.
    collectors
        What else its ``/metrics`` tells.
    """
    prefix = service_prefix()
    app = FastAPI(
        title=f"Aurelius {name}",
        lifespan=lifespan,
        strict_content_type=False,
        openapi_url=f"{prefix}openapi.json",
        docs_url=None,  # the interactive pages load scripts from outside the house
        redoc_url=None,
    )
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    app.add_middleware(RequestMetrics, registry=registry)
    app.add_exception_handler(AureliusError, _answer_catalog_error)
    app.add_exception_handler(RequestValidationError, _answer_bad_input)
    app.add_exception_handler(login.LoginRequired, _answer_login)
    app.add_exception_handler(Exception, _answer_failure)

    shared = APIRouter()

    @shared.get("/health")
    async def read_health() -> dict[str, str]:
        """Answer once the service takes requests."""
        return {"status": "ok"}

    @shared.get("/metrics")
    def read_metrics() -> Response:  # in a thread: a collector may have to look things up
        """Give counts and durations by route template to Prometheus; no identifiers."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    mount_router(app, shared)
    mount_router(app, login.router)
    return app


def mount_router(app: FastAPI, router: APIRouter) -> None:
    """Add routes below the service's prefix; routes begin with a slash."""
    app.include_router(router, prefix=service_prefix().rstrip("/"))


def run_service(app: FastAPI) -> None:
    """Serve on the address in ``JUPYTERHUB_SERVICE_URL`` until SIGTERM or SIGINT.

    Raises
    ------
    SystemExit
        When the hub did not say where to listen.
    """
    uvicorn.run(app, **_read_options())


@contextmanager
def serve_beside(app: FastAPI) -> Iterator[None]:
    """Serve from a thread while the block runs; signals stay with the main thread.

    Raises
    ------
    SystemExit
        When the hub did not say where to listen.
    InvalidRequest
        When nobody can listen there.
    """
    server = uvicorn.Server(uvicorn.Config(app, **_read_options()))
    thread = Thread(target=server.run, name="service")
    thread.start()
    try:
        while thread.is_alive() and not server.started:
            time.sleep(0.01)
        if not server.started:
            raise InvalidRequest(f"Nobody can listen on {server.config.host}:{server.config.port}: is it taken?")
        yield
    finally:
        server.should_exit = True
        thread.join()


def _read_options() -> dict[str, Any]:
    address = urlsplit(os.environ.get("JUPYTERHUB_SERVICE_URL", ""))
    if not address.hostname or address.port is None:
        raise SystemExit("JUPYTERHUB_SERVICE_URL is not set: this service is started by the hub (`aurelius demo`).")
    # Paths hold UIDs and query strings hold login codes: the access log stays off, the metrics count instead.
    return {
        "host": address.hostname,
        "port": address.port,
        "access_log": False,
        "log_level": "info",
        "timeout_graceful_shutdown": STOP_S,
    }


async def _answer_catalog_error(request: Request, error: Any) -> Response:
    return JSONResponse({"detail": str(error), "error": type(error).__name__}, error.status_code)


async def _answer_bad_input(request: Request, error: Any) -> Response:
    # FastAPI's own answer repeats the value; ours names only the place and the rule.
    places = ((".".join(str(part) for part in item["loc"]), item["msg"]) for item in error.errors())
    detail = "; ".join(f"{place}: {message}" for place, message in places)
    return JSONResponse({"detail": detail, "error": "InvalidRequest"}, 422)


async def _answer_login(request: Request, error: Any) -> Response:
    return login.redirect_to_login(request)


async def _answer_failure(request: Request, error: Any) -> Response:
    return JSONResponse(
        {"detail": "The service failed on this request; its log says where.", "error": "AureliusError"}, 500
    )
