"""The processes the hub starts and keeps running, as one table."""

from __future__ import annotations

import os
from dataclasses import dataclass

from aurelius_hub.settings import HubSettings

#: A service answers from many threads; with an arena of the allocator for each, memory freed in one is lost to others.
MEMORY = {"MALLOC_ARENA_MAX": "2"}


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
    needs
        Settings it is given as ``AURELIUS_*`` variables, beside the home and the index.
    scopes
        What it may do on a person's behalf, beside asking the catalog.
    """

    name: str
    module: str
    title: str = ""
    text: str = ""
    arguments: tuple[str, ...] = ()
    has_route: bool = True
    needs: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()


SERVICES: tuple[Service, ...] = (
    Service(
        "catalog",
        "aurelius_catalog.service",
        "Viewer",
        "Open any study you may see: images, slides, segmentations.",
        # Results are held against the house's profile.
        needs=("handover", "intake_profile", "idc_index", "dataset_licence", "public_url", "port"),
    ),
    Service(
        "annotation",
        "aurelius_annotation.server",
        "Annotation",
        "The address to give to 3D Slicer; what waits to be segmented.",
        needs=("annotation_python", "models"),
        scopes=("tokens!user",),  # its page makes the token that 3D Slicer logs in with
    ),
    Service(
        "dashboards",
        "aurelius_extensions.dashboards",
        "Dashboards",
        "The worklist with what the model found and your word on it; for stewards, the intake.",
        needs=("notebooks",),
    ),
    Service(
        "reports",
        "aurelius_extensions.reports",
        "Reports",
        "Run a report, run it again, see whether it still says the same.",
        needs=("notebooks", "models"),
    ),
    Service(
        "intake",
        "aurelius_intake",
        arguments=("run",),
        needs=(
            "intake_quiet_s",
            "intake_profile",
            "intake_workers",
            "intake_reserve_mb",
            "dicom_port",
            "dicom_host",
            "vault_key",
            "vault_key_file",
            "approval_hours",
            "audit_years",
        ),
    ),
)


def build_services(settings: HubSettings) -> list[dict[str, object]]:
    """Return ``JupyterHub.services``: the table, and the culler of idle notebook servers."""
    culler = Service(
        "idle-culler",
        "jupyterhub_idle_culler",
        arguments=(f"--timeout={settings.idle_server_s}", "--cull-every=60"),
        has_route=False,
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
    """Return the few variables a service gets; the hub adds its own (``JUPYTERHUB_*``)."""
    everything = settings.to_environment()
    everything |= {"AURELIUS_MODELS": str(settings.weights), "AURELIUS_HANDOVER": str(settings.socket)}
    wanted = ("home", "database_url", "run", *service.needs)
    environment = {key: everything[key] for name in wanted if (key := f"AURELIUS_{name.upper()}") in everything}
    return pass_basics() | MEMORY | environment


def pass_basics() -> dict[str, str]:
    """Return what any program needs from the hub's own environment: where programs are, and the language."""
    names = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
    return {name: os.environ[name] for name in names if name in os.environ} | {"PYTHONUNBUFFERED": "1"}
