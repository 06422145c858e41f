"""The offer of a series or a label version to a viewer, to be laid over images."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class OverlaySource(Protocol):
    """Something that opens what is drawn over images, such as a series that holds a segmentation, or a label version.

    Viewers take it by this protocol: they know nothing of the classes that a researcher holds.
    """

    @property
    def overlay_name(self) -> str:
        """What a legend calls it; empty where it has no name."""
        ...

    def open_overlay(self) -> Any:
        """Open it: a segmentation, a structure set, bulk annotations, or an array ``(z, y, x)`` or ``(y, x)``."""
        ...
