"""Real kernels with the GPUs they lease, on a machine whose GPUs are only names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pynvml
import pytest
from jupyter_client import BlockingKernelClient, KernelManager
from jupyter_client.kernelspec import KernelSpecManager

from aurelius_kernels.errors import NoGpuFree
from aurelius_kernels.gpus import lease_gpus, list_gpus
from support.servers_catalog import wait_until

ARGV = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]


@pytest.fixture
def specs(tmp_path: Path) -> KernelSpecManager:
    """Kernelspecs that want 0, 1 and 2 GPUs, with locks of their own."""
    for count in (0, 1, 2):
        folder = tmp_path / "kernels" / f"gpus-{count}"
        folder.mkdir(parents=True)
        config = {"gpus": count, "lease_folder": str(tmp_path / "leases")}
        provisioner = {"provisioner_name": "aurelius-gpu", "config": config}
        spec = {
            "argv": ARGV,
            "display_name": "x",
            "language": "python",
            "metadata": {"kernel_provisioner": provisioner},
        }
        (folder / "kernel.json").write_text(json.dumps(spec))
    return KernelSpecManager(kernel_dirs=[str(tmp_path / "kernels")])


@contextmanager
def kernel(specs: KernelSpecManager, gpus: int) -> Iterator[KernelManager]:
    manager = KernelManager(kernel_name=f"gpus-{gpus}", kernel_spec_manager=specs)
    manager.start_kernel()
    try:
        yield manager
    finally:
        manager.shutdown_kernel(now=True)


def ask(manager: KernelManager, expression: str) -> str:
    """Evaluate an expression in the kernel."""
    client: BlockingKernelClient = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        reply = client.execute_interactive("", user_expressions={"answer": expression}, timeout=60)
        return str(reply["content"]["user_expressions"]["answer"]["data"]["text/plain"]).strip("'")
    finally:
        client.stop_channels()


#: A notebook server in miniature; its kernel would by itself live on without it.
SERVER = """
import signal, sys
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager
manager = KernelManager(kernel_name="gpus-1", kernel_spec_manager=KernelSpecManager(kernel_dirs=[sys.argv[1]]))
manager.start_kernel(independent=True, stdout=-3)
print(manager.provisioner.pid, flush=True)
signal.pause()
"""
VISIBLE = "__import__('os').environ['CUDA_VISIBLE_DEVICES']"


def test_kernels_get_gpus_of_their_own_until_none_is_free(
    specs: KernelSpecManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AURELIUS_GPUS", "fake-0, fake-1")
    with kernel(specs, 1) as first, kernel(specs, 1) as second:
        assert {ask(first, VISIBLE), ask(second, VISIBLE)} == {"fake-0", "fake-1"}
        with pytest.raises(NoGpuFree, match="No GPU is free: 1 wanted, 0 of 2 free") as refusal, kernel(specs, 1):
            pass
        assert refusal.value.status_code == 503
        with kernel(specs, 0) as third:
            assert ask(third, VISIBLE) == ""
    with kernel(specs, 2) as both:
        assert ask(both, VISIBLE) == "fake-0,fake-1"


def test_restart_keeps_the_gpu(specs: KernelSpecManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURELIUS_GPUS", "fake-0")
    with kernel(specs, 1) as manager:
        before = ask(manager, "__import__('os').getpid()")
        manager.restart_kernel(now=True)
        assert ask(manager, "__import__('os').getpid()") != before
        assert ask(manager, VISIBLE) == "fake-0"
        with pytest.raises(NoGpuFree), kernel(specs, 1):
            pass


def test_lease_outlives_the_server_and_dies_with_the_kernel(specs: KernelSpecManager, tmp_path: Path) -> None:
    """A notebook server killed without a word leaves the GPU to its kernel, and the kernel's end frees it."""
    command = [sys.executable, "-c", SERVER, str(tmp_path / "kernels")]
    with subprocess.Popen(command, env={**os.environ, "AURELIUS_GPUS": "fake-0"}, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        orphan = psutil.Process(int(server.stdout.readline()))
        server.kill()
    try:
        with pytest.raises(NoGpuFree):
            lease_gpus(["fake-0"], 1, tmp_path / "leases")
    finally:
        orphan.kill()
    wait_until(lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE, "kernel gone")
    for lease in lease_gpus(["fake-0"], 1, tmp_path / "leases"):
        lease.release()


def test_machine_without_gpu_starts_any_kernel(specs: KernelSpecManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURELIUS_GPUS", "")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with kernel(specs, 1) as manager:
        assert ask(manager, VISIBLE) == ""


def test_kernel_that_cannot_start_frees_its_gpu(
    specs: KernelSpecManager, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AURELIUS_GPUS", "fake-0")
    file = tmp_path / "kernels" / "gpus-1" / "kernel.json"
    spec = json.loads(file.read_text())
    file.write_text(json.dumps(spec | {"argv": ["/no/such/program", "{connection_file}"]}))
    with pytest.raises(FileNotFoundError), kernel(specs, 1):
        pass
    for lease in lease_gpus(["fake-0"], 1, tmp_path / "leases"):
        lease.release()


class FakeDriver:
    """What NVML answers on a machine with GPUs: each is its UUID, and those of its MIG parts."""

    def __init__(self, gpus: dict[str, list[str | None]], fails: bool = False) -> None:
        self.gpus, self.fails, self.open = gpus, fails, 0

    def install(self, patch: pytest.MonkeyPatch) -> None:
        patch.delenv("AURELIUS_GPUS", raising=False)
        for name in ("Init", "Shutdown", "DeviceGetCount", "DeviceGetHandleByIndex", "DeviceGetUUID"):
            patch.setattr(pynvml, f"nvml{name}", getattr(self, name))
        for name in ("DeviceGetMigMode", "DeviceGetMaxMigDeviceCount", "DeviceGetMigDeviceHandleByIndex"):
            patch.setattr(pynvml, f"nvml{name}", getattr(self, name))

    def Init(self) -> None:
        self.open += 1

    def Shutdown(self) -> None:
        self.open -= 1

    def DeviceGetCount(self) -> int:
        if self.fails:
            raise pynvml.NVMLError_GpuIsLost
        return len(self.gpus)

    def DeviceGetHandleByIndex(self, number: int) -> str:
        return list(self.gpus)[number]

    def DeviceGetUUID(self, device: str) -> str:
        return device

    def DeviceGetMigMode(self, gpu: str) -> tuple[int, int]:
        if "old" in gpu:
            raise pynvml.NVMLError_NotSupported
        return (int(bool(self.gpus[gpu])), 0)

    def DeviceGetMaxMigDeviceCount(self, gpu: str) -> int:
        return 7

    def DeviceGetMigDeviceHandleByIndex(self, gpu: str, number: int) -> str:
        parts = self.gpus[gpu]
        part = parts[number] if number < len(parts) else None
        if part is None:
            raise pynvml.NVMLError_NotFound
        return part


def test_the_driver_names_whole_gpus_and_mig_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeDriver({"GPU-a": [], "GPU-b": ["MIG-c", None, "MIG-d"], "GPU-old": []})
    driver.install(monkeypatch)
    assert list_gpus() == ["GPU-a", "MIG-c", "MIG-d", "GPU-old"]
    assert driver.open == 0


def test_a_machine_without_a_driver_or_with_a_lost_gpu_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeDriver({"GPU-a": []}, fails=True)
    driver.install(monkeypatch)
    assert list_gpus() == []
    assert driver.open == 0

    def fail() -> None:
        raise pynvml.NVMLError_LibraryNotFound

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    assert list_gpus() == []
