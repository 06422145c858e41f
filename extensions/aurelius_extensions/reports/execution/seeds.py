"""One seed for the random number generators a report may use."""

from __future__ import annotations

import importlib.util
import random
import sys

from IPython.core.getipython import get_ipython


def seed_every_cell(seed: int) -> None:
    """Seed the generators of this kernel before each cell, from ``seed`` and the cell's number.

    Once at the start would not do: imports draw random numbers too, and not always as many.
    """
    shell = get_ipython()
    if shell is None:
        raise RuntimeError("Cells are seeded in a kernel; elsewhere call set_seeds.")
    shell.events.register("pre_run_cell", lambda info: set_seeds(seed + shell.execution_count))


def set_seeds(seed: int) -> None:
    """Seed ``random`` and NumPy's legacy generator, and torch once it is loaded, which takes seconds."""
    random.seed(seed)
    if importlib.util.find_spec("numpy"):
        import numpy as np

        np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
