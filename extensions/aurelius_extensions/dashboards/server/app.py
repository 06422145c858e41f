"""Voila, hosted for people who look at patients' images: closed where Voila is open by default.

Differences from ``voila notebooks/``: the hub logs people in; only the dashboards' own pages are routed (no tree,
no contents, no files, no kernel listing); a kernel belongs to one person; secrets stay in the service; pages may
load nothing from outside; kernels are preheated, culled, limited in number and ended with the service.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import voila
from jupyter_server.base.handlers import FileFindHandler
from jupyter_server.utils import url_path_join
from traitlets.config import Config
from voila.app import Voila
from voila.static_file_handler import MultiStaticFileHandler

from aurelius_catalog import CatalogSettings
from aurelius_extensions.dashboards.server import handlers
from aurelius_extensions.dashboards.server.identity import PERSON_HEADER, HubIdentity
from aurelius_extensions.dashboards.server.metrics import DashboardMetrics
from aurelius_extensions.dashboards.server.settings import DashboardSettings, read_address

#: Preheated kernels per dashboard: as many people may arrive while one kernel starts. Stewards are few.
POOLS = {"default": {"pool_size": 2}, "intake.ipynb": {"pool_size": 1}}
#: Seconds after which the kernel of a closed page ends, and how often that is looked at.
CULL_IDLE_S = 600
CULL_INTERVAL_S = 60
#: Labextensions a dashboard needs; every other one installed would only slow the page.
LABEXTENSIONS = ["@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8", "anywidget"]
#: A page may load and call its own server only (inline code: Voila's page; eval and blob: widgets and viewers).
PAGE_POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    ]
)
#: The system takes socket names of 107 characters; the kernels' names need the rest.
LONGEST_FOLDER = 40
KERNEL_ID = r"(?P<kernel_id>\w+-\w+-\w+-\w+-\w+)"
#: Voila's own routes that stay: scripts and styles. They hold nothing about any person.
STATIC_ROUTES = ("voila/templates/", "voila/static/", "voila/api/themes/", "voila/labextensions/")
#: Where Voila's scripts are found: a new version is a new address.
SCRIPTS = f"voila/static-{voila.__version__}"
KEPT_BY_BROWSER = {MultiStaticFileHandler: handlers.Scripts, FileFindHandler: handlers.Labextensions}


class DashboardServer(Voila):
    """The dashboards service."""

    def init_settings(self) -> dict[str, Any]:
        """Add what the handlers need, and quiet the access log: addresses carry login codes and kernel ids."""
        settings: dict[str, Any] = super().init_settings()
        pools = self.kernel_manager._pools
        meter = DashboardMetrics(
            lambda: len(self.kernel_manager.owners), lambda: sum(len(pool) for pool in pools.values())
        )
        return settings | {
            "dashboards_folder": self.root_dir,
            "dashboards_meter": meter,
            "headers": {"Content-Security-Policy": PAGE_POLICY, "Referrer-Policy": "no-referrer"},
            "log_function": lambda handler: None,
        }

    def init_handlers(self) -> list[tuple[Any, ...]]:
        """Return our routes and Voila's static ones; what is not listed here does not exist."""
        static = [
            (path.replace("voila/static", SCRIPTS), KEPT_BY_BROWSER.get(handler, handler), *rest)
            for path, handler, *rest in super().init_handlers()
            if path.removeprefix(self.base_url).startswith(STATIC_ROUTES)
        ]
        page = {
            "template_paths": self.template_paths,
            "config": self.config,
            "voila_configuration": self.voila_configuration,
        }
        ours: list[tuple[Any, ...]] = [
            ("health", handlers.Health),
            ("metrics", handlers.Metrics),
            (f"api/kernels/{KERNEL_ID}", handlers.OwnKernel),
            (f"api/kernels/{KERNEL_ID}/channels", handlers.OwnKernelChannels),
            (f"voila/api/shutdown/{KERNEL_ID}", handlers.OwnKernelEnd),
            (f"voila/query/{KERNEL_ID}", handlers.KernelRequestInfo),
            ("?", handlers.RegistryPage),
            ("([a-z0-9][a-z0-9-]*)/?", handlers.DashboardPage, page),
        ]
        login = self.identity_provider.get_handlers()
        return [*static, *login, *((url_path_join(self.base_url, path), *rest) for path, *rest in ours)]

    def _handle_signal_stop(self, sig: int, frame: object) -> None:
        # On the loop, not after it: what is still starting is awaited there, and no kernel outlives the service.
        self.ioloop.add_callback_from_signal(lambda: asyncio.ensure_future(self._stop_kernels()))

    async def _stop_kernels(self) -> None:
        try:
            await self.kernel_manager.stop()
        finally:
            self.ioloop.stop()

    def stop(self) -> None:
        """Remove the kernels' connection files; the kernels ended before the loop did."""
        shutil.rmtree(self.connection_dir, ignore_errors=True)


def point_to_scripts(page_config: dict[str, Any], **about: Any) -> dict[str, Any]:
    """Tell a page where the scripts of this version are (Voila's ``page_config_hook``)."""
    return page_config | {"fullStaticUrl": about["base_url"] + SCRIPTS}


def make_config(settings: DashboardSettings) -> Config:
    """Return everything that is set differently from Voila's defaults."""
    host, port, prefix = read_address()
    config = Config()
    config.Voila.update(
        ip=host,
        port=port,
        port_retries=0,
        base_url=prefix,
        root_dir=str(settings.folder),
        open_browser=False,
        config_file_paths=[],
        identity_provider_class=HubIdentity,
    )
    config.VoilaConfiguration.update(
        template="aurelius",
        theme="dark",
        allow_template_override="NO",
        allow_theme_override="NO",
        file_allowlist=[],
        show_tracebacks=False,
        strip_sources=True,
        http_header_envs=[PERSON_HEADER],
        multi_kernel_manager_class="aurelius_extensions.dashboards.server.kernels.DashboardKernels",
        preheat_kernel=True,
        extension_allowlist=LABEXTENSIONS,
        page_config_hook=point_to_scripts,
    )
    # Kernels talk over sockets in a private folder, not over ports that every account of the machine can reach.
    config.ConnectionFileMixin.transport = "ipc" if len(tempfile.gettempdir()) <= LONGEST_FOLDER else "tcp"
    # Signatures say whether a notebook's stored outputs can be trusted; dashboards store none.
    config.NotebookNotary.update(db_file=":memory:", secret=os.urandom(32))
    config.VoilaKernelManager.kernel_pools_config = POOLS
    config.MappingKernelManager.update(cull_idle_timeout=CULL_IDLE_S, cull_interval=CULL_INTERVAL_S)
    return config


def main() -> None:
    """Serve until SIGTERM; arguments are Voila's own, such as ``--MappingKernelManager.cull_idle_timeout=300``."""
    share = str(Path(__file__).parents[1] / "share")
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [share, os.environ.get("JUPYTER_PATH")]))
    os.environ["AURELIUS_HOME"] = str(CatalogSettings().home.resolve())  # kernels run in another folder
    server = DashboardServer.instance(config=make_config(DashboardSettings()))
    server.initialize()
    signal.signal(signal.SIGINT, server._handle_signal_stop)
    server.start()
