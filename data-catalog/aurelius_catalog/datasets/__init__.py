"""Frozen datasets: what exactly each one holds, whether it still is that, and the copies people train on.

Names are imported on first use: the service that keeps the register needs no imaging library for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aurelius_catalog.datasets.frozen import FrozenDataset
    from aurelius_catalog.datasets.frozen_series import FrozenSeries

__all__ = ["FrozenDataset", "FrozenSeries"]

_HOMES = {"FrozenDataset": "frozen", "FrozenSeries": "frozen_series"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
