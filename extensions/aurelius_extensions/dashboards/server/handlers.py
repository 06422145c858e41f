"""The pages and endpoints of the dashboards service; all but health, metrics and static files need a login."""

from __future__ import annotations

import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import tornado.web
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import FileFindHandler, JupyterHandler
from jupyter_server.services.kernels.handlers import KernelHandler
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from voila.request_info_handler import RequestInfoSocketHandler
from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler
from voila.static_file_handler import MultiStaticFileHandler
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from aurelius_catalog.access.person import Person
from aurelius_deidentify.errors import AureliusError
from aurelius_extensions.dashboards.server import registry
from aurelius_extensions.dashboards.server.identity import PERSON_HEADER
from aurelius_extensions.dashboards.server.kernels import ClaimedKernels

#: What an error page says; an AureliusError is more precise and replaces it.
WORDS = {
    403: "You may not open this page. Ask an administrator for a role that includes it.",
    404: "There is no such page here.",
    503: "The service is busy. Try again in a minute.",
}
FAILED = "The page could not be opened. Reload it; if that does not help, tell your administrator when it happened."

#: A page asks for some hundred scripts; the second visit must ask for none.
KEEP = "public, max-age=31536000, immutable"


@cache
def load_pages() -> jinja2.Environment:
    """Return the templates of the pages that are not notebooks; every value is escaped."""
    return jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)


class PersonPages(JupyterHandler):
    """Base of the pages a logged-in person sees."""

    @property
    def person(self) -> Person:
        """Who asks, by the claim that `identity.HubIdentity` wrote into the request."""
        claim = json.loads(self.request.headers[PERSON_HEADER])
        return Person.of(claim["name"], claim["groups"])

    @property
    def folder(self) -> Path:
        """Where the dashboards' notebooks lie."""
        return Path(self.settings["dashboards_folder"])

    def write_page(self, template: str, **values: Any) -> None:
        """Answer with one of the package's own pages."""
        self.set_header("Cache-Control", "no-store")
        self.finish(load_pages().get_template(template).render(base_url=self.base_url, **values))

    def write_error(self, status_code: int, **keywords: Any) -> None:
        """Answer with what went wrong, in words; never a traceback."""
        error = keywords.get("exc_info", (None, None))[1]
        if isinstance(error, AureliusError):
            self.set_status(error.status_code)
            words = str(error)
        else:
            words = WORDS.get(status_code, FAILED)
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.write_page("error.html", words=words, status=self.get_status())

    def log_exception(self, *exc_info: Any) -> None:
        """Log a refusal as one line, anything else with its traceback."""
        if isinstance(exc_info[1], AureliusError):
            self.log.info("refused: %s", type(exc_info[1]).__name__)
        else:
            super().log_exception(*exc_info)


class RegistryPage(PersonPages):
    """``<prefix>``: the dashboards there are for this person."""

    @tornado.web.authenticated
    def get(self) -> None:
        """Answer with the list."""
        dashboards = registry.list_dashboards(self.folder, self.person)
        self.write_page("list.html", dashboards=dashboards, person=self.person)


class DashboardPage(PersonPages, TornadoVoilaHandler):
    """``<prefix><name>``: one dashboard, with a kernel that works for this person alone."""

    @property
    def kernel_manager(self) -> ClaimedKernels:  # type: ignore[override]  # it stands in for the manager
        """The server's kernels; whatever this request takes becomes this person's."""
        return ClaimedKernels(super().kernel_manager, self.current_user.username)

    @tornado.web.authenticated
    async def get(self, path: str | None = None) -> None:
        """Render the notebook and send it as it comes."""
        dashboard = registry.get_dashboard(self.folder, str(path), self.person)
        self.kernel_manager.require_place()
        start = time.perf_counter()
        await TornadoVoilaHandler.get(self, path=f"{dashboard.name}.ipynb")
        meter = self.settings["dashboards_meter"]
        meter.pages.labels(dashboard.name).inc()
        meter.page_seconds.labels(dashboard.name).observe(time.perf_counter() - start)


class OwnKernelOnly(JupyterHandler):
    """Mixin: a kernel answers to the person it was started for, and does not exist for anyone else."""

    async def prepare(self, **keywords: Any) -> None:
        """Refuse before the handler's own work begins."""
        await super().prepare(**keywords)
        kernels: Any = self.kernel_manager
        if self.current_user and kernels.owners.get(self.path_kwargs["kernel_id"]) != self.current_user.username:
            raise tornado.web.HTTPError(404)


class OwnKernel(OwnKernelOnly, KernelHandler):
    """``<prefix>api/kernels/<id>``."""


class OwnKernelChannels(OwnKernelOnly, VoilaKernelWebsocketHandler):
    """``<prefix>api/kernels/<id>/channels``: the websocket; only widget messages pass, nothing is executed."""


class OwnKernelEnd(OwnKernelOnly, VoilaShutdownKernelHandler):
    """``<prefix>voila/api/shutdown/<id>``: a page that is closed ends its kernel."""


class KernelRequestInfo(RequestInfoSocketHandler):
    """``<prefix>voila/query/<id>``: where a preheated kernel waits for its person; kernels only.

    Kernels connect directly. What comes through the hub's proxy carries ``X-Forwarded-For`` and is refused.
    """

    def prepare(self) -> None:
        """Refuse whoever is not a kernel of this machine."""
        if "X-Forwarded-For" in self.request.headers or self.request.remote_ip not in ("127.0.0.1", "::1"):
            raise tornado.web.HTTPError(404)


class Scripts(MultiStaticFileHandler):
    """``<prefix>voila/static-<version>/``: Voila's scripts, kept by the browser, for their address has the version."""

    def set_extra_headers(self, path: str) -> None:
        """Let the browser keep the file."""
        self.set_header("Cache-Control", KEEP)


class Labextensions(FileFindHandler):
    """``<prefix>voila/labextensions/``: widgets' scripts, whose names carry the hash of their content."""

    def set_headers(self) -> None:
        """Let the browser keep the file."""
        super().set_headers()
        self.set_header("Cache-Control", KEEP)


class Health(tornado.web.RequestHandler):
    """``<prefix>health``."""

    @allow_unauthenticated
    def get(self) -> None:
        """Answer once the service takes requests."""
        self.finish({"status": "ok"})


class Metrics(tornado.web.RequestHandler):
    """``<prefix>metrics``: pages, kernels and times for Prometheus; no identifiers."""

    @allow_unauthenticated
    def get(self) -> None:
        """Answer in Prometheus' text format."""
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(generate_latest(self.settings["dashboards_meter"].registry))
