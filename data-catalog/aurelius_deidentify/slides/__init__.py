"""Clean copies of whole-slide files: labels, macros and identifying texts are not in their bytes.

`plan_slide` reads a file's structure and plans its clean copy; the plan's ``write`` makes it.
"""

from __future__ import annotations

from aurelius_deidentify.slides.cleaning import SlidePlan, plan_slide
from aurelius_deidentify.slides.dicom_slides import is_associated_image

__all__ = ["SlidePlan", "is_associated_image", "plan_slide"]
