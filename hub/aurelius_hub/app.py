"""JupyterHub, with its services started side by side instead of one after the other."""

from __future__ import annotations

import asyncio
from typing import Any

from jupyterhub.app import JupyterHub


class AureliusHub(JupyterHub):
    """JupyterHub waits for each service before it starts the next; four of them make that most of the start."""

    name = "jupyterhub"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._starting: dict[str, asyncio.Future[bool]] = {}

    async def start_service(self, service_name: str, service: Any, ssl_context: Any = None) -> bool:
        """Start all services at the first call; every call waits for its own."""
        if not self._starting:
            self._starting = {
                name: asyncio.ensure_future(super(AureliusHub, self).start_service(name, one, ssl_context))
                for name, one in self._service_map.items()
            }
        if service_name in self._starting:
            return await self._starting[service_name]
        return await super().start_service(service_name, service, ssl_context)


if __name__ == "__main__":
    AureliusHub.launch_instance()
