"""The verdict on the pixels of one object, and its grounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aurelius_deidentify.errors import InvalidRequest

Outcome = Literal["clean", "mask", "person"]


@dataclass(frozen=True)
class MaskRegion:
    """A rectangle of an image, in pixels from the top left corner; it holds for every frame.

    Raises
    ------
    InvalidRequest
        If it has no area or begins outside the image.
    """

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.x < 0 or self.y < 0 or self.width < 1 or self.height < 1:
            raise InvalidRequest("A region is [x, y, width, height] in pixels, within the image and not empty.")

    @property
    def right(self) -> int:
        """First column to the right of it."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row below it."""
        return self.y + self.height

    def covers(self, other: MaskRegion) -> bool:
        """Whether the other region lies within this one."""
        return self.x <= other.x and self.y <= other.y and self.right >= other.right and self.bottom >= other.bottom

    def meets(self, other: MaskRegion) -> bool:
        """Whether the two share a pixel or touch."""
        return self.x <= other.right and other.x <= self.right and self.y <= other.bottom and other.y <= self.bottom

    def join(self, other: MaskRegion) -> MaskRegion:
        """Return the smallest region that holds both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        return MaskRegion(x, y, max(self.right, other.right) - x, max(self.bottom, other.bottom) - y)

    def pad(self, margin: int, columns: int, rows: int) -> MaskRegion:
        """Return the region with a margin on each side, cut at the borders of the image."""
        x, y = max(self.x - margin, 0), max(self.y - margin, 0)
        return MaskRegion(x, y, min(self.right + margin, columns) - x, min(self.bottom + margin, rows) - y)


@dataclass(frozen=True)
class Word:
    """A word found in the pixels. It may identify: it stays in the identified zone.

    Parameters
    ----------
    text
        As read.
    confidence
        Of the reader, 0 to 100.
    region
        Where it stands.
    """

    text: str
    confidence: float
    region: MaskRegion


@dataclass(frozen=True)
class PixelVerdict:
    """The decision about one object's pixels.

    Parameters
    ----------
    outcome
        ``clean``: nothing to do. ``mask``: `aurelius_deidentify.pixels.mask_pixels` with the regions makes it clean
        (no regions: only bits behind the pixel values are to be cleared). ``person``: quarantine.
    reason
        Why, without any value of the object.
    regions
        What must be blacked out; for ``person``, what a person is offered.
    words
        The text found; identified zone only.
    method
        ``rule``, ``ocr``, or ``person`` for a steward's decision.
    """

    outcome: Outcome
    reason: str
    regions: tuple[MaskRegion, ...] = ()
    words: tuple[Word, ...] = ()
    method: str = "rule"

    @property
    def summary(self) -> str:
        """One line for a certificate: outcome, method and reason; never a word that was found."""
        masked = f", {len(self.regions)} regions masked" if self.outcome == "mask" else ""
        return f"{self.outcome} by {self.method}{masked}: {self.reason}"
