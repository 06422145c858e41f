"""Burned-in text: finding it in an image's pixels, and masking it.

Rules on the header decide most objects; the others are decoded and read by the tesseract program. Objects that cannot
be decided are left to a person.
"""

from __future__ import annotations

from aurelius_deidentify.pixels.face import shows_face
from aurelius_deidentify.pixels.judge import judge_pixels
from aurelius_deidentify.pixels.mask import mask_pixels
from aurelius_deidentify.pixels.verdict import MaskRegion, PixelVerdict, Word

__all__ = ["MaskRegion", "PixelVerdict", "Word", "judge_pixels", "mask_pixels", "shows_face"]
