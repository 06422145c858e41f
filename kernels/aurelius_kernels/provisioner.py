"""Starts kernels with the GPUs they lease and no others; honoured by JupyterLab, Voila and papermill alike."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner
from traitlets import Int, Unicode

from aurelius_kernels.gpus import Lease, lease_gpus, list_gpus


class GpuProvisioner(LocalProvisioner):
    """Starts a kernel on this machine with ``CUDA_VISIBLE_DEVICES`` set to the GPUs leased for it.

    A restart keeps the lease; the end of the kernel, by whatever cause, frees it. On a machine without
    a GPU every kernel starts, and sees none.
    """

    gpus = Int(1, min=0, help="How many whole GPUs (or MIG parts) the kernel gets; 0 hides them all.", config=True)
    lease_folder = Unicode(
        "/tmp/aurelius-gpus",  # noqa: S108 - a place that every user of the machine shares
        help="Folder of the lock files; the same for every process of the machine.",
        config=True,
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._leases: list[Lease] = []

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Lease the GPUs, unless this is a restart, and hand their locks to the kernel.

        Raises
        ------
        NoGpuFree
            If there are GPUs, but not enough of them free.
        """
        if self.gpus and not self._leases:
            devices = await asyncio.to_thread(list_gpus)
            if devices:
                self._leases = lease_gpus(devices, self.gpus, Path(self.lease_folder))
        environment = dict(kwargs.pop("env", None) or os.environ)
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(lease.device for lease in self._leases)
        prepared = await super().pre_launch(env=environment, **kwargs)
        prepared["pass_fds"] = tuple(lease.file.fileno() for lease in self._leases)
        return prepared

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the process; a kernel that cannot start keeps no GPU."""
        try:
            return await super().launch_kernel(cmd, **kwargs)
        except Exception:
            self._release()
            raise

    async def cleanup(self, restart: bool = False) -> None:
        """Free the GPUs when the kernel is gone for good."""
        await super().cleanup(restart=restart)
        if not restart:
            self._release()

    def _release(self) -> None:
        for lease in self._leases:
            lease.release()
        self._leases = []
