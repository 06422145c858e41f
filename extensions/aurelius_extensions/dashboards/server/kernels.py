"""The kernels behind the pages: their owners, their environment, their number and their end."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from traitlets import Integer

from aurelius_extensions.errors import NoPlaceLeft

#: What a kernel inherits from the service. Everything else stays behind, above all the hub's tokens.
KEPT_NAMES = frozenset(
    {
        "AURELIUS_DATABASE_URL",
        "AURELIUS_HOME",
        "AURELIUS_RUN",
        "HOME",
        "HTTP_X_AURELIUS_PERSON",
        "LANG",
        "LD_LIBRARY_PATH",
        "PATH",
        "PATH_INFO",
        "QUERY_STRING",
        "SCRIPT_NAME",
        "TMPDIR",
        "TZ",
        "VIRTUAL_ENV",
    }
)
KEPT_PREFIXES = ("LC_", "PYTHON", "VOILA_")


def keep_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables a kernel may have; a list of what is allowed, so that no new secret slips through."""
    kept = {name: value for name, value in environment.items() if name in KEPT_NAMES or name.startswith(KEPT_PREFIXES)}
    # One thread each: many small kernels share the machine, and thread pools slow their start.
    return {**kept, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class DashboardKernels(AsyncMappingKernelManager):
    """Kernels that belong to the person whose page they drive.

    Voila derives its pool of preheated kernels from this class. A kernel without an owner waits in the pool.
    """

    max_open = Integer(40, config=True, help="How many pages may be open at once; each holds a kernel of some 250 MB.")

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.owners: dict[str, str] = {}
        self.stopping = False

    # jupyter_client declares these as the synchronous methods of its other managers.
    async def start_kernel(self, **keywords: Any) -> str:  # type: ignore[override]
        """Start a kernel with a cleaned environment, unless the service is on its way out."""
        if self.stopping:
            raise RuntimeError("The service is stopping and starts no kernel.")
        keywords["env"] = keep_environment(keywords.get("env") or os.environ)
        kernel_id: str = await super().start_kernel(**keywords)
        if self.stopping:
            await super().shutdown_kernel(kernel_id, now=True)
        return kernel_id

    async def shutdown_kernel(  # type: ignore[override]
        self, kernel_id: str, now: bool = False, restart: bool = False
    ) -> None:
        """End a kernel and forget whose it was."""
        self.owners.pop(kernel_id, None)
        await super().shutdown_kernel(kernel_id, now=now, restart=restart)

    async def stop(self) -> None:
        """End all kernels, those still starting included; none is started afterwards."""
        self.stopping = True
        await self.shutdown_all(now=True)


class ClaimedKernels:
    """The kernel manager as one page request sees it: every kernel it is given becomes its person's.

    Parameters
    ----------
    kernels
        The server's kernel manager.
    owner
        The hub's user name of the person who asks.
    """

    def __init__(self, kernels: Any, owner: str) -> None:
        self._kernels = kernels
        self._owner = owner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernels, name)

    def require_place(self) -> None:
        """Refuse the page when all places are taken.

        Raises
        ------
        NoPlaceLeft
            With the number of places.
        """
        if len(self._kernels.owners) >= self._kernels.max_open:
            raise NoPlaceLeft(
                f"All {self._kernels.max_open} places are taken. Close a dashboard you no longer need, "
                "or try again in a few minutes."
            )

    async def get_rendered_notebook(self, **keywords: Any) -> tuple[Any, Any, str]:
        """Take a preheated kernel from the pool."""
        task, cache, kernel_id = await self._kernels.get_rendered_notebook(**keywords)
        self._kernels.owners[kernel_id] = self._owner
        return task, cache, kernel_id

    async def start_kernel(self, **keywords: Any) -> str:
        """Start a kernel for this request, the pool being empty."""
        kernel_id: str = await self._kernels.start_kernel(**keywords)
        self._kernels.owners[kernel_id] = self._owner
        return kernel_id
