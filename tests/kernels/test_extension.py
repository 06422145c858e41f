"""A fresh kernel has ``catalog``, starts as quickly as without it, and never fails for want of a service."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import nbformat
import pytest
from jupyter_client import KernelManager
from jupyter_client.kernelspec import get_kernel_spec
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from aurelius_hub.ports import find_free_ports


@contextmanager
def notebook(*cells: str) -> Iterator[nbformat.NotebookNode]:
    """Run cells in a fresh Aurelius kernel."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(book, kernel_name="aurelius", timeout=120).execute()
    yield book


def text_of(book: nbformat.NotebookNode, index: int = -1) -> str:
    return "".join(
        output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
        for output in book.cells[index].outputs
    )


def test_kernelspec_is_installed_with_the_package() -> None:
    assert get_kernel_spec("aurelius").display_name == "Aurelius"
    assert get_kernel_spec("aurelius-gpu").metadata["kernel_provisioner"]["config"] == {"gpus": 1}


def test_unreachable_catalog_leaves_the_kernel_whole_and_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURELIUS_CATALOG_URL", f"http://127.0.0.1:{find_free_ports(1)[0]}/services/catalog")
    with notebook("1 + 1", "catalog") as book:
        assert text_of(book, 0) == "2"
        assert "does not answer" in text_of(book)
    with pytest.raises(CellExecutionError) as failure, notebook("catalog.search(Modality='CT').df"):
        pass
    assert failure.value.ename == "Unreachable"
    assert "does not answer" in failure.value.traceback
    assert "httpx" not in failure.value.traceback


def test_kernel_outside_the_hub_says_how_to_open_a_catalog() -> None:
    with notebook("catalog") as book:
        assert "There is no catalog to open" in text_of(book)


def test_nothing_heavy_is_imported_at_start() -> None:
    heavy = "{'pandas', 'xarray', 'numpy', 'pydicom', 'highdicom', 'duckdb', 'httpx', 'torch'}"
    with notebook(f"import sys; print(sorted({heavy} & set(sys.modules)))") as book:
        assert text_of(book).strip() == "[]"


def start_seconds(name: str) -> float:
    """Measure from the start of a kernel to the answer of its first cell."""
    start = time.perf_counter()
    manager = KernelManager(kernel_name=name)
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        client.execute_interactive("1", timeout=60)
        return time.perf_counter() - start
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_start_costs_little_more_than_a_plain_kernel() -> None:
    pairs = [(start_seconds("aurelius"), start_seconds("python3")) for _ in range(3)]
    extra = min(ours for ours, _ in pairs) - min(plain for _, plain in pairs)
    print(f"the extension costs {1000 * extra:.0f} ms")
    assert extra < 0.5, pairs
