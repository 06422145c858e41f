"""Pixels: is there text burned into an image, where, and how it is taken out.

Rules on the header decide what needs no look; the rest is decoded and read by the tesseract program. Whatever cannot
be decided goes to a person.
"""

from __future__ import annotations

from aurelius_deidentify.pixels.face import shows_face
from aurelius_deidentify.pixels.judge import judge_pixels
from aurelius_deidentify.pixels.mask import mask_pixels
from aurelius_deidentify.pixels.verdict import MaskRegion, PixelVerdict, Word

__all__ = ["MaskRegion", "PixelVerdict", "Word", "judge_pixels", "mask_pixels", "shows_face"]
