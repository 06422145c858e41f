"""Notebook servers: the folder, the guides and the few variables that each is given."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from jupyterhub.spawner import SimpleLocalProcessSpawner

from aurelius_hub.environment import pass_basics
from aurelius_hub.ports import find_free_ports
from aurelius_hub.settings import HubSettings

if TYPE_CHECKING:
    from jupyterhub.spawner import Spawner

POLL_S = 0.05


class NotebookSpawner(SimpleLocalProcessSpawner):
    """Starts notebook servers as processes of this machine, and says at once when one listens.

    The hub itself looks for a new server at growing intervals, and so misses it by a second or two.
    """

    async def start(self) -> tuple[str, int]:
        """Start the server; returns its address once it accepts connections, or has died."""
        # The hub would let the system choose, which may give the same port away before the server takes it.
        self.port = self.port or find_free_ports(1)[0]  # type: ignore[has-type]
        host, port = await super().start()
        while await self.poll() is None:
            try:
                _, writer = await asyncio.open_connection(host or "127.0.0.1", port)
            except OSError:
                await asyncio.sleep(POLL_S)
            else:
                writer.close()
                break
        return host, port


def build_notebook_environment(settings: HubSettings) -> dict[str, str]:
    """Return the variables of a notebook server; nothing of the hub's own environment gets in beside them."""
    environment = pass_basics() | {
        "AURELIUS_CATALOG_URL": f"{settings.address}/services/catalog",
        "AURELIUS_HANDOVER": str(settings.socket),
        "AURELIUS_ANNOTATION_URL": f"{settings.address}/services/annotation",
    }
    environment.pop("HOME", None)
    return environment | ({"AURELIUS_RUN": settings.run} if settings.run else {})


def prepare_home(settings: HubSettings) -> Callable[[Spawner], None]:
    """Return the hook that puts the guides into a person's folder before their server starts."""

    def prepare(spawner: Spawner) -> None:
        copy_missing(settings.notebooks / "guides", settings.state / "homes" / spawner.user.name / "guides")

    return prepare


def copy_missing(source: Path, target: Path) -> None:
    """Copy the files of ``source`` that ``target`` lacks: what somebody has changed stays theirs."""
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.glob("*.ipynb")):
        if not (target / file.name).exists():
            shutil.copy2(file, target / file.name)
