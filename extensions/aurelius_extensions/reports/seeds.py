"""One seed for every random number generator a report may use."""

from __future__ import annotations

import importlib.util
import random
import sys


def set_seeds(seed: int) -> None:
    """Seed ``random`` and NumPy's legacy generator, and torch where the kernel has loaded it.

    Torch is not imported for this: it costs seconds, and a report that uses it seeds it with
    ``torch.manual_seed(seed)``.
    """
    random.seed(seed)
    if importlib.util.find_spec("numpy"):
        import numpy as np

        np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
