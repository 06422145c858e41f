"""The processes the hub starts and keeps running, as one table."""

from __future__ import annotations

import os
from dataclasses import dataclass

from aurelius_hub.environment import MEMORY, pass_basics, pass_settings
from aurelius_hub.settings import HubSettings


@dataclass(frozen=True)
class Service:
    """A process of the house.

    Parameters
    ----------
    name
        Name and, where there is a route, the last part of ``/services/<name>/``.
    module
        What ``python -m`` runs.
    title, text
        How the home page offers it; empty where it has no page for people.
    arguments
        Command line after the module.
    has_route
        Whether the proxy leads to it.
    shares_files
        Whether it hands open files to the kernels of this machine.
    opens_index
        Whether it opens the index, and is given its address.
    in_zone
        Whether it works in the identified zone, and is given that zone's settings.
    scopes
        What it may do on a person's behalf, beside asking the catalog.
    """

    name: str
    module: str
    title: str = ""
    text: str = ""
    arguments: tuple[str, ...] = ()
    has_route: bool = True
    shares_files: bool = False
    opens_index: bool = True
    in_zone: bool = False
    scopes: tuple[str, ...] = ()


SERVICES: tuple[Service, ...] = (
    Service(
        "catalog",
        "aurelius_catalog.service",
        "Viewer",
        "Open any study you may see: images, slides, segmentations.",
        shares_files=True,
    ),
    Service(
        "annotation",
        "aurelius_annotation.server",
        "Annotation",
        "The address to give to 3D Slicer; what waits to be segmented.",
        scopes=("tokens!user",),  # its page makes the token that 3D Slicer logs in with
    ),
    Service(
        "dashboards",
        "aurelius_extensions.dashboards",
        "Dashboards",
        "The worklist with what the model found and your word on it; for stewards, the intake.",
    ),
    Service(
        "reports",
        "aurelius_extensions.reports",
        "Reports",
        "Run a report, run it again, see whether it still says the same.",
    ),
    Service(
        "intake",
        "aurelius_intake",
        arguments=("run",),
        in_zone=True,
    ),
)


def build_services(settings: HubSettings) -> list[dict[str, object]]:
    """Return ``JupyterHub.services``: the table, and the culler of idle notebook servers."""
    culler = Service(
        "idle-culler",
        "jupyterhub_idle_culler",
        arguments=(f"--timeout={settings.idle_server_s}", "--cull-every=60"),
        has_route=False,
        opens_index=False,
    )
    return [build_service(service, settings) for service in (*SERVICES, culler)]


def build_service(service: Service, settings: HubSettings) -> dict[str, object]:
    """Return one entry of ``JupyterHub.services``."""
    entry: dict[str, object] = {
        "name": service.name,
        "command": build_command(service, settings),
        "cwd": str(settings.state),
        "environment": build_environment(service, settings),
        "display": bool(service.title),
        "info": {"title": service.title, "text": service.text},
    }
    if service.has_route:
        entry |= {
            "url": f"http://127.0.0.1:{settings.service_port(service.name)}",
            "oauth_no_confirm": True,
            "oauth_client_allowed_scopes": ["access:services!service=catalog", *service.scopes],
            "timeout": 120,
        }
    return entry


def build_command(service: Service, settings: HubSettings) -> list[str]:
    """Return the command line; the shell only opens the log and then becomes the service."""
    log = settings.logs / f"{service.name}.log"
    script = 'log="$1"; shift; umask 077; exec "$@" >>"$log" 2>&1'
    return [
        "/bin/sh", "-c", script, service.name, str(log),
        settings.python, "-m", service.module, *service.arguments,
    ]  # fmt: skip


def build_environment(service: Service, settings: HubSettings) -> dict[str, str]:
    """Return the variables a service gets; the hub adds its own (``JUPYTERHUB_*``)."""
    given = pass_settings(os.environ, zone=service.in_zone, index=service.opens_index)
    files = {"AURELIUS_HANDOVER": str(settings.socket)} if service.shares_files else {}
    return pass_basics() | MEMORY | given | settings.describe_house() | files
